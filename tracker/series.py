"""From the measures of one frame to its rows of the series: numbers, densities, sizes and hardening, with 95 % intervals.

The formulas and their sources are collected in ``docs/physics.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import gammaincinv, stdtrit

from insitrack.io.detections import DEFECT_CLASSES, Detections, Ints
from insitrack.io.errors import SettingsError
from insitrack.io.frames import BoolImage, Calibration, MissingFrame
from insitrack.io.results import NAN, Bools, Floats, Measures, SeriesRow
from insitrack.segment.line_length import line_density_per_m2
from insitrack.tracker.hardening import Material, dispersed_barrier, linear, quadrature
from insitrack.tracker.materials import LINE_CLASSES, material_names

Z_95 = 1.959964
"""Half width of the 95 % interval in standard deviations."""

MIN_FOR_SPREAD = 5
"""Measured defects from which on the hardening takes the spread of their sizes from the frame itself."""

_Interval = tuple[Floats, Floats, Floats]
_Counts = Mapping[str, int] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesConfig:
    """Errors that are assumed where none is given, and when to warn.

    Parameters
    ----------
    thickness_sd_relative : float
        Relative standard deviation of the foil thickness where the user gave none. 0.10 is optimistic for the EELS log-ratio
        method, whose absolute accuracy is +-20 % (Malis, Cheng and Egerton 1988, doi 10.1002/jemt.1060080206).
    size_sd_relative : float
        Relative spread of sizes within a class of which fewer than five defects were measured; enters the hardening interval only.
    overlap_warning : float
        Fraction of defects lost behind others above which a warning is given.
    line_four_over_pi : bool
        Multiply the line density by 4/pi, for lines of all directions in space; without it for lines in the plane of the foil.

    Raises
    ------
    SettingsError
        If a value is negative or not finite.
    """

    thickness_sd_relative: float = 0.10
    size_sd_relative: float = 0.40
    overlap_warning: float = 0.10
    line_four_over_pi: bool = True

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise SettingsError(f"series.{name} {value}: expected zero or a positive number")


@lru_cache(maxsize=8192)
def poisson_interval(n: int) -> tuple[float, float]:
    """Exact 95 % interval of the expected count, given that `n` were counted (Garwood 1936).

    Examples
    --------
    >>> [round(end, 3) for end in poisson_interval(0)], [round(end, 3) for end in poisson_interval(10)]
    ([0.0, 3.689], [4.795, 18.39])
    """
    low = float(gammaincinv(n, 0.025)) if n else 0.0
    return low, float(gammaincinv(n + 1, 0.975))


@lru_cache(maxsize=8192)
def mean_half_width(n: int) -> float:
    """Half width of the 95 % interval of the mean of `n` values, in their standard deviations; NaN below two (Student's t).

    Examples
    --------
    >>> round(mean_half_width(10), 4)
    0.7154
    """
    return float(stdtrit(n - 1, 0.975)) / math.sqrt(n) if n > 1 else NAN


def overlap_loss(density_per_m2: float | Floats, size_nm: float | Floats) -> Floats:
    r"""Fraction of defects whose centre lies within one diameter of another one, :math:`1 - \exp(-\pi N_A d^2)`.

    Examples
    --------
    >>> float(overlap_loss(3.41e14, 8.2).round(3))
    0.069
    """
    return np.asarray(-np.expm1(-np.pi * np.asarray(density_per_m2) * (np.asarray(size_nm) * 1e-9) ** 2), np.float64)


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Sizes of each class, and of all together in the last place, nm."""

    n: Ints
    mean: Floats
    sd: Floats


class SeriesMeter:
    """Turns the measured defects of each frame into rows of the series: one per class, and ``all``.

    Every row of every frame has the same classes, so that a class without defects is seen to be absent (n = 0) and not forgotten.
    The dose is the dose rate times the time of the frame: it starts with the source, at t_s = 0.

    Parameters
    ----------
    config : SeriesConfig
        Assumed errors.
    calibration : Calibration
        Scale, thickness and valid field.
    material : Material or None
        Constants of the hardening model; without it hardening stays empty.
    dose_rate_dpa_per_s : float or None
        Dose rate, dpa/s; without it the dose stays empty.
    class_names : tuple of str
        Classes that the segmenter can produce.

    Raises
    ------
    SettingsError
        If the dose rate is negative or not finite.

    Notes
    -----
    Defects at the border count, but their size does not: only a part of them is in view. ``all`` counts every defect; its size
    leaves out line dislocations, which have a length: its sum over what is in view, and the line density, stand in their row and in
    ``all``. Hardening sums dispersed obstacles only: line dislocations are left out, and so are classes without a barrier strength,
    so that the total is a lower bound; `warnings` names them. Where nothing of what is there has a strength, the total is empty.

    Examples
    --------
    >>> from insitrack.tracker.measure import MeasureConfig, measure
    >>> calibration = Calibration(nm_per_px=0.5, thickness_nm=100.0)
    >>> nothing = Detections.empty(0, 2.0, (100, 200), ("void",))
    >>> meter = SeriesMeter(SeriesConfig(), calibration, None, 1e-3, class_names=("void",))
    >>> void, total = meter.rows(0, 2.0, nothing, measure(nothing, calibration, MeasureConfig()), np.zeros(0, bool))
    >>> void.n, round(void.n_hi, 3), void.density_per_m3, void.dose_dpa, void.field_nm2
    (0.0, 3.689, 0.0, 0.002, 5000.0)
    """

    def __init__(
        self,
        config: SeriesConfig,
        calibration: Calibration,
        material: Material | None = None,
        dose_rate_dpa_per_s: float | None = None,
        *,
        class_names: tuple[str, ...] = DEFECT_CLASSES,
    ) -> None:
        if dose_rate_dpa_per_s is not None and not (math.isfinite(dose_rate_dpa_per_s) and dose_rate_dpa_per_s >= 0):
            raise SettingsError(f"--dose-rate {dose_rate_dpa_per_s}: expected zero or a positive number of dpa/s")
        self.config, self.calibration, self.material, self.class_names = config, calibration, material, class_names
        self.dose_rate_dpa_per_s = NAN if dose_rate_dpa_per_s is None else dose_rate_dpa_per_s
        self._dispersed = np.array([name not in LINE_CLASSES for name in class_names], bool)
        barriers = material.barriers if material is not None else {}
        self._known = np.array([i for i, name in enumerate(class_names) if name in barriers and name not in LINE_CLASSES], np.int64)
        chosen = [barriers[class_names[i]] for i in self._known]
        self._alpha = np.array([barrier.alpha for barrier in chosen])
        self._alpha_rel = np.array([barrier.alpha_sd / barrier.alpha for barrier in chosen])
        self._burgers_nm = np.array([barrier.burgers_nm or (material.burgers_nm if material else NAN) for barrier in chosen])
        nm_per_px, thickness_nm = calibration.nm_per_px, calibration.thickness_nm
        self._nm_per_px = NAN if nm_per_px is None else nm_per_px
        self._thickness_nm = NAN if thickness_nm is None else thickness_nm
        self._scale_rel = calibration.nm_per_px_sd / self._nm_per_px
        self._thickness_rel = calibration.thickness_sd_nm / self._thickness_nm if calibration.thickness_sd_nm else config.thickness_sd_relative
        modulus_rel = material.shear_modulus_sd_gpa / material.shear_modulus_gpa if material else 0.0
        # shared by all classes; density goes with the scale to the power -2 and size with +1, hence stress with -1/2
        self._common_rel = Z_95 * math.hypot(modulus_rel, self._thickness_rel / 2, self._scale_rel / 2)
        self.notes: list[str] = []
        self._seen = np.zeros(len(class_names), bool)
        self._overlap = np.zeros(len(class_names))
        self._unsized = np.zeros(len(class_names), np.int64)

    def rows(
        self,
        frame_index: int,
        t_s: float,
        detections: Detections,
        measures: Measures,
        observed: Bools,
        births: Mapping[str, int] | None = None,
        deaths: Mapping[str, int] | None = None,
        *,
        field: BoolImage | None = None,
    ) -> tuple[SeriesRow, ...]:
        """Rows of one frame.

        Parameters
        ----------
        frame_index : int
            Number of the frame in its source.
        t_s : float
            Time of the frame, s.
        detections : Detections
            What is there, N rows: seen, or alive in a gap.
        measures : Measures
            Its measures, N rows.
        observed : ndarray of bool, shape (N,)
            False for a defect that the segmenter did not see in this frame.
        births, deaths : mapping of str to int, optional
            Tracks that began and that were given up in this frame, by class.
        field : ndarray of bool, shape (H, W), optional
            True where this frame shows the specimen; without it the field of the calibration holds.

        Returns
        -------
        tuple of SeriesRow
            One per class, in the order of `class_names`, then ``all``.

        Raises
        ------
        ValueError
            If the detections have other classes than the meter.
        SettingsError
            If the valid field has another shape than the frame.
        """
        if detections.class_names != self.class_names:
            raise ValueError(f"frame {frame_index}: expected the classes {self.class_names}, got {detections.class_names}")
        field_nm2 = _field_px(detections.shape, self.calibration.field if field is None else field) * self._nm_per_px**2
        return self.rows_of(frame_index, t_s, detections.labels, measures, observed, births, deaths, field_nm2=field_nm2)

    def rows_of(
        self, frame_index: int, t_s: float, labels: Ints, measures: Measures, observed: Bools, births: _Counts, deaths: _Counts, *, field_nm2: float
    ) -> tuple[SeriesRow, ...]:
        """Rows of one frame of which only the table is left; `labels` are 1..K, `field_nm2` the specimen in view, nm^2; else as `rows`."""
        place, k = labels - 1, len(self.class_names)
        n = _with_total(np.bincount(place, minlength=k))
        sizes = self._sizes(place, measures)
        counted = np.array([poisson_interval(count) for count in n.tolist()]).T
        per_m2 = self._density(n, counted, field_nm2 * 1e-18, 2 * self._scale_rel)
        per_m3 = self._density(n, counted, field_nm2 * self._thickness_nm * 1e-27, math.hypot(self._thickness_rel, 2 * self._scale_rel))
        self._remember(n[:k], per_m2[0][:k], sizes.mean[:k])
        straight, squared = self._hardening(n[:k], counted[:, :k], per_m3[0][:k], sizes)
        half = np.array([mean_half_width(count) for count in sizes.n.tolist()]) * sizes.sd
        half = np.hypot(half, Z_95 * self._scale_rel * sizes.mean)
        columns: list[Floats | Ints] = [
            *(n, counted[0], counted[1], _with_total(np.bincount(place[observed], minlength=k))),
            *(self._by_class(births), self._by_class(deaths), np.full(k + 1, field_nm2)),
            *per_m2,
            *per_m3,
            *(sizes.mean, sizes.sd, np.maximum(sizes.mean - half, 0), sizes.mean + half),
            *straight,
            *squared,
            *self._line_density(n, counted, place, measures, field_nm2),
        ]
        return self._table(frame_index, t_s, columns)

    def missing(self, frame: MissingFrame) -> tuple[SeriesRow, ...]:
        """Rows of a frame that was not processed: every number is empty, for nobody looked."""
        return self._table(frame.index, frame.t_s, [np.full(len(self.class_names) + 1, NAN)] * 27)

    @property
    def warnings(self) -> list[str]:
        """What is unknown or biased in the rows so far, one line each, with the option that mends it."""
        lines = [*self._calibration_warnings(), *self.notes]
        percent = self._overlap * 100
        for name, loss in zip(self.class_names, percent.tolist(), strict=True):
            if loss > self.config.overlap_warning * 100:
                lines.append(
                    f"{name}: up to {loss:.0f} % lie within a diameter of another one, so they are under-counted; "
                    "use a thinner or less damaged area, or correct for it (the limit is series.overlap_warning)"
                )
        return lines + self._hardening_warnings()

    def _calibration_warnings(self) -> list[str]:
        lines, calibration = [], self.calibration
        if calibration.nm_per_px is None:
            lines.append("scale unknown: sizes, densities and hardening stay empty; give --nm-per-px")
        if calibration.thickness_nm is None:
            lines.append("foil thickness unknown: volume densities and hardening stay empty; give --thickness-nm")
        elif not calibration.thickness_sd_nm:
            share = self.config.thickness_sd_relative
            lines.append(f"error of the foil thickness unknown: {share:.0%} assumed (EELS: 20%); set series.thickness_sd_relative")
        if math.isnan(self.dose_rate_dpa_per_s):
            lines.append("dose rate unknown: the dose stays empty; give --dose-rate")
        return lines

    def _hardening_warnings(self) -> list[str]:
        if self.material is None:
            return [f"material unknown: hardening stays empty; give --material with {', '.join(material_names())} or a TOML file of your own"]
        lines, name = [], self.material.name
        if self.material.caution:
            lines.append(f"{name}: barrier strengths are {self.material.caution}; give your own with --material FILE.toml")
        known = np.zeros(len(self.class_names), bool)
        known[self._known] = True
        left_out = [self.class_names[i] for i in np.flatnonzero(self._seen & self._dispersed & ~known)]
        if left_out:
            lines.append(
                f"{name}: no barrier strength for {', '.join(left_out)}, so total hardening is a lower bound; "
                f"add alpha.{left_out[0]} to a TOML file of your own and give it with --material"
            )
        lines += [
            f"{self.class_names[i]}: hardening by lines is not included, so total hardening is a lower bound"
            for i in np.flatnonzero(self._seen & ~self._dispersed)
        ]
        lines += [
            f"{self.class_names[i]}: no size in {self._unsized[i]} frames because every one touches the border; hardening stays empty there"
            for i in np.flatnonzero((self._unsized > 0) & known)
        ]
        return lines

    def _remember(self, n: Ints, per_m2: Floats, size_nm: Floats) -> None:
        """Keep what the warnings need."""
        self._seen |= n > 0
        if math.isnan(self._nm_per_px):
            return
        self._unsized += (n > 0) & np.isnan(size_nm)
        self._overlap = np.fmax(self._overlap, np.where(self._dispersed, overlap_loss(per_m2, size_nm), 0.0))

    def _by_class(self, counts: Mapping[str, int] | None) -> Ints:
        return _with_total(np.array([(counts or {}).get(name, 0) for name in self.class_names], np.int64))

    def _sizes(self, place: Ints, measures: Measures) -> _Sizes:
        """Mean and standard deviation of the sizes of what lies wholly in view."""
        whole = np.flatnonzero(~measures.on_edge & np.isfinite(measures.size_nm))
        size, owner, k = measures.size_nm[whole], place[whole], len(self.class_names)
        pooled = size[self._dispersed[owner]]
        n = np.append(np.bincount(owner, minlength=k), len(pooled))
        some, spread = np.where(n > 0, n, np.nan), np.where(n > 1, n - 1, np.nan)
        mean = np.append(np.bincount(owner, weights=size, minlength=k), pooled.sum()) / some
        deviations = np.bincount(owner, weights=(size - mean[owner]) ** 2, minlength=k)
        return _Sizes(n, mean, np.sqrt(np.append(deviations, ((pooled - mean[k]) ** 2).sum()) / spread))

    def _density(self, n: Ints, counted: Floats, extent: float, common_rel: float) -> _Interval:
        """Defects per area or volume `extent`, m^2 or m^3, with Poisson and common relative error (eq. 13) added in squares."""
        common = Z_95 * common_rel * n
        low, high = n - np.hypot(n - counted[0], common), n + np.hypot(counted[1] - n, common)
        return n / extent, np.maximum(low, 0) / extent, high / extent

    def _line_density(self, n: Ints, counted: Floats, place: Ints, measures: Measures, field_nm2: float) -> tuple[Floats, Floats, Floats, Floats]:
        """Length of line in view, nm, and its density with interval (number of lines, thickness, scale); NaN for classes that are no lines."""
        k = len(self.class_names)
        lines = np.append(~self._dispersed, (~self._dispersed).any())
        count, (fewest, most) = np.where(lines, n, 0), counted
        count[k] = count[:k].sum()
        fewest, most = np.append(fewest[:k], poisson_interval(int(count[k]))[0]), np.append(most[:k], poisson_interval(int(count[k]))[1])
        mine = ~self._dispersed[place]
        length = np.asarray(np.bincount(place[mine], weights=measures.line_length_nm[mine], minlength=k), np.float64)
        known = lines & np.isfinite(self._nm_per_px)
        length = np.asarray(np.where(known, np.append(length, length.sum()), NAN), np.float64)
        density = line_density_per_m2(length, field_nm2, self._thickness_nm, four_over_pi=self.config.line_four_over_pi)
        common, some = Z_95 * math.hypot(self._thickness_rel, self._scale_rel), np.maximum(count, 1)
        low = density * np.maximum(1 - np.hypot((count - fewest) / some, common), 0)
        high = density * (1 + np.hypot((most - count) / some, common))
        high[count == 0] = NAN  # how long an unseen line would be is not known
        return length, density, low, high

    def _hardening(self, n: Ints, counted: Floats, per_m3: Floats, sizes: _Sizes) -> tuple[_Interval, _Interval]:
        """Contribution of each class, then the linear total and the total in quadrature, MPa, each with its interval."""
        known, k = self._known, len(self.class_names)
        if self.material is None:
            unknown: _Interval = (np.full(k + 1, NAN), np.full(k + 1, NAN), np.full(k + 1, NAN))
            return unknown, unknown
        share, total, root = np.full((3, k), NAN), np.full(3, NAN), np.full(3, NAN)
        stress = dispersed_barrier(per_m3[known], sizes.mean[known], self.material, alpha=self._alpha, burgers_nm=self._burgers_nm)
        below, above = self._independent_rel(n[known], counted[:, known], sizes.n[known], sizes.mean[known], sizes.sd[known])
        common = self._common_rel
        share[:, known] = _bounds(stress, np.hypot(below, common), np.hypot(above, common))
        share[2, known[n[known] == 0]] = NAN  # how large an unseen defect would be is not known
        if n[known].any() or (len(known) and not n.any()):
            total = _total(linear(stress), stress, stress, below, above, common)
            root = _total(quadrature(stress), stress, stress**2, below, above, common)
        straight, squared = (np.column_stack([share, ends]) for ends in (total, root))
        return (straight[0], straight[1], straight[2]), (squared[0], squared[1], squared[2])

    def _independent_rel(self, n: Ints, counted: Floats, n_sized: Ints, mean: Floats, sd: Floats) -> tuple[Floats, Floats]:
        """Relative half widths of each class alone, downwards and upwards: count, strength and mean size (eq. 14)."""
        some = np.maximum(n, 1)
        fewer, more = 1 - np.sqrt(counted[0] / some), np.sqrt(counted[1] / some) - 1
        spread = np.where(n_sized >= MIN_FOR_SPREAD, sd / mean, self.config.size_sd_relative)
        rest = Z_95 * np.hypot(self._alpha_rel, spread / np.sqrt(np.maximum(n_sized, 1)) / 2)
        return np.where(n > 0, np.hypot(fewer, rest), 0.0), np.where(n > 0, np.hypot(more, rest), 0.0)

    def _table(self, frame: int, t_s: float, columns: Sequence[Floats | Ints]) -> tuple[SeriesRow, ...]:
        """Turn columns, in the order of `SeriesRow` from `n` on, into rows."""
        dose = self.dose_rate_dpa_per_s * t_s
        values = np.array(columns, np.float64).T.tolist()
        return tuple(SeriesRow(frame, t_s, dose, name, *row) for name, row in zip((*self.class_names, "all"), values, strict=True))


def _field_px(shape: tuple[int, int], field: BoolImage | None) -> float:
    """Specimen in view, px^2; NaN where none of it is."""
    if field is not None and field.shape != shape:
        raise SettingsError(f"valid field of shape {field.shape}: expected the shape of the frame, {shape}")
    return float(shape[0] * shape[1] if field is None else np.count_nonzero(field)) or NAN


def _with_total(counts: Ints) -> Ints:
    return np.append(counts, counts.sum())


def _bounds(value: Floats, below: Floats, above: Floats) -> Floats:
    """Value and its ends, shape (3, ...), from relative half widths; nothing hardens by less than zero."""
    return np.stack([value, np.maximum(value * (1 - below), 0.0), value * (1 + above)])


def _total(value: Floats, stress: Floats, weight: Floats, below: Floats, above: Floats, common: float) -> Floats:
    """Total with its ends, shape (3,): the classes' own errors add in squares by `weight`, the common one acts on the whole."""
    scale = weight.sum()
    if not scale > 0:
        return np.array([value, value, NAN])
    own = [math.hypot(*(weight * rel / scale)) for rel in (below, above)]
    return _bounds(value, np.asarray(math.hypot(own[0], common)), np.asarray(math.hypot(own[1], common)))
