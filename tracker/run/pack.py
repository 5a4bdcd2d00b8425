"""Dataclasses become plain values and arrays, and come back by the types that they declare.

Nothing is looked up by a name that stands in the data: what comes back is of the class that the caller asks
for, whose fields are checked one by one, so that data from somebody else can run nothing.
"""

from __future__ import annotations

import dataclasses
import io as stdlib_io
import json
import math
import types
import typing
import zipfile
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Packed = TypeVar("Packed")

_TREE = "tree"
_PLACE = "@"
"""Key that stands where an array was taken out of the tree."""


class PackError(ValueError):
    """The data are not those of the class asked for."""


def pack(value: object) -> bytes:
    """Write a dataclass as an npz archive: its arrays, and the rest as JSON in the array ``tree``.

    Parameters
    ----------
    value : dataclass
        Fields of numbers, texts, None, dtypes, arrays without objects, and tuples, lists, mappings with text
        keys and dataclasses of such.
    """
    arrays: dict[str, NDArray[Any]] = {}
    tree = json.dumps(_taken_apart(value, arrays)).encode("utf-8")
    stream = stdlib_io.BytesIO()
    np.savez(stream, **{_TREE: np.frombuffer(tree, np.uint8)}, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def unpack(kind: type[Packed], data: bytes) -> Packed:
    """Read back a dataclass that `pack` wrote.

    Raises
    ------
    PackError
        If the data are damaged, or do not have the fields and types of `kind`.
    """
    try:
        arrays = _arrays(data)
        tree = json.loads(arrays.pop(_TREE).tobytes())
        made: Packed = _put_together(kind, tree, arrays)
        return made
    except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile, RecursionError) as error:
        raise PackError(f"not a {kind.__name__}: {error}") from error


def _taken_apart(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """Make a tree of plain values; arrays go to `arrays`."""
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {_PLACE: name}
    if dataclasses.is_dataclass(value):
        fields = (field.name for field in dataclasses.fields(value) if field.init)
        return {name: _taken_apart(getattr(value, name), arrays) for name in fields}
    if isinstance(value, Mapping):
        return {str(key): _taken_apart(item, arrays) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_taken_apart(item, arrays) for item in value]
    if isinstance(value, np.dtype):
        return value.str
    return value.item() if isinstance(value, np.generic) else value


def _arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Read the arrays of an archive; none can be larger than the archive itself."""
    arrays = {}
    with zipfile.ZipFile(stdlib_io.BytesIO(data)) as archive:
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > len(data):
                raise PackError(f"{info.filename} is compressed")
            raw = archive.read(info)
            stream = stdlib_io.BytesIO(raw)
            np.lib.format.read_magic(stream)
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
            if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(raw) - stream.tell():
                raise PackError(f"{info.filename} is not as long as it says")
            arrays[info.filename.removesuffix(".npy")] = np.load(stdlib_io.BytesIO(raw), allow_pickle=False)
    return arrays


def _put_together(hint: Any, value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Make what a type hint asks for, or refuse."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _one_of(inner, value, arrays)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _made(typing.cast(Any, hint), value, arrays)
    if origin is np.ndarray and isinstance(value, dict) and list(value) == [_PLACE]:
        array = arrays[value[_PLACE]]
        wanted = typing.get_args(inner[1])[0]
        if wanted is Any or np.issubdtype(array.dtype, wanted):
            return array
    elif origin is tuple and isinstance(value, list):
        each = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(_put_together(kind, item, arrays) for kind, item in zip(each, value, strict=True))
    elif origin is list and isinstance(value, list):
        return [_put_together(inner[0], item, arrays) for item in value]
    elif origin in (dict, Mapping) and isinstance(value, dict):
        return {str(key): _put_together(inner[1], item, arrays) for key, item in value.items()}
    elif origin is np.dtype and isinstance(value, str):
        return np.dtype(value)
    elif origin is Literal and value in inner:
        return value
    elif hint in (None, types.NoneType) and value is None:
        return None
    elif hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    elif hint in (int, str, bool) and type(value) is hint:
        return value
    raise PackError(f"expected {getattr(hint, '__name__', hint)}, found {type(value).__name__}")


def _one_of(kinds: tuple[Any, ...], value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Make the first of several kinds that the value fits."""
    for kind in kinds:
        try:
            return _put_together(kind, value, arrays)
        except (PackError, KeyError, TypeError, ValueError):
            continue
    raise PackError(f"expected one of {', '.join(getattr(kind, '__name__', str(kind)) for kind in kinds)}")


def _made(kind: Any, value: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Make a dataclass of exactly the fields that it has."""
    names = [field.name for field in dataclasses.fields(kind) if field.init]
    if sorted(value) != sorted(names):
        raise PackError(f"{kind.__name__} has the fields {', '.join(names)}, not {', '.join(value)}")
    hints = typing.get_type_hints(kind)
    made = {}
    for name in names:
        try:
            made[name] = _put_together(hints[name], value[name], arrays)
        except PackError as error:
            raise PackError(f"{name}: {error}") from error
    return kind(**made)
