"""From the measures of frames to their rows of the series.

Numbers, densities, sizes, swelling and hardening, with 95 % intervals. The formulas and their sources are
collected in ``docs/physics.md``.

`n` counts every defect that is there; densities count those of `n_counted`, by the border rule. Sizes are of
what lies wholly in view. ``all`` counts every defect; its size leaves out line dislocations, which have a
length: its sum over what is in view, and the line density, stand in their row and in ``all``. Classes without
a strength, and lines where their density before the experiment is not known, are left out of the hardening,
so that the total lacks their part; `SeriesMeter.warnings` names them. Where nothing of what is there has a
strength, the total is empty.
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
from insitrack.io.intervals import Z_95, mean_half_width
from insitrack.io.results import NAN, Measures, SeriesRow
from insitrack.tracker.hardening.models import Material
from insitrack.tracker.series.conditions import (
    GIVEN,
    MATERIAL,
    SEVERAL,
    THICKNESS,
    THICKNESS_SD,
    Change,
    Conditions,
    exact,
)
from insitrack.tracker.series.density import Ranged
from insitrack.tracker.series.diagnostics import SeriesDiagnostics, series_warnings
from insitrack.tracker.series.dose import Exposure
from insitrack.tracker.series.hardening import Population
from insitrack.tracker.series.observations import (
    Moments,
    Observations,
    counts_of,
    observe_frame,
    sizes_of,
    sizes_or_cut,
    with_total,
)
from insitrack.tracker.series.settings import SeriesConfig
from insitrack.tracker.series.specimen import MaterialOf, Specimen, Specimens

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
    material_of : callable, optional
        Gives the constants of other materials by their names, for conditions that name some.

    Attributes
    ----------
    conditions : Conditions
        Thickness and material at every frame; at first those of `calibration` and `material` throughout.

    Raises
    ------
    SettingsError
        If the correction for the surfaces leaves nothing of the foil.

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
        material_of: MaterialOf | None = None,
    ) -> None:
        self.config, self.calibration, self.material = config, calibration, material
        self.class_names, self.exposure = class_names, exposure or Exposure()
        self._nm_per_px = NAN if calibration.nm_per_px is None else calibration.nm_per_px
        self._scale_rel = calibration.nm_per_px_sd / self._nm_per_px
        other = material_of or (lambda _: material)
        self._specimens = Specimens(
            config, class_names, self._scale_rel, lambda name: material if name == GIVEN else other(name)
        )
        self._hold(constant_conditions(calibration, None if material is None else GIVEN))
        self.diagnostics = SeriesDiagnostics(class_names, self.specimen(0).hardening.hardens)

    def follow(self, conditions: Conditions) -> None:
        """Take thickness, dose rate and material as they are recorded.

        Raises
        ------
        SettingsError
            If a thickness or a material cannot be used; nothing is changed then.
        """
        self._hold(conditions)
        rate, steps = conditions.dose_rates()
        self.exposure = replace(self.exposure, dose_rate_dpa_per_s=rate, steps=steps)
        self.diagnostics.hardens = self._held[-1].hardening.hardens

    def _hold(self, conditions: Conditions) -> None:
        starts = conditions.starts()
        held = [self._specimens.of(conditions.foil(start)) for start in starts.tolist()]
        self.conditions, self._starts, self._held = conditions, starts, held

    @property
    def materials(self) -> list[tuple[int, Material | None]]:
        """Constants of the hardening models with the first frame of each, None where there are none."""
        found: list[tuple[int, Material | None]] = []
        for start, held in zip(self._starts.tolist(), self._held, strict=True):
            if not found or held.material != found[-1][1]:
                found.append((start, held.material))
        return found

    def stretch_of(self, frame: Ints) -> Ints:
        """Return which stretch of equal thickness and material each frame belongs to, rising from 0."""
        place = np.searchsorted(self._starts, frame, side="right") - 1
        return np.where(frame == SEVERAL, SEVERAL if len(self._starts) > 1 else 0, place)

    def specimen(self, frame: int) -> Specimen:
        """Return what densities and hardening are made with at a frame, or for `SEVERAL` at once."""
        stretch = int(self.stretch_of(np.array([frame]))[0])
        return self._of_stretch(stretch)

    def _of_stretch(self, stretch: int) -> Specimen:
        return (
            self._held[stretch] if stretch != SEVERAL else self._specimens.of(self.conditions.foil(SEVERAL))
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
        """Rows of one frame: one per class, in the order of `class_names`, then ``all``.

        Parameters
        ----------
        frame_index : int
            Number of the frame in its source.
        t_s : float
            Time of the frame, s.
        detections, measures : Detections, Measures
            What is there, N rows: seen, or alive in a gap; and its measures.
        observed : ndarray of bool, shape (N,)
            False for a defect that the segmenter did not see in this frame.
        births, deaths : mapping of str to int, optional
            Tracks that began and that were given up in this frame, by class.
        field : ndarray of bool, shape (H, W), optional
            True where this frame shows the specimen; without it the field of the calibration holds.

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
        view_px = _field_px(detections.shape, self.calibration.field if field is None else field)
        field_nm2 = np.array([view_px * self._nm_per_px**2])
        frame_px = np.array([detections.shape[::-1]], np.float64)
        seen = observe_frame(self.config, detections, measures, observed)
        changes = (_by_class(births, self.class_names), _by_class(deaths, self.class_names))
        number = np.array([frame_index], np.int64)
        values = self.table(np.array([t_s]), field_nm2, seen, *changes, frame_px=frame_px, frame=number)
        return _as_rows(frame_index, t_s, float(self.exposure.dose_dpa(t_s)), self.class_names, values)

    def table(
        self,
        t_s: Floats,
        field_nm2: Floats,
        seen: Observations,
        births: Ints,
        deaths: Ints,
        *,
        frame_px: Floats,
        frame: Ints | None = None,
    ) -> dict[str, Floats]:
        """Every column of the series of some frames, under its name in `SeriesRow`, from `n` on.

        Each is an array of float64 of shape (T, K + 1); the last place is ``all``.

        Parameters
        ----------
        t_s, field_nm2 : ndarray of float64, shape (T,)
            Time, s, and specimen in view, nm^2, NaN where unknown.
        seen : Observations
            Defects of these frames.
        births, deaths : ndarray of int64, shape (T, K)
            Tracks that began and that were given up, by class.
        frame_px : ndarray of float64, shape (T, 2)
            Width and height of the frames, px; NaN where not known.
        frame : ndarray of int64, shape (T,), optional
            Numbers of the frames, which say what thickness and material hold; `SEVERAL` where not the same ones
            do. Left out, those of the beginning.
        """
        self._note_log(t_s)
        stretch = self.stretch_of(np.zeros(len(t_s), np.int64) if frame is None else frame)
        columns: dict[str, Floats] = {}
        for one in np.unique(stretch).tolist() or [0]:
            here = stretch == one
            part = self._columns(
                self._of_stretch(one),
                t_s[here],
                np.broadcast_to(field_nm2, t_s.shape)[here],
                seen.of_frames(here),
                births[here],
                deaths[here],
                frame_px[here],
            )
            for name, values in part.items():
                columns.setdefault(name, np.full((len(t_s), values.shape[1]), NAN))[here] = values
        return columns

    def _columns(
        self,
        specimen: Specimen,
        t_s: Floats,
        field_nm2: Floats,
        seen: Observations,
        births: Ints,
        deaths: Ints,
        frame_px: Floats,
    ) -> dict[str, Floats]:
        """Make the columns of frames with the same foil."""
        t, k = len(t_s), len(self.class_names)
        there, counts = counts_of(seen, seen.share, t, k), counts_of(seen, seen.counted, t, k)
        densities, hardening = specimen.densities, specimen.hardening
        sizes = sizes_of(seen, densities.dispersed, t)
        area_m2 = densities.counting_area_m2(field_nm2, frame_px)
        inverse_depth = densities.inverse_depth(seen, t)
        per_m2 = densities.per_area(counts, area_m2)
        per_m3 = densities.per_volume(counts, area_m2, inverse_depth)
        scaled = math.isfinite(self._nm_per_px)
        length_nm, lines = densities.lines(there, seen, field_nm2, scaled=scaled)
        fraction = densities.volume_fraction(counts, seen, area_m2, inverse_depth)
        obstacles = Population.of(
            there, counts, sizes_or_cut(seen, sizes, t), *densities.of_obstacles(per_m3, lines, inverse_depth)
        )
        straight, squared, third = (Ranged(*total) for total in hardening.columns(obstacles))
        self.diagnostics.note_frames(seen, there, per_m2.value, sizes, scaled=scaled)
        self.diagnostics.note_hardening(
            obstacles.density, obstacles.size_nm, straight.value, hardening.hardens
        )
        columns = {
            **Ranged(there.n, *there.interval()).columns("n"),
            "n_observed": counts_of(seen, seen.observed, t, k).n,
            "n_counted": counts.n,
            "births": with_total(births),
            "deaths": with_total(deaths),
            "field_nm2": _every_class(field_nm2, k),
            **per_m2.columns("density_per_m2"),
            **per_m3.columns("density_per_m3"),
            **_size_columns(sizes, self._scale_rel),
            **straight.columns("hardening_linear_mpa"),
            **squared.columns("hardening_quadrature_mpa"),
            **third.columns("hardening_mixed_mpa"),
            "line_length_nm": length_nm,
            **lines.columns("line_density_per_m2"),
            **fraction.columns("volume_fraction"),
            **densities.swelling(fraction).columns("swelling_percent"),
            "temperature_c": _every_class(self.exposure.temperature_c(t_s), k),
            "beam_current_a": _every_class(self.exposure.beam_current_a(t_s), k),
        }
        return {name: np.asarray(columns[name], np.float64) for name in SERIES_COLUMNS}

    def _note_log(self, t_s: Floats) -> None:
        """Note once that the log covers part of the movie only."""
        if self.exposure.outlasts_log(t_s):
            note = (
                f"the log runs {self.exposure.log_words}, the movie goes beyond: dose, temperature and current are"
                " empty there; check --log-start"
            )
            if note not in self.diagnostics.notes:
                self.diagnostics.notes.append(note)

    def missing(self, frame: MissingFrame) -> tuple[SeriesRow, ...]:
        """Rows of a frame that was not processed: every number is empty, for nobody looked."""
        unknown = np.full((1, len(self.class_names) + 1), NAN)
        dose = float(self.exposure.dose_dpa(frame.t_s))
        columns = dict.fromkeys(SERIES_COLUMNS, unknown)
        return _as_rows(frame.index, frame.t_s, dose, self.class_names, columns)

    @property
    def warnings(self) -> list[str]:
        """What is unknown or biased in the rows so far, one line each, with the option that mends it."""
        last = self._held[-1]
        foil = self.conditions.foil(int(self._starts[-1]))
        calibration = self.calibration.with_(
            thickness_nm=foil.thickness_nm, thickness_sd_nm=foil.thickness_sd_nm
        )
        return [
            *series_warnings(
                self.config, calibration, last.material, self.diagnostics, dose_known=self.exposure.known
            ),
            *([_VARIED] if self.conditions.varied else []),
        ]


