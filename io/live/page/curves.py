"""The curves of a live run for its viewers: bounded in memory, thinned for the screen."""

from __future__ import annotations

import json
import math
import struct
import threading
import time
from typing import Any

import numpy as np

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.io.draw.palette import class_colours, hex_colour
from insitrack.io.frames import MissingFrame
from insitrack.io.results import SeriesRow, TrackedFrame

QUANTITIES = {
    "n": ("n{}", "defects in view", ""),
    "d2": ("density_per_m2{}", "areal density", "m⁻²"),
    "d3": ("density_per_m3{}", "volume density", "m⁻³"),
    "s": ("size{}_nm", "mean size", "nm"),
    "hl": ("hardening_linear_mpa{}", "hardening, linear", "MPa"),
    "hq": ("hardening_quadrature_mpa{}", "hardening, quadrature", "MPa"),
}
"""Column of ``series.csv``, with its place for `_lo` and `_hi`, title and unit of each curve."""
SPANS = {"recent": 600.0, "whole": math.inf}
"""How far back each view looks, s."""
MOST_POINTS = 1200
"""Of a curve, in every view: twice as many as a screen shows of it side by side."""
_GAP_INTERVALS, _LEAST_GAP_S = 3.0, 1.0
_ENDS = ("", "_lo", "_hi")


