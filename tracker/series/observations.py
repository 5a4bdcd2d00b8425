"""Defects of some frames as rows, and what is summed over them for every frame and class."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.tracker.series.density import poisson_interval


@dataclass(frozen=True, slots=True)
class Observations:
    """Defects of some frames, row by row: what the series needs of them.

    A stretch of time is a frame too: then a row is a track, and its shares say in what part of the stretch it
    was there.

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
        Weight of its size, see `insitrack.tracker.series.density.whole_weight`.
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


@dataclass(frozen=True, slots=True)
class Counts:
    """How many there are, shape (T, K + 1) with all together in the last place.

    And the sum of their squared shares.

    Independent defects, each there for a part of the time only, scatter about their mean number like as many
    as (sum of shares)^2 / (sum of squared shares) that are there all the time.
    """

    n: Floats
    squares: Floats

    def interval(self) -> tuple[Floats, Floats]:
        """Exact 95 % Poisson interval of each number."""
        there = self.n > 0
        effective = np.where(there, self.n**2 / np.where(there, self.squares, 1.0), 0.0)
        low, high = poisson_interval(effective)
        each = np.where(there, self.n / np.where(there, effective, 1.0), 1.0)
        return low * each, high * each


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes in each frame of each class, and of all together in the last place, nm.

    Shape (T, K + 1). `n` is the effective number.
    """

    n: Floats
    mean: Floats
    sd: Floats


def summed(sights: Observations, values: Floats, t: int, k: int) -> Floats:
    """Sum over the defects of each frame and class, shape (T, K)."""
    return np.asarray(
        np.bincount(
            sights.frame * k + (sights.place if k > 1 else 0), weights=values, minlength=t * k
        ).reshape(t, k),
        np.float64,
    )


def counts_of(sights: Observations, shares: Floats, t: int, k: int) -> Counts:
    """Count the defects of each frame and class, each with its share."""
    return Counts(with_total(summed(sights, shares, t, k)), with_total(summed(sights, shares**2, t, k)))


def moments(
    values: Floats, sights: Observations, which: Bools, t: int, k: int
) -> tuple[Floats, Floats, Floats]:
    """Weighted mean, effective number and standard deviation of the chosen defects of each frame and class.

    Shape (T, K).
    """
    weight = np.where(which, sights.weight, 0.0)
    value = np.where(which, values, 0.0)
    total, squares = summed(sights, weight, t, k), summed(sights, weight**2, t, k)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = summed(sights, weight * value, t, k) / np.where(total > 0, total, np.nan)
        n = np.where(total > 0, total**2 / squares, 0.0)
    deviation = value - np.where(which, np.nan_to_num(mean)[sights.frame, sights.place if k > 1 else 0], 0.0)
    spread = summed(sights, weight * deviation**2, t, k)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Bessel's correction for weights that are no counts
        sd = np.sqrt(spread / np.where(n > 1 + 1e-9, total * (1 - 1 / np.maximum(n, 1)), np.nan))
    return mean, n, sd


def sizes_or_cut(sights: Observations, sizes: Sizes, t: int) -> Sizes:
    """Sizes of obstacles: where all of a class are cut by the border, those of what is in view.

    Else one lone defect would empty the total.
    """
    k = sizes.mean.shape[1] - 1
    mean, n, sd = moments(
        sights.size_nm, replace(sights, weight=sights.share), np.isfinite(sights.size_nm), t, k
    )
    lone = np.isnan(sizes.mean[:, :k])
    parts = ((sizes.n, n), (sizes.mean, mean), (sizes.sd, sd))
    return Sizes(
        *(np.column_stack([np.where(lone, cut, whole[:, :k]), whole[:, k:]]) for whole, cut in parts)
    )


def with_total(counts: Floats | Ints) -> Floats:
    """Append the sum over the classes, shape (T, K + 1)."""
    return np.column_stack([counts, counts.sum(axis=1)]).astype(np.float64)
