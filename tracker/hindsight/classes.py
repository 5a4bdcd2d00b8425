"""One class for each track, from all that was seen of it and of the others of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Floats
from insitrack.io.detections import UNTYPED
from insitrack.tracker.measure.from_table import sizes_nm
from insitrack.tracker.measure.measure import MeasureConfig

if TYPE_CHECKING:
    import pandas as pd

ROUNDS, FLOOR = 50, 1.0
"""Rounds of expectation and maximisation; tracks of each class that are taken for granted: none is ruled out."""
POWER = 0.5
"""How far the shares of the run count: the other half of their logarithm is in the probabilities of each image."""
UNKNOWN_SHARE = 0.5
"""Share of its class in what speaks for a track, where its causal summary is not known."""


def with_classes(
    rows: pd.DataFrame, summary: pd.DataFrame, class_names: tuple[str, ...], least: float
) -> pd.DataFrame:
    """Give every track the class that is likeliest for it in this run, or `defect` where none is likely enough.

    Parameters
    ----------
    rows : DataFrame
        Refined rows of ``tracks.csv`` with `causal_id`.
    summary : DataFrame
        Causal ``summary.csv``: class of each causal track, and the share of the scores that speaks for it.
    class_names : tuple of str
        Classes of the run, `defect` among them.
    least : float
        Least probability of its class.

    Returns
    -------
    DataFrame
        The rows with their classes. Only tracks whose likeliest class is one of those that the network gives
        probabilities of are judged.
    """
    told = [name for name in class_names if name != UNTYPED]
    if not len(rows) or len(told) < 2:
        return rows
    tracks, chances = track_chances(rows, summary, told)
    best, chance = likeliest(chances)
    names = np.where(chance >= least, np.array(told, object)[best], UNTYPED)
    return rows.assign(defect_class=names[np.searchsorted(tracks, rows["track_id"].to_numpy(np.int64))])


def track_chances(
    rows: pd.DataFrame, summary: pd.DataFrame, told: list[str]
) -> tuple[NDArray[np.int64], Floats]:
    """Probability of each class for each track by what was seen of it alone.

    What does not speak for the class of a causal track is spread evenly over the others. A refined track is the
    mean of the causal ones that it was made of, by their observations.

    Returns
    -------
    tracks : ndarray of int64, shape (N,)
        Ids, rising.
    chances : ndarray of float64, shape (N, K)
        Rows sum to 1.
    """
    tracks = np.unique(rows["track_id"].to_numpy(np.int64))
    seen = rows[(rows["observed"] == 1).to_numpy()]
    pairs = seen.groupby(["track_id", "causal_id", "defect_class"]).size().reset_index(name="n")
    pairs = pairs.merge(
        summary[["track_id", "defect_class", "class_probability"]].rename(
            columns={"track_id": "causal_id", "defect_class": "causal_class"}
        ),
        on="causal_id",
        how="left",
    )
    label = pairs["causal_class"].fillna(pairs["defect_class"]).to_numpy(str)
    share = pairs["class_probability"].fillna(UNKNOWN_SHARE).to_numpy(np.float64).clip(0.0, 1.0)
    k = len(told)
    chance = np.full((len(pairs), k), 1 / k)
    for i, name in enumerate(told):
        mine = label == name
        chance[mine] = ((1 - share[mine]) / (k - 1))[:, None]
        chance[mine, i] = share[mine]
    total = np.zeros((len(tracks), k))
    place = np.searchsorted(tracks, pairs["track_id"].to_numpy(np.int64))
    np.add.at(total, place, chance * pairs["n"].to_numpy(np.float64)[:, None])
    weight = total.sum(axis=1, keepdims=True)
    return tracks, np.where(weight > 0, total / np.maximum(weight, 1e-12), 1 / k)


def likeliest(chances: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Likeliest class of each track among all tracks of a run, and its probability.

    The shares of the classes are estimated from the tracks themselves by expectation and maximisation (Saerens,
    Latinne, Decaestecker, Neural Comput. 14 (2002) 21, doi 10.1162/089976602753284446).

    Parameters
    ----------
    chances : ndarray of float64, shape (N, K)
        Probability of each class by what was seen of the track alone.

    Returns
    -------
    best : ndarray of int64, shape (N,)
    chance : ndarray of float64, shape (N,)

    Examples
    --------
    Twelve tracks that are voids for sure, and one that may be a void or a loop:

    >>> best, chance = likeliest(np.array([[0.95, 0.05]] * 12 + [[0.45, 0.55]]))
    >>> int(best[-1]), round(float(chance[-1]), 2)
    (0, 0.71)
    """
    n, k = chances.shape
    share = np.full(k, 1 / k)
    known = np.maximum(chances, 1e-4)
    for _ in range(ROUNDS):
        likely = known * share**POWER
        likely /= likely.sum(axis=1, keepdims=True)
        share = (likely.sum(axis=0) + FLOOR) / (n + k * FLOOR)
    likely = known * share**POWER
    likely /= likely.sum(axis=1, keepdims=True)
    best = likely.argmax(axis=1)
    return best, likely[np.arange(n), best]


def sizes_of_typed(
    rows: pd.DataFrame, before: NDArray[np.str_], config: MeasureConfig
) -> dict[str, NDArray[np.float64]]:
    """Sizes and their standard deviations, nm, by the definition of another class that tracks got as a whole.

    The noise is taken out of a track's sizes already, so all of them change by one factor: the median over
    its observations of what the two definitions make of an outline.

    Parameters
    ----------
    rows : DataFrame
        Refined rows of ``tracks.csv`` with their new classes.
    before : ndarray of str, shape (N,)
        Class of each row before.
    config : MeasureConfig
        Definitions of size.
    """
    import pandas as pd

    now = rows["defect_class"].to_numpy(str)
    factor = np.ones(len(rows))
    changed = now != before
    if changed.any():
        some = rows[changed]
        scale = np.sqrt((some["area_nm2"] / some["area_px"]).to_numpy(np.float64))
        new, old = (sizes_nm(some, names[changed], config, scale) for names in (now, before))
        ratio = np.divide(new, old, out=np.full(len(new), np.nan), where=old > 0)
        seen = np.where(some["observed"].to_numpy() == 1, ratio, np.nan)
        of_track = pd.Series(seen).groupby(some["track_id"].to_numpy()).transform("median").to_numpy()
        factor[changed] = np.where(np.isfinite(of_track), of_track, 1.0)
    names = [name for name in ("size_nm", "size_sd_nm", "raw_size_nm") if name in rows]
    return {name: rows[name].to_numpy(np.float64) * factor for name in names}
