"""The formats that a run can be written in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from insitrack.io.errors import OutputError
from insitrack.io.exchange.run_parts import RunParts
from insitrack.io.write import part_of

Write = Callable[[RunParts, Path], None]


@dataclass(frozen=True, slots=True)
class Format:
    """One format: the usual ending of its files, who reads it, and where it is written."""

    ending: str
    read_by: str
    module: str
    function: str

    def writer(self) -> Write:
        """Import what writes it."""
        write: Write = getattr(import_module(f"insitrack.io.exchange.{self.module}"), self.function)
        return write


FORMATS: dict[str, Format] = {
    "trackmate": Format(
        ".xml", "TrackMate: spots, outlines, tracks, merges and splits", "trackmate", "write"
    ),
    "coco": Format(".json", "pycocotools and most label tools: outlines as run lengths", "coco", "write"),
    "imagej": Format(".zip", "ImageJ and Fiji: the ROI Manager", "imagej", "write"),
    "labels": Format(
        ".ome.tif", "napari, QuPath, Fiji: ids as label images; or .ome.zarr", "labels", "write"
    ),
    "mot": Format(".txt", "TrackEval and other programs of the MOT challenge", "lists", "write_mot"),
    "napari": Format(".csv", "napari: a Tracks layer", "lists", "write_napari"),
    "geff": Format(".geff", "napari-track-edit, motile, traccuracy: the graph of tracks", "geff", "write"),
    "parquet": Format(".parquet", "pandas, polars, R: tracks.csv with types", "lists", "write_parquet"),
}
"""By name."""


def export_run(run: Path, kind: str, out: Path) -> Path:
    """Write a run for another program.

    Parameters
    ----------
    run : Path
        Output folder of a run.
    kind : str
        Name in `FORMATS`.
    out : Path
        File, or for `geff` and OME-Zarr folder, to write; never overwritten.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    OutputError
        If the format is not known, or `out` is there already or cannot be written.
    TableError
        If the run lacks a table that the format needs.
    """
    if kind not in FORMATS:
        raise OutputError(f"--to {kind}: not known; expected {', '.join(FORMATS)}")
    if out.exists():
        raise OutputError(f"--out {out}: exists; choose another name")
    write, part = FORMATS[kind].writer(), part_of(out)
    try:
        if part.is_symlink():  # it would be written where it leads
            part.unlink()
        write(RunParts(run), part)
        part.replace(out)
    except OSError as error:
        raise OutputError(
            f"--out {out}: cannot be written ({error.strerror}); choose another place"
        ) from error
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        part.unlink(missing_ok=True)
    return out
