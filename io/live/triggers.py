"""Conditions that somebody wants to be told of while a run goes on: how they are written, and when they fire."""

from __future__ import annotations

import math
import re
from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

from insitrack.io.errors import SettingsError

QUANTITIES = {
    "n": "defects in view",
    "density_per_m3": "volume density, m^-3",
    "density_per_m2": "areal density, m^-2",
    "size_nm": "mean size, nm",
    "hardening_linear_mpa": "hardening of all classes, linear sum, MPa",
    "hardening_quadrature_mpa": "hardening of all classes, sum of squares, MPa",
    "dose_dpa": "dose, dpa",
    "temperature_c": "temperature of the log, degrees C",
    "trust": "trust in the frame, 0 to 1",
    "drift_px": "drift of the stage since the first frame, px",
    "drift_px_per_s": "speed of the drift over the last seconds, px/s",
    "silent_s": "time since the last frame, s",
    "delay_s": "time from capture to disk, s",
    "queue": "share of the queue that is filled, 0 to 1",
    "disk_gb": "free disk space, GB",
    "disk_h": "how long the free space lasts at the rate of the last minutes, h",
}
"""What a condition may be on, and what it is."""
OF_STATE = ("silent_s", "delay_s", "queue", "disk_gb", "disk_h")
"""Those that change whether or not a frame comes."""
NAMED = {"growth stalls": "size_nm steady", "saturation": "density_per_m2 steady"}
"""Conditions with a name of their own; both want that the value has risen before."""
STEADY_S = 120.0
"""How far back `steady` looks, s, where it is not said."""
_STEADY_SHARE, _RISEN = 0.1, 1.1
_LEAST_POINTS, _MOST_POINTS = 12, 240
_AGAIN_S = 5.0
_FORM = re.compile(
    r"(?P<what>[a-z_0-9]+)\s*(?:(?P<sign>[<>])\s*(?P<limit>[-+0-9.eE]+)(?:\s+for\s+(?P<hold>[0-9.eE+]+)\s*s?)?"
    r"|\s(?P<steady>steady)(?:\s+over\s+(?P<span>[0-9.eE+]+)\s*s?)?)"
)


@dataclass(frozen=True, slots=True)
class Trigger:
    """One condition.

    Parameters
    ----------
    text : str
        As it was given.
    what : str
        One of `QUANTITIES`.
    kind : {">", "<", "steady"}
        Above a limit, below it, or no more changing.
    limit : float
        The limit.
    span_s : float
        How long it must hold before it fires, s; for `steady` how far back is looked.
    risen : bool
        Whether the value must have risen before.
    """

    text: str
    what: str
    kind: Literal[">", "<", "steady"]
    limit: float = math.nan
    span_s: float = 0.0
    risen: bool = False


def parse_trigger(text: str) -> Trigger:
    """Read a condition.

    Parameters
    ----------
    text : str
        ``QUANTITY > VALUE``, ``QUANTITY < VALUE``, both with ``for SECONDS``, ``QUANTITY steady over SECONDS``,
        ``growth stalls`` or ``saturation``, both with ``over SECONDS``.

    Raises
    ------
    SettingsError
        If it is none of these.

    Examples
    --------
    >>> one = parse_trigger("trust < 0.3 for 10 s")
    >>> one.what, one.kind, one.limit, one.span_s
    ('trust', '<', 0.3, 10.0)
    >>> parse_trigger("growth stalls").span_s
    120.0
    """
    written = " ".join(text.split())
    name = next((one for one in NAMED if written == one or written.startswith(f"{one} over ")), "")
    found = _FORM.fullmatch(NAMED[name] + written[len(name) :] if name else written)
    what = found["what"] if found else ""
    if found is None or what not in QUANTITIES:
        raise SettingsError(
            f"trigger {text[:80]!r}: expected QUANTITY > VALUE, QUANTITY < VALUE, QUANTITY steady over SECONDS,"
            f" growth stalls or saturation, with one of {', '.join(QUANTITIES)}"
        )
    if found["steady"]:
        if what in OF_STATE:
            raise SettingsError(f"trigger {text[:80]!r}: {what} is no curve; expected > or < and a value")
        return Trigger(
            written, what, "steady", span_s=_positive(found["span"], STEADY_S, text), risen=bool(name)
        )
    try:
        limit = float(found["limit"])
    except ValueError:
        limit = math.nan
    if not math.isfinite(limit):
        raise SettingsError(f"trigger {text[:80]!r}: {found['limit']} is no number; expected one like 2e15")
    kind: Literal[">", "<"] = ">" if found["sign"] == ">" else "<"
    return Trigger(written, what, kind, limit, _positive(found["hold"], 0.0, text))


