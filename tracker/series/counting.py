"""Which defects count, how large each whole one weighs, and for how many unseen ones each stands."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from insitrack.io.arrays import Bools, Floats

BorderRule = Literal["gundersen", "inside", "centroid", "all"]
Imaging = Literal[
    "as_seen", "two_beam_110", "two_beam_200", "two_beam_211", "on_zone_001", "on_zone_001_edge_on"
]

VISIBILITY: dict[str, tuple[float, float]] = {
    "as_seen": (1.0, 1.0),
    "two_beam_110": (2.0, 1.5),
    "two_beam_200": (1.0, 3.0),
    "two_beam_211": (4 / 3, 1.0),
    "on_zone_001": (1.0, 1.0),
    "on_zone_001_edge_on": (1.0, 1.5),
}
"""All variants over those that g.b = 0 leaves visible, of Burgers vectors a0/2<111> and a0<100>, if all
variants are equally many.

``on_zone_001``: plan-view a0<100> loops, seen by their double edge, are counted; ``on_zone_001_edge_on``:
only those edge-on are.
"""

BURGERS_111 = ("loop_111", "dislocation")
BURGERS_100 = ("loop_100",)
"""Classes that a Burgers vector is known of; black dots are of either, and `loop` may be either."""


def visibility_factor(imaging: Imaging, name: str) -> float:
    """How many defects of a class there are for each that can be seen.

    Examples
    --------
    >>> [visibility_factor("two_beam_200", name) for name in ("loop_111", "loop_100", "black_dot")]
    [1.0, 3.0, 1.0]
    """
    of_111, of_100 = VISIBILITY[imaging]
    return of_111 if name in BURGERS_111 else of_100 if name in BURGERS_100 else 1.0


def counted(rule: BorderRule, on_edge: Bools, on_exclusion_edge: Bools, in_guard: Bools) -> Bools:
    """Find which defects of a frame count towards its density.

    Parameters
    ----------
    rule : {"gundersen", "inside", "centroid", "all"}
        `gundersen`: all that do not touch the left or lower border; over the whole field that is unbiased,
        whatever their size and shape (a defect counts where the lower left corner of its box lies). `inside`:
        none that touches any border; too few. `all`: too many. `centroid`: those whose centre lies in the
        field less a guard as wide as the largest radius, over that smaller field; unbiased.
    on_edge, on_exclusion_edge, in_guard : ndarray of bool, shape (N,)
        Touches any border; touches the left or lower one; has its centre in the guard.

    References
    ----------
    Gundersen, J. Microsc. 111 (1977) 219, doi 10.1111/j.1365-2818.1977.tb00062.x.

    Examples
    --------
    >>> edge, excluded = np.array([True, True, False]), np.array([True, False, False])
    >>> [int(counted(rule, edge, excluded, ~edge).sum()) for rule in ("gundersen", "inside", "all")]
    [2, 1, 3]
    """
    if rule == "gundersen":
        return ~on_exclusion_edge
    if rule == "inside":
        return ~on_edge
    return ~in_guard if rule == "centroid" else np.ones(len(on_edge), bool)


def whole_weight(sides_px: Floats, frame_px: Floats) -> Floats:
    r"""Weight of each defect that lies wholly in view.

    It is :math:`W H / ((W - f_x)(H - f_y))` for a box of :math:`f_x` by :math:`f_y`.

    A large defect is cut by the border more often than a small one; without the weight mean sizes come out
    too small.

    Parameters
    ----------
    sides_px : ndarray of float64, shape (N, 2)
        Width and height of the boxes, px.
    frame_px : ndarray of float64, shape (2,) or (N, 2)
        Width and height of the frame, px; where it is not known (NaN) the weight is 1.

    References
    ----------
    Miles, Lantuejoul: J. Serra, Image Analysis and Mathematical Morphology, Academic Press 1982.

    Examples
    --------
    >>> float(whole_weight(np.array([[50.0, 20.0]]), np.array([100.0, 100.0]))[0])
    2.5
    """
    weight = (frame_px / np.maximum(frame_px - sides_px, 1.0)).prod(axis=1)
    return np.asarray(np.where(np.isnan(weight), 1.0, weight), np.float64)


def overlap_loss(density_per_m2: ArrayLike, size_nm: ArrayLike) -> Floats:
    r"""Fraction of defects whose centre lies within one diameter of another one.

    It is :math:`1 - \exp(-\pi N_A d^2)`.

    Examples
    --------
    >>> float(overlap_loss(3.41e14, 8.2).round(3))
    0.069
    """
    return np.asarray(
        -np.expm1(-np.pi * np.asarray(density_per_m2) * (np.asarray(size_nm) * 1e-9) ** 2), np.float64
    )


def detector_factor(precision: float, recall: float, n_labels: int) -> tuple[float, float]:
    r"""Return the number of defects per detection, :math:`P / R`, and its relative standard deviation.

    Parameters
    ----------
    precision, recall : float
        Scores of the detector on frames like these, above 0 and up to 1.
    n_labels : int
        Labelled defects that the scores rest on: both are binomial shares of about that many; 0 leaves the
        error out.

    Examples
    --------
    >>> factor, sd = detector_factor(0.9, 0.75, 400)
    >>> round(factor, 3), round(sd, 4)
    (1.2, 0.0333)
    """
    if not n_labels:
        return precision / recall, 0.0
    return precision / recall, float(
        np.sqrt((1 - precision) / (precision * n_labels) + (1 - recall) / (recall * n_labels))
    )
