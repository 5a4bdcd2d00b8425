"""One self-contained page that compares many movies: small plots side by side, and against a column of the table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from markupsafe import Markup

from insitrack.io.arrays import Floats
from insitrack.io.report.page import Note, Plot, render
from insitrack.io.report.plot_style import lay_out
from insitrack.io.tables.tidy import spoken_column
from insitrack.io.units import time_unit
from insitrack.io.write import write_text

_DENSITIES = ("density_per_m3", "density_per_m2", "n")
_WIDTH, _HEIGHT = 220.0, 96.0
_LINE = "#3b7dd8"  # seen on white and on black


@dataclass(frozen=True, slots=True)
class Curve:
    """A quantity of all defects of a movie together against time, thinned; arrays of N.

    Parameters
    ----------
    quantity : str
        Column of ``series.csv``.
    t_s, dose_dpa : ndarray of float64
        Time, s, and dose, dpa.
    value, low, high : ndarray of float64
        Values with their 95 % intervals; NaN where not known.
    """

    quantity: str
    t_s: Floats
    dose_dpa: Floats
    value: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class Compared:
    """What the page shows of one movie.

    Parameters
    ----------
    name, status, why : str
        What it is called, how it ended, and why.
    place : float, str or None
        Where it stands on the axis of the comparison; None: not known.
    values : mapping of str to (float, float, float)
        Last known value of each quantity with its interval; NaN where not known.
    curves : mapping of str to Curve
        Its curves.
    trust : float
        Median trust in its frames, 0..1; NaN where nobody judged.
    warnings : str
        Warnings of the run.
    frames : int or None
        Frames that were processed.
    """

    name: str
    status: str
    why: str
    place: Any
    values: Mapping[str, tuple[float, ...]]
    curves: Mapping[str, Curve]
    trust: float
    warnings: str
    frames: int | None


def write_batch_report(
    folder: Path, title: str, movies: Sequence[Compared], against: str, notes: Sequence[str]
) -> Path:
    """Write ``batch.html``.

    Parameters
    ----------
    folder : Path
        Folder of the batch; every movie has its run in a folder of its name there.
    title : str
        Heading.
    movies : sequence of Compared
        All movies, those that failed too.
    against : str
        Name of the axis of the comparison; empty: none was asked for.
    notes : sequence of str
        What went wrong with the comparison itself.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    done = [one for one in movies if one.status == "done"]
    density = next((name for name in _DENSITIES if any(name in one.curves for one in done)), "n")
    quantities = [density, "size_nm", "hardening_linear_mpa"]
    known = [name for name in quantities if any(name in one.curves for one in done)]
    failed = [f"{one.name}: {one.status}: {one.why}" for one in movies if one.status in ("failed", "stopped")]
    page = render(
        "batch.html",
        title=f"{title} - insitrack",
        heading=title,
        key_facts=[
            f"{len(done)} of {len(movies)} movies done",
            f"{sum(one.frames or 0 for one in done)} frames",
        ],
        failed=failed,
        notes=list(notes),
        comparisons=[_comparison(name, done, against) for name in known] if against else [],
        against=spoken_column(against),
        multiples=[
            {
                "title": spoken_column(name),
                "axes": f"{_time_words(done)}; upwards 0 to {_number(_top(name, done))}",
                "plots": _multiples(name, done),
            }
            for name in known
        ],
        heads=[spoken_column(against)] * bool(against) + [spoken_column(name) for name in known],
        rows=[_row(one, known, against) for one in movies],
    )
    return write_text(folder / "batch.html", page)


def _row(one: Compared, known: Sequence[str], against: str) -> dict[str, Any]:
    cells = ["" if one.place is None else _number(one.place)] if against else []
    for name in known:
        value, low, high = one.values[name]
        interval = (
            f" ({_number(low)} to {_number(high)})" if math.isfinite(low) and math.isfinite(high) else ""
        )
        cells.append("" if math.isnan(value) else f"{_number(value)}{interval}")
    return {
        "name": one.name,
        "status": one.status,
        "why": one.why,
        "warnings": [line for line in one.warnings.split(" | ") if line],
        "link": f"{one.name}/report.html" if one.status == "done" else "",
        "trust": "" if math.isnan(one.trust) else f"{one.trust:.2f}",
        "frames": one.frames if one.frames is not None else "",
        "cells": cells,
    }