def _positive(text: str | None, usual: float, trigger: str) -> float:
    try:
        value = usual if text is None else float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and 0 <= value <= 1e6):
        raise SettingsError(f"trigger {trigger[:80]!r}: expected a number of seconds, not {text}")
    return value


class Watch:
    """Says when a trigger fires: once each time that its condition comes true, and not again while it lasts.

    What is not known makes nothing true and nothing false. A condition must have been false for 5 s before it
    can fire again.

    Parameters
    ----------
    trigger : Trigger
        The condition.
    """

    def __init__(self, trigger: Trigger) -> None:
        self.trigger = trigger
        self._fired = False
        self._true_s = self._false_s = math.nan
        self._lowest = math.inf
        self._points: deque[tuple[float, float, int]] = deque()

    def fires(self, t_s: float, value: float) -> bool:
        """Take a value at a time, s, that only rises; return whether the trigger fires now."""
        if not math.isfinite(value):
            return False
        trigger = self.trigger
        if not self._true(t_s, value):
            self._true_s = math.nan
            self._false_s = t_s if math.isnan(self._false_s) else self._false_s
            if t_s - self._false_s >= _AGAIN_S:
                self._fired = False
            return False
        self._false_s = math.nan
        self._true_s = t_s if math.isnan(self._true_s) else self._true_s
        hold_s = 0.0 if trigger.kind == "steady" else trigger.span_s
        if self._fired or t_s - self._true_s < hold_s:
            return False
        self._fired = True
        return True

    def _true(self, t_s: float, value: float) -> bool:
        if self.trigger.kind == "steady":
            return self._steady(t_s, value)
        return value > self.trigger.limit if self.trigger.kind == ">" else value < self.trigger.limit

    def _steady(self, t_s: float, value: float) -> bool:
        """Whether a straight line through the last `span_s` rises or falls by less than a tenth of the mean.

        Two standard errors of the line are added to its change, so that noise does not pass for rest.
        """
        span_s, points = self.trigger.span_s, self._points
        if points and t_s - points[-1][0] < span_s / _MOST_POINTS:
            at, mean, n = points[-1]
            points[-1] = (at, mean + (value - mean) / (n + 1), n + 1)
        else:
            points.append((t_s, value, 1))
        full = points[-1][0] - points[0][0] >= span_s * (1 - 1 / _LEAST_POINTS)
        while t_s - points[0][0] > span_s:
            points.popleft()
        if not full or len(points) < _LEAST_POINTS:
            return False
        t, v = np.array([one[:2] for one in points]).T
        mean = float(v.mean())
        before, self._lowest = self._lowest, min(self._lowest, mean)
        centred = t - t.mean()
        slope = float(centred @ v / (centred @ centred))
        scatter = v - mean - slope * centred
        error = math.sqrt(float(scatter @ scatter) / (len(t) - 2) / float(centred @ centred))
        change = (abs(slope) + 2 * error) * span_s
        risen = not self.trigger.risen or mean > _RISEN * before
        return mean > 0 and risen and change < _STEADY_SHARE * mean
