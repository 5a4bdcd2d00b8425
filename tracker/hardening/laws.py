r"""Laws of hardening: what obstacles and lines of dislocations add to the yield strength.

Only the physics: arrays in, arrays out. Nothing here has a default strength, because published strengths for
the same defect differ by a factor of two and more. What is computed from the defects that a microscope shows
holds for visible defects only: smaller ones and coherent precipitates are missing, false finds and outlines
that take in the strain field add, and the strengths are uncertain, so that the sign of the error is unknown.
"""

from __future__ import annotations

import math
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Spacing = Literal["diameter", "section"]
LineIncrement = Literal["roots", "difference"]

VOID_CONSTANT, OROWAN_CONSTANT = 1.52, 0.7
"""Delta of Bacon, Kocks and Scattergood for voids and for impenetrable particles."""


class Metal(Protocol):
    """Constants that the laws need, see `insitrack.tracker.hardening.models.Material`."""

    @property
    def shear_modulus_gpa(self) -> float:
        """Shear modulus, GPa."""

    @property
    def burgers_nm(self) -> float:
        """Burgers vector of the gliding dislocation, nm."""

    @property
    def taylor_factor(self) -> float:
        """Ratio of uniaxial to resolved shear stress."""

    @property
    def bks_spacing(self) -> Spacing:
        """What is taken off the distance of the centres."""


def dispersed_barrier(
    density_per_m3: ArrayLike,
    size_nm: ArrayLike,
    material: Metal,
    *,
    alpha: float | Floats,
    burgers_nm: float | Floats | None = None,
) -> Floats:
    r"""Yield-strength increase from randomly dispersed obstacles.

    .. math:: \Delta\sigma = M \alpha \mu b \sqrt{N d}

    With the mean diameter this equals the quadrature sum over any binning of the size distribution, as long
    as `alpha` does not depend on size. Where the density is zero there is nothing to resist, and the increase
    is zero whatever the size.

    Parameters
    ----------
    density_per_m3 : ndarray of float64, shape (T,)
        Obstacles per volume N, m^-3. NaN where the foil thickness is unknown.
    size_nm : ndarray of float64, shape (T,)
        Mean obstacle diameter d, nm.
    material : Metal
        Shear modulus, Burgers vector and Taylor factor.
    alpha : float or ndarray of float64, shape (T,)
        Obstacle strength, dimensionless, 0 < alpha <= 1.
    burgers_nm : float or ndarray of float64, shape (T,), optional
        Burgers vector in place of the gliding dislocation's, nm: some papers insert the loop's own.

    Returns
    -------
    ndarray of float64, shape (T,)
        Strength increase, MPa. NaN in, NaN out.

    Raises
    ------
    ValueError
        If `alpha` lies outside (0, 1], or a density or size is negative.

    References
    ----------
    Seeger, Diehl, Mader, Rebstock, Philos. Mag. 2 (1957) 323, doi 10.1080/14786435708243823.

    Examples
    --------
    >>> from insitrack.tracker.hardening.models import Material
    >>> iron = Material(shear_modulus_gpa=82.0, burgers_nm=0.248)
    >>> dispersed_barrier(np.array([1e22]), np.array([10.0]), iron, alpha=0.2).round(1)
    array([124.5])
    """
    density, size = _obstacles(density_per_m3, size_nm)
    strength = np.asarray(alpha, np.float64)
    if not ((strength > 0) & (strength <= 1)).all():
        raise ValueError(f"alpha {alpha}: expected an obstacle strength above 0 and up to 1")
    # GPa nm sqrt(m^-3 nm) = 1e3 MPa * 1e-9 m * sqrt(1e-9) m^-1
    factor = material.taylor_factor * strength * _line_energy(material, burgers_nm)
    return np.asarray(factor * np.sqrt(density * size * 1e-9), np.float64)


