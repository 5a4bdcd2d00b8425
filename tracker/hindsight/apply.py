"""How each kind of edit changes which track and class the finds of a run belong to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from insitrack.io.arrays import Bools, Ints
from insitrack.io.errors import TableError
from insitrack.tracker.hindsight.drawn import Drawing
from insitrack.tracker.hindsight.edits import Edit
from insitrack.tracker.hindsight.naming import NOWHERE, Naming

if TYPE_CHECKING:
    import pandas as pd

Changed = tuple[Naming, int, int | None]
"""As it is then, how many observations changed, and the id that was made."""


def apply_edits(
    naming: Naming, edits: Iterable[Edit], drawing: Drawing, name: str = "edits"
) -> tuple[Naming, list[dict[str, object]]]:
    """Apply edits one after another to the finds of a run.

    Parameters
    ----------
    naming : Naming
        As it is.
    edits : iterable of Edit
        What to do.
    drawing : Drawing
        Measures what is drawn.
    name : str
        Name of the edits table, for complaints.

    Returns
    -------
    naming : Naming
        As it is then.
    trail : list of dict
        Each edit and how many observations it changed.

    Raises
    ------
    TableError
        If a track is not there, two observations of one track would be in one frame, a split leaves nothing on
        one side, or an outline cannot be read.
    """
    trail = []
    for edit in edits:
        naming, outcome = apply_edit(naming, edit, drawing, f"{name}: line {edit.line}")
        trail.append(outcome)
    return naming, trail


def apply_edit(naming: Naming, edit: Edit, drawing: Drawing, where: str) -> tuple[Naming, dict[str, object]]:
    """Apply one edit; errors as `apply_edits`."""
    known = {name: value for name, value in edit.cells().items() if value}
    told: dict[str, object] = {
        name: int(value) if name in ("track_id", "other_id", "frame", "last_frame") else value
        for name, value in known.items()
    }
    told |= {"line": edit.line}
    change = _ACTIONS[edit.action]
    after, n, new_id = change(naming, edit, drawing, where)
    if new_id is not None:
        told["new_id"] = new_id
    return after, {**told, "observations": n}


def _merge(naming: Naming, edit: Edit, drawing: Drawing, where: str) -> Changed:
    here = _track(naming, edit.track_id, where)
    other = naming.track_id == edit.other_id
    if not other.any() or edit.other_id == edit.track_id:
        raise TableError(
            f"{where}: no track {edit.other_id} to merge; expected an id of tracks.csv other than"
            f" {edit.track_id}"
        )
    both = np.intersect1d(naming.frame[here], naming.frame[other])
    if len(both):
        raise TableError(
            f"{where}: tracks {edit.track_id} and {edit.other_id} are both seen in frame {both[0]}; split one"
            " first"
        )
    absent = {(edit.track_id if track == edit.other_id else track, frame) for track, frame in naming.absent}
    absent -= {(edit.track_id, frame) for frame in naming.frame[here | other].tolist()}
    return _named(naming, other, track_id=edit.track_id, absent=absent), _count(other), None


def _split(naming: Naming, edit: Edit, drawing: Drawing, where: str) -> Changed:
    here = _track(naming, edit.track_id, where)
    later = here & (naming.frame >= edit.frame)
    if not later.any() or later.sum() == here.sum():
        low, high = naming.frame[here].min(), naming.frame[here].max()
        raise TableError(
            f"{where}: frame {edit.frame} does not cut track {edit.track_id}; expected one from {low + 1} to"
            f" {high}"
        )
    new = naming.next_id
    absent = {
        (new if track == edit.track_id and frame >= edit.frame else track, frame)
        for track, frame in naming.absent
    }
    after = _named(naming, later, track_id=new, absent=absent)
    return replace(after, next_id=new + 1), _count(later), new


def _delete(naming: Naming, edit: Edit, drawing: Drawing, where: str) -> Changed:
    here = _track(naming, edit.track_id, where)
    frames = _span(edit, drawing, where)
    if frames is not None:
        here = here & np.isin(naming.frame, frames)
        absent = naming.absent | {(edit.track_id, frame) for frame in frames}
    else:
        absent = frozenset(one for one in naming.absent if one[0] != edit.track_id)
    return _named(naming, here, track_id=NOWHERE, absent=absent), _count(here), None


def _class(naming: Naming, edit: Edit, drawing: Drawing, where: str) -> Changed:
    here = _track(naming, edit.track_id, where)
    frames = _span(edit, drawing, where)
    if frames is not None:
        here = here & np.isin(naming.frame, frames)
        if not here.any():
            raise TableError(
                f"{where}: track {edit.track_id} was not seen in frames {edit.frame} to {edit.last}; give frames"
                " in which it was"
            )
    name = edit.defect_class
    return _named(naming, here, name=name, by_hand=frames is not None), _count(here), None


def _restore(naming: Naming, edit: Edit, drawing: Drawing, where: str) -> Changed:
    """Make a track of the finds of one causal id that are in none, or give them to another."""
    here = (naming.causal_id == edit.track_id) & (naming.track_id == NOWHERE)
    frames = _span(edit, drawing, where)
    if frames is not None:
        here &= np.isin(naming.frame, frames)
    if not here.any():
        raise TableError(
            f"{where}: nothing of {edit.track_id} was dropped{' in these frames' if frames is not None else ''};"
            " expected an id of the causal tables with finds that no track has"
        )
    new: int | None = None
    next_id = naming.next_id
    if edit.other_id >= 0:
        target = edit.other_id
        _free(naming, target, naming.frame[here], _track(naming, target, where), where)
    elif (naming.track_id == edit.track_id).any():
        target = new = next_id
        next_id += 1
    else:
        target = edit.track_id
    absent = naming.absent - {(target, frame) for frame in naming.frame[here].tolist()}
    after = _named(naming, here, track_id=target, absent=absent)
    return replace(after, next_id=next_id), _count(here), new


def _add(naming: Naming, edit: Edit, drawing: Drawing, where: str) -> Changed:
    rows = _drawn(edit, drawing, edit.defect_class, where)
    frames = rows["frame"].to_numpy(np.int64)
    if edit.track_id >= 0:
        _free(naming, edit.track_id, frames, _track(naming, edit.track_id, where), where)
    new = naming.next_id
    target = edit.track_id if edit.track_id >= 0 else new
    absent = naming.absent - {(target, frame) for frame in frames.tolist()}
    after = replace(naming.with_drawn(rows, target, edit.defect_class), absent=absent)
    return after, len(rows), new


def _outline(naming: Naming, edit: Edit, drawing: Drawing, where: str) -> Changed:
    here = _track(naming, edit.track_id, where)
    names, counts = np.unique(naming.defect_class[here].astype(str), return_counts=True)
    name = str(names[counts.argmax()])
    rows = _drawn(edit, drawing, name, where)
    frames = rows["frame"].to_numpy(np.int64)
    replaced = here & np.isin(naming.frame, frames)
    absent = naming.absent - {(edit.track_id, frame) for frame in frames.tolist()}
    new = naming.next_id
    after = _named(naming, replaced, track_id=NOWHERE, absent=absent)
    return after.with_drawn(rows, edit.track_id, name), len(rows), new


_ACTIONS = {
    "merge": _merge,
    "split": _split,
    "delete": _delete,
    "class": _class,
    "restore": _restore,
    "add": _add,
    "outline": _outline,
}


def _track(naming: Naming, track_id: int, where: str) -> Bools:
    """Find the observations of a track."""
    here = naming.track_id == track_id
    if not here.any():
        raise TableError(
            f"{where}: no track {track_id}; expected an id of tracks.csv, or one that an earlier line made"
        )
    return np.asarray(here, bool)


def _span(edit: Edit, drawing: Drawing, where: str) -> list[int] | None:
    """Frames that an edit concerns; None for all of a track."""
    if edit.frame < 0:
        return None
    frames = drawing.frames_of(edit.frame, edit.last)
    if not frames:
        low, high = (drawing.looked[0], drawing.looked[-1]) if len(drawing.looked) else (0, 0)
        raise TableError(
            f"{where}: no frame from {edit.frame} to {edit.last} was looked at; expected some of {low} to {high}"
        )
    return frames


def _drawn(edit: Edit, drawing: Drawing, name: str, where: str) -> pd.DataFrame:
    frames = _span(edit, drawing, where) or []
    if frames[0] != edit.frame:
        raise TableError(
            f"{where}: frame {edit.frame} was not looked at; expected the frame in which the outline is drawn"
        )
    try:
        return drawing.rows(edit.outline, frames, name)
    except ValueError as error:
        raise TableError(f"{where}, column 'outline': {error}") from error


def _free(naming: Naming, track_id: int, frames: Ints, here: Bools, where: str) -> None:
    """Refuse a second observation of one track in one frame."""
    both = np.intersect1d(naming.frame[here], frames)
    if len(both):
        raise TableError(
            f"{where}: track {track_id} is seen in frame {both[0]} already; change its outline, or choose other"
            " frames"
        )


def _named(
    naming: Naming,
    which: Bools,
    *,
    track_id: int | None = None,
    name: str | None = None,
    by_hand: bool = False,
    absent: Iterable[tuple[int, int]] | None = None,
) -> Naming:
    """Give some finds another track or class."""
    changed: dict[str, Any] = {}
    if track_id is not None:
        changed["track_id"] = np.where(which, track_id, naming.track_id)
    if name is not None:
        changed["defect_class"] = np.where(which, name, naming.defect_class)
        changed["seen_class"] = np.where(which, name, naming.seen_class)
        changed["by_hand"] = np.where(which, by_hand, naming.by_hand)
    if absent is not None:
        changed["absent"] = frozenset(absent)
    return replace(naming, **changed)


def _count(which: Bools) -> int:
    return int(np.count_nonzero(which))
