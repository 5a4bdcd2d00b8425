"""Settings of the linker and of the estimate of the drift."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from insitrack.io.detections import check_class
from insitrack.io.errors import SettingsError


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkConfig:
    """What counts as the same defect in the next frame.

    Parameters
    ----------
    max_distance_diameters : float
        Gate: how far a defect may be from where it is expected, in diameters of its own (the mean of both
        axes).
    min_gate_px : float
        Least gate, px, so that small dots survive what the drift leaves over.
    widening_nm_per_s : float
        How fast the gate widens with the time since the defect was last seen, nm/s, up to twice the gate;
        needs the scale.
    max_size_ratio : float
        Most that the diameter may change from one observation to the next, as a ratio.
    class_cost : float
        What it costs to call the same defect by another class; 1 is the cost of a step as long as the gate.
    confirm_hits : int
        Times a defect must be seen before it counts as there in a gap.
    patience_s : float or None
        How long a defect may be missed before its track ends, s; None: `patience_frames` median frame
        intervals.
    patience_frames : float
        The same in frame intervals, used where `patience_s` is None.
    patience_by_class : mapping of str to float
        Factors of the patience for single classes: small dots blink, large loops do not. Empty: the same for
        all.
    shown_share : float
        For this share of the patience a confirmed defect that is missed counts as there; afterwards it is
        only remembered, 0..1.
    birth_score : float
        Least score that begins a track; weaker detections only continue one.

    Raises
    ------
    SettingsError
        If a value lies outside its range.

    Examples
    --------
    >>> LinkConfig(patience_s=2.5).confirm_hits
    3
    """

    max_distance_diameters: float = 1.0
    min_gate_px: float = 4.0
    widening_nm_per_s: float = 2.0
    max_size_ratio: float = 3.0
    class_cost: float = 0.3
    confirm_hits: int = 3
    patience_s: float | None = None
    patience_frames: float = 10.0
    patience_by_class: Mapping[str, float] = field(default_factory=dict)
    shown_share: float = 0.35
    birth_score: float = 0.0

    def __post_init__(self) -> None:
        for name in ("max_distance_diameters", "min_gate_px"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise SettingsError(f"link.{name} {value}: expected a positive number")
        for name in ("widening_nm_per_s", "class_cost", "patience_frames", "patience_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise SettingsError(f"link.{name} {value}: expected zero or a positive number")
        for name, factor in self.patience_by_class.items():
            check_class("link.patience_by_class", name)
            if not (isinstance(factor, (int, float)) and math.isfinite(factor) and factor >= 0):
                raise SettingsError(
                    f"link.patience_by_class.{name} {factor}: expected zero or a positive factor"
                )
        if not self.max_size_ratio > 1:
            raise SettingsError(f"link.max_size_ratio {self.max_size_ratio}: expected a ratio above 1")
        if self.confirm_hits < 1:
            raise SettingsError(f"link.confirm_hits {self.confirm_hits}: expected at least 1")
        if not 0 <= self.shown_share <= 1:
            raise SettingsError(f"link.shown_share {self.shown_share}: expected a share from 0 to 1")
        if not 0 <= self.birth_score <= 1:
            raise SettingsError(f"link.birth_score {self.birth_score}: expected a score from 0 to 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftConfig:
    """How the drift of the stage is estimated.

    Parameters
    ----------
    enabled : bool
        False: the stage is taken to stand still.
    size_px : int
        The frame is shrunk by a whole factor until its longer side is about this long, px.
    min_significance : float
        Least height of the correlation peak, in standard deviations of the correlation, to believe it.
    refresh_quality : float
        A new keyframe is taken when the quality falls below this share of what it was just after the last
        one, 0..1.
    refresh_shift : float
        A new keyframe is taken when the specimen has moved by this share of the frame, 0..0.5.
    lost_frames : int
        After this many frames in a row that fit each other but not the keyframe, the view has changed: start
        again from there.

    Raises
    ------
    SettingsError
        If a value lies outside its range.

    Examples
    --------
    >>> DriftConfig(size_px=128).min_significance
    6.0
    """

    enabled: bool = True
    size_px: int = 256
    min_significance: float = 6.0
    refresh_quality: float = 0.7
    refresh_shift: float = 0.25
    lost_frames: int = 3

    def __post_init__(self) -> None:
        if self.size_px < 32:
            raise SettingsError(f"drift.size_px {self.size_px}: expected at least 32 px")
        if not (math.isfinite(self.min_significance) and self.min_significance > 0):
            raise SettingsError(
                f"drift.min_significance {self.min_significance}: expected a positive number of standard"
                " deviations"
            )
        if not 0 <= self.refresh_quality <= 1:
            raise SettingsError(f"drift.refresh_quality {self.refresh_quality}: expected a share from 0 to 1")
        if not 0 < self.refresh_shift <= 0.5:
            raise SettingsError(
                f"drift.refresh_shift {self.refresh_shift}: expected a share above 0, at most 0.5"
            )
        if self.lost_frames < 1:
            raise SettingsError(f"drift.lost_frames {self.lost_frames}: expected at least 1 frame")
