"""Settings of the refinement."""

from __future__ import annotations

import math
from dataclasses import dataclass

from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.errors import SettingsError


@dataclass(frozen=True, kw_only=True, slots=True)
class RefineConfig:
    """What is done with hindsight.

    Parameters
    ----------
    enabled : bool
        Refine the tables when a run of a file has ended; the causal ones are kept beside them.
    max_gap_s : float or None
        Longest gap that is closed, s; None: `max_gap_frames` median frame intervals.
    max_gap_frames : float
        The same in frame intervals.
    max_distance_diameters : float
        How far apart the two sides of a gap may lie, in diameters.
    min_gate_px : float
        Least such distance, px.
    glide_nm : float
        Longest jump across which an established track is joined to an established one that begins just then,
        nm; 0: none.
    glide_diameters : float
        The same in diameters, where the scale is unknown.
    glide_directions_deg : tuple of float
        Directions of glide on the frame, degrees from x towards y (projected <110>); a jump must run along
        one of them within 8 degrees. Empty: those that many jumps of the movie share; where there are none, along
        the direction in which both sides move by themselves.
    sessile : tuple of str
        Classes that do not glide. a0<100> loops have been seen to move by a change of habit plane, so that
        they are not among them unasked.
    max_size_ratio : float
        Most that the diameter may differ between the two sides, as a ratio.
    smooth : bool
        Take the noise out of positions and sizes.
    max_rows : int
        Larger tables are left as they are, for want of memory.

    Raises
    ------
    SettingsError
        If a value lies outside its range.
    """

    enabled: bool = True
    max_gap_s: float | None = None
    max_gap_frames: float = 20.0
    max_distance_diameters: float = 0.7
    min_gate_px: float = 4.0
    glide_nm: float = 20.0
    glide_diameters: float = 2.5
    glide_directions_deg: tuple[float, ...] = ()
    sessile: tuple[str, ...] = ("void", "precipitate", "dislocation")
    max_size_ratio: float = 1.6
    smooth: bool = True
    max_rows: int = 10_000_000

    def __post_init__(self) -> None:
        if self.max_rows < 1:
            raise SettingsError(f"refine.max_rows {self.max_rows}: expected at least 1")
        for name in (
            "max_gap_s",
            "max_gap_frames",
            "max_distance_diameters",
            "min_gate_px",
            "glide_nm",
            "glide_diameters",
        ):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise SettingsError(f"refine.{name} {value}: expected zero or a positive number")
        unknown = [name for name in self.sessile if name not in DEFECT_CLASSES]
        if unknown:
            raise SettingsError(
                f"refine.sessile {unknown[0]!r}: unknown class; known are {', '.join(DEFECT_CLASSES)}"
            )
        if not self.max_size_ratio > 1:
            raise SettingsError(f"refine.max_size_ratio {self.max_size_ratio}: expected a ratio above 1")
