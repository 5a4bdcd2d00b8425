"""The plots of the tracks of a run: sizes and lifetimes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from insitrack.io.draw.palette import class_colours, hex_colour
from insitrack.io.intervals import poisson_interval, survival_curve
from insitrack.io.report.curves import in_order, longest_time
from insitrack.io.report.plot_style import lay_out, shade_interval, short, spoken
from insitrack.io.units import round_step, time_unit

_CONFIRMED, _MIN_FOR_GROWTH, _LEAST_TRACKS, _LEAST_LAGS = 3, 10, 5, 4
"""Observations from which on a life is watched; that a growth needs; tracks that a plot of growth needs; and lags that
one of displacements needs."""
_AGES_TOLD = 6
"""Ages under the plot of lifetimes at which the number that is watched stands."""


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


def lifetime_figure(tracks: pd.DataFrame, mean_s: Mapping[str, float] | None = None) -> go.Figure | None:
    """Plot what share of the tracks that were seen to begin lives longer than a time (Kaplan and Meier).

    Shorter lives than three observations may have been dropped, so that the curves begin there, with the share that
    lives so long at a constant rate. Each class has its 95 % band, and the number that is watched at each age. None if
    no class has five such tracks.

    Parameters
    ----------
    tracks : DataFrame
        Rows of ``summary.csv``.
    mean_s : mapping of str to float, optional
        Mean lifetime of each class, s; without it the curve is that of those that live so long.
    """
    born = tracks[((tracks["left_censored"] == 0) & (tracks["n_observed"] >= _CONFIRMED)).to_numpy()]
    names = [
        name for name in in_order(set(born["defect_class"])) if (born["defect_class"] == name).sum() >= 5
    ]
    if not names:
        return None
    unit_s, unit = time_unit(longest_time(born["lifetime_s"].to_numpy(np.float64)))
    colours, figure = class_colours(names), go.Figure()
    watched: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name in names:
        part = born[born["defect_class"] == name]
        lifetime_s, n = part["lifetime_s"].to_numpy(np.float64), part["n_observed"].to_numpy(np.float64)
        ended = part["right_censored"].to_numpy() == 0
        # births and deaths fall between two looks: half of one is added at either end
        half_s = float(np.median(lifetime_s / (n - 1))) / 2
        entered_s = lifetime_s * (_CONFIRMED - 1) / (n - 1) + half_s
        lifetime_s = lifetime_s + 2 * half_s
        ages, *curves, at_risk = survival_curve(lifetime_s, ended, entered_s)
        lives_so_long = math.exp(-float(ages[0]) / (mean_s or {}).get(name, math.inf))
        x, colour = np.repeat(ages / unit_s, 2)[1:], hex_colour(colours[name])
        steps = [np.repeat(lives_so_long * values, 2)[:-1] for values in curves]
        shade_interval(figure, x, steps[1], steps[2], colour, name)
        line = {"color": colour, "width": 1.8}
        words = f"{spoken(name)}, {len(part)} births"
        watched[name] = (entered_s / unit_s, lifetime_s / unit_s)
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
    _write_numbers_at_risk(figure, watched, {name: hex_colour(colours[name]) for name in names})
    return figure


def _write_numbers_at_risk(
    figure: go.Figure, watched: dict[str, tuple[np.ndarray, np.ndarray]], colours: dict[str, str]
) -> None:
    """Write below the plot how many of each class are watched at a few ages, a line for each.

    `watched` has, by class, the ages at which each defect came under watch and left it.
    """
    longest = max(float(left.max()) for _, left in watched.values())
    step = round_step(longest / (_AGES_TOLD - 1) or 1.0)
    ticks = np.arange(0, longest + 0.5 * step, step)
    place = {"yref": "paper", "showarrow": False, "yanchor": "top"}
    for row, (name, (entered, left)) in enumerate(watched.items()):
        y = -0.2 - 0.06 * row
        for tick in ticks.tolist():
            # nobody at age 0: a defect is under watch from when it is confirmed
            n = np.count_nonzero((entered <= tick) & (left >= tick))
            text = {"text": str(n), "font": {"size": 11, "color": colours[name]}}
            figure.add_annotation(x=tick, y=y, xref="x", xanchor="center", **text, **place)
    words = {
        "text": "Watched at this age, by class in the colours above",
        "font": {"size": 11, "color": "#555"},
    }
    figure.add_annotation(x=0, y=-0.2 - 0.06 * len(watched), xref="paper", xanchor="left", **words, **place)
    figure.update_xaxes(tickmode="array", tickvals=ticks.tolist())
    # the legend stands at the bottom: below these lines, not on them
    lines = len(watched) + 2
    figure.update_layout(height=400 + 20 * lines, margin={"b": 80 + 22 * lines})


def msd_figure(table: pd.DataFrame) -> go.Figure | None:
    """Plot the mean squared displacement against the time between two observations, both on logarithmic axes.

    Each class has its 95 % band. Free motion rises with the slope of the dotted line, confined motion levels off, and
    a level beginning is the error of the positions. None where no class has four lags.

    Parameters
    ----------
    table : DataFrame
        Rows of ``msd.csv``.
    """
    known = table[((table["msd_nm2"] > 0) & (table["defect_class"] != "all")).to_numpy()]
    counts = known["defect_class"].value_counts()
    names = [name for name in in_order(set(counts.index)) if counts[name] >= _LEAST_LAGS]
    if not names:
        return None
    colours, figure = class_colours(names), go.Figure()
    for name in names:
        part, colour = known[known["defect_class"] == name], hex_colour(colours[name])
        lag, msd, low, high = (
            part[column].to_numpy(np.float64) for column in ("lag_s", "msd_nm2", "msd_nm2_lo", "msd_nm2_hi")
        )
        # a logarithmic axis has no zero
        shade_interval(figure, lag, np.maximum(low, msd / 30), high, colour, name)
        figure.add_scatter(
            x=short(lag),
            y=short(msd),
            name=f"{spoken(name)}, {part['n_tracks'].max():.0f} tracks",
            legendgroup=name,
            mode="lines+markers",
            line={"color": colour, "width": 1.8},
            customdata=part["n_tracks"].to_numpy(),
            hovertemplate="%{y:.3g} nm\u00b2, %{customdata} tracks",
        )
    first = known[known["defect_class"] == names[0]]
    ends = first["lag_s"].to_numpy(np.float64)[[0, -1]]
    level = float(first["msd_nm2"].iloc[-1])
    figure.add_scatter(
        x=short(ends),
        y=short(level * ends / ends[1]),
        name="free motion",
        mode="lines",
        line={"color": "#888", "width": 1, "dash": "dot"},
        hoverinfo="skip",
    )
    lay_out(figure, "Time between two observations (s)", "Mean squared displacement (nm\u00b2)")
    figure.update_xaxes(type="log", dtick="D2")
    figure.update_yaxes(type="log", dtick="D2")
    return figure
