"""Tables of the kinetics of a run: figures with their intervals, and how far defects move in a time."""

from __future__ import annotations

from insitrack.io.tables.engine import Column, Table


def _number(name: str, unit: str, meaning: str) -> Column:
    return Column(name, "float", unit, meaning, "%.6g")


KINETICS = Table(
    "kinetics.csv",
    "quantity and class, and `all`",
    (
        Column("quantity", "text", "", "what was estimated; the unit is in the name", "%s"),
        Column("defect_class", "text", "", "class name, or `all`", "%s"),
        _number("value", "", "estimate, in the unit that the name states"),
        _number("lo", "", "lower end of the 95 % interval"),
        _number("hi", "", "upper end of the 95 % interval"),
        Column("n", "int", "", "deaths, tracks, births, looks or steps that it rests on", "%d"),
        Column("method", "text", "", "how, in short; more in docs/kinetics.md", "%s"),
        Column("why", "text", "", "why it is empty, where it is", "%s", optional=True),
    ),
)

MSD = Table(
    "msd.csv",
    "lag and class, and `all`",
    (
        _number("lag_s", "s", "time between two observations of one track"),
        Column("defect_class", "text", "", "class name, or `all`", "%s"),
        _number("msd_nm2", "nm^2", "mean squared displacement on the specimen, as measured"),
        _number("msd_nm2_lo", "nm^2", "lower end of the 95 % interval, from the scatter between tracks"),
        _number("msd_nm2_hi", "nm^2", "upper end of it"),
        Column("n_tracks", "int", "", "tracks with such a pair", "%d"),
    ),
)
