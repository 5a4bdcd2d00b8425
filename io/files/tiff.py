"""TIFF stacks page by page: ImageJ, OME, FEI and plain files, with the scale and time that they hold."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from insitrack.io.errors import SourceError
from insitrack.io.files.stack import Stack, check_promises
from insitrack.io.units import nm_of, seconds_of

_SQUARE = 0.01  # pixels whose sides differ by more are not square


def open_tiff(path: Path) -> Stack:
    """Open a TIFF file; pages are read when asked for.

    Samples (red, green, blue) belong to one image; of several channels the first is used; every other axis
    counts frames.

    Parameters
    ----------
    path : Path
        An existing file.

    Returns
    -------
    Stack
        Images, scale and interval.

    Raises
    ------
    SourceError
        If it is not a TIFF file, its first page cannot be found, or its compression needs a further package.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(
        logging.CRITICAL
    )  # what it reports reaches the user as damaged frames
    try:
        tif = tifffile.TiffFile(path)
    except (
        Exception
    ) as error:  # tifffile raises its own error, OSError, struct.error and more for files that are not TIFF
        raise SourceError(
            f"{path}: not a TIFF file that can be read ({error}); expected .tif as written by a microscope or"
            " ImageJ"
        ) from error
    try:
        _check_promises(path, tif)
        _check_compression(path, tif)
    except SourceError:
        tif.close()
        raise
    chosen: list[int] = []
    try:
        chosen, notes = _series_of_the_movie(tif)
        parts = [_part(tif, tif.series[number]) for number in chosen]
        stack = _joined(parts, tif.series[chosen[0]], [*notes, *parts[0].notes])
        stack.warnings = [f"{path}: {line}" for line in stack.warnings]
    except MemoryError:
        tif.close()
        raise
    except Exception as error:  # the chain of pages is broken: take those before the break
        stack = _unbroken_pages(path, tif, error)
    stack.nm_per_px, stack.interval_s, stack.told_by = _told(tif, path, stack, chosen[0] if chosen else 0)
    stack.close = tif.close
    return stack


def _check_promises(path: Path, tif: Any) -> None:
    """Refuse more frames or pixels than there can be: tifffile makes ready for all that are promised."""
    try:
        first = tif.pages[0]
        shape = (first.imagelength, first.imagewidth)
        promised = [int(_number((tif.imagej_metadata or {}).get("images", 1)) or 1)] if tif.is_imagej else [1]
        if tif.is_shaped:
            promised += [
                math.prod(one["shape"]) // max(1, math.prod(shape)) for one in tif.shaped_metadata or ()
            ]
        if tif.is_ome:
            promised += [_ome_planes(pixels) for pixels in _ome_pixels(tif.ome_metadata or "")]
    except Exception:  # a damaged beginning is dealt with where the pages are read
        return
    check_promises(path, max(promised), math.prod(shape))


def _ome_pixels(text: str) -> list[ElementTree.Element]:
    try:
        return [e for e in ElementTree.fromstring(text).iter() if e.tag.rpartition("}")[2] == "Pixels"]
    except ElementTree.ParseError:
        return []


def _ome_planes(pixels: ElementTree.Element) -> int:
    """Return how many planes one recording of an OME file is to have."""
    sizes = [_number(pixels.attrib.get(f"Size{axis}", 1)) for axis in "TZC"]
    return int(math.prod(size for size in sizes if size >= 1))


def _check_compression(path: Path, tif: Any) -> None:
    """Refuse what cannot be unpacked here: page by page it would pass for damage."""
    import tifffile

    try:
        compression = tif.pages[0].compression
    except Exception:  # a damaged beginning is dealt with where the pages are read
        return
    try:
        _ = tifffile.TIFF.DECOMPRESSORS[compression]
    except KeyError as error:
        name = getattr(compression, "name", compression)
        raise SourceError(
            f"{path}: its images are compressed by {name}; install what unpacks them:"
            " pip install 'insitrack[files]', or save the file without compression"
        ) from error


@dataclass(frozen=True, slots=True)
class _Part:
    """The frames of one series of a file."""

    n_frames: int
    read: Callable[[int], NDArray[Any]]
    notes: list[str]


def _series_of_the_movie(tif: Any) -> tuple[list[int], list[str]]:
    """Find the series that make the movie by number, and say what is left out.

    Pages that a program wrote one by one are a series each and belong together; a preview, or the second of
    two recordings, does not.
    """
    kinds: dict[tuple[Any, ...], list[int]] = {}
    for number, series in enumerate(tif.series):
        kinds.setdefault((tuple(series.keyframe.shape), series.dtype), []).append(number)
    lengths = [_Planes.of(series).numbers.size for series in tif.series]

    def frames_and_area(numbers: list[int]) -> tuple[int, int]:
        # of movies as long as each other the one with the larger frames
        return sum(lengths[k] for k in numbers), math.prod(tif.series[numbers[0]].keyframe.shape)

    best = max(kinds.values(), key=frames_and_area)
    recordings = tif.is_ome or tif.is_imagej  # a series is then a recording of its own
    chosen = [max(best, key=lambda k: lengths[k])] if recordings else best
    left_out = [k for k in range(len(lengths)) if k not in chosen]
    if not left_out:
        return chosen, []
    sizes = Counter(f"{lengths[k]} of {_size(tif.series[k])}" for k in left_out)
    others = ", ".join(f"{n} x {size}" if n > 1 else size for size, n in sizes.items())
    n_frames = sum(lengths[k] for k in chosen)
    return chosen, [
        f"holds {len(lengths)} series of images; the one of {n_frames} frames"
        f" ({_size(tif.series[chosen[0]])}) is read, left out: {others}"
    ]


