"""A run folder as layers of napari: frames, outlines with the ids of tracks, tracks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.draw.palette import class_colours
from insitrack.io.errors import InsitrackError
from insitrack.io.tables.run_folder import MANIFEST
from insitrack.tracker.napari_plugin.lazy import LazyFrames, LazyLabels, MovieReader
from insitrack.tracker.run.job.finished import Run, check_outlines, open_run, source_of
from insitrack.tracker.run.job.layers import painted, tracks_layer

Layer = tuple[Any, dict[str, Any], str]
RUN = "insitrack_run"
"""Key of the metadata of a layer: what the writer needs to know of the run."""


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[Layer]] | None:
    """Answer napari whether this is a run folder: what reads it, or None.

    Examples
    --------
    >>> get_reader("somewhere/else") is None
    True
    """
    one = path[0] if isinstance(path, list) and len(path) == 1 else path
    if not isinstance(one, str):
        return None
    folder = Path(one)
    return read_run if folder.is_dir() and (folder / MANIFEST).is_file() else None


def read_run(path: str | list[str]) -> list[Layer]:
    """Open a run folder.

    Parameters
    ----------
    path : str or list of str
        Output folder of a run.

    Returns
    -------
    list of (data, options, kind)
        Frames, read as they are looked at, where the movie is still there; labels with the id of the track, the
        colour of its class and a table of its properties; tracks.

    Raises
    ------
    TableError
        If the run has no outlines, or is damaged.
    """
    run = open_run(path[0] if isinstance(path, list) else path)
    check_outlines(run.folder)
    frames = run.frames[run.frames["status"] == "processed"]
    numbers, t_s = frames["frame"].to_numpy(np.int64), frames["t_s"].to_numpy(np.float64)
    movie = MovieReader(
        lambda start: source_of(run.folder, run.manifest, None, (start - 1e-6, None)), numbers, t_s
    )
    name = run.folder.resolve().name
    layers: list[Layer] = []
    shape: tuple[int, int] | None = None
    try:
        first = movie(0)
        shape = (int(first.shape[0]), int(first.shape[1]))
        images = LazyFrames(movie, (len(numbers), *shape), first.dtype)
        layers.append((images, {"name": name, "colormap": "gray"}, "image"))
    except InsitrackError as error:
        warnings.warn(f"the frames are not shown: {error}", stacklevel=2)
    shape = shape or _reach(run)
    place = {int(number): i for i, number in enumerate(numbers)}
    return [*layers, labels_layer(run, numbers, shape), tracks_layer(run.tracks, place, name)]


def labels_layer(run: Run, numbers: NDArray[np.int64], shape: tuple[int, int]) -> Layer:
    """Outlines of all frames, read as they are looked at."""

    def read(place: int) -> NDArray[np.uint32]:
        number = int(numbers[place])
        found = next(iter(run.masks(number, number)), None)
        return painted(found, shape)

    properties = run.summary.set_index("track_id", drop=False)
    colours = class_colours(properties["defect_class"].unique())
    by_id: dict[int | None, tuple[float, ...]] = {
        int(track): (*(value / 255 for value in colours[name]), 1.0)
        for track, name in properties["defect_class"].items()
    }
    features = properties.rename(columns={"track_id": "index"})
    columns = ("index", "defect_class", "t_first_s", "t_last_s", "lifetime_s", "size_nm", "growth_nm_per_s")
    options = {
        "name": f"{run.folder.resolve().name} outlines",
        "opacity": 0.6,
        "features": features[[name for name in columns if name in features]].reset_index(drop=True),
        "colormap": {**by_id, 0: (0.0, 0.0, 0.0, 0.0), None: (1.0, 1.0, 1.0, 1.0)},
        "metadata": {RUN: {"folder": str(run.folder.resolve()), "frames": numbers.tolist()}},
    }
    return LazyLabels(read, (len(numbers), *shape)), options, "labels"


def _reach(run: Run) -> tuple[int, int]:
    """Height and width that hold all outlines, where the movie is gone and cannot tell."""
    source = run.manifest.get("source") or {}
    if source.get("height_px") and source.get("width_px"):
        return int(source["height_px"]), int(source["width_px"])
    height = width = 1
    for found in run.masks():
        ends = (found.masks.corners + found.masks.sizes).max(axis=0, initial=1)
        height, width = max(height, int(ends[0])), max(width, int(ends[1]))
    return height, width
