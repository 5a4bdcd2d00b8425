"""The plots of a run, drawn from its tables.

Density, size and hardening against time, sizes and lifetimes of the tracks.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots
from scipy.stats import CensoredData, ecdf

from insitrack.io.arrays import Floats
from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.draw.palette import class_colours, hex_colour
from insitrack.io.intervals import poisson_interval
from insitrack.io.tables.columns import FRAMES, SERIES, SUMMARY
from insitrack.io.units import round_step, time_unit

MOST_POINTS = 500
"""Frames in a plot; of a longer run every n-th is shown."""
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(slots=True)
class Curves:
    """The series of a run, thinned to what a plot can show.

    Parameters
    ----------
    t_s, dose_dpa : ndarray of float64, shape (T,)
        Time, s, and dose; NaN where a gap interrupts the curves.
    columns : dict of (str, str) to ndarray of float64, shape (T,)
        Class and column of `series.csv`; NaN where not known.
    statuses : Counter of str
        How many source frames had which status.
    """

    t_s: Floats
    dose_dpa: Floats
    columns: dict[tuple[str, str], Floats]
    statuses: Counter[str] = field(default_factory=Counter)

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the plots."""
        return _in_order({name for name, _ in self.columns})

    def get(self, name: str, column: str) -> Floats:
        """Return one column of one class."""
        return self.columns[name, column]

    def known(self, column: str) -> bool:
        """Whether a column holds any number."""
        return any(np.isfinite(values).any() for (_, key), values in self.columns.items() if key == column)


def _in_order(names: set[str]) -> list[str]:
    """Put the usual classes in their usual order first, then new ones, then `all`."""
    usual = [name for name in DEFECT_CLASSES if name in names]
    return usual + sorted(names - {*usual, "all"}) + ["all"] * ("all" in names)


def load_curves(folder: Path, most: int = MOST_POINTS) -> Curves:
    """Read `series.csv` piece by piece and keep at most about `most` frames, always the first and the last.

    Frames that are damaged or were never delivered interrupt the curves, and so does a pause much longer than
    the usual time between frames.

    Raises
    ------
    TableError
        If `frames.csv` or `series.csv` cannot be read.
    """
    kept, statuses = _kept_frames(folder / FRAMES.file, most)
    frames = kept["frame"].to_numpy()
    pieces = [
        piece[np.isin(piece["frame"].to_numpy(), frames)] for piece in SERIES.chunks(folder / SERIES.file)
    ]
    rows = pd.concat(pieces)
    t_s = np.where(kept["status"] == "processed", kept["t_s"], np.nan)
    columns: dict[tuple[str, str], Floats] = {}
    for name, part in rows.groupby("defect_class", sort=True):
        place = np.searchsorted(frames, part["frame"].to_numpy())
        for column in SERIES.names[4:]:
            values = np.full(len(frames), np.nan)
            values[place] = part[column].to_numpy()
            columns[str(name), column] = values
    dose = np.full(len(frames), np.nan)
    dose[np.searchsorted(frames, rows["frame"].to_numpy())] = rows["dose_dpa"].to_numpy()
    pauses = _pauses(t_s)
    return Curves(
        np.insert(t_s, pauses, np.nan),
        np.insert(dose, pauses, np.nan),
        {key: np.insert(values, pauses, np.nan) for key, values in columns.items()},
        statuses,
    )