_VARIED = (
    "thickness, dose rate or material changed during the run: every row holds what held at its frame, and"
    " settings.csv says when; for one value throughout: track series RUN --thickness-nm, --dose-rate, --material"
)


def constant_conditions(calibration: Calibration, material: str | None) -> Conditions:
    """Thickness and material that hold for every frame."""
    known = (
        (THICKNESS, exact(calibration.thickness_nm)),
        (THICKNESS_SD, exact(calibration.thickness_sd_nm or None)),
        (MATERIAL, exact(material)),
    )
    return Conditions(tuple(Change(0, 0.0, what, value) for what, value in known if value))


def _as_rows(
    frame: int, t_s: float, dose_dpa: float, class_names: tuple[str, ...], columns: Mapping[str, Floats]
) -> tuple[SeriesRow, ...]:
    """Turn the columns of one frame into rows, every number under its name."""
    values = zip(*(columns[name][0].tolist() for name in SERIES_COLUMNS), strict=True)
    return tuple(
        SeriesRow(frame, t_s, dose_dpa, name, **dict(zip(SERIES_COLUMNS, row, strict=True)))
        for name, row in zip((*class_names, "all"), values, strict=True)
    )


def _by_class(counts: _Changes, class_names: tuple[str, ...]) -> Ints:
    """Put counts of one frame into the order of the classes, shape (1, K)."""
    return np.array([[(counts or {}).get(name, 0) for name in class_names]], np.int64)


def _field_px(shape: tuple[int, int], field: BoolImage | None) -> float:
    """Specimen in view, px^2; NaN where none of it is."""
    if field is not None and field.shape != shape:
        raise SettingsError(f"valid field of shape {field.shape}: expected the shape of the frame, {shape}")
    return float(shape[0] * shape[1] if field is None else np.count_nonzero(field)) or NAN


def _every_class(values: Floats, k: int) -> Floats:
    """Repeat one number a frame for K classes and all together, shape (T, K + 1)."""
    return np.repeat(values[:, None], k + 1, axis=1)


def _size_columns(sizes: Moments, scale_rel: float) -> dict[str, Floats]:
    """Mean sizes, nm, with the interval of their scatter and of the scale."""
    half = np.hypot(mean_half_width(sizes.n) * sizes.sd, Z_95 * scale_rel * sizes.mean)
    return {
        "size_nm": sizes.mean,
        "size_sd_nm": sizes.sd,
        "size_lo_nm": np.maximum(sizes.mean - half, 0),
        "size_hi_nm": sizes.mean + half,
    }
