"""`track series`: work runs out anew from their tables, analyse and compare them, write figures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insitrack.io.errors import OutputError, SettingsError
from insitrack.tracker.commands.options import add_specimen_options, specimen_settings

if TYPE_CHECKING:
    from insitrack.tracker.analysis.recompute import Recomputed
    from insitrack.tracker.analysis.table_run import TableRun

DESCRIPTION = """\
Work runs out anew from their tables alone, under other settings; resample, smooth, fit and compare; write tables and a figure for a paper.

  track series movie_track --thickness-nm 80 --material fecral     other settings: no movie, no model
  track series cold_track hot_track --labels "300 C,360 C"         compare runs
  track series movie_track --every-s 10 --window-s 60              a point every 10 s, each the mean of a minute
  track series tracks.csv --nm-per-px 0.37 --size 1024x1024        a table alone
"""

EPILOG = """\
Written: tidy.csv tidy.parquet tidy.xlsx averages.csv sizes.csv fits.csv figure.pdf figure.png run.json, and for every run (in a folder of its
own where there are several) series.csv series.parquet tracks.parquet. A table alone needs the columns frame t_s track_id defect_class
x_px y_px size_nm, sorted by frame. Only settings of source.nm_per_px, specimen, measure and series can be changed afterwards.
"""

OUTPUTS = (
    "tidy.csv",
    "tidy.parquet",
    "tidy.xlsx",
    "averages.csv",
    "sizes.csv",
    "fits.csv",
    "figure.pdf",
    "figure.png",
    "run.json",
)


def make_parser(kind: type[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Arguments of `track series`."""
    parser = kind(
        prog="track series",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "runs",
        metavar="RUN|CSV",
        nargs="+",
        help="output folder of a run, or a table of tracks (CSV or Parquet)",
    )
    add("--out", metavar="DIR", help="output folder (default: named after the first run, here)")
    add("--overwrite", action="store_true", help="replace an earlier result in the same folder")
    add("--labels", metavar="A,B", help="what to call the runs (default: the names of their folders)")
    add_specimen_options(parser)
    add("--size", metavar="WxH", help="size of the frames, px, for a table alone")
    add("--start", type=float, metavar="S", help="first time")
    add("--end", type=float, metavar="S", help="last time")
    add(
        "--common-field",
        action="store_true",
        help="count only in the part of the specimen that every frame shows",
    )
    add(
        "--every-s",
        type=float,
        metavar="S",
        help="time between points (default: so that there are at most 200)",
    )
    add(
        "--window-s",
        type=float,
        metavar="S",
        help="time over which each point is averaged (default: that between points)",
    )
    add(
        "--against",
        choices=("time", "dose"),
        default="time",
        help="horizontal axis of the figure (default: time)",
    )
    add("--no-parquet", action="store_true", help="write no tracks.parquet and series.parquet")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting, for example series.border=inside; may be repeated",
    )
    return parser


def run(options: argparse.Namespace, given: list[str]) -> int:
    """Run the command; return the exit status."""
    from insitrack.io.tables.run_folder import check_folder
    from insitrack.tracker.analysis.table_run import open_run
    from insitrack.tracker.commands.link import shape_of

    paths = [Path(text) for text in options.runs]
    labels = _labels(options.labels, paths)
    folder = Path(options.out) if options.out else Path(paths[0].resolve().stem + "_series")
    check_folder(folder, options.overwrite)
    if any(path.resolve() == folder.resolve() or path.resolve().parent == folder.resolve() for path in paths):
        raise SettingsError(f"--out {folder}: a run lies there; choose another folder")
    shape = shape_of(options.size)
    settings = specimen_settings(options)
    opened = [
        open_run(
            path,
            label,
            assignments=options.set,
            options=settings,
            size_px=None if shape is None else (shape[1], shape[0]),
            start_s=options.start,
            end_s=options.end,
            common_field=options.common_field,
        )
        for path, label in zip(paths, labels, strict=True)
    ]
    for one in opened:  # what cannot be is told before anything is worked out
        one.meter()
    results = []
    for one in opened:
        into = folder if len(opened) == 1 else folder / one.label
        results.append(
            _work_out(
                one, into, every_s=options.every_s, window_s=options.window_s, parquet=not options.no_parquet
            )
        )
    _write(opened, results, folder, options.against, ["track", *given])
    for warning in dict.fromkeys(line for result in results for line in result.warnings):
        print(f"warning: {warning}", file=sys.stderr)
    n_rows, n_frames = sum(result.n_rows for result in results), sum(result.n_frames for result in results)
    print(
        f"done: {len(results)} run{'s' * (len(results) > 1)}, {n_frames} frames, {n_rows} rows; open"
        f" {folder / 'figure.png'}"
    )
    return 0


