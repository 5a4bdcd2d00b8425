"""Densities and hardening for every foil of a run: one thickness and one material each, made once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from insitrack.io.arrays import Floats, Ints
from insitrack.io.intervals import Z_95, mean_half_width
from insitrack.tracker.hardening.models import Material
from insitrack.tracker.series.conditions import SEVERAL, Conditions, Foil
from insitrack.tracker.series.density import Densities, Ranged
from insitrack.tracker.series.diagnostics import SeriesDiagnostics
from insitrack.tracker.series.hardening import HardeningMeter, Population
from insitrack.tracker.series.observations import (
    Moments,
    Observations,
    counts_of,
    sizes_of,
    sizes_or_cut,
    with_total,
)
from insitrack.tracker.series.settings import SeriesConfig

MaterialOf = Callable[[str], Material | None]
"""Gives the constants of a material by its name."""


@dataclass(frozen=True, slots=True)
class Specimen:
    """What turns counts and sizes of one foil into densities and stress.

    Parameters
    ----------
    densities, hardening, material
        Of this thickness and this material.
    scale_rel : float
        Relative standard deviation of the scale; NaN where the scale is unknown.
    """

    densities: Densities
    hardening: HardeningMeter
    material: Material | None
    scale_rel: float

    def columns(
        self,
        seen: Observations,
        field_nm2: Floats,
        births: Ints,
        deaths: Ints,
        frame_px: Floats,
        diagnostics: SeriesDiagnostics,
        trust: Floats | None = None,
    ) -> dict[str, Floats]:
        """Columns of the series of some frames, those of the beam apart; see `SeriesMeter.table`.

        What is noteworthy goes to `diagnostics`.
        """
        t, k = births.shape
        densities = self.densities
        detector = replace(densities.detector, trust=trust)
        there, counts = (counts_of(seen, share, t, k, detector) for share in (seen.share, seen.counted))
        sizes = sizes_of(seen, self.densities.dispersed, t)
        area_m2 = densities.counting_area_m2(field_nm2, frame_px)
        inverse_depth = densities.inverse_depth(seen, t)
        per_m2 = densities.per_area(counts, area_m2)
        per_m3 = densities.per_volume(counts, area_m2, inverse_depth)
        scaled = math.isfinite(self.scale_rel)
        length_nm, lines = densities.lines(there, seen, field_nm2, scaled=scaled)
        fraction = densities.volume_fraction(counts, seen, area_m2, inverse_depth)
        obstacles = Population.of(
            there,
            counts,
            sizes_or_cut(seen, sizes, t),
            *densities.of_obstacles(per_m3, lines, inverse_depth),
        )
        straight, squared, third = (Ranged(*total) for total in self.hardening.columns(obstacles))
        known = scaled & (np.isfinite(field_nm2) | np.isnan(field_nm2).all())
        diagnostics.note_frames(seen, there, per_m2.value, sizes, scaled=known)
        diagnostics.note_hardening(
            obstacles.density, obstacles.size_nm, straight.value, self.hardening.hardens
        )
        columns = {
            **Ranged(there.n, *there.interval()).columns("n"),
            "n_observed": counts_of(seen, seen.observed, t, k).n,
            "n_counted": counts.n,
            "births": with_total(births),
            "deaths": with_total(deaths),
            "field_nm2": every_class(field_nm2, k),
            **per_m2.columns("density_per_m2"),
            **per_m3.columns("density_per_m3"),
            **_size_columns(sizes, self.scale_rel, densities.size_log_sd),
            **straight.columns("hardening_linear_mpa"),
            **squared.columns("hardening_quadrature_mpa"),
            **third.columns("hardening_mixed_mpa"),
            "line_length_nm": length_nm,
            **lines.columns("line_density_per_m2"),
            **fraction.columns("volume_fraction"),
            **densities.swelling(fraction).columns("swelling_percent"),
        }
        return {name: np.asarray(values, np.float64) for name, values in columns.items()}


def every_class(values: Floats, k: int) -> Floats:
    """Repeat one number a frame for K classes and all together, shape (T, K + 1)."""
    return np.repeat(values[:, None], k + 1, axis=1)


def _size_columns(sizes: Moments, scale_rel: float, outline_rel: float) -> dict[str, Floats]:
    """Mean sizes, nm, with the interval of their scatter, of the scale and of the outlines."""
    common = Z_95 * math.hypot(scale_rel, outline_rel) * sizes.mean
    half = np.hypot(mean_half_width(sizes.n) * sizes.sd, common)
    return {
        "size_nm": sizes.mean,
        "size_sd_nm": sizes.sd,
        "size_lo_nm": np.maximum(sizes.mean - half, 0),
        "size_hi_nm": sizes.mean + half,
    }


class Specimens:
    """The specimen of every foil of a run, each made once.

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
    conditions : Conditions
        Thickness and material at every frame.

    Raises
    ------
    SettingsError
        If the correction for the surfaces leaves nothing of a foil, or a material cannot be used.
    """

    def __init__(
        self,
        config: SeriesConfig,
        class_names: tuple[str, ...],
        scale_rel: float,
        material_of: MaterialOf,
        conditions: Conditions,
    ) -> None:
        self._config, self._class_names, self._scale_rel = config, class_names, scale_rel
        self._material_of = material_of
        self._made: dict[Foil, Specimen] = {}
        self.follow(conditions)

    def follow(self, conditions: Conditions) -> None:
        """Take other conditions; errors as above, and nothing is changed then."""
        stretches = conditions.stretches()
        held = [self._of(foil) for _, foil in stretches]
        self.conditions, self._held = conditions, held
        self.starts = np.array([start for start, _ in stretches], np.int64)

    @property
    def last(self) -> Specimen:
        """What holds from the last change on."""
        return self._held[-1]

    def last_thickness(self) -> dict[str, float | None]:
        """Thickness from the last change on and its standard deviation, as a calibration names them."""
        foil = self.conditions.foil(int(self.starts[-1]))
        return {"thickness_nm": foil.thickness_nm, "thickness_sd_nm": foil.thickness_sd_nm}

    @property
    def materials(self) -> list[tuple[int, Material | None]]:
        """Constants of the hardening models with the first frame of each, None where there are none."""
        found: list[tuple[int, Material | None]] = []
        for start, held in zip(self.starts.tolist(), self._held, strict=True):
            if not found or held.material != found[-1][1]:
                found.append((start, held.material))
        return found

    def stretch_of(self, frame: Ints) -> Ints:
        """Return which stretch of equal thickness and material each frame belongs to, rising from 0."""
        place = np.searchsorted(self.starts, frame, side="right") - 1
        return np.where(frame == SEVERAL, SEVERAL if len(self.starts) > 1 else 0, place)

    def of_stretch(self, stretch: int) -> Specimen:
        """Return that of a stretch, or of `SEVERAL` at once."""
        return self._held[stretch] if stretch != SEVERAL else self._of(self.conditions.foil(SEVERAL))

    def at(self, frame: int) -> Specimen:
        """Return that of a frame, or of `SEVERAL` at once."""
        return self.of_stretch(int(self.stretch_of(np.array([frame]))[0]))

    def _of(self, foil: Foil) -> Specimen:
        if foil not in self._made:
            densities = Densities(self._config, self._class_names, scale_rel=self._scale_rel)
            densities.set_thickness(foil.thickness_nm, foil.thickness_sd_nm)
            material = None if foil.material is None else self._material_of(foil.material)
            hardening = HardeningMeter(
                self._config,
                material,
                self._class_names,
                scale_rel=self._scale_rel,
            )
            self._made[foil] = Specimen(densities, hardening, material, self._scale_rel)
        return self._made[foil]
