"""Spots and tracks from a file of TrackMate."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from insitrack.io.arrays import Floats, Ints
from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.errors import TableError
from insitrack.io.tables.detection_table import DetectionTable
from insitrack.io.tables.faults import MOST_FRAMES
from insitrack.io.tables.read_detections import assemble
from insitrack.io.units import length_scale, nm_per, time_scale

_NAME = re.compile(r"(?P<label>.*?)(?: #(?P<track>\d+))?")
"""Name of a spot that was exported: its class, and behind a number sign its track."""


def read_trackmate(
    path: Path,
    *,
    nm_per_px: float | None = None,
    frame_interval_s: float | None = None,
    shape: tuple[int, int] | None = None,
    class_names: tuple[str, ...] = DEFECT_CLASSES,
    frames: str | None = None,
    length_unit: str | None = None,
    time_unit: str | None = None,
) -> tuple[DetectionTable, Ints]:
    """Read spots and tracks from TrackMate's XML.

    Spots named after a class have that class. Parameters and result as of `read_detections`.

    Raises
    ------
    TableError
        If it is not such a file, a unit is missing, or lengths are not in pixels and no scale is given.
    """
    root, model = model_of(path)
    unit = length_unit or model.get("spatialunits") or ""
    nm_per_px = nm_per_px if nm_per_px is not None else _scale_of(root, unit)
    scale = length_scale(path, unit, nm_per_px)
    second = (
        1.0 if frame_interval_s is not None else time_scale(path, time_unit or model.get("timeunits") or "")
    )
    try:
        spots = {int(spot.get("ID", "-1")): spot for spot in model.iter("Spot")}
        ids = _track_ids(model, spots)
    except ValueError as error:
        raise TableError(f"{path}: an id is no number ({error}); expected a TrackMate file") from error
    rows = _rows_of(path, spots)
    cells = _cells_of(rows, spots, ids, scale, second, class_names)
    return assemble(
        path,
        cells,
        timed=frame_interval_s is None,
        has_boxes=False,
        lines=np.arange(1, len(rows) + 1),
        nm_per_px=nm_per_px,
        frame_interval_s=frame_interval_s,
        shape=shape,
        class_names=class_names,
        frames=frames,
        warnings=[],
    )


def model_of(path: Path) -> tuple[ElementTree.Element, ElementTree.Element]:
    """Root and model of a TrackMate file.

    Raises
    ------
    TableError
        If it is none.
    """
    try:
        # an XML file of a stranger could declare entities that blow up; TrackMate's have no document type
        text = path.read_text(encoding="utf-8")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise TableError(f"{path}: holds a document type; expected a file that TrackMate wrote")
        root = ElementTree.fromstring(text)
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror}); expected a TrackMate file") from error
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        raise TableError(f"{path}: not XML ({error}); expected a TrackMate file") from error
    model = root.find("Model")
    if root.tag != "TrackMate" or model is None:
        raise TableError(f"{path}: its root is {root.tag!r}; expected a TrackMate file")
    return root, model


def _scale_of(root: ElementTree.Element, unit: str) -> float | None:
    """Width of a pixel that the file states, nm; None where lengths are in pixels anyway."""
    image, factor = root.find("Settings/ImageData"), nm_per(unit)
    try:
        side = float(image.get("pixelwidth", "nan")) if image is not None else float("nan")
    except ValueError:
        return None
    return side * factor if factor is not None and side > 0 else None


def label_of(spot: ElementTree.Element) -> tuple[str, int]:
    """Class and track in the name of a spot; -1 where it names no track."""
    found = _NAME.fullmatch(spot.get("name", ""))
    if found is None:
        return "", -1
    return found["label"], int(found["track"] or -1)


def _track_ids(model: ElementTree.Element, spots: dict[int, ElementTree.Element]) -> dict[int, int]:
    """Track of every spot, -1 for lone ones; where a track has branches each spot says which one it is of."""
    ids = dict.fromkeys(spots, -1)
    for track in model.iter("Track"):
        edges = [
            (int(edge.get("SPOT_SOURCE_ID", "-1")), int(edge.get("SPOT_TARGET_ID", "-1")))
            for edge in track.iter("Edge")
        ]
        ends = {end for edge in edges for end in edge}
        frames = Counter(spots[end].get("FRAME") for end in ends if end in spots)
        for end in ends:
            named = label_of(spots[end])[1] if end in spots else -1
            branched = max(frames.values(), default=0) > 1 and named >= 0
            ids[end] = named if branched else int(track.get("TRACK_ID", "-1"))
    return ids


def _rows_of(path: Path, spots: dict[int, ElementTree.Element]) -> Floats:
    """FRAME, POSITION_T, POSITION_X, POSITION_Y, RADIUS and QUALITY of every spot."""
    if not spots:
        raise TableError(f"{path}: holds no spots; expected at least one")
    try:
        rows = np.array(
            [
                [
                    float(spot.get(name, "nan"))
                    for name in ("FRAME", "POSITION_T", "POSITION_X", "POSITION_Y", "RADIUS", "QUALITY")
                ]
                for spot in spots.values()
            ]
        )
    except ValueError as error:
        raise TableError(
            f"{path}: a spot holds no number ({error}); expected a file that TrackMate wrote"
        ) from error
    if not np.isfinite(rows[:, :5]).all():
        raise TableError(
            f"{path}: a spot lacks FRAME, POSITION_T, POSITION_X, POSITION_Y or RADIUS; expected a file that"
            " TrackMate wrote"
        )
    if not ((rows[:, 0] >= 0) & (rows[:, 0] <= MOST_FRAMES) & (rows[:, 0] == np.rint(rows[:, 0]))).all():
        raise TableError(f"{path}: a spot has a FRAME that is no whole number from 0 to {MOST_FRAMES}")
    return rows


def _cells_of(
    rows: Floats,
    spots: dict[int, ElementTree.Element],
    ids: dict[int, int],
    scale: float,
    second: float,
    class_names: tuple[str, ...],
) -> dict[str, np.ndarray]:
    """Cells of the spots as `insitrack.io.tables.read_detections.assemble` takes them."""
    fallback = class_names.index("loop") + 1 if "loop" in class_names else 1
    label = [
        class_names.index(name) + 1 if (name := label_of(spot)[0]) in class_names else fallback
        for spot in spots.values()
    ]
    x, y, size = scale * rows[:, 2], scale * rows[:, 3], 2 * scale * rows[:, 4]
    return {
        "frame": rows[:, 0].astype(np.int64),
        "t": rows[:, 1] * second,
        "x": x,
        "y": y,
        "size": size,
        "boxes": np.column_stack([x - size / 2, y - size / 2, x + size / 2, y + size / 2]),
        "label": np.array(label),
        "score": np.clip(np.nan_to_num(rows[:, 5], nan=1.0), 0, 1),
        "track": np.array([ids[key] for key in spots]),
    }
