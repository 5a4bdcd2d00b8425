"""TIFF stacks page by page: ImageJ, OME, FEI and plain files, with the scale and time that they hold."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from insitrack.io.errors import SourceError
from insitrack.io.files.stacks import Stack, nm_of, seconds_of

_SQUARE = 0.01  # pixels whose sides differ by more are not square


def open_tiff(path: Path) -> Stack:
    """Open a TIFF file; pages are read when asked for.

    Samples (red, green, blue) belong to one picture; of several channels the first is used; every other axis
    counts frames.

    Parameters
    ----------
    path : Path
        An existing file.

    Returns
    -------
    Stack
        Pictures, scale and interval.

    Raises
    ------
    SourceError
        If it is not a TIFF file, or its first page cannot be found.
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
        series = tif.series[0]
        stack = _contiguous(path, tif, series) if series.dataoffset is not None else _paged(path, tif, series)
    except Exception:  # the chain of pages is broken: take those before the break
        stack = _unbroken_pages(path, tif)
    stack.nm_per_px, stack.interval_s, stack.told_by = _told(tif, path, stack.warnings)
    stack.close = tif.close
    return stack


def _contiguous(path: Path, tif: Any, series: Any) -> Stack:
    """Read planes by their place in the file: ImageJ describes a whole stack by its first page only."""
    shape, dtype = tuple(series.keyframe.shape), np.dtype(tif.byteorder + series.dtype.char)
    planes, warnings = _plane_numbers(series, len(shape))
    promised = (tif.imagej_metadata or {}) if tif.is_imagej else {}
    if promised.get("images", 0) > math.prod(
        series.shape[: series.ndim - len(shape)]
    ):  # cut off: tifffile then sees one page only
        planes = np.arange(promised["images"])[:: promised.get("channels", 1)]
    n_bytes = math.prod(shape) * dtype.itemsize

    def read(index: int) -> NDArray[Any]:
        handle = tif.filehandle
        handle.seek(series.dataoffset + int(planes[index]) * n_bytes)
        data = handle.read(n_bytes)
        if len(data) < n_bytes:
            raise EOFError("the file is cut off before this frame ends")
        return _samples_last(np.frombuffer(data, dtype).reshape(shape), series.keyframe.axes)

    return Stack(
        read=read,
        n_frames=len(planes),
        facts=_facts(series),
        warnings=[f"{path}: {line}" for line in warnings],
    )


def _paged(path: Path, tif: Any, series: Any) -> Stack:
    planes, warnings = _plane_numbers(series, len(series.keyframe.shape))

    def read(index: int) -> NDArray[Any]:
        page = series.pages[int(planes[index])]
        if page is None:
            raise EOFError("the page is missing")
        return _samples_last(np.asarray(page.asarray()), series.keyframe.axes)

    if len(tif.series) > 1:
        warnings.append(
            f"holds {len(tif.series)} series of pictures of different kinds, only the first is used"
        )
    return Stack(
        read=read,
        n_frames=len(planes),
        facts=_facts(series),
        warnings=[f"{path}: {line}" for line in warnings],
    )


def _unbroken_pages(path: Path, tif: Any) -> Stack:
    pages: list[Any] = []
    try:
        for page in tif.pages:
            pages.append(page)
    except Exception:  # the break itself
        pass
    if not pages:
        tif.close()
        raise SourceError(
            f"{path}: no page in it can be found, the file is damaged; copy it again from where it was"
            " recorded"
        )

    def read(index: int) -> NDArray[Any]:
        return _samples_last(np.asarray(pages[index].asarray()), pages[index].axes)

    line = (
        f"{path}: the chain of pages breaks off after {len(pages)}, how many are lost is unknown; copy it"
        " again from where it was recorded"
    )
    return Stack(read=read, n_frames=len(pages), facts={"container": "TIFF, damaged"}, warnings=[line])


def _plane_numbers(series: Any, n_plane_axes: int) -> tuple[NDArray[np.intp], list[str]]:
    """Find the plane of every frame in the file; of several channels the first counts."""
    lead, axes = series.shape[: series.ndim - n_plane_axes], series.axes
    numbers: NDArray[np.intp] = np.arange(math.prod(lead)).reshape(lead)
    channel = axes[: len(lead)].find("C")
    if channel < 0 or lead[channel] == 1:
        return numbers.ravel(), []
    return numbers.take(0, axis=channel).ravel(), [f"holds {lead[channel]} channels, only the first is used"]


def _samples_last(plane: NDArray[Any], axes: str) -> NDArray[Any]:
    return plane if "S" not in axes else np.moveaxis(plane, axes.index("S"), -1)


def _facts(series: Any) -> dict[str, Any]:
    return {"container": f"TIFF ({series.kind})", "axes": series.axes}


def _told(tif: Any, path: Path, warnings: list[str]) -> tuple[float | None, float | None, str]:
    """Scale and interval by the metadata of the program that wrote the file.

    Plain resolution tags are those of a printer.
    """
    if tif.is_imagej:
        scales, interval_s, told_by = (
            _imagej(tif),
            _imagej_interval(tif.imagej_metadata or {}),
            "metadata: ImageJ TIFF",
        )
    elif tif.is_ome:
        *scales, interval_s = _ome(tif.ome_metadata or "")
        told_by = "metadata: OME TIFF"
    elif tif.is_fei:
        scales, interval_s, told_by = _fei(tif.fei_metadata or {}), None, "metadata: FEI TIFF"
    else:
        return None, None, ""
    x, y = scales
    if x is not None and y is not None and abs(x - y) > _SQUARE * x:
        warnings.append(
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
    told, rate = _number(metadata.get("finterval", 0)), _number(metadata.get("fps", 0))
    return seconds_of(told or (1 / rate if rate else 0.0), unit)


def _number(told: Any) -> float:
    """Read a number of the metadata; not a number where it is damaged."""
    try:
        return float(told)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _ome(text: str) -> tuple[float | None, float | None, float | None]:
    try:
        pixels = next(e for e in ElementTree.fromstring(text).iter() if e.tag.rpartition("}")[2] == "Pixels")
    except (ElementTree.ParseError, StopIteration):
        return None, None, None
    get = pixels.attrib.get
    x, y = (nm_of(_number(get(f"PhysicalSize{axis}")), get(f"PhysicalSize{axis}Unit", "µm")) for axis in "XY")
    return x, y, seconds_of(_number(get("TimeIncrement")), get("TimeIncrementUnit", "s"))


def _fei(metadata: dict[str, Any]) -> list[float | None]:
    """Pixel size in m, in the section of the beam that made the picture."""
    for section in ("Scan", "EScan", "IScan"):
        values = metadata.get(section, {})
        if values.get("PixelWidth"):
            return [nm_of(_number(values.get(name)), "m") for name in ("PixelWidth", "PixelHeight")]
    return [None, None]
