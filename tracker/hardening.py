r"""Hardening by crystal defects: what each class adds to the yield strength, and how classes add up.

Only the physics: arrays in, arrays out. Every barrier strength carries its own source; nothing here has a default strength,
because published strengths for the same defect differ by a factor of two and more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
BurgersSource = Literal["glide", "obstacle"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Barrier:
    """How strongly one class of defect resists a gliding dislocation, and who says so.

    Parameters
    ----------
    alpha : float
        Obstacle strength, dimensionless, 0 < alpha <= 1.
    alpha_sd : float
        Its standard deviation.
    burgers_nm : float or None
        Burgers vector to use for this class in place of the gliding dislocation's, nm; None is the physical choice.
    source, evidence : str
        Where the strength comes from, and how well that was checked (the tags are listed in ``docs/physics.md``).

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    alpha: float
    alpha_sd: float = 0.0
    burgers_nm: float | None = None
    source: str = ""
    evidence: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 1:
            raise ValueError(f"alpha {self.alpha}: expected an obstacle strength above 0 and up to 1")
        if not (math.isfinite(self.alpha_sd) and self.alpha_sd >= 0):
            raise ValueError(f"alpha sd {self.alpha_sd}: expected zero or a positive number")
        if self.burgers_nm is not None and not (math.isfinite(self.burgers_nm) and self.burgers_nm > 0):
            raise ValueError(f"Burgers vector {self.burgers_nm}: expected a positive number of nm")


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """Constants of the hardening models for one alloy, each with its origin.

    Parameters
    ----------
    shear_modulus_gpa : float
        Shear modulus, GPa, at the temperature of the tensile test (not of the irradiation).
    burgers_nm : float
        Burgers vector of the *gliding* dislocation, nm; a0/2<111> in bcc iron alloys.
    taylor_factor : float
        Ratio of uniaxial to resolved shear stress; 3.06 for untextured bcc and fcc polycrystals
        (Stoller and Zinkle 2000, doi 10.1016/S0022-3115(00)00378-0).
    shear_modulus_sd_gpa : float
        Standard deviation of the shear modulus, GPa.
    name : str
        What it is.
    barriers : mapping of str to Barrier
        Obstacle strength of each class of defect; a class that is missing has an unknown strength.
    alpha_set : str
        Name of the set of strengths.
    caution : str
        What a reader of the result must know about the set; empty if nothing.
    b_source : {"glide", "obstacle"}
        Whose Burgers vector is used.
    origins : mapping
        For each constant its value, unit, source and evidence, for the manifest.

    Raises
    ------
    ValueError
        If a constant is not finite and positive.

    Examples
    --------
    >>> Material(shear_modulus_gpa=82.0, burgers_nm=0.248).taylor_factor
    3.06
    """

    shear_modulus_gpa: float
    burgers_nm: float
    taylor_factor: float = 3.06
    shear_modulus_sd_gpa: float = 0.0
    name: str = "user"
    barriers: Mapping[str, Barrier] = field(default_factory=dict)
    alpha_set: str = "none"
    caution: str = ""
    b_source: BurgersSource = "glide"
    origins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, unit in (("shear_modulus_gpa", "GPa"), ("burgers_nm", "nm"), ("taylor_factor", "1")):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} {value}: expected a positive number, unit {unit}")
        if not (math.isfinite(self.shear_modulus_sd_gpa) and self.shear_modulus_sd_gpa >= 0):
            raise ValueError(f"shear_modulus_sd_gpa {self.shear_modulus_sd_gpa}: expected zero or a positive number of GPa")

    def provenance(self) -> dict[str, Any]:
        """Every constant with its unit, source and evidence: the part of ``run.json`` that tells what the hardening rests on."""
        return {
            "name": self.name,
            "shear_modulus_gpa": self.shear_modulus_gpa,
            "shear_modulus_sd_gpa": self.shear_modulus_sd_gpa,
            "burgers_nm": self.burgers_nm,
            "b_source": self.b_source,
            "taylor_factor": self.taylor_factor,
            "alpha_set": self.alpha_set,
            "caution": self.caution,
            "alpha": {name: asdict(barrier) for name, barrier in self.barriers.items()},
            "origins": {name: dict(origin) for name, origin in self.origins.items()},
        }


def dispersed_barrier(
    density_per_m3: ArrayLike, size_nm: ArrayLike, material: Material, *, alpha: float | Floats, burgers_nm: float | Floats | None = None
) -> Floats:
    r"""Yield-strength increase from randomly dispersed obstacles.

    .. math:: \Delta\sigma = M \alpha \mu b \sqrt{N d}

    With the mean diameter this equals the quadrature sum over any binning of the size distribution, as long as `alpha` does not
    depend on size. Where the density is zero there is nothing to resist, and the increase is zero whatever the size.

    Parameters
    ----------
    density_per_m3 : ndarray of float64, shape (T,)
        Obstacles per volume N, m^-3. NaN where the foil thickness is unknown.
    size_nm : ndarray of float64, shape (T,)
        Mean obstacle diameter d, nm.
    material : Material
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
    >>> iron = Material(shear_modulus_gpa=82.0, burgers_nm=0.248)
    >>> dispersed_barrier(np.array([1e22]), np.array([10.0]), iron, alpha=0.2).round(1)
    array([124.5])
    """
    density, size, strength = (np.asarray(values, np.float64) for values in (density_per_m3, size_nm, alpha))
    if not ((strength > 0) & (strength <= 1)).all():
        raise ValueError(f"alpha {alpha}: expected an obstacle strength above 0 and up to 1")
    if (density < 0).any() or (size < 0).any():
        raise ValueError(f"expected densities and sizes of zero or more, got {np.nanmin(density)} m^-3 and {np.nanmin(size)} nm")
    b_nm = np.asarray(material.burgers_nm if burgers_nm is None else burgers_nm, np.float64)
    # GPa nm sqrt(m^-3 nm) = 1e3 MPa * 1e-9 m * sqrt(1e-9) m^-1
    factor = material.taylor_factor * strength * (material.shear_modulus_gpa * 1e3) * (b_nm * 1e-9)
    spacing = np.sqrt(density * np.where(density == 0, 0.0, size) * 1e-9)
    return np.asarray(factor * spacing, np.float64)


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
        Total, MPa; NaN where any contribution is unknown. With equal strengths this is the dispersed-barrier result for all
        obstacles pooled.
    """
    return np.asarray(np.sqrt(np.sum(np.square(np.asarray(contributions, np.float64)), axis=0)), np.float64)
