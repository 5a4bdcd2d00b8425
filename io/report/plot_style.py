"""The look that all plots share."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from insitrack.io.arrays import Floats

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def shade_interval(figure: go.Figure, x: Floats, low: Floats, high: Floats, colour: str, group: str) -> None:
    """Shade an interval, one polygon for each stretch without gaps."""
    known = np.isfinite(x) & np.isfinite(low) & np.isfinite(high)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(int)))
    around_x: list[Floats] = []
    around_y: list[Floats] = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        around_x += [x[start:end], x[start:end][::-1], np.array([np.nan])]
        around_y += [low[start:end], high[start:end][::-1], np.array([np.nan])]
    if around_x:
        figure.add_scatter(
            x=short(np.concatenate(around_x)),
            y=short(np.concatenate(around_y)),
            mode="lines",
            line={"width": 0},
            fill="toself",
            fillcolor=colour,
            opacity=0.16,
            legendgroup=group,
            showlegend=False,
            hoverinfo="skip",
        )


def lay_out(figure: go.Figure, x_title: str, y_title: str) -> None:
    """Give a figure the look of all others."""
    axis = {
        "showline": True,
        "linecolor": "#888",
        "ticks": "outside",
        "tickcolor": "#888",
        "gridcolor": "#eee",
        "zeroline": False,
    }
    figure.update_layout(
        template="plotly_white",
        font={"family": _FONT, "size": 13, "color": "#222"},
        height=372,
        margin={"l": 10, "r": 12, "t": 12, "b": 86},
        xaxis=axis | {"title": {"text": x_title, "standoff": 8}, "automargin": True},
        yaxis=axis
        | {
            "title": {"text": y_title, "standoff": 10},
            "automargin": True,
            "rangemode": "tozero",
            "exponentformat": "power",
        },
        legend={
            "orientation": "h",
            "yref": "container",
            "yanchor": "bottom",
            "y": 0,
            "x": 0,
            "font": {"size": 12},
        },
        showlegend=True,
    )


def short(values: Floats) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Four bytes a number are more than a screen can show."""
    return values.astype(np.float32)


def spoken(name: str) -> str:
    """Class name as people read it; angle brackets would be taken for markup."""
    return name.replace("_", " ").replace("<", "&lt;")
