"""Figures for a paper: density, size and hardening with their 95 % bands, as PDF with live text and as PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from insitrack.io.draw.palette import class_colours, hex_colour
from insitrack.io.units import time_unit

if TYPE_CHECKING:
    import pandas as pd

WIDTH_MM = {"one": 88.0, "two": 180.0}
"""Widths of one and of two columns of most journals."""

_RUN_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#8c6bb1")
_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "DejaVu Sans"],
    "font.size": 7.5,
    "axes.linewidth": 0.6,
    "axes.titlesize": 7.5,
    "lines.linewidth": 1.1,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "legend.frameon": False,
    "legend.fontsize": 6.8,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "mathtext.default": "regular",
}
Axis = Literal["time", "dose"]
Panel = tuple[str, str, str, str]
"""Columns of a value and its limits, and the label of the axis."""

PANELS = (
    ("density_per_m3", "density_per_m3_lo", "density_per_m3_hi", "Density (m$^{-3}$)"),
    ("density_per_m2", "density_per_m2_lo", "density_per_m2_hi", "Density (m$^{-2}$)"),
    ("size_nm", "size_lo_nm", "size_hi_nm", "Mean size (nm)"),
    ("line_density_per_m2", "line_density_per_m2_lo", "line_density_per_m2_hi", "Line density (m$^{-2}$)"),
    ("swelling_percent", "swelling_percent_lo", "swelling_percent_hi", "Swelling (%)"),
    ("hardening_linear_mpa", "hardening_linear_mpa_lo", "hardening_linear_mpa_hi", "Hardening (MPa)"),
)
"""Quantities in the order in which they are drawn; those that are not known are left out."""


def write_figures(table: pd.DataFrame, folder: Path, *, against: Axis = "time") -> list[Path]:
    """Draw a tidy table of one run, or several to compare, and write ``figure.pdf`` and ``figure.png``.

    One run: a panel per quantity, a curve per class. Several: a panel per quantity and class, a curve per
    run.

    Parameters
    ----------
    table : DataFrame
        As `insitrack.io.tables.tidy.tidy` makes it.
    folder : Path
        Where to write.
    against : {"time", "dose"}
        Horizontal axis.
    """
    import matplotlib as mpl

    runs, classes = list(dict.fromkeys(table["run"])), list(dict.fromkeys(table["defect_class"]))
    shown = _worth_showing(table, classes)
    panels = _known_panels(table)
    powers = [_power(table, panel[0]) for panel in panels]
    table = table.copy()
    for power, panel in zip(powers, panels, strict=True):
        scaled = [
            name
            for name in (*panel[:3], *(part.replace("linear", "quadrature") for part in panel[:3]))
            if name in table
        ]
        table[list(dict.fromkeys(scaled))] /= 10.0**power
    panels = [
        (*panel[:3], panel[3].replace("(", f"(10$^{{{power}}}$ ") if power else panel[3])
        for power, panel in zip(powers, panels, strict=True)
    ]
    with mpl.rc_context(_STYLE):
        if len(runs) == 1:
            figure, axes = _figure_of_one(table, panels, shown, against)
        else:
            figure, axes = _figure_of_several(table, panels, shown, runs, against)
        for axis in np.ravel(axes[-1:]):
            axis.set_xlabel(_axis(table, against)[1])
        for axis in np.ravel(axes):
            _keep_the_curves_in_view(axis)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once for both files: that takes longer than drawing
        paths = [folder / "figure.pdf", folder / "figure.png"]
        figure.savefig(paths[0], metadata={"CreationDate": None, "Creator": "insitrack"})
        figure.savefig(paths[1], dpi=300)
    return paths


def _figure_of_one(
    table: pd.DataFrame, panels: list[Panel], shown: list[str], against: Axis
) -> tuple[Any, Any]:
    """Draw a panel per quantity, a curve per class."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_MM["one"] / 25.4, 1.55 * len(panels) + 0.75), layout="constrained")
    axes = np.atleast_1d(figure.subplots(len(panels), 1, sharex=True))
    for axis, panel in zip(axes, panels, strict=True):
        _one_run(axis, table, panel, shown, against)
    _legend(figure, axes)
    return figure, axes


def _figure_of_several(
    table: pd.DataFrame, panels: list[Panel], shown: list[str], runs: list[str], against: Axis
) -> tuple[Any, Any]:
    """Draw a panel per quantity and class, a curve per run."""
    from matplotlib.figure import Figure

    wide = max(1, len(shown))
    figure = Figure(
        figsize=(min(WIDTH_MM["two"], 40 + 52 * wide) / 25.4, 1.5 * len(panels) + 0.8), layout="constrained"
    )
    axes = figure.subplots(len(panels), wide, sharex=True, squeeze=False)
    for row, panel in zip(axes, panels, strict=True):
        for axis, name in zip(row, shown, strict=True):
            _compare(axis, table[table["defect_class"] == name], panel, runs, against)
        row[0].set_ylabel(panel[3])
    for axis, name in zip(axes[0], shown, strict=True):
        axis.set_title(name.replace("_", " ") if name != "all" else "all classes")
    _legend(figure, axes.ravel())
    return figure, axes


