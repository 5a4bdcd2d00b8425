"""What flows out: measures of each defect, the per-frame series, events, and the one thing that a sink sees."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.io.detections import Detections
from insitrack.io.frames import Frame, MissingFrame

EventKind = Literal["birth", "death", "merge", "split", "gap", "view"]
NAN = float("nan")
NM_MEASURES = ("size_nm", "area_nm2", "line_length_nm")
"""Measures that tell a size of the specimen, and not of the image."""


@dataclass(frozen=True, slots=True)
class Measures:
    """Position, size and orientation of each detection; row by row with its `Detections`.

    Parameters
    ----------
    x_px, y_px : ndarray of float64, shape (N,)
        Centre of the mask in the frame, px.
    area_px : ndarray of float64, shape (N,)
        Pixels in the mask, px^2.
    major_px, minor_px : ndarray of float64, shape (N,)
        Axes of the ellipse with the mask's second moments, full length, px.
    angle_deg : ndarray of float64, shape (N,)
        Direction of the major axis, degrees in [0, 180), from x towards y (clockwise on the screen).
    on_edge : ndarray of bool, shape (N,)
        True where the mask touches the border of the frame or of the valid field.
    size_nm : ndarray of float64, shape (N,)
        Size by the definition of its class, nm; NaN where the scale is unknown.
    area_nm2 : ndarray of float64, shape (N,)
        Area, nm^2; NaN where the scale is unknown.
    line_length_nm : ndarray of float64, shape (N,)
        Length of a line dislocation along its middle, nm; NaN for every other class and where the scale is
        unknown. Left out: all NaN.
    on_exclusion_edge : ndarray of bool, shape (N,)
        True where the mask touches the left or the lower border: those are not counted by the rule of
        Gundersen. Left out: all False.
    feret_px, r_min_px, r_max_px, heywood : ndarray of float64, shape (N,)
        Longest caliper extent, distance of the nearest and farthest corner of the convex hull from the mean
        of its corners, px, and the hull's circularity: what other definitions of size and shape need. Left
        out: all NaN.
    """

    x_px: Floats
    y_px: Floats
    area_px: Floats
    major_px: Floats
    minor_px: Floats
    angle_deg: Floats
    on_edge: Bools
    size_nm: Floats
    area_nm2: Floats
    line_length_nm: Floats = field(default_factory=lambda: np.zeros(0))
    on_exclusion_edge: Bools = field(default_factory=lambda: np.zeros(0, bool))
    feret_px: Floats = field(default_factory=lambda: np.zeros(0))
    r_min_px: Floats = field(default_factory=lambda: np.zeros(0))
    r_max_px: Floats = field(default_factory=lambda: np.zeros(0))
    heywood: Floats = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        n = len(self.x_px)
        for name in ("line_length_nm", "on_exclusion_edge", "feret_px", "r_min_px", "r_max_px", "heywood"):
            if len(getattr(self, name)) != n:
                object.__setattr__(
                    self, name, np.zeros(n, bool) if name == "on_exclusion_edge" else np.full(n, NAN)
                )

    def __len__(self) -> int:
        return len(self.x_px)

    @classmethod
    def nothing(cls) -> Measures:
        """Return the measures of no detection at all."""
        none = np.zeros(0)
        return cls(none, none, none, none, none, none, np.zeros(0, bool), none, none)

    def take(self, rows: Ints | Bools) -> Measures:
        """Return the rows asked for, in that order."""
        return Measures(*(getattr(self, name)[rows] for name in self.__slots__))

    def without_nm(self, rows: Ints | Bools) -> Measures:
        """Return the same with lengths and areas in nm unknown in some rows."""
        empty = {name: getattr(self, name).copy() for name in NM_MEASURES}
        for values in empty.values():
            values[rows] = NAN
        return replace(self, **empty)

    def then(self, others: Measures) -> Measures:
        """Return these rows and then those of `others`."""
        return Measures(
            *(np.concatenate([getattr(self, name), getattr(others, name)]) for name in self.__slots__)
        )


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One row of `series.csv`: one frame and one class, or class `all`. Units are in the names.

    NaN is unknown.

    `n` counts the defects that are there (seen, or alive in a gap), `n_observed` those that the segmenter
    saw.
    """

    frame: int
    t_s: float
    dose_dpa: float
    defect_class: str
    n: float
    n_lo: float
    n_hi: float
    n_observed: float
    births: float
    deaths: float
    field_nm2: float
    density_per_m2: float
    density_per_m2_lo: float
    density_per_m2_hi: float
    density_per_m3: float
    density_per_m3_lo: float
    density_per_m3_hi: float
    size_nm: float
    size_sd_nm: float
    size_lo_nm: float
    size_hi_nm: float
    hardening_linear_mpa: float
    hardening_linear_mpa_lo: float
    hardening_linear_mpa_hi: float
    hardening_quadrature_mpa: float
    hardening_quadrature_mpa_lo: float
    hardening_quadrature_mpa_hi: float
    line_length_nm: float = NAN
    line_density_per_m2: float = NAN
    line_density_per_m2_lo: float = NAN
    line_density_per_m2_hi: float = NAN
    n_counted: float = NAN
    volume_fraction: float = NAN
    volume_fraction_lo: float = NAN
    volume_fraction_hi: float = NAN
    swelling_percent: float = NAN
    swelling_percent_lo: float = NAN
    swelling_percent_hi: float = NAN
    hardening_mixed_mpa: float = NAN
    hardening_mixed_mpa_lo: float = NAN
    hardening_mixed_mpa_hi: float = NAN
    temperature_c: float = NAN
    beam_current_a: float = NAN


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a track.

    `birth` and `death` carry the frame in which the track was first or last seen; `gap` the frame in which it
    was seen again after being missed; `merge` and `split` name the other track in `other_id`, which is -1
    otherwise. `view` is the first frame of another view, another place or magnification, in which every track of
    before ends without having been seen to; its `track_id` is -1.
    """

    frame: int
    t_s: float
    kind: EventKind
    track_id: int
    other_id: int = -1


@dataclass(frozen=True, slots=True)
class TrackSummary:
    """One row of `summary.csv`: the life of one track.

    Parameters
    ----------
    track_id : int
        The track.
    defect_class : str
        The class with the largest sum of scores over its life.
    t_first_s, t_last_s, lifetime_s : float
        First and last time it was seen, and the difference, s.
    left_censored, right_censored : bool
        It was there before the first frame or entered at the border; it was still alive at the last frame or
        left the field.
    n_observed : int
        Frames in which it was seen.
    size_nm : float
        Mean size, nm.
    growth_nm_per_s : float
        Slope of size against time, nm/s; NaN with fewer than three observations.
    net_displacement_nm : float
        From where it was first seen to where it was last seen, drift removed, nm.
    growth_lo_nm_per_s, growth_hi_nm_per_s : float
        Its 95 % interval, known with hindsight only.
    class_probability : float
        Share of the evidence, the sum of scores, that speaks for its class, 0..1.
    """

    track_id: int
    defect_class: str
    t_first_s: float
    t_last_s: float
    lifetime_s: float
    left_censored: bool
    right_censored: bool
    n_observed: int
    size_nm: float
    growth_nm_per_s: float
    net_displacement_nm: float
    growth_lo_nm_per_s: float = NAN
    growth_hi_nm_per_s: float = NAN
    class_probability: float = NAN


@dataclass(frozen=True, slots=True)
class Doubted:
    """Finds of one frame that are more likely none than defects, row by row.

    Parameters
    ----------
    detections : Detections
        What was found, N rows.
    measures : Measures
        What was measured, N rows.
    track_ids : ndarray of int64, shape (N,)
        Ids of the run.
    probability : ndarray of float64, shape (N,)
        Probability that the defect is there, from this frame and those before.
    """

    detections: Detections
    measures: Measures
    track_ids: Ints
    probability: Floats


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """Everything known of one source frame; the only thing that a sink ever sees.

    Rows of `detections`, `measures`, `track_ids` and `observed` belong together; defects that are alive in a
    gap come last, with `observed` False and the position at which they are expected.

    Parameters
    ----------
    frame : Frame or MissingFrame
        The picture, or why there is none; then there are no detections and the series is empty.
    detections : Detections
        What was found, N rows.
    measures : Measures
        What was measured, N rows.
    track_ids : ndarray of int64, shape (N,)
        Ids, unique in the run, never used twice.
    observed : ndarray of bool, shape (N,)
        False for a defect that the segmenter did not see in this frame.
    shift_px : tuple of float
        How far the specimen has moved on the picture since the first frame of the view, (x, y), px.
    series : tuple of SeriesRow
        One per class that the segmenter can find, and `all`; none for a skipped frame.
    events : tuple of Event
        What happened in this frame.
    finished : tuple of TrackSummary
        Tracks that ended with this frame.
    drift_quality : float
        How well the shift is known, 0..1; NaN where the drift comes from the defects, or is unknown.
    view : int
        Number of the view, from 0: one more after every jump to another place or magnification.
    nm_per_px : float
        Scale of this frame, nm; NaN where unknown.
    field_px : float
        Specimen in view, px^2; 0 where the picture shows none, NaN where there was none to look at.
    probability : ndarray of float64, shape (N,)
        Probability that the defect is there, from this frame and those before. Left out: all NaN.
    doubted : Doubted or None
        Finds that are more likely none: neither counted nor drawn, kept for hindsight.
    trust : float
        Probability that the frame is of a kind that the model knows, 0..1; NaN where nobody judged.
    distrust : tuple of str
        Short names of what speaks against it.
    """

    frame: Frame | MissingFrame
    detections: Detections
    measures: Measures
    track_ids: Ints
    observed: Bools
    shift_px: tuple[float, float] = (NAN, NAN)
    series: tuple[SeriesRow, ...] = ()
    events: tuple[Event, ...] = ()
    finished: tuple[TrackSummary, ...] = field(default=())
    drift_quality: float = NAN
    field_px: float = NAN
    probability: Floats = field(default_factory=lambda: np.zeros(0))
    doubted: Doubted | None = None
    view: int = 0
    nm_per_px: float = NAN
    trust: float = NAN
    distrust: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.probability) != len(self.track_ids):
            object.__setattr__(self, "probability", np.full(len(self.track_ids), NAN))
        lengths = {len(self.detections), len(self.measures), len(self.track_ids), len(self.observed)}
        if len(lengths) != 1:
            raise ValueError(
                f"frame {self.frame.index}: detections, measures, track_ids and observed must have one"
                f" length, got {sorted(lengths)}"
            )