def _kept_frames(path: Path, most: int) -> tuple[pd.DataFrame, Counter[str]]:
    """Every n-th frame that was or should have been processed, and the last one processed."""
    statuses: Counter[str] = Counter()
    for piece in FRAMES.chunks(path, ["status"]):
        statuses.update(piece["status"].value_counts().to_dict())
    stride = max(1, -(-sum(statuses[key] for key in ("processed", "damaged", "gap")) // most))
    kept, passed, last = [], 0, None
    for piece in FRAMES.chunks(path, ["frame", "t_s", "status"]):
        wanted = piece[piece["status"].isin(["processed", "damaged", "gap"])]
        kept.append(wanted[(np.arange(len(wanted)) + passed) % stride == 0])
        passed += len(wanted)
        processed = wanted[wanted["status"] == "processed"]
        last = processed.tail(1) if len(processed) else last
    table = pd.concat([*kept, last] if last is not None else kept)
    return table.drop_duplicates("frame").sort_values("frame"), statuses


def _pauses(t_s: Floats) -> np.ndarray[Any, Any]:
    """Places before which the time since the frame before is more than three times the usual."""
    steps = np.diff(t_s)
    usual = np.nanmedian(steps) if np.isfinite(steps).any() else np.nan
    return np.flatnonzero(steps > 3 * usual) + 1


def longest_time(t_s: Floats) -> float:
    """Largest time of those known, s; 0 where none is."""
    return float(np.nanmax(np.abs(t_s), initial=0.0))


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
        if name != "all" or len(curves.classes) == 1
    )
    return _against_time(curves, "Mean size (nm)", lines)


def hardening_figure(curves: Curves) -> go.Figure:
    """Plot the hardening by all classes against time, added linearly and in quadrature.

    And the share of each class.
    """
    linear, quadrature = "hardening_linear_mpa", "hardening_quadrature_mpa"
    totals = [
        ("all", linear, f"{linear}_lo", f"{linear}_hi", "linear sum", "solid"),
        ("all", quadrature, f"{quadrature}_lo", f"{quadrature}_hi", "quadrature sum", "dash"),
    ]
    shares = [
        (name, linear, "", "", name, "solid")
        for name in curves.classes
        if name != "all" and len(curves.classes) > 2
    ]
    return _against_time(curves, "Hardening (MPa)", [*totals, *shares])


def _shown(curves: Curves) -> list[str]:
    """Classes to plot; `all` says nothing new where there is one class only."""
    return [name for name in curves.classes if name != "all" or len(curves.classes) != 2]


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
            _band(figure, x, curves.get(name, low), curves.get(name, high), colour, words)
        figure.add_scatter(
            x=short(x),
            y=short(values),
            name=spoken(words),
            legendgroup=words,
            mode="lines+markers" if few else "lines",
            line={"color": colour, "width": 1.8 if low else 1.1, "dash": dash},
            marker={"size": 4},
            hovertemplate="%{y:.4~g}",
        )
    lay_out(figure, f"Time ({unit})", title)
    figure.update_layout(hovermode="x unified")
    _dose_axis(figure, x, curves.dose_dpa)
    return figure


def _band(figure: go.Figure, x: Floats, low: Floats, high: Floats, colour: str, group: str) -> None:
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


def load_tracks(folder: Path) -> pd.DataFrame:
    """Read class, size and lifetime of every track."""
    return SUMMARY.read(
        folder / SUMMARY.file,
        ["defect_class", "t_first_s", "lifetime_s", "left_censored", "right_censored", "size_nm"],
    )


def size_histogram(tracks: pd.DataFrame) -> go.Figure:
    """Plot how many tracks have which mean size.

    A panel per class, with its number of tracks and the 95 % Poisson interval of every bar.
    """
    sizes = tracks["size_nm"].to_numpy()
    known = tracks[np.isfinite(sizes)]
    counts = known["defect_class"].value_counts()
    names = [name for name in _in_order(set(counts.index)) if counts[name] >= 1]
    step = round_step(float(np.quantile(known["size_nm"], 0.98)) / 16 or 1.0)
    edges = np.arange(0, math.floor(known["size_nm"].max() / step) + 2) * step
    titles = [f"{spoken(name)}, {counts[name]} track{'' if counts[name] == 1 else 's'}" for name in names]
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
            hovertemplate="%{y} tracks",
            showlegend=False,
        )
    lay_out(figure, "", "")
    figure.update_yaxes(
        title_text="Tracks",
        rangemode="tozero",
        showline=True,
        linecolor="#888",
        ticks="outside",
        gridcolor="#eee",
        nticks=5,
    )
    figure.update_xaxes(showline=True, linecolor="#888", ticks="outside", gridcolor="#eee")
    figure.update_xaxes(title_text="Mean size of the track (nm)", row=len(names), col=1)
    figure.update_annotations(font_size=13)
    figure.update_layout(
        height=max(372, 60 + 150 * len(names)), bargap=0, margin={"t": 28, "b": 50}, showlegend=False
    )
    return figure


def lifetime_figure(tracks: pd.DataFrame) -> go.Figure | None:
    """Plot what share of the tracks that were seen to begin lives longer than a time (Kaplan and Meier).

    With band; None if there are none.
    """
    born = tracks[(tracks["left_censored"] == 0).to_numpy()]
    names = [
        name for name in _in_order(set(born["defect_class"])) if (born["defect_class"] == name).sum() >= 5
    ]
    if not names:
        return None
    unit_s, unit = time_unit(longest_time(born["lifetime_s"].to_numpy(np.float64)))
    colours, figure = class_colours(names), go.Figure()
    for name in names:
        part = born[born["defect_class"] == name]
        ages, share, low, high = _survival(
            part["lifetime_s"].to_numpy(np.float64), part["right_censored"].to_numpy() == 0
        )
        x, colour = np.repeat(ages / unit_s, 2)[1:], hex_colour(colours[name])
        steps = [np.repeat(values, 2)[:-1] for values in (share, low, high)]
        _band(figure, x, steps[1], steps[2], colour, name)
        line = {"color": colour, "width": 1.8}
        words = f"{spoken(name)}, {len(part)} births"
        figure.add_scatter(
            x=short(x),
            y=short(steps[0]),
            name=words,
            legendgroup=name,
            mode="lines",
            line=line,
            hovertemplate="%{y:.2f}",
        )
    lay_out(figure, f"Lifetime ({unit})", "Share that lives longer")
    figure.update_yaxes(range=[0, 1.02])
    return figure


def _survival(
    ages: Floats, died: np.ndarray[Any, np.dtype[np.bool_]]
) -> tuple[Floats, Floats, Floats, Floats]:
    """Kaplan-Meier curve from age 0 on, with its band on the log-log scale (scipy)."""
    found = ecdf(CensoredData(uncensored=ages[died], right=ages[~died])).sf
    t, share = found.quantiles, found.probabilities
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        band = found.confidence_interval(0.95, method="log-log")
    low, high = (
        np.where(np.isfinite(end.probabilities), end.probabilities, share) for end in (band.low, band.high)
    )
    last = float(ages.max())
    out = [np.concatenate([[1.0], values, values[-1:]]) for values in (share, low, high)]
    return np.concatenate([[0.0], t, [last]]), out[0], out[1], out[2]


def quantity_figure(curves: Curves, column: str, title: str) -> go.Figure:
    """Plot a quantity of the classes that have it against time, each with its 95 % interval."""
    named = [name for name in curves.classes if name != "all" and np.isfinite(curves.get(name, column)).any()]
    return _against_time(
        curves, title, ((name, column, f"{column}_lo", f"{column}_hi", name, "solid") for name in named)
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