def _size(series: Any) -> str:
    page = series.keyframe
    return f"{page.imagewidth} x {page.imagelength} px"


def _joined(parts: list[_Part], series: Any, notes: list[str]) -> Stack:
    """Series one after the other, as one stack."""
    ends = np.cumsum([part.n_frames for part in parts])

    def read(index: int) -> NDArray[Any]:
        place = int(np.searchsorted(ends, index, side="right"))
        return parts[place].read(index - int(ends[place] - parts[place].n_frames))

    return Stack(read=read, n_frames=int(ends[-1]), facts=_facts(series), warnings=notes)


@dataclass(frozen=True, slots=True)
class _Planes:
    """Which planes of a series are frames, and how many axes a plane has."""

    numbers: NDArray[np.intp]
    plane_axes: int
    notes: list[str]

    @classmethod
    def of(cls, series: Any) -> _Planes:
        """Take every axis except those of the image plane as time.

        Where there are channels, or focal planes beside a time axis, the first is used. Four grey
        planes that were written as the colours of one image (tifffile does so) are taken as frames.
        """
        shape = series.keyframe.shape
        if series.kind == "shaped" and series.keyframe.axes == "SYX" and shape[0] == 4:
            n_frames = math.prod(series.shape[: series.ndim - 2])
            note = "four grey planes, written as the colours of one image, are taken as frames"
            return cls(np.arange(n_frames), 2, [note])
        lead, axes = series.shape[: series.ndim - len(shape)], series.axes
        numbers: NDArray[np.intp] = np.arange(math.prod(lead)).reshape(lead)
        notes = []
        for axis, what in (("C", "channels"), ("Z", "focal planes of each frame")):
            names = [name for name in axes[: len(lead)] if name != "C"] if axis == "Z" else axes[: len(lead)]
            if axis not in names or (axis == "Z" and "T" not in names):
                continue
            place = list(names).index(axis)
            if numbers.shape[place] > 1:
                notes.append(f"holds {numbers.shape[place]} {what}, only the first is used")
            numbers = np.asarray(numbers.take(0, axis=place), np.intp)
        return cls(numbers.ravel(), len(shape), notes)


def _part(tif: Any, series: Any) -> _Part:
    return _contiguous(tif, series) if series.dataoffset is not None else _paged(series)


def _contiguous(tif: Any, series: Any) -> _Part:
    """Read planes by their place in the file: ImageJ describes a whole stack by its first page only."""
    found = _Planes.of(series)
    axes = series.keyframe.axes[-2:] if found.plane_axes == 2 else series.keyframe.axes
    shape = tuple(series.keyframe.shape)[-found.plane_axes :]
    dtype, planes = np.dtype(tif.byteorder + series.dtype.char), found.numbers
    promised = (tif.imagej_metadata or {}) if tif.is_imagej else {}
    # where the file was cut off tifffile sees one page only
    if promised.get("images", 0) > math.prod(series.shape[: series.ndim - len(shape)]):
        planes = np.arange(promised["images"])[:: promised.get("channels", 1)]
    n_bytes = math.prod(shape) * dtype.itemsize

    def read(index: int) -> NDArray[Any]:
        handle = tif.filehandle
        handle.seek(series.dataoffset + int(planes[index]) * n_bytes)
        data = handle.read(n_bytes)
        if len(data) < n_bytes:
            raise EOFError("the file is cut off before this frame ends")
        return _samples_last(np.frombuffer(data, dtype).reshape(shape), axes)

    return _Part(len(planes), read, found.notes)


def _paged(series: Any) -> _Part:
    found = _Planes.of(series)
    per_page = math.prod(series.keyframe.shape) // math.prod(series.keyframe.shape[-found.plane_axes :])

    def read(index: int) -> NDArray[Any]:
        number, within = divmod(int(found.numbers[index]), per_page)
        page = series.pages[number]
        if page is None:
            raise EOFError("the page is missing")
        picture = np.asarray(page.asarray())
        return picture[within] if per_page > 1 else _samples_last(picture, series.keyframe.axes)

    return _Part(len(found.numbers), read, found.notes)


