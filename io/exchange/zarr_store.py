"""Folders in the Zarr format, version 2: what label images and graphs of tracks are kept in.

References
----------
Zarr storage specification version 2, zarr-specs.readthedocs.io.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write_group(path: Path, attributes: Mapping[str, Any] | None = None) -> Path:
    """Make a group, with its attributes where it has some."""
    path.mkdir(parents=True, exist_ok=True)
    (path / ".zgroup").write_text(json.dumps({"zarr_format": 2}), encoding="utf-8")
    if attributes is not None:
        (path / ".zattrs").write_text(json.dumps(attributes, indent=1), encoding="utf-8")
    return path


class ArrayWriter:
    """Writes an array chunk by chunk; a chunk that is left out is zero.

    Parameters
    ----------
    path : Path
        Folder of the array.
    shape, chunks : tuple of int
        Of the array and of one chunk.
    dtype : dtype
        Little-endian numbers.
    separator : str
        Between the numbers in the name of a chunk.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        chunks: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        separator: str = ".",
    ) -> None:
        self._path, self._chunks, self._dtype, self._separator = path, chunks, dtype, separator
        facts = {
            "zarr_format": 2,
            "shape": list(shape),
            "chunks": list(chunks),
            "dtype": dtype.str,
            "compressor": {"id": "zlib", "level": 4},
            "fill_value": "" if dtype.kind == "U" else False if dtype.kind == "b" else 0,
            "order": "C",
            "filters": None,
            "dimension_separator": separator,
        }
        path.mkdir(parents=True, exist_ok=True)
        (path / ".zarray").write_text(json.dumps(facts), encoding="utf-8")

    def __enter__(self) -> ArrayWriter:
        return self

    def write(self, place: tuple[int, ...], values: NDArray[Any]) -> None:
        """Write the chunk at a place, counted in chunks."""
        if values.shape != self._chunks:
            raise ValueError(f"{self._path}: expected a chunk of {self._chunks}, got {values.shape}")
        file = self._path / self._separator.join(map(str, place))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(zlib.compress(np.ascontiguousarray(values, self._dtype).tobytes(), 4))

    def __exit__(self, *_: object) -> None: ...


def write_array(path: Path, values: NDArray[Any]) -> None:
    """Write a whole array as one chunk."""
    little = values.dtype.newbyteorder("<") if values.dtype.byteorder == ">" else values.dtype
    chunks = tuple(max(1, side) for side in values.shape)
    with ArrayWriter(path, values.shape, chunks, np.dtype(little)) as array:
        if values.size:
            array.write((0,) * values.ndim, values)
