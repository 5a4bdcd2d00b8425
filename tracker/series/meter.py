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

from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np

from insitrack.io.arrays import BoolImage, Bools, Floats, Ints
from insitrack.io.detections import DEFECT_CLASSES, Detections
from insitrack.io.errors import SettingsError
from insitrack.io.frames import Calibration, MissingFrame
from insitrack.io.results import NAN, Measures, SeriesRow
from insitrack.tracker.hardening.models import Material
from insitrack.tracker.series.conditions import (
    GIVEN,
    MATERIAL,
    THICKNESS,
    THICKNESS_SD,
    Change,
    Conditions,
    exact,
)
from insitrack.tracker.series.diagnostics import SeriesDiagnostics, series_warnings
from insitrack.tracker.series.dose import Exposure
from insitrack.tracker.series.observations import (
    Observations,
    observe_frame,
)
from insitrack.tracker.series.settings import SeriesConfig
from insitrack.tracker.series.specimen import MaterialOf, Specimens, every_class

SERIES_COLUMNS = tuple(f.name for f in fields(SeriesRow))[4:]
"""Columns of the series that hold numbers of one class, in order."""

COUNTS = (
    *("n", "n_lo", "n_hi", "n_observed", "n_counted", "births", "deaths"),
    *("field_nm2", "temperature_c", "beam_current_a"),
)
"""Columns that are given of frames that are not trusted too."""

_Changes = Mapping[str, int] | None


