"""How the hardening by several classes of defects adds up, and how it saturates with dose."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from insitrack.io.arrays import Floats


def linear(contributions: ArrayLike) -> Floats:
    """Total of the contributions, added: the upper of the two usual estimates.

    Parameters
    ----------
    contributions : array of float64, shape (K, ...)
        One row per class, MPa. Zero where the class is absent, NaN where its contribution is unknown.

    Returns
    -------
    ndarray of float64, shape (...)
        Total, MPa; NaN where any contribution is unknown.

    References
    ----------
    Which rule holds for mixed obstacles is unsettled: both are reported side by side (Jacobs et al. 2022,
    doi 10.1016/j.xcrp.2022.100876).

    Examples
    --------
    >>> float(linear([3.0, 4.0])), float(quadrature([3.0, 4.0]))
    (7.0, 5.0)
    """
    return np.asarray(np.sum(np.asarray(contributions, np.float64), axis=0), np.float64)


def quadrature(contributions: ArrayLike) -> Floats:
    """Total of the contributions, as the root of the sum of squares: the lower of the two usual estimates.

    Parameters
    ----------
    contributions : array of float64, shape (K, ...)
        One row per class, MPa. Zero where the class is absent, NaN where its contribution is unknown.

    Returns
    -------
    ndarray of float64, shape (...)
        Total, MPa; NaN where any contribution is unknown. With equal strengths this is the dispersed-barrier
        result for all obstacles pooled.
    """
    return np.asarray(np.sqrt(np.sum(np.square(np.asarray(contributions, np.float64)), axis=0)), np.float64)


def weighted(contributions: ArrayLike, share: float | Floats) -> Floats:
    r"""Total between both usual rules, :math:`(1 - S) S_Q + S S_L`.

    Parameters
    ----------
    contributions : array of float64, shape (K, ...)
        One row per class, MPa.
    share : float or ndarray of float64, shape (...)
        S, 0..1: 0 gives `quadrature`, 1 gives `linear`.

    Raises
    ------
    ValueError
        If `share` lies outside 0..1.

    References
    ----------
    Odette, Lucas, Radiat. Eff. Defects Solids 144 (1998) 189, doi 10.1080/10420159808229676.

    Examples
    --------
    >>> float(weighted([3.0, 4.0], 0.5))
    6.0
    """
    if not ((np.asarray(share) >= 0) & (np.asarray(share) <= 1)).all():
        raise ValueError(f"share {share}: expected a number from 0 (quadrature) to 1 (linear)")
    return np.asarray((1 - share) * quadrature(contributions) + share * linear(contributions), np.float64)


def power_sum(contributions: ArrayLike, exponent: float) -> Floats:
    r"""Total by the general rule :math:`(\sum s_i^k)^{1/k}`, 1 (linear) <= k <= 2 (quadrature).

    Raises
    ------
    ValueError
        If `exponent` lies outside 1..2.

    References
    ----------
    Kocks, Argon, Ashby, Prog. Mater. Sci. 19 (1975) 1.

    Examples
    --------
    >>> float(power_sum([3.0, 4.0], 1.0)), float(power_sum([3.0, 4.0], 2.0).round(6))
    (7.0, 5.0)
    """
    if not 1 <= exponent <= 2:
        raise ValueError(f"exponent {exponent}: expected a number from 1 (linear) to 2 (quadrature)")
    values = np.asarray(contributions, np.float64)
    largest = np.max(values, axis=0, initial=0.0)
    safe = np.where(largest > 0, largest, 1.0)
    return np.asarray(largest * np.sum((values / safe) ** exponent, axis=0) ** (1 / exponent), np.float64)


def odette_lucas_share(strong_alpha: float, weak_alpha: float) -> float:
    r"""Weight of the linear sum for a strong and a weak obstacle.

    :math:`S = \alpha_s - 5 \alpha_w + 3.3 \alpha_s \alpha_w`, limited to 0..1.

    The fit goes negative for two similar obstacles; there quadrature holds.

    References
    ----------
    Odette, Lucas 1998, doi 10.1080/10420159808229676.

    Examples
    --------
    >>> round(odette_lucas_share(0.8, 0.05), 3), round(odette_lucas_share(0.8, 0.2), 3), odette_lucas_share(0.3, 0.2)
    (0.682, 0.328, 0.0)
    """
    return min(1.0, max(0.0, strong_alpha - 5 * weak_alpha + 3.3 * strong_alpha * weak_alpha))
