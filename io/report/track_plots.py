"""The plots of the tracks of a run: sizes and lifetimes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from insitrack.io.draw.palette import class_colours, hex_colour
from insitrack.io.intervals import poisson_interval, survival_curve
from insitrack.io.report.curves import in_order, longest_time
from insitrack.io.report.plot_style import lay_out, shade_interval, short, spoken
from insitrack.io.units import round_step, time_unit

_CONFIRMED, _MIN_FOR_GROWTH, _LEAST_TRACKS = 3, 10, 5
"""Observations from which on a life is watched; that a growth needs; and tracks that a plot of growth needs."""


def size_histogram(tracks: pd.DataFrame, what: str = "tracks") -> go.Figure:
    """Plot the distribution of the mean sizes of tracks, or of the sizes of defects (`what`).

    Each class has a panel with their number and the 95 % Poisson interval of every bar.
    """
    sizes = tracks["size_nm"].to_numpy()
    known = tracks[np.isfinite(sizes)]
    counts = known["defect_class"].value_counts()
    names = [name for name in in_order(set(counts.index)) if counts[name] >= 1]
    step = round_step(float(np.quantile(known["size_nm"], 0.98)) / 16 or 1.0)
    edges = np.arange(0, math.floor(known["size_nm"].max() / step) + 2) * step
    titles = [f"{spoken(name)}, {counts[name]} {what if counts[name] != 1 else what[:-1]}" for name in names]
    figure = make_subplots(
        rows=len(names),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=min(0.1, 0.3 / len(names)),
        subplot_titles=titles,
    )
    colours = class_colours(names)
    for row, name in enumerate(names, 1):
        n, _ = np.histogram(known.loc[known["defect_class"] == name, "size_nm"], bins=edges)
        low, high = poisson_interval(n)
        figure.add_bar(
            row=row,
            col=1,
            x=short(edges[:-1] + step / 2),
            y=n,
            width=step,
            marker={"color": hex_colour(colours[name]), "line": {"width": 0.5, "color": "white"}},
            error_y={
                "type": "data",
                "array": short(np.where(n > 0, high - n, np.nan)),
                "arrayminus": short(np.where(n > 0, n - low, np.nan)),
                "thickness": 0.9,
                "width": 2,
                "color": "#444",
            },
            hovertemplate=f"%{{y}} {what}",
            showlegend=False,
        )
    lay_out(figure, "", "")
    figure.update_yaxes(
        title_text=what.capitalize(),
        rangemode="tozero",
        showline=True,
        linecolor="#888",
        ticks="outside",
        gridcolor="#eee",
        nticks=5,
    )
    figure.update_xaxes(showline=True, linecolor="#888", ticks="outside", gridcolor="#eee")
    figure.update_xaxes(
        title_text="Mean size of the track (nm)" if what == "tracks" else "Size (nm)", row=len(names), col=1
    )
    figure.update_annotations(font_size=13)
    figure.update_layout(
        height=max(372, 60 + 150 * len(names)), bargap=0, margin={"t": 28, "b": 50}, showlegend=False
    )
    return figure


def growth_figure(tracks: pd.DataFrame) -> go.Figure | None:
    """Plot how fast the tracks grow, a histogram of each class; None where fewer than five are known."""
    known = tracks[
        (np.isfinite(tracks["growth_nm_per_s"]) & (tracks["n_observed"] >= _MIN_FOR_GROWTH)).to_numpy()
    ]
    if len(known) < _LEAST_TRACKS:
        return None
    low, high = np.quantile(known["growth_nm_per_s"], [0.02, 0.98])
    names = in_order(set(known["defect_class"]))
    colours, figure = class_colours(names), go.Figure()
    for name in names:
        slopes = known.loc[known["defect_class"] == name, "growth_nm_per_s"].to_numpy(np.float64)
        n, edges = np.histogram(slopes.clip(low, high), bins=20, range=(low, high) if high > low else None)
        figure.add_bar(
            x=short((edges[1:] + edges[:-1]) / 2),
            y=n,
            name=f"{spoken(name)}, {len(slopes)} tracks",
            marker={"color": hex_colour(colours[name])},
            hovertemplate="%{y} tracks",
        )
    figure.update_layout(barmode="stack", bargap=0)
    lay_out(figure, "Growth of the track (nm/s)", "Tracks")
    return figure


def lifetime_figure(tracks: pd.DataFrame) -> go.Figure | None:
    """Plot what share of the tracks that were seen to begin lives longer than a time (Kaplan and Meier).

    Shorter lives than three observations may have been dropped, so that the curves begin there. Each class has its
    95 % band, and the number that is watched at each age. None if no class has five such tracks.
    """
    born = tracks[((tracks["left_censored"] == 0) & (tracks["n_observed"] >= _CONFIRMED)).to_numpy()]
    names = [
        name for name in in_order(set(born["defect_class"])) if (born["defect_class"] == name).sum() >= 5
    ]
    if not names:
        return None
    unit_s, unit = time_unit(longest_time(born["lifetime_s"].to_numpy(np.float64)))
    colours, figure = class_colours(names), go.Figure()
    for name in names:
        part = born[born["defect_class"] == name]
        lifetime_s, n = part["lifetime_s"].to_numpy(np.float64), part["n_observed"].to_numpy(np.float64)
        ages, share, low, high, at_risk = survival_curve(
            lifetime_s, part["right_censored"].to_numpy() == 0, lifetime_s * (_CONFIRMED - 1) / (n - 1)
        )
        x, colour = np.repeat(ages / unit_s, 2)[1:], hex_colour(colours[name])
        steps = [np.repeat(values, 2)[:-1] for values in (share, low, high)]
        shade_interval(figure, x, steps[1], steps[2], colour, name)
        line = {"color": colour, "width": 1.8}
        words = f"{spoken(name)}, {len(part)} births"
        figure.add_scatter(
            x=short(x),
            y=short(steps[0]),
            name=words,
            legendgroup=name,
            mode="lines",
            line=line,
            customdata=np.repeat(at_risk, 2)[:-1],
            hovertemplate="%{y:.2f}, %{customdata} watched",
        )
    lay_out(figure, f"Lifetime ({unit})", "Share that lives longer")
    figure.update_yaxes(range=[0, 1.02])
    return figure
