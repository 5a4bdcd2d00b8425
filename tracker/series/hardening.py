"""Hardening of every frame from densities and sizes: one contribution per class, and three totals.

The totals know which errors the classes share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from insitrack.io.arrays import Bools, Floats
from insitrack.io.detections import UNTYPED
from insitrack.io.intervals import Z_95
from insitrack.io.results import NAN
from insitrack.tracker.hardening.laws import taylor
from insitrack.tracker.hardening.materials import LINE_CLASSES
from insitrack.tracker.hardening.mixed import black_dots_like_others, untyped_barrier
from insitrack.tracker.hardening.models import Barrier, Material
from insitrack.tracker.hardening.superposition import (
    linear,
    odette_lucas_share,
    power_sum,
    quadrature,
    weighted,
)
from insitrack.tracker.series.observations import Counts, Moments
from insitrack.tracker.series.settings import SeriesConfig

MIN_FOR_SPREAD = 5
"""Measured defects from which on the hardening takes the spread of their sizes from the frame itself."""

_STEP = 1e-4
Interval = tuple[Floats, Floats, Floats]


@dataclass(frozen=True, slots=True)
class Population:
    """Defects of each class in each frame, as the hardening needs them; every array has the shape (T, K).

    Parameters
    ----------
    n : ndarray of float64
        Defects that are there.
    n_counted, n_lo, n_hi : ndarray of float64
        Defects that count towards the density, and the interval of that.
    density : ndarray of float64
        Per volume, m^-3; of lines their length per volume, m^-2.
    thickness_rel : ndarray of float64
        Relative standard deviation of the density by the foil thickness.
    n_sized, size_nm, size_sd_nm : ndarray of float64
        Measured defects, their mean size and spread, nm.
    """

    n: Floats
    n_counted: Floats
    n_lo: Floats
    n_hi: Floats
    density: Floats
    thickness_rel: Floats
    n_sized: Floats
    size_nm: Floats
    size_sd_nm: Floats

    @classmethod
    def of(
        cls,
        there: Counts,
        counts: Counts,
        sizes: Moments,
        density: Floats,
        thickness_rel: Floats,
    ) -> Population:
        """Put together what was counted and measured; the last place, of all together, is left out."""
        low, high = counts.interval()
        return cls(
            n=there.n[:, :-1],
            n_counted=counts.n[:, :-1],
            n_lo=low[:, :-1],
            n_hi=high[:, :-1],
            density=density,
            thickness_rel=thickness_rel,
            n_sized=sizes.n[:, :-1],
            size_nm=sizes.mean[:, :-1],
            size_sd_nm=sizes.sd[:, :-1],
        )


@dataclass(frozen=True, slots=True)
class _Response:
    """Stress of one class in each frame, MPa, and its change with density, size and the model's constant."""

    stress: Floats
    by_density: Floats
    by_size: Floats
    by_constant: Floats