def _labels(text: str | None, paths: list[Path]) -> list[str]:
    if text is None:
        labels = [
            path.resolve().name.removesuffix("_track") if path.is_dir() else path.stem for path in paths
        ]
        if len(set(labels)) < len(labels):
            labels = [
                f"{path.resolve().parent.name}_{label}" for path, label in zip(paths, labels, strict=True)
            ]
        if len(set(labels)) < len(labels):
            labels = [f"{i}_{label}" for i, label in enumerate(labels, 1)]
        return labels
    labels = [part.strip() for part in text.split(",")]
    if len(labels) != len(paths) or len(set(labels)) < len(labels) or not all(labels):
        raise SettingsError(
            f"--labels {text}: expected {len(paths)} different names between commas, one for each run"
        )
    if any("/" in label or label.startswith(".") for label in labels):
        raise SettingsError(
            f"--labels {text}: expected names without / and not beginning with a dot; they name folders"
        )
    return labels


def _work_out(
    one: TableRun, folder: Path, *, every_s: float | None, window_s: float | None, parquet: bool
) -> Recomputed:
    """Write the series of one run, frame by frame, each file under a temporary name until it is whole."""
    from contextlib import ExitStack

    import pyarrow as pa
    import pyarrow.parquet as pq

    from insitrack.io.tables.columns import SERIES
    from insitrack.io.write import replacing
    from insitrack.tracker.analysis.recompute import Recompute

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
    return result


def _arrow(values: Any) -> Any:
    """Not known is null, and class names are stored once."""
    import pyarrow as pa

    return (
        pa.array(values, from_pandas=True).dictionary_encode()
        if values.dtype == object
        else pa.array(values, from_pandas=True)
    )


def _write(
    opened: list[TableRun], results: list[Recomputed], folder: Path, against: str, command: list[str]
) -> None:
    import pandas as pd

    from insitrack.io.report.paper_figure import write_figures
    from insitrack.io.tables.tidy import fits_table, tidy, without_unknown, write_excel, write_tidy
    from insitrack.tracker.analysis.fits import average_rows, fit_rows, size_rows

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
    fits = fits_table({one.label: fit_rows(one, result) for one, result in pairs})
    write_tidy(table, folder)
    for name, part in (("averages.csv", averages), ("sizes.csv", sizes), ("fits.csv", fits)):
        part.to_csv(folder / name, index=False, float_format="%.6g", lineterminator="\n")
    sheets = {
        "series": table,
        "averages": averages,
        "sizes": sizes,
        "fits": fits,
        "settings": _settings_sheet(opened),
    }
    write_excel(sheets, folder / "tidy.xlsx")
    write_figures(table, folder, against="dose" if against == "dose" else "time")
    _manifest(opened, results, folder, command)


def _settings_sheet(opened: list[TableRun]) -> Any:
    import pandas as pd

    from insitrack.tracker.run.methods import choices

    rows: list[dict[str, object]] = []
    for one in opened:
        known = one.calibration
        for name in ("nm_per_px", "nm_per_px_sd", "thickness_nm", "thickness_sd_nm", "origin"):
            rows.append(
                {
                    "run": one.label,
                    "setting": name,
                    "value": str(getattr(known, name)),
                    "what it decides": "calibration",
                }
            )
        for choice in choices(one.config, one.meter().material):
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
    import dataclasses

    from insitrack.io.manifest import fingerprint, installed_versions, write_manifest
    from insitrack.tracker.run.methods import describe_choices

    def known(one: TableRun) -> dict[str, object]:
        return {
            f.name: getattr(one.calibration, f.name)
            for f in dataclasses.fields(one.calibration)
            if f.name != "field"
        }

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
                    one.config,
                    one.meter().material,
                    one.calibration,
                    one.manifest.get("model") or {"classes": one.class_names},
                ),
                "material": {} if (material := one.meter().material) is None else material.provenance(),
                "warnings": result.warnings,
                "rows": result.n_rows,
                "frames": result.n_frames,
            }
            for one, result in zip(opened, results, strict=True)
        },
    }
    write_manifest(folder / "run.json", record)
