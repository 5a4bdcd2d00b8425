"""Synthetic movies as files: the movie, its truth as a table, what was drawn, and outlines in COCO's form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.draw.movie_writer import MovieWriter
from insitrack.io.errors import OutputError
from insitrack.io.frames import Frame
from insitrack.io.synth.source import SynthSource
from insitrack.io.synth.truth import Truth
from insitrack.io.tables.columns import TRACKS


def write_synth(uri: str, folder: Path, *, coco: bool = False, lossless: bool = False) -> None:
    """Write a synthetic movie with its truth.

    Parameters
    ----------
    uri : str
        ``synth:KIND?key=value&...``.
    folder : Path
        Made if it is not there; receives ``movie.mp4``, ``truth.csv`` (the columns of ``tracks.csv``;
        `observed` 0 where a defect is there but cannot be seen), ``truth.json`` (what was drawn) and on
        request ``truth_coco.json``.
    coco : bool
        Write the visible outlines in COCO's form too.
    lossless : bool
        Write ``movie.mkv`` (FFV1, every grey level exact) in place of ``movie.mp4`` (H.264, plays in a
        browser).

    Raises
    ------
    SourceError
        If the address is wrong.
    OutputError
        If the folder cannot be written.
    """
    movie = SynthSource(uri)
    categories = [{"id": i, "name": name} for i, name in enumerate(DEFECT_CLASSES, 1)]
    labels: dict[str, Any] = {"images": [], "annotations": [], "categories": categories}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        name = "movie.mkv" if lossless else "movie.mp4"
        movie_file = MovieWriter(
            folder / name,
            codec="ffv1" if lossless else "h264",
            playback_fps="timestamps",
            crf=12,
            index_first=True,
        )
        with movie_file as writer, (folder / "truth.csv").open("w") as table:
            table.write(TRACKS.header())
            for item in movie:
                truth = movie.truth_state(item.index)
                table.write(_truth_rows(movie, truth))
                if isinstance(item, Frame):
                    writer.write(item.image, item.t_s)
                if coco:
                    _add_coco(labels, truth)
        (folder / "truth.json").write_text(json.dumps(_facts(movie), indent=2) + "\n", encoding="utf-8")
        if coco:
            (folder / "truth_coco.json").write_text(json.dumps(labels) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written ({error.strerror}); choose another folder with --out"
        ) from error


def _facts(movie: SynthSource) -> dict[str, Any]:
    """Everything about a movie that is not in its table."""
    bar = {"scale_bar_nm": movie.overlay.bar_nm, "scale_bar_px": movie.overlay.bar_px}
    shifts = [movie.stage.shift_px(index / movie.fps) for index in range(movie.n_frames or 0)]
    return {**movie.describe(), **bar, "shift_px": [[round(x, 3), round(y, 3)] for x, y in shifts]}


def _truth_rows(movie: SynthSource, truth: Truth) -> str:
    """Rows of ``truth.csv`` of one frame."""
    found = truth.detections
    if not len(found):
        return ""
    height, width = movie.shape
    boxes = found.boxes.astype(np.float64)
    on_edge = (boxes[:, 0] <= 0) | (boxes[:, 1] <= 0) | (boxes[:, 2] >= width) | (boxes[:, 3] >= height)
    area = found.masks.area_px().astype(np.float64)
    columns: dict[str, Any] = {
        "frame": np.full(len(found), found.frame_index),
        "t_s": np.full(len(found), found.t_s),
        "track_id": truth.track_ids,
        "defect_class": found.names(),
        "score": np.where(truth.visible, 1.0, np.nan),
        "x_px": truth.x_px,
        "y_px": truth.y_px,
        **{name: boxes[:, i] for i, name in enumerate(("x1_px", "y1_px", "x2_px", "y2_px"))},
        "area_px": area,
        "major_px": truth.major_px,
        "minor_px": truth.minor_px,
        "angle_deg": truth.angle_deg,
        "on_edge": on_edge.astype(int),
        "size_nm": truth.size_nm,
        "area_nm2": area * movie.nm_per_px**2,
        "observed": truth.visible.astype(int),
        "probability": np.ones(len(found)),
        "causal_id": truth.track_ids,
        "on_exclusion_edge": ((boxes[:, 0] <= 0) | (boxes[:, 3] >= height)).astype(int),
        **dict.fromkeys(
            ("x_sd_px", "y_sd_px", "size_sd_nm", "feret_px", "r_min_px", "r_max_px", "heywood"),
            np.full(len(found), np.nan),
        ),
        "line_length_nm": np.where(np.array(found.names()) == "dislocation", truth.size_nm, np.nan),
    }
    return TRACKS.format(columns)


def _add_coco(labels: dict[str, Any], truth: Truth) -> None:
    """Append one image and its visible outlines to a COCO data set."""
    found = truth.detections
    height, width = found.shape
    labels["images"].append(
        {
            "id": found.frame_index,
            "height": height,
            "width": width,
            "file_name": f"{found.frame_index:06d}.png",
        }
    )
    for row in np.flatnonzero(truth.visible).tolist():
        x1, y1, x2, y2 = found.boxes[row].tolist()
        labels["annotations"].append(
            {
                "id": len(labels["annotations"]) + 1,
                "image_id": found.frame_index,
                "category_id": int(found.labels[row]),
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": int(found.masks.crop(row).sum()),
                "segmentation": found.masks.rle(row, found.shape),
                "iscrowd": 0,
                "track_id": int(truth.track_ids[row]),
            }
        )
