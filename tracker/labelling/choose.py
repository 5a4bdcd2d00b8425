"""Which parts of a movie teach a model most: those where it doubts, and that differ from each other.

Half of a labelled set is spent on what the model gets right already if frames are taken as they come, and
frames that follow each other show the same defects. Here windows are taken one after another: the next is the
one with the largest product of the doubt in it and of its distance to those that are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from insitrack.io.arrays import Floats

_TIME_WEIGHT = 3.0
"""Distance from the first frame to the last; figures of images differ by about 1.4."""
_BRIGHTNESS_WEIGHT = 0.7
_PLACE_WEIGHT = 0.5  # between two windows of different places of a frame
_LEAST_DOUBT = 0.25  # weight of the window with the least doubt, where the one with the most has 1
_CLIP = 3.0


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a frame that may be labelled.

    Parameters
    ----------
    frame : int
        Number of the frame in its source.
    t_s : float
        Its time, s.
    x_px, y_px, width_px, height_px : int
        Left, top, width and height in the frame, px.
    doubt : float
        See `doubt`.
    brightness : float
        Mean grey level, 0..1 of the range of the movie.
    figures : ndarray of float64, shape (F,), or None
        Figures of its texture; None where it shows too little.
    """

    frame: int
    t_s: float
    x_px: int
    y_px: int
    width_px: int
    height_px: int
    doubt: float
    brightness: float
    figures: Floats | None


def doubt(probability: Floats) -> float:
    r"""How much a model doubts about a window: :math:`\sum 4 p (1 - p)` over its finds.

    A find of probability one half counts as 1, one that is sure, either way, as nothing.

    Parameters
    ----------
    probability : ndarray of float64, shape (N,)
        Probability of each find that it is a defect.

    Examples
    --------
    >>> doubt(np.array([0.5, 1.0, 0.0])), doubt(np.zeros(0))
    (1.0, 0.0)
    """
    return float((4 * probability * (1 - probability)).sum())


def corners(length: int, side: int) -> list[int]:
    """First pixels of windows that cover a length, spread from end to end; one that is little longer stays whole.

    Examples
    --------
    >>> corners(1024, 512), corners(600, 512), corners(300, 512), corners(1300, 512)
    ([0, 512], [0], [0], [0, 394, 788])
    """
    if length <= side * 5 // 4:
        return [0]
    return [round(at) for at in np.linspace(0, length - side, -(-length // side)).tolist()]


def choose(windows: Sequence[Window], n: int, taken: Sequence[Window] = ()) -> list[int]:
    """Take windows with much doubt in them that differ from each other; the same ones every time.

    Parameters
    ----------
    windows : sequence of Window
        What there is to choose from.
    n : int
        How many are taken, if there are so many. No frame gives a second one before every frame gave one.
    taken : sequence of Window
        Windows that are taken already.

    Returns
    -------
    list of int
        Places in `windows`, in the order in which they were taken.

    Examples
    --------
    >>> def at(frame, doubt):
    ...     return Window(frame, float(frame), 0, 0, 64, 64, doubt, 0.5, None)
    >>> choose([at(0, 3.0), at(1, 3.0), at(50, 1.0), at(99, 3.0)], 2)
    [0, 3]
    """
    everything = [*windows, *taken]
    if not windows:
        return []
    place = _places(everything)
    weight = _weights(np.array([one.doubt for one in windows]))
    used: dict[int, int] = {}
    for one in taken:
        used[one.frame] = used.get(one.frame, 0) + 1
    nearest = np.full(len(windows), np.inf)
    for row in range(len(windows), len(everything)):
        nearest = np.minimum(nearest, _distance(place, everything, row)[: len(windows)])
    free = np.ones(len(windows), bool)
    chosen: list[int] = []
    while len(chosen) < min(n, len(windows)):
        fewest = min(used.get(windows[i].frame, 0) for i in np.flatnonzero(free).tolist())
        open_ = np.array([free[i] and used.get(one.frame, 0) == fewest for i, one in enumerate(windows)])
        worth = weight if np.isinf(nearest).all() else weight * np.where(np.isinf(nearest), 1, nearest)
        best = int(np.where(open_, worth, -1.0).argmax())
        chosen.append(best)
        free[best] = False
        used[windows[best].frame] = used.get(windows[best].frame, 0) + 1
        nearest = np.minimum(nearest, _distance(place, everything, best)[: len(windows)])
    return chosen


def _weights(doubts: Floats) -> Floats:
    """Weights from `_LEAST_DOUBT` to 1, by the rank of the doubt: a field full of noise would beat all else."""
    if len(doubts) < 2 or doubts.max() <= doubts.min():
        return np.ones(len(doubts))
    order = np.sort(doubts)
    rank = (np.searchsorted(order, doubts, "left") + np.searchsorted(order, doubts, "right") - 1) / 2
    return np.asarray(_LEAST_DOUBT + (1 - _LEAST_DOUBT) * rank / rank.max())


def _places(windows: Sequence[Window]) -> Floats:
    """Coordinates of windows, in which distances are compared."""
    frames = np.array([one.frame for one in windows], np.float64)
    span = max(1.0, float(np.ptp(frames)))
    brightness = _standard(np.array([[one.brightness] for one in windows]))
    columns = [_TIME_WEIGHT * (frames[:, None] - frames.min()) / span, _BRIGHTNESS_WEIGHT * brightness]
    known = [one.figures for one in windows if one.figures is not None]
    if known:
        middle = np.median(known, axis=0)
        figures = _standard(np.array([middle if one.figures is None else one.figures for one in windows]))
        columns.append(figures / np.sqrt(figures.shape[1]))
    return np.concatenate(columns, axis=1)


def _standard(values: Floats) -> Floats:
    """Columns about their medians in units of their spread; one that does not vary is nothing."""
    middle = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - middle), axis=0)
    spread = np.where(spread > 0, spread, values.std(axis=0))
    return np.clip((values - middle) / np.where(spread > 0, spread, 1.0), -_CLIP, _CLIP)


def _distance(place: Floats, windows: Sequence[Window], row: int) -> Floats:
    here = windows[row]
    apart = np.array(
        [
            abs(one.x_px - here.x_px) >= here.width_px or abs(one.y_px - here.y_px) >= here.height_px
            for one in windows
        ]
    )
    return np.asarray(np.sqrt(((place - place[row]) ** 2).sum(axis=1) + _PLACE_WEIGHT**2 * apart))
