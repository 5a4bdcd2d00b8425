"""Our own tracker on the detections of a scene, with its defaults, as ``track link`` runs it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import tracking_scenes as ts

from insitrack.io.tables.detection_table import DetectionTable
from insitrack.tracker.evaluation.track_scores import BoxTable
from insitrack.tracker.hindsight.refine import refine
from insitrack.tracker.hindsight.settings import RefineConfig
from insitrack.tracker.link.linker import Linker
from insitrack.tracker.link.settings import LinkConfig
from insitrack.tracker.measure.from_table import measured_frames


def detections(scene: ts.Scene) -> DetectionTable:
    """Give the scene's detections in the form that the linker takes."""
    sides = scene.boxes[:, 2:] - scene.boxes[:, :2]
    centre = (scene.boxes[:, :2] + scene.boxes[:, 2:]) / 2
    return DetectionTable(
        frame=scene.frame,
        t_s=scene.frame * ts.INTERVAL_S,
        x_px=centre[:, 0],
        y_px=centre[:, 1],
        size_px=np.sqrt(sides.prod(axis=1)),
        boxes=scene.boxes,
        label=scene.label,
        score=scene.score,
        class_names=ts.CLASSES,
        shape=(scene.side, scene.side),
        nm_per_px=ts.NM_PER_PX,
        times=np.arange(ts.FRAMES) * ts.INTERVAL_S,
    )


def causal(scene: ts.Scene) -> BoxTable:
    """Give confirmed tracks as they are known at each frame, nothing looked up later."""
    linker, table = Linker(LinkConfig()), detections(scene)
    frames, ids, boxes = [], [], []
    for found, measures in measured_frames(table):
        linker.update(found, measures, None)
        live = linker.live()
        frames.append(np.full(len(live.track_ids), found.frame_index))
        ids.append(live.track_ids)
        boxes.append(live.boxes)
    return BoxTable(np.concatenate(frames), np.concatenate(ids), np.concatenate(boxes))


def refined(scene: ts.Scene) -> BoxTable:
    """Give the same with hindsight: what stands in the tables of a finished run."""
    linker, table = Linker(LinkConfig()), detections(scene)
    parts, shifts = [], []
    for found, measures in measured_frames(table):
        linked = linker.update(found, measures, None)
        shifts.append(linked.shift_px)
        boxes = found.boxes.astype(float)
        parts.append(
            pd.DataFrame(
                {
                    "frame": found.frame_index,
                    "t_s": found.t_s,
                    "track_id": linked.track_ids,
                    "defect_class": found.names(),
                    "score": found.scores,
                    "x_px": measures.x_px,
                    "y_px": measures.y_px,
                    "x1_px": boxes[:, 0],
                    "y1_px": boxes[:, 1],
                    "x2_px": boxes[:, 2],
                    "y2_px": boxes[:, 3],
                    "area_px": measures.area_px,
                    "size_nm": measures.size_nm,
                    "on_edge": measures.on_edge,
                    "observed": 1,
                }
            )
        )
    shift = np.array(shifts)
    frames = pd.DataFrame(
        {
            "frame": np.arange(ts.FRAMES),
            "t_s": table.times,
            "status": "processed",
            "shift_x_px": shift[:, 0],
            "shift_y_px": shift[:, 1],
        }
    )
    rows = refine(pd.concat(parts, ignore_index=True), frames, RefineConfig(), nm_per_px=ts.NM_PER_PX).tracks
    return BoxTable(
        rows["frame"].to_numpy(np.int64),
        rows["track_id"].to_numpy(np.int64),
        rows[["x1_px", "y1_px", "x2_px", "y2_px"]].to_numpy(float),
    )


def perfect(scene: ts.Scene) -> BoxTable:
    """Give the true identities to the detections as they are, false ones left out.

    The most that association alone can reach.
    """
    good = scene.is_true >= 0
    return BoxTable(scene.frame[good], scene.is_true[good], scene.boxes[good])