class HardeningMeter:
    """Turns densities and sizes of the classes into contributions and totals.

    Parameters
    ----------
    config : SeriesConfig
        Rules of superposition, and what is assumed.
    material : Material or None
        Constants; without it everything stays empty.
    class_names : tuple of str
        Classes, in the order of the columns.
    scale_rel : float
        Relative standard deviation of the scale.

    Raises
    ------
    SettingsError
        If black dots are to harden like a class that has no dispersed-barrier strength.
    """

    def __init__(
        self,
        config: SeriesConfig,
        material: Material | None,
        class_names: tuple[str, ...],
        *,
        scale_rel: float,
    ) -> None:
        self.config, self.material, self.class_names = config, material, class_names
        self._scale_rel = scale_rel
        barriers = dict(material.barriers) if material is not None else {}
        if config.black_dots_as and material is not None:
            barriers["black_dot"] = black_dots_like_others(config.black_dots_as, barriers, material.name)
        if UNTYPED in class_names and UNTYPED not in barriers:
            barriers |= untyped_barrier(barriers, class_names)
        if config.unirradiated_line_density_per_m2 is None:
            barriers = {name: barrier for name, barrier in barriers.items() if name not in LINE_CLASSES}
        self.known = np.array([i for i, name in enumerate(class_names) if name in barriers], np.int64)
        self.hardens = np.isin(np.arange(len(class_names)), self.known)
        self._barriers = [barriers[class_names[i]] for i in self.known]
        self._constant = np.array([barrier.constant for barrier in self._barriers], np.float64)
        self._constant_sd = np.array([barrier.constant_sd for barrier in self._barriers], np.float64)
        self._modulus_rel = material.shear_modulus_sd_gpa / material.shear_modulus_gpa if material else 0.0

    def columns(self, seen: Population) -> tuple[Interval, Interval, Interval]:
        """Linear, quadrature and third total, shape (T, K + 1).

        The columns of the classes hold their contributions, the same in all three.
        """
        t, k = len(seen.n), len(self.class_names)
        if self.material is None:
            unknown: Interval = (np.full((t, k + 1), NAN), np.full((t, k + 1), NAN), np.full((t, k + 1), NAN))
            return unknown, unknown, unknown
        known = self.known
        answers = [
            self._response(barrier, self.class_names[i], seen, i)
            for i, barrier in zip(known.tolist(), self._barriers, strict=True)
        ]
        stress = _columns([answer.stress for answer in answers], t)
        below, above = self._own_errors(answers, seen)
        shared = self._shared_errors(answers, seen)
        share = np.full((3, t, k), NAN)
        common = Z_95 * np.sqrt(sum(part**2 for part in shared))
        share[:, :, known] = (
            stress,
            np.maximum(stress - np.hypot(below, common), 0),
            stress + np.hypot(above, common),
        )
        share[2][:, known] = np.where(
            seen.n_counted[:, known] == 0, NAN, share[2][:, known]
        )  # how large an unseen defect would be is not known
        there = (seen.n[:, known] > 0).any(axis=1) | ((seen.n == 0).all(axis=1) & (len(known) > 0))
        totals = []
        for value, weights in self._totals(stress, seen):
            ends = _total(value, weights, below, above, shared)
            totals.append(np.where(there, ends, NAN))
        straight, squared, third = (
            (
                np.column_stack([share[0], total[0]]),
                np.column_stack([share[1], total[1]]),
                np.column_stack([share[2], total[2]]),
            )
            for total in totals
        )
        if self.config.superposition == "none":
            third = (np.full((t, k + 1), NAN), np.full((t, k + 1), NAN), np.full((t, k + 1), NAN))
        return straight, squared, third

    def _response(self, barrier: Barrier, name: str, seen: Population, i: int) -> _Response:
        density, size = seen.density[:, i], seen.size_nm[:, i]
        assert self.material is not None
        if name in LINE_CLASSES:
            start = self.config.unirradiated_line_density_per_m2 or 0.0
            gain = taylor(
                density,
                self.material,
                alpha=barrier.constant,
                unirradiated_per_m2=start,
                rule=self.config.line_increment,
            )
            more = taylor(
                density * (1 + _STEP),
                self.material,
                alpha=barrier.constant,
                unirradiated_per_m2=start,
                rule=self.config.line_increment,
            )
            gain = np.maximum(gain, 0.0)  # lines that were lost soften; that is no barrier
            return _Response(gain, np.maximum(more - gain, 0) / _STEP, np.zeros_like(gain), gain)
        stress = barrier.stress(density, size, self.material)
        if barrier.model == "dbh":
            return _Response(stress, stress / 2, stress / 2, stress)
        if barrier.model == "fkh":
            return _Response(stress, stress * (2 / 3), stress, stress)
        up = 1 + _STEP
        by_density = (barrier.stress(density * up, size, self.material) - stress) / _STEP
        by_size = (barrier.stress(density, size * up, self.material) - stress) / _STEP
        by_constant = (
            barrier.stress(density, size, self.material, constant=barrier.constant * up) - stress
        ) / _STEP
        return _Response(stress, by_density, by_size, by_constant)

    def _own_errors(self, answers: Sequence[_Response], seen: Population) -> tuple[Floats, Floats]:
        """Half widths that belong to each class alone, downwards and upwards, MPa (eq. 14).

        They are those of count, detector, constant and mean size.
        """
        t, known = len(seen.n), self.known
        stress, by_density, by_size, by_constant = (
            _columns([getattr(answer, name) for answer in answers], t)
            for name in ("stress", "by_density", "by_size", "by_constant")
        )
        n, n_sized = seen.n_counted[:, known], seen.n_sized[:, known]
        there = n > 0
        some = np.where(there, n, 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            power = np.where(stress > 0, by_density / stress, 0.5)
        fewer = stress * (1 - (seen.n_lo[:, known] / some) ** power)
        more = stress * ((seen.n_hi[:, known] / some) ** power - 1)
        spread = np.where(
            n_sized >= MIN_FOR_SPREAD,
            seen.size_sd_nm[:, known] / seen.size_nm[:, known],
            self.config.size_sd_relative,
        )
        rest = Z_95 * np.sqrt(
            (by_constant * self._constant_sd / self._constant) ** 2
            + (by_size * spread) ** 2 / np.maximum(n_sized, 1)
            + (by_size * self.config.outline_log_sd) ** 2
        )
        return np.where(there, np.hypot(fewer, rest), 0.0), np.where(there, np.hypot(more, rest), 0.0)

    def _shared_errors(self, answers: Sequence[_Response], seen: Population) -> tuple[Floats, Floats, Floats]:
        """Return standard deviations by modulus, thickness and scale, MPa: each moves all classes together.

        Density goes with the scale to the power -2, length of line per volume with -1, size with +1.
        """
        t = len(seen.n)
        modulus = _columns([answer.stress * self._modulus_rel for answer in answers], t)
        thickness = _columns(
            [
                answer.by_density * seen.thickness_rel[:, i]
                for i, answer in zip(self.known.tolist(), answers, strict=True)
            ],
            t,
        )
        powers = [-1.0 if self.class_names[i] in LINE_CLASSES else -2.0 for i in self.known.tolist()]
        scale = [
            (power * answer.by_density + answer.by_size) * self._scale_rel
            for power, answer in zip(powers, answers, strict=True)
        ]
        # zero times an unknown error is unknown only where there is something
        empty = seen.n[:, self.known] == 0
        return (
            modulus,
            np.where(empty & ~np.isfinite(thickness), 0.0, thickness),
            np.where(empty, 0.0, _columns(scale, t)),
        )

    def _totals(self, stress: Floats, seen: Population) -> list[tuple[Floats, Floats]]:
        """Each total with its derivative by every contribution."""
        root = quadrature(stress.T)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where(root[:, None] > 0, stress / root[:, None], 0.0)
        rules = [(linear(stress.T), np.ones_like(stress)), (root, slope)]
        rule, value = self.config.superposition, self.config.superposition_value or 0.0
        if rule == "none":
            return [*rules, (np.full(len(stress), NAN), slope)]
        if rule == "power":
            total = power_sum(stress.T, value)
            with np.errstate(divide="ignore", invalid="ignore"):
                return [
                    *rules,
                    (total, np.where(total[:, None] > 0, (stress / total[:, None]) ** (value - 1), 0.0)),
                ]
        share = np.full(len(stress), value)
        if rule == "odette_lucas" and self.material is not None:
            lines = np.array([self.class_names[i] in LINE_CLASSES for i in self.known.tolist()], bool)
            obstacles = seen.density[:, self.known] * seen.size_nm[:, self.known] * 1e-9
            share = _share_of_linear(stress, obstacles, lines, self.material)
        return [*rules, (weighted(stress.T, share), (1 - share[:, None]) * slope + share[:, None])]


def _share_of_linear(stress: Floats, obstacles: Floats, lines: Bools, material: Material) -> Floats:
    """Weight after Odette and Lucas: from the effective strengths of the strongest and the weakest class there.

    `stress`, MPa, and `obstacles`, density times size in m^-2, have the shape (T, L), `lines` (L,).
    """
    unit = material.taylor_factor * material.shear_modulus_gpa * 1e3 * material.burgers_nm * 1e-9
    with np.errstate(divide="ignore", invalid="ignore"):
        alpha = stress / (unit * np.sqrt(obstacles))
    alpha = np.where((stress > 0) & ~lines, alpha, NAN)
    present = np.isfinite(alpha).sum(axis=1) >= 2
    strongest = np.nanmax(alpha, axis=1, initial=0.0)
    weakest = np.nanmin(np.where(np.isfinite(alpha), alpha, np.inf), axis=1, initial=np.inf)
    return np.array(
        [
            odette_lucas_share(s, w) if good else 0.0
            for s, w, good in zip(strongest.tolist(), weakest.tolist(), present.tolist(), strict=True)
        ]
    )


def _columns(parts: Sequence[Floats], n_rows: int) -> Floats:
    return np.column_stack(parts) if parts else np.zeros((n_rows, 0))


def _total(value: Floats, weights: Floats, below: Floats, above: Floats, shared: Sequence[Floats]) -> Floats:
    """Total with its ends, shape (3, T): own errors add in squares, a shared one acts on all classes at once."""
    common = Z_95 * np.sqrt(sum(((weights * part).sum(axis=1) ** 2 for part in shared), np.zeros(len(value))))
    low = value - np.hypot(np.sqrt(((weights * below) ** 2).sum(axis=1)), common)
    high = value + np.hypot(np.sqrt(((weights * above) ** 2).sum(axis=1)), common)
    nothing: Bools = ~(value > 0)
    return np.stack([value, np.where(nothing, value, np.maximum(low, 0.0)), np.where(nothing, NAN, high)])
