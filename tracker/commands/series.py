"""`track series`: recompute runs from their tables, analyse and compare them, write figures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from insitrack.io.errors import SettingsError
from insitrack.tracker.commands.arguments.options import (
    add_output_options,
    add_settings_options,
    add_specimen_options,
    add_trust_option,
    specimen_settings,
)
from insitrack.tracker.commands.arguments.parser import frame_size, number

DESCRIPTION = """\
Recompute runs from their tables alone, under other settings; resample, smooth, fit and compare; write tables and a figure for a paper.

  track series movie_track --thickness-nm 80 --material fecral     other settings: no movie, no model
  track series cold_track hot_track --labels "300 C,360 C"         compare runs
  track series movie_track --every-s 10 --window-s 60              a point every 10 s, each the mean of a minute
  track series tracks.csv --nm-per-px 0.37 --size 1024x1024        a table alone
"""

EPILOG = """\
Written: tidy.csv tidy.parquet tidy.xlsx averages.csv sizes.csv fits.csv rates.csv figure.pdf figure.png run.json, and for every run (in a folder of
its own where there are several) series.csv series.parquet tracks.parquet. A table alone needs the columns frame t_s track_id defect_class
x_px y_px size_nm, sorted by frame. Only settings of source.nm_per_px, specimen, measure and series can be changed afterwards.
"""

OUTPUTS = (
    "tidy.csv",
    "tidy.parquet",
    "tidy.xlsx",
    "averages.csv",
    "sizes.csv",
    "fits.csv",
    "rates.csv",
    "figure.pdf",
    "figure.png",
    "run.json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `track series`."""
    add = parser.add_argument
    add(
        "runs",
        metavar="RUN|BATCH|CSV",
        nargs="+",
        help="output folder of a run or of a batch, or a table of tracks (CSV or Parquet)",
    )
    add_output_options(parser, default="named after the first run, here", what="result")
    add("--labels", metavar="A,B", help="what to call the runs (default: the names of their folders)")
    add_specimen_options(parser)
    add_trust_option(parser)
    add("--size", metavar="WxH", help="size of the frames, px, for a table alone")
    add("--start", type=number, metavar="S", help="first time")
    add("--end", type=number, metavar="S", help="last time")
    add(
        "--common-field",
        action="store_true",
        help="count only in the part of the specimen that every frame shows",
    )
    add(
        "--every-s",
        type=number,
        metavar="S",
        help="time between points (default: so that there are at most 200)",
    )
    add(
        "--window-s",
        type=number,
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
    add_settings_options(parser, file=False)


def run(options: argparse.Namespace, given: list[str]) -> int:
    """Run the command; return the exit status."""
    from insitrack.io.tables.run_folder import check_folder
    from insitrack.tracker.analysis.series_files import write_series, write_together
    from insitrack.tracker.analysis.table_run import open_run

    paths = [path for text in options.runs for path in _runs_of(Path(text))]
    labels = _labels(options.labels, paths)
    folder = Path(options.out) if options.out else Path(paths[0].resolve().stem + "_series")
    check_folder(folder, options.overwrite)
    if any(path.resolve() == folder.resolve() or path.resolve().parent == folder.resolve() for path in paths):
        raise SettingsError(f"--out {folder}: a run lies there; choose another folder")
    shape = frame_size(options.size)
    settings = {**specimen_settings(options), "series.least_trust": options.trust_anyway}
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
    for one in opened:  # errors are reported before anything is computed
        one.meter()
    results = []
    for one in opened:
        into = folder if len(opened) == 1 else folder / one.label
        results.append(
            write_series(
                one, into, every_s=options.every_s, window_s=options.window_s, parquet=not options.no_parquet
            )
        )
    write_together(opened, results, folder, options.against, ["track", *given])
    for warning in dict.fromkeys(line for result in results for line in result.warnings):
        print(f"warning: {warning}", file=sys.stderr)
    n_rows, n_frames = sum(result.n_rows for result in results), sum(result.n_frames for result in results)
    print(
        f"done: {len(results)} run{'s' * (len(results) > 1)}, {n_frames} frames, {n_rows} rows; open"
        f" {folder / 'figure.png'}"
    )
    return 0


def _runs_of(path: Path) -> list[Path]:
    """Return the finished runs of a batch in the order of its table; anything else is itself."""
    from insitrack.tracker.many.status import STATUS, read_rows_of

    if not (path / STATUS.file).is_file() or (path / "run.json").is_file():
        return [path]
    done = [path / row["movie"] for row in read_rows_of(path / STATUS.file) if row["status"] == "done"]
    if not done:
        raise SettingsError(f"{path}: a batch in which no movie is done; see {path / STATUS.file}")
    return done


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
