"""The tables of a run: every column's name, type, unit and meaning."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from insitrack.io.results import SeriesRow
from insitrack.io.tables.engine import Column, Table
from insitrack.io.tables.outlines.masks import MASKS, STREAM
from insitrack.io.tables.records import EDITS as EDITS
from insitrack.io.tables.records import KINETICS as KINETICS
from insitrack.io.tables.records import MARKS as MARKS
from insitrack.io.tables.records import MSD as MSD
from insitrack.io.tables.records import SETTINGS as SETTINGS

if TYPE_CHECKING:
    import pandas as pd


def _integer(name: str, meaning: str, unit: str = "") -> Column:
    return Column(name, "int", unit, meaning, "%d")


def _flag(name: str, meaning: str) -> Column:
    return Column(name, "bool", "0 or 1", meaning, "%d")


def _text(name: str, meaning: str) -> Column:
    return Column(name, "text", "", meaning, "%s")


def _float(name: str, unit: str, meaning: str, pattern: str) -> Column:
    return Column(name, "float", unit, meaning, pattern)


def _earlier(name: str, unit: str, meaning: str, pattern: str) -> Column:
    """Make a column that tables of versions before 0.2.0 lack."""
    return Column(name, "float", unit, meaning, pattern, optional=True)


_TRUST = "probability that the model knows frames like this; below series.least_trust only counts are given"
_DISTRUST = "what speaks against it: lattice pores surface drawing noise unlike view size regular sudden"
_FRAME = _integer("frame", "number of the frame in its source, from 0")
_TIME = _float("t_s", "s", "time of the frame, from the source's timestamps", "%.6f")
_TRACK = _integer("track_id", "track, unique in the run, never used twice")
_CLASS = _text("defect_class", "class name")


TRACKS = Table(
    "tracks.csv",
    "defect and frame",
    (
        _FRAME,
        _TIME,
        _TRACK,
        _CLASS,
        _float("score", "", "confidence of the segmenter, 0..1; empty where not observed", "%.4f"),
        _float("x_px", "px", "centre of the mask, to the right", "%.3f"),
        _float("y_px", "px", "centre of the mask, downwards", "%.3f"),
        _float("x1_px", "px", "left edge of the box", "%.2f"),
        _float("y1_px", "px", "top edge of the box", "%.2f"),
        _float("x2_px", "px", "right edge of the box", "%.2f"),
        _float("y2_px", "px", "bottom edge of the box", "%.2f"),
        _float("area_px", "px^2", "pixels in the mask", "%.0f"),
        _float("major_px", "px", "major axis of the ellipse with the mask's second moments", "%.3f"),
        _float("minor_px", "px", "minor axis of the same ellipse", "%.3f"),
        _float(
            "angle_deg",
            "degree",
            "direction of the major axis, 0..180, clockwise from x on the screen",
            "%.1f",
        ),
        _flag("on_edge", "1 where the mask touches the border of the field"),
        _float("size_nm", "nm", "size by the definition of its class", "%.4f"),
        _float("area_nm2", "nm^2", "area of the mask", "%.4f"),
        _flag(
            "observed",
            "0 where the defect was not seen in this frame but is alive in a gap, or was filled in with"
            " hindsight",
        ),
        _float(
            "line_length_nm",
            "nm",
            "length of a line dislocation along its middle; empty for other classes",
            "%.4f",
        ),
        _integer("causal_id", "track of this observation in the causal table; -1 where a gap was filled in"),
        _float(
            "x_sd_px",
            "px",
            "standard deviation of x_px, where the noise was taken out with hindsight; else empty",
            "%.3f",
        ),
        _float("y_sd_px", "px", "the same of y_px", "%.3f"),
        _float("size_sd_nm", "nm", "the same of size_nm", "%.4f"),
        _flag(
            "on_exclusion_edge",
            "1 where the mask touches the left or lower border of the field: not counted by the rule of"
            " Gundersen",
        ),
        _float("feret_px", "px", "longest caliper extent of the mask", "%.2f"),
        _float("r_min_px", "px", "nearest corner of the convex hull, from the mean of its corners", "%.2f"),
        _float("r_max_px", "px", "farthest corner, likewise", "%.2f"),
        _float(
            "heywood",
            "",
            "circularity of the convex hull, perimeter over that of the circle of equal area; 1 for a circle",
            "%.3f",
        ),
        Column(
            "probability",
            "float",
            "",
            "probability that the defect is there, 0..1; in the causal table from this frame and those before;"
            " empty in tables of versions before 0.2.0",
            "%.4f",
            optional=True,
        ),
    ),
)

DOUBTED = Table(
    "doubted.csv",
    "find that is more likely none than a defect, as it was known frame by frame",
    TRACKS.columns,
)

_SERIES_MEANING = {
    "dose_dpa": ("dpa", "dose, from the dose rate and the time", "%.6g"),
    "n": ("", "defects that are there: seen, or alive in a gap", "%g"),
    "n_lo": (
        "",
        "lower end of the 95 % interval of n: exact Poisson, and what the detector gets wrong where that is known",
        "%.4f",
    ),
    "n_hi": ("", "upper end of the same interval", "%.4f"),
    "n_observed": ("", "defects that the segmenter saw in this frame", "%g"),
    "births": ("", "tracks that began in this frame", "%g"),
    "deaths": ("", "tracks given up in this frame", "%g"),
    "field_nm2": ("nm^2", "area of specimen in view", "%.6g"),
    "density_per_m2": ("m^-2", "defects per area", "%.6g"),
    "density_per_m3": ("m^-3", "defects per volume", "%.6g"),
    "size_nm": ("nm", "mean size", "%.4f"),
    "size_sd_nm": ("nm", "standard deviation of the sizes in this frame", "%.4f"),
    "size_lo_nm": ("nm", "lower end of the 95 % interval of the mean size", "%.4f"),
    "size_hi_nm": ("nm", "upper end of the same interval", "%.4f"),
    "hardening_linear_mpa": ("MPa", "hardening, contributions of the classes added", "%.4f"),
    "hardening_quadrature_mpa": ("MPa", "hardening, root of the sum of squared contributions", "%.4f"),
    "line_length_nm": ("nm", "length of all line dislocations in view; empty for other classes", "%.4f"),
    "n_counted": ("", "defects that count towards the densities, by the border rule", "%g"),
    "volume_fraction": (
        "",
        "volume of these defects over that of the foil; voids and precipitates only",
        "%.6g",
    ),
    "swelling_percent": (
        "%",
        "swelling by voids, by the denominator that series.swelling_denominator names",
        "%.6g",
    ),
    "hardening_mixed_mpa": (
        "MPa",
        "hardening by the rule of series.superposition; empty where that is none",
        "%.4f",
    ),
    "temperature_c": ("degree C", "temperature, from the log", "%.2f"),
    "beam_current_a": ("A", "beam current, from the log", "%.4g"),
    "line_density_per_m2": (
        "m^-2",
        "line length per volume, with the factor 4/pi unless series.line_four_over_pi is false",
        "%.6g",
    ),
}


def _series_column(name: str) -> Column:
    if name in ("frame", "t_s", "defect_class"):
        return {"frame": _FRAME, "t_s": _TIME, "defect_class": _text("defect_class", "class name, or `all`")}[
            name
        ]
    if name in _SERIES_MEANING:
        unit, meaning, pattern = _SERIES_MEANING[name]
        return _float(name, unit, meaning, pattern)
    unit, _, pattern = _SERIES_MEANING[name[:-3]]
    return _float(
        name,
        unit,
        f"{'lower' if name.endswith('lo') else 'upper'} end of the 95 % interval of {name[:-3]}",
        pattern,
    )


SERIES = Table(
    "series.csv",
    "frame and class, and `all`",
    tuple(_series_column(f.name) for f in dataclasses.fields(SeriesRow)),
)

SUMMARY = Table(
    "summary.csv",
    "track",
    (
        _TRACK,
        _text("defect_class", "class with the largest sum of scores over the track's life"),
        _float("t_first_s", "s", "first seen", "%.6f"),
        _float("t_last_s", "s", "last seen", "%.6f"),
        _float("lifetime_s", "s", "time between first and last seen", "%.6f"),
        _flag(
            "left_censored", "1 where it was there in the first frame of the view or entered at the border"
        ),
        _flag(
            "right_censored",
            "1 where it was alive in the last frame of the view, left at the border or merged",
        ),
        _integer("n_observed", "frames in which it was seen"),
        _float("size_nm", "nm", "mean size", "%.4f"),
        _float(
            "growth_nm_per_s",
            "nm/s",
            "slope of size against time: Theil-Sen with hindsight, least squares in the causal table",
            "%.6g",
        ),
        _float(
            "net_displacement_nm",
            "nm",
            "from where it was first seen to where it was last seen, drift removed",
            "%.4f",
        ),
        _float(
            "growth_lo_nm_per_s",
            "nm/s",
            "lower end of the 95 % interval of the growth, with hindsight only",
            "%.6g",
        ),
        _float("growth_hi_nm_per_s", "nm/s", "upper end of the same interval", "%.6g"),
        _float("class_probability", "", "share of the sum of scores that speaks for its class, 0..1", "%.4f"),
    ),
)

EVENTS = Table(
    "events.csv",
    "event",
    (
        _FRAME,
        _TIME,
        _text("kind", "birth, death, merge, split, gap, or view: the first frame of another view"),
        _integer("track_id", "track, unique in the run, never used twice; -1 for a view"),
        _integer("other_id", "the other track of a merge or split, else -1"),
    ),
)

FRAMES = Table(
    "frames.csv",
    "source frame",
    (
        _FRAME,
        _TIME,
        _text("status", "processed, skipped, damaged, dropped or gap"),
        _float(
            "shift_x_px",
            "px",
            "motion of the specimen in the frame since the first one of the view, to the right",
            "%.3f",
        ),
        _float("shift_y_px", "px", "the same, downwards", "%.3f"),
        _float(
            "n_detections",
            "",
            "defects that the segmenter saw; empty where the frame was not processed",
            "%g",
        ),
        _float(
            "drift_quality",
            "",
            "correlation with the reference frame, 0..1; 0 where the shift is not known and the last one"
            " was kept",
            "%.3f",
        ),
        _float("field_px", "px^2", "specimen in view; 0 where the frame shows none", "%.0f"),
        _float("width_px", "px", "width of the frame", "%.0f"),
        _float("height_px", "px", "height of the frame", "%.0f"),
        _earlier(
            "view",
            "",
            "number of the view, from 0: one more after every jump to another place or magnification; tracks end"
            " there, and shifts start again",
            "%.0f",
        ),
        _earlier(
            "nm_per_px",
            "nm",
            "scale of this frame; empty where unknown, as after a new magnification",
            "%.6g",
        ),
        _earlier("trust", "", _TRUST, "%.3f"),
        Column("distrust", "text", "", _DISTRUST, "%s", optional=True),
    ),
)


def _plain(name: str, unit: str, meaning: str) -> Column:
    return _float(name, unit, meaning, "%.6g")


_CLASS_OR_ALL = _text("defect_class", "class name, or `all`")

MICROGRAPHS = Table(
    "micrographs.csv",
    "micrograph and class, and `all` (with --stills only)",
    (
        Column("micrograph", "text", "", "name of the file, or the number of the frame", "%s"),
        Column("frame", "int", "", "number in the other tables", "%d"),
        _CLASS_OR_ALL,
        _plain("n", "", "defects that are there"),
        _plain("n_counted", "", "defects that count towards the densities, by the border rule"),
        _plain("field_nm2", "nm^2", "area of specimen in view"),
        _plain("density_per_m2", "m^-2", "defects per area"),
        _plain("density_per_m3", "m^-3", "defects per volume"),
        _plain("size_nm", "nm", "mean size"),
        _plain(
            "volume_fraction", "", "volume of these defects over that of the foil; voids and precipitates"
        ),
        _plain("swelling_percent", "%", "swelling by voids"),
        _plain("line_density_per_m2", "m^-2", "line length per volume"),
        _plain("hardening_linear_mpa", "MPa", "hardening, contributions of the classes added"),
        _plain("hardening_quadrature_mpa", "MPa", "hardening, root of the sum of squared contributions"),
    ),
)

STATISTICS = Table(
    "statistics.csv",
    "quantity and class, over all micrographs (with --stills only)",
    (
        Column("quantity", "text", "", "column of micrographs.csv; the unit is in the name", "%s"),
        _CLASS_OR_ALL,
        _plain("mean", "", "mean over the micrographs in which it is known, each with the same weight"),
        _plain("lo", "", "lower end of its 95 % interval: scatter; errors of detector, scale, foil"),
        _plain("hi", "", "upper end of the same interval"),
        _plain("sd", "", "standard deviation between micrographs"),
        Column("n", "int", "", "micrographs in which it is known", "%d"),
        Column("method", "text", "", "how, in short, or why it is empty", "%s"),
    ),
)

QUANTITIES = tuple(column.name for column in MICROGRAPHS.columns[3:])
"""Columns of micrographs.csv of which means are made."""

TABLES: dict[str, Table] = {table.file: table for table in (TRACKS, SERIES, SUMMARY, EVENTS, FRAMES, DOUBTED)}
STREAMED: dict[str, Table] = {**TABLES, STREAM.file: STREAM}
"""Tables that grow while a run goes on, frame by frame."""


def read_candidates(causal: Path, run: Path) -> pd.DataFrame:
    """Read all finds of the causal tables of a run, sorted by frame and track.

    `causal` is the folder of the causal ``tracks.csv``, `run` that of ``doubted.csv``. A column `doubted` is 0
    for those of ``tracks.csv``, 1 for those of ``doubted.csv``.

    Raises
    ------
    TableError
        If a table is missing or broken; a run of an earlier version has no doubted finds.
    """
    import pandas as pd

    rows = [TRACKS.read(causal / TRACKS.file).assign(doubted=0)]
    if (run / DOUBTED.file).is_file():
        rows.append(DOUBTED.read(run / DOUBTED.file).assign(doubted=1))
    rows = [part for part in rows if len(part)] or rows[:1]
    table = pd.concat(rows, ignore_index=True)
    return table.sort_values(["frame", "track_id"], kind="stable").reset_index(drop=True)


def describe_columns(*more: Table) -> str:
    """Every table and column as a Markdown page; with those of a batch, `docs/tables.md` is this text."""
    lines = [
        "# Tables of a run",
        "",
        "Comma-separated, UTF-8, one header line; an empty cell means not known. `masks.parquet` is Parquet.",
        "",
    ]
    several = (KINETICS, MSD, MASKS, MICROGRAPHS, STATISTICS, SETTINGS, MARKS, EDITS)
    for table in (*TABLES.values(), *several, *more):
        lines += [
            f"## {table.file}",
            "",
            f"One row per {table.one_row_per}.",
            "",
        ]
        if table is DOUBTED:
            lines += ["The columns are those of `tracks.csv`.", ""]
            continue
        lines += [
            "| column | unit | meaning |",
            "|---|---|---|",
        ]
        lines += [
            f"| `{column.name}` | {_raised(column.unit)} | {column.meaning} |" for column in table.columns
        ]
        lines.append("")
    return "\n".join(lines)


def _raised(unit: str) -> str:
    """Write exponents as superscripts."""
    for plain, raised in (("^-2", "⁻²"), ("^-3", "⁻³"), ("^2", "²")):
        unit = unit.replace(plain, raised)
    return unit