def _number(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.3g}"


def _comparison(name: str, done: Sequence[Compared], against: str) -> Plot | Note:
    """Last known values against the axis, with their intervals."""
    title = f"{spoken_column(name)}, last known"
    placed = [one for one in done if one.place not in (None, "") and math.isfinite(one.values[name][0])]
    if not placed:
        return Note(title, f"no movie has both this and {spoken_column(against)}")
    places = [_as_number(one.place) for one in placed]
    numeric = all(place is not None for place in places)
    x = places if numeric else [str(one.place) for one in placed]
    value, low, high = (np.array([one.values[name][i] for one in placed]) for i in range(3))
    figure = go.Figure()
    figure.add_scatter(
        x=x,
        y=value,
        mode="markers",
        marker={"size": 8, "color": _LINE},
        text=[one.name.replace("<", "&lt;") for one in placed],
        hovertemplate="%{text}<br>%{x}: %{y:.3g}<extra></extra>",
        error_y={
            "type": "data",
            "symmetric": False,
            "array": np.nan_to_num(high - value),
            "arrayminus": np.nan_to_num(value - low),
            "thickness": 1.2,
            "width": 3,
        },
        showlegend=False,
    )
    lay_out(figure, spoken_column(against), spoken_column(name))
    if not numeric:
        figure.update_xaxes(type="category")
    return Plot(f"against-{name}", title, figure)


def _as_number(place: Any) -> float | None:
    try:
        value = float(place)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _time_words(done: Sequence[Compared]) -> str:
    scale, unit = time_unit(_longest(done))
    return f"time, 0 to {_longest(done) / scale:.3g} {unit}"


def _longest(done: Sequence[Compared]) -> float:
    ends = [float(np.nanmax(curve.t_s)) for one in done for curve in one.curves.values() if len(curve.t_s)]
    return max(ends, default=1.0) or 1.0


def _top(name: str, done: Sequence[Compared]) -> float:
    """Upper end of the axis that all small plots of a quantity share.

    It holds all values, and of the intervals what does not press the values to the ground.
    """
    shown = [one.curves[name] for one in done if name in one.curves]
    value, high = (
        float(np.nan_to_num(np.concatenate(parts)).max(initial=0.0))
        for parts in ([one.value for one in shown], [one.high for one in shown])
    )
    return min(max(value, high), 3 * value) if value > 0 else max(high, 1.0)


def _multiples(name: str, done: Sequence[Compared]) -> list[dict[str, Any]]:
    """One small plot a movie, all on the same axes."""
    shown = [one for one in done if name in one.curves]
    longest, top = _longest(done), _top(name, done)
    return [
        {
            "name": one.name,
            "link": f"{one.name}/report.html",
            "last": _number(one.values[name][0]) if math.isfinite(one.values[name][0]) else "not known",
            "svg": _small_plot(one.curves[name], longest, top),
        }
        for one in shown
    ]


def _small_plot(curve: Curve, longest_s: float, top: float) -> Markup:
    """Line with its interval; where nothing is known there is a gap."""
    x = curve.t_s / longest_s * _WIDTH
    parts = []
    for start, end in _stretches(np.isfinite(curve.value)):
        y, low, high = (
            _HEIGHT * (1 - part[start:end] / top) for part in (curve.value, curve.low, curve.high)
        )
        here = x[start:end]
        if np.isfinite(low).all() and np.isfinite(high).all():
            around = _points(np.concatenate([here, here[::-1]]), np.concatenate([low, high[::-1]]))
            parts.append(f'<polygon class="band" points="{around}"/>')
        if end - start == 1:
            parts.append(f'<circle class="dot" cx="{here[0]:.1f}" cy="{y[0]:.1f}" r="1.6"/>')
        else:
            parts.append(f'<polyline points="{_points(here, y)}"/>')
    return Markup(
        f'<svg viewBox="0 -3 {_WIDTH:.0f} {_HEIGHT + 6:.0f}" role="img" aria-label="curve"><path class="axis"'
        f' d="M0 0V{_HEIGHT:.0f}H{_WIDTH:.0f}"/>{"".join(parts)}</svg>'
    )


def _stretches(known: Any) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _points(x: Floats, y: Floats) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
