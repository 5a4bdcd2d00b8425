"""A finished run with manual edits becomes another one: everything that follows from tracks is recomputed."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insitrack.io.errors import InsitrackError
from insitrack.io.manifest import file_sha256, installed_versions, write_manifest
from insitrack.io.report.run_report import write_report
from insitrack.io.tables import columns as tables
from insitrack.io.tables.outlines.masks import MASKS
from insitrack.io.tables.records import SETTINGS
from insitrack.io.tables.run_folder import CAUSAL
from insitrack.tracker.analysis.from_trackmate import apply_returned
from insitrack.tracker.analysis.redraw import draw_edited
from insitrack.tracker.analysis.untouched import changed_tracks, join_rows, untouched_rows
from insitrack.tracker.hindsight.edits import apply_edits, read_edits
from insitrack.tracker.hindsight.outlines import write_masks
from insitrack.tracker.hindsight.refine import refine
from insitrack.tracker.hindsight.rewrite import write_tables
from insitrack.tracker.measure.from_table import with_sizes
from insitrack.tracker.run.config import RunConfig
from insitrack.tracker.run.job.closing import now
from insitrack.tracker.run.job.finished import manifest_of
from insitrack.tracker.run.meters import config_of, meter_of
from insitrack.tracker.run.methods import describe_choices
from insitrack.tracker.series.meter import SeriesMeter

if TYPE_CHECKING:
    import pandas as pd


def edit_run(
    run: Path, edits: Path, out: Path, movie: Path | None = None, command: list[str] | None = None
) -> list[dict[str, object]]:
    """Apply a table of edits to a finished run, into a folder of its own; the run itself stays as it is.

    Parameters
    ----------
    run : Path
        Output folder of a run.
    edits : Path
        Table of edits.
    out : Path
        New folder.
    movie : Path, optional
        Where the movie of the run is now; by default where it was. Without it the new run has no movie and no
        pictures, and says so.
    command : list of str, optional
        Command line, for the manifest.

    Returns
    -------
    list of dict
        The audit trail, which `run.json` of the new folder holds too.
    """
    manifest = manifest_of(run)
    warnings: list[str] = []
    if edits.suffix.lower() == ".xml":
        observed = observations_of(run)
        rows, trail, warnings = apply_returned(edits, run, observed)
    else:
        planned = read_edits(edits)
        observed = observations_of(run)
        rows, trail = apply_edits(observed, planned, str(edits))
    out.mkdir(parents=True, exist_ok=True)
    _copy_causal(run, out)
    changed = changed_tracks(observed, rows)
    config, meter, facts = config_of(manifest), meter_of(run, manifest), dict[str, float]()
    frames = tables.FRAMES.read(run / tables.FRAMES.file)
    if changed:
        facts = _rebuild(run, out, (config, meter), frames, observed, rows, changed)
    else:
        for name in (*_REBUILT, MASKS.file):
            if (run / name).is_file():
                shutil.copy(run / name, out / name)
    audit = {
        "run": str(run.name),
        "edits_file": edits.name,
        "edits_sha256": file_sha256(edits),
        "edits": trail,
    }
    manifest["edited"] = [*manifest.get("edited", []), audit]
    manifest |= _results(manifest, out, facts, frames, config, meter)
    manifest["command"] = command or ["insitrack.edit"]
    manifest["warnings"] += warnings
    pictures = {}
    if (out / MASKS.file).is_file():
        try:
            pictures = draw_edited(run, out, manifest, movie)
        except InsitrackError as error:
            if movie is not None:
                raise
            manifest["warnings"].append(f"no movie and no pictures of the edited run: {error}")
    write_report(out, pictures, manifest)
    write_manifest(out / "run.json", manifest)
    return trail

    write_manifest(out / "run.json", manifest)
    return trail


def _results(
    manifest: Mapping[str, Any],
    out: Path,
    facts: Mapping[str, float],
    frames: pd.DataFrame,
    config: RunConfig,
    meter: SeriesMeter,
) -> dict[str, Any]:
    """Return what `run.json` says of the edited tables, in place of what it said of those of the run."""
    rows = tables.TRACKS.read(out / tables.TRACKS.file, ("track_id", "observed"))
    statuses = {str(name): int(n) for name, n in frames["status"].value_counts().items()}
    kept = [line for line in manifest.get("warnings", []) if line not in meter.warnings]
    began = manifest.get("results", {})
    return {
        "tables": "edited",
        "status": "done",
        "reason": "",
        "started": now(),
        "finished": now(),
        "versions": installed_versions(),
        "warnings": [*kept, *meter.warnings],
        "results": {
            "frames": len(frames),
            **statuses,
            "detections": int((rows["observed"] == 1).sum()),
            "tracks": int(rows["track_id"].nunique()),
            "refined": dict(facts),
            **{name: began[name] for name in ("frames_read_sha256", "not_trusted") if name in began},
        },
        **describe_choices(config, meter, manifest.get("model") or {}),
    }


_REBUILT = (
    tables.TRACKS.file,
    tables.SERIES.file,
    tables.SUMMARY.file,
    tables.EVENTS.file,
    tables.KINETICS.file,
)


def _copy_causal(run: Path, out: Path) -> None:
    """Copy what edits do not change: what was known frame by frame."""
    causal = run / CAUSAL if (run / CAUSAL).is_dir() else run
    (out / CAUSAL).mkdir(exist_ok=True)
    for name in ("tracks.csv", "series.csv", "summary.csv", "events.csv"):
        shutil.copy(causal / name, out / CAUSAL / name)
    for name in (tables.FRAMES.file, tables.DOUBTED.file, SETTINGS.file):
        if (run / name).is_file():
            shutil.copy(run / name, out / name)
    if (run / CAUSAL / MASKS.file).is_file():
        shutil.copy(run / CAUSAL / MASKS.file, out / CAUSAL / MASKS.file)


def _rebuild(
    run: Path,
    out: Path,
    settings: tuple[RunConfig, SeriesMeter],
    frames: pd.DataFrame,
    observed: pd.DataFrame,
    rows: pd.DataFrame,
    changed: set[int],
) -> dict[str, float]:
    """Write the tables of the edited run: edited tracks recomputed, all others as they stand."""
    config, meter = settings
    nm_per_px = meter.calibration.nm_per_px or math.nan
    edited = rows[rows["track_id"].isin(changed)]
    anew = refine(edited, frames, config.refine, nm_per_px=nm_per_px, keep_ids=True)
    kept = untouched_rows(tables.TRACKS.read(run / tables.TRACKS.file), observed, frames, changed)
    final = join_rows(kept, anew.tracks)
    write_tables(out, final, frames, meter)
    seen = next((one for one in (run / CAUSAL / MASKS.file, run / MASKS.file) if one.is_file()), None)
    if seen is not None:
        write_masks(seen, final, out / MASKS.file)
    return anew.facts


def observations_of(run: Path) -> pd.DataFrame:
    """Observations of a run as measured, with the ids and classes that its tables give them now."""
    now = tables.TRACKS.read(run / tables.TRACKS.file)
    now = now[now["observed"] == 1]
    if not (run / CAUSAL / tables.TRACKS.file).is_file():
        return now.assign(seen_class=now["defect_class"])
    manifest = manifest_of(run)
    measured = with_sizes(
        tables.read_candidates(run / CAUSAL, run).drop(columns="doubted"),
        tables.FRAMES.read(run / tables.FRAMES.file),
        config_of(manifest).measure,
        manifest.get("calibration", {}).get("nm_per_px") or math.nan,
    )
    measured = (
        measured[measured["observed"] == 1]
        .rename(columns={"track_id": "old_id", "defect_class": "seen_class"})
        .drop(columns="causal_id")
    )
    named = now[["frame", "causal_id", "track_id", "defect_class"]].rename(columns={"causal_id": "old_id"})
    return measured.merge(named, on=["frame", "old_id"], how="inner").rename(columns={"old_id": "causal_id"})
