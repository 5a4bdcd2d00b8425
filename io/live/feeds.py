"""Where live frames come from: cameras, network streams, folders that fill up, a part of the screen.

Each feed is one connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from insitrack.io.errors import SourceError
from insitrack.io.live.feed import Captured, Depth, Feed
from insitrack.io.live.ffmpeg_pipe import FfmpegPipe
from insitrack.io.live.jpeg import damage_of_jpeg
from insitrack.io.manifest import without_password

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

STREAMS = ("rtsp://", "rtsps://", "http://", "https://", "srt://", "udp://", "tcp://")
CAMERA, FOLDER, SCREEN = "camera:", "watch:", "screen:"
_POLL_S = 0.05
_UNSTAMPED = ("mpjpeg", "mjpeg", "image2pipe", "jpeg_pipe", "png_pipe")
"""Streams of single frames: they hold no times, and FFmpeg makes some up."""


def is_live(uri: str) -> bool:
    """Check whether an address is one of a live source.

    Examples
    --------
    >>> is_live("camera:0"), is_live("rtsp://microscope/1"), is_live("movie.mp4")
    (True, True, False)
    """
    return uri.startswith((*STREAMS, CAMERA, FOLDER, SCREEN))


def open_feed(uri: str, *, stall_s: float, closing: Callable[[], bool], depth: Depth) -> Feed:
    """Connect once.

    Parameters
    ----------
    uri : str
        ``camera:0``; ``rtsp://``, ``http://``, ``srt://`` address; ``watch:FOLDER``;
        ``screen:LEFT,TOP,WIDTH,HEIGHT``.
    stall_s : float
        How long to wait for a frame before the connection counts as lost, s.
    closing : callable
        Says whether the run is over.
    depth : Depth
        Makes grey levels of the frames of a folder.

    Raises
    ------
    SourceError
        If there is nothing at that address, or it cannot be used.
    """
    if uri.startswith(CAMERA):
        return _camera(uri, stall_s)
    if uri.startswith(FOLDER):
        from insitrack.io.live.watched import open_folder

        return open_folder(uri, Path(uri.removeprefix(FOLDER)), closing, depth)
    if uri.startswith(SCREEN):
        return _screen(uri, closing)
    try:
        return _stream(uri, stall_s)
    except SourceError as error:  # an address may hold a password
        raise SourceError(str(error).replace(uri, without_password(uri))) from None


def _stream(uri: str, stall_s: float) -> Feed:
    """Decode a network stream as a movie file is decoded, so that the same frames give the same numbers."""
    container, pipe = _connect(uri, stall_s)

    def close() -> None:
        container.close()
        if pipe is not None:
            pipe.close()

    if not container.streams.video or container.streams.video[0].codec_context is None:
        close()
        raise SourceError(f"{uri}: holds no frames; expected a video stream")
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1  # only then does FFmpeg report every frame that it had to patch
    stamped = container.format.name not in _UNSTAMPED
    rate = (stream.average_rate or stream.guessed_rate) if stamped else None
    facts = {
        "container": container.format.name,
        "codec": stream.codec_context.name,
        "pix_fmt": str(stream.codec_context.pix_fmt),
    }
    return Feed(
        _decoded(container, stream, stamped),
        float(1 / rate) if rate else 0.0,
        facts,
        close,
        (lambda: None) if pipe is None else pipe.stop,
    )


def _connect(uri: str, stall_s: float) -> tuple[InputContainer, FfmpegPipe | None]:
    """Open a stream, through the program ffmpeg where the library does not know the protocol."""
    import av

    # a stream is taken as it comes: not analysed for seconds before the first frame is shown (`nobuffer`
    # would lose that one)
    options = {"probesize": "500000", "analyzeduration": "500000", "fpsprobesize": "0"}
    if uri.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"
    pipe: FfmpegPipe | None = None
    try:
        try:
            return av.open(
                uri, timeout=(max(5.0, stall_s), stall_s), options=options, metadata_errors="replace"
            ), None
        except av.error.ProtocolNotFoundError:
            pipe = FfmpegPipe(uri, stall_s)
            container = av.open(pipe, format="nut", options=options, metadata_errors="replace")
            pipe.patience_s = stall_s
            return container, pipe
    except (av.error.FFmpegError, OSError) as error:
        reason = _why(error) if pipe is None else pipe.failure()
        raise SourceError(
            f"{uri}: no stream there ({reason}); check the address, the cable and the camera"
        ) from error


def _decoded(container: InputContainer, stream: VideoStream, stamped: bool) -> Generator[Captured]:
    """Frames of a stream as grey levels, their times from the first one on; damaged ones without an image."""
    import av

    from insitrack.io.files.luma import grey_levels, is_full_range, upright

    first: int | None = None
    full, jpeg = True, stream.codec_context.name == "mjpeg"
    if jpeg:
        stream.codec_context.options = {"err_detect": "explode"}  # otherwise what is damaged is patched
    try:
        for packet in container.demux(stream):
            if jpeg and packet.size and (damage := damage_of_jpeg(bytes(packet))):
                yield Captured(None, None, damage)
                continue
            try:
                decoded = packet.decode()
            except av.error.FFmpegError as error:
                yield Captured(None, None, f"it could not be decoded ({error.strerror})")
                continue
            for frame in decoded:
                if first is None:
                    first, full = frame.pts or 0, is_full_range(frame)
                stamp = (
                    None
                    if frame.pts is None or not stamped
                    else float((frame.pts - first) * Fraction(stream.time_base or 1))
                )
                if frame.is_corrupt or packet.is_corrupt:
                    yield Captured(None, stamp, "the decoder patched damaged parts of it")
                else:
                    yield Captured(upright(grey_levels(frame, full_range=full), frame), stamp)
    except av.error.FFmpegError as error:
        raise OSError(_why(error)) from error


def _why(error: Exception) -> str:
    """Say what went wrong; FFmpeg calls a wait that was ended an exit."""
    import av

    return (
        "nothing came in time"
        if isinstance(error, av.error.ExitError)
        else str(getattr(error, "strerror", None) or error)
    )


def _camera(uri: str, stall_s: float) -> Feed:
    """Open a camera of this computer, through OpenCV."""
    import cv2

    number = uri.removeprefix(CAMERA)
    if not number.isdigit():
        raise SourceError(f"{uri}: expected a number, camera:0 for the first camera")
    before = cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # it says at length what is said below in one line
    device = cv2.VideoCapture(int(number))
    cv2.utils.logging.setLogLevel(before)
    if not device.isOpened():
        raise SourceError(
            f"{uri}: no such camera, or another program holds it; expected one that is connected, camera:0"
            " for the first"
        )
    device.set(cv2.CAP_PROP_READ_TIMEOUT_MSEC, 1e3 * stall_s)  # not every driver knows it
    rate = device.get(cv2.CAP_PROP_FPS)

    def pictures() -> Generator[Captured]:
        while True:
            good, picture = device.read()
            if not good:
                return
            yield Captured(
                np.asarray(
                    cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) if picture.ndim == 3 else picture, np.uint8
                )
            )

    return Feed(
        pictures(),
        1 / rate if rate and rate > 0 else 0.0,
        {"container": "camera through OpenCV"},
        device.release,
    )


def _screen(uri: str, closing: Callable[[], bool]) -> Feed:
    """Read a part of the screen, where the platform lets it be read."""
    try:
        left, top, width, height = (int(part) for part in uri.removeprefix(SCREEN).split(","))
    except ValueError as error:
        raise SourceError(
            f"{uri}: expected screen:LEFT,TOP,WIDTH,HEIGHT in px, for example screen:100,100,1024,1024"
        ) from error
    try:
        from PIL import ImageGrab

        ImageGrab.grab((left, top, left + width, top + height))
    except Exception as error:  # every platform has its own reasons
        raise SourceError(
            f"{uri}: the screen cannot be read here"
            f" ({str(error).splitlines()[0] if str(error) else error!r}); use a camera or a stream"
        ) from error

    def pictures() -> Generator[Captured]:
        while not closing():
            picture = ImageGrab.grab((left, top, left + width, top + height)).convert("L")
            yield Captured(np.asarray(picture, np.uint8))
            time.sleep(_POLL_S)

    return Feed(pictures(), _POLL_S, {"container": "screen"}, lambda: None)