def _obstacles(density_per_m3: ArrayLike, size_nm: ArrayLike) -> tuple[Floats, Floats]:
    """Check densities and sizes; where there is no obstacle its size is nothing instead of unknown."""
    density, size = np.asarray(density_per_m3, np.float64), np.asarray(size_nm, np.float64)
    if (density < 0).any() or (size < 0).any():
        raise ValueError(
            f"expected densities and sizes of zero or more, got {np.nanmin(density)} m^-3 and"
            f" {np.nanmin(size)} nm"
        )
    return density, np.where(density == 0, 0.0, size)


def _line_energy(material: Metal, burgers_nm: float | Floats | None) -> Floats:
    """Shear modulus times Burgers vector, MPa m."""
    b_nm = np.asarray(material.burgers_nm if burgers_nm is None else burgers_nm, np.float64)
    return np.asarray(material.shear_modulus_gpa * 1e3 * (b_nm * 1e-9), np.float64)


def friedel_kroupa_hirsch(
    density_per_m3: ArrayLike,
    size_nm: ArrayLike,
    material: Metal,
    *,
    prefactor: float = 0.125,
    burgers_nm: float | None = None,
) -> Floats:
    r"""Yield-strength increase from weak obstacles, below about 5 nm.

    .. math:: \Delta\sigma = \tfrac{1}{8} M \mu b d N^{2/3}

    Proportional to d, not to its root: unlike the dispersed barrier it weighs a size distribution by its
    mean.

    Parameters
    ----------
    density_per_m3 : ndarray of float64, shape (T,)
        Obstacles per volume N, m^-3.
    size_nm : ndarray of float64, shape (T,)
        Mean obstacle diameter d, nm.
    material : Metal
        Shear modulus, Burgers vector and Taylor factor.
    prefactor : float
        1/8 as published.
    burgers_nm : float, optional
        Burgers vector in place of the gliding dislocation's, nm.

    Returns
    -------
    ndarray of float64, shape (T,)
        Strength increase, MPa. NaN in, NaN out; zero where there is no obstacle.

    Raises
    ------
    ValueError
        If a density or size is negative.

    References
    ----------
    Friedel, Kroupa and Hirsch; which of this model and the dispersed barrier holds depends on the strength of
    the obstacles: Zinkle and Matsukawa, J. Nucl. Mater. 329-333 (2004) 88.

    Examples
    --------
    >>> from insitrack.tracker.hardening.models import Material
    >>> iron = Material(shear_modulus_gpa=82.0, burgers_nm=0.248)
    >>> float(friedel_kroupa_hirsch(1e23, 2.0, iron).round(2))
    33.52
    """
    density, size = _obstacles(density_per_m3, size_nm)
    factor = prefactor * material.taylor_factor * _line_energy(material, burgers_nm)
    return np.asarray(factor * (size * 1e-9) * np.cbrt(density) ** 2, np.float64)


