"""Whether tables fit each other and their frames: what was cut off is unknown, what cannot be is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from insitrack.io.arrays import Bools, Ints
from insitrack.io.errors import TableError
from insitrack.io.results import NAN
from insitrack.io.tables import columns as tables
from insitrack.io.tables.stream import Columns, rows_of_frames

_MOST_REPEATED = 0.5  # share of rows that lie on another one; two tracks meet now and then, not all of them
_LONGEST_NAME = 60
_BORDER_SHARE = 0.05
_SPREADSHEET_STARTS = ("=", "+", "-", "@", "\t", "\r")


def cut_off(tracks: Path, frames: pd.DataFrame) -> Bools:
    """Frames of which the table of tracks lacks rows that the other tables of the run count.

    Parameters
    ----------
    tracks : Path
        ``tracks.csv`` or ``tracks.parquet`` of a run; ``series.csv`` lies beside it.
    frames : DataFrame
        Rows of ``frames.csv``, sorted by frame.

    Returns
    -------
    ndarray of bool, shape (F,)
        True where ``series.csv`` counts more defects than there are rows, or, where it does not know the
        frame, where ``frames.csv`` lists detections and there is no row.
    """
    numbers = frames["frame"].to_numpy(np.int64)
    rows = rows_of_frames(tracks, numbers)
    counted = np.full(len(numbers), NAN)
    series = tracks.parent / tables.SERIES.file
    if series.is_file():
        for piece in tables.SERIES.chunks(series, ["frame", "defect_class", "n"]):
            total = piece[(piece["defect_class"] == "all").to_numpy() & np.isin(piece["frame"], numbers)]
            counted[np.searchsorted(numbers, total["frame"].to_numpy())] = total["n"].to_numpy()
    detected = frames["n_detections"].to_numpy(np.float64) > 0
    missing = np.where(np.isnan(counted), detected & (rows == 0), rows < counted)
    return np.asarray(missing & (frames["status"] == "processed").to_numpy(), bool)


def check_times(path: Path, frames: pd.DataFrame) -> None:
    """Refuse times that are unknown or do not rise from frame to frame, of frames that were looked at.

    Raises
    ------
    TableError
        With the first such frame.
    """
    looked = frames[((frames["status"] == "processed") & ~(frames["field_px"] == 0)).to_numpy()]
    t_s = looked["t_s"].to_numpy(np.float64)
    bad = np.flatnonzero(~np.isfinite(t_s) | ~(np.diff(t_s, prepend=-math.inf) > 0))
    if len(bad):
        i = int(bad[0])
        raise TableError(
            f"{path}: t_s is {t_s[i]:g} s in frame {looked['frame'].iloc[i]}, {t_s[i - 1] if i else NAN:g} s"
            " before; expected times that rise from frame to frame"
        )


class PlaceCheck:
    """Goes through the rows of a table that comes without a run, and refuses what cannot be.

    Parameters
    ----------
    path : Path
        The table, for complaints.
    size_px : tuple of int or None
        Width and height of the frames, px.
    """

    def __init__(self, path: Path, size_px: tuple[int, int] | None) -> None:
        self.path, self.size_px = path, size_px
        self._n = 0
        self._wrong: dict[str, tuple[int, int]] = {}

    def add(self, columns: Columns) -> None:
        """Take the rows of some whole frames."""
        frame, x, y = columns["frame"], columns["x_px"], columns["y_px"]
        self._n += len(frame)
        # a defect that the border cuts may have its centre a little outside
        width, height = self.size_px or (np.nanmax(x, initial=0.0), np.nanmax(y, initial=0.0))
        reach = 1.0 + _BORDER_SHARE * max(width, height)
        outside = (x < -reach) | (y < -reach) | (x > width + reach) | (y > height + reach)
        self._note("centres lie outside the frame; give the right --size, or positions in px", frame, outside)
        self._note("sizes are zero or negative; expected nm above 0", frame, columns["size_nm"] <= 0)
        left, top, right, bottom = (columns[name] for name in ("x1_px", "y1_px", "x2_px", "y2_px"))
        self._note("boxes end before they begin", frame, (right < left) | (bottom < top))
        # centres are smoothed over time, boxes are not: they part by less than half the box
        reach = np.maximum(2.0, np.minimum(right - left, bottom - top) / 2)
        beyond = np.maximum(np.maximum(left - x, x - right), np.maximum(top - y, y - bottom)) > reach
        self._note("boxes do not hold their centre; expected both in px of one frame", frame, beyond)
        order = np.lexsort((y, x, frame))
        same = np.all([np.diff(values[order]) == 0 for values in (frame, x, y)], axis=0)
        self._note(_REPEATED, frame[order][1:], same)

    def _note(self, words: str, frame: Ints, wrong: Bools) -> None:
        if wrong.any():
            before, first = self._wrong.get(words, (0, int(frame[np.argmax(wrong)])))
            self._wrong[words] = (before + int(np.count_nonzero(wrong)), first)

    def finish(self) -> None:
        """Refuse the table.

        Raises
        ------
        TableError
            With the number of rows that cannot be, and the frame of the first.
        """
        for words, (count, first) in self._wrong.items():
            least = 0.5 * _MOST_REPEATED * self._n if words == _REPEATED else 0
            if count > least:
                raise TableError(
                    f"{self.path}: {count} of {self._n} rows, the first in frame {first}: {words}"
                )


_REPEATED = "two tracks at one place in one frame; leave one row for each defect"


def check_class_names(path: Path, names: Mapping[str, object]) -> None:
    """Refuse names of classes that a spreadsheet would run, that break a CSV, or that are no names.

    Raises
    ------
    TableError
        With the name.
    """
    for name in names:
        if (
            not 0 < len(name.strip()) <= _LONGEST_NAME
            or name.startswith(_SPREADSHEET_STARTS)
            or set(name) & set(',;"\n\r\t')
        ):
            raise TableError(
                f"{path}: column defect_class: {name[:60]!r}; expected a name of letters, digits and _"
            )
