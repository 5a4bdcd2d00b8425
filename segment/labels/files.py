"""Label files read within limits; what is wrong in them is one line with the file and the place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from insitrack.io.errors import InsitrackError, SourceError

MOST_LABELS = 20_000
"""Labels that one image may have, as many as a segmenter may find in it."""
_MOST_BYTES = 256 * 2**20  # of a label file
_FAULTS = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
    MemoryError,
)


@dataclass(slots=True)
class Place:
    """Where in a label file the reading is: a line, an entry, an image."""

    at: str = ""


@contextmanager
def reading(path: Path, expected: str) -> Iterator[Place]:
    """Turn whatever damaged labels raise into one line that names the file, the place and what was expected.

    Parameters
    ----------
    path : Path
        The label file.
    expected : str
        What it should hold, and what to do.

    Yields
    ------
    Place
        Keep it up to date while reading.
    """
    place = Place()
    try:
        yield place
    except InsitrackError:
        raise
    except OSError as error:
        reason = shown(str(error.strerror or error), 120)
        raise SourceError(f"{path}: cannot be read ({reason}); copy it again") from error
    except (*_FAULTS, cv2.error) as error:
        at = f", {shown(place.at, 60)}" if place.at else ""
        raise SourceError(f"{path}{at}: {_reason(error)}; {expected}") from error


def _reason(error: BaseException) -> str:
    """Say in a few words what an error of Python means here."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8 text"
    if isinstance(error, RecursionError):
        return "brackets nested too deep"
    if isinstance(error, KeyError):
        return f"no {shown(str(error.args[0] if error.args else ''), 40)}"
    if isinstance(error, MemoryError):
        return "larger than the memory"
    return shown(str(error) or type(error).__name__, 120)


def shown(text: str, most: int = 60) -> str:
    """Make one short line of a text out of a file."""
    line = " ".join(re.sub(r"[^\x20-\x7e\xa0-\U0010ffff]", " ", text).split())
    return line if len(line) <= most else line[: most - 3] + "..."


def read_text(path: Path) -> str:
    """Read a text file, UTF-8 with or without a byte-order mark.

    Raises
    ------
    SourceError
        If it is no UTF-8 text or larger than a label file is.
    """
    with reading(path, "expected text; save it again as UTF-8"):
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise ValueError(f"{size / 2**20:.0f} MB, larger than {_MOST_BYTES // 2**20} MB")
        return path.read_text(encoding="utf-8-sig")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    SourceError
        If it is not JSON, or nested deeper than labels are.
    """
    text = read_text(path)
    with reading(path, "export the labels again"):
        try:
            return json.loads(text)
        except ValueError as error:
            raise ValueError(f"not JSON ({error})") from error


def json_kind(data: Any) -> str:
    """Which program wrote a JSON file: ``COCO``, ``LabelMe``, ``VIA``, or nothing that is known here."""
    if not isinstance(data, dict):
        return ""
    if isinstance(data.get("images"), list) and isinstance(data.get("annotations"), list):
        return "COCO"
    if isinstance(data.get("shapes"), list):
        return "LabelMe"
    entries = data.get("_via_img_metadata", data)
    regions = (
        isinstance(entries, dict)
        and entries
        and all(isinstance(entry, dict) and "regions" in entry for entry in entries.values())
    )
    return "VIA" if regions else ""


def check_count(n_labels: int) -> None:
    """Refuse more labels than one image can have.

    Raises
    ------
    ValueError
        If there are more; raised inside `reading` it names the place.
    """
    if n_labels > MOST_LABELS:
        raise ValueError(f"more than {MOST_LABELS} labels in one image")
