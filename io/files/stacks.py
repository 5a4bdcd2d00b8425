"""Image folders, patterns, single images, TIFF stacks and microscope files.

They are read one image at a time, so that memory stays flat.
"""

from __future__ import annotations

import glob
import math
import re
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.errors import SourceError
from insitrack.io.files.folder import TIFF_SUFFIXES, VENDOR_SUFFIXES, Listing, in_order, list_folder
from insitrack.io.files.luma import to_grey
from insitrack.io.files.stack import Stack, check_promises
from insitrack.io.frames import Calibration, Frame, MissingFrame
from insitrack.io.levels import Levels
from insitrack.io.manifest import fingerprint, listing_fingerprint
from insitrack.io.timeline import EVERYTHING, Clock, Selection, check_interval

_N_SAMPLES = 16
_SAME_SCALE = 0.005
"""Scales that differ by more are two magnifications; headers round to about 0.1 %."""
_ASSUMED_INTERVAL_S = 1.0


class StackSource:
    """Images that lie in files: a folder, a glob, one image, a TIFF stack, or a file of a microscope.

    Size and type of the run are those of most of up to 16 frames spread over it; a frame of another kind is
    `damaged`. Values that are not 8 or 16 bit integers are scaled to 16 bits by percentiles of these frames,
    fixed over the run and stated in `describe`.

    Parameters
    ----------
    uri : str or Path
        What to read.
    nm_per_px : float, optional
        Width of a pixel, nm, in place of that of the metadata.
    frame_interval_s : float, optional
        Time between frames, s, in place of that of the metadata.
    selection : Selection
        Which frames to process.

    Attributes
    ----------
    warnings : list of str
        What was wrong, one line each; complete once the source has been read to its end.
    refused : str
        Why the images are none of a specimen, as a diffraction pattern is none; empty if they are, or if a
        scale was given.

    Raises
    ------
    SourceError
        If there is nothing there, or no image in it can be read.
    """

    def __init__(
        self,
        uri: str | Path,
        *,
        nm_per_px: float | None = None,
        frame_interval_s: float | None = None,
        selection: Selection = EVERYTHING,
    ) -> None:
        check_interval(frame_interval_s)
        self._stack = stack = open_stack(uri, nm_per_px=nm_per_px)
        self._closed = weakref.finalize(self, stack.close)  # also when nobody calls close
        self._uri = str(uri)
        self.name = _name(uri)
        self.n_frames: int | None = stack.n_frames
        self.warnings = stack.warnings
        self._selection = selection
        self.refused = stack.refused if nm_per_px is None else ""
        scale, origin = (
            (nm_per_px, "command line") if nm_per_px is not None else (stack.nm_per_px, stack.told_by)
        )
        self.calibration = Calibration(nm_per_px=scale, origin=origin if scale is not None else "unknown")
        stamps = np.array(stack.times_s if frame_interval_s is None else [], np.float64)
        self._stamped = False
        self._stamps = stamps - stamps[0] if stamps.size else stamps
        self._interval_s, self.time_origin = (
            _ASSUMED_INTERVAL_S,
            f"assumed {_ASSUMED_INTERVAL_S:g} s per frame",
        )
        if frame_interval_s is not None:
            self._interval_s, self.time_origin = frame_interval_s, "command line"
        elif np.isfinite(self._stamps).all() and self._stamps.size > 1:
            steps = np.diff(self._stamps)
            self._interval_s = float(np.median(steps[steps > 0])) if (steps > 0).any() else self._interval_s
            self.time_origin, self._stamped = f"{stack.told_by}, frame by frame", True
        elif stack.interval_s is not None:
            self._interval_s, self.time_origin = stack.interval_s, stack.told_by
        self._shape, self.levels = self._sampled()

    def _sampled(self) -> tuple[tuple[int, ...], Levels]:
        pictures = [self._read(index) for index in self._spread() if index not in self._stack.gaps]
        samples = [picture for picture in pictures if isinstance(picture, np.ndarray)]
        if not samples:
            raise SourceError(
                f"{self._uri}: no image in it can be read ({pictures[0]}); expected grey or colour images"
            )
        (shape, dtype), _ = Counter((sample.shape, sample.dtype) for sample in samples).most_common(1)[0]
        return shape, Levels.fitted(
            [sample for sample in samples if (sample.shape, sample.dtype) == (shape, dtype)]
        )

    def _read(self, index: int) -> NDArray[Any] | str:
        """Read one grey image of any type, or say why there is none."""
        try:
            picture = to_grey(self._stack.read(int(index)))
        except (
            Exception
        ) as error:  # decoders raise whatever they like at damaged data, and the frame is lost all the same
            return f"{type(error).__name__}: {error}".splitlines()[0]
        if picture.ndim != 2 or picture.size == 0 or picture.dtype.kind not in "buif":
            return f"expected an image of numbers, got {picture.dtype} {picture.shape}"
        return picture

    def samples(self) -> Iterator[Frame]:
        """Give up to 16 frames spread over the run, of those that are wanted and can be read."""
        for index in self._spread():
            item = self._item(index, self._time(index))
            if isinstance(item, Frame):
                yield item

    def _spread(self) -> list[int]:
        last = self._stack.n_frames - 1
        return [int(index) for index in np.unique(np.linspace(0, last, _N_SAMPLES).round())]

    def __iter__(self) -> Iterator[Frame | MissingFrame]:
        clock = Clock(self._interval_s, None if self._stamped else self._interval_s)
        n_damaged, example = 0, ""
        for index in range(self._stack.n_frames):
            item = self._item(index, clock.time(index, self._time(index)))
            if isinstance(item, MissingFrame) and item.status == "damaged":
                n_damaged, example = n_damaged + 1, example or f"frame {index}, {item.reason}"
            yield item
        line = f"{self._uri}: frames that could not be read: {n_damaged} (first: {example})"
        if n_damaged and line not in self.warnings:
            self.warnings.append(line)
        line = (
            f"{self._uri}: times that did not increase, and were repaired: {clock.repaired}; check t_s in"
            " frames.csv"
        )
        if clock.repaired and line not in self.warnings:
            self.warnings.append(line)

    def _time(self, index: int) -> float:
        """Time that the file states for a frame, or its number times the interval, s."""
        return float(self._stamps[index]) if self._stamped else index * self._interval_s

    def _item(self, index: int, t_s: float) -> Frame | MissingFrame:
        unwanted = self._selection.excludes(index, t_s)
        if unwanted:
            return MissingFrame(index, t_s, "skipped", unwanted)
        if index in self._stack.gaps:
            return MissingFrame(index, t_s, "gap", self._stack.gaps[index])
        picture = self._read(index)
        if isinstance(picture, str):
            return MissingFrame(index, t_s, "damaged", picture)
        if (picture.shape, picture.dtype) != (self._shape, self.levels.dtype):
            kinds = (
                f"{_kind(picture.shape, picture.dtype)}, most of the run is"
                f" {_kind(self._shape, self.levels.dtype)}"
            )
            return MissingFrame(index, t_s, "damaged", kinds)
        return Frame(index, t_s, self.levels.apply(picture))

    def describe(self) -> dict[str, Any]:
        """Path, format, size, levels, scale, time origin and hash."""
        size: dict[str, Any] = {
            "width_px": self._shape[1],
            "height_px": self._shape[0],
            "levels": str(self.levels),
        }
        size["bit_depth"] = 8 * self.levels.dtype.itemsize
        times = {
            "n_frames": self.n_frames,
            "average_fps": 1 / self._interval_s,
            "time_origin": self.time_origin,
        }
        return {"kind": "stack", "path": self._uri, **self._stack.facts, **size, **times}

    def close(self) -> None:
        """Release the file."""
        self._closed()


