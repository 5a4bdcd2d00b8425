"""Defects whose class cannot be told are `defect`: they count, and are no evidence for any class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from insitrack.io.arrays import BoolImage
from insitrack.io.detections import UNTYPED, Detections
from insitrack.io.frames import Frame
from insitrack.segment.base import Segmenter

Tag = TypeVar("Tag")


class WithUntyped:
    """A segmenter that gives probabilities of classes, with `defect` where the best of them is too small.

    The class `defect` has the same small probability for every find, so that along a track, too, it wins where
    no class reaches the least probability on the mean.

    Parameters
    ----------
    segmenter : Segmenter
        Finds the defects.
    least : float
        Least probability of its class, 0..1.
    """

    def __init__(self, segmenter: Segmenter, least: float) -> None:
        self._segmenter, self._least = segmenter, least
        self.class_names = (*segmenter.class_names, UNTYPED)

    def __call__(self, frame: Frame, field: BoolImage | None = None) -> Detections:
        """Return what is in the frame; nothing is looked for where `field` is False."""
        return self._typed(self._segmenter(frame, field))

    def stream(
        self, items: Iterable[tuple[Frame | None, BoolImage | None, Tag]]
    ) -> Iterator[tuple[Detections | None, Tag]]:
        """Run over many frames in order."""
        for found, tag in self._segmenter.stream(items):
            yield (None if found is None else self._typed(found)), tag

    def for_live(self) -> None:
        """Make each frame come out as soon as can be, at the price of frames per second."""
        self._segmenter.for_live()

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest, with the classes that come out."""
        return {**self._segmenter.describe(), "classes": list(self.class_names)}

    def _typed(self, found: Detections) -> Detections:
        return with_untyped(found, self._least)


def with_untyped(found: Detections, least: float) -> Detections:
    """Name `defect` what has no class with the least probability.

    Parameters
    ----------
    found : Detections
        With or without probabilities of its classes; without them every label stays.
    least : float
        Least probability of its class, 0..1.

    Returns
    -------
    Detections
        With the class `defect`, in the last place. Its column of the probabilities is `least` over 1 + `least`,
        and the others are what they were over 1 + `least`.

    Examples
    --------
    >>> from insitrack.io.detections import Masks
    >>> masks = Masks.from_crops([np.ones((4, 4), bool)] * 2, [(0, 0), (9, 9)])
    >>> chances = np.array([[0.9, 0.1], [0.52, 0.48]], np.float32)
    >>> scores = np.full(2, 0.8, np.float32)
    >>> found = Detections(0, 0.0, (20, 20), masks.boxes(), np.array([1, 1]), scores, masks, ("void", "loop"), 0, chances)
    >>> with_untyped(found, 0.6).names()
    ['void', 'defect']
    """
    names, of_classes = (*found.class_names, UNTYPED), found.class_probability
    if of_classes is None:
        return replace(found, class_names=names)
    untold = np.full((len(found), 1), least, np.float32)
    labels = np.where(of_classes.max(axis=1, initial=0.0) < least, len(names), found.labels)
    chances = np.asarray(np.hstack([of_classes, untold]) / (1 + least), np.float32)
    return replace(found, class_names=names, labels=np.asarray(labels, np.int64), class_probability=chances)
