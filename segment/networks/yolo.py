"""YOLO-seg networks as segmenters: frame in, detections out, without importing torch or ultralytics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

import numpy as np

from insitrack.io.arrays import BoolImage, Bytes
from insitrack.io.detections import Detections
from insitrack.io.frames import Frame
from insitrack.segment.base import SegmentConfig
from insitrack.segment.card import ModelCard
from insitrack.segment.networks.agreement import agreed, neighbours
from insitrack.segment.networks.postprocess import (
    inside_field,
)
from insitrack.segment.networks.runtime import Network, Outputs, load_network
from insitrack.segment.networks.tiled import Piece, joined, only, pieces, window
from insitrack.segment.networks.yolo_outputs import OutputReader
from insitrack.segment.prepare.find_view import (
    LOOK_FRAMES,
    LOOKS,
    SUPPORT,
    ViewFinder,
    canvas_sides,
    parts,
    trials,
)
from insitrack.segment.prepare.grey import Stretch
from insitrack.segment.prepare.tiles import Tile, tiles
from insitrack.segment.prepare.view import View

Tag = TypeVar("Tag")
Item = tuple[Frame | None, BoolImage | None, Tag]
Found = tuple[Detections | None, Tag]
_PADDING_GREY = 114


class YoloSegmenter:
    """A YOLO-seg network exported to ONNX.

    Parameters
    ----------
    model : ModelCard
        The model and its classes.
    config : SegmentConfig
        Thresholds and runtime.
    network : Network, optional
        The network itself, where it is not to be loaded from the file that the card names.

    Raises
    ------
    ModelError
        If the file is not a YOLO-seg network with the classes of its card.
    """

    def __init__(self, model: ModelCard, config: SegmentConfig, network: Network | None = None) -> None:
        self.model, self.config = model, config
        self._reader = OutputReader(model, config)
        self.class_names = self._reader.class_names
        self._network = network or load_network(
            model.weights, runtime=config.runtime, precision=config.precision, threads=config.threads
        )
        self._finder, self._stretch = self._new_finder(), Stretch(config.levels)
        self._looks, self._live = 3 if config.looks == 3 else 1, False
        self._seen_at: Counter[float] = Counter()  # micrographs that were shown at each scale

    def __call__(self, frame: Frame, field: BoolImage | None = None) -> Detections:
        """Return what is in the frame, strongest first; nothing is looked for where `field` is False."""
        return only(self.stream([(frame, field, None)]))

    def stream(self, items: Iterable[Item[Tag]]) -> Iterator[Found[Tag]]:
        """Run over many frames in order, the network working on the next while this one is being read.

        Scale, polarity or grey range, where they are not given, are detected again in each stream, on its
        first frames that show something, or on each frame. A stream of one frame or two is a micrograph.
        """
        rest = iter(items)
        self._stretch = Stretch(self.config.levels)
        if self.config.scale == "each":
            for item in rest:
                view = self._find([item], still=True)
                self._seen_at[view.scale] += 1
                yield from self._run([item], view, still=True)
            return
        finder = self._finder = self._new_finder()
        begun = self._live  # a camera goes on; of a file the first frames say whether it is a movie
        while not begun or not (finder.told or self._finder.frames):
            held = _first(rest)
            still = not begun and sum(frame is not None for frame, _, _ in held) < LOOK_FRAMES
            view, begun = self._find(held, still=still), True
            movie = self._finder.frames > 0 and not still
            yield from self._run(chain(held, rest) if movie else held, view, still=still)
            if not held or still:
                return
        yield from self._run(rest, finder.view)

    def for_live(self) -> None:
        """Make each frame come out as soon as can be, at the price of frames per second."""
        self._live = True
        self._network.one_at_a_time()

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest: name, file, hash, classes, how frames are shown, runtime."""
        return {
            "name": self.model.name,
            "file": self.model.weights.name,
            "sha256": self.model.sha256,
            "classes": list(self.model.classes),
            **self.model.calibration(),
            "view": self._describe_view(),
            **self._network.describe(),
        }

    def _new_finder(self, *, still: bool = False) -> ViewFinder:
        usual = self.model.facts.get("usual_scale")
        return ViewFinder(
            self.config.scale, self.config.contrast, None if usual is None else float(usual), still=still
        )

    def _describe_view(self) -> dict[str, Any]:
        """How the frames, or each micrograph, are shown."""
        facts = {**self._finder.describe(), "looks": self._looks, **self._stretch.describe()}
        if self.config.scale != "each":
            return facts
        return {
            **facts,
            "scale": "each",
            "micrographs_at_scale": {f"{k:g}": n for k, n in self._seen_at.items()},
        }

    def _find(self, items: Sequence[Item[Tag]], *, still: bool) -> View:
        """Scale and polarity that suit the frames of some items."""
        finder = self._finder = self._new_finder(still=still)
        seen = [
            (frame, field)
            for frame, field, _ in items
            if frame is not None and (field is None or field.any()) and frame.image.min() < frame.image.max()
        ]
        for _ in finder.passes():
            for frame, field in seen if not finder.told else ():
                self._try(frame, field, max(1, LOOKS // len(seen)))
        return finder.view

    def _try(self, frame: Frame, field: BoolImage | None, n_parts: int) -> None:
        """Show the network parts of a frame at every candidate scale and weigh what it finds."""
        finder, largest = self._finder, max(self._finder.scales)
        grey = self._stretch(frame.image, field)
        tile = tiles(canvas_sides(frame.shape, finder.scales), self.config.tile_px)[0]
        canvas = (tile.height, tile.width)
        for around in parts(frame.shape, (int(canvas[0] / largest), int(canvas[1] / largest)), n_parts):
            part = np.ascontiguousarray(grey[around])
            small = Frame(frame.index, frame.t_s, part)
            inside = None if field is None else field[around]
            seen = np.asarray(255 - part, np.uint8) if finder.trial_inverted else part
            found: dict[float, Detections] = {}
            pictures = ((trial.canvas, trial.placed) for trial in trials(seen, finder.scales, canvas))
            for outputs, placed in self._network.stream(pictures):
                assert outputs is not None
                everything = self._reader.candidates(outputs, SUPPORT)
                x, y = (everything.boxes[:, [k, k + 2]].mean(axis=1) for k in (0, 1))
                for at in placed:
                    here = (x >= at.x) & (x < at.x + at.width) & (y >= at.y) & (y < at.y + at.height)
                    corner = (-at.y, -at.x)
                    outlined = self._reader.outlined(
                        everything.take(np.flatnonzero(here)), small, at.scale, corner, 1
                    )
                    found[at.scale] = inside_field(outlined, inside)
            finder.weigh(part, found)

    def _run(self, items: Iterable[Item[Tag]], view: View, *, still: bool = False) -> Iterator[Found[Tag]]:
        """Run over frames whose view is known; a micrograph is shown in three."""
        least = self.config.least_score
        several = still if self.config.looks == "auto" else self.config.looks == 3
        others = neighbours(view) if several else []
        self._looks = 1 + len(others)
        # what one view alone doubts can be kept by the others
        floor = min(least, SUPPORT) if others else least
        pictures = pieces(items, lambda _: [view, *others], self._stretch, self.config.tile_px, _cut)
        yield from joined(
            self._network.stream(pictures),
            lambda outputs, piece: self._read(outputs, piece, floor),
            self.config.max_detections,
            lambda views: agreed(views, least),
        )

    def _read(self, outputs: Outputs, piece: Piece, least_score: float) -> Detections:
        """Turn the network's outputs into detections of one tile, in px of the frame."""
        candidates = self._reader.candidates(outputs, least_score)
        n_over_cap = max(0, len(candidates.boxes) - self.config.max_detections)
        kept = candidates.take(np.arange(len(candidates.boxes) - n_over_cap))
        corner = (piece.tile.y, piece.tile.x)
        return self._reader.outlined(
            kept, piece.frame, piece.view.scale, corner, self.config.min_area_px, n_over_cap
        )


def _first(items: Iterator[Item[Tag]]) -> list[Item[Tag]]:
    """Take the next few frames, and what is missing between them."""
    out: list[Item[Tag]] = []
    n_frames = 0
    for item in items:
        out.append(item)
        n_frames += item[0] is not None
        if n_frames == LOOK_FRAMES:
            break
    return out


def _cut(seen: Bytes, tile: Tile) -> Bytes:
    """Cut out a tile, padded to the right and below to multiples of the network's stride."""
    part = window(seen, tile)
    if part.shape == (tile.height, tile.width):
        return np.ascontiguousarray(part)
    out = np.full((tile.height, tile.width), _PADDING_GREY, np.uint8)
    out[: part.shape[0], : part.shape[1]] = part
    return out
