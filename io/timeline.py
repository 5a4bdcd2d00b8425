"""The time axis of a source: which frames the user asked for, and times that always increase."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from insitrack.io.errors import SettingsError
from insitrack.io.frames import Frame, MissingFrame, Source
from insitrack.io.levels import Levels

_SHARE_AFTER_REPEAT = (
    0.5  # a repeated time lies, as far as anybody knows, in the middle of the interval that it stands for
)

_RESTART = 1.5  # a timestamp that falls back by more than so many intervals begins a new count


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which frames of a source to process; the others stay in the account as `skipped`.

    Parameters
    ----------
    start_s, end_s : float or None
        First and last time to process, s, both included, on the source's own time axis, which starts with its
        first frame.
    every : int
        Process the frames whose number in the source is a multiple of this.

    Raises
    ------
    SettingsError
        If a time is not finite, the end lies before the start, or `every` is less than 1.

    Examples
    --------
    >>> Selection(start_s=2.0, every=5).excludes(6, 3.0)
    'not a multiple of --every 5'
    """

    start_s: float | None = None
    end_s: float | None = None
    every: int = 1

    def __post_init__(self) -> None:
        for option, value in (("--start", self.start_s), ("--end", self.end_s)):
            if value is not None and not math.isfinite(value):
                raise SettingsError(
                    f"{option} {value}: expected a time in seconds from the first frame; leave it out for no"
                    " limit"
                )
        if self.start_s is not None and self.end_s is not None and self.end_s < self.start_s:
            raise SettingsError(
                f"--end {self.end_s}: expected a time after --start {self.start_s}; swap them or leave"
                " one out"
            )
        if self.every < 1:
            raise SettingsError(f"--every {self.every}: expected a whole number from 1 (every frame) upward")

    def excludes(self, index: int, t_s: float) -> str:
        """Say why a frame is not wanted, or return an empty text if it is."""
        if self.start_s is not None and t_s < self.start_s:
            return f"before --start {self.start_s:g}"
        if self.is_past(t_s):
            return f"after --end {self.end_s:g}"
        return f"not a multiple of --every {self.every}" if index % self.every else ""

    def is_past(self, t_s: float) -> bool:
        """Whether no later frame can be wanted."""
        return self.end_s is not None and t_s > self.end_s


EVERYTHING = Selection()


class Clock:
    """Turns the timestamps of a source into times that strictly increase, and counts what it had to repair.

    A frame without a timestamp follows the last one by the nominal interval. One that repeats the timestamp
    before it follows by half of that, further repeats by all of it. Where timestamps start again, as in
    recordings joined without care, they go on from there, so that rates stay what they were; a single
    timestamp that falls back is passed over.

    Parameters
    ----------
    nominal_s : float
        Usual interval between frames, s.
    override_s : float or None
        Interval given by the user, s: the timestamps are then ignored.

    Examples
    --------
    >>> clock = Clock(1.0)
    >>> [clock.time(i, t) for i, t in enumerate([0.0, 1.0, 1.0, 2.0])], clock.repaired
    ([0.0, 1.0, 1.5, 2.0], 1)
    >>> clock = Clock(1.0)
    >>> [clock.time(i, t) for i, t in enumerate([0.0, 1.0, 2.0, 0.0, 1.0])], clock.restarts
    ([0.0, 1.0, 2.0, 3.0, 4.0], 1)
    """

    def __init__(self, nominal_s: float, override_s: float | None = None) -> None:
        self.nominal_s = nominal_s
        self.override_s = override_s
        self.repaired = 0
        self.restarts = 0
        self._last: float | None = None
        self._offset_s = 0.0
        self._stamp_s = math.nan  # of the last frame, as it came
        self._repeated = False
        self._fell_back: tuple[float, float] | None = None  # stamp and offset before the last frame

    @property
    def last_s(self) -> float:
        """Time of the last frame, s; 0 before the first."""
        return self._last or 0.0

    def time(self, index: int, stamp_s: float | None) -> float:
        """Time of the next frame, s."""
        if self.override_s is not None:
            return index * self.override_s
        if stamp_s is None:
            self.repaired += 1
            self._last = 0.0 if self._last is None else self._last + self.nominal_s
            return self._last
        self._forget_a_single_fall(stamp_s)
        t_s, last = stamp_s + self._offset_s, self._last
        if last is not None and t_s <= last:
            self.repaired += 1
            t_s = self._restarted(stamp_s) if last - t_s > _RESTART * self.nominal_s else self._after_repeat()
        else:
            self._repeated = False
        self._last, self._stamp_s = t_s, stamp_s
        return t_s

    def _forget_a_single_fall(self, stamp_s: float) -> None:
        """Go back to the former axis where the timestamp after one that fell back stands on it."""
        if self._fell_back is None:
            return
        before_s, offset_s = self._fell_back
        self._fell_back = None
        if abs(stamp_s - before_s - 2 * self.nominal_s) <= _RESTART * self.nominal_s:
            self._offset_s, self.restarts = offset_s, self.restarts - 1

    def _restarted(self, stamp_s: float) -> float:
        self._fell_back = (self._stamp_s, self._offset_s)
        self.restarts += 1
        t_s = self.last_s + self.nominal_s
        self._offset_s = t_s - stamp_s
        return t_s

    def _after_repeat(self) -> float:
        share = 1.0 if self._repeated else _SHARE_AFTER_REPEAT
        self._repeated = True
        return self.last_s + share * self.nominal_s


