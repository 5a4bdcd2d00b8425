"""Corrections made in TrackMate: a file that came from a run goes back to it, and only what was changed changes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from insitrack.io.arrays import Ints
from insitrack.io.errors import TableError
from insitrack.io.exchange.run_parts import RunParts
from insitrack.io.exchange.trackmate import components, edges_of
from insitrack.io.exchange.trackmate_file import label_of, model_of
from insitrack.tracker.hindsight.refine import names_of

if TYPE_CHECKING:
    import pandas as pd

_NEAR = 1e-3
"""Share of a pixel by which a spot may lie elsewhere and is not moved: TrackMate keeps 15 digits."""


@dataclass(frozen=True, slots=True)
class Returned:
    """What a TrackMate file says of the rows of ``tracks.csv``.

    Parameters
    ----------
    track_id : ndarray of int64, shape (N,)
        Track of each row; -1 where its spot was deleted.
    defect_class : list of str
        Class of each row.
    warnings : list of str
        What could not be taken over, one line each.
    """

    track_id: Ints
    defect_class: list[str]
    warnings: list[str]


def read_returned(path: Path, run: RunParts) -> Returned:
    """Compare a TrackMate file with the run that it was exported from.

    Spots are known by their numbers. Tracks are what hangs together, merges and splits of the run left out; a
    track keeps its id where it has the most of its spots. A class is changed by the name of any of its spots.

    Raises
    ------
    TableError
        If the file is damaged, or not of this run.
    """
    root, model = model_of(path)
    rows = run.tracks
    spots = _spots(path, model, rows)
    warnings = _moved(root, model, spots, run)
    n_new = sum(1 for _ in model.iter("Spot")) - len(spots)
    if n_new:
        warnings.append(f"{path.name}: {n_new} spots are new; they have no outline and are left out")
    here = np.zeros(len(rows), bool)
    here[list(spots)] = True
    links, events = edges_of(run)
    old, known = rows["track_id"].to_numpy(np.int64), set(links) | set(events)
    edges = {edge for edge in _edges(path, model) if here[list(edge)].all()} if len(rows) else set()
    chain = components(len(rows), sorted(edges - set(events)))
    chain = _without_joins(chain, old, rows["frame"].to_numpy(np.int64), here, warnings, path)
    ids = np.full(len(rows), -1)
    ids[here] = names_of(np.unique(chain[here], return_inverse=True)[1], old[here])
    lost = {edge for edge in known - edges if here[list(edge)].all()} & set(events)
    if lost:
        warnings.append(
            f"{path.name}: {len(lost)} merges or splits were taken out; they follow from the tracks"
        )
    return Returned(ids, _classes(rows, spots, ids), warnings)


def _spots(path: Path, model: ElementTree.Element, rows: pd.DataFrame) -> dict[int, ElementTree.Element]:
    """Spots of the file that are rows of the table, by the number of the row."""
    frame = rows["frame"].to_numpy()
    try:
        found = {
            int(spot.get("ID", "-1")): (spot, float(spot.get("FRAME", "nan"))) for spot in model.iter("Spot")
        }
    except ValueError as error:
        raise TableError(
            f"{path}: a spot has no number ({error}); expected a file that TrackMate wrote"
        ) from error
    known = {i: spot for i, (spot, number) in found.items() if 0 <= i < len(frame) and frame[i] == number}
    if len(known) < 0.5 * len(found) or not found:
        raise TableError(
            f"{path}: {len(known)} of {len(found)} spots are of this run; expected what track export --to trackmate"
            " wrote of it, corrected in TrackMate"
        )
    return known


def _moved(
    root: ElementTree.Element,
    model: ElementTree.Element,
    spots: dict[int, ElementTree.Element],
    run: RunParts,
) -> list[str]:
    """Warn of spots that were moved: their outlines were not."""
    scale = (run.nm_per_px or 1.0) if model.get("spatialunits") == "nm" else 1.0
    place = run.tracks[["x_px", "y_px"]].to_numpy(np.float64)
    moved = 0
    for i, spot in spots.items():
        try:
            at = [float(spot.get(f"POSITION_{axis}", "nan")) / scale for axis in "XY"]
        except ValueError:
            at = [np.nan, np.nan]
        moved += not np.allclose(at, place[i], rtol=0, atol=_NEAR, equal_nan=True)
    if not moved:
        return []
    return [f"{moved} spots were moved or resized in TrackMate; their outlines and sizes stay as measured"]


def _edges(path: Path, model: ElementTree.Element) -> set[tuple[int, int]]:
    """Edges of all tracks, by the numbers of their spots."""
    try:
        return {
            (int(edge.get("SPOT_SOURCE_ID", "-1")), int(edge.get("SPOT_TARGET_ID", "-1")))
            for edge in model.iter("Edge")
        }
    except ValueError as error:
        raise TableError(
            f"{path}: an edge has no number ({error}); expected a file that TrackMate wrote"
        ) from error


def _without_joins(
    chain: Ints, old: Ints, frame: Ints, here: np.ndarray, warnings: list[str], path: Path
) -> Ints:
    """Take apart what was joined although both are there in one frame: those stay the tracks that they were."""
    pairs, counts = np.unique(np.column_stack([chain, frame])[here], axis=0, return_counts=True)
    torn = np.unique(pairs[counts > 1, 0])
    if not len(torn):
        return chain
    warnings.append(
        f"{path.name}: {len(torn)} tracks have two spots in one frame; these stay the tracks that they were"
    )
    apart = np.isin(chain, torn)
    return np.where(apart, chain.max() + 1 + old, chain)


def _classes(rows: pd.DataFrame, spots: dict[int, ElementTree.Element], ids: Ints) -> list[str]:
    """Class of every row: where spots of a track were renamed, the name that most of those got."""
    given = rows["defect_class"].astype(str).tolist()
    votes: dict[int, dict[str, int]] = {}
    for i, spot in spots.items():
        label = label_of(spot)[0]
        if label and label != given[i]:
            own = votes.setdefault(int(ids[i]), {})
            own[label] = own.get(label, 0) + 1
    chosen = {name: max(own, key=lambda label: own[label]) for name, own in votes.items()}
    return [chosen.get(int(name), label) for name, label in zip(ids, given, strict=True)]


def apply_returned(
    path: Path, run: Path, observed: pd.DataFrame
) -> tuple[pd.DataFrame, list[dict[str, object]], list[str]]:
    """Give observations the ids and classes of a TrackMate file.

    Parameters
    ----------
    path : Path
        The file.
    run : Path
        The run that it was exported from.
    observed : DataFrame
        Observations of the run, with ``frame``, ``causal_id``, ``track_id``, ``defect_class``, ``seen_class``.

    Returns
    -------
    rows : DataFrame
        Observations with new ids and classes; deleted ones are left out.
    trail : list of dict
        One entry per track that lost, got or renamed observations.
    warnings : list of str
        What could not be taken over.

    Raises
    ------
    TableError
        If a class is not known, or the file is not of this run.
    """
    parts = RunParts(run)
    back = read_returned(path, parts)
    known = set(parts.class_names)
    for name in back.defect_class:
        if name not in known:
            raise TableError(
                f"{path}: a spot is named {name!r}; expected a class: {', '.join(parts.class_names)}"
            )
    now = parts.tracks.assign(new_id=back.track_id, new_class=back.defect_class)
    now = now.loc[now["observed"] == 1, ["frame", "causal_id", "new_id", "new_class"]]
    rows = observed.merge(now, on=["frame", "causal_id"], how="left")
    trail = _trail(rows)
    rows = rows[rows["new_id"] >= 0]
    renamed = (rows["new_class"] != rows["defect_class"]).to_numpy()
    seen_class = np.where(renamed, rows["new_class"], rows["seen_class"])
    rows = rows.assign(
        track_id=rows["new_id"].astype(np.int64), defect_class=rows["new_class"], seen_class=seen_class
    )
    return rows.drop(columns=["new_id", "new_class"]).reset_index(drop=True), trail, back.warnings


def _trail(rows: pd.DataFrame) -> list[dict[str, object]]:
    """Tell what happened to which track, in the words of the table of edits."""
    changed = rows[(rows["new_id"] != rows["track_id"]) | (rows["new_class"] != rows["defect_class"])]
    trail: list[dict[str, object]] = []
    for (track, new, label), part in changed.groupby(["track_id", "new_id", "new_class"]):
        action = "delete" if new < 0 else "class" if new == track else "move"
        entry: dict[str, object] = {"action": action, "track_id": int(track), "observations": len(part)}
        if action == "move":
            entry["new_id"] = int(new)
        if action != "delete" and (part["defect_class"] != label).any():
            entry["defect_class"] = str(label)
        trail.append(entry)
    return trail
