"""Merges and splits: which defect went into which, or came out of which, by their masks in two frames."""

from __future__ import annotations

import numpy as np

from insitrack.io.arrays import Floats, Ints
from insitrack.io.detections import Masks
from insitrack.tracker.link.assign import gated_pairs
from insitrack.tracker.link.state import Observations, Tracks

COVERED = 0.6
"""Share of a mask that must be covered to say that one defect went into another, or came out of it."""
_FEW_PAIRS = 40_000
"""So many pairs of points and boxes are tested one by one in less time than near ones are searched for."""


def engulfing(
    inner: Masks, inner_rows: Ints, cover: Masks, cover_rows: Ints, apart_rows: Ints, offset: tuple[int, int]
) -> Ints:
    """For each inner mask the other that covers it in the other frame, though not in its own.

    A merge: `inner` are the masks of the frame before, `cover` those of this one. A split is the same with
    time reversed: `inner` is this frame, `cover` the one before. That the other does not cover it in its own
    frame too distinguishes a merge from a second detection of one defect that goes away.

    Parameters
    ----------
    inner : Masks
        Masks of the frame in which the two are apart.
    inner_rows : ndarray of int64, shape (N,)
        Rows of the masks in question.
    cover : Masks
        Masks of the other frame.
    cover_rows : ndarray of int64, shape (M,)
        Rows of those that may cover.
    apart_rows : ndarray of int64, shape (M,)
        Rows of the same M defects in `inner`.
    offset : tuple of int
        Rows and columns by which `cover` must be moved to lie in the frame of `inner`: the drift between the
        two, px.

    Returns
    -------
    ndarray of int64, shape (N,)
        Place in `cover_rows` of the one that covers most, the first of equals; -1 where there is none.

    Examples
    --------
    >>> apart = Masks.from_crops([np.ones((4, 4), bool), np.ones((4, 8), bool)], [(0, 0), (0, 4)])
    >>> merged = Masks.from_crops([np.ones((4, 12), bool)], [(0, 0)])
    >>> engulfing(apart, np.array([0]), merged, np.array([0]), np.array([1]), (0, 0)).tolist()
    [0]
    """
    answer = np.full(len(inner_rows), -1, np.int64)
    if not len(inner_rows) or not len(cover_rows):
        return answer
    low, high = _corners(inner, inner_rows, (0, 0))
    outer_low, outer_high = _corners(cover, cover_rows, offset)
    which, by = _centred_in((low + high) / 2, outer_low, outer_high)
    best = np.full(len(inner_rows), COVERED)
    for i, j in zip(which.tolist(), by.tolist(), strict=True):
        row = int(inner_rows[i])
        area = int(np.count_nonzero(inner.pixels[inner.offsets[row] : inner.offsets[row + 1]]))
        covered = inner.overlap_px(row, cover, int(cover_rows[j]), offset) / max(1, area)
        if (
            covered >= best[i]
            and (answer[i] < 0 or covered > best[i])
            and inner.overlap_px(row, inner, int(apart_rows[j])) < COVERED * area
        ):
            answer[i], best[i] = j, covered
    return answer


def _corners(masks: Masks, rows: Ints, offset: tuple[int, int]) -> tuple[Floats, Floats]:
    """First row and column of some boxes, and those after the last, in a frame moved by `offset`, shape (N, 2)."""
    low = np.asarray(masks.corners[rows] + np.array(offset), np.float64)
    return low, np.asarray(low + masks.sizes[rows], np.float64)


def _centred_in(points: Floats, low: Floats, high: Floats) -> tuple[Ints, Ints]:
    """Pairs of a point and a box that holds it, by box and then by point."""
    if len(points) * len(low) <= _FEW_PAIRS:
        inside = (points[:, 0] >= low[:, :1]) & (points[:, 0] <= high[:, :1])
        inside &= (points[:, 1] >= low[:, 1:]) & (points[:, 1] <= high[:, 1:])
        by, which = np.divmod(np.flatnonzero(inside), len(points))
        return which, by
    gates = np.maximum(np.hypot(*(high - low).T) / 2, 0.5)
    pairs = gated_pairs((low + high) / 2, gates, points)
    point = points[pairs.cols]
    held = ((point >= low[pairs.rows]) & (point <= high[pairs.rows])).all(axis=1)
    return pairs.cols[held], pairs.rows[held]


def note_encounters(
    tracks: Tracks,
    seen: Observations,
    past: Masks | None,
    masks: Masks,
    which: Ints,
    at: Ints,
    newborn: Ints,
    moved_px: tuple[float, float],
) -> Ints:
    """Note which track covers each one that was lost now, and find which one each new one came out of.

    Parameters
    ----------
    tracks : Tracks
        Live tracks, N records; their `absorber` is set in place.
    seen : Observations
        The frame.
    past, masks : Masks
        Masks of the last observations, None if there are none yet, and of this frame.
    which, at : ndarray of int64, shape (P,)
        Places of the pairs in `tracks` and in `seen`.
    newborn : ndarray of int64, shape (B,)
        Places in `seen` that begin a track.
    moved_px : tuple of float
        How far the specimen has moved since the last frame, (x, y), px.

    Returns
    -------
    ndarray of int64, shape (B,)
        Id of the track that each new one came out of, -1 for none.
    """
    if past is None:
        return np.full(len(newborn), -1, np.int64)
    found = np.zeros(len(tracks), bool)
    found[which] = True
    lost = np.flatnonzero(~found & ~tracks["missed"])
    both = ~tracks["missed"][which]
    names = tracks["id"][which[both]]
    row_before, row_now = tracks["last_row"][which[both]], seen.row[at[both]]
    if not len(names):
        return np.full(len(newborn), -1, np.int64)
    dx, dy = (round(by) for by in moved_px)
    into = engulfing(past, tracks["last_row"][lost], masks, row_now, row_before, (-dy, -dx))
    tracks["absorber"][lost] = np.where(into >= 0, names[into], -1)
    out_of = engulfing(masks, seen.row[newborn], past, row_before, row_now, (dy, dx))
    return np.where(out_of >= 0, names[out_of], -1)
