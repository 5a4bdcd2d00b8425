"""Which track and class every find of a run belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Bools, Ints

if TYPE_CHECKING:
    import pandas as pd

_KEY = ["frame", "causal_id"]
NOWHERE = -1
"""Track of a find that belongs to none."""


@dataclass(frozen=True, eq=False)
class Naming:
    """The finds of a run, and the track and class of each; an edit makes another one.

    Parameters
    ----------
    base : DataFrame
        Every find as it was measured: columns of ``tracks.csv``; those that are doubted or dropped too.
    added : tuple of DataFrame
        Finds that edits drew, see `insitrack.tracker.hindsight.drawn.Drawing.rows`, with their `causal_id`.
    frame, causal_id, track_id : ndarray of int64, shape (N,)
        Of each find, those of `base` first; `track_id` is `NOWHERE` for one that is not in the tables.
    defect_class, seen_class : ndarray of str (object), shape (N,)
        Class of its track, and what it was seen as.
    by_hand : ndarray of bool, shape (N,)
        Was given its class for its own frame, whatever its track is.
    absent : frozenset of (int, int)
        Track and frame where a track is not there, though it is before and after.
    next_id : int
        Id of the next track or outline: none is used twice.
    """

    base: pd.DataFrame
    added: tuple[pd.DataFrame, ...]
    frame: Ints
    causal_id: Ints
    track_id: Ints
    defect_class: NDArray[Any]
    seen_class: NDArray[Any]
    by_hand: Bools
    absent: frozenset[tuple[int, int]]
    next_id: int

    @classmethod
    def of_run(cls, finds: pd.DataFrame, now: pd.DataFrame, looked: Ints) -> Naming:
        """Name finds as the tables of a run do.

        Parameters
        ----------
        finds : DataFrame
            Every find, as measured; `track_id` is its causal id.
        now : DataFrame
            Rows of ``tracks.csv``.
        looked : ndarray of int64
            Frames that were looked at.
        """
        finds = finds.assign(causal_id=finds["track_id"])
        seen = now[now["observed"] == 1][[*_KEY, "track_id", "defect_class"]]
        named = finds[_KEY].merge(seen, on=_KEY, how="left")
        track_id = named["track_id"].fillna(NOWHERE).to_numpy(np.int64)
        seen_class = finds["defect_class"].to_numpy(object)
        defect_class = np.where(track_id >= 0, named["defect_class"].to_numpy(object), seen_class)
        by_hand = _by_hand(now, track_id, defect_class)
        seen_class = np.where(by_hand | _given(track_id, defect_class, seen_class), defect_class, seen_class)
        ids = np.concatenate([finds["causal_id"].to_numpy(np.int64), now["track_id"].to_numpy(np.int64), [0]])
        return cls(
            base=finds,
            added=(),
            frame=finds["frame"].to_numpy(np.int64),
            causal_id=finds["causal_id"].to_numpy(np.int64),
            track_id=track_id,
            defect_class=defect_class,
            seen_class=seen_class,
            by_hand=by_hand,
            absent=_holes(now, looked),
            next_id=int(ids.max()) + 1,
        )

    def rows(self, tracks: Iterable[int] | None = None) -> pd.DataFrame:
        """Return the finds of tracks, with ids and classes; `measured_class` is what they were measured as."""
        import pandas as pd

        wanted = self.track_id >= 0 if tracks is None else np.isin(self.track_id, list(tracks))
        n = len(self.base)
        parts = [self.base[wanted[:n]], *(rows for rows in (self._drawn(wanted),) if len(rows))]
        table = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0].reset_index(drop=True)
        return table.assign(
            track_id=self.track_id[wanted],
            measured_class=table["defect_class"],
            defect_class=self.defect_class[wanted],
            seen_class=self.seen_class[wanted],
            by_hand=self.by_hand[wanted],
        )

    def changed(self, after: Naming, *, hidden: bool = False) -> set[int]:
        """Tracks that another naming of the same finds changes.

        They lose or get observations, are absent in other frames, are new, or are there no more; or one of their
        observations has another class.

        Parameters
        ----------
        after : Naming
            The other one; what both have drawn they share.
        hidden : bool
            Tracks that were only seen as another class, or given theirs by hand, count too.
        """
        n = len(self.base)
        for mine, other in zip(self.added, after.added, strict=False):
            if mine is not other:
                break
            n += len(mine)
        differ = np.zeros(n, bool)
        for name in ("track_id", "defect_class", *(("seen_class", "by_hand") if hidden else ())):
            old, new = getattr(self, name), getattr(after, name)
            if old is not new:
                differ |= old[:n] != new[:n]
        ids = [one.track_id[:n][differ] for one in (self, after)] + [
            one.track_id[n:] for one in (self, after)
        ]
        tracks = np.unique(np.concatenate(ids))
        absent = {track for track, _ in self.absent ^ after.absent}
        return {track for track in tracks.tolist() if track != NOWHERE} | absent

    def keys(self) -> pd.DataFrame:
        """Frame, causal id, track and class of the finds that belong to tracks."""
        import pandas as pd

        wanted = self.track_id >= 0
        columns = {name: getattr(self, name)[wanted] for name in (*_KEY, "track_id", "defect_class")}
        return pd.DataFrame(columns)

    def drawn(self) -> pd.DataFrame:
        """Every outline that was drawn, with its run lengths, whether it belongs to a track or not."""
        import pandas as pd

        before = self.base[self.base["rle"].notna()] if "rle" in self.base else self.base[:0]
        parts = [part for part in (before, *self.added) if len(part)]
        return pd.concat(parts, ignore_index=True) if parts else before

    def renamed(self, rows: pd.DataFrame) -> Naming:
        """Take ids and classes of finds from a table; what it lacks belongs to no track."""
        columns = ["track_id", "defect_class", "seen_class"]
        at = self.keys()[_KEY].merge(rows[[*_KEY, *columns]], on=_KEY, how="left")
        mine = np.flatnonzero(self.track_id >= 0)
        track_id, defect_class, seen_class = (
            self.track_id.copy(),
            self.defect_class.copy(),
            self.seen_class.copy(),
        )
        track_id[mine] = at["track_id"].fillna(NOWHERE).to_numpy(np.int64)
        known = mine[track_id[mine] >= 0]
        here = track_id[mine] >= 0
        defect_class[known] = at["defect_class"].to_numpy(object)[here]
        seen_class[known] = at["seen_class"].to_numpy(object)[here]
        return replace(self, track_id=track_id, defect_class=defect_class, seen_class=seen_class)

    def _drawn(self, wanted: Bools) -> pd.DataFrame:
        import pandas as pd

        if not self.added:
            return self.base[:0]
        return pd.concat(self.added, ignore_index=True)[wanted[len(self.base) :]]

    def with_drawn(self, rows: pd.DataFrame, track_id: int, name: str) -> Naming:
        """Append finds of one track, drawn by hand."""
        n = len(rows)

        def longer(values: NDArray[Any], more: Any) -> NDArray[Any]:
            return np.concatenate([values, np.full(n, more, values.dtype)])

        return replace(
            self,
            added=(*self.added, rows.assign(causal_id=self.next_id)),
            frame=np.concatenate([self.frame, rows["frame"].to_numpy(np.int64)]),
            causal_id=longer(self.causal_id, self.next_id),
            track_id=longer(self.track_id, track_id),
            defect_class=longer(self.defect_class, name),
            seen_class=longer(self.seen_class, name),
            by_hand=longer(self.by_hand, False),
            next_id=self.next_id + 1,
        )


def _by_hand(now: pd.DataFrame, track_id: Ints, defect_class: NDArray[Any]) -> Bools:
    """Find what has another class than most of its track: only an edit of some frames makes that."""
    pairs = now[["track_id", "defect_class"]].drop_duplicates()
    if len(pairs) == now["track_id"].nunique():
        return np.zeros(len(track_id), bool)
    usual = now.groupby("track_id")["defect_class"].agg(lambda names: names.mode().iloc[0])
    return np.asarray((track_id >= 0) & (defect_class != usual.reindex(track_id).to_numpy(object)))


def _given(track_id: Ints, defect_class: NDArray[Any], seen_class: NDArray[Any]) -> Bools:
    """Find the tracks of a class as which none of their finds was seen: only an edit of a whole track makes that."""
    agrees = track_id[(track_id >= 0) & (defect_class == seen_class)]
    return np.asarray((track_id >= 0) & ~np.isin(track_id, agrees))


def _holes(now: pd.DataFrame, looked: Ints) -> frozenset[tuple[int, int]]:
    """Tracks and frames between the first and the last row of a track in which it has none."""
    place = np.searchsorted(looked, now["frame"].to_numpy(np.int64))
    span = now.assign(place=place).groupby("track_id")["place"].agg(["min", "max", "count"])
    torn = span[span["max"] - span["min"] + 1 > span["count"]]
    holes: set[tuple[int, int]] = set()
    for track in torn.index.tolist():
        there = set(place[(now["track_id"] == track).to_numpy()].tolist())
        within = range(int(torn.loc[track, "min"]), int(torn.loc[track, "max"]))
        holes |= {(track, int(looked[k])) for k in within if k not in there}
    return frozenset(holes)
