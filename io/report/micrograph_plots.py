"""What the page of separate micrographs shows in place of curves against time: each of them, and their means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from insitrack.io.draw.palette import class_colours, hex_colour
from insitrack.io.report.curves import MOST_POINTS, in_order
from insitrack.io.report.page import Plot
from insitrack.io.report.plot_style import lay_out, shade_interval, short, spoken
from insitrack.io.tables.columns import MICROGRAPHS, SERIES, STATISTICS

_MOST_NAMES, _LONGEST = 24, 28
"""Micrographs up to which their names stand along the axis, and letters of a name."""
_SHOWN = (
    ("density_per_m3", "density_per_m3_lo", "density_per_m3_hi", "Defects per volume", "Volume density (m<sup>-3</sup>)"),
    ("density_per_m2", "density_per_m2_lo", "density_per_m2_hi", "Defects per area", "Areal density (m<sup>-2</sup>)"),
    ("n", "n_lo", "n_hi", "Number of defects", "Defects in view"),
    ("size_nm", "size_lo_nm", "size_hi_nm", "Mean size", "Mean size (nm)"),
    (
        "hardening_linear_mpa",
        "hardening_linear_mpa_lo",
        "hardening_linear_mpa_hi",
        "Hardening by the defects seen",
        "Hardening (MPa)",
    ),
)  # fmt: skip
_DENSITIES = ("density_per_m3", "density_per_m2", "n")


def micrograph_plots(folder: Path) -> list[Plot]:
    """Plot density, size and hardening of every micrograph with their intervals, and the mean over all.

    Raises
    ------
    TableError
        If ``series.csv`` or ``statistics.csv`` cannot be read.
    """
    series = SERIES.read(folder / SERIES.file)
    series = series[series["n"].notna()]
    frames = np.unique(series["frame"])
    frames = frames[:: max(1, -(-len(frames) // MOST_POINTS))]
    series = series[series["frame"].isin(frames)]
    names, means = _names(folder, frames), _means(folder)
    plots: list[Plot] = []
    for column, low, high, heading, title in _SHOWN:
        if column in _DENSITIES and any(one.name in _DENSITIES for one in plots):
            continue
        shown = _shown_classes(series, column)
        if not shown:
            continue
        figure = _figure(series, shown, names, (column, low, high), title, means)
        plots.append(Plot(column, heading, figure))
    return plots


def _names(folder: Path, frames: np.ndarray[Any, Any]) -> dict[int, str]:
    """Name of each micrograph by its frame."""
    path = folder / MICROGRAPHS.file
    if not path.is_file():
        return {int(frame): "" for frame in frames}
    table = MICROGRAPHS.read(path, ["micrograph", "frame"]).drop_duplicates("frame")
    named = dict(zip(table["frame"].tolist(), table["micrograph"].tolist(), strict=True))
    return {int(frame): _shortened(str(named.get(int(frame), f"frame {frame}"))) for frame in frames}


def _shortened(name: str) -> str:
    half = _LONGEST // 2
    short_name = name if len(name) <= _LONGEST else f"{name[: half - 1]}\u2026{name[-half:]}"
    return short_name.replace("<", "&lt;")


def _means(folder: Path) -> pd.DataFrame | None:
    path = folder / STATISTICS.file
    return STATISTICS.read(path).set_index(["quantity", "defect_class"]) if path.is_file() else None


def _shown_classes(series: pd.DataFrame, column: str) -> list[str]:
    """Classes that were found and of which the value is known; `all` says nothing new where there is one only."""
    known = series[(series["n"] > 0) & series[column].notna()]
    classes = in_order(set(known["defect_class"]))
    if not classes and column in _DENSITIES and series[column].notna().any():
        return ["all"]  # nothing was found: its upper end is worth a plot
    return [name for name in classes if name != "all" or len(classes) != 2]


def _figure(
    series: pd.DataFrame,
    shown: list[str],
    names: dict[int, str],
    columns: tuple[str, str, str],
    title: str,
    means: pd.DataFrame | None,
) -> go.Figure:
    column, low, high = columns
    colours = class_colours(in_order(set(series["defect_class"])))
    place = {frame: i + 1 for i, frame in enumerate(names)}
    figure = go.Figure()
    for i, name in enumerate(shown):
        rows = series[series["defect_class"] == name]
        value = rows[column].to_numpy(np.float64)
        colour = hex_colour(colours[name])
        x = rows["frame"].map(place).to_numpy(np.float64) + (i - (len(shown) - 1) / 2) * 0.6 / len(shown)
        figure.add_scatter(
            x=short(x),
            y=short(value),
            mode="markers",
            name=spoken(name),
            legendgroup=name,
            marker={"size": 8, "color": colour},
            error_y={
                "type": "data",
                "array": short(rows[high].to_numpy(np.float64) - value),
                "arrayminus": short(value - rows[low].to_numpy(np.float64)),
                "thickness": 1.2,
                "width": 3,
            },
            text=[names[frame] for frame in rows["frame"].tolist()],
            hovertemplate="%{text}: %{y:.4~g}",
        )
        _add_mean(figure, means, (column, name), colour, len(names))
    lay_out(figure, "" if len(names) <= _MOST_NAMES else "Micrograph", title)
    ticks = list(place.values()) if len(names) <= _MOST_NAMES else None
    figure.update_xaxes(
        range=[0.4, len(names) + 0.6], tickvals=ticks, ticktext=list(names.values()) if ticks else None
    )
    return figure


def _add_mean(
    figure: go.Figure, means: pd.DataFrame | None, key: tuple[str, str], colour: str, n: int
) -> None:
    """Draw the mean over the micrographs as a line with its band."""
    if means is None or n < 2 or key not in means.index:
        return
    row = means.loc[key]
    x = np.array([0.5, n + 0.5])
    shade_interval(figure, x, np.full(2, float(row["lo"])), np.full(2, float(row["hi"])), colour, key[1])
    figure.add_scatter(
        x=short(x),
        y=short(np.full(2, float(row["mean"]))),
        mode="lines",
        line={"color": colour, "width": 1.6, "dash": "dash"},
        legendgroup=key[1],
        showlegend=False,
        hovertemplate="mean: %{y:.4~g}",
    )
