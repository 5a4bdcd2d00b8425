"""Whether the files of a source stay as they are while they are read."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

from insitrack.io.manifest import fingerprint

_Facts = tuple[int, int, int]
"""Length, bytes; time of the last change, ns; number of the file on its disk."""


class SourceFiles:
    """Remembers what the files of a source are like, and says what became of them.

    Parameters
    ----------
    uri : str
        Movie, stack, folder or pattern; of anything else, such as a camera, nothing is remembered.

    Examples
    --------
    >>> SourceFiles("synth:loops").changes({})
    []
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._before = _facts_of(uri)

    def changes(self, known: dict[str, Any]) -> list[str]:
        """Say what changed since, one line for each kind of change.

        Parameters
        ----------
        known : dict
            `fingerprint` of the source as it was: a file that was only touched, or replaced by a copy of itself,
            has not changed.
        """
        now = _facts_of(self._uri)
        gone = [path for path in self._before if path not in now]
        new = [path for path in now if path not in self._before]
        other = [path for path, facts in self._before.items() if now.get(path, facts) != facts]
        if len(self._before) == 1 and other and _same(other[0], known):
            other = []
        lines = [
            f"{_named(paths)} {words} while it was being read"
            for words, paths in (("was removed", gone), ("came", new if self._before else []))
            if paths
        ]
        kinds: dict[str, list[str]] = {}
        for path in other:
            kinds.setdefault(_kind(self._before[path], now[path]), []).append(path)
        return lines + [f"{_named(paths)} {words} while it was being read" for words, paths in kinds.items()]


def _facts_of(uri: str) -> dict[str, _Facts]:
    path = Path(uri)
    try:
        if path.is_dir():
            paths = [entry.path for entry in os.scandir(path) if entry.is_file()]
        elif path.exists():
            paths = [str(path)]
        else:
            paths = [] if ":" in uri else glob.glob(uri)  # noqa: PTH207 a glob may be absolute
    except (OSError, ValueError):
        return {}
    found = {}
    for name in paths:
        try:
            facts = Path(name).stat()
        except OSError:
            continue
        found[name] = (facts.st_size, facts.st_mtime_ns, facts.st_ino)
    return found


def _same(path: str, known: dict[str, Any]) -> bool:
    try:
        now = fingerprint(Path(path))
    except OSError:
        return False
    return "sha256" in known and now["sha256"] == known["sha256"]


def _kind(before: _Facts, now: _Facts) -> str:
    if before[2] != now[2]:
        return f"was replaced by another file ({before[0]} bytes before, {now[0]} now)"
    if now[0] != before[0]:
        return f"{'grew' if now[0] > before[0] else 'shrank'} from {before[0]} to {now[0]} bytes"
    return "was written to"


def _named(paths: list[str]) -> str:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{min(paths)}{more}"
