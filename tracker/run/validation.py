"""Settings are checked whole when they are read: pydantic compares them with the fields of their dataclasses.

Ranges and what one setting asks of another are checked by the dataclasses themselves, because they hold for
settings made in Python too.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from insitrack.io.errors import SettingsError, nearest

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

Settings = TypeVar("Settings")

_EXPECTED = {
    "dataclass_type": "a section with keys, not a value",
    "float_type": "float",
    "int_type": "int",
    "string_type": "str",
    "bool_type": "bool",
    "tuple_type": "a list",
    "dict_type": "names with values, such as {loop = 2.0}",
    "missing": "one more item",
    "too_long": "fewer items",
}
"""What a user may write in place of what pydantic refused, by its type of error."""


def build_settings(kind: type[Settings], tree: Mapping[str, Any]) -> Settings:
    """Make a settings dataclass from nested dictionaries, refusing unknown keys and wrong types.

    Whole numbers pass for floats and lists for tuples, nothing else is converted.

    Raises
    ------
    SettingsError
        Naming the key, what was expected, and the nearest known key; further keys that are wrong are named.
    """
    from pydantic import ValidationError

    try:
        # as JSON, of which strict pydantic makes dataclasses and tuples
        made: Settings = _adapter(typing.cast(Any, kind)).validate_json(json.dumps(tree, default=str))
        return made
    except ValidationError as error:
        faults: dict[str, list[ErrorDetails]] = {}
        for fault in error.errors(include_url=False):
            if fault["type"] == "json_invalid":  # bytes of a file name that are no text
                raise SettingsError(
                    "a setting holds text that is not Unicode; rename the file that it names"
                ) from None
            faults.setdefault(_dotted(_place(tree, fault["loc"])), []).append(fault)
    # where a list was one of several kinds of value, its item says more
    first, *others = [key for key in faults if not any(other.startswith(f"{key}[") for other in faults)]
    more = f"; also wrong: {', '.join(others)}" if others else ""
    raise SettingsError(_words(kind, tree, faults[first]) + more)


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _place(tree: Mapping[str, Any], place: Sequence[int | str]) -> tuple[int | str, ...]:
    """Leave out the kinds of value that pydantic tried, and items that are missing."""
    at: Any = tree
    found: list[int | str] = []
    for key in place:
        try:
            at = at[key]
        except (KeyError, IndexError, TypeError):
            continue
        found.append(key)
    return tuple(found)


def _dotted(place: Sequence[int | str]) -> str:
    """Return a place as it is written after `--set`.

    Examples
    --------
    >>> _dotted(("refine", "glide_directions_deg", 0))
    'refine.glide_directions_deg[0]'
    """
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place).removeprefix(".")


def _words(kind: type[Any], tree: Mapping[str, Any], faults: Sequence[ErrorDetails]) -> str:
    """Say what is wrong with one setting; one that may be of several kinds has a fault for each."""
    place = _place(tree, faults[0]["loc"])
    if faults[0]["type"] == "unexpected_keyword_argument":
        return _unknown(kind, place)
    value: Any = tree
    for key in place:
        value = value[key]
    expected = list(dict.fromkeys(_expected(fault) for fault in faults))
    comma = "float" in expected and isinstance(value, str) and re.fullmatch(r"[+-]?\d+,\d+", value)
    hint = f"; use a point, {value.replace(',', '.')}" if comma else ""
    return f"{_dotted(place)} = {value!r}: expected {' or '.join(expected)}{hint}"


def _expected(fault: ErrorDetails) -> str:
    if fault["type"] == "literal_error":
        return "one of " + ", ".join(re.findall(r"'([^']*)'", fault["ctx"]["expected"]))
    return _EXPECTED.get(fault["type"], fault["msg"])


def _unknown(kind: type[Any], place: Sequence[int | str]) -> str:
    *sections, key = place
    for section in sections:
        kind = typing.get_type_hints(kind)[str(section)]
    known = [f.name for f in dataclasses.fields(kind)]
    near = nearest(str(key), known)
    hint = f"did you mean {_dotted([*sections, near])}?" if near else "see configs/default.toml."
    return f"unknown setting {_dotted(place)!r}; {hint} Known here: {', '.join(known)}"
