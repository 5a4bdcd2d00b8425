"""Files of microscopes (Digital Micrograph, Velox, MRC, HyperSpy and more), read through RosettaSciIO."""

from __future__ import annotations

import importlib
import logging
import math
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.errors import SourceError
from insitrack.io.files.stack import Stack, check_promises, no_image
from insitrack.io.units import is_reciprocal, nm_of, seconds_of

_EXPOSURE = re.compile(r"(?i)exposure ?time( \((s|seconds)\))?|exposure \(s\)")
_RATE = re.compile(r"(?i)frames ?per ?second( \(.*\))?")
_PACKED = ("EMD", "HSPY", "ZSPY")  # their blocks hold several images, mostly compressed
_BLOCK_BYTES = 128 << 20
_MOST_BLOCK_BYTES = 1 << 28
_PREFERRED = ("MRC",)  # where several readers know a suffix: the one without further requirements


def open_vendor(path: Path) -> Stack:
    """Open a file of a microscope; images are read when they are asked for.

    If it holds several signals, the one with the most images is used; every axis beside the two of the
    image counts frames.

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
        If the file cannot be read, its reader is not installed, or it holds no images.
    """
    if path.suffix.lower() == ".mrc":
        _check_mrc(path)
    plugin, signals = _read(path)
    pictures = [signal for signal in signals if len(_picture_axes(signal)) == 2]
    if not pictures:
        raise SourceError(
            f"{path}: holds no images, only spectra or tables; expected images from a camera or a scan"
        )
    signal = max(pictures, key=lambda each: math.prod(_lead(each)))
    lead, data = _lead(signal), signal["data"]
    check_promises(path, math.prod(lead), math.prod(data.shape) // max(1, math.prod(lead)))
    _check_block(path, data)
    pictures_of = _Blocks(data, plugin in _PACKED)

    def read(index: int) -> NDArray[Any]:
        picture = pictures_of.read(np.unravel_index(index, lead) if lead else ())
        names = picture.dtype.names
        return picture if names is None else np.stack([picture[name] for name in names[:3]], axis=-1)

    scale, interval_s = _scale(signal, path)
    exposure_s, rate = (_told(signal.get("original_metadata", {}), names) for names in (_EXPOSURE, _RATE))
    facts: dict[str, Any] = {"container": f"{plugin} through RosettaSciIO", "signals": len(signals)}
    if exposure_s is not None:
        facts["exposure_s"] = exposure_s
    if interval_s is None and len(lead) == 1 and rate:
        interval_s = 1 / rate
    unit = str(signal["axes"][-1].get("units", ""))
    return Stack(
        read=read,
        n_frames=math.prod(lead),
        facts=facts,
        refused=no_image(path, f"its axes are in {unit}") if is_reciprocal(unit) else "",
        nm_per_px=scale,
        interval_s=interval_s,
        told_by=f"metadata: {plugin}",
    )


class _Blocks:
    """Images of an array that is read on demand.

    The last block of a packed file is kept, because it can only be unpacked as a whole.
    """

    def __init__(self, data: Any, packed: bool) -> None:
        self._data = data
        most = max(1, _BLOCK_BYTES // max(1, math.prod(data.shape[1:]) * data.dtype.itemsize))
        sizes = (
            [min(most, size - part) for size in data.chunks[0] for part in range(0, size, most)]
            if packed and data.ndim > 2
            else []
        )
        self._ends = np.cumsum(sizes)
        self._first, self._block = 0, np.zeros((0,), np.uint8)

    def read(self, place: tuple[Any, ...]) -> NDArray[Any]:
        """Return the image at a place along the axes before its own."""
        if not len(self._ends):
            return np.asarray(self._data[place])
        first, *rest = (int(i) for i in place)
        if not self._first <= first < self._first + len(self._block):
            number = int(np.searchsorted(self._ends, first, side="right"))
            self._first = int(self._ends[number - 1]) if number else 0
            self._block = np.asarray(self._data[self._first : int(self._ends[number])])
        return np.array(self._block[(first - self._first, *rest)])  # no view: it would keep the whole block


def _check_block(path: Path, data: Any) -> None:
    """Refuse a file whose blocks, which are unpacked as a whole, are larger than a large frame."""
    chunks = getattr(data, "chunks", None)
    if not chunks:
        return
    block = math.prod(max(sizes, default=1) for sizes in chunks) * data.dtype.itemsize
    if block > _MOST_BLOCK_BYTES:
        raise SourceError(
            f"{path}: is packed in blocks of {block / 1e9:.3g} GB, each of which is unpacked as a whole; expected at"
            f" most {_MOST_BLOCK_BYTES / 1e9:.3g} GB: save it with smaller chunks"
        )


def _check_mrc(path: Path) -> None:
    """Refuse a header that promises more than the file holds: readers would prepare for all of it."""
    with path.open("rb") as stream:
        head = stream.read(16)
    if len(head) < 16:
        raise SourceError(
            f"{path}: {len(head)} bytes, shorter than the header of an MRC file; copy it again from where it"
            " was recorded"
        )
    sizes, least = np.frombuffer(head, "<i4"), path.stat().st_size
    if (np.abs(sizes[:3]) > 1 << 20).any():
        sizes = np.frombuffer(head, ">i4")
    bits = {0: 8, 1: 16, 2: 32, 3: 32, 4: 64, 6: 16, 12: 16, 101: 4}.get(int(sizes[3]), 8)
    promised = math.prod(int(size) for size in sizes[:3]) * bits // 8
    if promised <= 0 or promised > least:
        shape = " x ".join(str(int(size)) for size in sizes[:3])
        raise SourceError(
            f"{path}: its header promises {shape} values, the file holds {least} bytes; it is damaged or cut"
            " off: copy it again"
        )


def _read(path: Path) -> tuple[str, list[dict[str, Any]]]:
    import rsciio

    logging.getLogger("rsciio").setLevel(logging.ERROR)
    suffix = path.suffix.lower().lstrip(".")
    # The list names a plugin once for every door of the package; one of each is enough.
    plugins = {
        spec["name"]: spec["api"]
        for spec in rsciio.IO_PLUGINS
        if suffix in (each.lower() for each in spec["file_extensions"])
    }
    failure: Exception | None = None
    for name in sorted(plugins, key=lambda each: each not in _PREFERRED):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return name, importlib.import_module(plugins[name]).file_reader(str(path), lazy=True)
        except ModuleNotFoundError as error:
            failure = error
        except Exception as error:  # readers raise whatever they like at damaged files
            failure = error
    if isinstance(failure, ModuleNotFoundError):
        raise SourceError(
            f"{path}: reading it needs the package {failure.name}; install it: pip install {failure.name}"
        ) from failure
    reason = str(failure).splitlines()[0] if failure is not None and str(failure) else "no reader knows it"
    raise SourceError(
        f"{path}: RosettaSciIO cannot read it ({reason}); copy it again, or export it as TIFF"
    ) from failure


def _picture_axes(signal: dict[str, Any]) -> list[dict[str, Any]]:
    """Axes of an image: those that the file marks as such.

    If it marks none (EMD of NCEM), the last two are used if both are lengths or both are reciprocal
    lengths.
    """
    axes = signal["axes"]
    marked = [axis for axis in axes if not axis.get("navigate", False)]
    last = [str(axis.get("units", "")) for axis in axes[-2:]]
    if len(marked) == len(axes) > 2 and (
        all(nm_of(1.0, unit) for unit in last) or all(map(is_reciprocal, last))
    ):
        return list(axes[-2:])
    return marked


def _lead(signal: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(length) for length in signal["data"].shape[: len(signal["axes"]) - 2])


def _scale(signal: dict[str, Any], path: Path) -> tuple[float | None, float | None]:
    *lead, _, x = signal["axes"]
    interval_s = None
    if len(lead) == 1:
        interval_s = seconds_of(float(lead[0].get("scale", 0)), str(lead[0].get("units", "")))
    return nm_of(float(x.get("scale", 0)), str(x.get("units", ""))), interval_s


def _told(tree: Any, names: re.Pattern[str]) -> float | None:
    """Positive number of the first entry of the metadata whose name fits."""
    if not isinstance(tree, dict):
        return None
    for name, value in tree.items():
        found = _told(value, names) if isinstance(value, dict) else None
        if found is None and names.fullmatch(str(name)):
            try:
                found = float(value)
            except (TypeError, ValueError):
                found = None
        if found is not None and math.isfinite(found) and found > 0:
            return found
    return None
