"""A material and its barriers: every constant of the laws of hardening, each with its source.

Every barrier strength carries its own source; the laws themselves are in `insitrack.tracker.hardening.laws`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insitrack.tracker.hardening.laws import (
    Spacing,
    bacon_kocks_scattergood,
    dispersed_barrier,
    friedel_kroupa_hirsch,
)

Floats = NDArray[np.float64]
BurgersSource = Literal["glide", "obstacle"]
BarrierModel = Literal["dbh", "fkh", "bks"]
"""Dispersed barriers; weak obstacles after Friedel, Kroupa and Hirsch; strong ones after Bacon, Kocks and
Scattergood."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Barrier:
    """How strongly one class of defect resists a gliding dislocation, and who says so.

    Parameters
    ----------
    constant : float
        The model's own constant, dimensionless: of `dbh` the obstacle strength alpha, 0 < alpha <= 1 (of line
        dislocations the coefficient of Taylor's law); of `fkh` the prefactor, 1/8 as published; of `bks`
        Delta, 1.52 for voids and 0.7 for impenetrable particles.
    constant_sd : float
        Its standard deviation.
    model : {"dbh", "fkh", "bks"}
        Which law.
    burgers_nm : float or None
        Burgers vector to use for this class in place of the gliding dislocation's, nm; None is the physical
        choice.
    source, evidence : str
        Where the constant comes from, and how well that was checked (the tags are listed in
        ``docs/physics.md``).

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    constant: float
    constant_sd: float = 0.0
    model: BarrierModel = "dbh"
    burgers_nm: float | None = None
    source: str = ""
    evidence: str = ""

    def __post_init__(self) -> None:
        if self.model == "dbh" and not 0 < self.constant <= 1:
            raise ValueError(f"alpha {self.constant}: expected an obstacle strength above 0 and up to 1")
        if not (math.isfinite(self.constant) and self.constant > 0):
            raise ValueError(f"constant of {self.model} {self.constant}: expected a positive number")
        if not (math.isfinite(self.constant_sd) and self.constant_sd >= 0):
            raise ValueError(
                f"sd of the constant of {self.model} {self.constant_sd}: expected zero or a positive number"
            )
        if self.burgers_nm is not None and not (math.isfinite(self.burgers_nm) and self.burgers_nm > 0):
            raise ValueError(f"Burgers vector {self.burgers_nm}: expected a positive number of nm")

    def stress(
        self,
        density_per_m3: ArrayLike,
        size_nm: ArrayLike,
        material: Material,
        *,
        constant: float | None = None,
    ) -> Floats:
        """Increase of the yield strength by this barrier, MPa.

        A `constant` in place of its own shows how much depends on it.

        Examples
        --------
        >>> iron = Material(shear_modulus_gpa=82.0, burgers_nm=0.248)
        >>> float(Barrier(constant=1.52, model="bks").stress(1e22, 10.0, iron).round(1))
        523.8
        """
        value = self.constant if constant is None else constant
        if self.model == "dbh":
            return dispersed_barrier(
                density_per_m3, size_nm, material, alpha=value, burgers_nm=self.burgers_nm
            )
        if self.model == "fkh":
            return friedel_kroupa_hirsch(
                density_per_m3, size_nm, material, prefactor=value, burgers_nm=self.burgers_nm
            )
        return bacon_kocks_scattergood(
            density_per_m3, size_nm, material, delta=value, burgers_nm=self.burgers_nm
        )


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
    bks_spacing : {"diameter", "section"}
        What is taken off the distance of the centres to get the free spacing of `bks`: the diameter, or
        sqrt(2/3) of it, that of the mean section by the glide plane.
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
    bks_spacing: Spacing = "diameter"
    origins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, unit in (("shear_modulus_gpa", "GPa"), ("burgers_nm", "nm"), ("taylor_factor", "1")):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} {value}: expected a positive number, unit {unit}")
        if not (math.isfinite(self.shear_modulus_sd_gpa) and self.shear_modulus_sd_gpa >= 0):
            raise ValueError(
                f"shear_modulus_sd_gpa {self.shear_modulus_sd_gpa}: expected zero or a positive number of GPa"
            )

    def provenance(self) -> dict[str, Any]:
        """Every constant with its unit, source and evidence.

        The part of ``run.json`` that says what the hardening rests on.
        """
        return {
            "name": self.name,
            "shear_modulus_gpa": self.shear_modulus_gpa,
            "shear_modulus_sd_gpa": self.shear_modulus_sd_gpa,
            "burgers_nm": self.burgers_nm,
            "b_source": self.b_source,
            "taylor_factor": self.taylor_factor,
            "alpha_set": self.alpha_set,
            "caution": self.caution,
            "barriers": {name: asdict(barrier) for name, barrier in self.barriers.items()},
            "bks_spacing": self.bks_spacing,
            "origins": {name: dict(origin) for name, origin in self.origins.items()},
        }
