"""From counts to densities: which defects count, in what volume, how many of them can be seen.

And how sure that is.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaincinv, stdtrit

from insitrack.io.arrays import Bools, Floats

Z_95 = 1.959964
"""Half width of the 95 % interval in standard deviations."""

BorderRule = Literal["gundersen", "inside", "centroid", "all"]
FoilCorrection = Literal["none", "abercrombie", "denuded"]
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
"""Classes that a Burgers vector is known of; black dots are of either, and `loop` cannot tell."""


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
    """Tell which defects of a picture count towards its density.

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

    :math:`W H / ((W - f_x)(H - f_y))` for a box of :math:`f_x` by :math:`f_y`.

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


def foil_depth_nm(
    correction: FoilCorrection,
    thickness_nm: float,
    size_nm: ArrayLike,
    *,
    smallest_cap_nm: float = 0.0,
    denuded_zone_nm: float = 0.0,
) -> Floats:
    r"""Depth of the volume whose defects are seen, nm.

    Parameters
    ----------
    correction : {"none", "abercrombie", "denuded"}
        `none`: t. `abercrombie`, for a foil cut after the irradiation, whose surfaces show what they cut:
        :math:`t + d - 2 h`. `denuded`, for a foil irradiated as such, whose surfaces swallow defects:
        :math:`t - 2 z_d`.
    thickness_nm : float
        Foil thickness t, nm.
    size_nm : array_like of float
        Diameter d of the defects, nm.
    smallest_cap_nm : float
        Height h of the smallest cap of a cut defect that is still seen, nm.
    denuded_zone_nm : float
        Depth z_d without defects below each surface, nm.

    References
    ----------
    Abercrombie, Anat. Rec. 94 (1946) 239, doi 10.1002/ar.1090940210.

    Examples
    --------
    >>> float(foil_depth_nm("abercrombie", 100.0, 20.0)), float(foil_depth_nm("denuded", 100.0, 20.0, denuded_zone_nm=10.0))
    (120.0, 80.0)
    """
    size = np.asarray(size_nm, np.float64)
    if correction == "abercrombie":
        return np.asarray(thickness_nm + size - 2 * smallest_cap_nm, np.float64)
    return np.full(size.shape, thickness_nm - (2 * denuded_zone_nm if correction == "denuded" else 0.0))


def poisson_interval(n: ArrayLike) -> tuple[Floats, Floats]:
    """Exact 95 % interval of the expected count, given that `n` were counted (Garwood 1936).

    `n` need not be whole: a mean over frames that rests on so many independent defects has the interval of
    that many.

    Examples
    --------
    >>> [end.round(3).tolist() for end in poisson_interval([0, 10])]
    [[0.0, 4.795], [3.689, 18.39]]
    """
    count = np.asarray(n, np.float64)
    low = gammaincinv(np.where(count > 0, count, 1.0), 0.025)
    return np.where(count > 0, low, 0.0 * count), np.asarray(gammaincinv(count + 1, 0.975), np.float64)


def mean_half_width(n: ArrayLike) -> Floats:
    """Half width of the 95 % interval of the mean of `n` values, in their standard deviations.

    NaN below two (Student's t).

    Examples
    --------
    >>> float(mean_half_width(10).round(4))
    0.7154
    """
    count = np.asarray(n, np.float64)
    known = np.where(count >= 2, count, np.nan)
    return np.asarray(stdtrit(known - 1, 0.975) / np.sqrt(known), np.float64)


def overlap_loss(density_per_m2: ArrayLike, size_nm: ArrayLike) -> Floats:
    r"""Fraction of defects whose centre lies within one diameter of another one.

    :math:`1 - \exp(-\pi N_A d^2)`.

    Examples
    --------
    >>> float(overlap_loss(3.41e14, 8.2).round(3))
    0.069
    """
    return np.asarray(
        -np.expm1(-np.pi * np.asarray(density_per_m2) * (np.asarray(size_nm) * 1e-9) ** 2), np.float64
    )


def detector_factor(precision: float, recall: float, n_labels: int) -> tuple[float, float]:
    r"""How many defects there are for each that a detector finds, :math:`P / R`.

    And the relative standard deviation of that.

    Parameters
    ----------
    precision, recall : float
        Scores of the detector on pictures like these, above 0 and up to 1.
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


def volume_fraction_to_swelling(
    volume_fraction: ArrayLike, denominator: Literal["solid", "foil"] = "solid"
) -> Floats:
    r"""Swelling, %, from the volume fraction f of cavities.

    :math:`100 f / (1 - f)` of the solid, or :math:`100 f` of the foil.

    References
    ----------
    Jacobs et al., Sci. Rep. 13 (2023) 5178, doi 10.1038/s41598-023-32454-2, and its public script: the volume
    of the solid.

    Examples
    --------
    >>> fraction = 20 * np.pi / 6 * 10.0**3 / (500 * 500 * 100)
    >>> float(volume_fraction_to_swelling(fraction).round(5)), round(100 * fraction, 5)
    (0.04191, 0.04189)
    """
    share = np.asarray(volume_fraction, np.float64)
    return np.asarray(100 * share / (1 - share) if denominator == "solid" else 100 * share, np.float64)
