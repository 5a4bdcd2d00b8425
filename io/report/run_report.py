"""One self-contained HTML page per run, which opens without a network: pictures and plots first, then tables."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from insitrack.io.draw.palette import class_colours, hex_colour
from insitrack.io.manifest import RunManifest
from insitrack.io.report.curves import Curves, load_curves, load_tracks, longest_time
from insitrack.io.report.page import head, note, picture_block, plot, safe
from insitrack.io.report.run_plots import density_figure, hardening_figure, quantity_figure, size_figure
from insitrack.io.report.track_plots import lifetime_figure, size_histogram
from insitrack.io.tables.columns import KINETICS, TABLES
from insitrack.io.units import time_unit
from insitrack.io.write import write_text

REPORT = "report.html"


def write_report(
    folder: Path, pictures: Mapping[str, bytes], manifest: RunManifest | Mapping[str, Any]
) -> Path:
    """Write `report.html` from the tables of a finished run.

    Parameters
    ----------
    folder : Path
        Output folder with the tables.
    pictures : mapping of str to bytes
        PNG files of the annotated frames, `first` and `last`; either may be missing.
    manifest : RunManifest or mapping
        What was run; the contents of `run.json` do as well.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    TableError
        If a table is missing or damaged.
    OutputError
        If the page cannot be written.
    """
    facts = dataclasses.asdict(manifest) if isinstance(manifest, RunManifest) else dict(manifest)
    page = "\n".join(_page(folder, pictures, facts))
    return write_text(folder / REPORT, page)


def _page(folder: Path, pictures: Mapping[str, bytes], facts: Mapping[str, Any]) -> list[str]:
    curves, tracks = load_curves(folder), load_tracks(folder)
    name = _source_name(facts, folder)
    plots = _time_plots(curves, facts)
    histograms = []
    if len(tracks):
        lives = lifetime_figure(tracks)
        told = note("Lifetimes", "No class has five births in view, so there is nothing to plot.")
        histograms = [
            _size_histogram(tracks, facts),
            plot("lifetimes", "Lifetimes", lives) if lives is not None else told,
        ]
    return [
        head(f"{name} - insitrack"),
        f"<h1>{safe(name)}</h1>",
        (
            f'<p class="facts">{"".join(f"<span>{safe(fact)}</span>" for fact in _key_facts(curves, len(tracks), facts))}</p>'
        ),
        _warnings(facts),
        '<div class="two">'
        + "".join(
            picture_block(pictures[key], f"{words}, defects outlined", words)
            for key, words in _CAPTIONS.items()
            if key in pictures
        )
        + "</div>",
        "<h2>Against time</h2>",
        _COLOUR_NOTE,
        '<div class="two">' + "".join(plots) + "</div>",
        "<h2>Tracks</h2>" if histograms else "",
        '<div class="two">' + "".join(histograms) + "</div>",
        *_kinetics(folder, facts),
        *_choices(facts),
        "<h2>First and last frame</h2>",
        _first_and_last(curves),
        "<h2>Files</h2>",
        _files(folder),
        "<h2>Settings and origins</h2>",
        _provenance(facts),
        "</body></html>\n",
    ]


_CAPTIONS = {"first": "First processed frame", "last": "Last processed frame"}
_COLOUR_NOTE = (
    '<p class="facts">Bands are 95 % intervals. Click a name to hide or show it, drag to zoom, double-click'
    " to go back.</p>"
)


def _source_name(facts: Mapping[str, Any], folder: Path) -> str:
    source = facts.get("source") or {}
    text = source.get("name") or source.get("uri") or source.get("path") or folder.resolve().name
    return str(text).rstrip("/").rsplit("/", 1)[-1]


def _key_facts(curves: Curves, n_tracks: int, facts: Mapping[str, Any]) -> list[str]:
    """List what a reader wants to know first, as far as it is known."""
    calibration, model = facts.get("calibration") or {}, facts.get("model") or {}
    unit_s, unit = time_unit(longest_time(curves.t_s))
    processed, total = curves.statuses["processed"], sum(curves.statuses.values())
    missing = ", ".join(
        f"{n} {status}" for status, n in sorted(curves.statuses.items()) if status != "processed" and n
    )
    words = [f"{processed} of {total} frames" + (f" ({missing})" if missing else "")]
    if np.isfinite(curves.t_s).any():
        words.append(f"{(np.nanmax(curves.t_s) - np.nanmin(curves.t_s)) / unit_s:.4g} {unit}")
    if np.isfinite(curves.dose_dpa).any():
        words.append(f"{np.nanmax(curves.dose_dpa):.3g} dpa")
    words.append(f"{n_tracks} tracks")
    scale, thickness = calibration.get("nm_per_px"), calibration.get("thickness_nm")
    words.append(f"{scale:.4g} nm/px" if scale else "scale unknown")
    words.append(f"foil {thickness:.4g} nm" if thickness else "foil thickness unknown")
    words += [f"model {model['name']}"] if model.get("name") else []
    return words + ([str(facts["finished"])[:16].replace("T", " ")] if facts.get("finished") else [])


def _warnings(facts: Mapping[str, Any]) -> str:
    status, parts = facts.get("status", "done"), []
    if status not in ("done", "running"):
        parts.append(f'<div class="warnings failed">This run was not finished: {safe(status)}.</div>')
    warnings = facts.get("warnings") or []
    if warnings:
        parts.append(
            f'<div class="warnings"><ul>{"".join(f"<li>{safe(text)}</li>" for text in warnings)}</ul></div>'
        )
    return "".join(parts)


def _time_plots(curves: Curves, facts: Mapping[str, Any]) -> list[str]:
    if not curves.columns:
        return [note("Defects", "No frame was processed, so there is nothing to plot.")]
    plots = []
    if curves.known("density_per_m2"):
        plots.append(
            plot(
                "density",
                "Defects per area",
                density_figure(curves, "density_per_m2", "Areal density (m<sup>-2</sup>)"),
            )
        )
    else:
        plots.append(plot("count", "Number of defects", density_figure(curves, "n", "Defects in view")))
    if curves.known("density_per_m3"):
        plots.append(
            plot(
                "volume",
                "Defects per volume",
                density_figure(curves, "density_per_m3", "Volume density (m<sup>-3</sup>)"),
            )
        )
    if curves.known("size_nm"):
        plots.append(plot("size", "Mean size", size_figure(curves)))
    else:
        plots.append(note("Mean size", f"Empty: {_lacking(facts, ('nm_per_px',))}."))
    if curves.known("hardening_linear_mpa"):
        plots.append(
            plot("hardening", "Hardening by the defects seen: a lower bound", hardening_figure(curves))
        )
    else:
        plots.append(
            note("Hardening", f"Empty: {_lacking(facts, ('nm_per_px', 'thickness_nm', 'material'))}.")
        )
    for column, key, heading, title in _WHERE_KNOWN:
        if curves.known(column) and any(
            np.nanmax(curves.get(name, column), initial=0.0) > 0 for name in curves.classes
        ):
            plots.append(plot(key, heading, quantity_figure(curves, column, title)))
    return plots


_WHERE_KNOWN = (
    ("line_density_per_m2", "lines", "Line dislocations", "Line density (m<sup>-2</sup>)"),
    ("swelling_percent", "swelling", "Swelling by voids", "Swelling (%)"),
    ("volume_fraction", "fraction", "Volume fraction of voids and precipitates", "Volume fraction"),
)


def _lacking(facts: Mapping[str, Any], needed: tuple[str, ...]) -> str:
    """Say which figures are not known and how to give them."""
    given = {**(facts.get("calibration") or {}), "material": facts.get("material")}
    words = {
        "nm_per_px": "the scale (<code>--nm-per-px</code>)",
        "thickness_nm": "the foil thickness (<code>--thickness-nm</code>)",
        "material": "the barrier strengths (<code>--material</code>)",
    }
    absent = [words[name] for name in needed if not given.get(name)]
    if not absent:
        return "nothing in the series could be measured"
    return f"it needs {' and '.join(absent)}"


def _size_histogram(tracks: Any, facts: Mapping[str, Any]) -> str:
    if np.isfinite(tracks["size_nm"].to_numpy()).any():
        return plot("sizes", "Sizes of the tracks", size_histogram(tracks))
    return note("Sizes of the tracks", f"Empty: {_lacking(facts, ('nm_per_px',))}.")


_QUANTITIES = (
    ("n", "n_lo", "n_hi", "Defects", ""),
    ("density_per_m2", "density_per_m2_lo", "density_per_m2_hi", "Per area", "m<sup>-2</sup>"),
    ("density_per_m3", "density_per_m3_lo", "density_per_m3_hi", "Per volume", "m<sup>-3</sup>"),
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


def _first_and_last(curves: Curves) -> str:
    """Table of first and last values with their intervals."""
    processed = np.flatnonzero(np.isfinite(curves.t_s))
    if not processed.size or not curves.columns:
        return '<p class="note">No frame was processed.</p>'
    colours = class_colours(curves.classes)
    heads, belows, rows = "", "", dict.fromkeys(curves.classes, "")
    for value, low, high, words, unit in _QUANTITIES:
        if not curves.known(value):
            continue
        power = _power(max(float(np.nanmax(curves.get(name, value), initial=0.0)) for name in curves.classes))
        scaled = (f"10<sup>{power}</sup> " if power else "") + unit
        heads += f'<th class="number" colspan="2">{words}{", " if scaled else ""}{scaled}</th>'
        belows += '<th class="number first">first</th><th class="number">last</th>'
        for name in curves.classes:
            for place, kind in zip(processed[[0, -1]], ("number first", "number"), strict=True):
                figures = [float(curves.get(name, key)[place]) / 10.0**power for key in (value, low, high)]
                rows[name] += f'<td class="{kind}">{_with_interval(*figures)}</td>'
    body = "".join(
        '<tr><td class="name"><span class="swatch"'
        f' style="background:{hex_colour(colours[name])}"></span>{safe(name)}</td>{cells}</tr>'
        for name, cells in rows.items()
    )
    return (
        '<div class="wide"><table'
        f' class="values"><tr><th>Class</th>{heads}</tr><tr><th></th>{belows}</tr>{body}</table></div>'
    )


def _power(largest: float) -> int:
    """Power of ten to take out of a column; 0 where its numbers read well as they are."""
    return 0 if not math.isfinite(largest) or largest < 1e4 else math.floor(math.log10(largest))


def _with_interval(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return '<span class="interval">not known</span>'
    known = math.isfinite(low) and math.isfinite(high)
    return f"{value:.3g}" + (f'<br><span class="interval">{low:.3g} to {high:.3g}</span>' if known else "")


_KIND_NOTES = {
    "refined": (
        "The tables were refined with hindsight: gaps closed, finds of one or two frames left out, noise"
        " taken out, misses filled in. What was known frame by frame is in causal/; the annotated movie and"
        " the pictures show that."
    ),
    "edited": "Tracks were corrected by hand; run.json lists every edit.",
}


def _kinetics(folder: Path, facts: Mapping[str, Any]) -> list[str]:
    """Table of lifetimes, growth and rates, where the run has one, and what kind of tables these are."""
    kind = _KIND_NOTES.get(str(facts.get("tables")), "")
    told = [f'<p class="note">{kind}</p>'] if kind else []
    if not (folder / KINETICS.file).is_file():
        return told
    rows = []
    for one in KINETICS.read(folder / KINETICS.file).to_dict("records"):
        value, lo, hi = (f"{one[key]:.3g}" if np.isfinite(one[key]) else "" for key in ("value", "lo", "hi"))
        band = f"{lo or '?'} to {hi or '?'}" if lo or hi else ""
        rows.append(
            f"<tr><td><code>{safe(one['quantity'])}</code></td><td"
            f' class="name">{safe(one["defect_class"])}</td><td class="number">{value}</td><td'
            f' class="number">{band}</td><td class="number">{one["n"]}</td><td'
            f' style="padding-left:1em">{safe(one["method"])}</td></tr>'
        )
    if not rows:
        return told
    head = "<tr><th>Quantity</th><th>Class</th><th>Value</th><th>Interval</th><th>n</th><th>How</th></tr>"
    return [
        *told,
        "<h2>Kinetics</h2>",
        f'<div class="wide"><table class="values">{head}{"".join(rows)}</table></div>',
    ]


def _choices(facts: Mapping[str, Any]) -> list[str]:
    """Methods ready to paste, and every choice on which the literature disagrees, on one screen."""
    parts = []
    if facts.get("methods"):
        parts += ["<h2>Methods, ready to paste</h2>", f'<p class="methods">{safe(facts["methods"])}</p>']
    if facts.get("choices"):
        rows = "".join(
            "<tr><td"
            f' class="number">{one["number"]}</td><td>{safe(one["topic"])}</td><td>{safe(one["value"])}</td>'
            f"<td><code>{safe(one['setting'])}</code></td><td>{safe(one['effect'])}</td></tr>"
            for one in facts["choices"]
        )
        head = "<tr><th></th><th>What</th><th>Here</th><th>Setting</th><th>Size of the effect</th></tr>"
        parts += [
            "<h2>Choices behind the numbers</h2>",
            f'<div class="wide"><table class="choices">{head}{rows}</table></div>',
        ]
    return parts


def _files(folder: Path) -> str:
    """Links to what the run wrote, and what its columns mean."""
    rows = [
        f'<tr><td><a href="{name}">{name}</a></td><td>{words}</td></tr>'
        for name, words in _OTHER_FILES
        if (folder / name).is_file()
    ]
    for table in (*TABLES.values(), KINETICS):
        if (folder / table.file).is_file():
            rows.append(
                f'<tr><td><a href="{table.file}">{table.file}</a></td><td>one row per'
                f" {safe(table.one_row_per).replace('`', '')}</td></tr>"
            )
    columns = "".join(
        f"<tr><td>{table.file}</td><td><code>{column.name}</code></td><td>{safe(column.unit)}</td><td>{safe(column.meaning)}</td></tr>"
        for table in (*TABLES.values(), KINETICS)
        for column in table.columns
    )
    head = "<tr><th>Table</th><th>Column</th><th>Unit</th><th>Meaning</th></tr>"
    return (
        f"<table>{''.join(rows)}</table><details><summary>Columns and units</summary><div"
        f' class="wide"><table>{head}{columns}</table></div></details>'
    )


_OTHER_FILES = (
    ("annotated.mp4", "the movie with outlines and ids"),
    ("run.json", "every setting and origin"),
)


def _provenance(facts: Mapping[str, Any]) -> str:
    """One collapsed table per part of the manifest."""
    parts = []
    for key in ("source", "model", "calibration", "material", "settings", "results", "versions"):
        rows = _flat(facts.get(key) or {})
        if rows:
            cells = "".join(
                f'<tr><td><code>{safe(name)}</code></td><td class="value">{safe(value)}</td></tr>'
                for name, value in rows
            )
            opened = " open" if key in ("source", "calibration") else ""
            parts.append(
                f"<details{opened}><summary>{key.capitalize()}</summary><table>{cells}</table></details>"
            )
    command = " ".join(map(str, facts.get("command") or []))
    return (f"<p><code>{safe(command)}</code></p>" if command else "") + "".join(parts)


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested mappings as dotted names and printed values."""
    if isinstance(value, Mapping):
        return [
            row for key, item in value.items() for row in _flat(item, f"{name}.{key}" if name else str(key))
        ]
    if value is None:
        return [(name, "not given")]
    if isinstance(value, (list, tuple)):
        return [(name, ", ".join(map(str, value)))]
    return [(name, f"{value:.6g}" if isinstance(value, float) else str(value))]
