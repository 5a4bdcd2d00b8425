"""Trust in each frame of a run, from the image and from what was found in it, frame by frame."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from insitrack.io.arrays import BoolImage, Bools, GreyImage
from insitrack.io.frames import Frame
from insitrack.io.results import Measures
from insitrack.segment.prepare.texture import texture
from insitrack.tracker.trust.known import KnownImages, load_known
from insitrack.tracker.trust.plausibility import against_scale, on_lattice

LOOK_EVERY = 12
"""Frames between two looks at the texture of the image, as long as nothing changes in it."""
_LOOK_AGAIN = 3  # frames, where the last look left it open
_CHANGED = 0.2  # relative change of contrast or sharpness after which it is looked at at once
_NEW_WEIGHT = 0.4  # of the newest look against those before, while nothing changes
_SUSPECT = 0.1  # what a reason that needs no weighing leaves of the trust
_REMEMBERED, _SETTLED, _ENOUGH, _LEFT = 11, 5, 12, 0.35
"""Most of what was there is gone where a frame shows less than this share of the median of the last frames."""
_LOST_FRAMES = 3
"""After more frames in a row that do not fit those before it is another view, in which nothing is missed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Trust in one frame.

    Parameters
    ----------
    trust : float
        Probability that the frame is of a kind that the model knows, 0..1; NaN where nothing can be said.
    reasons : tuple of str
        What speaks against it, see `insitrack.tracker.trust.reasons.REASONS`.
    """

    trust: float
    reasons: tuple[str, ...] = ()


UNKNOWN = Verdict(math.nan)
"""Of a frame that nobody judged."""


@dataclass(frozen=True, slots=True)
class TrustSnapshot:
    """Everything that is remembered after a frame; another judge goes on from it.

    Parameters
    ----------
    log_odds : float
        Of the image's texture, for what the model knows; NaN before the first look.
    reason : str
        What speaks most against it.
    waited : int
        Frames since the last look.
    contrast, sharpness : float
        Of the frame of the last look.
    lost : int
        Frames in a row that do not fit those before.
    n_seen : tuple of int
        Defects seen in the last frames that fitted.
    """

    log_odds: float
    reason: str
    waited: int
    contrast: float
    sharpness: float
    lost: int
    n_seen: tuple[int, ...]


class LiveTrust:
    """Judges every frame; texture is looked at when the image changes, and every `LOOK_EVERY` frames.

    Parameters
    ----------
    nm_per_px : float
        Width of a pixel, nm; NaN where unknown.
    known : KnownImages, optional
        What images that the model knows look like; those of the shipped networks by default.

    Examples
    --------
    >>> noise = np.random.default_rng(1).integers(0, 255, (256, 256)).astype(np.uint8)
    >>> verdict = LiveTrust().update(Frame(0, 0.0, noise), None, Measures.nothing(), np.zeros(0, bool))
    >>> verdict.trust < 0.5, verdict.reasons
    (True, ('noise',))
    """

    def __init__(self, nm_per_px: float = math.nan, known: KnownImages | None = None) -> None:
        self._known, self._nm_per_px = known or load_known(), nm_per_px
        self._log_odds, self._reason, self._waited = math.nan, "", 0
        self._look = (math.nan, math.nan)
        self._lost = 0
        self._n_seen: deque[int] = deque(maxlen=_REMEMBERED)

    def update(
        self,
        frame: Frame,
        field: BoolImage | None,
        measures: Measures,
        observed: Bools,
        *,
        registered: bool = True,
    ) -> Verdict:
        """Judge the next frame.

        Parameters
        ----------
        frame : Frame
            The image.
        field : ndarray of bool, shape (H, W), or None
            Where it shows the specimen.
        measures : Measures
            Of the defects that are there, N rows.
        observed : ndarray of bool, shape (N,)
            Seen in this frame.
        registered : bool
            The frame fits the one before: what is gone is gone from the same place.
        """
        self._look_at(frame.image, field)
        reasons = against_scale(measures.size_nm[observed], max(frame.shape) * self._nm_per_px)
        if on_lattice(measures.x_px[observed], measures.y_px[observed]):
            reasons.append("regular")
        if self._gone(int(np.count_nonzero(observed)), registered):
            reasons.append("sudden")
        if math.isnan(self._log_odds):
            return Verdict(_SUSPECT, tuple(reasons)) if reasons else UNKNOWN
        trust = 1 / (1 + math.exp(-max(-30.0, min(30.0, self._log_odds)))) * _SUSPECT ** len(reasons)
        if self._log_odds < 0:
            reasons.insert(0, self._reason)
        # as many digits as its column has: what is computed again from the table must be the same
        return Verdict(round(trust, 3), tuple(reasons))

    def enter(self, *, new_view: bool, nm_per_px: float) -> None:
        """Take the scale of the next frame; of another view nothing is known yet, and nothing is gone in it."""
        self._nm_per_px = nm_per_px
        if new_view:
            self._look = (math.nan, math.nan)
            self._n_seen.clear()

    def snapshot(self) -> TrustSnapshot:
        """Return everything that is remembered after the last frame."""
        seen = tuple(self._n_seen)
        return TrustSnapshot(self._log_odds, self._reason, self._waited, *self._look, self._lost, seen)

    def restore(self, snapshot: TrustSnapshot) -> None:
        """Go on from where another judge was."""
        self._log_odds, self._reason, self._waited = snapshot.log_odds, snapshot.reason, snapshot.waited
        self._look, self._lost = (snapshot.contrast, snapshot.sharpness), snapshot.lost
        self._n_seen.extend(snapshot.n_seen)

    def _look_at(self, image: GreyImage, field: BoolImage | None) -> None:
        """Look at the texture if it is time to."""
        self._waited += 1
        now = _glance(image)
        changed = any(not abs(new - old) <= _CHANGED * old for new, old in zip(now, self._look, strict=True))
        if not changed and self._waited < (_LOOK_AGAIN if self._undecided else LOOK_EVERY):
            return
        figures = texture(image, field)
        self._waited, self._look = 0, now
        if figures is None:
            return
        verdict, reason = self._known.judge(figures)
        self._log_odds = verdict if changed else (1 - _NEW_WEIGHT) * self._log_odds + _NEW_WEIGHT * verdict
        self._reason = reason

    @property
    def _undecided(self) -> bool:
        """So close to even that another look may turn it."""
        return abs(self._log_odds) < 1

    def _gone(self, n: int, registered: bool) -> bool:
        """Whether most of what was there is gone."""
        self._lost = 0 if registered else self._lost + 1
        if self._lost > _LOST_FRAMES:
            self._n_seen.clear()
        usual = float(np.median(self._n_seen)) if len(self._n_seen) >= _SETTLED else 0.0
        if registered:
            self._n_seen.append(n)
        return usual >= _ENOUGH and n < _LEFT * usual


def _glance(image: GreyImage) -> tuple[float, float]:
    """Contrast and sharpness of some rows, which cost next to nothing."""
    rows = image[:: max(1, image.shape[0] // 48), ::2].astype(np.float32)
    sharp = np.abs(rows[:, 1:] - rows[:, :-1]).mean() if rows.shape[1] > 1 else 0.0
    return float(rows.std()), float(sharp)
