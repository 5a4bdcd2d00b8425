"""Tracks for other programs: napari, TrackMate, the MOT challenge; and TrackMate's back again."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from insitrack.io.arrays import Floats, Ints
from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.errors import OutputError, TableError
from insitrack.io.tables.detection_table import DetectionTable
from insitrack.io.tables.faults import MOST_FRAMES
from insitrack.io.tables.read_detections import assemble
from insitrack.io.units import length_scale, time_scale

if TYPE_CHECKING:
    import pandas as pd

FORMATS = {"napari": ".csv", "trackmate": ".xml", "mot": ".txt"}
"""Formats that tracks can be written in, with the usual ending."""


def write_tracks(tracks: pd.DataFrame, path: Path, kind: str) -> None:
    """Write tracks for another program.

    Parameters
    ----------
    tracks : DataFrame
        Columns of ``tracks.csv``.
    path : Path
        The file; never overwritten.
    kind : {"napari", "trackmate", "mot"}
        `napari`: CSV with the columns of a Tracks layer (ID, T, Y, X) and properties. `trackmate`: XML that
        "Load a TrackMate file" opens, lengths in pixels. `mot`: frame from 1, id, left, top, width, height,
        score, -1, -1, -1.

    Raises
    ------
    OutputError
        If the format is not known, or the file is there already or cannot be written.
    """
    if kind not in FORMATS:
        raise OutputError(f"--to {kind}: not known; expected {', '.join(FORMATS)}")
    if path.exists():
        raise OutputError(f"--out {path}: exists; choose another name")
    tracks = tracks.sort_values(["track_id", "frame"], kind="stable")
    text = {"napari": _napari, "trackmate": _trackmate, "mot": _mot}[kind](tracks)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"--out {path}: cannot be written ({error.strerror}); choose another place"
        ) from error


def _napari(tracks: pd.DataFrame) -> str:
    table = tracks.rename(columns={"track_id": "ID", "frame": "T", "y_px": "Y", "x_px": "X"})
    return str(
        table[["ID", "T", "Y", "X", "defect_class", "size_nm", "area_px", "score", "observed"]].to_csv(
            index=False, lineterminator="\n"
        )
    )


def _mot(tracks: pd.DataFrame) -> str:
    lines = []
    columns = ("frame", "track_id", "x1_px", "y1_px", "x2_px", "y2_px", "score")
    for frame, name, x1, y1, x2, y2, score in tracks[list(columns)].itertuples(index=False):
        lines.append(
            f"{frame + 1},{name},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},{0.0 if math.isnan(score) else score:.4f},-1,-1,-1\n"
        )
    return "".join(lines)


def _trackmate(tracks: pd.DataFrame) -> str:
    """Spots, edges and tracks in TrackMate's form, version 7."""
    root = ElementTree.Element("TrackMate", version="7.11.1")
    model = ElementTree.SubElement(root, "Model", spatialunits="pixel", timeunits="sec")
    declared = ElementTree.SubElement(model, "FeatureDeclarations")
    spots_of = ElementTree.SubElement(declared, "SpotFeatures")
    for name, dimension in (
        ("QUALITY", "QUALITY"),
        ("POSITION_X", "POSITION"),
        ("POSITION_Y", "POSITION"),
        ("POSITION_Z", "POSITION"),
        ("POSITION_T", "TIME"),
        ("FRAME", "NONE"),
        ("RADIUS", "LENGTH"),
        ("VISIBILITY", "NONE"),
    ):
        whole = "true" if name in ("FRAME", "VISIBILITY") else "false"
        ElementTree.SubElement(
            spots_of,
            "Feature",
            feature=name,
            name=name.capitalize(),
            shortname=name,
            dimension=dimension,
            isint=whole,
        )
    ElementTree.SubElement(declared, "EdgeFeatures")
    ElementTree.SubElement(declared, "TrackFeatures")
    rows = tracks.reset_index(drop=True)
    all_spots = ElementTree.SubElement(model, "AllSpots", nspots=str(len(rows)))
    frames: dict[int, ElementTree.Element] = {}
    for frame in sorted(set(rows["frame"].tolist())):
        frames[frame] = ElementTree.SubElement(all_spots, "SpotsInFrame", frame=str(frame))
    radius = (rows["x2_px"] - rows["x1_px"] + rows["y2_px"] - rows["y1_px"]) / 4
    named = rows[["frame", "t_s", "defect_class", "x_px", "y_px", "score"]]
    for i, (frame, t_s, label, x, y, score) in enumerate(named.itertuples(index=False)):
        values = {
            "QUALITY": 0.0 if math.isnan(score) else score,
            "POSITION_X": x,
            "POSITION_Y": y,
            "POSITION_Z": 0.0,
            "POSITION_T": t_s,
        }
        attributes = {
            "ID": str(i),
            "name": str(label),
            **{name: f"{value:.4f}" for name, value in values.items()},
        }
        ElementTree.SubElement(
            frames[frame],
            "Spot",
            {**attributes, "FRAME": str(frame), "RADIUS": f"{radius.iloc[i]:.4f}", "VISIBILITY": "1"},
        )
    _tracks_of(model, rows["track_id"].to_numpy(np.int64))
    ElementTree.SubElement(root, "GUIState", state="TrackScheme")
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _tracks_of(model: ElementTree.Element, ids: Ints) -> None:
    """Edges between neighbours in time; a track of one spot has none, and is a lone spot to TrackMate."""
    tracks, kept = ElementTree.SubElement(model, "AllTracks"), ElementTree.SubElement(model, "FilteredTracks")
    if not len(ids):
        return
    starts = np.flatnonzero(np.append(True, np.diff(ids) != 0))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(ids)], strict=True):
        if end - start < 2:
            continue
        name = str(ids[start])
        track = ElementTree.SubElement(
            tracks, "Track", name=f"Track_{name}", TRACK_ID=name, NUMBER_SPOTS=str(end - start)
        )
        for i in range(start, end - 1):
            ElementTree.SubElement(track, "Edge", SPOT_SOURCE_ID=str(i), SPOT_TARGET_ID=str(i + 1))
        ElementTree.SubElement(kept, "TrackID", TRACK_ID=name)


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
    scale = length_scale(path, length_unit or model.get("spatialunits") or "", nm_per_px)
    second = (
        1.0 if frame_interval_s is not None else time_scale(path, time_unit or model.get("timeunits") or "")
    )
    try:
        spots = {int(spot.get("ID", "-1")): spot for spot in model.iter("Spot")}
        ids = dict.fromkeys(spots, -1)
        for track in model.iter("Track"):
            for edge in track.iter("Edge"):
                for end in ("SPOT_SOURCE_ID", "SPOT_TARGET_ID"):
                    ids[int(edge.get(end, "-1"))] = int(track.get("TRACK_ID", "-1"))
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
        class_names.index(name) + 1 if (name := spot.get("name", "")) in class_names else fallback
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
