"""Densities per area and per volume, of lines and of cavities, each with its 95 % interval."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from insitrack.io.arrays import Floats
from insitrack.io.errors import SettingsError
from insitrack.io.intervals import Z_95, mean_half_width
from insitrack.io.results import NAN
from insitrack.tracker.hardening.materials import LINE_CLASSES, VOLUME_CLASSES
from insitrack.tracker.series.counting import detector_factor, visibility_factor
from insitrack.tracker.series.detector import DetectorError
from insitrack.tracker.series.foil import foil_depth_nm, line_density_per_m2, volume_fraction_to_swelling
from insitrack.tracker.series.hardening import MIN_FOR_SPREAD
from insitrack.tracker.series.observations import Counts, Moments, Observations, moments, summed
from insitrack.tracker.series.settings import SeriesConfig


class Ranged(NamedTuple):
    """A quantity with the ends of its 95 % interval.

    Parameters
    ----------
    value, lo, hi : ndarray of float64, shape (T, K + 1)
        In each frame of each class, and of all together in the last place; NaN where unknown.
    """

    value: Floats
    lo: Floats
    hi: Floats

    def columns(self, name: str) -> dict[str, Floats]:
        """Under the names of ``series.csv``: `name`, `name_lo`, `name_hi`."""
        return {name: self.value, f"{name}_lo": self.lo, f"{name}_hi": self.hi}


class Densities:
    """Turns counts, lengths and volumes of frames into densities.

    Parameters
    ----------
    config : SeriesConfig
        Corrections for the foil, for g.b = 0 and for the detector, and what is assumed.
    class_names : tuple of str
        Classes, in the order of the columns.
    scale_rel : float
        Relative standard deviation of the scale; NaN where the scale is unknown.

    Attributes
    ----------
    dispersed, bulky : ndarray of bool, shape (K,)
        Classes that are no lines; classes whose volume means something.
    detector : DetectorError
        What the detector misses and finds by mistake.
    size_log_sd : float
        Relative standard deviation of mean sizes by the outlines.
    thickness_nm, thickness_sd_nm : float
        Foil thickness and its standard deviation, nm; NaN where unknown.
    """

    def __init__(self, config: SeriesConfig, class_names: tuple[str, ...], *, scale_rel: float) -> None:
        self.config, self.class_names, self._scale_rel = config, class_names, scale_rel
        self.dispersed = np.array([name not in LINE_CLASSES for name in class_names], bool)
        self.bulky = np.array([name in VOLUME_CLASSES for name in class_names], bool)
        self._factor = _corrections(config, class_names)
        self.detector = DetectorError.of(config, class_names)
        self.size_log_sd = config.outline_log_sd
        self.thickness_nm = self.thickness_sd_nm = NAN

    def set_thickness(self, thickness_nm: float | None, thickness_sd_nm: float = 0.0) -> None:
        """Take another foil thickness, nm; without an error of its own it has the relative one assumed.

        Raises
        ------
        SettingsError
            If the correction for the surfaces leaves nothing of the foil.
        """
        self.thickness_nm = NAN if thickness_nm is None else thickness_nm
        self.thickness_sd_nm = thickness_sd_nm or self.config.thickness_sd_relative * self.thickness_nm
        if not math.isnan(self.thickness_nm) and not self.depth_nm(0.0) > 0:
            taken = (
                "series.smallest_cap_nm" if self.config.foil == "abercrombie" else "series.denuded_zone_nm"
            )
            raise SettingsError(
                f"{taken}: twice that is not less than the foil thickness of {self.thickness_nm:g} nm;"
                " nothing of the foil is left"
            )

    def depth_nm(self, size_nm: float | Floats) -> Floats:
        """Depth of the volume in which defects of a size are seen, nm."""
        return foil_depth_nm(
            self.config.foil,
            self.thickness_nm,
            size_nm,
            smallest_cap_nm=self.config.smallest_cap_nm,
            denuded_zone_nm=self.config.denuded_zone_nm or 0.0,
        )

    def inverse_depth(self, seen: Observations, t: int) -> Floats:
        """Mean inverse depth of each frame and class, 1/nm, shape (T, K), defect by defect."""
        k = len(self.class_names)
        if self.config.foil != "abercrombie":
            return np.full((t, k), 1 / self.depth_nm(0.0))
        inverse = moments(1 / self.depth_nm(seen.size_nm), seen, seen.whole, t, k).mean
        return np.where(np.isnan(inverse), 1 / self.depth_nm(0.0), inverse)

    def counting_area_m2(self, field_nm2: Floats, frame_px: Floats) -> Floats:
        """Area over which the border rule counts, m^2, shape (T,), of fields and frames of width and height."""
        guard = self.config.border_guard_px
        if self.config.border != "centroid" or guard is None:
            return field_nm2 * np.ones(len(frame_px)) * 1e-18
        share = np.maximum(1 - 2 * guard / frame_px, 0.0).prod(axis=1)
        return np.asarray(field_nm2 * np.where(share > 0, share, NAN) * 1e-18, np.float64)

    def per_area(self, counts: Counts, area_m2: Floats) -> Ranged:
        """Defects per area, m^-2; `area_m2` of shape (T,)."""
        shape = (len(area_m2), len(self.class_names))
        return self._density(counts, area_m2, np.ones(shape), np.zeros(shape))

    def per_volume(self, counts: Counts, area_m2: Floats, inverse_depth: Floats) -> Ranged:
        """Defects per volume, m^-3; `inverse_depth` in 1/nm, shape (T, K)."""
        return self._density(counts, area_m2, inverse_depth * 1e9, self.thickness_sd_nm * inverse_depth)

    def _density(self, counts: Counts, area_m2: Floats, per_depth: Floats, thickness_rel: Floats) -> Ranged:
        """Density with its interval (eq. 13): counts and detector class by class, thickness and scale shared."""
        k = per_depth.shape[1]
        n, squares = counts.n[:, :k], counts.squares[:, :k]
        factor = self._factor * per_depth
        weight = factor * n
        total, mixed = weight.sum(axis=1), (factor**2 * squares).sum(axis=1)
        if (factor == factor[:, :1]).all():  # exactly, whatever rounding says
            total, mixed = factor[:, 0] * counts.n[:, k], factor[:, 0] ** 2 * counts.squares[:, k]
        squared = np.column_stack([factor**2 * squares, mixed])
        both = Counts(np.column_stack([weight, total]), squared, counts.detector)
        low, high = both.interval()
        none = both.n == 0
        high[none] *= np.column_stack([factor, factor.max(axis=1, initial=0.0)])[none]
        thickness = thickness_rel * weight
        common = Z_95 * np.hypot(
            np.column_stack([thickness, thickness.sum(axis=1)]), 2 * self._scale_rel * both.n
        )
        area = area_m2[:, None]
        below, above = (np.hypot(end - both.n, common) for end in (low, high))
        return Ranged(both.n / area, np.maximum(both.n - below, 0) / area, (both.n + above) / area)

    def of_obstacles(self, per_m3: Ranged, lines: Ranged, inverse_depth: Floats) -> tuple[Floats, Floats]:
        """Density that hardens, and its relative standard deviation by the thickness, shape (T, K).

        For particles it is their number, m^-3; for lines their length per volume, m^-2.
        """
        k = len(self.class_names)
        density = np.where(self.dispersed, per_m3.value[:, :k], lines.value[:, :k])
        of_lines = self.thickness_sd_nm / self.thickness_nm
        return density, np.where(self.dispersed, self.thickness_sd_nm * inverse_depth, of_lines)

    def lines(
        self, there: Counts, seen: Observations, field_nm2: Floats, *, scaled: bool
    ) -> tuple[Floats, Ranged]:
        """Length of line in view, nm, and length per volume, m^-2: number of lines, thickness, scale.

        NaN for classes that are no lines, and everywhere unless the scale is known (`scaled`).
        """
        t, k = len(field_nm2), len(self.class_names)
        if self.dispersed.all():
            nothing = np.full((t, k + 1), NAN)
            return nothing, Ranged(nothing, nothing, nothing)
        number, squares = (
            np.where(self.dispersed, 0.0, values[:, :k]) for values in (there.n, there.squares)
        )
        count = np.column_stack([number, number.sum(axis=1)])
        both = np.column_stack([squares, squares.sum(axis=1)])
        fewest, most = Counts(count, both, there.detector).interval()
        mine = ~self.dispersed[seen.place]
        length = summed(seen, np.where(mine, seen.line_length_nm, 0.0) * seen.share, t, k)
        known = np.append(~self.dispersed, True) & scaled
        length = np.where(known, np.column_stack([length, length.sum(axis=1)]), NAN)
        true = length[:, :k] * self._factor
        true = np.column_stack([true, np.where(self.dispersed, 0.0, true).sum(axis=1)])
        density = line_density_per_m2(
            true, field_nm2[:, None], self.thickness_nm, four_over_pi=self.config.line_four_over_pi
        )
        common = Z_95 * math.hypot(self.thickness_sd_nm / self.thickness_nm, self._scale_rel)
        some = np.where(count > 0, count, 1.0)
        low = density * np.maximum(1 - np.hypot((count - fewest) / some, common), 0)
        high = density * (1 + np.hypot((most - count) / some, common))
        high[count == 0] = NAN  # how long an unseen line would be is not known
        return length, Ranged(density, low, high)

    def volume_fraction(
        self, counts: Counts, seen: Observations, area_m2: Floats, inverse_depth: Floats
    ) -> Ranged:
        """Volume fraction of each class from the volume of every single defect (eq. 18); none of all together."""
        t, k = inverse_depth.shape
        volume = self._volumes(seen, t)
        n, (low, high) = counts.n[:, :k], (end[:, :k] for end in counts.interval())
        mean = np.where((n == 0) & self.bulky, 0.0, volume.mean)
        value = np.where(self.bulky, self._factor * n * mean / (area_m2[:, None] * 1e18), NAN)
        some = np.where(n > 0, n, 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.where(
                volume.n >= MIN_FOR_SPREAD,
                volume.sd / mean * mean_half_width(volume.n),
                Z_95 * 3 * self.config.size_sd_relative,
            )
        thickness = self.thickness_sd_nm * inverse_depth
        outline = 3 * self.size_log_sd
        rest = np.sqrt(spread**2 + Z_95**2 * (outline**2 + thickness**2 + self._scale_rel**2))
        # volumes are so skewed that their mean scatters as the logarithm of a normal variable, not as the
        # variable
        below = value * -np.expm1(-np.hypot(np.log(some / np.where(low > 0, low, some * 1e-9)), rest))
        above = value * np.expm1(np.hypot(np.log(high / some), rest))
        none = n == 0  # how large an unseen one would be is not known
        ends = (np.where(none, value, np.maximum(value - below, 0)), np.where(none, NAN, value + above))
        return Ranged(*(np.column_stack([one, np.full(t, NAN)]) for one in (value, *ends)))

    def _volumes(self, seen: Observations, t: int) -> Moments:
        """Volume over depth of what lies wholly in view, nm^2, shape (T, K)."""
        k = len(self.class_names)
        if not self.bulky.any():
            nothing = np.full((t, k), NAN)
            return Moments(nothing, nothing, nothing)
        volume = np.pi / 6 * seen.size_nm**3 / self.depth_nm(seen.size_nm)
        return moments(volume, seen, seen.whole & self.bulky[seen.place], t, k)

    def swelling(self, fraction: Ranged) -> Ranged:
        """Swelling by voids, %, in their place and in that of all together; NaN elsewhere."""
        voids = [i for i, name in enumerate(self.class_names) if name == "void"]
        percent = Ranged(*(np.full(one.shape, NAN) for one in fraction))
        for i in voids:
            for one, share in zip(percent, fraction, strict=True):
                one[:, i] = one[:, -1] = volume_fraction_to_swelling(
                    share[:, i], self.config.swelling_denominator
                )
        return percent


def _corrections(config: SeriesConfig, class_names: tuple[str, ...]) -> Floats:
    """Defects that each one found stands for, by class."""
    factors = []
    for name in class_names:
        precision = config.detector_precision.get(name, config.detector_precision.get("all"))
        recall = config.detector_recall.get(name, config.detector_recall.get("all"))
        factor = 1.0
        if precision is not None and recall is not None:
            factor = detector_factor(precision, recall, config.detector_labels)[0]
        shown = config.visibility_by_class.get(name, visibility_factor(config.imaging, name))
        factors.append(shown * factor)
    return np.array(factors)