def bacon_kocks_scattergood(
    density_per_m3: ArrayLike,
    size_nm: ArrayLike,
    material: Metal,
    *,
    delta: float = VOID_CONSTANT,
    burgers_nm: float | None = None,
    array: Literal["random", "row"] = "random",
) -> Floats:
    r"""Yield-strength increase from strong obstacles between which the arms of a bowed dislocation attract each other.

    .. math:: \tau_{row} = \frac{\mu b}{2 \pi L} \left[\ln(\bar D / b) + \Delta\right], \quad
       \tau = \frac{\mu b}{2 \pi L} \left[\ln(L / b)\right]^{-1/2} \left[\ln(\bar D / b) +
       \Delta\right]^{3/2}, \quad \bar D = D L / (D + L), \quad \Delta\sigma = M \tau

    for a periodic row and for a random array, with the free spacing :math:`L = 1/\sqrt{N D} - D`.

    Parameters
    ----------
    density_per_m3 : ndarray of float64, shape (T,)
        Obstacles per volume N, m^-3.
    size_nm : ndarray of float64, shape (T,)
        Mean obstacle diameter D, nm.
    material : Metal
        Shear modulus, Burgers vector, Taylor factor, and which free spacing (`bks_spacing`).
    delta : float
        1.52 for voids, 0.7 for impenetrable particles.
    burgers_nm : float, optional
        Burgers vector in place of the gliding dislocation's, nm; it is the inner cut-off radius too.
    array : {"random", "row"}
        How the obstacles lie.

    Returns
    -------
    ndarray of float64, shape (T,)
        Strength increase, MPa. NaN in, NaN out; zero where there is no obstacle; NaN where they lie so dense
        that no free spacing above b is left, for which the model says nothing.

    Raises
    ------
    ValueError
        If a density or size is negative.

    References
    ----------
    Bacon, Kocks, Scattergood, Philos. Mag. 28 (1973) 1241, doi 10.1080/14786437308227997.

    Examples
    --------
    >>> from insitrack.tracker.hardening.models import Material
    >>> iron = Material(shear_modulus_gpa=82.0, burgers_nm=0.248)
    >>> float(bacon_kocks_scattergood(1e22, 10.0, iron, delta=0.7).round(1))
    403.0
    """
    density, size = _obstacles(density_per_m3, size_nm)
    b = np.float64(material.burgers_nm if burgers_nm is None else burgers_nm)
    share = 1.0 if material.bks_spacing == "diameter" else math.sqrt(2 / 3)
    with np.errstate(divide="ignore", invalid="ignore"):
        spacing = 1e9 / np.sqrt(density * size * 1e-9) - share * size  # nm
        spacing = np.where(spacing > b, spacing, np.nan)
        mean = size * spacing / (size + spacing)
        bracket = np.maximum(np.log(mean / b) + delta, 0.0)
        shear = _line_energy(material, burgers_nm) / (2 * np.pi * spacing * 1e-9)
        stress = shear * bracket if array == "row" else shear * bracket**1.5 / np.sqrt(np.log(spacing / b))
    nothing = np.where(np.isnan(density), np.nan, 0.0)
    strength = np.where((density == 0) | (size == 0), nothing, material.taylor_factor * stress)
    return np.asarray(strength, np.float64)


def taylor(
    line_density_per_m2: ArrayLike,
    material: Metal,
    *,
    alpha: float,
    unirradiated_per_m2: float = 0.0,
    rule: LineIncrement = "roots",
) -> Floats:
    r"""Yield-strength increase from line dislocations, over that of the unirradiated material.

    .. math:: \Delta\sigma = M \alpha \mu b \left[\sqrt{\rho} - \sqrt{\rho_0}\right]

    Parameters
    ----------
    line_density_per_m2 : ndarray of float64, shape (T,)
        Line length per volume, m^-2.
    material : Metal
        Shear modulus, Burgers vector and Taylor factor.
    alpha : float
        Coefficient, 0.2 to 0.4.
    unirradiated_per_m2 : float
        Density before the experiment, m^-2. Loops that have joined the network belong here and no longer
        among the barriers.
    rule : {"roots", "difference"}
        Difference of the roots, or root of the difference; the literature uses both.

    Returns
    -------
    ndarray of float64, shape (T,)
        Strength increase, MPa; below zero where lines were lost, with `difference` zero there. NaN in, NaN
        out.

    Raises
    ------
    ValueError
        If `alpha` lies outside (0, 1], or a density is negative.

    Examples
    --------
    >>> from insitrack.tracker.hardening.models import Material
    >>> iron = Material(shear_modulus_gpa=82.0, burgers_nm=0.248)
    >>> float(taylor(1e14, iron, alpha=0.3).round(1)), float(taylor(2e14, iron, alpha=0.3, unirradiated_per_m2=1e13).round(1))
    (186.7, 205.0)
    """
    rho = np.asarray(line_density_per_m2, np.float64)
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha {alpha}: expected a coefficient above 0 and up to 1")
    if (rho < 0).any() or not unirradiated_per_m2 >= 0:
        raise ValueError(
            f"expected line densities of zero or more, got {np.nanmin(rho, initial=np.inf)} and"
            f" {unirradiated_per_m2} m^-2"
        )
    factor = material.taylor_factor * alpha * _line_energy(material, None)
    if rule == "difference":
        return np.asarray(factor * np.sqrt(np.maximum(rho - unirradiated_per_m2, 0.0)), np.float64)
    return np.asarray(factor * (np.sqrt(rho) - math.sqrt(unirradiated_per_m2)), np.float64)
