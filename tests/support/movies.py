"""Movies written without the help of the code under test."""

from fractions import Fraction

import av
import numpy as np


def pictures(n, height=64, width=96):
    """Grey gradients with a bar that walks from left to right, so that no two frames are alike."""
    shade = np.add.outer(np.arange(height), np.arange(width)).astype(np.uint8)
    for k in range(n):
        picture = shade.copy()
        picture[:, (5 * k) % width : (5 * k) % width + 6] = 240
        yield picture


def encode(
    path,
    images,
    *,
    codec="libx264",
    layout="yuv420p",
    pix_fmt=None,
    tag=None,
    stamps=None,
    options=None,
    container=None,
):
    """Write a movie without the help of the code under test."""
    with av.open(str(path), "w", options=container or {}) as file:
        stream = None
        for k, image in enumerate(images):
            given = "rgb24" if image.ndim == 3 else "gray" if image.dtype == np.uint8 else layout
            frame = av.VideoFrame.from_ndarray(image, format=given).reformat(format=layout)
            if stream is None:
                stream = file.add_stream(
                    codec, rate=10, options=options or {"crf": "8", "preset": "veryfast"}
                )
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pix_fmt or layout
                stream.codec_context.time_base = Fraction(1, 1000)
                if tag is not None:
                    stream.codec_context.color_range = tag
            if tag is not None:
                frame.color_range = tag
            frame.pts, frame.time_base = (100 * k if stamps is None else stamps[k]), Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path
