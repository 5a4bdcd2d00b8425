"""Which frames a table of detections stands for, and their times: a frame without a row need not be empty."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from insitrack.io.arrays import Floats, Ints
from insitrack.io.errors import TableError
from insitrack.io.tables.columns import FRAMES
from insitrack.io.tables.engine import read_text
from insitrack.io.tables.faults import LONGEST_TIME_S, MOST_FRAMES
from insitrack.io.tables.run_folder import CAUSAL

ROWS = "rows"
"""What `--frames` says where only the frames that occur in the table were looked at."""

_EPOCH_S = 1e8  # three years: no movie lasts so long, a clock that counts from 1970 says more


@dataclass(frozen=True, slots=True)
class LookedFrames:
    """Frames that were looked at.

    Parameters
    ----------
    numbers : ndarray of int64, shape (F,)
        Numbers of the frames, rising.
    origin : str
        Where they were taken from, in words.
    t_s : ndarray of float64, shape (F,), or None
        Their times, where a table of frames has them, s.
    shape : tuple of int or None
        Height and width, where a table of frames has them, px.
    warnings : tuple of str
        What was assumed.
    """

    numbers: Ints
    origin: str
    t_s: Floats | None = None
    shape: tuple[int, int] | None = None
    warnings: tuple[str, ...] = ()


def looked_frames(path: Path, wanted: str | None, frame: Ints) -> LookedFrames:
    """Find out which frames were looked at.

    Parameters
    ----------
    path : Path
        Table of detections; a ``frames.csv`` beside it is used where nothing else is asked for.
    wanted : str or None
        A number of frames, ``FIRST:LAST`` or ``FIRST:LAST:STEP`` (both ends included), `rows`, or a table of
        frames.
    frame : ndarray of int64, shape (N,)
        Frame of every row.

    Raises
    ------
    TableError
        If the frames cannot be read, or rows lie in frames that were not looked at.
    """
    beside = [path.parent / FRAMES.file]
    if path.resolve().parent.name == CAUSAL:  # the causal tables of a run: its frames.csv is one folder up
        beside.append(path.resolve().parent.parent / FRAMES.file)
    if wanted is None:
        table = next((one for one in beside if one.is_file() and one.resolve() != path.resolve()), None)
    else:
        table = None if wanted == ROWS or _numbers_of(wanted) is not None else Path(wanted)
    if table is not None:
        found = _from_table(table)
    elif wanted is None or wanted == ROWS:
        return _from_rows(frame)
    else:
        numbers = _numbers_of(wanted)
        assert numbers is not None
        found = LookedFrames(numbers, f"--frames {wanted}")
    outside = ~np.isin(frame, found.numbers)
    if outside.any():
        first = int(frame[outside][0])
        hint = f"--frames 1:{first}" if first == len(found.numbers) and frame.min() == 1 else "--frames rows"
        raise TableError(
            f"{path}: {np.count_nonzero(outside)} rows lie in frames that {found.origin} does not have, the"
            f" first in frame {first}; give the frames that were looked at, for example {hint}"
        )
    return found


def _numbers_of(wanted: str) -> Ints | None:
    """Numbers of the frames of ``N`` or ``FIRST:LAST[:STEP]``; None where it is neither."""
    parts = wanted.split(":")
    if len(parts) > 3 or not all(part.strip().isdigit() for part in parts):
        return None
    values = [int(part) for part in parts]
    first, last, step = {1: [0, values[0] - 1, 1], 2: [*values, 1], 3: values}[len(values)]
    if step < 1 or last < first or last > MOST_FRAMES or (last - first) // step > MOST_FRAMES // 10:
        raise TableError(
            f"--frames {wanted}: expected the number of frames, or FIRST:LAST:STEP with LAST not before FIRST"
        )
    return np.arange(first, last + 1, step)


def _from_rows(frame: Ints) -> LookedFrames:
    numbers = np.unique(frame)
    steps = np.diff(numbers)
    origin = "the rows: the frames that occur"
    if not len(steps) or (steps == steps[0]).all():
        return LookedFrames(numbers, origin)
    between = int(numbers[-1] - numbers[0]) + 1 - len(numbers)
    return LookedFrames(
        numbers,
        origin,
        warnings=(
            f"{between} frames between {numbers[0]} and {numbers[-1]} have no row and count as not looked at;"
            f" if they were looked at and empty, give --frames {numbers[0]}:{numbers[-1]}",
        ),
    )


def _from_table(path: Path) -> LookedFrames:
    """Take the frames that were processed and show the specimen."""
    raw = read_text(path, "a table of frames with the column frame")
    if "frame" not in raw:
        raise TableError(f"{path}: line 1 lacks the column 'frame'; give --frames FIRST:LAST:STEP or rows")
    if "status" in raw:
        raw = raw[(raw["status"].str.strip() == "processed").to_numpy()]
    if "field_px" in raw:
        raw = raw[(_floats(raw["field_px"]) != 0)]
    numbers = _floats(raw["frame"])
    good = np.isfinite(numbers) & (numbers == np.rint(numbers)) & (numbers >= 0) & (numbers <= MOST_FRAMES)
    if not len(numbers) or not good.all() or (np.diff(numbers) <= 0).any():
        raise TableError(
            f"{path}: column 'frame': expected whole numbers that rise, at least one frame that was processed"
        )
    t_s = _floats(raw["t_s"]) if "t_s" in raw else np.full(len(numbers), np.nan)
    known = np.isfinite(t_s).all() and (np.diff(t_s) > 0).all()
    shape = None
    if "width_px" in raw and "height_px" in raw:
        sides = np.unique(np.column_stack([_floats(raw["height_px"]), _floats(raw["width_px"])]), axis=0)
        if len(sides) == 1 and np.isfinite(sides).all() and (sides >= 1).all() and (sides <= 1e6).all():
            shape = (int(sides[0, 0]), int(sides[0, 1]))
    return LookedFrames(numbers.astype(np.int64), str(path), t_s if known else None, shape)


def _floats(text: object) -> Floats:
    import pandas as pd

    return np.asarray(pd.to_numeric(text, errors="coerce"), np.float64)


def frame_times(
    path: Path, frames: LookedFrames, frame: Ints, t_s: Floats | None, interval_s: float | None
) -> tuple[Floats, list[str]]:
    """Return the times of the frames that were looked at, s, and what was assumed.

    Parameters
    ----------
    path : Path
        Table of detections, for complaints.
    frames : LookedFrames
        Frames.
    frame, t_s : ndarray, shape (N,)
        Frame and time of every row, frames rising; `t_s` None where the table has no times.
    interval_s : float or None
        Time between frames of consecutive numbers, s, before all else.

    Raises
    ------
    TableError
        If a frame has two times, the times do not rise with the frame, or are none of a movie.
    """
    if interval_s is not None:
        return np.asarray(frames.numbers * interval_s, np.float64), []
    if t_s is None or not len(frame):
        if frames.t_s is not None:
            return _from_zero(path, frames.t_s)
        return np.asarray(frames.numbers, np.float64), [
            "time unknown: frames are taken to be 1 s apart; give --frame-interval-s"
        ]
    known, at = np.unique(frame, return_index=True)
    own = t_s[at]
    _check_times(path, frame, t_s, known, own)
    if frames.t_s is not None:
        apart = np.abs(frames.t_s[np.searchsorted(frames.numbers, known)] - own)
        if (apart > 1e-3).any():
            i = int(np.argmax(apart > 1e-3))
            raise TableError(
                f"{path}: frame {known[i]} is at {own[i]:g} s, in {frames.origin} at another time; give"
                " --frames rows, or the right table of frames"
            )
        return _from_zero(path, frames.t_s)
    if len(known) == len(frames.numbers):
        return _from_zero(path, own)
    if len(known) < 2:
        raise TableError(f"{path}: times of one frame only; give --frame-interval-s for the others")
    times = np.interp(frames.numbers, known, own)
    step = float((own[-1] - own[0]) / (known[-1] - known[0]))
    before, after = frames.numbers < known[0], frames.numbers > known[-1]
    times[before] = own[0] - step * (known[0] - frames.numbers[before])
    times[after] = own[-1] + step * (frames.numbers[after] - known[-1])
    return _from_zero(path, times)


def _check_times(path: Path, frame: Ints, t_s: Floats, known: Ints, own: Floats) -> None:
    """Refuse times that are too large, differ within a frame, or do not rise from frame to frame."""
    advice = "expected times that rise with the frame, one for a frame; or give --frame-interval-s"
    if (np.abs(t_s) > LONGEST_TIME_S).any():
        value = t_s[np.argmax(np.abs(t_s) > LONGEST_TIME_S)]
        raise TableError(f"{path}: a time of {value:g} s; expected seconds from the first frame")
    differs = own[np.searchsorted(known, frame)] != t_s
    if differs.any():
        i = int(np.argmax(differs))
        raise TableError(f"{path}: frame {frame[i]} has two times, one of them {t_s[i]:g} s; {advice}")
    falls = np.diff(own) <= 0
    if falls.any():
        i = int(np.argmax(falls)) + 1
        raise TableError(f"{path}: {own[i]:g} s in frame {known[i]}, {own[i - 1]:g} s before; {advice}")


def _from_zero(path: Path, times: Floats) -> tuple[Floats, list[str]]:
    """Count times of a clock that began long ago from the first frame."""
    if not len(times) or times[0] < _EPOCH_S:
        return np.asarray(times, np.float64), []
    return np.asarray(times - times[0], np.float64), [
        f"{path.name}: times are those of a clock ({times[0]:.0f} s in the first frame); time and dose count"
        " from the first frame"
    ]


def check_clock(path: Path, first_s: float) -> None:
    """Refuse times of a clock that began long ago, as dose counts from 0 s.

    Raises
    ------
    TableError
        If the first frame lies more than three years after 0 s.
    """
    if first_s >= _EPOCH_S:
        raise TableError(
            f"{path}: column t_s: {first_s:.0f} s in the first frame is the time of a clock; subtract it from"
            " every row, so that time and dose count from the first frame"
        )
