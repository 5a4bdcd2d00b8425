"""A folder of labels: made from a movie once, taken up as often as somebody comes back to it."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from insitrack.io.errors import InsitrackError, OutputError, SettingsError, SourceError
from insitrack.io.files.folder import list_folder
from insitrack.io.frames import Source
from insitrack.io.live.feeds import is_live
from insitrack.io.manifest import fingerprint, without_password
from insitrack.io.sources import open_source
from insitrack.io.write import PART, write_bytes
from insitrack.segment.base import SegmentConfig, Segmenter
from insitrack.segment.labels.window import in_window
from insitrack.segment.models import load_segmenter
from insitrack.tracker.labelling.choose import Window, choose
from insitrack.tracker.labelling.crops import (
    IMAGES,
    TABLE,
    Crop,
    new_names,
    read_crops,
    write_crops,
    write_image,
)
from insitrack.tracker.labelling.outlines import Outline, checked, proposals
from insitrack.tracker.labelling.scan import Scanned, scan, windows_of
from insitrack.tracker.labelling.settings import LabelSettings
from insitrack.tracker.labelling.store import LabelStore, file_of
from insitrack.tracker.run.calibrated import calibrated
from insitrack.tracker.run.config import RunConfig

START = "start.json.gz"
"""Outlines of the model; packed, so that no reader of labels takes it for labels."""
Say = Callable[[str], None]


def open_labels(
    source: str, folder: Path, chosen: LabelSettings, *, frames: int | None, nm_per_px: float | None, say: Say
) -> LabelStore:
    """Choose crops and outline them, or take up what is there.

    Parameters
    ----------
    source : str
        Movie, folder or image; see `open_source`. A live source is refused.
    folder : Path
        Where labels are; made if absent.
    chosen : LabelSettings
        How crops are chosen, and who labels.
    frames : int, optional
        How many crops there should be; None: 16 in a new folder, no more where there are some.
    nm_per_px : float, optional
        Width of a pixel, nm, in place of what the source says.
    say : callable
        Takes lines for the user.

    Raises
    ------
    InsitrackError
        If the source cannot be read, is another than that of the crops, or the folder holds something else.
    """
    if is_live(source):
        raise SettingsError(
            f"{without_password(source)}: is live; record it first, or label the frames that a run keeps with"
            " --set output.raw=true"
        )
    crops = read_crops(folder) if folder.is_dir() else []
    if not crops and folder.exists() and (folder.is_file() or not _only_begun(folder)):
        raise OutputError(f"--out {folder}: exists, is not empty and holds no {TABLE}; choose another folder")
    missing = (chosen.frames if frames is None and not crops else (frames or 0)) - len(crops)
    if crops:
        _check_same(source, crops)
        say(
            f"{folder}: {len(crops)} images to label are there"
            + (f", {missing} are added" if missing > 0 else "")
        )
    start, models = _read_start(folder, crops) if crops else ({}, {})
    if missing > 0:
        chosen = replace(chosen, frames=missing)
        crops = _added(source, folder, crops, start, models, chosen, nm_per_px, say)
    path = file_of(folder, chosen.annotator)
    store = LabelStore(path, crops, start, models, chosen.annotator)
    if path.is_file():
        say(f"{path}: {store.n_done} of {len(crops)} are done")
    return store


def _added(
    uri: str,
    folder: Path,
    crops: list[Crop],
    start: dict[str, list[Outline]],
    models: dict[str, dict[str, Any]],
    chosen: LabelSettings,
    nm_per_px: float | None,
    say: Say,
) -> list[Crop]:
    """Choose crops, write their images and what the model finds in them; the table comes last.

    `start` and `models` are filled up; all crops are returned.
    """
    source = open_source(uri, nm_per_px=nm_per_px)
    try:
        segmenter = load_segmenter(chosen.model, SegmentConfig(confidence=_candidate_score()))
        existence = calibrated(RunConfig(), segmenter.describe()).existence
        looked = scan(source, segmenter, existence, chosen.frames, _progress(say))
        windows = windows_of(looked, chosen)
        if not windows:
            raise SourceError(f"{uri}: no frame shows enough of a specimen to be labelled")
        taken = [_window(crop) for crop in crops]
        free = [one for one in windows if not any(_overlap(one, other) for other in taken)]
        picked = sorted(
            (free[i] for i in choose(free, chosen.frames, taken)), key=lambda one: (one.frame, one.y_px)
        )
        if len(picked) < chosen.frames:
            say(
                f"warning: there are only {len(picked)} different images for the {chosen.frames} that were asked for"
            )
        new = _crops(uri, source, picked, crops)
    finally:
        source.close()
    by_frame = {one.frame.index: one for one in looked}
    for crop, window in zip(new, picked, strict=True):
        seen = by_frame[window.frame]
        y, x = window.y_px, window.x_px
        write_image(folder, crop.name, seen.frame.image[y : y + crop.height_px, x : x + crop.width_px])
        start[crop.name] = _proposed(seen, window)
    everything = sorted([*crops, *new], key=lambda crop: (crop.frame, crop.y_px, crop.x_px))
    models |= {crop.name: _model_facts(segmenter) for crop in new}
    _write_start(folder, start, models)
    write_crops(folder, everything)
    n = sum(len(start[crop.name]) for crop in new)
    say(f"{len(looked)} frames looked at, {len(new)} images chosen, {n} outlines to begin with")
    return everything


def _candidate_score() -> float:
    return RunConfig().existence.candidate_score


def _progress(say: Say) -> Callable[[int, int], None]:
    def told(done: int, of: int) -> None:
        if done % 10 == 0:
            say(f"looked at {done} of {of} frames")

    return told


def _window(crop: Crop) -> Window:
    return Window(
        crop.frame, crop.t_s, crop.x_px, crop.y_px, crop.width_px, crop.height_px, crop.doubt, 0.5, None
    )


def _overlap(one: Window, other: Window) -> bool:
    return (
        one.frame == other.frame
        and one.x_px < other.x_px + other.width_px
        and other.x_px < one.x_px + one.width_px
        and one.y_px < other.y_px + other.height_px
        and other.y_px < one.y_px + one.height_px
    )


def _proposed(seen: Scanned, window: Window) -> list[Outline]:
    """Outlines in a window that the model takes for defects."""
    likely = np.flatnonzero(seen.probability >= RunConfig().existence.keep)
    inside, rows = in_window(
        seen.found.take(likely), (window.y_px, window.x_px), (window.height_px, window.width_px)
    )
    return proposals(inside, seen.probability[likely][rows].tolist())


def _crops(uri: str, source: Source, picked: Sequence[Window], known: Sequence[Crop]) -> list[Crop]:
    """Rows of the table for the windows that were chosen."""
    files = _files_of(uri, source, [one.frame for one in picked])
    scale = source.calibration.nm_per_px
    names: list[str] = []
    used = [crop.name for crop in known]
    for window, file in zip(picked, files, strict=True):
        stem = re.sub(r"[^\w-]+", "_", file.stem if file else source.name).strip("_") or "image"
        of_folder = file is not None and file != Path(uri)
        name = (
            _of_file(stem, [*used, *names])
            if of_folder
            else new_names(stem, [window.frame], [*used, *names])[0]
        )
        names.append(name)
    hashes = {file: fingerprint(file)["sha256"] for file in files if file is not None}
    return [
        Crop(
            name,
            str(file) if file else without_password(uri),
            hashes[file] if file else "",
            one.frame,
            one.t_s,
            one.x_px,
            one.y_px,
            one.width_px,
            one.height_px,
            float("nan") if scale is None else scale,
            one.doubt,
        )
        for name, file, one in zip(names, files, picked, strict=True)
    ]


def _of_file(stem: str, used: Sequence[str]) -> str:
    """Name of a crop of an image in a folder: that of the image, with a number where it has several."""
    name, number = stem, 2
    while name in used:
        name, number = f"{stem}_{number}", number + 1
    return name


def _files_of(uri: str, source: Source, frames: Sequence[int]) -> list[Path | None]:
    """File that each frame is from; None where there is none, as of a drawn movie."""
    path = Path(uri)
    if path.is_dir():
        files = list_folder(path).files
        if len(files) >= (source.n_frames or 0):
            return [files[index] if index < len(files) else None for index in frames]
    return [path if path.is_file() else None] * len(frames)


def _check_same(uri: str, crops: Sequence[Crop]) -> None:
    """Refuse a source that the crops of a folder are not from; one that is gone is not missed."""
    path = Path(uri)
    there = [crop for crop in crops if crop.source_sha256]
    if not there or not path.exists():
        known = {without_password(uri), *(crop.source for crop in crops)}
        if not there and without_password(uri) not in {crop.source for crop in crops}:
            raise SettingsError(f"{uri}: the labels are of {sorted(known - {uri})[0]}; choose another --out")
        return
    first = there[0]
    file = path / Path(first.source).name if path.is_dir() else path
    if not file.is_file():
        raise SettingsError(
            f"{uri}: does not hold {Path(first.source).name}, which is labelled; choose another --out"
        )
    if fingerprint(file)["sha256"] != first.source_sha256:
        raise SettingsError(f"{uri}: is not the {first.source} that is labelled; choose another --out")


def _model_facts(segmenter: Segmenter) -> dict[str, Any]:
    from insitrack import __version__

    facts = segmenter.describe()
    return {
        "name": facts["name"],
        "sha256": facts["sha256"],
        "insitrack": __version__,
        "view": facts.get("view"),
    }


def _only_begun(folder: Path) -> bool:
    """Whether a folder holds nothing but what a choice that was cut off left there."""
    return all(path.name in (IMAGES, START, START + PART, TABLE + PART) for path in folder.iterdir())


def _write_start(
    folder: Path, start: Mapping[str, Sequence[Outline]], models: Mapping[str, Mapping[str, Any]]
) -> None:
    facts = {
        name: {"model": models[name], "outlines": [one.plain() for one in some]}
        for name, some in start.items()
    }
    write_bytes(folder / START, gzip.compress(json.dumps(facts, allow_nan=False).encode(), mtime=0))


def _read_start(
    folder: Path, crops: Sequence[Crop]
) -> tuple[dict[str, list[Outline]], dict[str, dict[str, Any]]]:
    path = folder / START
    try:
        facts = json.loads(gzip.decompress(path.read_bytes()))
        start = {crop.name: checked(facts[crop.name]["outlines"], crop.shape) for crop in crops}
        return start, {crop.name: dict(facts[crop.name]["model"]) for crop in crops}
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, InsitrackError) as error:
        raise SourceError(
            f"{path}: cannot be read ({type(error).__name__}); take it back from a copy, or choose another --out"
        ) from error
