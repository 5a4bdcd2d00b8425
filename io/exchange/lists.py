"""Tracks as plain lists: MOT challenge, napari, Parquet."""

from __future__ import annotations

import math
from pathlib import Path

from insitrack.io.exchange.run_parts import RunParts
from insitrack.io.tables.columns import TRACKS
from insitrack.io.tables.stream import to_parquet


def write_napari(run: RunParts, path: Path) -> None:
    """CSV with the columns of a Tracks layer of napari (ID, T, Y, X), and properties."""
    tracks = run.tracks.sort_values(["track_id", "frame"], kind="stable")
    table = tracks.rename(columns={"track_id": "ID", "frame": "T", "y_px": "Y", "x_px": "X"})
    columns = ["ID", "T", "Y", "X", "defect_class", "size_nm", "area_px", "score", "probability", "observed"]
    table[columns].to_csv(path, index=False, lineterminator="\n")


def write_mot(run: RunParts, path: Path) -> None:
    """Frame from 1, id, left, top, width, height, score, -1, -1, -1."""
    columns = ("frame", "track_id", "x1_px", "y1_px", "x2_px", "y2_px", "score")
    tracks = run.tracks.sort_values(["track_id", "frame"], kind="stable")
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for frame, name, x1, y1, x2, y2, score in tracks[list(columns)].itertuples(index=False):
            sure = 0.0 if math.isnan(score) else score
            stream.write(
                f"{frame + 1},{name},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},{sure:.4f},-1,-1,-1\n"
            )


def write_parquet(run: RunParts, path: Path) -> None:
    """``tracks.csv`` as Parquet, some rows at a time."""
    for _ in to_parquet(run.folder / TRACKS.file, path):
        pass
    if not path.exists():  # a run that found nothing
        run.tracks.to_parquet(path, index=False)
