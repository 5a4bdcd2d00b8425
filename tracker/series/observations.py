"""Defects of some frames as rows, and their counts and mean sizes for every frame and class."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.io.detections import Detections
from insitrack.io.intervals import poisson_interval
from insitrack.io.results import Measures
from insitrack.tracker.series.counting import counted, whole_weight
from insitrack.tracker.series.detector import DetectorError
from insitrack.tracker.series.settings import SeriesConfig


@dataclass(frozen=True, slots=True)
class Observations:
    """Defects of some frames, row by row: what the series needs of them.

    A time bin is a frame too: then a row is a track, and its shares say in what part of the bin it was there.

    Parameters
    ----------
    frame : ndarray of int64, shape (N,)
        Place of the frame among those asked for, 0..T-1.
    place : ndarray of int64, shape (N,)
        Place of the class, 0..K-1.
    size_nm, line_length_nm : ndarray of float64, shape (N,)
        Size, and length of a line, nm; NaN where unknown.
    whole : ndarray of bool, shape (N,)
        Lies wholly in view, so that its size counts.
    weight : ndarray of float64, shape (N,)
        Weight of its size, see `insitrack.tracker.series.counting.whole_weight`.
    share, counted, observed : ndarray of float64, shape (N,)
        For what part of the frame it is there, counts towards the density, was seen by the segmenter: 0 or 1
        for a single frame.
    """

    frame: Ints
    place: Ints
    size_nm: Floats
    line_length_nm: Floats
    whole: Bools
    weight: Floats
    share: Floats
    counted: Floats
    observed: Floats

    def of_frames(self, wanted: Bools) -> Observations:
        """Return the defects of some of the frames alone; `wanted` of shape (T,)."""
        if wanted.all():
            return self
        rows = wanted[self.frame]
        place = np.cumsum(wanted) - 1
        kept = {one.name: getattr(self, one.name)[rows] for one in fields(self)}
        return Observations(**{**kept, "frame": place[kept["frame"]]})


@dataclass(frozen=True, slots=True)
class Counts:
    """How many there are, and the sum of their squared shares, with all together in the last place.

    Independent defects, each there for a part of the time only, scatter about their mean number like as many
    as (sum of shares)^2 / (sum of squared shares) that are there all the time.

    Parameters
    ----------
    n, squares : ndarray of float64, shape (T, K + 1)
        Sums of the shares, and of their squares.
    detector : DetectorError or None
        What the detector gets wrong, where that is known.
    """

    n: Floats
    squares: Floats
    detector: DetectorError | None = None
    _ends: list[tuple[Floats, Floats]] = field(default_factory=list, repr=False, compare=False)

    def interval(self) -> tuple[Floats, Floats]:
        """Exact 95 % Poisson interval of each number, widened by what the detector gets wrong."""
        if not self._ends:  # it is asked for by several quantities, and takes long
            self._ends.append(self._interval())
        low, high = self._ends[0]
        return low.copy(), high.copy()

    def _interval(self) -> tuple[Floats, Floats]:
        there = self.n > 0
        effective = np.where(there, self.n**2 / np.where(there, self.squares, 1.0), 0.0)
        low, high = poisson_interval(effective)
        each = np.where(there, self.n / np.where(there, effective, 1.0), 1.0)
        low, high = low * each, high * each
        return (low, high) if self.detector is None else self.detector.widened(self.n, low, high)


@dataclass(frozen=True, slots=True)
class Moments:
    """Weighted mean of a quantity in each frame of each class.

    Parameters
    ----------
    n : ndarray of float64, shape (T, K) or (T, K + 1)
        Effective number of defects that it rests on, 0 for none.
    mean, sd : ndarray of float64, of the same shape
        Mean and standard deviation, NaN where unknown.
    """

    n: Floats
    mean: Floats
    sd: Floats


def observe(
    config: SeriesConfig,
    *,
    frame: Ints,
    labels: Ints,
    size_nm: Floats,
    line_length_nm: Floats,
    on_edge: Bools,
    on_exclusion_edge: Bools,
    observed: Bools,
    boxes: Floats,
    centres: Floats,
    frame_px: Floats,
) -> Observations:
    """Put rows of measures, or of ``tracks.csv``, into the form that the series is made from.

    Parameters
    ----------
    config : SeriesConfig
        Says which defects count, see `insitrack.tracker.series.counting.counted`.
    frame, labels, size_nm, line_length_nm, on_edge, on_exclusion_edge, observed : ndarray, shape (N,)
        Place of the frame among those asked for; class 1..K; and columns of `Measures`.
    boxes : ndarray of float64, shape (N, 4)
        x1 y1 x2 y2, px.
    centres : ndarray of float64, shape (N, 2)
        x y, px.
    frame_px : ndarray of float64, shape (T, 2)
        Width and height of the frames, px; where they are not known (NaN) sizes are not weighted.
    """
    size_px, guard = frame_px[frame], config.border_guard_px or 0.0
    near = np.asarray(((centres < guard) | (centres > size_px - guard)).any(axis=1))
    return Observations(
        frame=frame,
        place=labels - 1,
        size_nm=size_nm,
        line_length_nm=line_length_nm,
        whole=~on_edge & np.isfinite(size_nm),
        weight=whole_weight(boxes[:, 2:] - boxes[:, :2], size_px),
        share=np.ones(len(frame)),
        counted=counted(config.border, on_edge, on_exclusion_edge, near).astype(np.float64),
        observed=observed.astype(np.float64),
    )


def observe_frame(
    config: SeriesConfig, detections: Detections, measures: Measures, observed: Bools
) -> Observations:
    """Do the same for the measured detections of a single frame; `observed` of shape (N,)."""
    return observe(
        config,
        frame=np.zeros(len(detections), np.int64),
        labels=detections.labels,
        size_nm=measures.size_nm,
        line_length_nm=measures.line_length_nm,
        on_edge=measures.on_edge,
        on_exclusion_edge=measures.on_exclusion_edge,
        observed=observed,
        boxes=detections.boxes.astype(np.float64),
        centres=np.column_stack([measures.x_px, measures.y_px]),
        frame_px=np.array([detections.shape[::-1]], np.float64),
    )


def summed(seen: Observations, values: Floats, t: int, k: int) -> Floats:
    """Sum over the defects of each frame and class, shape (T, K)."""
    cell = seen.frame * k + (seen.place if k > 1 else 0)
    sums = np.bincount(cell, weights=values, minlength=t * k).reshape(t, k)
    return np.asarray(sums, np.float64)


def counts_of(
    seen: Observations, shares: Floats, t: int, k: int, detector: DetectorError | None = None
) -> Counts:
    """Count the defects of each frame and class, each with its share."""
    return Counts(
        n=with_total(summed(seen, shares, t, k)),
        squares=with_total(summed(seen, shares**2, t, k)),
        detector=detector,
    )


def moments(values: Floats, seen: Observations, which: Bools, t: int, k: int) -> Moments:
    """Weighted mean and standard deviation of the chosen defects of each frame and class, shape (T, K)."""
    weight = np.where(which, seen.weight, 0.0)
    value = np.where(which, values, 0.0)
    total, squares = summed(seen, weight, t, k), summed(seen, weight**2, t, k)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = summed(seen, weight * value, t, k) / np.where(total > 0, total, np.nan)
        n = np.where(total > 0, total**2 / squares, 0.0)
    middle = np.where(np.isnan(mean), 0.0, mean)[seen.frame, seen.place if k > 1 else 0]
    deviation = value - np.where(which, middle, 0.0)
    spread = summed(seen, weight * deviation**2, t, k)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Bessel's correction for weights that are no counts
        sd = np.sqrt(spread / np.where(n > 1 + 1e-9, total * (1 - 1 / np.maximum(n, 1)), np.nan))
    return Moments(n=n, mean=mean, sd=sd)


def sizes_of(seen: Observations, dispersed: Bools, t: int) -> Moments:
    """Sizes of what lies wholly in view, shape (T, K + 1); lines have no part in those of all together.

    Parameters
    ----------
    seen : Observations
        Defects.
    dispersed : ndarray of bool, shape (K,)
        Classes that are no lines.
    t : int
        Number of frames.
    """
    own = moments(seen.size_nm, seen, seen.whole, t, len(dispersed))
    everything = replace(seen, place=np.zeros_like(seen.place))
    pooled = moments(seen.size_nm, everything, seen.whole & dispersed[seen.place], t, 1)
    return Moments(
        n=np.column_stack([own.n, pooled.n]),
        mean=np.column_stack([own.mean, pooled.mean]),
        sd=np.column_stack([own.sd, pooled.sd]),
    )


def sizes_or_cut(seen: Observations, sizes: Moments, t: int) -> Moments:
    """Sizes of obstacles: where all of a class are cut by the border, the extent of what is in view.

    Else one lone defect would empty the total. Parts in view are no measured sizes: they rest on none (n = 0), and
    their spread is that assumed for an unknown size.
    """
    k = sizes.mean.shape[1] - 1
    cut = moments(seen.size_nm, replace(seen, weight=seen.share), np.isfinite(seen.size_nm), t, k)
    lone = np.isnan(sizes.mean[:, :k])

    def filled(whole: Floats, part: Floats) -> Floats:
        return np.column_stack([np.where(lone, part, whole[:, :k]), whole[:, k:]])

    none = np.zeros_like(cut.n)
    return Moments(n=filled(sizes.n, none), mean=filled(sizes.mean, cut.mean), sd=filled(sizes.sd, none))


def with_total(counts: Floats | Ints) -> Floats:
    """Append the sum over the classes, shape (T, K + 1)."""
    return np.column_stack([counts, counts.sum(axis=1)]).astype(np.float64)
