"""The table at the end of a page: the values of every class at first and last, or their means over micrographs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from insitrack.io.draw.palette import class_colours, hex_colour
from insitrack.io.report.curves import Curves, in_order
from insitrack.io.tables.columns import STATISTICS

_QUANTITIES = (
    ("n", "n_lo", "n_hi", "Defects", ""),
    ("density_per_m2", "density_per_m2_lo", "density_per_m2_hi", "Per area", Markup("m<sup>-2</sup>")),
    ("density_per_m3", "density_per_m3_lo", "density_per_m3_hi", "Per volume", Markup("m<sup>-3</sup>")),
    ("size_nm", "size_lo_nm", "size_hi_nm", "Mean size", "nm"),
    (
        "hardening_linear_mpa",
        "hardening_linear_mpa_lo",
        "hardening_linear_mpa_hi",
        "Hardening, linear",
        "MPa",
    ),
    (
        "hardening_quadrature_mpa",
        "hardening_quadrature_mpa_lo",
        "hardening_quadrature_mpa_hi",
        "Hardening, quadrature",
        "MPa",
    ),
)


def first_and_last(curves: Curves) -> dict[str, Any] | None:
    """First and last values with their intervals, for every class; None where no frame was processed."""
    processed = np.flatnonzero(np.isfinite(curves.t_s))
    if not processed.size or not curves.columns:
        return None
    places = processed[[0, -1]] if processed.size > 1 else processed
    colours = class_colours(curves.classes)
    heads: list[dict[str, Any]] = []
    cells: dict[str, list[dict[str, str]]] = {name: [] for name in curves.classes}
    for value, low, high, words, unit in _QUANTITIES:
        if not curves.known(value):
            continue
        power = _power(max(float(np.nanmax(curves.get(name, value), initial=0.0)) for name in curves.classes))
        heads.append({"words": words, "power": power, "unit": unit})
        for name in curves.classes:
            for place in places:
                figures = [float(curves.get(name, key)[place]) / 10.0**power for key in (value, low, high)]
                cells[name].append(_with_interval(*figures))
    rows = [
        {"name": name, "colour": hex_colour(colours[name]), "cells": cells[name]} for name in curves.classes
    ]
    return {"heads": heads, "rows": rows, "under": ("first", "last") if processed.size > 1 else ("",)}


def means_and_spread(folder: Path) -> dict[str, Any] | None:
    """Means over separate micrographs with their intervals and standard deviations; None where nothing is known.

    Raises
    ------
    TableError
        If ``statistics.csv`` cannot be read.
    """
    known = STATISTICS.read(folder / STATISTICS.file).query("n > 0").set_index(["quantity", "defect_class"])
    classes = in_order(set(known.index.get_level_values("defect_class")))
    colours = class_colours(classes)
    heads: list[dict[str, Any]] = []
    cells: dict[str, list[dict[str, str]]] = {name: [] for name in classes}
    for value, _, _, words, unit in _QUANTITIES:
        if value not in known.index.get_level_values("quantity"):
            continue
        rows = known.loc[value]
        power = _power(float(rows["mean"].max()))
        heads.append({"words": words, "power": power, "unit": unit})
        for name in classes:
            mean, lo, hi, sd = (
                (float(rows.loc[name, key]) / 10.0**power for key in ("mean", "lo", "hi", "sd"))
                if name in rows.index
                else (math.nan,) * 4
            )
            cells[name] += [_with_interval(mean, lo, hi), _with_interval(sd, math.nan, math.nan)]
    rows_shown = [
        {"name": name, "colour": hex_colour(colours[name]), "cells": cells[name]} for name in classes
    ]
    return {"heads": heads, "rows": rows_shown, "under": ("mean", "sd")} if heads else None


def _power(largest: float) -> int:
    """Power of ten to take out of a column; 0 where its numbers read well as they are."""
    return 0 if not math.isfinite(largest) or largest < 1e4 else math.floor(math.log10(largest))


def _with_interval(value: float, low: float, high: float) -> dict[str, str]:
    """Print value and interval; empty where not known."""
    if not math.isfinite(value):
        return {"value": "", "interval": ""}
    known = math.isfinite(low) and math.isfinite(high)
    return {"value": f"{value:.3g}", "interval": f"{low:.3g} to {high:.3g}" if known else ""}
