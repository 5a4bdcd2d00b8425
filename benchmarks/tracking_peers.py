"""Other trackers on the detections of a scene: each returns boxes with ids, as its own users would have them.

ByteTrack and BoT-SORT (ultralytics; the second looks at the image to follow the camera), SORT (roboflow
trackers), trackpy, laptrack. For each a grid of settings from which `tracking.py` picks the best for every
scene, on seeds that are not reported.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import tracking_scenes as ts
from numpy.typing import NDArray

from insitrack.tracker.evaluation.track_scores import BoxTable

Setting = dict[str, Any]


def _table(frames: list[Any], ids: list[Any], boxes: list[Any]) -> BoxTable:
    if not ids:
        return BoxTable(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)))
    return BoxTable(
        np.concatenate(frames).astype(np.int64),
        np.concatenate(ids).astype(np.int64),
        np.concatenate(boxes).astype(float),
    )


def _frames(scene: ts.Scene) -> list[NDArray[np.int64]]:
    return [np.flatnonzero(scene.frame == t) for t in range(ts.FRAMES)]


def ultralytics(scene: ts.Scene, setting: Setting, kind: str) -> BoxTable:
    from ultralytics.engine.results import Boxes
    from ultralytics.trackers.bot_sort import BOTSORT
    from ultralytics.trackers.byte_tracker import BYTETracker

    options = {
        "tracker_type": kind,
        "track_high_thresh": 0.25,
        "track_low_thresh": 0.1,
        "new_track_thresh": 0.25,
        "track_buffer": 30,
        "match_thresh": 0.8,
        "fuse_score": True,
        "gmc_method": "none",
        "proximity_thresh": 0.5,
        "appearance_thresh": 0.8,
        "with_reid": False,
        "model": "auto",
    }
    arguments = SimpleNamespace(**{**options, **setting})
    tracker = (BOTSORT if kind == "botsort" else BYTETracker)(arguments)
    images = ts.pictures(scene) if kind == "botsort" and arguments.gmc_method != "none" else None
    frames, ids, boxes = [], [], []
    for t, rows in enumerate(_frames(scene)):
        data = np.column_stack([scene.boxes[rows], scene.score[rows], np.zeros(len(rows))]).astype(np.float32)
        image = None if images is None else np.repeat(images[t][:, :, None], 3, axis=2)
        out = tracker.update(Boxes(data, (scene.side, scene.side)), image)
        if len(out):
            frames.append(np.full(len(out), t))
            ids.append(out[:, 4])
            boxes.append(out[:, :4])
    return _table(frames, ids, boxes)


def sort(scene: ts.Scene, setting: Setting) -> BoxTable:
    import supervision as sv
    from trackers import SORTTracker

    tracker = SORTTracker(frame_rate=1 / ts.INTERVAL_S, **setting)
    frames, ids, boxes = [], [], []
    for t, rows in enumerate(_frames(scene)):
        seen = sv.Detections(
            scene.boxes[rows], confidence=scene.score[rows], class_id=np.zeros(len(rows), int)
        )
        out = tracker.update(seen)
        good = out.tracker_id >= 0
        frames.append(np.full(int(good.sum()), t))
        ids.append(out.tracker_id[good])
        boxes.append(out.xyxy[good])
    return _table(frames, ids, boxes)


def _points(scene: ts.Scene) -> pd.DataFrame:
    b = scene.boxes
    return pd.DataFrame(
        {
            "frame": scene.frame,
            "x": (b[:, 0] + b[:, 2]) / 2,
            "y": (b[:, 1] + b[:, 3]) / 2,
            "row": np.arange(len(b)),
        }
    )


def trackpy(scene: ts.Scene, setting: Setting) -> BoxTable:
    import trackpy as tp

    tp.quiet()
    linker = {"none": None, "velocity": tp.predict.NearestVelocityPredict, "drift": tp.predict.DriftPredict}[
        setting["predict"]
    ]
    points, reach, memory = _points(scene), setting["reach"], setting["memory"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        link = tp.link if linker is None else linker().link_df
        adaptive = {"adaptive_stop": 2.0, "adaptive_step": 0.9}  # dense nets would stop it otherwise
        linked = link(points, reach, memory=memory, **adaptive)
        linked = tp.filter_stubs(linked, setting["stubs"]) if setting["stubs"] > 1 else linked
    return BoxTable(
        linked["frame"].to_numpy(np.int64),
        linked["particle"].to_numpy(np.int64),
        scene.boxes[linked["row"].to_numpy(np.int64)],
    )


def laptrack(scene: ts.Scene, setting: Setting) -> BoxTable:
    from laptrack import LapTrack

    tracker = LapTrack(
        cutoff=setting["reach"] ** 2,
        gap_closing_cutoff=setting["gap_reach"] ** 2,
        gap_closing_max_frame_count=setting["gap"],
        splitting_cutoff=False,
        merging_cutoff=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tracks, _, _ = tracker.predict_dataframe(
            _points(scene), ["x", "y"], frame_col="frame", only_coordinate_cols=False
        )
    tracks = tracks.reset_index(drop=True)
    length = tracks.groupby("track_id")["row"].transform("size")
    tracks = tracks[length >= setting["stubs"]]
    frame = "frame" if "frame" in tracks else "frame_y"
    return BoxTable(
        tracks[frame].to_numpy(np.int64),
        tracks["track_id"].to_numpy(np.int64),
        scene.boxes[tracks["row"].to_numpy(np.int64)],
    )


def _grid(**values: list[Any]) -> list[Setting]:
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]


_ULTRA = _grid(
    track_buffer=[5, 15, 30], match_thresh=[0.8, 0.95], new_track_thresh=[0.25, 0.5], fuse_score=[True, False]
)
PEERS: dict[str, tuple[Callable[[ts.Scene, Setting], BoxTable], list[Setting]]] = {
    "ByteTrack": (lambda scene, setting: ultralytics(scene, setting, "bytetrack"), _ULTRA),
    "BoT-SORT": (
        lambda scene, setting: ultralytics(scene, setting, "botsort"),
        [
            {**one, "gmc_method": gmc}
            for one in _ULTRA
            if not one["fuse_score"]
            for gmc in ("none", "sparseOptFlow")
        ],
    ),
    "SORT": (
        sort,
        _grid(
            lost_track_buffer=[30, 120],
            minimum_consecutive_frames=[1, 2, 3],
            minimum_iou_threshold=[0.02, 0.1, 0.3],
        ),
    ),
    "trackpy": (
        trackpy,
        _grid(reach=[5, 9, 14], memory=[3, 10], predict=["none", "velocity", "drift"], stubs=[1, 3]),
    ),
    "laptrack": (laptrack, _grid(reach=[6, 12], gap_reach=[6, 12], gap=[3, 10], stubs=[1, 3])),
}
DEFAULTS: dict[str, Setting] = {
    "ByteTrack": {},
    "BoT-SORT": {"gmc_method": "sparseOptFlow"},
    "SORT": {},
    "trackpy": {"reach": 5, "memory": 0, "predict": "none", "stubs": 1},
    "laptrack": {"reach": 15, "gap_reach": 15, "gap": 2, "stubs": 1},
}


@contextlib.contextmanager
def quiet() -> Any:
    """Keep the libraries from logging."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
