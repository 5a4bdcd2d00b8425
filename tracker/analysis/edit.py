"""A finished run with manual edits becomes another one: everything that follows from tracks is recomputed."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.errors import InsitrackError
from insitrack.io.manifest import file_sha256, installed_versions, write_manifest
from insitrack.io.report.run_report import write_report
from insitrack.io.tables import columns as tables
from insitrack.io.tables.outlines.masks import DRAWN, MASKS
from insitrack.io.tables.records import SETTINGS
from insitrack.io.tables.run_folder import CAUSAL
from insitrack.tracker.analysis.edited_rows import EditedRows
from insitrack.tracker.analysis.from_trackmate import apply_returned
from insitrack.tracker.analysis.redraw import draw_edited
from insitrack.tracker.hindsight.apply import apply_edits
from insitrack.tracker.hindsight.drawn import Drawing, write_drawn
from insitrack.tracker.hindsight.edits import read_edits
from insitrack.tracker.hindsight.naming import Naming
from insitrack.tracker.hindsight.outlines import write_masks
from insitrack.tracker.hindsight.rewrite import write_tables
from insitrack.tracker.run.config import RunConfig
from insitrack.tracker.run.job.closing import now
from insitrack.tracker.run.job.finished import manifest_of
from insitrack.tracker.run.meters import config_of, meter_of
from insitrack.tracker.run.methods import describe_choices
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.series.micrographs import micrograph_names, write_micrographs

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
    names = editable_classes(manifest)
    made = edited_rows_of(run, manifest)
    if edits.suffix.lower() == ".xml":
        before = made.naming.rows()
        rows, trail, warnings = apply_returned(edits, run, before)
        after = made.naming.renamed(rows)
    else:
        after, trail = apply_edits(made.naming, read_edits(edits, names), made.drawing, str(edits))
    out.mkdir(parents=True, exist_ok=True)
    _copy_causal(run, out)
    changed = made.changed(after)
    manifest = with_classes(manifest, after.defect_class[after.track_id >= 0])
    config, meter, facts = config_of(manifest), meter_of(run, manifest), dict[str, float]()
    if changed:
        facts = _rebuild(out, made, after, changed, meter)
    else:
        for name in (*_REBUILT, MASKS.file, DRAWN):
            if (run / name).is_file():
                shutil.copy(run / name, out / name)
    frames = made.frames
    if config.source.stills:
        write_micrographs(out, micrograph_names(run))
        (out / tables.KINETICS.file).unlink(missing_ok=True)
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
            **{
                name: began[name]
                for name in ("frames_read_sha256", "not_trusted", "micrographs")
                if name in began
            },
        },
        **describe_choices(config, meter, manifest.get("model") or {}),
    }


_REBUILT = (
    tables.TRACKS.file,
    tables.SERIES.file,
    tables.SUMMARY.file,
    tables.EVENTS.file,
    tables.KINETICS.file,
    tables.MSD.file,
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
    if (causal / MASKS.file).is_file():
        shutil.copy(causal / MASKS.file, out / CAUSAL / MASKS.file)


def _rebuild(
    out: Path, made: EditedRows, after: Naming, changed: set[int], meter: SeriesMeter
) -> dict[str, float]:
    """Write the tables of the edited run: edited tracks recomputed, all others as they stand."""
    rebuilt, facts = made.rebuilt(after, changed)
    final = made.all_rows(rebuilt, changed)
    write_tables(out, final, made.frames, meter)
    write_drawn(after.drawn(), out / DRAWN)
    seen = [path for path in made.outlines() if path.name != DRAWN]
    if (out / DRAWN).is_file():
        seen.append(out / DRAWN)
    if seen:
        write_masks(seen, final, out / MASKS.file)
    return facts


def edited_rows_of(run: Path, manifest: Mapping[str, Any]) -> EditedRows:
    """Read what edits of a run are applied to.

    Raises
    ------
    TableError
        If a table is missing or broken.
    """
    config = config_of(dict(manifest))
    frames = tables.FRAMES.read(run / tables.FRAMES.file)
    nm_per_px = (manifest.get("calibration") or {}).get("nm_per_px") or math.nan
    return EditedRows(run, frames, Drawing(frames, config.measure, float(nm_per_px)), config.refine)


def editable_classes(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Classes that an edit may give: those of the model, and all that are known."""
    own = (manifest.get("model") or {}).get("classes") or ()
    return tuple(dict.fromkeys((*own, *DEFECT_CLASSES)))


def with_classes(manifest: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the facts of a run whose tables have more classes than its model."""
    model = dict(manifest.get("model") or {})
    own = model.get("classes") or DEFECT_CLASSES
    more = sorted({str(name) for name in names} - set(own), key=editable_classes(manifest).index)
    return {**manifest, "model": {**model, "classes": [*own, *more]}} if more else manifest
