"""A folder into which a microscope writes: frames as they become whole, stacks as they grow."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.errors import SourceError
from insitrack.io.files.folder import IMAGE_SUFFIXES, VENDOR_SUFFIXES, natural_order
from insitrack.io.files.stack import Stack
from insitrack.io.live.feed import Captured, Depth, Feed

PATIENCE_S = 5.0
"""How long after its last change a file that is not whole is waited for, s."""
_POLL_S, _SETTLED_S, _RETRY_S = 0.02, 0.03, 0.25
_RESTLESS_S = 1.0  # a file that changes all the time is read nevertheless
_MOST_HELD_UP_S = 60.0  # for files that follow one that never becomes whole
_AT_REST_S = 60.0  # a file last written so long before the run is not being written
_MOST_KNOWN = 20_000  # files that are gone and still remembered
_ENDS = {".png": b"IEND", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}
_END_BYTES = 64

Version = tuple[int, int, int, int]
"""Size, time of writing in ns, inode and device of a file: another one means that it was written again."""


@dataclass(slots=True)
class _File:
    """What is known of a file.

    Parameters
    ----------
    path : Path
        Its name now.
    version : tuple of int
        As it was last seen.
    written_s : float
        Time of writing when the version to be read was first seen, s: that of the frame.
    unread_s, changed_s : float
        Since when there is something to read, and when it was last seen to change, on the monotonic clock, s.
    taken : tuple of int or None
        The version that was read to its end.
    n_taken : int
        Frames up to the last one that could be read.
    last_crc : int
        Checksum of that frame.
    tried_s : float
        When it was last found not to be whole, on the monotonic clock, s.
    """

    path: Path
    version: Version
    written_s: float
    unread_s: float
    changed_s: float
    taken: Version | None = None
    n_taken: int = 0
    last_crc: int = 0
    tried_s: float = 0.0


class _NotWholeError(Exception):
    """The file is still being written, as far as can be seen."""


def open_folder(uri: str, folder: Path, closing: Callable[[], bool], depth: Depth) -> Feed:
    """Watch a folder into which the microscope writes frames, or stacks that grow.

    Times are those of writing. A file is read again when its size or time of writing has changed: pages that
    were added are new frames, and so is a frame that has replaced the one before. A file that is not whole
    is waited for while it changes and `PATIENCE_S` longer, and those that follow by name wait with it. A file
    that is renamed stays the same file.

    Parameters
    ----------
    uri : str
        Address, for messages.
    folder : Path
        The folder.
    closing : callable
        Says whether the run is over.
    depth : Depth
        Makes grey levels of the frames.

    Raises
    ------
    SourceError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise SourceError(
            f"{uri}: no such folder; expected the one into which the microscope software writes"
        )
    watched = WatchedFolder(folder, closing, depth)
    scale, told_by = watched.scale()
    facts = {"container": "watched folder", "waited_for_s": PATIENCE_S}
    return Feed(watched.pictures(), 0.0, facts, lambda: None, nm_per_px=scale, told_by=told_by)


