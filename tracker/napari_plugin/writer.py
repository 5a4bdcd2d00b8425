"""What was painted on the outlines of a run in napari, as a table of edits for `track edit`."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.detections import DEFECT_CLASSES, Masks
from insitrack.io.errors import SettingsError
from insitrack.io.tables.outlines import rle
from insitrack.tracker.analysis.edit import edited_rows_of
from insitrack.tracker.hindsight.edits import Edit, write_edits
from insitrack.tracker.napari_plugin.lazy import LazyLabels
from insitrack.tracker.napari_plugin.reader import RUN
from insitrack.tracker.run.job.finished import Run, open_run
from insitrack.tracker.run.job.layers import painted


def write_labels(path: str, data: Any, meta: Mapping[str, Any]) -> list[str]:
    """Save the differences between painted outlines and those of their run.

    A track whose outline was changed on a frame is given the new one there; one that was rubbed out is deleted on
    that frame; an id that the run does not have is a new defect. Classes are those of the table of features: one that
    differs from the run's re-classes the whole track.

    Parameters
    ----------
    path : str
        The table of edits, ``.csv``; ``track edit RUN edits.csv`` makes the new run.
    data : LazyLabels or ndarray of int, shape (T, H, W)
        Labels as they are now.
    meta : mapping
        Options of the layer, those of `read_run` among them.

    Returns
    -------
    list of str
        What was written.

    Raises
    ------
    SettingsError
        If the layer is not one of a run, or nothing was changed.
    """
    facts = (meta.get("metadata") or {}).get(RUN)
    if not facts:
        raise SettingsError(
            f"{path}: this layer is not the outlines of a run; open the run folder with insitrack and paint on that"
        )
    run = open_run(facts["folder"])
    classes = _classes(meta)
    edits = [*_painted(run, data, facts["frames"], classes), *_reclassed(run, classes)]
    if not edits:
        raise SettingsError(
            f"{path}: nothing was changed in the outlines of {run.folder}; paint or re-class first"
        )
    write_edits(Path(path), edits)
    return [path]


def _classes(meta: Mapping[str, Any]) -> dict[int, str]:
    """Class of each id in the table of features; only names that are classes."""
    features = meta.get("features")
    if features is None or "index" not in features or "defect_class" not in features:
        return {}
    rows = zip(list(features["index"]), list(features["defect_class"]), strict=True)
    return {int(number): str(name) for number, name in rows if str(name) in DEFECT_CLASSES}


def _reclassed(run: Run, classes: Mapping[int, str]) -> Iterator[Edit]:
    for track, name in run.summary.set_index("track_id")["defect_class"].items():
        if classes.get(int(track), name) != name:
            yield Edit("class", track_id=int(track), defect_class=classes[int(track)])


@dataclass(frozen=True, slots=True)
class _Change:
    """One id whose pixels on one frame were changed; no outline: it was rubbed out."""

    track: int
    frame: int
    outline: str


def _painted(run: Run, data: Any, frames: list[int], classes: Mapping[int, str]) -> list[Edit]:
    """Edits of what was painted: new defects first, so that their ids are known."""
    known = set(run.summary["track_id"].tolist())
    changes = list(_changes(run, data, frames))
    new = sorted(
        (one for one in changes if one.track not in known and one.outline), key=lambda one: one.track
    )
    edits: list[Edit] = []
    ids: dict[int, int] = {}
    free = edited_rows_of(run.folder, run.manifest).naming.next_id if new else 0
    for number, one in enumerate(new):
        name = classes.get(one.track) or _usual(run, one.track)
        edits.append(
            Edit("add", ids.get(one.track, -1), frame=one.frame, defect_class=name, outline=one.outline)
        )
        ids.setdefault(one.track, free + number)  # every outline that is drawn takes a number
    for one in changes:
        if one.track in known:
            kind = "outline" if one.outline else "delete"
            edits.append(Edit(kind, one.track, frame=one.frame, outline=one.outline))
    return edits


def _changes(run: Run, data: Any, frames: list[int]) -> Iterator[_Change]:
    for place, number in enumerate(frames):
        if isinstance(data, LazyLabels) and place not in data.changed:
            continue
        now = np.asarray(data[place])
        found = next(iter(run.masks(number, number)), None)
        before = painted(found, (int(now.shape[0]), int(now.shape[1])))
        rows = {} if found is None else {int(track): i for i, track in enumerate(found.track_ids)}
        other = now != before
        for track in sorted({*np.unique(now[other]).tolist(), *np.unique(before[other]).tolist()} - {0}):
            mask = now == track
            if found is not None and track in rows and mask.any():  # what other outlines cover of it stays
                own = found.masks.take(np.array([rows[track]])).dense((now.shape[0], now.shape[1]))[0]
                mask |= own & (before != track)
            yield _Change(track, number, _outline(mask))


def _outline(mask: NDArray[np.bool_]) -> str:
    """Outline as a table of edits has it; nothing where there is none."""
    if not mask.any():
        return ""
    masks = Masks.from_dense(mask[None])
    (y, x), (height, width) = masks.corners[0].tolist(), masks.sizes[0].tolist()
    return f"rle {x} {y} {width} {height} {rle.encode(masks)[0]}"


def _usual(run: Run, track: int) -> str:
    """Class of a new outline that has none in the features: the most frequent one, which is said."""
    usual = Counter(run.summary["defect_class"].tolist()).most_common(1)
    if not usual:
        raise SettingsError(f"outline {track} is new and has no class; name one in the features of the layer")
    warnings.warn(
        f"outline {track} is new and has no class in the features: it is called {usual[0][0]}, the most frequent one",
        stacklevel=4,
    )
    return str(usual[0][0])