def _unbroken_pages(path: Path, tif: Any, cause: Exception) -> Stack:
    """Take the pages before the break of which `cause` tells; what breaks the chain itself says more."""
    pages: list[Any] = []
    try:
        for page in tif.pages:
            pages.append(page)
    except MemoryError:  # says nothing of the file
        tif.close()
        raise
    except Exception as error:  # of any type: a damaged tag can break any part of tifffile
        cause = error
    words = (str(cause).splitlines() or [""])[0][:120] or type(cause).__name__
    if not pages:
        tif.close()
        raise SourceError(
            f"{path}: no page in it can be found, the file is damaged ({words}); copy it again from where it was"
            " recorded"
        ) from cause

    def read(index: int) -> NDArray[Any]:
        return _samples_last(np.asarray(pages[index].asarray()), pages[index].axes)

    line = (
        f"{path}: the chain of pages breaks off after {len(pages)} ({words}), how many are lost is unknown; copy"
        " it again from where it was recorded"
    )
    return Stack(read=read, n_frames=len(pages), facts={"container": "TIFF, damaged"}, warnings=[line])


def _samples_last(plane: NDArray[Any], axes: str) -> NDArray[Any]:
    return plane if "S" not in axes else np.moveaxis(plane, axes.index("S"), -1)


def _facts(series: Any) -> dict[str, Any]:
    return {"container": f"TIFF ({series.kind})", "axes": series.axes}


def _told(tif: Any, path: Path, stack: Stack, number: int) -> tuple[float | None, float | None, str]:
    """Scale and interval by the metadata of the program that wrote the file.

    Plain resolution tags are those of a printer. `number` is that of the series of the movie; times of single
    frames go into `stack`.
    """
    if tif.is_imagej:
        scales, interval_s, told_by = (
            _imagej(tif),
            _imagej_interval(tif.imagej_metadata or {}),
            "metadata: ImageJ TIFF",
        )
    elif tif.is_ome:
        *scales, interval_s, times_s = _ome(tif.ome_metadata or "", number)
        if len(times_s) == stack.n_frames:
            stack.times_s = times_s
        told_by = "metadata: OME TIFF"
    elif tif.is_fei:
        scales, interval_s, told_by = _fei(tif.fei_metadata or {}), None, "metadata: FEI TIFF"
    else:
        return None, None, ""
    x, y = scales
    if x is not None and y is not None and abs(x - y) > _SQUARE * x:
        stack.warnings.append(
            f"{path}: pixels are {x:g} nm wide and {y:g} nm high; lengths use the width, as if they were"
            " square"
        )
    return x, interval_s, told_by


def _imagej(tif: Any) -> list[float | None]:
    unit = str((tif.imagej_metadata or {}).get("unit", ""))
    scales: list[float | None] = []
    for name in ("XResolution", "YResolution"):
        tag = tif.pages[0].tags.get(name)
        count, per = tag.value if tag is not None else (0, 0)
        scales.append(nm_of(per / count, unit) if count and per else None)
    return scales


def _imagej_interval(metadata: dict[str, Any]) -> float | None:
    unit = str(metadata.get("tunit", "s"))
    stated_s, rate = _number(metadata.get("finterval", 0)), _number(metadata.get("fps", 0))
    return seconds_of(stated_s or (1 / rate if rate else 0.0), unit)


def _number(stated: Any) -> float:
    """Read a number of the metadata; not a number where it is damaged."""
    try:
        return float(stated)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _ome(text: str, number: int) -> tuple[float | None, float | None, float | None, list[float | None]]:
    """Width and height of a pixel, nm, interval, s, and the time of every frame, s, of one image."""
    images = _ome_pixels(text)
    if number >= len(images):
        return None, None, None, []
    pixels = images[number]
    get = pixels.attrib.get
    x, y = (nm_of(_number(get(f"PhysicalSize{axis}")), get(f"PhysicalSize{axis}Unit", "µm")) for axis in "XY")
    interval_s = seconds_of(_number(get("TimeIncrement")), get("TimeIncrementUnit", "s"))
    planes = [e.attrib for e in pixels if e.tag.rpartition("}")[2] == "Plane"]
    first = [plane for plane in planes if plane.get("TheZ", "0") == "0" and plane.get("TheC", "0") == "0"]
    times = {
        int(_number(plane.get("TheT"))): _seconds(plane)
        for plane in first
        if math.isfinite(_number(plane.get("TheT")))
    }
    return x, y, interval_s, [times.get(t) for t in range(len(first))]


def _seconds(plane: Mapping[str, str]) -> float | None:
    """Time at which a plane was taken, s from the start; None where it is not stated."""
    factor = seconds_of(1.0, plane.get("DeltaTUnit", "s"))
    value = _number(plane.get("DeltaT"))
    return value * factor if factor is not None and math.isfinite(value) else None


def _fei(metadata: dict[str, Any]) -> list[float | None]:
    """Pixel size in m, in the section of the beam that made the image."""
    for section in ("Scan", "EScan", "IScan"):
        values = metadata.get(section, {})
        if values.get("PixelWidth"):
            return [nm_of(_number(values.get(name)), "m") for name in ("PixelWidth", "PixelHeight")]
    return [None, None]
