"""The plots of an evaluation: F1 against IoU, found against true, histograms, learning curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from insitrack.io.arrays import Floats
from insitrack.io.draw.palette import class_colours, hex_colour
from insitrack.io.report.plot_style import lay_out, short, spoken

Row = Mapping[str, Any]
SIZE_STEPS_NM = {"black_dot": (2.0, 20.0)}
"""Width of the bins of the size histogram and its least upper end, nm; those of Jacobs et al. 2022, as
`OTHER_STEP_NM` for the rest."""
OTHER_STEP_NM = (10.0, 100.0)
HEYWOOD_STEP = (0.1, 1.0)
_TRUE_COLOUR = "#9aa3ad"
_CURVES = (
    ("find_f1", "find F1", "#222222", "solid"),
    ("find_precision", "precision", "#0072b2", "dot"),
    ("find_recall", "recall", "#009e73", "dot"),
    ("type_f1_pairs", "type F1, of the pairs", "#d55e00", "dash"),
    ("type_f1_strict", "type F1, strict", "#cc79a7", "dash"),
)
_PEOPLE = (
    ("find_f1_people", "find F1, between people", "#222222", "longdashdot"),
    ("type_f1_strict_people", "type F1, strict, between people", "#cc79a7", "longdashdot"),
)


def iou_figure(curve: Sequence[Row]) -> go.Figure:
    """Plot scores against the overlap that is asked for."""
    figure = go.Figure()
    x = _column(curve, "iou")
    for name, words, colour, dash in (*_CURVES, *_PEOPLE):
        y = _column(curve, name)
        if np.isfinite(y).any():
            line = {"color": colour, "dash": dash, "width": 2}
            figure.add_scatter(
                x=short(x),
                y=short(y),
                name=words,
                mode="lines+markers",
                line=line,
                marker={"size": 5},
                hovertemplate="%{y:.3f}",
            )
    lay_out(figure, "IoU from which a pair counts", "Score")
    figure.update_layout(hovermode="x unified", yaxis_range=[0, 1.02])
    return figure


def parity_figure(
    groups: Mapping[str, Sequence[Row]],
    true: str,
    found: str,
    title: str,
    unit: str,
    start: float = 0.0,
    errors: Sequence[str] = (),
) -> go.Figure:
    """Plot found against true, one point per image and group; the line is where both agree.

    Parameters
    ----------
    groups : mapping of str to sequence of rows
        Class, or whatever the points are coloured by, and its rows with the column `picture`.
    true, found : str
        Columns.
    title, unit : str
        What it is, and its unit.
    start : float
        Least value there can be.
    errors : sequence of str
        Lines in the corner: R2, MAE and RMSE of the points.
    """
    figure = go.Figure()
    colours = class_colours(groups)
    top = start
    for name, rows in groups.items():
        x, y = _column(rows, true), _column(rows, found)
        both = np.isfinite(x) & np.isfinite(y)
        if both.any():
            top = max(top, float(x[both].max()), float(y[both].max()))
            figure.add_scatter(
                x=short(x[both]),
                y=short(y[both]),
                name=spoken(name),
                mode="markers",
                marker={
                    "size": 8,
                    "opacity": 0.75,
                    "color": hex_colour(colours[name]),
                    "line": {"width": 0.5, "color": "white"},
                },
                text=[
                    spoken(str(row["picture"])) for row, good in zip(rows, both.tolist(), strict=True) if good
                ],
                hovertemplate="%{text}<br>true %{x:.4~g}<br>found %{y:.4~g}",
            )
    line = {"color": "#888", "width": 1, "dash": "dash"}
    ends = [start, start + (top - start) * 1.05]
    figure.add_scatter(x=ends, y=ends, mode="lines", line=line, name="found = true", hoverinfo="skip")
    lay_out(figure, f"True {title} ({unit})", f"Found {title} ({unit})")
    if errors:
        place = {"xref": "paper", "yref": "paper", "x": 0.02, "y": 0.98, "xanchor": "left", "yanchor": "top"}
        figure.add_annotation(text="<br>".join(errors), showarrow=False, align="left", **place)
    figure.update_layout(xaxis_rangemode="tozero" if not start else "normal", xaxis_exponentformat="power")
    if start:
        figure.update_layout(yaxis_rangemode="normal")
    return figure


def size_histogram(defects: Sequence[Row], name: str, unit: str, *, pairs_only: bool = False) -> go.Figure:
    """Plot the size distributions of the true and of the found defects of a class.

    The bins are those of Jacobs et al. 2022 if the unit is nm.
    """
    step, top = SIZE_STEPS_NM.get(name, OTHER_STEP_NM) if unit == "nm" else (0.0, 0.0)
    return _histogram(defects, name, f"size_{{}}_{unit}", f"Size ({unit})", 0.0, step, top, pairs_only)


def heywood_histogram(defects: Sequence[Row], name: str, *, pairs_only: bool = False) -> go.Figure:
    """Plot how many true and found defects of a class have which Heywood circularity."""
    return _histogram(defects, name, "heywood_{}", "Heywood circularity", 1.0, *HEYWOOD_STEP, pairs_only)


def _histogram(
    defects: Sequence[Row],
    name: str,
    column: str,
    title: str,
    start: float,
    step: float,
    span: float,
    pairs_only: bool,
) -> go.Figure:
    sides = {}
    for side in ("true", "found"):
        rows = [row for row in defects if row[f"class_{side}"] == name and row[f"sized_{side}"]]
        values = _column(
            [row for row in rows if not pairs_only or row["outcome"] == "found"], column.format(side)
        )
        sides[side] = values[np.isfinite(values)]
    largest = max((float(values.max()) for values in sides.values() if values.size), default=1.0)
    step = step or max(1.0, math.ceil(largest / 12))
    n_bins = max(
        round(span / step), math.floor((largest - start) / step) + 1
    )  # continued where sizes go beyond the usual range
    edges = start + np.arange(n_bins + 1) * step
    figure = go.Figure()
    colours = {"true": _TRUE_COLOUR, "found": hex_colour(class_colours([name])[name])}
    for place, side in enumerate(sides):
        counts, _ = np.histogram(sides[side], bins=edges)
        figure.add_bar(
            x=short(np.asarray(edges[:-1] + step * (0.08 + 0.42 * place), np.float64)),
            y=counts,
            offset=0,
            width=step * 0.42,
            name=f"{side}, {int(counts.sum())}",
            marker_color=colours[side],
            hovertemplate="%{y} " + side,
        )
    lay_out(figure, title, "Defects")
    figure.update_layout(barmode="overlay", xaxis_range=[float(edges[0]), float(edges[-1])], height=300)
    return figure


def splits_figure(splits: Sequence[Row], *, learning: bool) -> go.Figure:
    """Plot the scores of each split.

    Against the number of labelled defects that were trained on, or split by split.
    """
    figure = go.Figure()
    x: Any = short(_column(splits, "n_train_defects")) if learning else [str(row["split"]) for row in splits]
    for name, words, colour, _ in (_CURVES[0], *_CURVES[3:]):
        figure.add_scatter(
            x=x,
            y=short(_column(splits, name)),
            name=words,
            mode="markers",
            marker={"size": 9, "color": colour},
            text=[str(row["split"]) for row in splits],
            hovertemplate="%{text}: %{y:.3f}",
        )
    lay_out(figure, "Labelled defects trained on" if learning else "Split", "Score on the test images")
    figure.update_layout(yaxis_range=[0, 1.02], xaxis_type="log" if learning else "category")
    return figure


def _column(rows: Sequence[Row], name: str) -> Floats:
    """Values of a column; what is missing or empty is NaN."""
    return np.array([np.nan if row.get(name) is None else row[name] for row in rows], np.float64)
