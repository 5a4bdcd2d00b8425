"""The scale of each view of a run: a change of the magnification leaves it unknown, unless it is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from insitrack.io.arrays import Floats
from insitrack.io.detections import Detections
from insitrack.io.frames import Calibration
from insitrack.tracker.link.view_change import changes_scale

_LEAST_SCORE = 0.3
"""Weaker finds say nothing of the size of defects."""
_LEAST_JUMP = 1.25
"""Ratio of mean sizes below which another place, not another magnification, is to be expected."""
_LEAST_Z = 4.0
"""Standard errors that the two means must lie apart."""
_LEAST_FINDS = 4
_MOST_LINES = 5


@dataclass(frozen=True, slots=True)
class ViewScaleSnapshot:
    """Everything that is remembered of the scale after a frame.

    Parameters
    ----------
    view : int
        Number of the view.
    nm_per_px : float or None
        Its scale, nm.
    sizes_px : ndarray of float64, shape (N,)
        Box sizes of the clear finds of the last frame, px.
    told : tuple of str
        A line for every view after the first.
    """

    view: int
    nm_per_px: float | None
    sizes_px: Floats
    told: tuple[str, ...]


class ViewScale:
    """Scale of the frames of a run, view by view.

    Where another view shows the same place larger or smaller, or another place whose defects are all larger or
    smaller, the magnification has changed, and its scale is not known. Where it shows another place with defects
    of the sizes of before, the scale is kept.

    Parameters
    ----------
    calibration : Calibration
        Of the first view.
    given : sequence of float
        Scales of the views after the first, in order, nm.
    stills : bool
        Every frame is a micrograph of its own, all with one scale.
    """

    def __init__(
        self, calibration: Calibration, given: Sequence[float] = (), *, stills: bool = False
    ) -> None:
        self._stills = stills
        self.calibration, self._first, self._given = calibration, calibration, tuple(given)
        self.view = 0
        self._sizes_px = np.zeros(0)
        self.told: list[str] = []

    @property
    def nm_per_px(self) -> float:
        """Scale of this view, nm; NaN where unknown."""
        return math.nan if self.calibration.nm_per_px is None else self.calibration.nm_per_px

    @property
    def warnings(self) -> list[str]:
        """A line for each of the first views after the first, and how many more there are."""
        more = len(self.told) - _MOST_LINES
        rest = [f"the movie shows {more} more views after that: was the place changed on purpose?"]
        return self.told[:_MOST_LINES] + (rest if more > 0 else [])

    def enter(self, view: int, magnified: float | None, detections: Detections) -> bool:
        """Take the next frame; tell whether another view begins with it.

        Parameters
        ----------
        view, magnified
            As the drift tells them, see `insitrack.tracker.link.drift.Drift`.
        detections : Detections
            What was found in it.
        """
        clear = detections.boxes[detections.scores >= _LEAST_SCORE].astype(np.float64)
        sizes = (clear[:, 2:] - clear[:, :2]).mean(axis=1)
        new = view != self.view
        if new:
            self.view = view
        if new and not self._stills:
            self._change(detections.t_s, magnified, _ratio(self._sizes_px, sizes))
        self._sizes_px = sizes
        return new

    def _change(self, t_s: float, magnified: float | None, of_sizes: float | None) -> None:
        """Decide on the scale of the new view, and say so in a line."""
        words = f"from {t_s:.6g} s on the movie shows another view"
        end = "; tracks end there, and none is joined across"
        ratio = of_sizes if magnified is None else magnified
        if magnified is not None:
            words += f", magnified {magnified:.3g} times"
        elif of_sizes is not None and of_sizes != 1.0:
            words += f", whose defects are {of_sizes:.3g} times as large"
        else:
            words += ": a jump of the stage"
        if len(self._given) >= self.view:
            scale: float | None = self._given[self.view - 1]
            words += f"; its scale is given, {scale:g} nm"
        elif self.calibration.nm_per_px is None:
            scale = None
        elif ratio is None:
            scale = self.calibration.nm_per_px
            words += (
                "; too few defects to tell whether the magnification is the same: the scale is taken to be"
            )
        elif changes_scale(ratio):
            scale = None
            words += (
                "; its scale is unknown, and sizes, densities and hardening stay empty: give it with --set"
                f" source.view_nm_per_px=[{', '.join(['...'] * self.view)}]"
            )
        else:
            scale = self.calibration.nm_per_px
        relative = self._first.nm_per_px_sd / self._first.nm_per_px if self._first.nm_per_px else 0.0
        self.calibration = self.calibration.with_(nm_per_px=scale, nm_per_px_sd=relative * (scale or 0.0))
        self.told.append(words + end)

    def snapshot(self) -> ViewScaleSnapshot:
        """Return everything that is remembered after the last frame."""
        return ViewScaleSnapshot(
            self.view, self.calibration.nm_per_px, self._sizes_px.copy(), tuple(self.told)
        )

    def restore(self, snapshot: ViewScaleSnapshot) -> None:
        """Go on from where another one was."""
        self.view, self._sizes_px = snapshot.view, snapshot.sizes_px.copy()
        self.told = list(snapshot.told)
        if self.view:
            self.calibration = self.calibration.with_(nm_per_px=snapshot.nm_per_px)


def _ratio(before: Floats, now: Floats) -> float | None:
    """Ratio of the typical sizes in two frames, 1 where they may be the same; None where too few are there."""
    if min(len(before), len(now)) < _LEAST_FINDS:
        return None
    one, two = np.log(np.maximum(before, 1.0)), np.log(np.maximum(now, 1.0))
    apart = float(two.mean() - one.mean())
    error = math.sqrt(float(one.var(ddof=1)) / len(one) + float(two.var(ddof=1)) / len(two))
    other = abs(apart) > math.log(_LEAST_JUMP) and abs(apart) > _LEAST_Z * error
    return math.exp(apart) if other else 1.0
