"""How well tracks follow true ones, by the definitions that TrackEval made common: HOTA, CLEAR MOT, IDF1.

Boxes in, numbers out; nothing of ours is imported. The names are those of the literature, the results agree
with TrackEval (`tests/tracker/evaluation/test_track_scores.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from insitrack.io.arrays import Floats, Ints
from insitrack.io.boxes import box_iou

_ALPHAS = np.arange(1, 20) / 20
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class BoxTable:
    """Boxes of tracks, row by row.

    Parameters
    ----------
    frame : ndarray of int64, shape (N,)
        Frame of each row.
    track_id : ndarray of int64, shape (N,)
        Track of each row; at most one row per track and frame.
    boxes : ndarray of float64, shape (N, 4)
        x1, y1, x2, y2, px.
    """

    frame: Ints
    track_id: Ints
    boxes: Floats

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True, slots=True)
class TrackScores:
    """Scores of one movie.

    Parameters
    ----------
    hota, deta, assa, loca : float
        Higher order tracking accuracy and its parts: detection, association, localisation; means over IoU
        thresholds 0.05 to 0.95.
    mota, idf1 : float
        At IoU 0.5. MOTA is at most 1 and may be negative.
    id_switches, fragmentations : int
        Times a true track is followed by another id than before, and times it is found again after a break.
    mostly_tracked : float
        Share of true tracks that are found in more than 80 % of their frames.
    false_positives, misses : int
        Boxes that match nothing, and true boxes that are not found, at IoU 0.5.
    """

    hota: float
    deta: float
    assa: float
    loca: float
    mota: float
    idf1: float
    id_switches: int
    fragmentations: int
    mostly_tracked: float
    false_positives: int
    misses: int


@dataclass(frozen=True, slots=True)
class _Frame:
    """Places of the ids in one frame, and the overlap of each pair."""

    truth: Ints
    found: Ints
    iou: Floats


def score_tracks(truth: BoxTable, found: BoxTable) -> TrackScores:
    """Compare tracks with true ones.

    Parameters
    ----------
    truth, found : BoxTable
        True tracks and those to judge. Frames in which neither has a row do not matter.

    Returns
    -------
    TrackScores
        NaN where there is no true box.

    Raises
    ------
    ValueError
        If a track has two rows in one frame.

    References
    ----------
    HOTA: Luiten et al., Int. J. Comput. Vis. 129 (2021) 548, doi 10.1007/s11263-020-01375-2. CLEAR MOT:
    Bernardin, Stiefelhagen, EURASIP J. Image Video Process. 2008, 246309, doi 10.1155/2008/246309. IDF1:
    Ristani et al. 2016, doi 10.1007/978-3-319-48881-3_2.

    Examples
    --------
    >>> square = np.array([[0.0, 0.0, 4.0, 4.0]])
    >>> truth = BoxTable(np.arange(4), np.ones(4, np.int64), np.repeat(square, 4, axis=0))
    >>> changed = BoxTable(np.arange(4), np.array([1, 1, 2, 2]), truth.boxes)
    >>> scores = score_tracks(truth, changed)
    >>> scores.deta, round(scores.assa, 3), scores.mota, scores.idf1, scores.id_switches
    (1.0, 0.5, 0.75, 0.5, 1)
    """
    true_ids, true_place = np.unique(truth.track_id, return_inverse=True)
    found_ids, found_place = np.unique(found.track_id, return_inverse=True)
    _refuse_twice(truth, "the truth")
    _refuse_twice(found, "the tracks to judge")
    frames = _frames(truth, true_place, found, found_place)
    n_true, n_found = (
        np.bincount(true_place, minlength=len(true_ids)),
        np.bincount(found_place, minlength=len(found_ids)),
    )
    hota, deta, assa, loca = _hota(frames, n_true, n_found)
    clear = _clear(frames, n_true)
    total = max(1, len(truth))
    if not len(truth):
        hota = deta = assa = loca = np.nan
    return TrackScores(
        hota,
        deta,
        assa,
        loca,
        (total - clear.misses - clear.false_positives - clear.id_switches) / total if len(truth) else np.nan,
        _idf1(frames, n_true, n_found) if len(truth) else np.nan,
        clear.id_switches,
        clear.fragmentations,
        clear.mostly_tracked / max(1, len(true_ids)) if len(truth) else np.nan,
        clear.false_positives,
        clear.misses,
    )


def _refuse_twice(table: BoxTable, name: str) -> None:
    keys, counts = np.unique(np.column_stack([table.frame, table.track_id]), axis=0, return_counts=True)
    if len(counts) and counts.max() > 1:
        frame, track = keys[counts.argmax()].tolist()
        raise ValueError(
            f"{name}: track {track} has {counts.max()} rows in frame {frame}; expected at most one"
        )


def _frames(truth: BoxTable, true_place: Ints, found: BoxTable, found_place: Ints) -> list[_Frame]:
    """Cut both tables into frames, in the order of time."""
    numbers = np.union1d(truth.frame, found.frame)
    parts = []
    for table in (truth, found):
        order = np.argsort(table.frame, kind="stable")
        ends = np.searchsorted(table.frame[order], numbers, side="right")
        parts.append(np.split(order, ends[:-1]) if len(numbers) else [])
    return [
        _Frame(true_place[a], found_place[b], box_iou(truth.boxes[a], found.boxes[b]))
        for a, b in zip(*parts, strict=True)
    ]


def _hota(frames: list[_Frame], n_true: Ints, n_found: Ints) -> tuple[float, float, float, float]:
    """HOTA, DetA, AssA and LocA, means over the thresholds."""
    width = max(1, len(n_found))
    overlap = np.zeros((len(n_true), width))
    for one in frames:
        total = one.iou.sum(axis=0)[None] + one.iou.sum(axis=1)[:, None] - one.iou
        overlap[np.ix_(one.truth, one.found)] += np.divide(
            one.iou, total, out=np.zeros_like(one.iou), where=total > _EPS
        )
    alignment = overlap / np.maximum(
        n_true[:, None] + np.pad(n_found, (0, width - len(n_found)))[None] - overlap, _EPS
    )
    keys, similarity = [np.zeros(0, np.int64)], [np.zeros(0)]
    for one in frames:
        rows, cols = linear_sum_assignment(-(alignment[np.ix_(one.truth, one.found)] * one.iou))
        keys.append(one.truth[rows] * width + one.found[cols])
        similarity.append(one.iou[rows, cols])
    key, value = np.concatenate(keys), np.concatenate(similarity)
    pairs, place = np.unique(key, return_inverse=True)
    detection, association, location = np.zeros(len(_ALPHAS)), np.zeros(len(_ALPHAS)), np.zeros(len(_ALPHAS))
    n_all = int(n_true.sum() + n_found.sum())
    for i, alpha in enumerate(_ALPHAS.tolist()):
        right = value >= alpha - _EPS
        hits = int(np.count_nonzero(right))
        together = np.bincount(place[right], minlength=len(pairs)).astype(np.float64)
        share = (
            together / np.maximum(1, n_true[pairs // width] + n_found[pairs % width] - together)
            if len(pairs)
            else np.zeros(0)
        )
        detection[i] = hits / max(1, n_all - hits)
        association[i] = (together * share).sum() / max(1, hits)
        location[i] = max(1e-10, float(value[right].sum())) / max(1e-10, hits)
    return (
        float(np.sqrt(detection * association).mean()),
        float(detection.mean()),
        float(association.mean()),
        float(location.mean()),
    )


@dataclass(slots=True)
class _Clear:
    id_switches: int = 0
    fragmentations: int = 0
    mostly_tracked: int = 0
    false_positives: int = 0
    misses: int = 0


def _clear(frames: list[_Frame], n_true: Ints) -> _Clear:
    """Count by CLEAR MOT at IoU 0.5; a pair of the frame before is kept where it still overlaps enough."""
    answer = _Clear()
    last, just_now = np.full(len(n_true), -1), np.full(len(n_true), -1)
    times_found, hits = np.zeros(len(n_true), np.int64), np.zeros(len(n_true), np.int64)
    for one in frames:
        if not len(one.truth) or not len(one.found):
            answer.false_positives += len(one.found)
            answer.misses += len(one.truth)
            continue
        kept = one.found[None] == just_now[one.truth][:, None]
        score = np.where(one.iou >= 0.5 - _EPS, 1000.0 * kept + one.iou, 0.0)
        rows, cols = linear_sum_assignment(-score)
        matched = score[rows, cols] > _EPS
        who, by = one.truth[rows[matched]], one.found[cols[matched]]
        answer.id_switches += int(np.count_nonzero((last[who] >= 0) & (last[who] != by)))
        answer.false_positives += len(one.found) - len(who)
        answer.misses += len(one.truth) - len(who)
        hits[who] += 1
        last[who] = by
        before = just_now >= 0
        just_now[:] = -1
        just_now[who] = by
        times_found += ~before & (just_now >= 0)
    answer.fragmentations = int((times_found[times_found > 0] - 1).sum())
    answer.mostly_tracked = int(np.count_nonzero(hits > 0.8 * n_true))
    return answer


def _idf1(frames: list[_Frame], n_true: Ints, n_found: Ints) -> float:
    """IDF1: the pairing of whole tracks that agrees in most frames."""
    together = np.zeros((len(n_true), max(1, len(n_found))))
    for one in frames:
        together[np.ix_(one.truth, one.found)] += one.iou >= 0.5
    rows, cols = linear_sum_assignment(together, maximize=True)
    return float(2 * together[rows, cols].sum() / max(1, n_true.sum() + n_found.sum()))
