"""Label images: every pixel holds the id of the track that covers it, as OME-TIFF or OME-Zarr."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.exchange.run_parts import RunParts
from insitrack.io.exchange.zarr_store import ArrayWriter, write_group


def write(run: RunParts, path: Path) -> None:
    """Write one image per source frame; where two defects overlap the smaller one is on top.

    A name with ``.zarr`` in it becomes OME-Zarr 0.4, any other OME-TIFF. A frame without defects, or without
    an image, is zero throughout.
    """
    if ".zarr" in path.name:
        _zarr(run, path)
    else:
        _tiff(run, path)


def images(run: RunParts) -> Iterator[NDArray[np.uint32]]:
    """Label images of all frames, in order, uint32 (H, W)."""
    shape, found = run.shape, run.masks()
    held = next(found, None)
    for frame in range(run.n_frames):
        image = np.zeros(shape, np.uint32)
        if held is not None and held.frame == frame:
            for i in np.argsort(-held.masks.area_px(), kind="stable").tolist():
                _stamp(image, held.masks.crop(i), held.masks.corners[i], int(held.track_ids[i]))
            held = next(found, None)
        yield image


def _stamp(image: NDArray[np.uint32], crop: NDArray[np.bool_], corner: Any, value: int) -> None:
    """Write a value where a crop is true and inside the image."""
    y, x = int(corner[0]), int(corner[1])
    up, left = max(0, -y), max(0, -x)
    part = image[max(0, y) : max(0, y + crop.shape[0]), max(0, x) : max(0, x + crop.shape[1])]
    inside = crop[up : up + part.shape[0], left : left + part.shape[1]]
    part[inside] = value


def _tiff(run: RunParts, path: Path) -> None:
    import tifffile

    facts: dict[str, Any] = {"axes": "TYX", "TimeIncrement": run.interval_s, "TimeIncrementUnit": "s"}
    if run.nm_per_px:
        side = {f"PhysicalSize{axis}": run.nm_per_px for axis in "XY"}
        facts |= {**side, **{f"PhysicalSize{axis}Unit": "nm" for axis in "XY"}}
    tifffile.imwrite(
        path,
        images(run),
        shape=(run.n_frames, *run.shape),
        dtype=np.uint32,
        ome=True,
        metadata=facts,
        compression="zlib",
        photometric="minisblack",
    )


def _zarr(run: RunParts, path: Path) -> None:
    side = run.nm_per_px or 1.0
    units = {"unit": "nanometer"} if run.nm_per_px else {}
    axes = [
        {"name": "t", "type": "time", "unit": "second"},
        *({"name": name, "type": "space", **units} for name in "yx"),
    ]
    scale = {"type": "scale", "scale": [run.interval_s, side, side]}
    levels = [{"path": "0", "coordinateTransformations": [scale]}]
    multiscales = [{"version": "0.4", "name": "labels", "axes": axes, "datasets": levels}]
    colours = {"version": "0.4", "colors": [], "source": {}}
    write_group(path, {"multiscales": multiscales, "image-label": colours})
    shape = (run.n_frames, *run.shape)
    with ArrayWriter(path / "0", shape, (1, *run.shape), np.dtype("<u4"), separator="/") as array:
        for frame, image in enumerate(images(run)):
            if image.any():
                array.write((frame, 0, 0), image[None])
