"""Separate micrographs: one row each, and means over them with all that makes them uncertain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from insitrack.io.arrays import Floats
from insitrack.io.intervals import mean_half_width, poisson_interval
from insitrack.io.tables.columns import MICROGRAPHS, QUANTITIES, SERIES, STATISTICS
from insitrack.io.write import replacing

if TYPE_CHECKING:
    import pandas as pd

_HOW = (
    "mean over micrographs; the interval holds their scatter (Student's t; at least that of counting) and the errors"
    " that all share (of detector and scale and foil)"
)
_CUT_AT_ZERO = "; its lower end is cut at 0"
_ENDS = {"size_nm": ("size_lo_nm", "size_hi_nm")}
_BY_NUMBER = {
    "n": "n",
    "n_counted": "n_counted",
    "density_per_m2": "n_counted",
    "density_per_m3": "n_counted",
    "line_density_per_m2": "n",
}
"""Quantities that scatter as the number of defects does, with the column of that number."""


class Spread(NamedTuple):
    """A mean over micrographs: its 95 % interval, their standard deviation and their number.

    Parameters
    ----------
    mean, lo, hi, sd : float
        NaN where unknown.
    n : int
        Micrographs in which it is known.
    """

    mean: float
    lo: float
    hi: float
    sd: float
    n: int


def mean_over_micrographs(values: Floats) -> Spread:
    """Mean of one value a micrograph, with the interval that follows from their scatter.

    Micrographs are independent, the defects of one are not: their number varies from place to place by more than
    a Poisson count does, and the scatter between micrographs holds all of it.

    Parameters
    ----------
    values : ndarray of float64, shape (M,)
        One value a micrograph, NaN where unknown; none below zero.

    Returns
    -------
    Spread
        The interval needs two micrographs, and does not go below zero.

    Examples
    --------
    >>> [round(float(x), 2) for x in mean_over_micrographs(np.array([4.0, 6.0, 8.0, np.nan]))]
    [6.0, 1.03, 10.97, 2.0, 3.0]
    """
    known = values[np.isfinite(values)]
    n = len(known)
    if n == 0:
        return Spread(math.nan, math.nan, math.nan, math.nan, 0)
    mean = float(known.mean())
    if n == 1:
        return Spread(mean, math.nan, math.nan, math.nan, 1)
    sd = float(known.std(ddof=1))
    half = float(mean_half_width(n)) * sd
    return Spread(mean, max(0.0, mean - half), mean + half, sd, n)


def mean_with_shared_errors(rows: pd.DataFrame, quantity: str) -> Spread:
    """Mean of a quantity over micrographs, its interval with the errors that no further micrograph makes smaller.

    Parameters
    ----------
    rows : DataFrame
        Rows of ``series.csv`` of one class, one a micrograph.
    quantity : str
        Column of ``micrographs.csv``.

    Returns
    -------
    Spread
        The interval of scatter, at least as wide as that of counting all defects, is widened in quadrature, in
        logarithms, by what the micrographs share (see `_shared`). Where nothing was found in any of them the upper
        end is that of a single one divided by their number. A single micrograph has its own interval.
    """
    values = rows[quantity].to_numpy(np.float64)
    spread = mean_over_micrographs(values)
    if quantity == "field_nm2" or spread.n == 0:
        return spread
    some = rows[np.isfinite(values)]
    own = _own_interval(some, quantity)
    if spread.n == 1:
        return spread._replace(lo=float(own[0][0]), hi=float(own[1][0]))
    if spread.mean == 0:
        return spread._replace(hi=float(own[1].mean()) / spread.n)
    lo, hi = spread.lo, spread.hi
    if quantity in _BY_NUMBER:
        fewest, most = _counting(np.array([some[_BY_NUMBER[quantity]].sum()]))
        lo, hi = min(lo, spread.mean * float(fewest[0])), max(hi, spread.mean * float(most[0]))
    below, above = _shared(some, quantity, *own)
    with np.errstate(divide="ignore"):
        lo = spread.mean * math.exp(-math.hypot(float(np.log(spread.mean / np.float64(lo))), below))
    hi = spread.mean * math.exp(math.hypot(math.log(hi / spread.mean), above))
    return spread._replace(lo=lo, hi=hi)


def _own_interval(rows: pd.DataFrame, quantity: str) -> tuple[Floats, Floats]:
    """Return the ends of the interval that each micrograph has."""
    if quantity == "n_counted":
        return poisson_interval(rows[quantity])
    low, high = _ENDS.get(quantity, (f"{quantity}_lo", f"{quantity}_hi"))
    return rows[low].to_numpy(np.float64), rows[high].to_numpy(np.float64)


def _counting(n: Floats) -> tuple[Floats, Floats]:
    """Return the ends of the Poisson interval of counts, as parts of the counts."""
    low, high = poisson_interval(n)
    return low / np.maximum(n, 1e-300), high / np.maximum(n, 1e-300)


def _shared(rows: pd.DataFrame, quantity: str, low: Floats, high: Floats) -> tuple[float, float]:
    """How far, in logarithms, the shared errors reach below and above: the least that any micrograph shows.

    From the interval of each micrograph the part of its own counting is taken away; for volumes and hardening,
    where that part is not a known share, the narrowest interval counts whole, which is a little too wide.
    """
    values = rows[quantity].to_numpy(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.stack([np.log(values / low), np.log(high / values)])
        own = np.zeros_like(reach)
        if quantity in _BY_NUMBER:
            fewest, most = _counting(rows[_BY_NUMBER[quantity]].to_numpy(np.float64))
            own = np.stack([-np.log(fewest), np.log(most)])
        elif quantity == "size_nm":
            n = rows["n_counted"].to_numpy(np.float64)
            half = np.minimum(mean_half_width(n) * rows["size_sd_nm"].to_numpy(np.float64) / values, 0.99)
            own = np.nan_to_num(np.stack([-np.log1p(-half), np.log1p(half)]))
        left = np.sqrt(np.maximum(reach**2 - own**2, 0.0))
    left = np.where(np.isfinite(left) & (values > 0), left, np.inf)
    below, above = (float(one) if math.isfinite(one) else 0.0 for one in left.min(axis=1).tolist())
    return below, above


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
    series = SERIES.read(folder / SERIES.file)
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
            spread = mean_with_shared_errors(mine, quantity)
            records.append((quantity, label, *spread, _cell(_how(quantity, spread))))
    with replacing(folder / STATISTICS.file) as part:
        table = (
            dict(zip(STATISTICS.names, map(list, zip(*records, strict=True)), strict=True)) if records else {}
        )
        part.write_text(STATISTICS.header() + (STATISTICS.format(table) if records else ""), encoding="utf-8")
    return len(np.unique(frame))


def micrograph_names(run: Path) -> list[str]:
    """Names of the micrographs of a run by their frames, from its ``micrographs.csv``; empty where it has none.

    Raises
    ------
    TableError
        If the table is damaged.
    """
    if not (run / MICROGRAPHS.file).is_file():
        return []
    table = MICROGRAPHS.read(run / MICROGRAPHS.file, ["micrograph", "frame"]).drop_duplicates("frame")
    named = dict(zip(table["frame"].tolist(), table["micrograph"].tolist(), strict=True))
    return [str(named.get(frame, f"frame {frame}")) for frame in range(max(named, default=-1) + 1)]


def _how(quantity: str, spread: Spread) -> str:
    """Say how a mean and its interval came about, or why it is empty."""
    if spread.n == 0:
        return "not known in any micrograph; the warnings of the run say why"
    if spread.n == 1:
        return "a single micrograph with its own interval"
    if quantity == "field_nm2":
        return "mean over micrographs; the interval is that of their scatter (Student's t)"
    if spread.mean == 0:
        return "none in any micrograph; the upper end is that of one micrograph divided by their number"
    return _HOW + (_CUT_AT_ZERO if spread.lo == 0 else "")


def _cell(name: str) -> str:
    """Write a file name so that neither a comma in it ends the cell, nor a spreadsheet runs it."""
    name = f"'{name}" if name.startswith(("=", "+", "-", "@")) else name
    return '"' + name.replace('"', '""') + '"' if set(name) & set(',"\r\n') else name
