"""Whether a JPEG arrived as it was sent: decoders patch what is damaged, and say nothing."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

_START, _END = b"\xff\xd8", b"\xff\xd9"
_BYTES = 4
_LAST_ROWS = 16
_BASELINE = (0xC0, 0xC1)


def damage_of_jpeg(data: bytes) -> str:
    """Say what is wrong with a JPEG; nothing where it is whole, or where that cannot be told.

    A byte that changes on the way throws the codes behind it out of step, so that the image is complete before
    its data are used up, or they end before it is complete. In the first case it does not change without its
    last bytes, in the second it does with some more; in no other case does it either.

    Parameters
    ----------
    data : bytes
        One image, whatever follows its end.

    Returns
    -------
    str
        The reason; empty where there is none. A change that keeps every code in step is not seen.
    """
    end = data.rfind(_END)
    body = _with_whole_blocks(data[:end] if end > 0 else data)
    if not body:
        return ""
    whole = _pixels(body + _END)
    if whole is None:
        return "it could not be decoded"
    if not _same(whole, _pixels(body + b"\x55" * _BYTES + _END)):
        return "its data end before the image is complete"
    flat = not np.ptp(
        whole[-_LAST_ROWS:], axis=(0, 1)
    ).any()  # as what a decoder puts in place of what is missing
    if not flat and _same(whole, _pixels(body[:-_BYTES] + _END)):
        return "its data are out of step"
    return ""


def _with_whole_blocks(data: bytes) -> bytes:
    """Return a JPEG that shows its last blocks to their ends, which a size that is none of theirs hides.

    Nothing comes back where it is not coded as a camera does: block by block, all components together.
    """
    at = 2 if data.startswith(_START) else len(data)
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _BASELINE and length >= 11 and at + 2 + length <= len(data):
            height, width = (int.from_bytes(data[at + 5 + k : at + 7 + k], "big") for k in (0, 2))
            factors = data[at + 11 : at + 2 + length : 3]
            alone = len(factors) == 1
            step_x, step_y = (
                8 if alone else 8 * max(one >> 4 for one in factors),
                8 if alone else 8 * max(one & 15 for one in factors),
            )
            if not (height and width and step_x and step_y):
                return b""
            sides = b"".join(
                min(-(-side // step) * step, 65535).to_bytes(2, "big")
                for side, step in ((height, step_y), (width, step_x))
            )
            return data[: at + 5] + sides + data[at + 9 :]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return b""  # progressive, lossless or arithmetic
        at += 2 + length
    return b""


def _pixels(data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
    """Brightness and colour as they are stored, shape (H, W, C); None where nothing can be decoded."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            image.draft("YCbCr" if image.mode == "RGB" else None, image.size)
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _same(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any] | None) -> bool:
    return other is not None and np.array_equal(one, other)
