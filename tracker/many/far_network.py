"""The network over a stretch of frames on a worker, and how frames and finds travel: plain values and arrays."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
from typing import Any

import numpy as np

from insitrack.io.arrays import BoolImage
from insitrack.io.detections import Detections, Masks
from insitrack.io.errors import ModelError
from insitrack.io.frames import Frame
from insitrack.segment.base import SegmentConfig, Segmenter
from insitrack.segment.models import load_segmenter
from insitrack.tracker.run.validation import build_settings

Item = tuple[Frame | None, BoolImage | None, Any]
"""A frame, where it shows the specimen, and what is to come back with its finds."""
_here: dict[str, Segmenter] = {}
_one_stretch = threading.Lock()


def packed(items: list[Item]) -> dict[str, Any]:
    """Frames of a stretch as plain values and arrays; a field that stays as it was is sent once."""
    frames: list[dict[str, Any]] = []
    before: BoolImage | None = None
    for frame, field_now, _ in items:
        if frame is None:
            continue
        same = before is not None and field_now is not None and np.array_equal(before, field_now)
        bits = None if field_now is None or same else np.packbits(field_now)
        frames.append(
            {"index": frame.index, "t_s": frame.t_s, "image": frame.image, "field": "same" if same else bits}
        )
        before = field_now
    return {"frames": frames}


def find_in_stretch(order: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """Run the network over a stretch of frames: what a worker does.

    Parameters
    ----------
    order : dict
        `model`, its `sha256`, `config` of the segmenter and `threads`.
    data : dict
        Frames as `packed` makes them.

    Returns
    -------
    dict
        `found`, detections as plain values and arrays; `misfits`; `runtime` of the network.

    Raises
    ------
    InsitrackError
        If the worker lacks the model.
    """
    with _one_stretch:
        segmenter = _segmenter(order)
        before = _misfits(segmenter)
        items: list[Item] = []
        field_now: BoolImage | None = None
        for one in data["frames"]:
            image = one["image"]
            if not isinstance(one["field"], str):
                bits = one["field"]
                field_now = (
                    None
                    if bits is None
                    else np.unpackbits(bits, count=image.size).reshape(image.shape).astype(bool)
                )
            items.append((Frame(one["index"], one["t_s"], image), field_now, None))
        found = [_plain(detections) for detections, _ in segmenter.stream(items) if detections is not None]
        facts = segmenter.describe()
        runtime = {name: str(facts.get(name)) for name in ("runtime", "version", "precision", "device")}
        misfits = _misfits(segmenter)
        return {
            "found": found,
            "misfits": misfits - before if misfits >= before else misfits,
            "runtime": {**runtime, "host": _host()},
        }


def _segmenter(order: dict[str, Any]) -> Segmenter:
    """Return the segmenter of an order, loaded once in a process."""
    key = json.dumps(order, sort_keys=True)
    if key not in _here:
        config = build_settings(SegmentConfig, {k: v for k, v in order["config"].items() if v is not None})
        if not config.threads:
            config = dataclasses.replace(config, threads=order["threads"])
        made = load_segmenter(order["model"], config)
        if made.describe().get("sha256") != order["sha256"]:
            raise ModelError(
                f"{order['model']}: the one on {_host()} is another file than here; copy it there"
            )
        _here.clear()
        _here[key] = made
    return _here[key]


def _host() -> str:
    return socket.gethostname()


def _misfits(segmenter: Segmenter) -> int:
    return int((segmenter.describe().get("view") or {}).get("frames_misfit", 0))


def _plain(found: Detections) -> dict[str, Any]:
    """Take detections apart into plain values and arrays; masks as bits."""
    facts = {one.name: getattr(found, one.name) for one in dataclasses.fields(found)}
    masks = found.masks
    facts["masks"] = {"bits": np.packbits(masks.pixels), "corners": masks.corners, "sizes": masks.sizes}
    return facts


def unpacked(facts: dict[str, Any]) -> Detections:
    """Put the detections of a frame together again."""
    masks = facts["masks"]
    sizes = np.asarray(masks["sizes"])
    n_pixels = int(sizes.astype(np.int64).prod(axis=1).sum())
    pixels = np.unpackbits(masks["bits"], count=n_pixels).astype(bool)
    return Detections(**{**facts, "masks": Masks(pixels, masks["corners"], sizes)})