class WatchedFolder:
    """Looks at the files of a folder again and again, and takes what is new.

    Parameters
    ----------
    folder : Path
        The folder.
    closing : callable
        Says whether the run is over.
    depth : Depth
        Makes grey levels of the frames.
    """

    def __init__(self, folder: Path, closing: Callable[[], bool], depth: Depth) -> None:
        self._folder, self._closing, self._depth = folder, closing, depth
        self._files: dict[Path, _File] = {}
        self._harmless: set[str] = set()  # what looks unfinished and has turned out to be as it should
        self._first_look, self._before = True, set[Path]()
        self._start_s: float | None = None
        self._last_s = 0.0

    def pictures(self) -> Generator[Captured]:
        """Give frames in the order of their names, as they become whole."""
        while not self._closing():
            began_s = time.monotonic()
            unread = self._look()
            pause_s = max(_POLL_S, 4 * (time.monotonic() - began_s))
            for file in unread:
                yield from self._take(file)
                if self._closing():
                    return
                if self._holds_up(file):
                    break  # frames keep their order
            time.sleep(pause_s)

    def scale(self) -> tuple[float | None, str]:
        """Width of a pixel that the first file states, nm, and which metadata state it."""
        from insitrack.io.files.stacks import open_stack

        first = next(iter(self._look()), None)
        if first is None:
            return None, ""
        try:
            stack = open_stack(first.path)
        except (SourceError, OSError):  # still being written
            return None, ""
        stack.close()
        return (None, "") if stack.refused else (stack.nm_per_px, f"{stack.told_by} of {first.path.name}")

    def _look(self) -> list[_File]:
        """Files with something to read, in the order of their names."""
        now, unread = time.monotonic(), []
        listed = self._listed()
        gone_now = [self._files[path] for path in self._before - listed.keys() if path in self._files]
        moved = {file.version[2:]: file for file in gone_now if file.version[2]}
        self._before = set(listed)
        for path, version in listed.items():
            file = self._files.get(path)
            if file is None or file.version != version:
                file = self._seen_anew(file, moved.get(version[2:]), path, version, now)
                self._files[path] = file
            if file.taken != version:
                unread.append(file)
        self._first_look = False
        gone = len(self._files) - len(listed) - _MOST_KNOWN
        if gone > 0:
            for path in [path for path in self._files if path not in listed][:gone]:
                del self._files[path]
        return sorted(unread, key=lambda file: natural_order(file.path))

    def _listed(self) -> dict[Path, Version]:
        """Every file that may hold a frame; none while the folder cannot be reached."""
        found: dict[Path, Version] = {}
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    suffix = Path(entry.name).suffix.lower()
                    if suffix not in IMAGE_SUFFIXES + VENDOR_SUFFIXES or entry.name.startswith("."):
                        continue
                    version = _version_of(Path(entry.path))
                    if version is not None and (suffix == ".zspy" or not entry.is_dir()):
                        found[Path(entry.path)] = version
        except OSError:  # a share that is away for a while; its silence is reported elsewhere
            return {}
        return found

    def _seen_anew(
        self, file: _File | None, moved: _File | None, path: Path, version: Version, now: float
    ) -> _File:
        """Take in that a file is new, has changed, or has another name than before."""
        written_s = version[1] * 1e-9
        if moved is not None:
            file = replace(moved, path=path)
            if file.version == version:
                return file
        if file is None:
            at_rest = self._first_look and time.time() - written_s > _AT_REST_S
            return _File(path, version, written_s, now, now - (PATIENCE_S if at_rest else 0.0))
        if file.taken == file.version:
            file.written_s, file.unread_s = written_s, now
        file.version, file.changed_s, file.tried_s = version, now, 0.0
        return file

    @staticmethod
    def _holds_up(file: _File) -> bool:
        """Whether those that follow have to wait: for a first frame, not for one more of a file."""
        waiting = file.taken != file.version and not file.n_taken
        return waiting and time.monotonic() - file.unread_s < _MOST_HELD_UP_S

    def _take(self, file: _File) -> Iterator[Captured]:
        """Give what is new in a file, if it is whole."""
        now, version = time.monotonic(), file.version
        rest_s = now - file.changed_s
        if rest_s < _SETTLED_S and now - file.unread_s < _RESTLESS_S:
            return
        patient = rest_s < PATIENCE_S
        if patient and now - file.tried_s < _RETRY_S:
            return
        try:
            for image, reason in self._new_pictures(file, patient):
                yield Captured(image, self._stamp(file), reason)
        except _NotWholeError:
            file.tried_s = now
            return
        file.taken = version

    def _stamp(self, file: _File) -> float:
        """Time of a frame from the first, s; one that had to be waited for does not set the clock back."""
        if self._start_s is None:
            self._start_s = file.written_s
        stamp_s = file.written_s - self._start_s
        if 0 < self._last_s - stamp_s < _MOST_HELD_UP_S:
            stamp_s = self._last_s
        self._last_s = stamp_s
        return stamp_s

    def _new_pictures(self, file: _File, patient: bool) -> Iterator[tuple[Any, str]]:
        """Frames that were added to a file, or have replaced those before; None and why for a damaged one."""
        from insitrack.io.files.stacks import open_stack

        version = file.version
        try:
            stack = open_stack(file.path)
        except (SourceError, OSError) as error:
            if patient or isinstance(error, FileNotFoundError):
                raise _NotWholeError from error
            yield None, str(error)
            return
        try:
            for index in range(self._first_new(file, stack, patient), stack.n_frames):
                picture = _read(stack, index)
                if isinstance(picture, str):
                    if patient:
                        raise _NotWholeError(picture)
                    yield None, f"{file.path.name}: {picture}"
                    continue
                self._check_whole(file, version, picture, patient, several=stack.n_frames > 1)
                file.n_taken, file.last_crc = index + 1, _crc(picture)
                grey = self._depth.grey(picture)
                yield (None, f"{file.path.name}: {grey}") if isinstance(grey, str) else (grey, "")
        finally:
            stack.close()

    @staticmethod
    def _first_new(file: _File, stack: Stack, patient: bool) -> int:
        """Find the first frame to take: the next one if the last one is still there, else the first."""
        if not file.n_taken or stack.n_frames < file.n_taken:
            return 0
        before = _read(stack, file.n_taken - 1)
        if isinstance(before, str):
            if patient:
                raise _NotWholeError(before)
            return 0
        return file.n_taken if _crc(before) == file.last_crc else 0

    def _check_whole(
        self, file: _File, version: Version, picture: NDArray[Any], patient: bool, *, several: bool
    ) -> None:
        """Wait for a file that changed while it was read, or may have been laid out before it is filled.

        Such a look that lasts is how this microscope writes, and is not waited for again.
        """
        now = _version_of(file.path)
        grown = several and now is not None and now[2:] == version[2:] and now[0] > version[0]
        if now != version and not grown:
            raise _NotWholeError
        suffix = file.path.suffix.lower()
        for sign, found in (
            ("a last row of zeros", picture.ndim > 1 and not picture[-1].any()),
            (f"no end in a {suffix} file", not _is_ended(file.path)),
        ):
            if found and sign not in self._harmless:
                if patient:
                    raise _NotWholeError(sign)
                self._harmless.add(sign)


def _version_of(path: Path) -> Version | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns, facts.st_ino, facts.st_dev


def _read(stack: Stack, index: int) -> NDArray[Any] | str:
    """Read a frame, or say why it cannot be read."""
    try:
        return np.asarray(stack.read(index))
    except Exception as error:  # decoders raise whatever they like at damaged data
        return (str(error).splitlines() or [type(error).__name__])[0]


def _crc(picture: NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(picture).view(np.uint8).data)


def _is_ended(path: Path) -> bool:
    """Whether the mark that ends a file of this kind is there."""
    mark = _ENDS.get(path.suffix.lower())
    if mark is None:
        return True
    try:
        with path.open("rb") as stream:
            stream.seek(-min(_END_BYTES, path.stat().st_size), os.SEEK_END)
            return mark in stream.read()
    except OSError:
        return False
