"""A finished run with manual edits becomes another one: everything that follows from tracks is recomputed."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insitrack.io.errors import TableError
from insitrack.io.manifest import file_sha256, installed_versions, write_manifest
from insitrack.io.report.run_report import write_report
from insitrack.io.tables import columns as tables
from insitrack.io.tables.records import SETTINGS
from insitrack.io.tables.run_folder import CAUSAL
from insitrack.tracker.hindsight.edits import apply_edits, read_edits
from insitrack.tracker.hindsight.refine import Refined, refine
from insitrack.tracker.hindsight.rewrite import write_tables
from insitrack.tracker.run.config import RunConfig
from insitrack.tracker.run.job.closing import now
from insitrack.tracker.run.meters import config_of, meter_of
from insitrack.tracker.run.methods import describe_choices
from insitrack.tracker.series.meter import SeriesMeter

if TYPE_CHECKING:
    import pandas as pd


def edit_run(run: Path, edits: Path, out: Path, command: list[str] | None = None) -> list[dict[str, object]]:
    """Apply a table of edits to a finished run, into a folder of its own; the run itself stays as it is.

    Parameters
    ----------
    run : Path
        Output folder of a run.
    edits : Path
        Table of edits.
    out : Path
        New folder.
    command : list of str, optional
        Command line, for the manifest.

    Returns
    -------
    list of dict
        The audit trail, which `run.json` of the new folder holds too.
    """
    planned = read_edits(edits)
    if not (run / "run.json").is_file():
        raise TableError(f"{run}: no run.json; expected the output folder of a run")
    manifest = json.loads((run / "run.json").read_text(encoding="utf-8"))
    frames = tables.FRAMES.read(run / tables.FRAMES.file)
    observed = observations_of(run)
    rows, trail = apply_edits(observed, planned, str(edits))
    config, meter = config_of(manifest), meter_of(run, manifest)
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(run / tables.FRAMES.file, out / tables.FRAMES.file)
    causal = run / CAUSAL if (run / CAUSAL).is_dir() else run
    (out / CAUSAL).mkdir(exist_ok=True)
    for name in ("tracks.csv", "series.csv", "summary.csv", "events.csv"):
        shutil.copy(causal / name, out / CAUSAL / name)
    for name in (tables.DOUBTED.file, SETTINGS.file):
        if (run / name).is_file():
            shutil.copy(run / name, out / name)
    refined = refine(
        rows, frames, config.refine, nm_per_px=meter.calibration.nm_per_px or math.nan, keep_ids=True
    )
    write_tables(out, refined.tracks, frames, meter)
    audit = {
        "run": str(run.name),
        "edits_file": edits.name,
        "edits_sha256": file_sha256(edits),
        "edits": trail,
    }
    manifest["edited"] = [*manifest.get("edited", []), audit]
    manifest |= _results(manifest, refined, frames, config, meter)
    manifest["command"] = command or ["insitrack.edit"]
    write_manifest(out / "run.json", manifest)
    write_report(out, {}, manifest)
    return trail


def _results(
    manifest: Mapping[str, Any], refined: Refined, frames: pd.DataFrame, config: RunConfig, meter: SeriesMeter
) -> dict[str, Any]:
    """Return what `run.json` says of the edited tables, in place of what it said of those of the run."""
    rows = refined.tracks
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
            "refined": refined.facts,
            **{name: began[name] for name in ("frames_read_sha256",) if name in began},
        },
        **describe_choices(config, meter, manifest.get("model") or {}),
    }


def observations_of(run: Path) -> pd.DataFrame:
    """Observations of a run as measured, with the ids and classes that its tables give them now."""
    now = tables.TRACKS.read(run / tables.TRACKS.file)
    now = now[now["observed"] == 1]
    if not (run / CAUSAL / tables.TRACKS.file).is_file():
        return now.assign(seen_class=now["defect_class"])
    measured = tables.read_candidates(run / CAUSAL, run).drop(columns="doubted")
    measured = (
        measured[measured["observed"] == 1]
        .rename(columns={"track_id": "old_id", "defect_class": "seen_class"})
        .drop(columns="causal_id")
    )
    named = now[["frame", "causal_id", "track_id", "defect_class"]].rename(columns={"causal_id": "old_id"})
    return measured.merge(named, on=["frame", "old_id"], how="inner").rename(columns={"old_id": "causal_id"})
