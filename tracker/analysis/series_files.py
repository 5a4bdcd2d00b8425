"""What `track series` writes: the series of each run, and tables, workbook and figure of all of them."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from insitrack.io.errors import OutputError, SettingsError
from insitrack.io.manifest import fingerprint, installed_versions, write_manifest
from insitrack.io.tables.columns import SERIES
from insitrack.io.tables.tidy import fits_table, harmless_text, tidy, without_unknown, write_excel, write_tidy
from insitrack.io.write import replacing
from insitrack.tracker.analysis.event_rates import RATE_COLUMNS
from insitrack.tracker.analysis.fits import average_rows, fits_and_rates, size_rows
from insitrack.tracker.analysis.recompute import Recompute, Recomputed
from insitrack.tracker.analysis.table_run import TableRun
from insitrack.tracker.run.methods import choices, describe_choices
from insitrack.tracker.series.conditions import calibration_in_time
from insitrack.tracker.series.micrographs import micrograph_names, write_micrographs


def write_series(
    one: TableRun, folder: Path, *, every_s: float | None, window_s: float | None, parquet: bool
) -> Recomputed:
    """Write the series of one run, frame by frame, each file under a temporary name until it is whole.

    Parameters
    ----------
    one : TableRun
        The run, with its settings.
    folder : Path
        Where series.csv and, with `parquet`, series.parquet and tracks.parquet are written; of separate micrographs
        micrographs.csv and statistics.csv too.
    every_s, window_s : float or None
        Time between points and time over which each is averaged, s.
    parquet : bool
        Write the large tables as Parquet too.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"--out {folder}: cannot be written ({error.strerror}); choose another folder"
        ) from error
    names = ["series.csv", *(["series.parquet", "tracks.parquet"] if parquet else [])]
    writer: Any = None
    with ExitStack() as files:
        parts = {name: files.enter_context(replacing(folder / name)) for name in names}
        try:
            work = Recompute(one, every_s=every_s, window_s=window_s, parquet=parts.get("tracks.parquet"))
            with parts["series.csv"].open("w", encoding="utf-8", newline="\n") as stream:
                stream.write(SERIES.header())
                for columns in work.series():
                    stream.write(SERIES.format(columns))
                    if parquet:
                        table = pa.table({name: _arrow(columns[name]) for name in SERIES.names})
                        writer = writer or pq.ParquetWriter(
                            parts["series.parquet"], table.schema, compression="zstd", compression_level=1
                        )
                        writer.write_table(table)
            result = work.finish()
        finally:
            if writer is not None:
                writer.close()
    if one.config.source.stills:
        write_micrographs(folder, micrograph_names(one.tracks.parent))
    return result


def _arrow(values: Any) -> Any:
    """Not known is null, and class names are stored once."""
    import pyarrow as pa

    return (
        pa.array(values, from_pandas=True).dictionary_encode()
        if values.dtype == object
        else pa.array(values, from_pandas=True)
    )


def write_together(
    opened: list[TableRun], results: list[Recomputed], folder: Path, against: str, command: list[str]
) -> None:
    """Write what all runs have in one table, workbook and figure, and how it was made.

    Raises
    ------
    SettingsError
        If the figure is to be drawn against a dose that is not known.
    """
    import pandas as pd

    from insitrack.io.report.paper_figure import write_figures

    pairs = list(zip(opened, results, strict=True))
    table = tidy({one.label: result.time_bins for one, result in pairs})
    if against == "dose" and not table["dose_dpa"].notna().any():
        raise SettingsError("--against dose: the dose is not known; give --dose-rate or --log")
    averages = pd.DataFrame(
        [{"run": one.label, **row} for one, result in pairs for row in average_rows(one, result)]
    )
    averages = without_unknown(averages)
    sizes = pd.DataFrame(
        [{"run": one.label, **row} for one, result in pairs for row in size_rows(one, result)]
    )
    found = [(one.label, *fits_and_rates(one, result)) for one, result in pairs]
    fits = fits_table({label: rows for label, rows, _ in found})
    rates = pd.DataFrame(
        [{"run": label, **row} for label, _, rows in found for row in rows],
        columns=["run", *RATE_COLUMNS],
    )
    write_tidy(table, folder)
    named = {"averages.csv": averages, "sizes.csv": sizes, "fits.csv": fits, "rates.csv": rates}
    for name, part in named.items():
        harmless_text(part).to_csv(folder / name, index=False, float_format="%.6g", lineterminator="\n")
    sheets = {
        "series": table,
        "averages": averages,
        "sizes": sizes,
        "fits": fits,
        "rates": rates,
        "settings": _settings_sheet(opened),
    }
    write_excel(sheets, folder / "tidy.xlsx")
    write_figures(table, folder, against="dose" if against == "dose" else "time")
    _manifest(opened, results, folder, command)


def _settings_sheet(opened: list[TableRun]) -> Any:
    import pandas as pd

    rows: list[dict[str, object]] = []
    for one in opened:
        known = one.calibration
        facts = {name: getattr(known, name) for name in ("nm_per_px", "nm_per_px_sd", "origin")}
        held = [(str(row.pop("what")), row) for row in one.meter().conditions.record()]
        for name, value, decides in (
            *((name, value, "calibration") for name, value in facts.items()),
            *((what, row["value"], f"from frame {row['frame']} on") for what, row in held),
        ):
            rows.append({"run": one.label, "setting": name, "value": str(value), "what it decides": decides})
        for choice in choices(one.config, *(material for _, material in one.meter().specimens.materials)):
            rows.append(
                {
                    "run": one.label,
                    "setting": choice.setting,
                    "value": choice.value,
                    "what it decides": choice.topic,
                }
            )
    return pd.DataFrame(rows)


def _manifest(opened: list[TableRun], results: list[Recomputed], folder: Path, command: list[str]) -> None:
    def known(one: TableRun) -> dict[str, object]:
        facts = {f.name: getattr(one.calibration, f.name) for f in dataclasses.fields(one.calibration)}
        del facts["field"]
        return calibration_in_time(facts, one.meter().conditions)

    record = {
        "command": command,
        "versions": installed_versions(),
        "runs": {
            one.label: {
                "tables": fingerprint(one.tracks),
                "source": one.manifest.get("source", {}),
                "calibration": known(one),
                "settings": one.config.plain(),
                **describe_choices(
                    one.config, one.meter(), one.manifest.get("model") or {"classes": one.class_names}
                ),
                "warnings": result.warnings,
                "rows": result.n_rows,
                "frames": result.n_frames,
            }
            for one, result in zip(opened, results, strict=True)
        },
    }
    write_manifest(folder / "run.json", record)
