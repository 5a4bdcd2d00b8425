"""A run recomputed from its tables alone, under other settings: no movie, no model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.io.errors import SettingsError, TableError
from insitrack.io.results import NAN
from insitrack.io.tables.columns import SUMMARY
from insitrack.io.tables.frame_views import frame_scales, view_numbers
from insitrack.io.tables.stream import Columns, to_parquet
from insitrack.tracker.analysis.common_field import cut_to
from insitrack.tracker.analysis.table_run import TableRun
from insitrack.tracker.analysis.time_bins import Pool, TimeBins
from insitrack.tracker.hindsight.rewrite import series_columns
from insitrack.tracker.measure.from_table import sizes_nm
from insitrack.tracker.trust.reasons import distrust_line, not_trusted

_PLACES = ("x_px", "y_px", "x1_px", "y1_px", "x2_px", "y2_px")
_FLAGS = ("on_edge", "on_exclusion_edge", "observed")
_ROWS = ("frame", "t_s", "track_id", "defect_class", *_PLACES, *_FLAGS, "size_nm", "line_length_nm")


@dataclass
class Recomputed:
    """What came out of one run.

    Parameters
    ----------
    time_bins : DataFrame
        Series of the time bins: `defect_class`, `t_s`, `dose_dpa`, `n_frames` and the columns of
        ``series.csv``.
    pool : DataFrame
        What every track did in every time bin, see `insitrack.tracker.analysis.time_bins.Pool.rows`.
    t_s : ndarray of float64
        Middle of each time bin, s.
    warnings : list of str
        What is unknown or biased.
    n_rows, n_frames : int
        Rows of tracks, frames looked at.
    area_nm2, duration_s : float
        Mean specimen in view, and how long it was watched.
    """

    time_bins: pd.DataFrame
    pool: pd.DataFrame
    t_s: Floats
    warnings: list[str]
    n_rows: int
    n_frames: int
    area_nm2: float
    duration_s: float


class Recompute:
    """Goes through the tracks of a run once.

    The series of every frame comes piece by piece, that of the time bins at the end.
    """

    def __init__(
        self,
        run: TableRun,
        *,
        every_s: float | None = None,
        window_s: float | None = None,
        parquet: Path | None = None,
    ) -> None:
        self.run, self.parquet = run, parquet
        self.meter = run.meter()
        frames = self.frames = run.counting_frames()
        looked = ((frames["status"] == "processed") & ~(frames["field_px"] == 0)).to_numpy()
        least = run.config.series.least_trust
        untrusted = looked & not_trusted(frames, least)
        reasons = frames["distrust"][untrusted] if untrusted.any() else ()
        self._was_refused = not_trusted(frames, run.was.series.least_trust)
        if (self._was_refused & looked & ~untrusted).any():
            run.warnings.append(
                f"{run.label}: frames that were not trusted have neither growth in {SUMMARY.file} nor lengths of"
                " lines; for those run track again with --trust-anyway"
            )
        self._distrust = distrust_line(reasons, int(looked.sum()), least)
        self._looked = looked & ~untrusted
        self._t_s = frames["t_s"].to_numpy(np.float64)
        self._number = frames["frame"].to_numpy(np.int64)
        bins = TimeBins.of_times(self._t_s[self._looked], every_s=every_s, window_s=window_s)
        # both rise, and so does their sum where one of them does
        stretch = self.meter.specimens.stretch_of(self._number) + view_numbers(frames)
        self._time_bins = bins.cut(stretch[self._looked])
        self.pool = Pool(run.meter(), self._time_bins)
        self._same_sizes = run.config.measure == run.was.measure
        self.n_rows = 0
        self._nm_per_px = frame_scales(frames, run.calibration.nm_per_px or NAN)
        """Scale of every frame, and what it is over that under which the tables were written."""
        self._ratio = run.rescaled(frames)
        if run.config.measure.line_length != run.was.measure.line_length:
            raise SettingsError(
                "measure.line_length: lengths of lines need the outlines, which tables do not hold; run track"
                " again with it"
            )

    def series(self) -> Iterator[Columns]:
        """Yield columns of ``series.csv``, frame by frame, some frames at a time."""
        numbers = self.run.frames["frame"].to_numpy(np.int64)
        done = 0
        for columns in to_parquet(self.run.tracks, self.parquet):
            kept = np.isin(columns["frame"], numbers)
            columns = {
                name: values if name == "class_names" else values[kept] for name, values in columns.items()
            }
            if not len(columns["frame"]):
                continue
            end = int(np.searchsorted(numbers, columns["frame"][-1], side="right"))
            yield self._piece(columns, slice(done, end))
            done = end
        if done < len(numbers):
            yield self._piece(None, slice(done, len(numbers)))

    def _piece(self, columns: Columns | None, part: slice) -> Columns:
        run, frames = self.run, self.frames.iloc[part]
        changes = (run.births[part], run.deaths[part])
        if columns is None:
            nothing = pd.DataFrame(
                {name: np.zeros(0) for name in _ROWS} | {"defect_class": np.zeros(0, object)}
            )
            return series_columns(nothing, frames, self.meter, *changes)
        self.n_rows += len(columns["frame"])
        if run.window is not None:
            columns = cut_to(run.window, columns, run.frames.iloc[part])
        labels = self._labels(columns)
        place = np.searchsorted(frames["frame"].to_numpy(), columns["frame"])
        ratio = self._ratio[part][place]
        size_nm = self._sizes(
            columns, labels, ratio, self._nm_per_px[part][place], self._was_refused[part][place]
        )
        line_nm = columns["line_length_nm"] * ratio
        rows = pd.DataFrame({name: columns[name] for name in _ROWS if name != "defect_class"})
        rows["defect_class"] = pd.Categorical.from_codes(labels - 1, categories=list(run.class_names))
        rows["size_nm"], rows["line_length_nm"] = size_nm, line_nm
        frame_px = frames[["width_px", "height_px"]].to_numpy(np.float64)
        looked = self._looked[part][place]
        before = int(np.count_nonzero(self._looked[: part.start]))
        among = before + np.cumsum(self._looked[part])[place] - 1
        chosen = {name: columns[name][looked] for name in _ROWS if name != "defect_class"}
        self.pool.add(
            among[looked], chosen, labels[looked], size_nm[looked], line_nm[looked], frame_px[place][looked]
        )
        return series_columns(rows, frames, self.meter, *changes)

    def _labels(self, columns: Columns) -> Ints:
        names = [str(name) for name in columns["class_names"]]
        unknown = [
            name
            for code, name in enumerate(names)
            if name not in self.run.class_names and (columns["defect_class"] == code).any()
        ]
        if unknown:
            raise TableError(
                f"{self.run.tracks}: column defect_class: {unknown[0][:60]!r} is unknown; the run knows"
                f" {', '.join(self.run.class_names)}"
            )
        codes = np.array(
            [self.run.class_names.index(name) + 1 if name in self.run.class_names else 0 for name in names],
            np.int64,
        )
        return np.asarray(codes[columns["defect_class"]])

    def _sizes(
        self, columns: Columns, labels: Ints, ratio: Floats, nm_per_px: Floats, was_refused: Bools
    ) -> Floats:
        """Sizes under the new definitions.

        As they were measured, or from the outlines' figures where the definition is another, the scale was not
        known, or the frame was not trusted.
        """
        run = self.run
        as_measured = np.asarray(columns["size_nm"] * ratio, np.float64)
        anew = (~np.isfinite(ratio) | was_refused) & np.isfinite(nm_per_px)
        if not self._same_sizes:
            if run.calibration.nm_per_px is None:
                raise SettingsError(
                    f"{run.label}: sizes by another definition need the scale; give --nm-per-px"
                )
            anew = np.ones(len(ratio), bool)
        if not anew.any():
            return as_measured
        size = sizes_nm(columns, np.array(run.class_names)[labels - 1], run.config.measure, nm_per_px)
        if not np.isfinite(size[anew]).any() and np.isfinite(nm_per_px[anew]).any():
            wanted = ", ".join(
                sorted({run.config.measure.size_definition.get(name, "ecd") for name in run.class_names})
            )
            raise TableError(
                f"{run.tracks}: holds no outlines' figures (area_px, feret_px and others) for the definitions"
                f" {wanted}; leave the definitions as they were"
            )
        return np.where(anew, size, as_measured)

    def finish(self) -> Recomputed:
        """Series of the time bins, after `series` has come to its end."""
        run, looked = self.run, self._looked
        t_s = self._t_s[looked]
        frames = run.counting_frames()
        frame_px = frames[["width_px", "height_px"]].to_numpy(np.float64)[looked]
        area = frames["field_px"].to_numpy(np.float64)[looked] * self._nm_per_px[looked] ** 2
        number = self._number[looked]
        values = self.pool.series(t_s, area, frame_px, run.births[looked], run.deaths[looked], frame=number)
        middle = values["t_s"][:, 0]
        names = (*run.class_names, "all")
        table = pd.DataFrame(
            {
                "defect_class": np.tile(np.array(names, object), len(middle)),
                "t_s": np.repeat(middle, len(names)),
                "dose_dpa": np.repeat(self.meter.exposure.dose_dpa(middle), len(names)),
                **{name: column.reshape(-1) for name, column in values.items() if name != "t_s"},
            }
        )
        duration = float(t_s[-1] - t_s[0]) if len(t_s) > 1 else NAN
        warnings = [*([self._distrust] if self._distrust else []), *run.warnings, *self.meter.warnings]
        return Recomputed(
            table,
            self.pool.rows(),
            middle,
            warnings,
            self.n_rows,
            int(looked.sum()),
            float(np.nanmean(area)) if np.isfinite(area).any() else NAN,
            duration,
        )
