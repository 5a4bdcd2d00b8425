"""Separate micrographs: one row each, and means over them with what they scatter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from insitrack.io.arrays import Floats
from insitrack.io.tables.columns import MICROGRAPHS, QUANTITIES, SERIES, STATISTICS
from insitrack.io.write import replacing

_HOW = "mean over micrographs; Student's interval from their scatter"
_CUT_AT_ZERO = "; its lower end is cut at 0"


def mean_over_micrographs(values: Floats) -> tuple[float, float, float, float, int]:
    """Mean of one value a micrograph, its 95 % interval, and their standard deviation.

    Micrographs are independent, the defects of one are not: their number varies from place to place by more than
    a Poisson count does, and the scatter between micrographs holds all of it.

    Parameters
    ----------
    values : ndarray of float64, shape (M,)
        One value a micrograph, NaN where unknown; none below zero.

    Returns
    -------
    mean, lo, hi, sd : float
        NaN where unknown; the interval needs two micrographs, and does not go below zero.
    n : int
        Micrographs in which it is known.

    Examples
    --------
    >>> [round(float(x), 2) for x in mean_over_micrographs(np.array([4.0, 6.0, 8.0, np.nan]))]
    [6.0, 1.03, 10.97, 2.0, 3.0]
    """
    known = values[np.isfinite(values)]
    n = len(known)
    if n == 0:
        return math.nan, math.nan, math.nan, math.nan, 0
    mean = float(known.mean())
    if n == 1:
        return mean, math.nan, math.nan, math.nan, 1
    sd = float(known.std(ddof=1))
    half = float(stats.t.ppf(0.975, n - 1)) * sd / math.sqrt(n)
    return mean, max(0.0, mean - half), mean + half, sd, n


def write_micrographs(folder: Path, names: Sequence[str]) -> int:
    """Write ``micrographs.csv`` and ``statistics.csv`` from the series of a run of separate micrographs.

    Parameters
    ----------
    folder : Path
        Output folder, with ``series.csv``.
    names : sequence of str
        Name of each frame, by its number; later frames are called by their numbers.

    Returns
    -------
    int
        Number of micrographs of which something is known.
    """
    series = SERIES.read(folder / SERIES.file, ["frame", "defect_class", *QUANTITIES])
    series = series[series["n"].notna()]
    frame = series["frame"].to_numpy(np.int64)
    called = [_cell(names[i]) if i < len(names) else f"frame {i}" for i in frame.tolist()]
    columns = {name: series[name].to_numpy() for name in ("frame", "defect_class", *QUANTITIES)}
    with replacing(folder / MICROGRAPHS.file) as part:
        rows = MICROGRAPHS.format({"micrograph": called, **columns}) if len(series) else ""
        part.write_text(MICROGRAPHS.header() + rows, encoding="utf-8")
    records: list[tuple[object, ...]] = []
    for label in dict.fromkeys(series["defect_class"]):
        mine = series[series["defect_class"] == label]
        for quantity in QUANTITIES:
            mean, lo, hi, sd, n = mean_over_micrographs(mine[quantity].to_numpy(np.float64))
            how = _HOW + (_CUT_AT_ZERO if lo == 0 < mean else "")
            if n == 0:
                how = "not known in any micrograph; the warnings of the run say why"
            elif n == 1:
                how = "a single micrograph has no scatter; its own interval is in series.csv"
            records.append((quantity, label, mean, lo, hi, sd, n, how))
    with replacing(folder / STATISTICS.file) as part:
        table = (
            dict(zip(STATISTICS.names, map(list, zip(*records, strict=True)), strict=True)) if records else {}
        )
        part.write_text(STATISTICS.header() + (STATISTICS.format(table) if records else ""), encoding="utf-8")
    return len(np.unique(frame))


def _cell(name: str) -> str:
    """Write a file name so that neither a comma in it ends the cell, nor a spreadsheet runs it."""
    name = f"'{name}" if name.startswith(("=", "+", "-", "@")) else name
    return '"' + name.replace('"', '""') + '"' if set(name) & set(',"\r\n') else name
