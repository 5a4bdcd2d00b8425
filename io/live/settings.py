"""How a live source is read, and where a run that was cut off goes on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from insitrack.io.errors import SettingsError
from insitrack.io.levels import Levels
from insitrack.io.live.triggers import parse_trigger
from insitrack.io.live.waiting import Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveConfig:
    """How a live source is read.

    Parameters
    ----------
    policy : {"newest", "all"}
        When frames come faster than they can be processed: `newest` drops the oldest that wait and counts
        them; `all` stores them on disk and catches up.
    queue_frames : int
        Frames that may wait in memory.
    stall_s : float
        Without a frame for so long, s, and for three usual intervals, a source counts as stalled: that
        is reported, and it is reconnected.
    most_back_off_s : float
        Longest pause between two attempts to reconnect, s.
    give_up_s : float
        How long to try before the run ends, s; 0: for ever.
    spool : str
        Folder for what waits on disk with `all`; empty: the system's folder for temporary files.
    triggers : tuple of str
        Conditions to be told of, such as `density_per_m2 > 2e15 for 10 s`, `silent_s > 30` or `saturation`.

    Raises
    ------
    SettingsError
        If a value is out of its range.
    """

    policy: Policy = "newest"
    queue_frames: int = 4
    stall_s: float = 4.0
    most_back_off_s: float = 2.0
    give_up_s: float = 0.0
    spool: str = ""
    triggers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for text in self.triggers:
            parse_trigger(text)
        if self.policy not in ("newest", "all"):
            raise SettingsError(
                f"live.policy {self.policy!r}: expected newest (drops and counts) or all (stores and"
                " catches up)"
            )
        if self.queue_frames < 1:
            raise SettingsError(f"live.queue_frames {self.queue_frames}: expected at least 1")
        for name in ("stall_s", "most_back_off_s"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise SettingsError(f"live.{name} {getattr(self, name)}: expected a positive number of s")
        if not (math.isfinite(self.give_up_s) and self.give_up_s >= 0):
            raise SettingsError(
                f"live.give_up_s {self.give_up_s}: expected 0 (never) or a positive number of s"
            )
        if self.spool and not Path(self.spool).is_dir():
            raise SettingsError(
                f"live.spool {self.spool!r}: no such folder; make it, or leave it out for the system's"
                " temporary one"
            )


@dataclass(frozen=True, slots=True)
class LeftOff:
    """Where a run that was cut off goes on; what was missed is a gap.

    Parameters
    ----------
    next_index : int
        Number of the next frame.
    t_s : float
        Its time, s.
    levels : Levels, optional
        How values become grey levels in this run.
    """

    next_index: int
    t_s: float
    levels: Levels | None = None
