"""The plots of a run against time: density, size, hardening and what else its series holds."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import plotly.graph_objects as go

from insitrack.io.arrays import Floats
from insitrack.io.draw.palette import class_colours, hex_colour
from insitrack.io.report.curves import Curves, longest_time
from insitrack.io.report.plot_style import lay_out, shade_interval, short, spoken
from insitrack.io.units import round_step, time_unit


def density_figure(curves: Curves, column: str, title: str) -> go.Figure:
    """Plot one density or the count against time, each class with its 95 % interval."""
    return _against_time(
        curves,
        title,
        ((name, column, f"{column}_lo", f"{column}_hi", name, "solid") for name in _shown(curves)),
    )


def size_figure(curves: Curves) -> go.Figure:
    """Plot the mean size against time, each class with the 95 % interval of the mean."""
    lines = (
        (name, "size_nm", "size_lo_nm", "size_hi_nm", name, "solid")
        for name in _shown(curves)
        if name != "all" or len(curves.found) == 1
    )
    return _against_time(curves, "Mean size (nm)", lines)


def hardening_figure(curves: Curves) -> go.Figure:
    """Plot hardening against time: the sums over all classes, linear and in quadrature, and each class."""
    linear, quadrature = "hardening_linear_mpa", "hardening_quadrature_mpa"
    totals = [
        ("all", linear, f"{linear}_lo", f"{linear}_hi", "linear sum", "solid"),
        ("all", quadrature, f"{quadrature}_lo", f"{quadrature}_hi", "quadrature sum", "dash"),
    ]
    shares = [
        (name, linear, "", "", name, "solid")
        for name in curves.found
        if name != "all" and len(curves.found) > 2
    ]
    return _against_time(curves, "Hardening (MPa)", [*totals, *shares])


def trust_figure(curves: Curves) -> go.Figure:
    """Plot the trust in the frames against time."""
    figure = _against_time(curves, "Trust", [("all", "trust", "", "", "trust", "solid")])
    figure.update_yaxes(range=[0, 1.02])
    return figure


def _shown(curves: Curves) -> list[str]:
    """Classes to plot; `all` says nothing new where there is one class only."""
    found = curves.found
    return [name for name in found if name != "all" or len(found) != 2]


Line = tuple[str, str, str, str, str, str]
"""Class, column, columns of the lower and upper end of its interval or empty, words in the legend, dash."""


def _against_time(curves: Curves, title: str, lines: Iterable[Line]) -> go.Figure:
    unit_s, unit = time_unit(longest_time(curves.t_s))
    x = curves.t_s / unit_s
    colours = class_colours(curves.classes)
    figure = go.Figure()
    few = np.isfinite(x).sum() <= 60
    for name, column, low, high, words, dash in lines:
        values = curves.get(name, column)
        if not np.isfinite(values).any():
            continue
        colour = hex_colour(colours[name])
        if low:
            shade_interval(figure, x, curves.get(name, low), curves.get(name, high), colour, words)
        figure.add_scatter(
            x=short(x),
            y=short(values),
            name=spoken(words),
            legendgroup=words,
            mode="lines+markers" if few else "lines",
            line={"color": colour, "width": 1.8 if low else 1.1, "dash": dash},
            marker={"size": 4},
            hovertemplate=f"%{{y:.4~g}}{_unit_of(title)}",
        )
    lay_out(figure, f"Time ({unit})", title)
    figure.update_layout(hovermode="x unified")
    _dose_axis(figure, x, curves.dose_dpa)
    return figure


def _unit_of(title: str) -> str:
    """Return the unit in the brackets of an axis title, with a space before it; empty where it has none."""
    return f" {title.rpartition(' (')[2].rstrip(')')}" if title.endswith(")") else ""


def _dose_axis(figure: go.Figure, x: Floats, dose: Floats) -> None:
    """Mark round doses along the upper side, where the dose is known and grows."""
    good = np.isfinite(x) & np.isfinite(dose)
    if not good.any() or not dose[good].max() > dose[good].min():
        return
    doses, places = np.unique(dose[good], return_index=True)
    step = round_step((doses[-1] - doses[0]) / 5)
    ticks = np.arange(np.ceil(doses[0] / step), np.floor(doses[-1] / step) + 1) * step
    figure.add_scatter(
        x=short(x[good][[0, -1]]), y=[None, None], xaxis="x2", showlegend=False, hoverinfo="skip"
    )
    figure.update_layout(
        xaxis2={
            "overlaying": "x",
            "matches": "x",
            "side": "top",
            "tickvals": np.interp(ticks, doses, x[good][places]).tolist(),
            "ticktext": [f"{tick:.6g} dpa" for tick in ticks],
            "showgrid": False,
            "ticks": "outside",
            "zeroline": False,
            "linecolor": "#888",
        },
        margin={"t": 30},
    )


def quantity_figure(curves: Curves, column: str, title: str) -> go.Figure:
    """Plot a quantity of the classes that have it against time, each with its 95 % interval."""
    named = [name for name in curves.found if name != "all" and np.isfinite(curves.get(name, column)).any()]
    return _against_time(
        curves, title, ((name, column, f"{column}_lo", f"{column}_hi", name, "solid") for name in named)
    )
