"""What a notebook shows of a run: its headline, and its density against time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from insitrack.io.draw.palette import class_colours, hex_colour
from insitrack.io.report.curves import Curves, load_curves, longest_time
from insitrack.io.report.headline import headlines, separate_micrographs
from insitrack.io.units import time_unit

_WIDTH, _HEIGHT, _LEFT, _LOW = 560, 170, 64, 26


def run_html(folder: Path, facts: Mapping[str, Any]) -> str:
    """Return results and curves of a run as HTML, for ``_repr_html_``.

    Raises
    ------
    TableError
        If a table is missing or damaged.
    """
    n = separate_micrographs(facts)
    heads = ("first", "last") if not n else (f"mean over {n} micrographs" if n > 1 else "one micrograph",)
    rows = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(map(Markup("<td>{}</td>").format, _cells(one.shown(), n)))
        )
        for one in headlines(folder, facts)
    )
    plot = Markup("") if n else _plot(load_curves(folder))
    return str(
        Markup("<div><b>{}</b><table><tr><th></th>{}</tr>{}</table>{}<small>{}</small></div>").format(
            folder.resolve().name,
            Markup("").join(map(Markup("<th>{}</th>").format, heads)),
            rows,
            plot,
            folder,
        )
    )


def _cells(one: Mapping[str, Any], n_micrographs: int) -> tuple[str, ...]:
    if one["missing"] and n_micrographs:
        return str(one["words"]), f"{one['state']}, {one['missing']}"
    if one["missing"]:
        return str(one["words"]), str(one["state"]), str(one["missing"])
    head = Markup("{} ({})").format(one["words"], one["unit"]) if one["unit"] else one["words"]
    if n_micrographs:
        return head, f"{one['last']} ({one['interval']})" if one["interval"] else one["last"]
    first = one["first"] or one["last"]
    then = one["first_interval"] if one["first"] else one["interval"]
    return (
        head,
        f"{first} ({then})" if then else first,
        f"{one['last']} ({one['interval']})" if one["interval"] else one["last"],
    )


def _plot(curves: Curves) -> Markup:
    """Density, or the count where the scale is not known, of every class against time, as SVG."""
    column = next((name for name in ("density_per_m3", "density_per_m2") if curves.known(name)), "n")
    known = [
        (name, values)
        for name in curves.found
        if curves.columns and np.isfinite(values := curves.get(name, column)).any()
    ]
    good = np.isfinite(curves.t_s)
    if not known or good.sum() < 2:
        return Markup("")
    unit_s, unit = time_unit(longest_time(curves.t_s))
    t, top = curves.t_s / unit_s, max(float(np.nanmax(values)) for _, values in known) or 1.0
    start, end = float(np.nanmin(t)), float(np.nanmax(t))
    colours = class_colours(curves.classes)
    lines = Markup("").join(
        Markup(
            '<polyline fill="none" stroke="{}" stroke-width="1.6" points="{}"><title>{}</title></polyline>'
        ).format(hex_colour(colours[name]), _points(t, values, (start, end), top), name)
        for name, values in known
    )
    words = {"n": "defects in view", "density_per_m2": "m^-2", "density_per_m3": "m^-3"}[column]
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" role="img" font-size="11"'
        ' font-family="system-ui, sans-serif" fill="currentColor"><path d="M{left} 8V{base}H{w}" fill="none"'
        ' stroke="currentColor" opacity="0.5"/>{lines}<text x="{x}" y="16" text-anchor="end">{top}</text>'
        '<text x="{x}" y="30" text-anchor="end">{words}</text><text x="{left}" y="{foot}">{start} {unit}</text>'
        '<text x="{w}" y="{foot}" text-anchor="end">{end} {unit}</text></svg><br>'
    ).format(
        w=_WIDTH,
        h=_HEIGHT,
        left=_LEFT,
        base=_HEIGHT - _LOW,
        lines=lines,
        x=_LEFT - 6,
        top=f"{top:.3g}",
        words=words,
        foot=_HEIGHT - 8,
        start=f"{start:.3g}",
        end=f"{end:.3g}",
        unit=unit,
    )


def _points(t: Any, values: Any, span: tuple[float, float], top: float) -> str:
    """Places of a curve in the image; gaps are bridged."""
    good = np.isfinite(t) & np.isfinite(values)
    width, height = _WIDTH - _LEFT - 4, _HEIGHT - _LOW - 10
    x = _LEFT + width * (t[good] - span[0]) / max(span[1] - span[0], 1e-12)
    y = 10 + height * (1 - values[good] / top)
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
