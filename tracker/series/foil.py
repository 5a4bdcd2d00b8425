"""What a foil makes of what is seen in it: depth of the volume, length of line per volume, swelling."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from insitrack.io.arrays import Floats

FoilCorrection = Literal["none", "abercrombie", "denuded"]


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


def volume_fraction_to_swelling(
    volume_fraction: ArrayLike, denominator: Literal["solid", "foil"] = "solid"
) -> Floats:
    r"""Swelling, %, from the volume fraction f of cavities.

    It is :math:`100 f / (1 - f)` if relative to the solid, :math:`100 f` if relative to the foil.

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
