"""Where captured frames wait for the analysis: bounded, counted, never silent."""

from __future__ import annotations

import tempfile
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from insitrack.io.errors import RunError
from insitrack.io.frames import Frame, MissingFrame

Policy = Literal["newest", "all"]


@dataclass(frozen=True, slots=True)
class _Stored:
    """A frame whose image lies on disk."""

    index: int
    t_s: float
    path: Path


class WaitingFrames:
    """A queue between a camera that does not wait and an analysis that takes its time.

    Parameters
    ----------
    policy : {"newest", "all"}
        What happens when more than `capacity` frames wait: the oldest becomes a `dropped` frame, or the new
        one goes to disk.
    capacity : int
        Frames that wait in memory.
    folder : Path, optional
        Where frames go for `all`; by default a temporary folder. They are removed once read.

    Examples
    --------
    >>> waiting = WaitingFrames("newest", 1)
    >>> for i in range(3):
    ...     waiting.put(Frame(i, float(i), np.zeros((2, 2), np.uint8)))
    >>> [getattr(waiting.get(0.1), "status", "frame") for _ in range(3)]
    ['dropped', 'dropped', 'frame']
    """

    def __init__(self, policy: Policy, capacity: int, folder: Path | None = None) -> None:
        self.policy, self.capacity = policy, capacity
        self.n_dropped = self.n_spooled = 0
        self._folder = folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._items: deque[Frame | MissingFrame | _Stored] = deque()
        self._n_in_memory = 0
        self._there = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        """Frames that wait, in memory and on disk."""
        with self._there:
            return sum(not isinstance(item, MissingFrame) for item in self._items)

    @property
    def filled(self) -> float:
        """How full the memory is, 0..1."""
        return min(1.0, self._n_in_memory / self.capacity)

    def put(self, item: Frame | MissingFrame) -> None:
        """Take a frame; never waits.

        Raises
        ------
        RunError
            If the disk takes no more frames.
        """
        with self._there:
            if isinstance(item, Frame) and self._n_in_memory >= self.capacity:
                if self.policy == "newest":
                    self._drop_oldest()
                else:
                    self._items.append(self._store(item))
                    self._there.notify()
                    return
            self._n_in_memory += isinstance(item, Frame)
            self._items.append(item)
            self._there.notify()

    def get(self, timeout_s: float) -> Frame | MissingFrame | None:
        """Return the frame that waits longest; None if none came in time, or none will come."""
        with self._there:
            if not self._items and not self._closed:
                self._there.wait(timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            if isinstance(item, _Stored):
                return self._restore(item)
            self._n_in_memory -= isinstance(item, Frame)
            return item

    def close(self) -> None:
        """Let nobody wait any longer; what waits can still be taken."""
        with self._there:
            self._closed = True
            self._there.notify_all()

    def discard(self) -> None:
        """Remove what is on disk."""
        with self._there:
            self._items = deque(item for item in self._items if not isinstance(item, _Stored))
            if self._temporary is not None:
                self._temporary.cleanup()
                self._temporary = None

    def _drop_oldest(self) -> None:
        """Turn the frame that waits longest into a record of its loss, in its place in the order."""
        for i, item in enumerate(self._items):
            if isinstance(item, Frame):
                self._items[i] = MissingFrame(
                    item.index, item.t_s, "dropped", "frames come faster than they can be processed"
                )
                self._n_in_memory -= 1
                self.n_dropped += 1
                return

    def _store(self, frame: Frame) -> _Stored:
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="insitrack_spool_", dir=self._folder)
        path = Path(self._temporary.name) / f"{frame.index}.npy"
        try:
            np.save(path, frame.image)
        except OSError as error:
            raise RunError(
                f"{path.parent}: waiting frames cannot be stored any more ({error.strerror}); make room, or"
                " use live.policy newest"
            ) from error
        self.n_spooled += 1
        return _Stored(frame.index, frame.t_s, path)

    @staticmethod
    def _restore(stored: _Stored) -> Frame:
        image = np.load(stored.path)
        stored.path.unlink()
        return Frame(stored.index, stored.t_s, image)
