"""Drift of the stage: how far the specimen has moved on the frame since the first frame of the view."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from insitrack.io.arrays import BoolImage, Floats32
from insitrack.io.frames import Frame
from insitrack.tracker.link.registration import (
    CLIP_SD,
    View,
    band_pass,
    correlation_peak,
    far_fits,
    fast_length,
    refine,
    shrink_factor,
    shrunken,
    shrunken_field,
)
from insitrack.tracker.link.settings import DriftConfig
from insitrack.tracker.link.view_change import fits_better_magnified, what_changed

_FEATURELESS = 0.3
"""A frame with less than this share of the keyframe's contrast shows no specimen: beam off, far out of
focus."""
_LEAST_QUALITY, _LEAST_FAR_QUALITY = 0.1, 0.35
"""Least correlation where two frames fit: where the peak is high; and far from it, or where it is low."""
_BELIEVED = 0.4
"""Share of the usual correlation below which a fit is one by chance: frames of one view keep 0.7 of it."""


class Drift(NamedTuple):
    """Where the specimen is.

    Parameters
    ----------
    shift_px : tuple of float
        How far the specimen has moved on the frame since the first frame of the view, (x, y), px; x right, y
        down.
    quality : float
        Correlation with the keyframe where the two overlap, 0..1; 0 where the shift could not be measured and
        the last one is kept.
    view : int
        Number of the view, from 0: one more after every jump to another place or magnification.
    magnified : float or None
        How many times larger this view shows the specimen than the one before; None where that is not known,
        and in the first view.
    """

    shift_px: tuple[float, float]
    quality: float
    view: int = 0
    magnified: float | None = None


@dataclass(frozen=True, slots=True)
class DriftSnapshot:
    """Everything that is remembered of the drift where no frame waits; another estimator goes on from it.

    Parameters
    ----------
    key, previous : view or None
        Keyframe and last frame that showed specimen, prepared for registration.
    shift : tuple of float
        Total shift, shrunken pixels.
    fresh_quality : float or None
        Quality just after the last keyframe.
    view : int
        Number of the view.
    magnified : float or None
        Its magnification over that of the view before.
    """

    key: View | None
    previous: View | None
    shift: tuple[float, float]
    fresh_quality: float | None
    view: int
    magnified: float | None


class _Waiting(NamedTuple):
    """A frame of which it is not known yet to which view it belongs; no `shown` where it shows no specimen."""

    shown: View | None
    quality: float


class DriftEstimator:
    """Follows the drift frame by frame, and notices where another view begins; looks only back.

    Frames are registered against a keyframe, not against the frame before, so errors do not add up from frame
    to frame. Frames that do not fit it wait, `DriftConfig.lost_frames` of them at most, until it is known what
    they are: a shaken moment, or the beginning of another view. They are of another view if they fit each
    other, the first of them did not fit the frame before, and none of them shows the old place under another
    contrast (a change of focus).

    Examples
    --------
    >>> picture = np.kron(np.random.default_rng(0).integers(0, 255, (24, 32), np.uint8), np.ones((4, 4), np.uint8))
    >>> estimator = DriftEstimator(DriftConfig())
    >>> found = [estimator.update(Frame(i, float(i), np.roll(picture, 3 * i, axis=1))) for i in range(3)]
    >>> [drift.shift_px[0].__round__(1) for drifts in found for drift in drifts]
    [0.0, 3.0, 6.0]
    """

    def __init__(self, config: DriftConfig | None = None) -> None:
        self._config = config or DriftConfig()
        self._key: View | None = None
        self._previous: View | None = None
        self._shift = (0.0, 0.0)
        self._fresh_quality: float | None = None
        self._view = 0
        self._magnified: float | None = None
        self._waiting: list[_Waiting] = []
        self._broken = False
        self._factor = 1
        self._weight: tuple[object, Floats32] | None = None

    def update(self, frame: Frame, field: BoolImage | None = None) -> tuple[Drift, ...]:
        """Take the next frame and tell where the specimen is, in the frames of which that is known now.

        Parameters
        ----------
        frame : Frame
            The next frame; all frames of a run have one shape.
        field : ndarray of bool, shape (H, W), or None
            True where the frame shows the specimen; text, bars and borders, which do not drift, are False.

        Returns
        -------
        tuple of Drift
            Of this frame and of those that waited before it, in their order; empty while this one waits.
        """
        self._factor = shrink_factor(frame.shape, self._config.size_px)
        if not self._config.enabled or min(frame.shape) // self._factor < 16:
            return (Drift((0.0, 0.0), 0.0),)
        return self._register(self._prepare(frame, field, self._factor))

    def finish(self) -> tuple[Drift, ...]:
        """Tell of the frames that still wait: the movie ends before it is known where they are."""
        lost = tuple(self._told(self._shift, 0.0) for _ in self._waiting)
        self._waiting, self._broken = [], False
        return lost

    def snapshot(self) -> DriftSnapshot:
        """Return everything that is remembered after the last frame; none may wait."""
        key, previous = (None if view is None else replace(view) for view in (self._key, self._previous))
        return DriftSnapshot(key, previous, self._shift, self._fresh_quality, self._view, self._magnified)

    def restore(self, snapshot: DriftSnapshot) -> None:
        """Go on from where another estimator was."""
        self._key, self._previous, self._shift = snapshot.key, snapshot.previous, snapshot.shift
        self._fresh_quality = snapshot.fresh_quality
        self._view, self._magnified = snapshot.view, snapshot.magnified

    def _told(self, shift: tuple[float, float], quality: float) -> Drift:
        x, y = shift
        return Drift((x * self._factor, y * self._factor), quality, self._view, self._magnified)

    def _prepare(self, frame: Frame, field: BoolImage | None, factor: int) -> View:
        """Shrink the frame, keep the band of sizes that defects have, and give it unit contrast."""
        height, width = (fast_length(length // factor) for length in frame.shape)
        small = shrunken(frame.image[: height * factor, : width * factor], factor)
        if self._weight is None or self._weight[0] is not field or self._weight[1].shape != small.shape:
            self._weight = (field, shrunken_field(field, (height, width), factor))
        weight = self._weight[1]
        band = band_pass(small, weight if field is not None else None)
        inside = band if field is None else band[weight > 0]
        contrast = float(inside.std()) if inside.size else 0.0
        if contrast > 0:
            band *= 1.0 / contrast
            np.clip(band, -CLIP_SD, CLIP_SD, out=band)
        return View(band, weight, contrast, self._shift)

    def _register(self, view: View) -> tuple[Drift, ...]:
        """Find the view's shift, and decide on keyframes."""
        key = self._key
        if key is None or key.band.shape != view.band.shape:
            known = view.contrast > 0
            self._key, self._fresh_quality = (view if known else None), None
            self._previous = self._key
            return (*self.finish(), self._told(self._shift, 1.0 if known else 0.0))
        if view.contrast < _FEATURELESS * key.contrast:
            return self._wait(_Waiting(None, 0.0)) if self._waiting else (self._told(self._shift, 0.0),)
        found = self._measure(key, view)
        if found is None:
            return self._lost(view)
        (x, y), quality = found
        before = self.finish()
        self._shift = view.shift = (key.shift[0] + x, key.shift[1] + y)
        self._previous = view
        if self._fresh_quality is None:
            self._fresh_quality = quality
        height, width = view.band.shape
        moved = max(abs(x) / width, abs(y) / height)
        if moved > self._config.refresh_shift or quality < self._config.refresh_quality * self._fresh_quality:
            self._key, self._fresh_quality = view, None
        return (*before, self._told(self._shift, quality))

    def _lost(self, view: View) -> tuple[Drift, ...]:
        """Take a frame that does not fit the keyframe; it may fit the frame before."""
        previous = self._previous
        found = None if previous is None else self._measure(previous, view)
        before: tuple[Drift, ...] = ()
        if found is None or previous is None:
            before = self.finish()
            self._broken, quality = True, 1.0
        else:
            (x, y), quality = found
            view.shift = (previous.shift[0] + x, previous.shift[1] + y)
        self._previous = view
        return (*before, *self._wait(_Waiting(view, quality)))

    def _wait(self, one: _Waiting) -> tuple[Drift, ...]:
        """Let a frame wait; when enough of them fit each other, say where they are."""
        self._waiting.append(one)
        views = [each.shown for each in self._waiting if each.shown is not None]
        # the first frame of another view fits nothing, and only the others speak for it
        if len(views) - self._broken < self._config.lost_frames:
            return ()
        key, last, base = self._key, views[-1], (0.0, 0.0)
        assert key is not None  # frames wait because they do not fit it
        if self._broken:
            base = views[0].shift
            back, magnified = what_changed(key, views, self._config.min_significance)
            if back is None:
                self._view, self._magnified = self._view + 1, magnified
            else:
                base = (base[0] - key.shift[0] - back[0], base[1] - key.shift[1] - back[1])
        for view in views:
            view.shift = (view.shift[0] - base[0], view.shift[1] - base[1])
        drifts, at = [], views[0].shift
        for shown, quality in self._waiting:
            at = at if shown is None else shown.shift
            drifts.append(self._told(at, quality))
        self._shift, self._key, self._fresh_quality = last.shift, last, None
        self._waiting, self._broken = [], False
        return tuple(drifts)

    def _measure(self, key: View, view: View) -> tuple[tuple[float, float], float] | None:
        """Shift of `view` against `key`, shrunken px, and the correlation there.

        None where no peak can be believed, or where a poor fit becomes a good one at another magnification.
        """
        found = self._best_shift(key, view)
        least = self._config.refresh_quality * (self._fresh_quality or 0.0)
        if found is None or found[1] >= least:
            return found
        significance = self._config.min_significance
        return None if fits_better_magnified(key, view, found[1], significance) else found

    def _best_shift(self, key: View, view: View) -> tuple[tuple[float, float], float] | None:
        """Shift of `view` against `key`, shrunken px, and the correlation there.

        None where no peak can be believed.
        """
        near = (view.shift[0] - key.shift[0], view.shift[1] - key.shift[1])
        start, significance = correlation_peak(key, view, near)
        usual = self._fresh_quality or 0.0
        if significance >= self._config.min_significance:
            shift, quality = refine(key, view, start)
            if quality > max(_LEAST_QUALITY, _BELIEVED * usual):
                return shift, quality
        least = max(_LEAST_FAR_QUALITY, _BELIEVED * usual)
        fits = [one for one in far_fits(key, view) if one[2] >= self._config.min_significance]
        shift, quality, _ = max(fits, key=lambda one: one[1], default=(near, 0.0, 0.0))
        return (shift, quality) if quality > least else None


class SeparatePictures(DriftEstimator):
    """Takes every frame for a view of its own: micrographs that are no movie."""

    def update(self, frame: Frame, field: BoolImage | None = None) -> tuple[Drift, ...]:
        """Return no shift, and the next view."""
        self._view += 1
        return (Drift((0.0, 0.0), math.nan, self._view),)