def open_stack(uri: str | Path, *, nm_per_px: float | None = None) -> Stack:
    """Find the reader for a folder, a glob, an image, a TIFF stack or a file of a microscope.

    Parameters
    ----------
    uri : str or Path
        What to read.
    nm_per_px : float, optional
        Width of a pixel, nm, that counts whatever the files say.

    Raises
    ------
    SourceError
        If there is nothing there, the file is not what its name says, or files of one folder state
        different scales.
    """
    path = Path(uri)
    if path.is_dir() and path.suffix.lower() == ".zspy":  # a folder that is one file
        return _open_vendor(path)
    if path.is_dir():
        return _open_images(path, list_folder(path), "image folder", nm_per_px)
    if not path.exists():
        found = [Path(name) for name in glob.glob(str(uri))]  # noqa: PTH207 a glob may be absolute
        if not found:
            raise SourceError(
                f"{uri}: no such file, folder or pattern; check the path, or try: track synth:loops"
            )
        return _open_images(path, in_order(found), "image files", nm_per_px)
    if path.stat().st_size == 0:
        raise SourceError(f"{path}: the file is empty (0 bytes); copy it again from where it was recorded")
    if path.suffix.lower() in TIFF_SUFFIXES:
        from insitrack.io.files.tiff import open_tiff

        stack = open_tiff(path)
    elif path.suffix.lower() in VENDOR_SUFFIXES:
        stack = _open_vendor(path)
    else:
        return _open_images(path, Listing([path], []), "image", nm_per_px)
    stack.facts.update(fingerprint(path))
    return stack