class Thinned:
    """Rows of a run as at most so many points, each the mean of the rows of a stretch of time.

    The band of a point reaches from the lowest to the highest band of its rows. Stretches of a view of
    limited length stay as long as they are and the oldest leave; in a view of the whole run they double in
    length, two by two, whenever there are too many.

    Parameters
    ----------
    span_s : float
        Length of the view, s; infinite for the whole run.
    n_curves : int
        Values of a row.
    most : int
        Most points.
    """

    def __init__(self, span_s: float, n_curves: int, most: int = MOST_POINTS) -> None:
        self._span_s, self._most = span_s, most
        self._stretch_s = span_s / most if math.isfinite(span_s) else 0.0
        size = 2 * most
        self._t, self._dose = np.full(size, np.nan), np.full(size, np.nan)
        self._start_s = np.full(size, np.nan)
        # longest time without any frame between the point before and this one
        self._hole_s = np.full(size, np.nan)
        self._seen_s, self._longest_s = math.nan, 0.0
        self._n_rows = np.zeros(size, np.int64)
        self._n_known = np.zeros((size, n_curves), np.int64)
        self._values = np.full((3, size, n_curves), np.nan)
        self._n = 0

    def add(self, t_s: float, dose_dpa: float, values: Floats) -> None:
        """Take a row.

        Parameters
        ----------
        t_s, dose_dpa : float
            Its time, s, and dose, dpa.
        values : ndarray of float64, shape (3, n_curves)
            Values, and lower and upper ends of their bands; NaN where not known.
        """
        self.passed(t_s)
        if not self._n or t_s >= self._start_s[self._n - 1] + self._stretch_s:
            if self._n == len(self._t):
                self._make_room()
            self._start_s[self._n], self._hole_s[self._n] = t_s, self._longest_s
            self._n += 1
        self._longest_s = 0.0
        i = self._n - 1
        known = np.isfinite(values[0])
        self._n_rows[i] += 1
        self._n_known[i] += known
        self._t[i] = _mean(self._t[i], t_s, self._n_rows[i])
        self._dose[i] = _mean(self._dose[i], dose_dpa, self._n_rows[i])
        mean, low, high = self._values[:, i]
        mean[known] = _mean(mean[known], values[0, known], self._n_known[i, known])
        np.fmin(low, values[1], out=low, where=known)
        np.fmax(high, values[2], out=high, where=known)

    def passed(self, t_s: float) -> None:
        """Note that a frame was there, also one of which nothing is known because there was no time for it."""
        if not math.isnan(self._seen_s):
            self._longest_s = max(self._longest_s, t_s - self._seen_s)
        self._seen_s = t_s

    def _make_room(self) -> None:
        """Let the oldest points go, or make one of every two."""
        if math.isfinite(self._span_s):
            self._keep(np.arange(self._most, self._n))
            return
        one, other = slice(0, self._n, 2), slice(1, self._n, 2)
        rows, known = self._n_rows.copy(), self._n_known.copy()
        self._t[: self._n // 2] = _joint(self._t[one], self._t[other], rows[one], rows[other])
        self._dose[: self._n // 2] = _joint(self._dose[one], self._dose[other], rows[one], rows[other])
        self._start_s[: self._n // 2] = self._start_s[one]
        self._hole_s[: self._n // 2] = self._hole_s[one]
        self._n_rows[: self._n // 2] = rows[one] + rows[other]
        self._n_known[: self._n // 2] = known[one] + known[other]
        mean, low, high = (part.copy() for part in self._values)
        half = self._values[:, : self._n // 2]
        half[0] = _joint(mean[one], mean[other], known[one], known[other])
        half[1], half[2] = np.fmin(low[one], low[other]), np.fmax(high[one], high[other])
        self._keep(np.arange(self._n // 2))
        self._stretch_s = float(np.median(np.diff(self._start_s[: self._n])))

    def _keep(self, points: Ints) -> None:
        """Keep some points, and clear the places behind them."""
        n = len(points)
        for part in (self._t, self._dose, self._start_s, self._hole_s, self._n_rows, self._n_known):
            part[:n] = part[points]
        self._values[:, :n] = self._values[:, points]
        for part in (self._t, self._dose, self._start_s, self._hole_s):
            part[n:] = np.nan
        self._n_rows[n:], self._n_known[n:] = 0, 0
        self._values[:, n:] = np.nan
        self._n = n

    def points(self) -> tuple[Floats, Floats, Ints, Floats]:
        """Return times, s, doses, dpa, rows of each point, and values, shape (3, points, n_curves).

        Where nothing is known for long, a point of NaN stands between two that are.
        """
        view = slice(0, self._n)
        if self._n and math.isfinite(self._span_s):
            first = np.searchsorted(self._start_s[view], self._start_s[self._n - 1] - self._span_s)
            view = slice(int(first), self._n)
        t, rows, values = self._t[view], self._n_rows[view], self._values[:, view]
        breaks = _breaks(t, self._hole_s[view], np.isfinite(values[0]).any(axis=1))
        return (
            np.insert(t, breaks, np.nan),
            np.insert(self._dose[view], breaks, np.nan),
            np.insert(rows, breaks, 0),
            np.insert(values, breaks, np.nan, axis=1),
        )


def _mean(mean: Any, value: Any, n: Any) -> Any:
    """Mean of n values, from that of all but one and the last; the first replaces what is not known."""
    return np.where(np.isnan(mean), value, mean + (value - mean) / np.maximum(n, 1))


def _joint(one: Floats, other: Floats, n_one: Ints, n_other: Ints) -> Floats:
    """Mean of two means; one that is not known does not count."""
    n = np.maximum(n_one + n_other, 1)
    both = (one * n_one + other * n_other) / n
    return np.where(np.isnan(one), other, np.where(np.isnan(other), one, both))


def _breaks(t_s: Floats, hole_s: Floats, known: Bools) -> Ints:
    """Places before which a curve is interrupted: no frame came for far longer than the usual step."""
    at = np.flatnonzero(known)
    if len(at) < 3:
        return np.zeros(0, np.int64)
    holes = np.maximum.reduceat(hole_s[: at[-1] + 1], at[:-1] + 1)  # the longest between two that are known
    return at[1:][holes > max(_GAP_INTERVALS * float(np.median(np.diff(t_s[at]))), _LEAST_GAP_S)]


class Curves:
    """Everything that viewers see of the series of a run.

    Parameters
    ----------
    most : int
        Most points of a curve.
    """

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._names: tuple[str, ...] = ()
        self._views: dict[str, Thinned] = {}
        self._last: dict[str, tuple[float, list[float | None]]] = {}
        self._classes: list[dict[str, object]] = []
        self._version = 0
        self._made: dict[tuple[str, bool], tuple[int, float, bytes]] = {}

    def add(self, tracked: TrackedFrame) -> None:
        """Take the rows of a frame; one that was dropped under load says nothing about the specimen."""
        if not tracked.series or not math.isfinite(tracked.series[-1].t_s):
            return
        if isinstance(tracked.frame, MissingFrame) and tracked.frame.status == "dropped":
            with self._lock:
                for view in self._views.values():
                    view.passed(tracked.series[-1].t_s)
            return
        rows = {row.defect_class: row for row in tracked.series}
        total = tracked.series[-1]
        with self._lock:
            if not self._names:
                self._names = tuple(rows)
                n_curves = len(self._names) * len(QUANTITIES)
                # the stretches of the whole run double whenever there are twice as many as asked for
                self._views = {
                    name: Thinned(span_s, n_curves, self._most if math.isfinite(span_s) else self._most // 2)
                    for name, span_s in SPANS.items()
                }
            values = np.array(
                [
                    [
                        getattr(rows[name], column.format(end)) if name in rows else math.nan
                        for name in self._names
                        for column, _, _ in QUANTITIES.values()
                    ]
                    for end in _ENDS
                ],
                np.float64,
            )
            for view in self._views.values():
                view.add(total.t_s, total.dose_dpa, values)
            self._version += 1
            self._note(total, tracked.series[:-1])

    def _note(self, total: SeriesRow, classes: tuple[SeriesRow, ...]) -> None:
        """Keep what is known last of each quantity, and of the classes."""
        now = time.monotonic()
        for key, (column, _, _) in QUANTITIES.items():
            value, *ends = (getattr(total, column.format(end)) for end in _ENDS)
            if math.isfinite(value):
                self._last[key] = now, [known(value), *map(known, ends)]
        if math.isfinite(total.dose_dpa):
            self._last["dose"] = now, [known(total.dose_dpa)]
        self._last["t"] = now, [known(total.t_s)]
        if math.isfinite(total.n):
            colours = class_colours([row.defect_class for row in classes])
            self._classes = [
                {
                    "name": row.defect_class,
                    "n": known(row.n),
                    "size": known(row.size_nm),
                    "colour": hex_colour(colours[row.defect_class]),
                }
                for row in classes
            ]

    def readings(self) -> dict[str, Any]:
        """Last known value of each quantity with its band and its age, s; and of each class."""
        now = time.monotonic()
        with self._lock:
            return {
                "last": {
                    key: {"value": values, "age_s": round(now - then, 1)}
                    for key, (then, values) in self._last.items()
                },
                "classes": self._classes,
            }

    def data(self, span: str, each: bool, fresh_s: float) -> bytes:
        """Return the curves as viewers take them, made at most once in a while for all of them.

        Four bytes of length, so many of JSON (quantities, classes, number of points), then float64 arrays:
        times, s, doses, dpa, rows of each point; then float32 arrays of values: by class and quantity the
        mean, and for all classes together the lower and the upper end of its band.

        Parameters
        ----------
        span : {"recent", "whole"}
            View.
        each : bool
            Whether single classes are asked for.
        fresh_s : float
            How long they may be used again, s.
        """
        now = time.monotonic()
        with self._lock:
            version, made_s, data = self._made.get((span, each), (-1, -math.inf, b""))
            if data and (version == self._version or now - made_s < fresh_s):
                return data
            data = self._data(span, each)
            self._made[span, each] = self._version, now, data
            return data

    def _data(self, span: str, each: bool) -> bytes:
        n_classes = len(self._names)
        chosen = [i for i in range(n_classes) if each or i == n_classes - 1]
        colours = {str(one["name"]): one["colour"] for one in self._classes}
        if span in self._views:
            t, dose, rows, values = self._views[span].points()
        else:
            t, dose, rows, values = np.zeros(0), np.zeros(0), np.zeros(0, np.int64), np.zeros((3, 0, 0))
        facts = {
            "points": len(t),
            "quantities": {key: [title, unit] for key, (_, title, unit) in QUANTITIES.items()},
            "classes": [{"name": self._names[i], "colour": colours.get(self._names[i])} for i in chosen],
        }
        head = json.dumps(facts, allow_nan=False).encode("ascii")
        head += b" " * (
            -(len(head) + 4) % 8
        )  # so that arrays begin where a browser can take them as they are
        parts = [struct.pack("<I", len(head)), head]
        parts += [part.astype("<f8").tobytes() for part in (t, dose, rows)]
        k = len(QUANTITIES)
        for i in chosen:
            for curve in range(i * k, (i + 1) * k):
                ends = (0, 1, 2) if i == n_classes - 1 else (0,)
                parts += [values[end, :, curve].astype("<f4").tobytes() for end in ends]
        return b"".join(parts)


def known(value: float) -> float | None:
    """JSON has no NaN."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