def check_interval(frame_interval_s: float | None) -> None:
    """Refuse a frame interval that is not a positive number of seconds.

    Raises
    ------
    SettingsError
        If it is zero, negative or not finite.
    """
    if frame_interval_s is not None and not (math.isfinite(frame_interval_s) and frame_interval_s > 0):
        raise SettingsError(
            f"--frame-interval-s {frame_interval_s}: expected a positive number of seconds; leave it out to"
            " use timestamps"
        )


class SelectedSource:
    """Any source, with frames that were not asked for marked as skipped, and its times replaced if given.

    Parameters
    ----------
    source : Source
        Where the frames come from.
    selection : Selection
        Which of them to process.
    frame_interval_s : float or None
        Replaces the times of the source: frame number times this, s; an interruption of a camera lasts as
        long as it says so.
    """

    def __init__(
        self, source: Source, selection: Selection = EVERYTHING, frame_interval_s: float | None = None
    ) -> None:
        check_interval(frame_interval_s)
        self.source = source
        self.selection = selection
        self.frame_interval_s = frame_interval_s
        self.name = source.name
        self.calibration = source.calibration
        self.time_origin = source.time_origin if frame_interval_s is None else "command line"
        self.n_frames = source.n_frames

    def __iter__(self) -> Iterator[Frame | MissingFrame]:
        last_s = before_s = 0.0
        interrupted_s, stopped_s = 0.0, None
        for n_seen, item in enumerate(self.source, 1):
            if self.frame_interval_s is not None and stopped_s is not None:
                interrupted_s += max(0.0, item.t_s - stopped_s - self.frame_interval_s)
            stopped_s = item.t_s if isinstance(item, MissingFrame) and item.status == "gap" else None
            before_s, last_s = (
                last_s,
                (
                    item.t_s
                    if self.frame_interval_s is None
                    else item.index * self.frame_interval_s + interrupted_s
                ),
            )
            yield self._chosen(item, last_s)
            if self.n_frames is not None and n_seen > 1 and self.selection.is_past(last_s):
                # Nothing more is wanted of a source that knows its length: count the rest without making it.
                for step, index in enumerate(range(item.index + 1, self.n_frames), 1):
                    t_s = last_s + step * (last_s - before_s)
                    yield MissingFrame(index, t_s, "skipped", self.selection.excludes(index, t_s))
                return

    def _chosen(self, item: Frame | MissingFrame, t_s: float) -> Frame | MissingFrame:
        reason = self.selection.excludes(item.index, t_s)
        if reason:
            return MissingFrame(item.index, t_s, "skipped", reason)
        if isinstance(item, Frame):
            return Frame(item.index, t_s, item.image)
        return MissingFrame(item.index, t_s, item.status, item.reason)

    @property
    def warnings(self) -> list[str]:
        """What was wrong with the source."""
        return self.source.warnings

    @property
    def refused(self) -> str:
        """Why the frames are none of a specimen; empty if they are."""
        return self.source.refused

    @property
    def levels(self) -> Levels | None:
        """How the values of the source become grey levels."""
        return self.source.levels

    def samples(self) -> Iterator[Frame]:
        """Give the samples of the source."""
        yield from self.source.samples()

    def __getattr__(self, name: str) -> Any:
        # Whatever else the source offers, such as the truth of a synthetic movie, stays in reach.
        if name == "source":
            raise AttributeError(name)
        return getattr(self.source, name)

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest."""
        return {**self.source.describe(), "time_origin": self.time_origin}

    def close(self) -> None:
        """Close the source."""
        self.source.close()