def _open_vendor(path: Path) -> Stack:
    """Find the reader of a microscope's file."""
    suffix = path.suffix.lower()
    if suffix == ".tvips":
        from insitrack.io.files.tvips import open_tvips

        return open_tvips(path)
    if suffix in (".ser", ".emi"):
        from insitrack.io.files.tia import open_tia

        return open_tia(path)
    from insitrack.io.files.vendor import open_vendor

    return open_vendor(path)


def _open_images(uri: Path, listing: Listing, kind: str, nm_per_px: float | None) -> Stack:
    """One frame a file; the scale is that on which the files agree."""
    files = listing.files
    paths = [path for path in files if path is not None]
    measured = paths[0].suffix.lower() in TIFF_SUFFIXES + VENDOR_SUFFIXES
    scale, told_by, warnings = _common_scale(uri, paths, nm_per_px) if measured else (None, "", [])

    def read(index: int) -> NDArray[Any]:
        path = files[index]
        if path is None:
            raise EOFError("no file has this number")
        if path.suffix.lower() not in TIFF_SUFFIXES + VENDOR_SUFFIXES:
            return _read_image(path)
        stack = open_stack(path)
        try:
            if nm_per_px is None and _differ(stack.nm_per_px, scale):
                raise ValueError(f"{path.name} states {_nm(stack.nm_per_px)}, the others {_nm(scale)}")
            return stack.read(0)
        finally:
            stack.close()

    facts: dict[str, Any] = {"container": kind, "first_file": paths[0].name, "last_file": paths[-1].name}
    facts.update(fingerprint(paths[0]) if len(paths) == 1 else listing_fingerprint(paths))
    return Stack(
        read=read,
        n_frames=len(files),
        facts=facts,
        nm_per_px=scale,
        told_by=told_by,
        warnings=[f"{uri}: {note}" for note in listing.notes] + warnings,
        gaps={index: "no file has this number" for index, path in enumerate(files) if path is None},
    )


def _common_scale(
    uri: Path, paths: list[Path], nm_per_px: float | None
) -> tuple[float | None, str, list[str]]:
    """Scale on which up to 16 files spread over the run agree, which metadata state it, and warnings."""
    places = np.unique(np.linspace(0, len(paths) - 1, _N_SAMPLES).round()).astype(int)
    seen: list[tuple[Path, float | None, str]] = []
    warnings: list[str] = []
    for path in (paths[int(place)] for place in places):
        try:
            stack = open_stack(path)
        except SourceError:  # a damaged file is one damaged frame
            continue
        stack.close()
        seen.append((path, stack.nm_per_px, stack.told_by))
        if stack.n_frames > 1 and not warnings:
            warnings.append(
                f"{path}: holds {stack.n_frames} images, of each file only the first is used; give one file"
                " to read all"
            )
    stated = [(path, scale, by) for path, scale, by in seen if scale is not None]
    if not stated:
        return None, "", warnings
    first, scale, by = stated[0]
    other = next(((path, value) for path, value, _ in seen if _differ(value, scale)), None)
    if other is not None and nm_per_px is None:
        raise SourceError(
            f"{uri}: {first.name} states {_nm(scale)}, {other[0].name} states {_nm(other[1])}; give the files"
            " of one magnification (a pattern such as 'FOLDER/*.tif'), or --nm-per-px if one scale holds for"
            " all"
        )
    return scale, by, warnings


def _differ(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is not other
    return abs(one - other) > _SAME_SCALE * other


def _nm(scale: float | None) -> str:
    return "no scale" if scale is None else f"{scale:.4g} nm/px"


def _read_image(path: Path) -> NDArray[Any]:
    from PIL import Image, ImageOps  # unlike OpenCV it says when an image is cut off

    with Image.open(path) as image:
        check_promises(path, 1, math.prod(image.size))  # before it is unpacked
        upright = ImageOps.exif_transpose(image)  # as every viewer shows it, and as it was outlined
        plain = upright.mode in ("1", "L", "LA", "I;16", "I;16B", "I;16L", "I", "F", "RGB", "RGBA")
        return np.asarray(upright if plain else upright.convert("RGB"))


def _kind(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    return f"{shape[1]} x {shape[0]} px {dtype.newbyteorder('=')}"


def _name(uri: str | Path) -> str:
    path = Path(uri)
    if path.is_dir():
        return path.resolve().name
    return re.sub(r"[*?\[\]]+", "_", path.stem).strip("_") or path.resolve().parent.name
