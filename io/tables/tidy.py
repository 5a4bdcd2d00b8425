"""Series for papers and for other programs: tidy CSV, Parquet and Excel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insitrack.io.tables.columns import KINETICS, SERIES
from insitrack.io.tables.engine import Column
from insitrack.io.tables.records import harmless

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("run", "defect_class", "t_s", "dose_dpa", "n_frames")
"""First columns of the tidy table; those of ``series.csv`` follow."""

ALWAYS = (*KEYS, "n", "n_lo", "n_hi")
"""Columns that stay also where nothing is known."""


_WORDS = {
    "run": "run",
    "defect_class": "class",
    "t_s": "time (s)",
    "dose_dpa": "dose (dpa)",
    "n_frames": "frames",
    "n": "defects in view",
    "n_observed": "defects seen",
    "n_counted": "defects counted",
    "n_tracks": "tracks",
    "when": "when",
    "field_nm2": "specimen in view (nm^2)",
    "density_per_m2": "areal density (m^-2)",
    "density_per_m3": "volume density (m^-3)",
    "size_nm": "mean size (nm)",
    "size_sd_nm": "standard deviation of the sizes (nm)",
    "size_from_nm": "size from (nm)",
    "size_to_nm": "size to (nm)",
    "hardening_linear_mpa": "hardening, linear sum (MPa)",
    "hardening_quadrature_mpa": "hardening, quadrature sum (MPa)",
    "hardening_mixed_mpa": "hardening, third rule (MPa)",
    "line_length_nm": "length of lines (nm)",
    "line_density_per_m2": "line density (m^-2)",
    "volume_fraction": "volume fraction",
    "swelling_percent": "swelling (%)",
    "temperature_c": "temperature (degree C)",
    "beam_current_a": "beam current (A)",
}


def spoken_column(name: str) -> str:
    """Header of a column as a paper would print it, with its unit.

    Examples
    --------
    >>> spoken_column("density_per_m3_lo"), spoken_column("size_hi_nm"), spoken_column("births")
    ('volume density, lower 95 % (m^-3)', 'mean size, upper 95 % (nm)', 'births')
    """
    if name in _WORDS:
        return _WORDS[name]
    for mark, words in (("lo", "lower 95 %"), ("hi", "upper 95 %")):
        plain = name.replace(f"_{mark}", "", 1)
        if f"_{mark}" in name and plain in _WORDS:
            head, bracket, unit = _WORDS[plain].partition(" (")
            return f"{head}, {words}{bracket}{unit}"
    return name.replace("_", " ")


def tidy(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per run, stretch and class, one column per quantity.

    Columns that are empty throughout are left out.
    """
    import pandas as pd

    parts = [table.assign(run=label) for label, table in tables.items()]
    joined = pd.concat(parts, ignore_index=True)
    joined = joined[
        [*KEYS, *(name for name in SERIES.names if name in joined and name not in ("frame", *KEYS))]
    ]
    return without_unknown(joined)


def without_unknown(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out quantities that are known nowhere, with their intervals."""
    empty = {name for name in table.columns if name not in ALWAYS and table[name].isna().all()}
    ends = {
        name
        for name in table.columns
        if ("_lo" in name or "_hi" in name)
        and name.replace("_lo", "", 1).replace("_hi", "", 1) in table.columns
    }
    kept = ends - {name for name in ends if name.replace("_lo", "", 1).replace("_hi", "", 1) in empty}
    return table.drop(columns=[name for name in table.columns if name in empty - kept])


def harmless_text(table: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe before texts that a spreadsheet would run as a formula: names of folders and labels.

    Examples
    --------
    >>> import pandas as pd
    >>> harmless_text(pd.DataFrame({"run": ["=1+1", "300 C"], "n": [1, -2]}))["run"].tolist()
    ["'=1+1", '300 C']
    """
    return table.assign(
        **{
            name: [harmless(value) if isinstance(value, str) else value for value in table[name]]
            for name in table.columns
            if not _holds_numbers(table[name])
        }
    )


def _holds_numbers(values: pd.Series[Any]) -> bool:
    return bool(values.dtype.kind in "iufb")


def write_tidy(table: pd.DataFrame, folder: Path) -> None:
    """Write ``tidy.csv`` and ``tidy.parquet``.

    Names carry the units, and in Parquet every column states its own.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = harmless_text(table)
    table.to_csv(folder / "tidy.csv", index=False, float_format="%.8g", lineterminator="\n")
    data = pa.Table.from_pandas(table, preserve_index=False)
    known = {column.name: column for column in SERIES.columns}
    fields = [
        field.with_metadata(_facts(known[field.name])) if field.name in known else field
        for field in data.schema
    ]
    pq.write_table(data.cast(pa.schema(fields)), folder / "tidy.parquet", compression="zstd")


def _facts(column: Column) -> dict[str, str]:
    return {"unit": column.unit, "meaning": column.meaning}


def write_excel(sheets: Mapping[str, pd.DataFrame], path: Path) -> None:
    """Write an Excel file, one sheet per table, headers in words with units, first line fixed."""
    import pandas as pd

    with pd.ExcelWriter(path, engine="openpyxl") as writer:
        for name, table in sheets.items():
            harmless_text(table).rename(columns=spoken_column).to_excel(
                writer, sheet_name=name, index=False, freeze_panes=(1, 0)
            )
            sheet = writer.sheets[name]
            for i, column in enumerate(table.columns):
                sheet.column_dimensions[sheet.cell(1, i + 1).column_letter].width = max(
                    10, min(34, len(spoken_column(column)) + 2)
                )


def fits_table(rows: Mapping[str, list[dict[str, object]]]) -> pd.DataFrame:
    """Fits of all runs as one table, in the columns of ``kinetics.csv`` with the run in front."""
    import pandas as pd

    return pd.DataFrame(
        [{"run": label, **row} for label, part in rows.items() for row in part],
        columns=["run", *KINETICS.names],
    )
