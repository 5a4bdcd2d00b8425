"""A run owns its folder: a second one that comes to the same folder is refused and disturbs nothing."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from insitrack.io.errors import OutputError
from insitrack.io.tables.records import EDITS
from insitrack.io.tables.run_folder import CAUSAL, OUTPUTS, RAW, STATE
from insitrack.io.write import PART, write_text

LOCK = "run.lock"
"""Held by the system for as long as the process lives."""
OWNER = "run.owner"
"""Who holds it, for those that come later: host, process, start."""
REVIEW_LOCK = "review.lock"
"""Held while the run is open in `track review`."""
SILENT_S = 60.0
"""A run of another computer that has written nothing for so long counts as dead, where a shared drive does
not show computers each other's locks."""


class HeldError(OutputError):
    """A run that is alive holds the folder."""


class RunLock:
    """Holds an output folder for as long as a run lasts.

    The lock is one of the operating system (`flock`, or `msvcrt` on Windows, through filelock), which ends
    with the process however it dies, so that the lock of a dead run is taken over. On shared drives that
    do not pass such locks on to other computers, the owner's name and the time of its last state decide.

    Parameters
    ----------
    folder : Path
        Output folder; it is made where it is not there.

    Raises
    ------
    OutputError
        On entering, if a run that is alive holds the folder (`HeldError`), one of its files is a link, or it
        cannot be written; nothing is changed then.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: Any = None

    def __enter__(self) -> Self:
        from filelock import FileLock, Timeout

        refuse_links(self._folder)
        lock = FileLock(self._folder / LOCK, timeout=0)
        owner = {"host": socket.gethostname(), "process": os.getpid(), "since": _now()}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            if _alive_elsewhere(self._folder):
                lock.release()
                raise _held(self._folder)
            (self._folder / OWNER).write_text(json.dumps(owner) + "\n", encoding="utf-8")
        except Timeout:
            raise _held(self._folder) from None
        except (OSError, NotImplementedError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(
                f"--out {self._folder}: cannot be written ({reason}); choose another folder"
            ) from error
        self._lock = lock
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        names = (OWNER, LOCK) if os.name != "nt" else (OWNER,)  # Windows removes no file that is open
        for name in names:
            with contextlib.suppress(OSError):  # the folder may be gone
                (self._folder / name).unlink()
        self._lock.release()
        if os.name == "nt":
            with contextlib.suppress(OSError):
                (self._folder / LOCK).unlink()


@contextlib.contextmanager
def reviewed_alone(folder: Path) -> Iterator[None]:
    """Hold a finished run while somebody corrects it: its edits are in one hand.

    Raises
    ------
    OutputError
        If a run that is alive writes into the folder, another review is open, or the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    refuse_if_held(folder)
    refuse_links(folder)
    lock = FileLock(folder / REVIEW_LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise OutputError(
            f"{folder}: is open in another track review; go on there, or end it with Ctrl-C"
        ) from None
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"{folder}: cannot be written ({reason}); edits are kept there: copy the run to a place of your own"
        ) from error
    try:
        yield
    finally:
        if os.name != "nt":  # Windows removes no file that is open
            with contextlib.suppress(OSError):
                (folder / REVIEW_LOCK).unlink()
        lock.release()


def refuse_links(folder: Path) -> None:
    """Refuse a folder in which a name that a run writes is a link: it would change a file somewhere else.

    Raises
    ------
    OutputError
        Naming the link.
    """
    own = {*OUTPUTS, EDITS.file, LOCK, OWNER, REVIEW_LOCK, CAUSAL, RAW}
    for place in (folder, folder / CAUSAL):
        try:
            links = sorted(path for path in place.iterdir() if path.is_symlink())
        except OSError:  # not there, or not to be read: what writes there says so
            continue
        for path in links:
            if path.name.removesuffix(PART) in own:
                raise OutputError(
                    f"{path}: is a link, and a run writes only files of its own; put a copy in its place, or"
                    " remove it"
                )


def refuse_if_held(folder: Path) -> None:
    """Refuse a folder that a run which is alive holds, before any work is done for another.

    Raises
    ------
    OutputError
        Naming the run that holds it.
    """
    try:
        held = (folder / LOCK).is_file()
    except OSError:  # a name that is too long holds nothing
        return
    if held:
        with RunLock(folder):
            pass


def _held(folder: Path) -> HeldError:
    owner = owner_of(folder)
    who = (
        f"process {owner.get('process')} on {owner.get('host')}, since {owner.get('since')}"
        if owner
        else "another process"
    )
    return HeldError(
        f"{folder}: a run that is alive writes into it ({who}); wait for its end, stop it, or choose another"
        " folder with --out"
    )


def owner_of(folder: Path) -> dict[str, Any]:
    """Return who holds a folder: host, process, since, and page where it has one for everybody here."""
    try:
        owner = json.loads((folder / OWNER).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return owner if isinstance(owner, dict) else {}


def _alive_elsewhere(folder: Path) -> bool:
    """Whether another computer wrote here a short while ago, though its lock does not show on this one."""
    owner = owner_of(folder)
    if not owner or owner.get("host") == socket.gethostname():
        return False
    return time.time() - max(written_last_s(folder, STATE), written_last_s(folder, OWNER)) < SILENT_S


def written_last_s(folder: Path, name: str) -> float:
    """Return when a file of a run was written last, s since 1970; 0 where it is not there."""
    try:
        return (folder / name).stat().st_mtime
    except OSError:
        return 0.0


def note_page(folder: Path, address: str) -> None:
    """Write down where the page of the run that holds a folder is, for the page of the beam time."""
    with contextlib.suppress(OutputError):  # the run goes on without
        write_text(folder / OWNER, json.dumps({**owner_of(folder), "page": address}) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