def _keep_the_curves_in_view(axis: Any) -> None:
    """Begin at zero and end where curves are still seen: a band may be wider than the panel."""
    tops = [float(np.nanmax(line.get_ydata())) for line in axis.lines if np.isfinite(line.get_ydata()).any()]
    top = axis.get_ylim()[1]
    axis.set_ylim(0, min(top, 4 * max(tops)) if tops and max(tops) > 0 else top)


def _worth_showing(table: pd.DataFrame, classes: list[str]) -> list[str]:
    """Classes of which there is at least one defect at a time, and one in fifty of all.

    `all` where there are several.
    """
    mean = table.groupby("defect_class")["n"].mean()
    total = float(mean.get("all", mean.sum()))
    shown = [name for name in classes if name != "all" and mean[name] >= max(1.0, 0.02 * total)]
    return [*shown, "all"] if len(shown) != 1 else shown


def _power(table: pd.DataFrame, name: str) -> int:
    """Power of ten to take out of an axis; 0 where its numbers read well as they are."""
    largest = float(table[name].max())
    return int(np.floor(np.log10(largest))) if largest >= 1e4 or 0 < largest < 1e-2 else 0


def _known_panels(table: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    known = [panel for panel in PANELS if panel[0] in table and table[panel[0]].notna().any()]
    names = [panel[0] for panel in known]
    if "density_per_m3" in names and "density_per_m2" in names:
        known = [panel for panel in known if panel[0] != "density_per_m2"]
    return [panel for panel in known if panel[0] != "swelling_percent" or (table[panel[0]] > 0).any()] or [
        ("n", "n_lo", "n_hi", "Defects in view")
    ]


def _axis(table: pd.DataFrame, against: Axis) -> tuple[float, str]:
    """Divisor and title of the horizontal axis."""
    if against == "dose":
        return 1.0, "Dose (dpa)"
    unit_s, unit = time_unit(float(table["t_s"].abs().max()))
    return unit_s, f"Time ({unit})"


def _xy(table: pd.DataFrame, rows: pd.DataFrame, against: Axis) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(
        rows["dose_dpa" if against == "dose" else "t_s"].to_numpy(np.float64) / _axis(table, against)[0]
    )


def _curve(
    axis: Any,
    x: Any,
    rows: pd.DataFrame,
    panel: Panel,
    colour: str,
    label: str,
    dash: str = "-",
) -> None:
    value, low, high, _ = panel
    if not rows[value].notna().any():
        return
    marker = {"marker": "o", "markersize": 2.0} if len(rows) <= 30 else {}
    axis.plot(x, rows[value], color=colour, label=label, linestyle=dash, **marker)
    axis.fill_between(x, rows[low], rows[high].fillna(rows[value]), color=colour, alpha=0.18, linewidth=0)


def _one_run(axis: Any, table: pd.DataFrame, panel: Panel, shown: list[str], against: Axis) -> None:
    colours = class_colours(list(dict.fromkeys(table["defect_class"])))
    hardening = panel[0] == "hardening_linear_mpa"
    for name in (
        ["all"]
        if hardening
        else [name for name in shown if panel[0] != "size_nm" or name != "all" or len(shown) == 1]
    ):
        rows = table[table["defect_class"] == name]
        x = _xy(table, rows, against)
        _curve(
            axis,
            x,
            rows,
            panel,
            hex_colour(colours[name]),
            "linear sum" if hardening else name.replace("_", " "),
        )
        if hardening:
            squared = tuple(part.replace("linear", "quadrature") for part in panel)
            _curve(axis, x, rows, squared, "#777777", "quadrature sum", "--")  # type: ignore[arg-type]
    axis.set_ylabel(panel[3])
    if hardening:
        axis.legend(loc="best")


def _compare(axis: Any, rows: pd.DataFrame, panel: Panel, runs: list[str], against: Axis) -> None:
    for i, run in enumerate(runs):
        mine = rows[rows["run"] == run]
        _curve(axis, _xy(rows, mine, against), mine, panel, _RUN_COLOURS[i % len(_RUN_COLOURS)], run)


def _legend(figure: Any, axes: Any) -> None:
    """One legend above all panels, of what the first panel that has curves shows."""
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside upper center", ncols=min(4, len(labels)))
            return
