"""GEFF: the tracks of a run as a graph, a node per defect and frame.

References
----------
Graph Exchange File Format 1.3, liveimagetrackingtools.org/geff.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.exchange.run_parts import RunParts
from insitrack.io.exchange.trackmate import edges_of
from insitrack.io.exchange.zarr_store import write_array, write_group
from insitrack.io.tables.columns import TRACKS

_KEPT = (
    "t_s",
    "y_px",
    "x_px",
    "frame",
    "track_id",
    "defect_class",
    "size_nm",
    "area_px",
    "major_px",
    "minor_px",
    "angle_deg",
    "probability",
    "observed",
)


def write(run: RunParts, path: Path) -> None:
    """Write a graph whose nodes are the rows of ``tracks.csv``, by their numbers.

    Edges go from a defect to the same one in the next frame; a merge is an edge from the end of one track into
    another, a split one from a track to the begin of another.
    """
    tracks = run.tracks
    links, events = edges_of(run)
    edges = np.array([*links, *events], np.uint64).reshape(-1, 2)
    nodes = {name: _values(tracks[name].to_numpy()) for name in _KEPT}
    group = write_group(path, {"geff": _facts(run, nodes)})
    write_group(group / "nodes")
    write_group(group / "nodes" / "props")
    write_array(group / "nodes" / "ids", np.arange(len(tracks), dtype=np.uint64))
    for name, values in nodes.items():
        write_group(group / "nodes" / "props" / name)
        write_array(group / "nodes" / "props" / name / "values", values)
        if values.dtype.kind == "f" and np.isnan(values).any():
            write_array(group / "nodes" / "props" / name / "missing", np.isnan(values))
    write_group(group / "edges")
    write_group(group / "edges" / "props")
    write_array(group / "edges" / "ids", edges)


def _values(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind in "OUT":
        return np.array([str(value) for value in values], np.str_)
    return np.ascontiguousarray(values)


def _facts(run: RunParts, nodes: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Metadata of the graph."""
    columns = {column.name: column for column in TRACKS.columns}
    axes = [
        {
            "name": name,
            "type": kind,
            "unit": unit,
            "min": _end(nodes[name], np.min),
            "max": _end(nodes[name], np.max),
        }
        for name, kind, unit in (
            ("t_s", "time", "second"),
            ("y_px", "space", "pixel"),
            ("x_px", "space", "pixel"),
        )
    ]
    props = {
        name: {
            "identifier": name,
            "dtype": "str" if values.dtype.kind == "U" else str(values.dtype),
            "varlength": False,
            "unit": columns[name].unit or None,
            "description": columns[name].meaning,
        }
        for name, values in nodes.items()
    }
    return {
        "geff_version": "1.3",
        "directed": True,
        "axes": axes,
        "node_props_metadata": props,
        "edge_props_metadata": {},
        "track_node_props": {"tracklet": "track_id"},
        "display_hints": {"display_horizontal": "x_px", "display_vertical": "y_px", "display_time": "t_s"},
        "extra": {"insitrack": {"run": run.folder.resolve().name, "nm_per_px": run.nm_per_px}},
    }


def _end(values: NDArray[Any], choose: Any) -> float | None:
    known = values[np.isfinite(values)]
    return float(choose(known)) if len(known) else None
