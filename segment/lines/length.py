"""Length of digital curves and density of dislocation lines."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Floats

Chain = NDArray[np.int32]
LengthMethod = Literal["vossepoel_smeulders", "kulpa", "freeman"]


def chain_length(chain: Chain, method: LengthMethod = "vossepoel_smeulders") -> float:
    r"""Length of a chain of pixels, px.

    With :math:`n_e` straight steps, :math:`n_o` diagonal ones and :math:`n_c` changes of direction: Vossepoel
    and Smeulders :math:`0.980\,n_e + 1.406\,n_o - 0.091\,n_c`, Kulpa :math:`0.948\,(n_e + \sqrt2\,n_o)`,
    Freeman :math:`n_e + \sqrt2\,n_o`, which is 5.5 % too long on average over all directions.

    Parameters
    ----------
    chain : ndarray of int, shape (K, 2)
        Row and column of each pixel.
    method : {"vossepoel_smeulders", "kulpa", "freeman"}
        Estimator.

    Returns
    -------
    float
        0 for a single pixel.

    References
    ----------
    Vossepoel, Smeulders, Comput. Graph. Image Process. 20 (1982) 347, doi 10.1016/0146-664X(82)90034-X;
    Kulpa, ibid. 6 (1977) 434, doi 10.1016/S0146-664X(77)80021-X.

    Examples
    --------
    >>> diagonal = np.stack([np.arange(11), np.arange(11)], axis=1)
    >>> round(chain_length(diagonal), 2), round(chain_length(diagonal, "freeman"), 2)
    (14.06, 14.14)
    """
    steps = np.abs(np.diff(np.asarray(chain, np.int64), axis=0))
    moves = np.diff(np.asarray(chain, np.int64), axis=0)
    n_o = int((steps.sum(axis=1) == 2).sum())
    n_e = len(steps) - n_o
    n_c = int((moves[1:] != moves[:-1]).any(axis=1).sum())
    return length_from_counts(n_e, n_o, n_c, method)


def length_from_counts(n_e: int, n_o: int, n_c: int, method: LengthMethod = "vossepoel_smeulders") -> float:
    """Length from the numbers of straight and diagonal steps and of corners, px; see `chain_length`.

    Examples
    --------
    >>> [round(length_from_counts(10, 5, 4, method), 2) for method in ("freeman", "kulpa", "vossepoel_smeulders")]
    [17.07, 16.18, 16.47]
    """
    if method == "vossepoel_smeulders":
        return 0.980 * n_e + 1.406 * n_o - 0.091 * n_c
    freeman = n_e + 2**0.5 * n_o
    return 0.948 * freeman if method == "kulpa" else freeman


def line_density_per_m2(
    length_nm: float | Floats,
    field_nm2: float | Floats,
    thickness_nm: float | Floats,
    *,
    four_over_pi: bool = True,
) -> Floats:
    r"""Length of dislocation line per volume, m^-2.

    .. math:: \rho = \frac{4}{\pi} \frac{L}{A t}

    for lines of all directions, whose projection is shorter than they are by pi/4 on average; without 4/pi
    for lines in the plane of the foil. The literature uses both, 27 % apart.

    Parameters
    ----------
    length_nm : float or ndarray of float64
        Projected length L of all lines in view, nm.
    field_nm2 : float or ndarray of float64
        Area of specimen in view A, nm^2.
    thickness_nm : float or ndarray of float64
        Foil thickness t, nm.
    four_over_pi : bool
        Whether to correct for the projection.

    Returns
    -------
    ndarray of float64
        NaN where anything is unknown.

    References
    ----------
    Bailey, Hirsch, Philos. Mag. 5 (1960) 485, doi 10.1080/14786436008238300; Ham, Philos. Mag. 6 (1961) 1183,
    doi 10.1080/14786436108239679.

    Examples
    --------
    >>> f"{line_density_per_m2(5000.0, 500.0**2, 100.0):.4g}", f"{line_density_per_m2(5000.0, 500.0**2, 100.0, four_over_pi=False):.4g}"
    ('2.546e+14', '2e+14')
    """
    factor = 4 / np.pi if four_over_pi else 1.0
    return np.asarray(
        factor
        * 1e18
        * np.asarray(length_nm, np.float64)
        / (np.asarray(field_nm2) * np.asarray(thickness_nm)),
        np.float64,
    )


def intercept_density_per_m2(n_crossings: int, test_length_nm: float, thickness_nm: float) -> float:
    """Line density from the crossings of random test lines with dislocations, 2 n / (L t), m^-2.

    Examples
    --------
    >>> f"{intercept_density_per_m2(10, 2000.0, 100.0):.4g}"
    '1e+14'
    """
    return 2e18 * n_crossings / (test_length_nm * thickness_nm)


def keh_weissmann_density_per_m2(
    n_one: int, length_one_nm: float, n_other: int, length_other_nm: float, thickness_nm: float
) -> float:
    """Line density from crossings with two perpendicular sets of parallel test lines.

    (n1 / L1 + n2 / L2) / t, m^-2.

    Examples
    --------
    >>> f"{keh_weissmann_density_per_m2(5, 1000.0, 5, 1000.0, 100.0):.4g}"
    '1e+14'
    """
    return 1e18 * (n_one / length_one_nm + n_other / length_other_nm) / thickness_nm


def surface_end_density_per_m2(n_ends: int, field_nm2: float) -> float:
    """Line density from the ends of lines at the two surfaces of the foil, n / A, m^-2.

    `n_ends` counts those of both.

    Examples
    --------
    >>> f"{surface_end_density_per_m2(25, 250_000.0):.4g}"
    '1e+14'
    """
    return 1e18 * n_ends / field_nm2
