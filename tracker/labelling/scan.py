"""Look through a movie once: what the model doubts about where, and what its parts look like."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from insitrack.io.arrays import BoolImage, Floats, GreyImage
from insitrack.io.detections import Detections
from insitrack.io.errors import SourceError
from insitrack.io.frames import Frame, Source
from insitrack.segment.base import Segmenter
from insitrack.segment.prepare.field import FieldConfig, FieldFinder
from insitrack.segment.prepare.texture import texture
from insitrack.tracker.existence.evidence import logit
from insitrack.tracker.existence.settings import ExistenceConfig
from insitrack.tracker.labelling.choose import Window, corners, doubt
from insitrack.tracker.labelling.settings import LabelSettings

LOOKED_AT = 4
"""Frames that are looked at for each that is labelled."""
LEAST_LOOKED_AT, MOST_LOOKED_AT = 24, 400
_HELD_BYTES = 512 * 2**20
_LEAST_SHOWN = 0.5  # share of a window that shows the specimen


@dataclass(frozen=True, slots=True)
class Scanned:
    """A frame that was looked at, and what was found in it.

    Parameters
    ----------
    frame : Frame
        The frame.
    found : Detections
        Finds down to the least score that is followed.
    probability : ndarray of float64, shape (N,)
        Probability of each that it is a defect, from its score alone.
    """

    frame: Frame
    found: Detections
    probability: Floats


def probability(score: Floats, settings: ExistenceConfig) -> Floats:
    """Probability that a find is a defect, from its score and the card of its model.

    Examples
    --------
    >>> probability(np.array([0.15, 0.9]), ExistenceConfig()).round(2).tolist()
    [0.5, 0.99]
    """
    even = float(logit(np.array([settings.even]))[0])
    return np.asarray(1 / (1 + np.exp(-settings.slope * (logit(score) - even))))


def spread(n_frames: int, n_wanted: int, frame_bytes: int) -> list[int]:
    """Numbers of the frames that are looked at: evenly spread, as many as can be held.

    Examples
    --------
    >>> spread(10, 16, 1000), spread(1000, 2, 1000)[:3], len(spread(1000, 16, 100 * 2**20))
    ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 43, 87], 16)
    """
    n = int(np.clip(LOOKED_AT * n_wanted, LEAST_LOOKED_AT, MOST_LOOKED_AT))
    n = max(n_wanted, min(n, _HELD_BYTES // max(1, frame_bytes)))
    return sorted(set(np.linspace(0, n_frames - 1, min(n, n_frames)).round().astype(int).tolist()))


def scan(
    source: Source,
    segmenter: Segmenter,
    existence: ExistenceConfig,
    n_wanted: int,
    told: Callable[[int, int], None] = lambda done, of: None,
) -> list[Scanned]:
    """Look at frames that are spread over a source.

    Parameters
    ----------
    source : Source
        With a known number of frames; frames that are damaged are passed over.
    segmenter : Segmenter
        The model, with a low confidence.
    existence : ExistenceConfig
        What its scores mean.
    n_wanted : int
        How many are to be labelled.
    told : callable
        Hears how many frames were looked at, and of how many.

    Raises
    ------
    SourceError
        If not one frame can be read.
    """
    finder, out = FieldFinder(FieldConfig()), []
    wanted: list[int] | None = None

    def frames() -> Iterator[tuple[Frame, BoolImage | None, Frame]]:
        nonlocal wanted
        for item in source:
            if not isinstance(item, Frame):
                continue
            if wanted is None:
                wanted = spread(source.n_frames or 1, n_wanted, item.image.nbytes)
            due = [
                index for index in wanted if index <= item.index
            ]  # one that is damaged gives way to the next
            if due:
                wanted = wanted[len(due) :]
                yield item, finder.update(item.image), item
            if not wanted:
                return

    n_due = len(spread(source.n_frames or 1, n_wanted, 1))
    for found, frame in segmenter.stream(frames()):
        if found is not None:
            out.append(Scanned(frame, found, probability(np.asarray(found.scores, np.float64), existence)))
            told(len(out), max(n_due, len(out)))
    if not out:
        raise SourceError("no frame can be read; nothing can be labelled")
    return out


def windows_of(looked: list[Scanned], settings: LabelSettings) -> list[Window]:
    """Cut frames to the windows that may be labelled, with what the choice rests on."""
    levels = [np.percentile(one.frame.image[::8, ::8], [1, 99]) for one in looked]
    low, high = float(np.min(levels)), float(np.max(levels))
    out = []
    for one in looked:
        field = FieldFinder(FieldConfig()).update(one.frame.image)
        height, width = one.frame.shape
        centre = (one.found.boxes[:, :2] + one.found.boxes[:, 2:]) / 2
        for y in corners(height, settings.crop_px):
            for x in corners(width, settings.crop_px):
                h, w = _side(height, settings.crop_px), _side(width, settings.crop_px)
                part = one.frame.image[y : y + h, x : x + w]
                shown = None if field is None else field[y : y + h, x : x + w]
                if shown is not None and shown.mean() < _LEAST_SHOWN:
                    continue
                inside = (
                    (centre[:, 0] >= x)
                    & (centre[:, 0] < x + w)
                    & (centre[:, 1] >= y)
                    & (centre[:, 1] < y + h)
                )
                brightness = (float(part.mean()) - low) / max(high - low, 1e-9)
                out.append(
                    Window(
                        one.frame.index, one.frame.t_s, x, y, w, h, doubt(one.probability[inside]), brightness,
                        _figures(part, shown),
                    )
                )  # fmt: skip
    return out


def _side(length: int, side: int) -> int:
    return length if length <= side * 5 // 4 else side


def _figures(part: GreyImage, shown: BoolImage | None) -> Floats | None:
    whole: GreyImage = part.copy()
    return texture(whole, None if shown is None else shown.copy())
