"""Run lengths of COCO: a mask as a short line of ASCII, the way pycocotools writes and reads it.

A mask is walked column by column; the lengths of its runs, beginning with a run of zeros, are each written as
the difference to the run before the last, five bits a letter.

References
----------
Lin et al., Microsoft COCO, ECCV 2014; `maskApi.c` of github.com/cocodataset/cocoapi defines the letters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Ints
from insitrack.io.detections import Masks

_FIRST, _MORE, _SIGN, _BITS = 48, 0x20, 0x10, 5
_MOST_LETTERS = 7
"""Letters of a run: 35 bits hold any frame that fits into memory."""
_MOST_PX = 1 << 31
"""Pixels of the crops of one frame: a short line can claim any size."""


def encode(masks: Masks) -> list[str]:
    """Run lengths of each mask inside its own box.

    Returns
    -------
    list of str
        One per mask; with ``size = [h, w]`` of its crop it is a run-length encoding of COCO.

    Examples
    --------
    >>> encode(Masks.from_crops([np.ones((2, 3), bool)], [(10, 20)]))
    ['06']
    """
    if not len(masks):
        return []
    counts, owner = _runs(masks)
    place = np.arange(len(counts)) - np.searchsorted(owner, owner)
    delta = counts.copy()
    later = np.flatnonzero(place > 2)
    delta[later] -= counts[later - 2]
    letters, n_letters = _letters(delta)
    ends = np.cumsum(np.bincount(owner, weights=n_letters, minlength=len(masks))).astype(np.int64)
    text = letters.tobytes().decode("ascii")
    return [text[start:end] for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)]


def decode(lines: Sequence[str], corners: NDArray[np.int32], sizes: NDArray[np.int32]) -> Masks:
    """Masks from their run lengths.

    Parameters
    ----------
    lines : sequence of str
        As `encode` or pycocotools writes them.
    corners, sizes : ndarray of int32, shape (N, 2)
        Row and column (y, x) of each crop, and its height and width.

    Raises
    ------
    ValueError
        If a line holds other letters, or its runs do not fill its crop.

    Examples
    --------
    >>> corners, sizes = np.array([[10, 20]], np.int32), np.array([[2, 3]], np.int32)
    >>> decode(["06"], corners, sizes).area_px().tolist()
    [6]
    """
    corners = np.asarray(corners, np.int32).reshape(-1, 2)
    sizes = np.asarray(sizes, np.int32).reshape(-1, 2)
    if (sizes < 0).any() or sizes.astype(np.float64).prod(axis=1).sum() > _MOST_PX:
        raise ValueError(f"masks of {sizes.max(initial=0)} px and more; expected those of one frame")
    counts, owner = _counts(lines)
    area = sizes.astype(np.int64).prod(axis=1)
    filled = np.bincount(owner, weights=counts, minlength=len(lines))
    wrong = np.flatnonzero((filled != area) | (np.bincount(owner[counts < 0], minlength=len(lines)) > 0))
    if len(wrong):
        height, width = sizes[wrong[0]].tolist()
        raise ValueError(f"run lengths {lines[wrong[0]][:40]!r} do not fill a mask of {height} x {width} px")
    inside = (np.arange(len(counts)) - np.searchsorted(owner, owner)) % 2 == 1
    columns, ends = np.repeat(inside, counts), np.cumsum(area).tolist()
    crops = [
        columns[start:end].reshape(width, height).T.ravel()
        for start, end, (height, width) in zip([0, *ends[:-1]], ends, sizes.tolist(), strict=False)
    ]
    return Masks(np.concatenate(crops) if crops else np.zeros(0, bool), corners, sizes)


def run_lengths(line: str | bytes) -> Ints:
    """Lengths of the runs of one line, in turn of background and mask, px.

    Raises
    ------
    ValueError
        If the line holds other letters than pycocotools writes.

    Examples
    --------
    >>> run_lengths("06").tolist()
    [0, 6]
    """
    return _counts([line if isinstance(line, str) else line.decode("latin-1")])[0]


def over_frame(masks: Masks, i: int, shape: tuple[int, int]) -> tuple[str, int, list[int]]:
    """Run lengths of mask `i` over a whole frame; what lies outside of it is cut.

    Returns
    -------
    counts : str
        For ``size = shape``.
    area : int
        Pixels.
    box : list of int
        Left, top, width, height of what is inside the frame, px.
    """
    (y, x), crop = masks.corners[i].tolist(), masks.crop(i)
    up, left = max(0, -y), max(0, -x)
    crop = crop[up : max(up, shape[0] - y), left : max(left, shape[1] - x)]
    y, x = y + up, x + left
    columns = np.pad(crop, ((1, 1), (0, 0))).T.astype(np.int8)
    column, row = np.nonzero(np.diff(columns, axis=1))
    place = (x + column) * shape[0] + y + row  # begins and ends of runs by turns
    joined = np.flatnonzero(place[1:-1:2] == place[2::2])  # one run goes on in the next column
    place = np.delete(place, np.concatenate([2 * joined + 1, 2 * joined + 2]))
    counts = np.diff(np.concatenate([[0], place, [shape[0] * shape[1]]]))
    if len(counts) > 1 and counts[-1] == 0:
        counts = counts[:-1]
    delta = counts.copy()
    delta[3:] -= counts[1:-2]
    box = [x, y, crop.shape[1], crop.shape[0]] if crop.size else [0, 0, 0, 0]
    return _letters(delta)[0].tobytes().decode("ascii"), int(np.count_nonzero(crop)), box


def _runs(masks: Masks) -> tuple[Ints, Ints]:
    """Lengths of the runs of all masks, each beginning with a run of zeros, and the mask of each."""
    pixels = np.concatenate([masks.crop(i).T.ravel() for i in range(len(masks))])
    begins = masks.offsets[:-1][np.diff(masks.offsets) > 0]
    change = np.append(False, pixels[1:] != pixels[:-1])[: len(pixels)]
    change[begins] = True
    edges = np.flatnonzero(change)
    counts = np.diff(edges, append=len(pixels))
    owner = np.searchsorted(masks.offsets[1:], edges, side="right")
    at = np.searchsorted(edges, begins[pixels[begins]])
    return np.insert(counts, at, 0), np.insert(owner, at, owner[at])


def _letters(values: Ints) -> tuple[NDArray[np.uint8], Ints]:
    """Letters of all values one after another, and how many each takes."""
    letters = np.zeros((len(values), _MOST_LETTERS), np.uint8)
    n_letters, left, open_ = np.zeros(len(values), np.int64), values.copy(), np.ones(len(values), bool)
    for k in range(_MOST_LETTERS):
        if not open_.any():
            break
        low = left & (_MORE - 1)
        left = left >> _BITS
        more = open_ & np.where(low & _SIGN, left != -1, left != 0)
        letters[:, k] = np.where(more, low | _MORE, low) + _FIRST
        n_letters += open_
        open_ = more
    return letters[np.arange(_MOST_LETTERS) < n_letters[:, None]], n_letters


def _counts(lines: Sequence[str]) -> tuple[Ints, Ints]:
    """Lengths of the runs of all lines, and the line of each."""
    try:
        letters = np.frombuffer("".join(lines).encode("ascii"), np.uint8).astype(np.int64) - _FIRST
    except UnicodeEncodeError as error:
        raise ValueError("run lengths with other letters than those of COCO") from error
    line_ends = np.cumsum([len(line) for line in lines], dtype=np.int64)
    last = np.flatnonzero((letters & _MORE) == 0)
    n_letters = np.diff(last, prepend=-1)
    if (
        (letters.size and (letters.min() < 0 or letters.max() >= 2 * _MORE))
        or n_letters.max(initial=0) > _MOST_LETTERS
        or not np.isin(line_ends[line_ends > 0] - 1, last).all()
    ):
        raise ValueError("run lengths with other letters than those of COCO")
    starts = last - n_letters + 1
    shift = _BITS * (np.arange(starts[-1] + n_letters[-1] if len(last) else 0) - np.repeat(starts, n_letters))
    value = np.add.reduceat((letters & (_MORE - 1)) << shift, starts) if len(last) else np.zeros(0, np.int64)
    value = np.where(letters[last] & _SIGN, value - (1 << (_BITS * n_letters)), value)
    owner = np.searchsorted(line_ends, last, side="right")
    return _summed(value, owner), owner


def _summed(delta: Ints, owner: Ints) -> Ints:
    """Undo the differences: from the fourth run of a mask on, each was written less the one before the last."""
    place = np.arange(len(delta)) - np.searchsorted(owner, owner)
    chain = 3 * owner + np.where(place == 0, 0, 2 - place % 2)
    order = np.argsort(chain, kind="stable")
    sums = np.cumsum(delta[order])
    start = np.searchsorted(chain[order], chain[order])
    value = np.empty_like(delta)
    value[order] = sums - sums[start] + delta[order][start]
    return value
