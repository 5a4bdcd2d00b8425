"""Time bins in place of frames: a series resampled or smoothed.

Its intervals know which defects are the same ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from insitrack.io.arrays import Floats, Ints
from insitrack.io.errors import SettingsError
from insitrack.tracker.series.conditions import SEVERAL
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.series.observations import Observations, observe

if TYPE_CHECKING:
    import pandas as pd

    from insitrack.io.tables.stream import Columns

MOST_STRETCHES = 200
"""Time bins into which a longer series is cut, unless asked otherwise."""

_SUMS = ("share", "counted", "observed", "whole", "size", "weight", "line")


@dataclass(frozen=True, slots=True)
class TimeBins:
    """Which frames belong to which time bin.

    Parameters
    ----------
    of_frame : ndarray of int64, shape (F,)
        Stretch of each frame that was looked at, rising from 0.
    n : int
        Number of time bins.
    width : int
        Time bins that a window covers, odd: 1 resamples, more smooths.
    stretch : ndarray of int64, shape (n,), or None
        Stretch of one view and of equal thickness and material that each time bin belongs to, rising; windows do
        not reach beyond it. None: all are one.
    """

    of_frame: Ints
    n: int
    width: int = 1
    stretch: Ints | None = None

    def cut(self, stretch: Ints) -> TimeBins:
        """Cut the time bins where another stretch begins.

        Parameters
        ----------
        stretch : ndarray of int64, shape (F,)
            Stretch of each frame that was looked at, rising.

        Examples
        --------
        >>> TimeBins(np.array([0, 0, 1, 1]), 2).cut(np.array([0, 1, 1, 1])).of_frame.tolist()
        [0, 1, 2, 2]
        """
        if not len(stretch) or stretch[0] == stretch[-1]:
            return self
        pairs = np.column_stack([self.of_frame, stretch])
        bins, of_frame = np.unique(pairs, axis=0, return_inverse=True)
        return TimeBins(of_frame.reshape(-1), len(bins), self.width, bins[:, 1])

    @classmethod
    def of_times(
        cls, t_s: Floats, *, every_s: float | None = None, window_s: float | None = None
    ) -> TimeBins:
        """Cut a series into time bins.

        Parameters
        ----------
        t_s : ndarray of float64, shape (F,)
            Times of the frames, rising, s.
        every_s : float, optional
            Length of a time bin, s; left out, every frame is one, or so many frames that there are at most
            `MOST_STRETCHES`.
        window_s : float, optional
            Length of the window that is averaged at each time bin, s; left out, the time bin itself.

        Raises
        ------
        SettingsError
            If a length is not positive, or the window is shorter than a time bin.

        Examples
        --------
        >>> TimeBins.of_times(np.arange(6.0), every_s=2.0).of_frame.tolist()
        [0, 0, 1, 1, 2, 2]
        """
        for name, value in (("--every-s", every_s), ("--window-s", window_s)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise SettingsError(f"{name} {value}: expected a positive number of s")
        if not len(t_s):
            return cls(np.zeros(0, np.int64), 0)
        if every_s is None:
            size = max(1, math.ceil(len(t_s) / MOST_STRETCHES))
            of_frame = np.arange(len(t_s)) // size
            step = float(t_s[-1] - t_s[0]) / max(1, len(t_s) - 1) * size
        else:
            _, of_frame = np.unique(
                np.floor((t_s - t_s[0]) / every_s + 1e-9).astype(np.int64), return_inverse=True
            )
            step = every_s
        if window_s is None:
            return cls(of_frame, int(of_frame[-1]) + 1)
        if window_s < step * (1 - 1e-9):
            raise SettingsError(
                f"--window-s {window_s:g}: shorter than a time bin of {step:g} s; expected a longer window, or"
                " a smaller --every-s"
            )
        return cls(of_frame, int(of_frame[-1]) + 1, 2 * int(window_s / step / 2) + 1)


class Pool:
    """Gathers what every track did in every time bin, some frames at a time.

    Memory goes with tracks and time bins, not with rows.

    Parameters
    ----------
    meter : SeriesMeter
        Whose border rule and classes hold.
    time_bins : TimeBins
        Which frames belong together.
    """

    def __init__(self, meter: SeriesMeter, time_bins: TimeBins) -> None:
        self.meter, self.time_bins = meter, time_bins
        self._parts: list[pd.DataFrame] = []

    def add(
        self, place: Ints, columns: Columns, labels: Ints, size_nm: Floats, line_nm: Floats, frame_px: Floats
    ) -> None:
        """Take rows of ``tracks.csv``.

        Parameters
        ----------
        place : ndarray of int64, shape (N,)
            Place of each row's frame among those looked at.
        columns : dict of str to ndarray
            Columns of the table.
        labels : ndarray of int64, shape (N,)
            Classes 1..K.
        size_nm, line_nm : ndarray of float64, shape (N,)
            Size and length of a line, nm.
        frame_px : ndarray of float64, shape (N, 2)
            Width and height of each row's frame, px.
        """
        import pandas as pd

        seen = observe(
            self.meter.config,
            frame=np.arange(len(place)),  # every row in a frame of its own, whose size is given row by row
            labels=labels,
            size_nm=size_nm,
            line_length_nm=line_nm,
            on_edge=columns["on_edge"] == 1,
            on_exclusion_edge=columns["on_exclusion_edge"] == 1,
            observed=columns["observed"] == 1,
            boxes=np.column_stack([columns[name] for name in ("x1_px", "y1_px", "x2_px", "y2_px")]),
            centres=np.column_stack([columns["x_px"], columns["y_px"]]),
            frame_px=frame_px,
        )
        rows = pd.DataFrame(
            {
                "time_bin": self.time_bins.of_frame[place],
                "track": columns["track_id"],
                "label": labels,
                "share": seen.share,
                "counted": seen.counted,
                "observed": seen.observed,
                "whole": seen.whole.astype(np.float64),
                "size": np.where(seen.whole, size_nm, 0.0),
                "weight": np.where(seen.whole, seen.weight, 0.0),
                "line": np.nan_to_num(line_nm),
            }
        )
        self._parts.append(_summed(rows))

    def take(self, rows: pd.DataFrame) -> None:
        """Take what another pool gave, under other time bins."""
        self._parts.append(_summed(rows))

    def rows(self) -> pd.DataFrame:
        """One row per time bin, track and class.

        With the sums over its frames of `share counted observed whole size weight line`.
        """
        import pandas as pd

        if not self._parts:
            return pd.DataFrame(
                {name: np.zeros(0) for name in ("time_bin", "track", "label", *_SUMS)}
            ).astype({"time_bin": int, "track": int, "label": int})
        self._parts = [_summed(pd.concat(self._parts, ignore_index=True))]
        return self._parts[0]

    def windows(self) -> pd.DataFrame:
        """Return the same for windows as wide as the time bins say, one about each time bin."""
        import pandas as pd

        rows, half = self.rows(), self.time_bins.width // 2
        if not half:
            return rows
        here = rows["time_bin"].to_numpy(np.int64)
        low, high = self._reach(half)
        moved = [
            rows.assign(time_bin=here + by)[(here + by >= low[here]) & (here + by <= high[here])]
            for by in range(-half, half + 1)
        ]
        return _summed(pd.concat(moved, ignore_index=True))

    def _reach(self, half: int) -> tuple[Ints, Ints]:
        """First and last time bin of the window about each one."""
        n, here = self.time_bins.n, np.arange(self.time_bins.n)
        low, high = np.maximum(here - half, 0), np.minimum(here + half, n - 1)
        stretch = self.time_bins.stretch
        if stretch is None:
            return low, high
        return (
            np.maximum(low, np.searchsorted(stretch, stretch, side="left")),
            np.minimum(high, np.searchsorted(stretch, stretch, side="right") - 1),
        )

    def series(
        self,
        t_s: Floats,
        field_nm2: Floats,
        frame_px: Floats,
        births: Ints,
        deaths: Ints,
        *,
        frame: Ints | None = None,
    ) -> dict[str, Floats]:
        """Columns of the series of every window, with two more: `n_frames`, and `t_s` in the middle of them.

        A mean over time has the error of as many defects as are different ones, however many frames show
        them: each track enters with the share of the frames in which it is there (see
        `insitrack.tracker.series.meter`).

        Parameters
        ----------
        t_s, field_nm2 : ndarray of float64, shape (F,)
            Time and specimen in view of every frame that was looked at.
        frame_px : ndarray of float64, shape (F, 2)
            Width and height, px.
        births, deaths : ndarray of int64, shape (F, K)
            Tracks that began and that were given up.
        frame : ndarray of int64, shape (F,), optional
            Numbers of the frames, which say what thickness and material hold.
        """
        rows, n = self.windows(), self.time_bins.n
        n_frames = self._over_window(np.ones(len(t_s)))
        time_bin = rows["time_bin"].to_numpy(np.int64)
        frames = n_frames[time_bin]
        whole = rows["whole"].to_numpy(np.float64)
        some = np.where(whole > 0, whole, 1.0)
        share = rows["share"].to_numpy(np.float64)
        seen = Observations(
            frame=time_bin,
            place=rows["label"].to_numpy(np.int64) - 1,
            size_nm=np.where(whole > 0, rows["size"].to_numpy(np.float64) / some, np.nan),
            line_length_nm=rows["line"].to_numpy(np.float64) / share,
            whole=whole > 0,
            weight=rows["weight"].to_numpy(np.float64) / frames,
            share=share / frames,
            counted=rows["counted"].to_numpy(np.float64) / frames,
            observed=rows["observed"].to_numpy(np.float64) / frames,
        )
        with np.errstate(invalid="ignore"):  # where no frame was looked at, nothing is known
            mean = [self._over_window(values) / n_frames for values in (t_s, field_nm2, *frame_px.T)]
        changes = [
            np.column_stack([self._over_window(column.astype(np.float64)) for column in counts.T]).astype(
                np.int64
            )
            for counts in (births, deaths)
        ]
        values = self.meter.table(
            mean[0],
            mean[1],
            seen,
            *changes,
            frame_px=np.column_stack(mean[2:]),
            frame=None if frame is None else self._frames_of(frame),
        )
        k = len(self.meter.class_names) + 1
        return {
            "t_s": np.repeat(mean[0][:, None], k, axis=1),
            "n_frames": np.repeat(n_frames[:, None], k, axis=1).reshape(n, k),
            **values,
        }

    def _over_window(self, values: Floats) -> Floats:
        """Sum of a quantity of the frames over each window."""
        sums = np.bincount(self.time_bins.of_frame, weights=values, minlength=self.time_bins.n)
        half = self.time_bins.width // 2
        low, high = self._reach(half)
        # an unknown sum must not spread to the windows that do not hold it
        total, unknown = (
            np.concatenate([[0.0], np.cumsum(part)]) for part in (np.nan_to_num(sums), np.isnan(sums))
        )
        return np.where(unknown[high + 1] > unknown[low], np.nan, total[high + 1] - total[low])

    def _frames_of(self, frame: Ints) -> Ints:
        """First frame of each time bin; `SEVERAL` where not the same foil is in all of its frames."""
        first = np.full(self.time_bins.n, SEVERAL, np.int64)
        of_frame, stretch = self.time_bins.of_frame, self.meter.specimens.stretch_of(frame)
        first[of_frame[::-1]] = frame[::-1]
        own = self.meter.specimens.stretch_of(first)
        first[of_frame[stretch != own[of_frame]]] = SEVERAL
        return first


def _summed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.groupby(["time_bin", "track", "label"], sort=True, as_index=False)[list(_SUMS)].sum()
