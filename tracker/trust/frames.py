"""Frames that are not trusted give no sizes, and no kinetics: what they leave empty in the tables of a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from insitrack.io.arrays import Bools, Ints
from insitrack.io.results import NM_MEASURES
from insitrack.io.tables.frame_views import frame_scales, view_numbers
from insitrack.tracker.trust.reasons import not_trusted, why_not

if TYPE_CHECKING:
    import pandas as pd

_EMPTY = (*NM_MEASURES, "size_sd_nm", "raw_size_nm")


@dataclass(frozen=True, slots=True)
class Trusted:
    """Which frames of a run are trusted.

    Parameters
    ----------
    refused : ndarray of int64
        Numbers of the frames that are not, rising.
    all_refused : bool
        No frame in which somebody looked is trusted.
    why : str
        What speaks most against them.
    """

    refused: Ints
    all_refused: bool
    why: str

    @classmethod
    def of(cls, frames: pd.DataFrame, least: float) -> Trusted:
        """Tell from ``frames.csv``, and the least trust of a frame whose numbers are given."""
        looked = (frames["status"] == "processed").to_numpy()
        low = looked & not_trusted(frames, least)
        counts = (
            Counter(name for row in frames["distrust"][low] for name in str(row).split()) if low.any() else {}
        )
        return cls(
            np.sort(frames["frame"].to_numpy(np.int64)[low]),
            bool(low.any() and (low == looked).all()),
            why_not(counts),
        )

    def without_sizes(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Empty the sizes of rows of ``tracks.csv`` in such frames; they are marked in a column `refused`."""
        refused = self._among(rows)
        if not refused.any():
            return rows
        empty = {name: rows[name].mask(refused) for name in _EMPTY if name in rows}
        return rows.assign(**empty, refused=refused)

    def part(
        self, rows: pd.DataFrame, looked: pd.DataFrame, nm_per_px: float
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Rows and frames that kinetics rest on: each stretch of trusted frames is a view of its own.

        So nothing is born or dies where trust comes back or is lost.

        Parameters
        ----------
        rows, looked : DataFrame
            Of ``tracks.csv``, and of ``frames.csv`` where somebody looked, in order.
        nm_per_px : float
            Scale, nm; NaN where unknown.
        """
        refused = self._among(looked)
        if self.all_refused or not refused.any():
            return rows, looked
        stretch = np.cumsum(refused) + view_numbers(looked)
        scaled = looked.assign(nm_per_px=frame_scales(looked, nm_per_px), view=stretch + 1.0)
        return rows[~self._among(rows)], scaled[~refused]

    def kinetics(self, rows: list[dict[str, object]]) -> list[dict[str, object]]:
        """Rows of ``kinetics.csv``; empty, with the reason, where no frame is trusted."""
        if not self.all_refused:
            return rows
        unknown = {"value": np.nan, "lo": np.nan, "hi": np.nan}
        why = f"not trusted: {self.why}; --trust-anyway gives it".replace(",", ";")
        return [{**row, **unknown, "method": "none", "why": why} for row in rows]

    def _among(self, rows: pd.DataFrame) -> Bools:
        return np.isin(rows["frame"].to_numpy(np.int64), self.refused)
