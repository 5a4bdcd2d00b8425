"""Runs as TrackMate files: spots with outlines, tracks, merges and splits, and the movie that they are of."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from insitrack.io.exchange.polygons import polygons
from insitrack.io.exchange.run_parts import RunParts
from insitrack.io.tables.outlines.masks import MASKS

_FEATURES = (
    ("QUALITY", "QUALITY"),
    ("POSITION_X", "POSITION"),
    ("POSITION_Y", "POSITION"),
    ("POSITION_Z", "POSITION"),
    ("POSITION_T", "TIME"),
    ("FRAME", "NONE"),
    ("RADIUS", "LENGTH"),
    ("VISIBILITY", "NONE"),
)
Edge = tuple[int, int]


def write(run: RunParts, path: Path) -> None:
    """Write spots, edges and tracks in TrackMate's form, version 7.

    The number of a spot is that of its row in ``tracks.csv``, so that a file that comes back is known again;
    its name is class and track. Lengths are in nm where the scale is known, else in pixels.
    """
    scale = run.nm_per_px or 1.0
    root = ElementTree.Element("TrackMate", version="7.11.1")
    unit = "nm" if run.nm_per_px else "pixel"
    model = ElementTree.SubElement(root, "Model", spatialunits=unit, timeunits="sec")
    declared = ElementTree.SubElement(model, "FeatureDeclarations")
    spots_of = ElementTree.SubElement(declared, "SpotFeatures")
    for name, dimension in _FEATURES:
        facts = {"feature": name, "name": name.capitalize(), "shortname": name, "dimension": dimension}
        whole = "true" if name in ("FRAME", "VISIBILITY") else "false"
        ElementTree.SubElement(spots_of, "Feature", facts, isint=whole)
    ElementTree.SubElement(declared, "EdgeFeatures")
    ElementTree.SubElement(declared, "TrackFeatures")
    _spots(run, model, scale)
    _tracks(run, model)
    _settings(run, root, scale)
    ElementTree.SubElement(root, "GUIState", state="TrackScheme")
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="UTF-8", xml_declaration=True)


def _spots(run: RunParts, model: ElementTree.Element, scale: float) -> None:
    rows, outlines = run.tracks, _outlines(run)
    all_spots = ElementTree.SubElement(model, "AllSpots", nspots=str(len(rows)))
    frames: dict[int, ElementTree.Element] = {}
    radius = (rows["x2_px"] - rows["x1_px"] + rows["y2_px"] - rows["y1_px"]) / 4
    columns = ["frame", "t_s", "track_id", "defect_class", "x_px", "y_px", "score"]
    for i, (frame, t_s, track, label, x, y, score) in enumerate(rows[columns].itertuples(index=False)):
        if frame not in frames:
            frames[frame] = ElementTree.SubElement(all_spots, "SpotsInFrame", frame=str(frame))
        values = {
            "QUALITY": 0.0 if math.isnan(score) else score,
            "POSITION_X": x * scale,
            "POSITION_Y": y * scale,
            "POSITION_Z": 0.0,
            "POSITION_T": t_s,
            "RADIUS": radius.iloc[i] * scale,
        }
        spot = ElementTree.SubElement(
            frames[frame],
            "Spot",
            {"ID": str(i), "name": f"{label} #{track}", "FRAME": str(frame), "VISIBILITY": "1"}
            | {name: repr(round(float(value), 9)) for name, value in values.items()},
        )
        corners = outlines.get(i)
        if corners is not None:
            spot.set("ROI_N_POINTS", str(len(corners)))
            spot.text = " ".join(f"{value:.6g}" for value in ((corners - (x, y)) * scale).ravel().tolist())


def _outlines(run: RunParts) -> dict[int, Any]:
    """Corners of the outline of every row, px; of a defect of several parts that of the largest."""
    if not (run.folder / MASKS.file).is_file():
        return {}
    found = {}
    for frame in run.masks():
        for i, track in enumerate(frame.track_ids.tolist()):
            parts = polygons(frame.masks.crop(i))
            if parts:
                found[run.row_of[(frame.frame, track)]] = parts[0] + frame.masks.corners[i][::-1]
    return found


def edges_of(run: RunParts) -> tuple[list[Edge], list[Edge]]:
    """Edges of the graph of tracks by numbers of rows: from observation to observation, merges and splits."""
    rows = run.tracks
    ids, frame = rows["track_id"].to_numpy(np.int64), rows["frame"].to_numpy(np.int64)
    order = np.lexsort((frame, ids))
    same = ids[order][1:] == ids[order][:-1]
    links = [(int(a), int(b)) for a, b in zip(order[:-1][same], order[1:][same], strict=True)]
    by_track = {int(ids[part[0]]): part for part in np.split(order, np.flatnonzero(~same) + 1) if len(part)}
    events = []
    for kind, track, other in run.events[["kind", "track_id", "other_id"]].itertuples(index=False):
        if kind not in ("merge", "split") or track not in by_track or other not in by_track:
            continue
        own, beside = by_track[track], by_track[other]
        if kind == "merge":
            later = beside[frame[beside] > frame[own[-1]]]
            events += [(int(own[-1]), int(later[0]))] if len(later) else []
        else:
            earlier = beside[frame[beside] < frame[own[0]]]
            events += [(int(earlier[-1]), int(own[0]))] if len(earlier) else []
    return links, events


def components(n: int, edges: list[Edge]) -> np.ndarray:
    """Smallest number that every one of `n` spots is joined with, int64 (n,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = np.array(edges, np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, part = connected_components(graph, directed=False)
    first = np.full(int(part.max()) + 1 if n else 0, n)
    np.minimum.at(first, part, np.arange(n))
    return np.asarray(first[part])


def _tracks(run: RunParts, model: ElementTree.Element) -> None:
    """Tracks as TrackMate has them: everything that hangs together; a lone spot is in none."""
    tracks, kept = ElementTree.SubElement(model, "AllTracks"), ElementTree.SubElement(model, "FilteredTracks")
    links, events = edges_of(run)
    part = components(len(run.tracks), [*links, *events])
    ids = run.tracks["track_id"].to_numpy(np.int64)
    edges: dict[int, list[Edge]] = {}
    for edge in sorted([*links, *events]):
        edges.setdefault(int(part[edge[0]]), []).append(edge)
    for first, own in edges.items():
        name = str(ids[first])
        n_spots = len({end for edge in own for end in edge})
        track = ElementTree.SubElement(
            tracks, "Track", name=f"Track_{name}", TRACK_ID=name, NUMBER_SPOTS=str(n_spots)
        )
        for source, target in own:
            ElementTree.SubElement(track, "Edge", SPOT_SOURCE_ID=str(source), SPOT_TARGET_ID=str(target))
        ElementTree.SubElement(kept, "TrackID", TRACK_ID=name)


def _settings(run: RunParts, root: ElementTree.Element, scale: float) -> None:
    """Add the movie, its scale and its rate, so that TrackMate opens it."""
    source = run.manifest.get("source") or {}
    movie = Path(str(source.get("path") or source.get("uri") or run.folder))
    sizes = run.frames[["width_px", "height_px"]].dropna()
    width, height = (int(sizes[name].max()) if len(sizes) else 0 for name in ("width_px", "height_px"))
    settings = ElementTree.SubElement(root, "Settings")
    ElementTree.SubElement(
        settings,
        "ImageData",
        filename=movie.name,
        folder=str(movie.resolve().parent) if movie.exists() else "",
        width=str(width),
        height=str(height),
        nslices="1",
        nframes=str(run.n_frames),
        pixelwidth=repr(scale),
        pixelheight=repr(scale),
        voxeldepth="1.0",
        timeinterval=repr(round(run.interval_s, 9)),
    )
    ends = {"xstart": "0", "xend": str(width - 1), "ystart": "0", "yend": str(height - 1)}
    ends |= {"zstart": "0", "zend": "0", "tstart": "0", "tend": str(run.n_frames - 1)}
    ElementTree.SubElement(settings, "BasicSettings", ends)
    ElementTree.SubElement(settings, "DetectorSettings", DETECTOR_NAME="MANUAL_DETECTOR", RADIUS="1.0")
    ElementTree.SubElement(settings, "InitialSpotFilter", feature="QUALITY", value="0.0", isabove="true")
    for name in ("SpotFilterCollection", "TrackerSettings", "TrackFilterCollection", "AnalyzerCollection"):
        ElementTree.SubElement(settings, name)