class SeriesMeter:
    """Turns the measured defects of frames into rows of the series: one per class, and ``all``.

    Every row of every frame has the same classes, so that one without defects is seen to be absent (n = 0).

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
    specimens : Specimens
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
        self.specimens = Specimens(
            config,
            class_names,
            self._scale_rel,
            lambda name: material if name == GIVEN else other(name),
            constant_conditions(calibration, None if material is None else GIVEN),
        )
        self.diagnostics = SeriesDiagnostics(class_names, self.specimens.last.hardening.hardens)

    @property
    def conditions(self) -> Conditions:
        """Thickness, dose rate and material at every frame."""
        return self.specimens.conditions

    def follow(self, conditions: Conditions) -> None:
        """Take thickness, dose rate and material as they are recorded; errors as above, then without a change."""
        self.specimens.follow(conditions)
        rate, steps = conditions.dose_rates()
        self.exposure = replace(self.exposure, dose_rate_dpa_per_s=rate, steps=steps)
        self.diagnostics.hardens = self.specimens.last.hardening.hardens

    def set_scale(self, nm_per_px: float) -> None:
        """Take another scale, nm, for the frames from now on; NaN where it is not known."""
        self._nm_per_px = nm_per_px

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
        trust: float = NAN,
    ) -> tuple[SeriesRow, ...]:
        """Rows of one frame: one per class, in the order of `class_names`, then ``all``.

        Parameters
        ----------
        frame_index, t_s : int, float
            Number of the frame in its source, and its time, s.
        detections, measures : Detections, Measures
            What is there, N rows: seen, or alive in a gap; and its measures.
        observed : ndarray of bool, shape (N,)
            False for a defect that the segmenter did not see in this frame.
        births, deaths : mapping of str to int, optional
            Tracks that began and that were given up in this frame, by class.
        field : ndarray of bool, shape (H, W), optional
            True where this frame shows the specimen; without it the field of the calibration holds.
        trust : float
            Trust in the frame, 0..1; NaN where nobody judged.

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
        seen = observe_frame(self.config, detections, measures, observed)
        changes = (_by_class(births, self.class_names), _by_class(deaths, self.class_names))
        frame_px, number = np.array([detections.shape[::-1]], np.float64), np.array([frame_index], np.int64)
        of_frame = {"frame_px": frame_px, "frame": number, "trust": np.array([trust])}
        values = self.table(np.array([t_s]), field_nm2, seen, *changes, **of_frame)
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
        trust: Floats | None = None,
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
            Tracks that began and that ended, by class.
        frame_px : ndarray of float64, shape (T, 2)
            Width and height of the frames, px; NaN where not known.
        frame : ndarray of int64, shape (T,), optional
            Numbers of the frames, for their thickness and material; `SEVERAL`; left out, those of the beginning.
        trust : ndarray of float64, shape (T,), optional
            Trust in the frames: the less, the wider are the intervals; where it is less than
            `SeriesConfig.least_trust` only counts are given.
        """
        _note_log(self.exposure, t_s, self.diagnostics)
        stretch = self.specimens.stretch_of(np.zeros(len(t_s), np.int64) if frame is None else frame)
        field_nm2 = np.broadcast_to(field_nm2, t_s.shape)
        frames = (field_nm2, births, deaths, frame_px, trust)
        columns = _by_stretch(self.specimens, stretch, seen, frames, self.diagnostics)
        k = len(self.class_names)
        columns["temperature_c"] = every_class(self.exposure.temperature_c(t_s), k)
        columns["beam_current_a"] = every_class(self.exposure.beam_current_a(t_s), k)
        columns = columns if trust is None else _counts_alone(columns, trust < self.config.least_trust)
        return {name: columns[name] for name in SERIES_COLUMNS}

    def missing(self, frame: MissingFrame) -> tuple[SeriesRow, ...]:
        """Rows of a frame that was not processed: every number is empty, for nobody looked."""
        dose = float(self.exposure.dose_dpa(frame.t_s))
        columns = dict.fromkeys(SERIES_COLUMNS, np.full((1, len(self.class_names) + 1), NAN))
        return _as_rows(frame.index, frame.t_s, dose, self.class_names, columns)

    @property
    def warnings(self) -> list[str]:
        """What is unknown or biased in the rows so far, one line each, with the option that mends it."""
        known = self.calibration.with_(**self.specimens.last_thickness())
        material = self.specimens.last.material
        lines = series_warnings(
            self.config, known, material, self.diagnostics, dose_known=self.exposure.known
        )
        return [*lines, *([_VARIED] if self.conditions.varied else [])]


def _by_stretch(
    specimens: Specimens,
    stretch: Ints,
    seen: Observations,
    frames: tuple[Floats, Ints, Ints, Floats, Floats | None],
    diagnostics: SeriesDiagnostics,
) -> dict[str, Floats]:
    """Columns of frames, each by the thickness and material of its stretch, shape (T,).

    `frames` holds field, births, deaths, size in pixels and trust, as in `SeriesMeter.table`.
    """
    columns: dict[str, Floats] = {}
    for one in sorted(set(stretch.tolist())) or [0]:
        here = stretch == one
        field_nm2, births, deaths, frame_px, trust = frames
        part = specimens.of_stretch(one).columns(
            seen.of_frames(here),
            field_nm2[here],
            births[here],
            deaths[here],
            frame_px[here],
            diagnostics,
            None if trust is None else trust[here],
        )
        if here.all():
            return part
        for name, values in part.items():
            if name not in columns:
                columns[name] = np.full((len(stretch), values.shape[1]), NAN)
            columns[name][here] = values
    return columns


def _counts_alone(columns: dict[str, Floats], untrusted: Bools) -> dict[str, Floats]:
    """Leave only `COUNTS` of frames that are not trusted, shape (T,)."""
    if not untrusted.any():
        return columns
    return {
        name: values if name in COUNTS else np.where(untrusted[:, None], NAN, values)
        for name, values in columns.items()
    }


def _note_log(exposure: Exposure, t_s: Floats, diagnostics: SeriesDiagnostics) -> None:
    """Note once that the log covers part of the movie only."""
    if exposure.outlasts_log(t_s):
        note = (
            f"the log runs {exposure.log_words}, the movie goes beyond: dose, temperature and current are"
            " empty there; check --log-start"
        )
        if note not in diagnostics.notes:
            diagnostics.notes.append(note)


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
