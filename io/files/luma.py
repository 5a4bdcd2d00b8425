"""Grey levels out of decoded images.

The luma plane as it was encoded, range, bit depth and rotation respected.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import GreyImage

# Formats whose first plane is the luma of every pixel, least significant bits used: taken as they are, one
# copy, no conversion.
_LUMA_FIRST = re.compile(r"(yuvj?4\d\dp|yuva4\d\dp|gray|nv(12|16|21|24|42))(\d*le)?")
_LIMITED, _FULL = 1, 2  # AVCOL_RANGE_MPEG, AVCOL_RANGE_JPEG
_OUTSIDE_SHARE = 1e-3
_OUTSIDE_MARGIN = 10  # of 255; lossy coding overshoots black and white by a few levels


def luma_plane(frame: Any) -> GreyImage | None:
    """View of the luma plane without its line padding, or None where the format keeps no such plane.

    Parameters
    ----------
    frame : av.VideoFrame
        A decoded image.
    """
    if _LUMA_FIRST.fullmatch(frame.format.name) is None:
        return None
    plane = frame.planes[0]
    dtype = np.dtype(np.uint8 if frame.format.components[0].bits <= 8 else "<u2")
    rows: Any = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)
    picture: GreyImage = rows[: frame.height, : frame.width]
    return picture


def is_full_range(frame: Any, *, monochrome: bool = False) -> bool:
    """Whether black is 0 and white the highest level, rather than 16 and 235 of 255.

    The tag in the stream decides. Without a tag, a stream that has grey only is taken as encoded, because
    nothing that writes one compresses the range; a stream with colour planes is limited, as every player
    assumes, unless its levels show otherwise.

    Parameters
    ----------
    frame : av.VideoFrame
        The first decoded image of the stream.
    monochrome : bool
        Whether the stream has no colour planes.
    """
    name, tag = frame.format.name, int(frame.color_range)
    if tag in (_LIMITED, _FULL):
        return tag == _FULL
    plane = luma_plane(frame)
    if plane is None or monochrome or name.startswith(("yuvj", "gray")):
        return True
    scale = 1 << (frame.format.components[0].bits - 8)
    outside = (plane < (16 - _OUTSIDE_MARGIN) * scale) | (plane > (235 + _OUTSIDE_MARGIN) * scale)
    return bool(np.count_nonzero(outside) > _OUTSIDE_SHARE * plane.size)


def grey_levels(frame: Any, *, full_range: bool) -> GreyImage:
    """Image of a decoded frame at its native depth, a copy.

    Parameters
    ----------
    frame : av.VideoFrame
        A decoded image of any pixel format.
    full_range : bool
        What `is_full_range` said of the stream; a limited range is stretched so that black is 0 and white the
        highest level.

    Returns
    -------
    ndarray of uint8 or uint16, shape (H, W)
        Luma; up to 8 bits as uint8, 10, 12, 14 and 16 bits as uint16 with the levels of the file (0 to 1023
        for 10 bits).
    """
    import cv2

    plane = luma_plane(frame)
    if plane is None:
        return _converted(frame)
    if full_range:
        return plane.copy()
    bits = int(frame.format.components[0].bits)
    if bits == 8:
        stretched: GreyImage = cv2.LUT(plane, _stretch(8))
        return stretched
    return _stretch(bits)[np.minimum(plane, (1 << bits) - 1)]


def to_grey(picture: NDArray[Any]) -> NDArray[Any]:
    """Reduce a colour image to its luma (ITU-R BT.601); a grey one passes unchanged.

    Parameters
    ----------
    picture : ndarray, shape (H, W) or (H, W, C)
        One channel, grey and alpha, red-green-blue, or red-green-blue and alpha.

    Returns
    -------
    ndarray, shape (H, W)
        Of the same type.

    Examples
    --------
    >>> to_grey(np.full((2, 3, 3), 200, np.uint8)).tolist()
    [[200, 200, 200], [200, 200, 200]]
    """
    import cv2

    if picture.ndim == 2:
        return picture
    if picture.shape[2] < 3:
        return np.ascontiguousarray(picture[..., 0])
    colours = np.ascontiguousarray(picture[..., :3])
    if picture.dtype in (np.uint8, np.uint16, np.float32):
        grey: NDArray[Any] = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)
        return grey
    luma: NDArray[Any] = colours @ np.array([0.299, 0.587, 0.114])
    return luma.astype(picture.dtype)


def upright(picture: GreyImage, frame: Any) -> GreyImage:
    """Turn and mirror an image as the display matrix of its frame says, in steps of 90 degrees.

    Parameters
    ----------
    picture : ndarray, shape (H, W)
        As it is stored.
    frame : av.VideoFrame
        Its frame, with or without a display matrix.
    """
    side_data = frame.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return picture
    stored: Any = picture
    a, b, _, c, d = np.frombuffer(bytes(side_data), "<i4")[
        :5
    ]  # stored (x, y) is shown at (a x + c y, b x + d y)
    if abs(int(b)) > abs(int(a)):
        stored, a, d = stored.T, c, b
    turned: GreyImage = np.ascontiguousarray(stored[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
    return turned


def planes_420(image: NDArray[Any]) -> tuple[NDArray[np.uint8], str]:
    """Lay out an image as the encoder of 4:2:0 movies expects it.

    The luma plane and two colour planes of a quarter of its size lie one below another.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W) or (H, W, 3)
        Grey levels, kept as they are over the full range; or blue, green, red, brought to the limited range
        of ITU-R BT.601. An odd last row or column is repeated, because colour planes have half the size.

    Returns
    -------
    planes : ndarray of uint8, shape (1.5 H, W)
        A new array.
    layout : str
        FFmpeg's name of the pixel format.
    """
    import cv2

    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0))[: image.ndim], mode="edge")
        height, width = image.shape[:2]
    if image.ndim == 3:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8), "yuv420p"
    planes = np.full((height * 3 // 2, width), 128, np.uint8)
    planes[:height] = image
    return planes, "yuvj420p"


def is_monochrome_h264(extradata: bytes | None) -> bool:
    """Whether the H.264 sequence parameters say that there are no colour planes.

    The decoder itself does not say.

    Parameters
    ----------
    extradata : bytes or None
        Codec configuration, as an `avcC` record or with start codes.

    References
    ----------
    ITU-T H.264, 7.3.2.1.1 (`chroma_format_idc`); ISO/IEC 14496-15, 5.2.4.1 (`avcC`).
    """
    data = extradata or b""
    start = 8 if data[:1] == b"\x01" else data.find(b"\x00\x00\x01") + 3
    header = data[start : start + 12]
    if (
        len(header) < 6 or header[0] & 31 != 7 or header[1] < 100
    ):  # only the High profiles can leave colour out
        return False
    bits = "".join(f"{byte:08b}" for byte in header[4:])
    zeros = len(bits) - len(
        bits.lstrip("0")
    )  # seq_parameter_set_id, an Exp-Golomb number: as many bits again after its 1
    return bits[2 * zeros + 1 :].startswith("1")  # chroma_format_idc 0


def _converted(frame: Any) -> GreyImage:
    deep = frame.format.components[0].bits > 8
    if frame.format.is_rgb:
        return to_grey(frame.to_ndarray(format="rgb48le" if deep else "rgb24"))
    grey: GreyImage = frame.to_ndarray(format="gray16le" if deep else "gray")
    return grey


@cache
def _stretch(bits: int) -> GreyImage:
    """Look-up table from the limited to the full range of a bit depth (ITU-R BT.601)."""
    top, scale = (1 << bits) - 1, 1 << (bits - 8)
    levels = (np.arange(top + 1) - 16 * scale) * (top / (219 * scale))
    table: GreyImage = np.clip(np.rint(levels), 0, top).astype(np.uint8 if bits == 8 else np.uint16)
    return table
