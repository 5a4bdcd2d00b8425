"""This tracker on the detections of a scene, with its defaults, as ``track link`` runs it."""

from __future__ import annotations

import numpy as np
import tracking_scenes as ts

from insitrack.io.detection_table import DetectionTable
from insitrack.tracker.link import LinkConfig, Linker
from insitrack.tracker.track_scores import BoxTable


def detections(scene: ts.Scene) -> DetectionTable:
    """Give the scene's detections in the form that the linker takes."""
    sides = scene.boxes[:, 2:] - scene.boxes[:, :2]
    centre = (scene.boxes[:, :2] + scene.boxes[:, 2:]) / 2
    return DetectionTable(
        frame=scene.frame, t_s=scene.frame * ts.INTERVAL_S, x_px=centre[:, 0], y_px=centre[:, 1], size_px=np.sqrt(sides.prod(axis=1)),
        boxes=scene.boxes, label=scene.label, score=scene.score, class_names=ts.CLASSES, shape=(scene.side, scene.side),
        nm_per_px=ts.NM_PER_PX, times=np.arange(ts.FRAMES) * ts.INTERVAL_S,
    )  # fmt: skip


def causal(scene: ts.Scene) -> BoxTable:
    """Confirmed tracks as they are known at each frame, nothing looked up later."""
    linker, table = Linker(LinkConfig()), detections(scene)
    frames, ids, boxes = [], [], []
    for found, measures in table.frames():
        live = linker.update(found, measures, None).live
        frames.append(np.full(len(live.track_ids), found.frame_index))
        ids.append(live.track_ids)
        boxes.append(live.boxes)
    return BoxTable(np.concatenate(frames), np.concatenate(ids), np.concatenate(boxes))


def perfect(scene: ts.Scene) -> BoxTable:
    """Give the true identities to the detections as they are, false ones left out: the most that association alone can reach."""
    good = scene.is_true >= 0
    return BoxTable(scene.frame[good], scene.is_true[good], scene.boxes[good])
