"""Dates and times of a log: one order of day and month for the whole column, found or given, never mixed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from insitrack.io.errors import SettingsError, TableError

if TYPE_CHECKING:
    import pandas as pd

DateOrder = Literal["auto", "day_first", "month_first"]
_NUMBERS = re.compile(r"\s*(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})\b")


def read_dates(
    path: Path, texts: pd.Series[str], first: str, order: DateOrder = "auto"
) -> tuple[pd.Series[Any], Any]:
    """Read the dates and times of a log, and those of the first frame in the same order.

    Parameters
    ----------
    path : Path
        The log, for complaints.
    texts : Series of str
        Its column ``time``: ISO 8601, or day, month and year as numbers, or with the month in words.
    first : str
        Date and time of the first frame.
    order : {"auto", "day_first", "month_first"}
        Order of dates in numbers; `auto` finds it: a number above 12 is a day, and dates with dots begin with
        the day.

    Returns
    -------
    stamps : Series of datetime64
        Times of the lines, UTC.
    first : Timestamp
        Time of the first frame.

    Raises
    ------
    TableError
        If a line is no date and time, or the order is not clear.
    SettingsError
        If the first frame's is no date and time.
    """
    import pandas as pd

    day_first = _day_first(path, texts.tolist(), order)
    stamps = _parsed(texts, day_first)
    bad = np.flatnonzero(stamps.isna().to_numpy())
    if len(bad):
        raise TableError(
            f"{path}: line {bad[0] + 2}, column time: {texts.iloc[bad[0]]!r} is no date and time"
        )
    start = _parsed(pd.Series([first]), day_first).iloc[0]
    if pd.isna(start):
        raise SettingsError(f"--log-start {first}: expected a date and time, for example 2026-05-01T10:15:00")
    return stamps, start


def _parsed(texts: pd.Series[str], day_first: bool) -> pd.Series[Any]:
    """Read each text by itself; the order of day and month concerns only dates in numbers, not ISO 8601."""
    import pandas as pd

    numbers = np.array([_NUMBERS.match(text) is not None for text in texts], bool) & day_first
    parts = [
        pd.to_datetime(texts[mask], errors="coerce", utc=True, format="mixed", dayfirst=order)
        for mask, order in ((numbers, True), (~numbers, False))
        if mask.any()
    ]
    return pd.concat(parts).reindex(texts.index)


def _day_first(path: Path, texts: list[str], order: DateOrder) -> bool:
    """Whether dates in numbers begin with the day; False where there are none."""
    found = [match.groups() for match in map(_NUMBERS.match, texts) if match is not None]
    if order != "auto" or not found:
        return order == "day_first"
    firsts, seconds = [int(one[0]) for one in found], [int(one[2]) for one in found]
    day, month = max(firsts) > 12, max(seconds) > 12
    if day and month:
        raise TableError(
            f"{path}: column time: some dates begin with the day, some with the month; write 2026-05-01"
        )
    if not day and not month and firsts != seconds and found[0][1] != ".":
        raise TableError(
            f"{path}: column time: {texts[0].strip()!r} may begin with the day or the month; give --set"
            " specimen.log_dates=day_first or month_first"
        )
    return day or (not month and found[0][1] == ".")
