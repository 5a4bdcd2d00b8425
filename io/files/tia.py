"""Series of the FEI program TIA (`.ser`, with an `.emi` beside it), one image at a time.

RosettaSciIO knows them too, but loads the whole file when it opens one, and again for every image.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from insitrack.io.errors import SourceError
from insitrack.io.files.stack import Stack, no_image
from insitrack.io.units import nm_of

_SERIES, _IMAGES = 0x0197, 0x4122
_LONG_OFFSETS = 0x0220  # series version from which offsets have 64 bits
_TYPES = dict(enumerate(("u1", "<u2", "<u4", "i1", "<i2", "<i4", "<f4", "<f8"), start=1))
_CALIBRATION = [("offset", "<f8"), ("delta", "<f8"), ("element", "<i4")]
_PICTURE = np.dtype(
    [("x", _CALIBRATION), ("y", _CALIBRATION), ("type", "<u2"), ("width", "<u4"), ("height", "<u4")]
)
_DIFFRACTION = re.compile(
    r"^(?!.*STEM).*Diffraction", re.IGNORECASE
)  # in STEM the projection system is always in diffraction


def open_tia(path: Path) -> Stack:
    """Open a series of TIA.

    Parameters
    ----------
    path : Path
        A `.ser` file, or the `.emi` file to which one or more belong; of these the one with the most images
        is used.

    Returns
    -------
    Stack
        Images, scale, and the interval as far as the times, which are whole seconds, give it.

    Raises
    ------
    SourceError
        If it is no such file, is damaged, or holds spectra.

    References
    ----------
    The format has been described by C. Boothroyd (TIA .ser file format); layout as in the readers of HyperSpy
    and ncempy.
    """
    if path.suffix.lower() == ".emi":
        own = re.compile(re.escape(path.stem) + r"_\d+\.ser", re.IGNORECASE)
        series = [_Series(each) for each in sorted(path.parent.iterdir()) if own.fullmatch(each.name)]
        if not series:
            raise SourceError(
                f"{path}: holds no images itself, and no {path.stem}_1.ser lies beside it; copy that too"
            )
        chosen, description = max(series, key=lambda each: each.n_pictures), path
        for other in series:
            if other is not chosen:
                other.close()
    else:
        chosen, description = _Series(path), path.with_name(re.sub(r"_\d+$", "", path.stem) + ".emi")
    mode = _mode(description)
    refused = no_image(path, f"taken in mode {mode}") if _DIFFRACTION.match(mode) else ""
    return Stack(
        read=chosen.read,
        n_frames=chosen.n_pictures,
        facts={"container": "TIA series", **({"mode": mode} if mode else {})},
        nm_per_px=None if refused else chosen.nm_per_px,
        interval_s=chosen.interval_s,
        told_by="metadata: TIA series",
        close=chosen.close,
        refused=refused,
    )


class _Series:
    """One `.ser` file: where its images lie, and what it states about them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO = path.open("rb")
        try:
            self._places, lasted_s = self._header()
            self.nm_per_px = nm_of(float(abs(self._picture(0)["x"]["delta"])), "m")
        except (ValueError, IndexError, OSError, OverflowError, MemoryError) as error:
            self.close()
            raise SourceError(
                f"{path}: a damaged TIA series ({error}); copy it again from where it was recorded"
            ) from error
        except SourceError:
            self.close()
            raise
        self.n_pictures = len(self._places)
        self.interval_s = lasted_s / (self.n_pictures - 1) if lasted_s > 0 else None

    def read(self, index: int) -> NDArray[Any]:
        """Read one image, shape (H, W); TIA stores the lowest row first."""
        head = self._picture(index)
        height, width, kind = int(head["height"]), int(head["width"]), np.dtype(_TYPES[int(head["type"])])
        data = self._file.read(height * width * kind.itemsize)
        return np.frombuffer(data, kind).reshape(height, width)[::-1]

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def _picture(self, index: int) -> Any:
        """Head of an image; its values follow."""
        self._file.seek(int(self._places[index]))
        head = self._values(_PICTURE, 1)[0]
        if (
            int(head["type"]) not in _TYPES
            or not 0 < int(head["height"]) * int(head["width"]) <= self.path.stat().st_size
        ):
            raise ValueError(f"image {index}: type {head['type']}, {head['width']} x {head['height']} px")
        return head

    def _header(self) -> tuple[NDArray[Any], int]:
        """Places of the images in the file, and the time between the first and the last, s."""
        order, series, version = self._values("<u2", 3).tolist()
        if (order, series) != (0x4949, _SERIES):
            raise SourceError(
                f"{self.path}: not a series of TIA; expected what TIA saves as .ser, or export it as TIFF"
            )
        kind, _, _, valid = self._values("<u4", 4).tolist()
        if kind != _IMAGES:
            raise SourceError(
                f"{self.path}: holds no images, only spectra; expected images from a camera or a scan"
            )
        offsets = "<u8" if version >= _LONG_OFFSETS else "<u4"
        self._file.seek(int(self._values(offsets, 1)[0]))
        if not 0 < valid <= self.path.stat().st_size // _PICTURE.itemsize:
            raise ValueError(f"{valid} images")
        places, tags = self._values(offsets, valid), self._values(offsets, valid)
        times = []
        for tag in (tags[0], tags[-1]):
            self._file.seek(int(tag) + 4)  # behind the kind of tag
            times.append(int(self._values("<u4", 1)[0]))
        return places, times[1] - times[0]

    def _values(self, kind: Any, n: int) -> NDArray[Any]:
        dtype = np.dtype(kind)
        return np.frombuffer(self._file.read(n * dtype.itemsize), dtype, n)


def _mode(path: Path) -> str:
    """Mode of the microscope as the `.emi` file gives it, else empty."""
    if not path.is_file():
        return ""
    found = re.search(rb"<ObjectInfo>.*?</ObjectInfo>", path.read_bytes(), re.DOTALL)
    try:
        root = ET.fromstring(found[0]) if found else ET.Element("ObjectInfo")
    except ET.ParseError:
        return ""
    modes = [
        entry.findtext("Value")
        for entry in root.iterfind("ExperimentalDescription/Root/Data")
        if entry.findtext("Label") == "Mode"
    ]
    return (modes[0] or "") if modes else ""
