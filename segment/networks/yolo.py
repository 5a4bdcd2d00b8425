"""YOLO-seg networks as segmenters: frame in, detections out, without importing torch or ultralytics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import numpy as np

from insitrack.io.arrays import BoolImage, Bytes, Floats32, Ints
from insitrack.io.detections import Detections
from insitrack.io.errors import ModelError
from insitrack.io.frames import Frame
from insitrack.segment.base import SegmentConfig, looked_for
from insitrack.segment.card import ModelCard
from insitrack.segment.networks.postprocess import (
    best_candidates,
    inside_field,
    masks_in_boxes,
    suppress_overlaps,
    suppress_pieces,
)
from insitrack.segment.networks.runtime import Network, Outputs, load_network
from insitrack.segment.networks.tiled import Piece, joined, only, pieces, window
from insitrack.segment.prepare.grey import Stretch
from insitrack.segment.prepare.tiles import Tile, tiles
from insitrack.segment.prepare.view import LOOK_FRAMES, SURE, View, ViewFinder, middle, trials

Tag = TypeVar("Tag")
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
        # not all that exist: a class that this model cannot see, or that is not looked for, has no count, not
        # a count of 0
        self.class_names = looked_for(model.classes, config)
        self._least_logit = float(model.facts.get("mask_logit", 0.0))
        self._network = network or load_network(
            model.weights, runtime=config.runtime, precision=config.precision, threads=config.threads
        )
        self._finder, self._stretch = self._new_finder(), Stretch(config.levels)

    def __call__(self, frame: Frame, field: BoolImage | None = None) -> Detections:
        """Return what is in the frame, strongest first; nothing is looked for where `field` is False."""
        return only(self.stream([(frame, field, None)]))

    def stream(
        self, items: Iterable[tuple[Frame | None, BoolImage | None, Tag]]
    ) -> Iterator[tuple[Detections | None, Tag]]:
        """Run over many frames in order, the network working on the next while this one is being read.

        Scale, polarity or grey range, where they are not given, are detected again in each stream, on its
        first frames that show something.
        """
        finder = self._finder = self._new_finder()
        self._stretch = Stretch(self.config.levels)
        rest = iter(items)
        while not finder.told and not finder.frames:
            held = _first(rest)
            if not held:
                return
            for _ in finder.passes():
                for frame, field, _ in held:
                    if (
                        frame is not None
                        and (field is None or field.any())
                        and frame.image.min() < frame.image.max()
                    ):
                        self._try(frame, field)
            yield from self._run(chain(held, rest) if finder.frames else held, finder.view)
        yield from self._run(rest, finder.view)

    def for_live(self) -> None:
        """Make each frame come out as soon as can be, at the price of frames per second."""
        self._network.one_at_a_time()

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest: name, file, hash, classes, how frames are shown, runtime."""
        return {
            "name": self.model.name,
            "file": self.model.weights.name,
            "sha256": self.model.sha256,
            "classes": list(self.model.classes),
            **self.model.calibration(),
            "view": {**self._finder.describe(), **self._stretch.describe()},
            **self._network.describe(),
        }

    def _new_finder(self) -> ViewFinder:
        usual = self.model.facts.get("usual_scale")
        return ViewFinder(self.config.scale, self.config.contrast, None if usual is None else float(usual))

    def _try(self, frame: Frame, field: BoolImage | None) -> None:
        """Show the network the middle of a frame at every candidate scale and weigh what it finds."""
        finder, largest = self._finder, max(self._finder.scales)
        grey = self._stretch(frame.image, field)
        tile = tiles(View(largest).shape(frame.shape), self.config.tile_px)[0]
        around = middle(frame.shape, (int(tile.height / largest), int(tile.width / largest)))
        part = np.ascontiguousarray(grey[around])
        small = Frame(frame.index, frame.t_s, part)
        seen = np.asarray(255 - part, np.uint8) if finder.trial_inverted else part
        found: dict[float, Detections] = {}
        pictures = (
            (trial.canvas, trial.placed) for trial in trials(seen, finder.scales, (tile.height, tile.width))
        )
        for outputs, placed in self._network.stream(pictures):
            assert outputs is not None
            everything = self._candidates(outputs, SURE)
            for scale, x, width in placed:
                centre = everything.boxes[:, [0, 2]].mean(axis=1)
                here = everything.take(np.flatnonzero((centre >= x) & (centre < x + width)))
                found[scale] = inside_field(
                    self._outlined(here, small, scale, (0, -x), 1), None if field is None else field[around]
                )
        finder.weigh(part, found)

    def _run(
        self, items: Iterable[tuple[Frame | None, BoolImage | None, Tag]], view: View
    ) -> Iterator[tuple[Detections | None, Tag]]:
        """Run over frames whose view is known."""
        pictures = pieces(items, lambda _: view, self._stretch, self.config.tile_px, _cut)
        yield from joined(self._network.stream(pictures), self._read, self.config.max_detections)

    def _read(self, outputs: Outputs, piece: Piece) -> Detections:
        """Turn the network's outputs into detections of one tile, in px of the frame."""
        candidates = self._candidates(outputs, self.config.least_score)
        n_over_cap = max(0, len(candidates.boxes) - self.config.max_detections)
        kept = candidates.take(np.arange(len(candidates.boxes) - n_over_cap))
        corner = (piece.tile.y, piece.tile.x)
        return self._outlined(
            kept, piece.frame, piece.view.scale, corner, self.config.min_area_px, n_over_cap
        )

    def _candidates(self, outputs: Outputs, confidence: float) -> _Candidates:
        """Boxes of defects, strongest first, none of them twice."""
        n_classes = len(self.model.classes)
        by_rank = sorted(outputs, key=lambda output: output.ndim)
        if [output.ndim for output in by_rank] != [2, 3] or len(by_rank[0]) != 4 + n_classes + len(
            by_rank[1]
        ):
            raise ModelError(
                f"{self.model.weights}: outputs {[o.shape for o in outputs]} are not those of a YOLO-seg"
                f" network with the {n_classes} classes of its card; export it again"
            )
        rows, prototypes = by_rank
        if len(self.class_names) < n_classes:
            kept = [4 + i for i, name in enumerate(self.model.classes) if name in self.class_names]
            rows, n_classes = rows[[0, 1, 2, 3, *kept, *range(4 + n_classes, len(rows))]], len(kept)
        boxes, classes, scores, coefficients = best_candidates(rows, n_classes, confidence)
        apart = _Candidates(boxes, classes, scores, coefficients, prototypes).take(
            suppress_overlaps(boxes, scores, self.config.overlap_iou)
        )
        return apart.take(suppress_pieces(apart.boxes))

    def _outlined(
        self,
        found: _Candidates,
        frame: Frame,
        scale: float,
        corner: tuple[int, int],
        min_area_px: int,
        n_over_cap: int = 0,
    ) -> Detections:
        """Draw the masks of candidates, in px of the frame."""
        masks, kept = masks_in_boxes(
            found.boxes,
            found.coefficients,
            found.prototypes,
            frame.shape,
            least_logit=self._least_logit,
            scale=scale,
            corner=corner,
        )
        large = masks.area_px() >= min_area_px
        masks, rows = masks.take(large), np.flatnonzero(kept)[large]
        # the box that is reported is that of the mask: what is outlined is what is measured
        of_classes, scores = found.classes[rows], found.scores[rows]
        return Detections(
            frame.index,
            frame.t_s,
            frame.shape,
            masks.boxes(),
            np.asarray(of_classes.argmax(axis=1) + 1, np.int64),
            scores,
            masks,
            self.class_names,
            n_over_cap,
            of_classes,
        )


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Boxes in px of the network's image, and what their masks are made from."""

    boxes: Floats32
    classes: Floats32
    scores: Floats32
    coefficients: Floats32
    prototypes: Floats32

    def take(self, rows: Ints) -> _Candidates:
        return _Candidates(
            self.boxes[rows], self.classes[rows], self.scores[rows], self.coefficients[rows], self.prototypes
        )


def _first(
    items: Iterator[tuple[Frame | None, BoolImage | None, Tag]],
) -> list[tuple[Frame | None, BoolImage | None, Tag]]:
    """Take the next few frames, and what is missing between them."""
    out, n_frames = [], 0
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
