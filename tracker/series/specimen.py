"""Densities and hardening for every foil of a run: one thickness and one material each, made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from insitrack.tracker.hardening.models import Material
from insitrack.tracker.series.conditions import Foil
from insitrack.tracker.series.density import Densities
from insitrack.tracker.series.hardening import HardeningMeter
from insitrack.tracker.series.settings import SeriesConfig

MaterialOf = Callable[[str], Material | None]
"""Gives the constants of a material by its name."""


@dataclass(frozen=True, slots=True)
class Specimen:
    """What turns counts and sizes of one foil into densities and stress."""

    densities: Densities
    hardening: HardeningMeter
    material: Material | None


class Specimens:
    """Makes the specimen of every foil that is asked for, once.

    Parameters
    ----------
    config : SeriesConfig
        Rules and assumed errors.
    class_names : tuple of str
        Classes.
    scale_rel : float
        Relative standard deviation of the scale.
    material_of : callable
        Gives the constants of a material by its name.
    """

    def __init__(
        self, config: SeriesConfig, class_names: tuple[str, ...], scale_rel: float, material_of: MaterialOf
    ) -> None:
        self._config, self._class_names, self._scale_rel = config, class_names, scale_rel
        self._material_of = material_of
        self._made: dict[Foil, Specimen] = {}

    def of(self, foil: Foil) -> Specimen:
        """Return that of a foil.

        Raises
        ------
        SettingsError
            If the correction for the surfaces leaves nothing of the foil, or the material cannot be used.
        """
        if foil not in self._made:
            densities = Densities(self._config, self._class_names, scale_rel=self._scale_rel)
            densities.set_thickness(foil.thickness_nm, foil.thickness_sd_nm)
            material = None if foil.material is None else self._material_of(foil.material)
            hardening = HardeningMeter(
                self._config,
                material,
                self._class_names,
                scale_rel=self._scale_rel,
                detector_rel=densities.detector_rel,
            )
            self._made[foil] = Specimen(densities, hardening, material)
        return self._made[foil]
