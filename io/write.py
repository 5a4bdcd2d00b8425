"""Files are written under a temporary name beside their own and then renamed.

A reader never sees half a file, and what stood there before stays until the new file is whole.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from insitrack.io.errors import OutputError

PART = ".part"
"""Ending of the name of a file that is not finished."""

CHOOSE_ANOTHER = "choose another folder with --out"


def part_of(path: Path) -> Path:
    """Temporary name of a file, in the same folder.

    Examples
    --------
    >>> part_of(Path("run/annotated.mp4")).name
    'annotated.mp4.part'
    """
    return path.with_name(path.name + PART)


@contextmanager
def replacing(path: Path, *, advice: str = CHOOSE_ANOTHER) -> Iterator[Path]:
    """Give the temporary name of a file; what was written there takes the place of the file at the end.

    After an error, or where nothing was written, the file stays as it was and no temporary one is left.
    Several files that belong together are entered on one `contextlib.ExitStack`: none is renamed before all
    are written.

    Parameters
    ----------
    path : Path
        The file; its folder exists.
    advice : str
        What to do where it cannot be written.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    part = part_of(path)
    try:
        part.unlink(missing_ok=True)  # it may be a link that leads to somebody else's file
        yield part
        if part.exists():
            part.replace(path)
    except OSError as error:
        if error.filename is not None and str(error.filename) not in (str(part), str(path), str(path.parent)):
            raise  # of another file, such as one that is read meanwhile
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); {advice}") from error
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes, *, advice: str = CHOOSE_ANOTHER) -> Path:
    """Write a file as a whole; errors as `replacing`."""
    with replacing(path, advice=advice) as part:
        part.write_bytes(data)
    return path


def write_text(path: Path, text: str, *, advice: str = CHOOSE_ANOTHER) -> Path:
    """Write a text in UTF-8 as a whole, lines ended as they are; errors as `replacing`.

    What is no Unicode, as in the name of a file in another coding, becomes a question mark.
    """
    return write_bytes(path, text.encode("utf-8", "replace"), advice=advice)


def write_json(path: Path, facts: Any, *, indent: int = 2, sort_keys: bool = False) -> Path:
    """Write facts as JSON; a number that is not finite becomes null; errors as `replacing`."""
    return write_text(path, json_text(facts, indent=indent, sort_keys=sort_keys))


def json_text(facts: Any, *, indent: int = 2, sort_keys: bool = False) -> str:
    """Return facts as JSON; a number that is not finite becomes null."""
    plain = plain_facts(facts)
    return json.dumps(plain, indent=indent, sort_keys=sort_keys, allow_nan=False) + "\n"


def write_in_place(path: Path, text: str) -> bool:
    """Write a text over a file that is there and long enough for it, filled up with spaces.

    On a full disk this goes where nothing else can be written. It is not safe against a power cut.

    Returns
    -------
    bool
        Whether it could be done; the file is as it was if not.
    """
    data = text.encode("utf-8", "replace")
    try:
        room = path.stat().st_size - len(data)
        if room < 0:
            return False
        with path.open("r+b") as stream:
            stream.write(data.rstrip(b"\n") + b" " * room + b"\n")
        return True
    except OSError:
        return False


def plain_facts(value: Any) -> Any:
    """Turn numpy scalars, paths and NaN into what JSON can hold; NaN becomes null.

    Examples
    --------
    >>> plain_facts({"sizes_nm": (1.5, math.nan), "file": Path("a.csv")})
    {'sizes_nm': [1.5, None], 'file': 'a.csv'}
    """
    if isinstance(value, dict):
        return {str(key): plain_facts(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_facts(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
