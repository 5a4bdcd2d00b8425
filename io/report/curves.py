"""The curves of a run, read from its tables and thinned to what a plot can show."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from insitrack.io.arrays import Floats
from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.tables.columns import FRAMES, SERIES, SUMMARY

MOST_POINTS = 500
"""Frames in a plot; of a longer run every n-th is shown."""


@dataclass(slots=True)
class Curves:
    """The series of a run, thinned to what a plot can show.

    Parameters
    ----------
    t_s, dose_dpa : ndarray of float64, shape (T,)
        Time, s, and dose; NaN where a gap interrupts the curves.
    columns : dict of (str, str) to ndarray of float64, shape (T,)
        Class and column of `series.csv`, and `trust` of `frames.csv` under `all`; NaN where not known.
    statuses : Counter of str
        How many source frames had which status.
    """

    t_s: Floats
    dose_dpa: Floats
    columns: dict[tuple[str, str], Floats]
    statuses: Counter[str] = field(default_factory=Counter)

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the plots."""
        return in_order({name for name, _ in self.columns})

    @property
    def found(self) -> list[str]:
        """Classes of which at least one defect was there, and `all`: the others have a bound, no curve."""
        return [
            name
            for name in self.classes
            if name == "all"
            or (name, "n") not in self.columns
            or np.nanmax(self.columns[name, "n"], initial=0) > 0
        ]

    def get(self, name: str, column: str) -> Floats:
        """Return one column of one class."""
        return self.columns[name, column]

    def known(self, column: str) -> bool:
        """Whether a column holds any number."""
        return any(np.isfinite(values).any() for (_, key), values in self.columns.items() if key == column)


def in_order(names: set[str]) -> list[str]:
    """Put the usual classes in their usual order first, then new ones, then `all`."""
    usual = [name for name in DEFECT_CLASSES if name in names]
    return usual + sorted(names - {*usual, "all"}) + ["all"] * ("all" in names)


def load_curves(folder: Path, most: int = MOST_POINTS) -> Curves:
    """Read `series.csv` piece by piece and keep at most about `most` frames, always the first and the last.

    Frames that are damaged or were never delivered interrupt the curves, and so does a pause much longer than
    the usual time between frames.

    Raises
    ------
    TableError
        If `frames.csv` or `series.csv` cannot be read.
    """
    kept, statuses = _kept_frames(folder / FRAMES.file, most)
    frames = kept["frame"].to_numpy()
    pieces = [
        piece[np.isin(piece["frame"].to_numpy(), frames)] for piece in SERIES.chunks(folder / SERIES.file)
    ]
    rows = pd.concat(pieces)
    t_s = np.where(kept["status"] == "processed", kept["t_s"], np.nan)
    columns: dict[tuple[str, str], Floats] = {}
    for name, part in rows.groupby("defect_class", sort=True):
        place = np.searchsorted(frames, part["frame"].to_numpy())
        for column in SERIES.names[4:]:
            values = np.full(len(frames), np.nan)
            values[place] = part[column].to_numpy()
            columns[str(name), column] = values
    dose = np.full(len(frames), np.nan)
    dose[np.searchsorted(frames, rows["frame"].to_numpy())] = rows["dose_dpa"].to_numpy()
    if columns:
        columns["all", "trust"] = kept["trust"].to_numpy(np.float64)
    pauses = _pauses(t_s)
    return Curves(
        np.insert(t_s, pauses, np.nan),
        np.insert(dose, pauses, np.nan),
        {key: np.insert(values, pauses, np.nan) for key, values in columns.items()},
        statuses,
    )


def _kept_frames(path: Path, most: int) -> tuple[pd.DataFrame, Counter[str]]:
    """Every n-th frame that was or should have been processed, and the last one processed."""
    statuses: Counter[str] = Counter()
    for piece in FRAMES.chunks(path, ["status"]):
        statuses.update(piece["status"].value_counts().to_dict())
    stride = max(1, -(-sum(statuses[key] for key in ("processed", "damaged", "gap")) // most))
    kept, passed, last = [], 0, None
    for piece in FRAMES.chunks(path, ["frame", "t_s", "status", "trust"]):
        wanted = piece[piece["status"].isin(["processed", "damaged", "gap"])]
        kept.append(wanted[(np.arange(len(wanted)) + passed) % stride == 0])
        passed += len(wanted)
        processed = wanted[wanted["status"] == "processed"]
        last = processed.tail(1) if len(processed) else last
    table = pd.concat([*kept, last] if last is not None else kept)
    return table.drop_duplicates("frame").sort_values("frame"), statuses


def _pauses(t_s: Floats) -> np.ndarray[Any, Any]:
    """Places before which the time since the frame before is more than three times the usual."""
    steps = np.diff(t_s)
    usual = np.nanmedian(steps) if np.isfinite(steps).any() else np.nan
    return np.flatnonzero(steps > 3 * usual) + 1


def longest_time(t_s: Floats) -> float:
    """Largest time of those known, s; 0 where none is."""
    return float(np.nanmax(np.abs(t_s), initial=0.0))


def load_tracks(folder: Path) -> pd.DataFrame:
    """Read class, size and lifetime of every track."""
    return SUMMARY.read(
        folder / SUMMARY.file,
        [
            "defect_class",
            "t_first_s",
            "lifetime_s",
            "left_censored",
            "right_censored",
            "n_observed",
            "size_nm",
            "growth_nm_per_s",
        ],
    )
