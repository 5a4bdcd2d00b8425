"""From the measures of frames to their rows of the series.

Numbers, densities, sizes, swelling and hardening, with 95 % intervals.

The formulas and their sources are collected in ``docs/physics.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np

from insitrack.io.arrays import BoolImage, Bools, Floats, Ints
from insitrack.io.detections import DEFECT_CLASSES, Detections
from insitrack.io.errors import SettingsError
from insitrack.io.frames import Calibration, MissingFrame
from insitrack.io.results import NAN, Measures, SeriesRow
from insitrack.segment.lines.length import line_density_per_m2
from insitrack.tracker.hardening.materials import LINE_CLASSES, VOLUME_CLASSES
from insitrack.tracker.hardening.models import Material
from insitrack.tracker.series.density import (
    Z_95,
    counted,
    detector_factor,
    foil_depth_nm,
    mean_half_width,
    overlap_loss,
    visibility_factor,
    volume_fraction_to_swelling,
    whole_weight,
)
from insitrack.tracker.series.diagnostics import SeriesDiagnostics, series_warnings
from insitrack.tracker.series.dose import Exposure
from insitrack.tracker.series.hardening import MIN_FOR_SPREAD, HardeningMeter, Population
from insitrack.tracker.series.observations import (
    Counts,
    Observations,
    Sizes,
    counts_of,
    moments,
    sizes_or_cut,
    summed,
    with_total,
)
from insitrack.tracker.series.settings import SeriesConfig

SERIES_COLUMNS = tuple(f.name for f in fields(SeriesRow))[4:]
"""Columns of the series that hold numbers of one class, in order."""

_Changes = Mapping[str, int] | None


class SeriesMeter:
    """Turns the measured defects of frames into rows of the series: one per class, and ``all``.

    Every row of every frame has the same classes, so that a class without defects is seen to be absent (n =
    0) and not forgotten.

    Parameters
    ----------
    config : SeriesConfig
        Rules and assumed errors.
    calibration : Calibration
        Scale, thickness and valid field.
    material : Material or None
        Constants of the hardening model; without it hardening stays empty.
    exposure : Exposure or None
        Dose, temperature and beam current against time; without it they stay empty.
    class_names : tuple of str
        Classes that the segmenter can produce.

    Raises
    ------
    SettingsError
        If the correction for the surfaces leaves nothing of the foil.

    Notes
    -----
    `n` counts every defect that is there; densities count those of `n_counted`, by the border rule. Sizes are
    of what lies wholly in view. ``all`` counts every defect; its size leaves out line dislocations, which
    have a length: its sum over what is in view, and the line density, stand in their row and in ``all``.
    Classes without a strength, and lines where their density before the experiment is not known, are left out
    of the hardening, so that the total is a lower bound; `warnings` names them. Where nothing of what is
    there has a strength, the total is empty.

    Examples
    --------
    >>> from insitrack.tracker.measure.measure import MeasureConfig, measure
    >>> calibration = Calibration(nm_per_px=0.5, thickness_nm=100.0)
    >>> nothing = Detections.empty(0, 2.0, (100, 200), ("void",))
    >>> meter = SeriesMeter(SeriesConfig(), calibration, None, Exposure(1e-3), class_names=("void",))
    >>> void, total = meter.rows(0, 2.0, nothing, measure(nothing, calibration, MeasureConfig()), np.zeros(0, bool))
    >>> void.n, round(void.n_hi, 3), void.density_per_m3, void.dose_dpa, void.field_nm2
    (0.0, 3.689, 0.0, 0.002, 5000.0)
    """

    def __init__(
        self,
        config: SeriesConfig,
        calibration: Calibration,
        material: Material | None = None,
        exposure: Exposure | None = None,
        *,
        class_names: tuple[str, ...] = DEFECT_CLASSES,
    ) -> None:
        self.config, self.calibration, self.material, self.class_names = (
            config,
            calibration,
            material,
            class_names,
        )
        self.exposure = exposure or Exposure()
        self._dispersed = np.array([name not in LINE_CLASSES for name in class_names], bool)
        self._bulky = np.array([name in VOLUME_CLASSES for name in class_names], bool)
        self._nm_per_px = NAN if calibration.nm_per_px is None else calibration.nm_per_px
        self._scale_rel = calibration.nm_per_px_sd / self._nm_per_px
        self.set_thickness(calibration.thickness_nm, calibration.thickness_sd_nm)
        scores = [
            (
                config.detector_precision.get(name, config.detector_precision.get("all")),
                config.detector_recall.get(name, config.detector_recall.get("all")),
            )
            for name in class_names
        ]
        detector = [
            detector_factor(p, r, config.detector_labels) if p is not None and r is not None else (1.0, 0.0)
            for p, r in scores
        ]
        visible = [
            config.visibility_by_class.get(name, visibility_factor(config.imaging, name))
            for name in class_names
        ]
        self._factor = np.array(
            [share * factor for share, (factor, _) in zip(visible, detector, strict=True)]
        )
        self._detector_rel = np.array([sd for _, sd in detector])
        self._hardening = HardeningMeter(
            config, material, class_names, scale_rel=self._scale_rel, detector_rel=self._detector_rel
        )
        hardens = np.zeros(len(class_names), bool)
        hardens[self._hardening.known] = True
        self.diagnostics = SeriesDiagnostics(class_names, hardens)

    def set_thickness(self, thickness_nm: float | None, thickness_sd_nm: float = 0.0) -> None:
        """Take another foil thickness, nm, from now on.

        Without an error of its own the relative one of the settings.
        """
        self.calibration = self.calibration.with_(thickness_nm=thickness_nm, thickness_sd_nm=thickness_sd_nm)
        self._thickness_nm = NAN if thickness_nm is None else thickness_nm
        self._thickness_sd_nm = thickness_sd_nm or self.config.thickness_sd_relative * self._thickness_nm
        if not math.isnan(self._thickness_nm) and not self.depth_nm(0.0) > 0:
            taken = (
                "series.smallest_cap_nm" if self.config.foil == "abercrombie" else "series.denuded_zone_nm"
            )
            raise SettingsError(
                f"{taken}: twice that is not less than the foil thickness of {self._thickness_nm:g} nm;"
                " nothing of the foil is left"
            )

    def rows(
        self,
        frame_index: int,
        t_s: float,
        detections: Detections,
        measures: Measures,
        observed: Bools,
        births: _Changes = None,
        deaths: _Changes = None,
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
            raise ValueError(
                f"frame {frame_index}: expected the classes {self.class_names}, got {detections.class_names}"
            )
        field_nm2 = (
            _field_px(detections.shape, self.calibration.field if field is None else field)
            * self._nm_per_px**2
        )
        boxes, frame_px = detections.boxes.astype(np.float64), np.array([detections.shape[::-1]], np.float64)
        sights = self.sights(
            *(
                np.zeros(len(detections), np.int64),
                detections.labels,
                measures.size_nm,
                measures.line_length_nm,
                measures.on_edge,
            ),
            *(measures.on_exclusion_edge, observed, boxes, np.column_stack([measures.x_px, measures.y_px])),
            frame_px=frame_px,
        )
        changes = (self._by_class(births)[None], self._by_class(deaths)[None])
        values = self.table(np.array([t_s]), np.array([field_nm2]), sights, *changes, frame_px=frame_px)
        return self._as_rows(frame_index, t_s, values)

    def sights(
        self,
        frame: Ints,
        labels: Ints,
        size_nm: Floats,
        line_length_nm: Floats,
        on_edge: Bools,
        on_exclusion_edge: Bools,
        observed: Bools,
        boxes: Floats,
        centres: Floats,
        *,
        frame_px: Floats,
    ) -> Observations:
        """Put rows of measures, or of ``tracks.csv``, into the form that `table` takes.

        Parameters
        ----------
        frame, labels, size_nm, line_length_nm, on_edge, on_exclusion_edge, observed : ndarray, shape (N,)
            Place of the frame among those asked for; class 1..K; and columns of `Measures`.
        boxes : ndarray of float64, shape (N, 4)
            x1 y1 x2 y2, px.
        centres : ndarray of float64, shape (N, 2)
            x y, px.
        frame_px : ndarray of float64, shape (T, 2)
            Width and height of the frames, px; where they are not known (NaN) sizes are not weighted.
        """
        whole, size_px = ~on_edge & np.isfinite(size_nm), frame_px[frame]
        weight = whole_weight(boxes[:, 2:] - boxes[:, :2], size_px)
        guard = self.config.border_guard_px or 0.0
        near = np.asarray(((centres < guard) | (centres > size_px - guard)).any(axis=1))
        counts = counted(self.config.border, on_edge, on_exclusion_edge, near).astype(np.float64)
        return Observations(
            frame,
            labels - 1,
            size_nm,
            line_length_nm,
            whole,
            weight,
            np.ones(len(frame)),
            counts,
            observed.astype(np.float64),
        )

    def table(
        self,
        t_s: Floats,
        field_nm2: Floats,
        sights: Observations,
        births: Ints,
        deaths: Ints,
        *,
        frame_px: Floats,
    ) -> dict[str, Floats]:
        """Every column of the series of some frames.

        Parameters
        ----------
        t_s, field_nm2 : ndarray of float64, shape (T,)
            Time, s, and specimen in view, nm^2, NaN where unknown.
        sights : Observations
            Defects of these frames.
        births, deaths : ndarray of int64, shape (T, K)
            Tracks that began and that were given up, by class.
        frame_px : ndarray of float64, shape (T, 2)
            Width and height of the frames, px; NaN where not known.

        Returns
        -------
        dict of str to ndarray of float64, shape (T, K + 1)
            By the names of `SeriesRow`, in their order, from `n` on; the last place is ``all``.
        """
        t, k = len(t_s), len(self.class_names)
        there, counts = counts_of(sights, sights.share, t, k), counts_of(sights, sights.counted, t, k)
        sizes = self._sizes(sights, t)
        area_m2 = field_nm2 * self._guard_share(frame_px) * 1e-18
        inverse_depth, volume = self._depths(sights, sizes, t)
        per_m2 = self._density(counts, area_m2, np.ones((t, k)), np.zeros((t, k)))
        thickness_rel = self._thickness_sd_nm * inverse_depth
        per_m3 = self._density(counts, area_m2, inverse_depth * 1e9, thickness_rel)
        self._remember(there.n[:, :k], per_m2[0][:, :k], sizes)
        lines = self._line_density(there, sights, field_nm2, t)
        density = np.where(self._dispersed, per_m3[0][:, :k], lines[1][:, :k])
        thickness_rel = np.where(self._dispersed, thickness_rel, self._thickness_sd_nm / self._thickness_nm)
        low, high = counts.interval()
        obstacles = sizes_or_cut(sights, sizes, t)
        population = Population(
            *(there.n[:, :k], counts.n[:, :k], low[:, :k], high[:, :k], density, thickness_rel),
            *(obstacles.n[:, :k], obstacles.mean[:, :k], obstacles.sd[:, :k]),
        )
        straight, squared, third = self._hardening.columns(population)
        known = self._hardening.known
        told = np.isfinite(density[:, known]) & np.isfinite(obstacles.mean[:, known])
        self.diagnostics.too_dense[known] += (told & np.isnan(straight[0][:, known])).sum(axis=0)
        half = np.hypot(mean_half_width(sizes.n) * sizes.sd, Z_95 * self._scale_rel * sizes.mean)
        columns = [
            *(there.n, *there.interval(), counts_of(sights, sights.observed, t, k).n),
            *(with_total(births), with_total(deaths), np.repeat(field_nm2[:, None], k + 1, axis=1)),
            *per_m2,
            *per_m3,
            *(sizes.mean, sizes.sd, np.maximum(sizes.mean - half, 0), sizes.mean + half),
            *straight,
            *squared,
            *lines,
            counts.n,
            *self._swelling(counts, area_m2, volume, inverse_depth),
            *third,
            *(
                np.repeat(values[:, None], k + 1, axis=1)
                for values in (self.exposure.temperature_c(t_s), self.exposure.beam_current_a(t_s))
            ),
        ]
        return {
            name: np.asarray(values, np.float64) for name, values in zip(SERIES_COLUMNS, columns, strict=True)
        }

    def missing(self, frame: MissingFrame) -> tuple[SeriesRow, ...]:
        """Rows of a frame that was not processed: every number is empty, for nobody looked."""
        return self._as_rows(
            frame.index,
            frame.t_s,
            {name: np.full((1, len(self.class_names) + 1), NAN) for name in SERIES_COLUMNS},
        )

    @property
    def warnings(self) -> list[str]:
        """What is unknown or biased in the rows so far, one line each, with the option that mends it."""
        return series_warnings(
            self.config, self.calibration, self.material, self.diagnostics, dose_known=self.exposure.known
        )

    def _remember(self, n: Floats, per_m2: Floats, sizes: Sizes) -> None:
        """Keep what the warnings need."""
        k = len(self.class_names)
        self.diagnostics.seen |= (n > 0).any(axis=0)
        if math.isnan(self._nm_per_px):
            return
        size_nm = sizes.mean[:, :k]
        self.diagnostics.unsized += ((n > 0) & np.isnan(size_nm)).sum(axis=0)
        lost = np.where(self._dispersed, overlap_loss(per_m2, size_nm), 0.0)
        self.diagnostics.overlap = np.fmax(
            self.diagnostics.overlap, np.fmax.reduce(lost, axis=0, initial=0.0)
        )

    def _by_class(self, counts: _Changes) -> Ints:
        return np.array([(counts or {}).get(name, 0) for name in self.class_names], np.int64)

    def _guard_share(self, frame_px: Floats) -> Floats:
        """Share of each field that the border rule counts in."""
        guard = self.config.border_guard_px
        if self.config.border != "centroid" or guard is None:
            return np.ones(len(frame_px))
        share = np.maximum(1 - 2 * guard / frame_px, 0.0).prod(axis=1)
        return np.asarray(np.where(share > 0, share, NAN), np.float64)

    def depth_nm(self, size_nm: float | Floats) -> Floats:
        """Depth of the volume in which defects of a size are seen, nm."""
        zone = self.config.denuded_zone_nm or 0.0
        return foil_depth_nm(
            self.config.foil,
            self._thickness_nm,
            size_nm,
            smallest_cap_nm=self.config.smallest_cap_nm,
            denuded_zone_nm=zone,
        )

    def _sizes(self, sights: Observations, t: int) -> Sizes:
        """Mean and standard deviation of the sizes of what lies wholly in view, each with its weight."""
        k = len(self.class_names)
        mean, n, sd = moments(sights.size_nm, sights, sights.whole, t, k)
        pooled = sights.whole & self._dispersed[sights.place]
        everything = replace(sights, place=np.zeros_like(sights.place))
        all_mean, all_n, all_sd = moments(sights.size_nm, everything, pooled, t, 1)
        for i in np.flatnonzero(self._bulky):
            mine = sights.size_nm[sights.whole & (sights.place == i)]
            self.diagnostics.largest_nm[i] = max(self.diagnostics.largest_nm[i], mine.max(initial=0.0))
        return Sizes(
            np.column_stack([n, all_n]), np.column_stack([mean, all_mean]), np.column_stack([sd, all_sd])
        )

    def _depths(
        self, sights: Observations, sizes: Sizes, t: int
    ) -> tuple[Floats, tuple[Floats, Floats, Floats]]:
        """Mean inverse depth of each class, 1/nm, and mean, number and spread of volume per depth, nm^2.

        All defect by defect.
        """
        k = len(self.class_names)
        if self.config.foil == "abercrombie":
            inverse, _, _ = moments(1 / self.depth_nm(sights.size_nm), sights, sights.whole, t, k)
            inverse = np.where(np.isnan(inverse), 1 / self.depth_nm(0.0), inverse)
        else:
            inverse = np.full((t, k), 1 / self.depth_nm(0.0))
        if not self._bulky.any():
            nothing = np.full((t, k), NAN)
            return inverse, (nothing, nothing, nothing)
        volume = np.pi / 6 * sights.size_nm**3 / self.depth_nm(sights.size_nm)
        return inverse, moments(volume, sights, sights.whole & self._bulky[sights.place], t, k)

    def _density(
        self, counts: Counts, area_m2: Floats, per_depth: Floats, thickness_rel: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Defects per area or volume with its ends (eq. 13).

        Counts and detector class by class, thickness and scale shared by all.
        """
        k = per_depth.shape[1]
        n, squares = counts.n[:, :k], counts.squares[:, :k]
        factor = self._factor * per_depth
        weight = factor * n
        total, mixed = weight.sum(axis=1), (factor**2 * squares).sum(axis=1)
        if (factor == factor[:, :1]).all():  # exactly, whatever rounding says
            total, mixed = factor[:, 0] * counts.n[:, k], factor[:, 0] ** 2 * counts.squares[:, k]
        both = Counts(np.column_stack([weight, total]), np.column_stack([factor**2 * squares, mixed]))
        low, high = both.interval()
        none = both.n == 0
        high[none] *= np.column_stack([factor, factor.max(axis=1, initial=0.0)])[none]
        own = Z_95 * self._detector_rel * weight
        own = np.column_stack([own, np.sqrt((own**2).sum(axis=1))])
        thickness = thickness_rel * weight
        common = Z_95 * np.hypot(
            np.column_stack([thickness, thickness.sum(axis=1)]), 2 * self._scale_rel * both.n
        )
        area = area_m2[:, None]
        below, above = (np.sqrt((end - both.n) ** 2 + own**2 + common**2) for end in (low, high))
        return both.n / area, np.maximum(both.n - below, 0) / area, (both.n + above) / area

    def _line_density(
        self, there: Counts, sights: Observations, field_nm2: Floats, t: int
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """Length of line in view, nm, and its density with interval (number of lines, thickness, scale).

        NaN for classes that are no lines.
        """
        k = len(self.class_names)
        if self._dispersed.all():
            nothing = np.full((t, k + 1), NAN)
            return nothing, nothing, nothing, nothing
        lines = np.append(~self._dispersed, True)
        number, squares = (
            np.where(self._dispersed, 0.0, values[:, :k]) for values in (there.n, there.squares)
        )
        count = np.column_stack([number, number.sum(axis=1)])
        fewest, most = Counts(count, np.column_stack([squares, squares.sum(axis=1)])).interval()
        mine = ~self._dispersed[sights.place]
        length = summed(sights, np.where(mine, sights.line_length_nm, 0.0) * sights.share, t, k)
        known = lines & math.isfinite(self._nm_per_px)
        length = np.where(known, np.column_stack([length, length.sum(axis=1)]), NAN)
        true = length[:, :k] * self._factor
        true = np.column_stack([true, np.where(self._dispersed, 0.0, true).sum(axis=1)])
        density = line_density_per_m2(
            true, field_nm2[:, None], self._thickness_nm, four_over_pi=self.config.line_four_over_pi
        )
        common, some = (
            Z_95 * math.hypot(self._thickness_sd_nm / self._thickness_nm, self._scale_rel),
            np.where(count > 0, count, 1.0),
        )
        low = density * np.maximum(1 - np.hypot((count - fewest) / some, common), 0)
        high = density * (1 + np.hypot((most - count) / some, common))
        high[count == 0] = NAN  # how long an unseen line would be is not known
        return length, density, low, high

    def _swelling(
        self, counts: Counts, area_m2: Floats, volume: tuple[Floats, Floats, Floats], inverse_depth: Floats
    ) -> list[Floats]:
        """Volume fraction with its ends, then swelling, %, with its ends.

        From the volume of every single defect (eq. 18).
        """
        t, k = inverse_depth.shape
        mean, n_sized, sd = volume  # volume over depth, nm^2
        n, (low, high) = counts.n[:, :k], (end[:, :k] for end in counts.interval())
        mean = np.where((n == 0) & self._bulky, 0.0, mean)
        value = np.where(self._bulky, self._factor * n * mean / (area_m2[:, None] * 1e18), NAN)
        some = np.where(n > 0, n, 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.where(
                n_sized >= MIN_FOR_SPREAD,
                sd / mean * mean_half_width(n_sized),
                Z_95 * 3 * self.config.size_sd_relative,
            )
        thickness = self._thickness_sd_nm * inverse_depth
        rest = np.sqrt(spread**2 + Z_95**2 * (self._detector_rel**2 + thickness**2 + self._scale_rel**2))
        # volumes are so skewed that their mean scatters as the logarithm of a normal variable, not as the
        # variable
        below = value * -np.expm1(-np.hypot(np.log(some / np.where(low > 0, low, some * 1e-9)), rest))
        above = value * np.expm1(np.hypot(np.log(high / some), rest))
        none = n == 0  # how large an unseen one would be is not known
        ends = [np.where(none, value, np.maximum(value - below, 0)), np.where(none, NAN, value + above)]
        voids = [i for i, name in enumerate(self.class_names) if name == "void"]
        columns, swelling = [], []
        for one in (value, *ends):
            columns.append(np.column_stack([one, np.full(t, NAN)]))
            percent = np.full((t, k + 1), NAN)
            for i in voids:
                percent[:, i] = percent[:, k] = volume_fraction_to_swelling(
                    one[:, i], self.config.swelling_denominator
                )
            swelling.append(percent)
        return [*columns, *swelling]

    def _as_rows(self, frame: int, t_s: float, columns: Mapping[str, Floats]) -> tuple[SeriesRow, ...]:
        """Turn the columns of one frame into rows."""
        dose = float(self.exposure.dose_dpa(t_s))
        values = np.stack([columns[name][0] for name in SERIES_COLUMNS], axis=1).tolist()
        return tuple(
            SeriesRow(frame, t_s, dose, name, *row)
            for name, row in zip((*self.class_names, "all"), values, strict=True)
        )


def _field_px(shape: tuple[int, int], field: BoolImage | None) -> float:
    """Specimen in view, px^2; NaN where none of it is."""
    if field is not None and field.shape != shape:
        raise SettingsError(f"valid field of shape {field.shape}: expected the shape of the frame, {shape}")
    return float(shape[0] * shape[1] if field is None else np.count_nonzero(field)) or NAN
