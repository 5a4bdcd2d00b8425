"""Lives and births of a finished run, watched from its tables as ``kinetics.csv`` watches them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from insitrack.io.arrays import Bools, Floats
from insitrack.io.results import NAN, TrackSummary
from insitrack.io.tables import columns as tables
from insitrack.io.tables.frame_views import frame_scales, look_interval_s
from insitrack.io.tables.stream import to_parquet
from insitrack.tracker.analysis.table_run import TableRun
from insitrack.tracker.hindsight.refine import looked_at, on_specimen
from insitrack.tracker.kinetics.identities import NOT_SURE
from insitrack.tracker.kinetics.rates import life_rows, nucleation_row
from insitrack.tracker.kinetics.watched import Watched, watch
from insitrack.tracker.trust.frames import Trusted

_USED = (
    *("frame", "track_id", "x_px", "y_px", "x1_px", "y1_px", "x2_px", "y2_px"),
    *("on_edge", "observed", "size_nm", "probability"),
)
_MOST_ROWS = 2_000_000
"""Rows of ``tracks.csv`` that are held; 100 bytes each."""


@dataclass(frozen=True, slots=True)
class WatchedRun:
    """Lives of the tracks of a run.

    Parameters
    ----------
    seen : Watched
        Of all tracks.
    labels : ndarray of str, shape (N,)
        Class of each.
    t_s : ndarray of float64, shape (F,)
        Times of the looks, s.
    interval_s : float
        Median time between them.
    scales : ndarray of float64, shape (F,)
        Scale of each, nm; NaN where unknown.
    doubts : dict
        Why identities do not bear a quantity, by class and quantity, as ``kinetics.csv`` says.
    """

    seen: Watched
    labels: np.ndarray[tuple[int], np.dtype[np.str_]]
    t_s: Floats
    interval_s: float
    scales: Floats
    doubts: Mapping[tuple[str, str], str]

    @classmethod
    def of(
        cls, run: TableRun, some: list[TrackSummary], merges: Mapping[int, float] | None
    ) -> WatchedRun | None:
        """Watch the tracks of a run; None for a table alone, or one that is too large to be held.

        Parameters
        ----------
        run : TableRun
            The run.
        some : list of TrackSummary
            Its tracks.
        merges : dict of int to float or None
            Tracks that went into another one.
        """
        if run.spans is not None or float(run.frames["n_detections"].sum()) > _MOST_ROWS:
            return None
        looked = looked_at(run.frames)
        nm_per_px = run.calibration.nm_per_px or NAN
        trusted = Trusted.of(run.frames, run.config.series.least_trust)
        rows, looked = trusted.part(_rows(run, looked), looked, nm_per_px)
        # detections made elsewhere are not judged, and the ends of edited tracks are as sure as hands are
        judged = run.was.judged is not None and "classes" in run.manifest.get("model", {})
        weigh = judged and run.manifest.get("tables") == "refined"
        seen = watch(rows, looked, frozenset(merges or ()), weigh=weigh)
        named = {one.track_id: one.defect_class for one in some}
        return cls(
            seen,
            np.array([named.get(one, "") for one in seen.track_id.tolist()], np.str_),
            looked["t_s"].to_numpy(np.float64),
            look_interval_s(looked),
            frame_scales(looked, nm_per_px),
            _doubts(run),
        )

    def rows(self, label: str) -> list[dict[str, object]]:
        """Rows of lifetimes and nucleation of a class, or of ``all``, in the columns of ``kinetics.csv``."""
        rows = life_rows(label, self.seen, self._mine(label), self.interval_s, self.scales)
        return [self._unless_doubted(row) for row in rows]

    def nucleation(self, label: str, t_from_s: float, t_to_s: float, *, last: bool) -> dict[str, object]:
        """Row of the births between two times; those at the second one count if it is the `last`."""
        low = int(np.searchsorted(self.t_s, t_from_s))
        high = int(np.searchsorted(self.t_s, t_to_s, side="right" if last else "left"))
        part = self.seen.births_between(low, high)
        row = nucleation_row(label, part, self._mine(label), self.interval_s, self.scales)
        return self._unless_doubted(row)

    def _mine(self, label: str) -> Bools:
        return np.asarray((self.labels == label) | (label == "all"), bool)

    def _unless_doubted(self, row: dict[str, object]) -> dict[str, object]:
        why = self.doubts.get((str(row["defect_class"]), str(row["quantity"])), "")
        return {**row, "value": NAN, "lo": NAN, "hi": NAN, "why": why} if why else row


def _rows(run: TableRun, looked: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``tracks.csv`` of the frames of a run, with places on the specimen."""
    numbers = looked["frame"].to_numpy(np.int64)

    def pieces() -> Iterator[pd.DataFrame]:
        for columns in to_parquet(run.tracks, None):
            kept = np.isin(columns["frame"], numbers)
            yield pd.DataFrame({name: columns[name][kept] for name in _USED})

    rows = pd.concat([*pieces(), pd.DataFrame(columns=_USED, dtype=np.float64)[:0]], ignore_index=True)
    rows = rows.astype({"frame": np.int64, "track_id": np.int64})
    return on_specimen(rows, looked)


def _doubts(run: TableRun) -> dict[tuple[str, str], str]:
    """Return what ``kinetics.csv`` of the run leaves empty, for too many identities are not sure."""
    path = run.tracks.parent / tables.KINETICS.file
    if not path.is_file():
        return {}
    table = tables.KINETICS.read(path)
    if "why" not in table:
        return {}
    why = table["why"].fillna("").astype(str)
    table = table[why.str.startswith(NOT_SURE) & table["value"].isna()]
    pairs = zip(table["defect_class"].tolist(), table["quantity"].tolist(), strict=True)
    return dict(zip(pairs, table["why"].tolist(), strict=True))
