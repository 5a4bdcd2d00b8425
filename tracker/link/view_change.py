"""What changed where a frame does not fit the one before: the focus, the magnification, or the place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from insitrack.io.arrays import Floats32
from insitrack.tracker.link.registration import CLIP_SD, View, band_pass, correlation_peak, refine

_MOST_MAGNIFIED = 5.0
"""Largest change of the magnification that is looked for, either way."""
_SCALE_STEP = 1.03
"""Ratio of neighbouring scales that are tried: less than the smallest features away at half the frame."""
_CLOSE = 1.5
"""Within this ratio, either way, a frame may still seem to fit at its old scale, if less well."""
_CLEARLY = 0.2
"""How much better another scale must fit to be the right one."""
_ALIKE = 1.06
"""Within this ratio the magnification counts as the same."""
_LEAST_QUALITY, _LEAST_SMALL_QUALITY = 0.3, 0.55
"""Least correlation where two frames fit, that of different places being below 0.15; and where the earlier one,
drawn smaller, is a small part of the new one."""
_SMALL = 0.4
"""Ratio below which the part is that small: a sixth of the frame."""


class Change(NamedTuple):
    """What a view is that does not fit the one before.

    Parameters
    ----------
    back_px : tuple of float or None
        The same place at the same magnification under another contrast: where it lies, shrunken px.
    magnified : float or None
        How many times larger it shows the same place; None where nothing makes them fit, another place.
    """

    back_px: tuple[float, float] | None
    magnified: float | None


def what_changed(key: View, views: Sequence[View], min_significance: float) -> Change:
    """Compare frames of a new view with an earlier frame.

    Past focus, dark and bright change places, and fringes appear; what lies where stays. The new frames are
    laid on each other, and the sum is correlated as it is, reversed, and without its sign; then with the earlier
    frame drawn larger and smaller by steps of 3 %.

    Parameters
    ----------
    key : View
        The earlier frame.
    views : sequence of View
        Frames that fit each other, by their `shift`.
    min_significance : float
        Least height of the peak, in standard deviations of the correlation.
    """
    new, weight = _laid_on_first(views), key.weight
    change, best = Change(None, None), 0.0
    for old, now in ((key.band, new), (key.band, -new), (_unsigned(key.band), _unsigned(new))):
        fit = _fit(_of(old, weight), _of(now, weight), min_significance)
        if fit is not None and fit[1] > max(best, _LEAST_QUALITY):
            change, best = Change(fit[0], 1.0), fit[1]
    for ratio in _ratios(_MOST_MAGNIFIED):
        fit = _fit(_scaled(key, ratio), _of(new, weight), min_significance)
        least = _LEAST_QUALITY if ratio > _SMALL else _LEAST_SMALL_QUALITY
        if fit is not None and changes_scale(ratio) and fit[1] > max(best, least):
            change, best = Change(None, ratio), fit[1]
    return change


def fits_better_magnified(key: View, view: View, quality: float, min_significance: float) -> bool:
    """Tell whether a frame that fits an earlier one as it is fits it clearly better somewhat larger or smaller.

    Parameters
    ----------
    key, view : View
        The earlier frame and the new one.
    quality : float
        Their correlation at one scale.
    min_significance : float
        Least height of the peak, in standard deviations of the correlation.
    """
    fits = (
        _fit(_scaled(key, ratio), view, min_significance) for ratio in _ratios(_CLOSE) if changes_scale(ratio)
    )
    return any(fit is not None and fit[1] > quality + _CLEARLY for fit in fits)


def _ratios(most: float) -> list[float]:
    """Ratios of magnification that are tried, up to one either way."""
    n = math.ceil(math.log(most) / math.log(_SCALE_STEP))
    return [_SCALE_STEP**step for step in range(-n, n + 1)]


def _fit(old: View, new: View, min_significance: float) -> tuple[tuple[float, float], float] | None:
    """Shift and correlation of two frames; None where they do not fit."""
    start, significance = correlation_peak(old, new, (0.0, 0.0))
    if significance < min_significance:
        return None
    shift, quality = refine(old, new, start)
    return shift, quality


def _of(band: Floats32, weight: Floats32) -> View:
    return View(band, weight, 1.0, (0.0, 0.0))


def changes_scale(magnified: float) -> bool:
    """Tell whether a ratio of magnifications is another one than 1, beyond the error with which it is found."""
    return abs(math.log(magnified)) > math.log(_ALIKE)


def _laid_on_first(views: Sequence[View]) -> Floats32:
    """Mean of some frames, moved onto the first: the noise of one frame is less in it."""
    first = views[0]
    height, width = first.band.shape
    total = np.zeros((height, width), np.float32)
    for view in views:
        dx, dy = view.shift[0] - first.shift[0], view.shift[1] - first.shift[1]
        move = np.array([[1, 0, -dx], [0, 1, -dy]], np.float32)
        total += cv2.warpAffine(view.band, move, (width, height))
    return np.asarray(total / len(views), np.float32)


def _unsigned(band: Floats32) -> Floats32:
    """Strength of the contrast without its sign, a little smoothed, about its mean."""
    strength = cv2.GaussianBlur(np.abs(band), (0, 0), 2.0)
    return np.asarray(strength - strength.mean(), np.float32)


def _scaled(view: View, ratio: float) -> View:
    """Draw a frame larger or smaller about its middle; what it did not show has no weight."""
    band = view.band
    height, width = band.shape
    x, y = (width - 1) / 2, (height - 1) / 2
    small = cv2.GaussianBlur(band, (0, 0), 0.6 / ratio) if ratio < 0.9 else band
    move = np.array([[ratio, 0, x - ratio * x], [0, ratio, y - ratio * y]], np.float32)
    drawn = np.asarray(cv2.warpAffine(small, move, (width, height)), np.float32)
    shown = np.asarray(cv2.warpAffine(view.weight, move, (width, height)) > 0.99, np.float32)
    drawn = band_pass(drawn, shown)
    inside = drawn[shown > 0]
    spread = float(inside.std()) if inside.size else 0.0
    return _of(
        np.asarray(np.clip(drawn / spread, -CLIP_SD, CLIP_SD) if spread > 0 else drawn, np.float32), shown
    )
