"""Movies of TVIPS cameras (`.tvips`, in parts `_000`, `_001` and so on), one image at a time.

RosettaSciIO knows them too, but since dask copies arrays that lie in files it loads all of the file when it
opens it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.errors import SourceError
from insitrack.io.files.stack import Stack, no_image
from insitrack.io.units import nm_of

_HEAD = np.dtype(
    [
        *((name, "<u4") for name in ("size", "version", "width", "height", "bits")),
        *((name, "<u4", 2) for name in ("offset", "binning")),
        *((name, "<u4") for name in ("pixel", "voltage", "magnification", "frame_head")),
    ]
)
_FRAME_HEAD = np.dtype(
    [("number", "<u4"), ("second", "<u4"), ("millisecond", "<u4"), ("rest", "<u4", 3), ("mode", "<u4")]
)
_DIFFRACTION = 2
_SHORT_HEAD = 12  # bytes before each image in version 1: number and time


def open_tvips(path: Path) -> Stack:
    """Open a movie of a TVIPS camera.

    Parameters
    ----------
    path : Path
        Its first part, whose name ends with ``_000.tvips``.

    Returns
    -------
    Stack
        Images of all parts, scale as the header states it, and the mean interval.

    Raises
    ------
    SourceError
        If it is no such file, is a later part, or holds no whole image.

    References
    ----------
    Layout as in the reader of HyperSpy; TVIPS has not published it.
    """
    if not re.search(r"_000\.tvips$", path.name, re.IGNORECASE):
        raise SourceError(
            f"{path}: not the first part of a TVIPS movie; expected the file whose name ends with _000.tvips"
        )
    with path.open("rb") as stream:
        raw = stream.read(_HEAD.itemsize)
    head = np.frombuffer(raw, _HEAD)[0] if len(raw) == _HEAD.itemsize else None
    if (
        head is None
        or head["version"] not in (1, 2)
        or head["bits"] not in (8, 16, 32)
        or not 0 < int(head["width"]) * int(head["height"]) < 1 << 32
    ):
        raise SourceError(
            f"{path}: not a movie of a TVIPS camera, or a damaged one; copy it again from where it was"
            " recorded"
        )
    n_head = int(head["frame_head"]) if head["version"] == 2 else _SHORT_HEAD
    movie = _Movie(path, head, n_head)
    if not movie.n_pictures:
        raise SourceError(f"{path}: holds no whole image; copy it again from where it was recorded")
    first, last = movie.head(0), movie.head(movie.n_pictures - 1)
    lasted_s = (int(last["second"]) - int(first["second"])) + (
        int(last["millisecond"]) - int(first["millisecond"])
    ) / 1000
    diffraction = n_head >= _FRAME_HEAD.itemsize and first["mode"] == _DIFFRACTION
    return Stack(
        read=movie.read,
        n_frames=movie.n_pictures,
        facts={"container": "TVIPS", "parts": len(movie.parts), "high_tension_kv": int(head["voltage"])},
        nm_per_px=None if diffraction else nm_of(float(head["pixel"]), "nm"),
        interval_s=lasted_s / (movie.n_pictures - 1) if lasted_s > 0 else None,
        told_by="metadata: TVIPS",
        refused=no_image(path, "its axes are in 1/nm") if diffraction else "",
    )


class _Movie:
    """The parts of a movie, and where its images lie in them."""

    def __init__(self, path: Path, head: Any, n_head: int) -> None:
        self._shape, self._type = (
            (int(head["height"]), int(head["width"])),
            np.dtype(f"<u{int(head['bits']) // 8}"),
        )
        self._n_head, self._n_bytes = (
            n_head,
            n_head + int(head["height"]) * int(head["width"]) * self._type.itemsize,
        )
        self.parts: list[Path] = []
        self._begins: list[int] = []
        self._n_before = [0]
        place = path
        while place.is_file():
            begin = 0 if self.parts else int(head["size"])
            self.parts.append(place)
            self._begins.append(begin)
            self._n_before.append(self._n_before[-1] + max(0, place.stat().st_size - begin) // self._n_bytes)
            place = path.with_name(f"{path.name[:-9]}{len(self.parts):03d}{path.suffix}")
        self.n_pictures = self._n_before[-1]

    def head(self, index: int) -> Any:
        """Read the head of an image; what a short head does not hold is 0."""
        raw = self._bytes(index, 0, min(self._n_head, _FRAME_HEAD.itemsize))
        return np.frombuffer(raw.ljust(_FRAME_HEAD.itemsize, b"\0"), _FRAME_HEAD)[0]

    def read(self, index: int) -> NDArray[Any]:
        """Read one image, shape (H, W)."""
        return np.frombuffer(
            self._bytes(index, self._n_head, self._n_bytes - self._n_head), self._type
        ).reshape(self._shape)

    def _bytes(self, index: int, begin: int, size: int) -> bytes:
        part = int(np.searchsorted(self._n_before, index, side="right")) - 1
        with self.parts[part].open("rb") as stream:
            stream.seek(self._begins[part] + (index - self._n_before[part]) * self._n_bytes + begin)
            return stream.read(size)
