"""The rows of ``tracks.csv`` after edits: edited tracks recomputed, all others as they stand."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from insitrack.io.tables import columns as tables
from insitrack.io.tables.frame_views import frame_scales
from insitrack.io.tables.outlines.masks import DRAWN, MASKS, read_columns
from insitrack.io.tables.run_folder import CAUSAL
from insitrack.tracker.analysis.untouched import join_rows, with_raw
from insitrack.tracker.hardening.materials import LINE_CLASSES
from insitrack.tracker.hindsight.drawn import Drawing
from insitrack.tracker.hindsight.fill import Noise, sizes_to_smooth
from insitrack.tracker.hindsight.naming import Naming
from insitrack.tracker.hindsight.outlines import SEEN
from insitrack.tracker.hindsight.refine import noise_of, refine
from insitrack.tracker.hindsight.settings import RefineConfig
from insitrack.tracker.measure.from_table import sizes_nm, with_sizes

if TYPE_CHECKING:
    import pandas as pd


@dataclass(eq=False)
class EditedRows:
    """Makes the tables of a run that was edited from those that it has.

    Parameters
    ----------
    run : Path
        Its folder.
    frames : DataFrame
        Rows of ``frames.csv``.
    drawing : Drawing
        Measures what is drawn.
    refining : RefineConfig
        How tracks are smoothed and filled.
    """

    run: Path
    frames: pd.DataFrame
    drawing: Drawing
    refining: RefineConfig

    @cached_property
    def now(self) -> pd.DataFrame:
        """Rows of ``tracks.csv``."""
        return tables.TRACKS.read(self.run / tables.TRACKS.file)

    @cached_property
    def naming(self) -> Naming:
        """Every find of the run under the ids and classes that its tables give it now."""
        import pandas as pd

        causal = self.run / CAUSAL
        has_causal = (causal / tables.TRACKS.file).is_file()
        finds = tables.read_candidates(causal if has_causal else self.run, self.run)
        finds = with_sizes(finds, self.frames, self.drawing.config, self.drawing.nm_per_px)
        finds = finds[finds["observed"] == 1].reset_index(drop=True)
        drawn = self.drawing.read(self.run)
        if len(drawn):
            drawn = drawn.assign(track_id=drawn["causal_id"], doubted=0)
            finds = pd.concat([finds, drawn], ignore_index=True)
        return Naming.of_run(finds, self.now, self.drawing.looked)

    @cached_property
    def rows_of_run(self) -> pd.DataFrame:
        """Rows of ``tracks.csv`` as they are, with their observations as they were measured."""
        return with_raw(self.now, self.naming.rows(), self.frames)

    @cached_property
    def _noise(self) -> dict[int, Noise]:
        """Noise of an observation of the run, by view: edits do not change it, so that they do not change each other."""
        return noise_of(self.naming.rows(), self.frames)

    def changed(self, after: Naming) -> set[int]:
        """Tracks that edits change."""
        return self.naming.changed(after)

    def rebuilt(self, after: Naming, changed: Collection[int]) -> tuple[pd.DataFrame, dict[str, float]]:
        """Rows of the edited tracks, smoothed and filled, and what was done.

        Each track is what it would be if it were the only one that was edited.
        """
        import pandas as pd

        rows = self._measured_as_named(after.rows(changed))
        parts, facts = [], dict[str, float]()
        for some, drawn in _alike(rows):
            done = refine(
                some,
                self.frames,
                self.refining,
                nm_per_px=self.drawing.nm_per_px,
                keep_ids=True,
                noise=None if drawn else self._noise,
            )
            parts.append(done.tracks)
            for name, value in done.facts.items():
                old = facts.get(name, 0.0)
                facts[name] = max(old, value) if name == "noise_px" else old + value
        made = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
        return _with_classes_by_hand(_without_absent(made, after.absent)), facts

    def all_rows(self, rebuilt: pd.DataFrame, changed: Collection[int]) -> pd.DataFrame:
        """Rows of ``tracks.csv`` with those of the edited tracks in their places."""
        kept = self.rows_of_run
        return join_rows(kept[~kept["track_id"].isin(changed)], rebuilt)

    def outlines(self) -> list[Path]:
        """Tables of the outlines that rows are drawn from."""
        seen = (self.run / CAUSAL / MASKS.file, self.run / MASKS.file)
        found = [path for path in seen if path.is_file()][:1]
        return [*found, *(path for path in (self.run / DRAWN,) if path.is_file())]

    @cached_property
    def seen(self) -> dict[str, Any]:
        """Every outline that was seen, or drawn before."""
        return read_columns(self.outlines(), SEEN)

    def _measured_as_named(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Sizes by the definition of the class that somebody gave to an observation."""
        given = (rows["seen_class"] != rows["measured_class"]).to_numpy()
        if not given.any():
            return rows
        some = rows[given]
        names = some["seen_class"].to_numpy(np.str_)
        config = self.drawing.config
        scale = frame_scales(self.frames, self.drawing.nm_per_px)
        place = np.searchsorted(self.frames["frame"].to_numpy(), some["frame"].to_numpy())
        size = sizes_nm(some, names, config, scale[place])
        size = np.where(np.isfinite(size), size, some["size_nm"].to_numpy(np.float64))
        rows = rows.copy()
        rows.loc[given, "size_nm"] = size
        rows.loc[given & ~rows["seen_class"].isin(LINE_CLASSES).to_numpy(), "line_length_nm"] = np.nan
        return rows


def _alike(rows: pd.DataFrame) -> list[tuple[pd.DataFrame, bool]]:
    """Part tracks by the measures that are known of all their observations: only such are smoothed.

    A track that was wholly drawn by hand stands alone, and is marked: its noise is its own.
    """
    track = rows["track_id"].to_numpy(np.int64)
    known = (sizes_to_smooth(rows) > 0).groupby(track).transform("all").to_numpy()
    by_hand = rows["rle"].notna() if "rle" in rows else rows["track_id"].isna()
    drawn = by_hand.groupby(track).transform("all").to_numpy(bool)
    parts = rows.groupby([*known.T, np.where(drawn, track, -1)], sort=False)
    return [(part, bool(key[-1] >= 0)) for key, part in parts] or [(rows, False)]


def _without_absent(rows: pd.DataFrame, absent: frozenset[tuple[int, int]]) -> pd.DataFrame:
    """Leave out what was filled in where somebody said that the track is not there."""
    if not absent or not len(rows):
        return rows
    keys = zip(rows["track_id"].tolist(), rows["frame"].tolist(), strict=True)
    gone = np.array([key in absent for key in keys]) & (rows["observed"] == 0).to_numpy()
    return rows[~gone].reset_index(drop=True)


def _with_classes_by_hand(rows: pd.DataFrame) -> pd.DataFrame:
    """Give rows the class that was given to their own frames; what is filled in between two of them too."""
    if "by_hand" not in rows or not len(rows):
        return rows
    observed = (rows["observed"] == 1).to_numpy()
    own = rows["seen_class"].where(observed & rows["by_hand"].to_numpy(bool), other="").where(observed)
    before, after = (getattr(own.groupby(rows["track_id"]), fill)() for fill in ("ffill", "bfill"))
    name = before.where(before == after, other="").fillna("")
    return rows.assign(defect_class=name.where(name != "", rows["defect_class"]))
