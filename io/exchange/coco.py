"""COCO: every defect of every frame with its outline as run lengths over the whole frame."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from insitrack.io.exchange.run_parts import RunParts
from insitrack.io.tables.outlines import rle


def write(run: RunParts, path: Path) -> None:
    """Write an instances file that pycocotools reads.

    Every frame that was processed is an image, `frame`, `t_s` and `track_id` stand beside the fields of COCO;
    a filled-in outline has ``observed`` false. The numbers of annotations are those of the rows of
    ``tracks.csv``, from 1.
    """
    height, width = run.shape
    processed = run.frames[run.frames["status"] == "processed"]
    head = {
        "info": {"description": f"insitrack run {run.folder.resolve().name}", "version": "1.0"},
        "licenses": [],
        "categories": [{"id": i, "name": name} for i, name in enumerate(run.class_names, 1)],
        "images": [
            {
                "id": int(frame) + 1,
                "file_name": f"frame_{frame:06d}.png",
                "width": width,
                "height": height,
                "frame": int(frame),
                "t_s": float(t_s),
            }
            for frame, t_s in processed[["frame", "t_s"]].itertuples(index=False)
        ],
    }
    with path.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps(head)[:-1] + ', "annotations": [')
        for i, one in enumerate(_annotations(run, (height, width))):
            stream.write((",\n" if i else "\n") + json.dumps(one))
        stream.write("\n]}\n")


def _annotations(run: RunParts, shape: tuple[int, int]) -> Iterator[dict[str, Any]]:
    labels = {name: i for i, name in enumerate(run.class_names, 1)}
    for found in run.masks():
        for i, track in enumerate(found.track_ids.tolist()):
            line, area, box = rle.over_frame(found.masks, i, shape)
            probability = float(found.probability[i])
            yield {
                "id": run.row_of[(found.frame, track)] + 1,
                "image_id": found.frame + 1,
                "category_id": labels[found.names[i]],
                "segmentation": {"size": list(shape), "counts": line},
                "area": area,
                "bbox": box,
                "iscrowd": 0,
                "score": None if math.isnan(probability) else probability,
                "track_id": track,
                "observed": bool(found.observed[i]),
            }
