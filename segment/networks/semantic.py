"""Pixel-wise networks as segmenters.

Their maps of dislocations, precipitates and voids become one detection per line and particle.

The networks are those of segmentation-models-pytorch, trained by `insitrack.segment.training.semantic`;
nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import BoolImage, Bytes
from insitrack.io.detections import Detections, Masks
from insitrack.io.errors import ModelError
from insitrack.io.frames import Frame
from insitrack.segment.base import SegmentConfig, looked_for
from insitrack.segment.card import ModelCard
from insitrack.segment.lines.length import Chain
from insitrack.segment.lines.trace import LineSettings, line_masks, line_width_px, trace_lines
from insitrack.segment.networks.postprocess import capped, inside_field
from insitrack.segment.networks.runtime import Outputs, load_network
from insitrack.segment.networks.tiled import Piece, only, pieces, window
from insitrack.segment.prepare.grey import Stretch
from insitrack.segment.prepare.tiles import Tile
from insitrack.segment.prepare.view import View

Tag = TypeVar("Tag")
CENTRELINE = "centreline"
"""Channel that is no class: the middle of the lines, apart even where their outlines touch."""


class SemanticSegmenter:
    """A pixel-wise network exported to ONNX.

    Each class has a map of its own, because classes do not exclude each other: a line that crosses a
    precipitate is there, too.

    Parameters
    ----------
    model : ModelCard
        The model; its card lists the ``channels`` of the network, which are its classes and, where it has
        one, ``centreline``, and may give ``pixel_thresholds``, by class the chance from which a pixel belongs
        to it, and of the centrelines ``centreline_threshold``, from which a pixel belongs to one,
        ``centreline_sure``, which one must reach somewhere, and ``centreline_mean``, which its mean must
        reach.
    config : SegmentConfig
        Thresholds and runtime.

    Raises
    ------
    ModelError
        If the card does not list the channels, or the file is not a network with them.
    """

    def __init__(self, model: ModelCard, config: SegmentConfig) -> None:
        self.model, self.config = model, config
        self.class_names = looked_for(model.classes, config)
        self.channels = tuple(str(name) for name in model.facts.get("channels", model.classes))
        if not set(model.classes) <= set(self.channels):
            raise ModelError(
                f"{model.name}: channels {', '.join(self.channels)} of the card lack one of its classes,"
                f" {', '.join(model.classes)}"
            )
        self.view, self._stretch = (
            View(1.0 if isinstance(config.scale, str) else config.scale, config.contrast == "bright"),
            Stretch(config.levels),
        )
        self._thresholds: dict[str, float] = dict(model.facts.get("pixel_thresholds", {}))
        self._centreline = CentrelineThresholds(
            **{
                name: float(model.facts[f"centreline_{name}"])
                for name in ("threshold", "sure", "mean")
                if f"centreline_{name}" in model.facts
            }
        )
        self._network = load_network(
            model.weights, runtime=config.runtime, precision=config.precision, threads=config.threads
        )

    def __call__(self, frame: Frame, field: BoolImage | None = None) -> Detections:
        """Return what is in the frame; nothing is looked for where `field` is False."""
        return only(self.stream([(frame, field, None)]))

    def stream(
        self, items: Iterable[tuple[Frame | None, BoolImage | None, Tag]]
    ) -> Iterator[tuple[Detections | None, Tag]]:
        """Run over many frames in order, the network working on the next while this one is being read."""
        self._stretch = Stretch(self.config.levels)
        for chances, frame, field, tag in self._maps(items):
            yield (None if chances is None or frame is None else self._read(chances, frame, field)), tag

    def maps(self, frame: Frame, field: BoolImage | None = None) -> dict[str, Bytes]:
        """Chance of each channel at each pixel of a frame, uint8 (H, W), 255 for certain."""
        chances, *_ = next(self._maps([(frame, field, None)]))
        assert chances is not None
        return dict(zip(self.channels, chances, strict=True))

    def _maps(
        self, items: Iterable[tuple[Frame | None, BoolImage | None, Tag]]
    ) -> Iterator[tuple[list[Bytes] | None, Frame | None, BoolImage | None, Tag]]:
        """Yield the maps of whole frames, put together from their tiles in bytes to save memory."""
        pictures = pieces(items, lambda _: [self.view], self._stretch, self.config.tile_px, _cut)
        canvas = np.zeros((0, 0, 0), np.uint8)
        for outputs, (piece, tag) in self._network.stream(pictures):
            if outputs is None or piece is None:
                yield None, None, None, tag
                continue
            if piece.first:
                canvas = np.zeros((len(self.channels), *piece.shape), np.uint8)
            self._paste(outputs, piece, canvas)
            if piece.last:
                height, width = piece.frame.shape
                whole = [
                    layer if layer.shape == (height, width) else _resized(layer, (height, width))
                    for layer in canvas
                ]
                if piece.field is not None:
                    for layer in whole:
                        layer[~piece.field] = 0
                yield whole, piece.frame, piece.field, tag

    def _paste(self, outputs: Outputs, piece: Piece, canvas: Bytes) -> None:
        """Put the part of a tile that is its own into the maps of the frame."""
        tile, chances = piece.tile, outputs[0]
        if len(outputs) != 1 or chances.shape != (len(self.channels), tile.height, tile.width):
            raise ModelError(
                f"{self.model.weights}: outputs {[o.shape for o in outputs]} are not a map for each of"
                f" {', '.join(self.channels)}; export it again"
            )
        height, width = piece.shape
        (x0, y0), (x1, y1) = (
            np.clip(side, (0, 0), (width, height)).round().astype(int).tolist()
            for side in (tile.core[:2], tile.core[2:])
        )
        own = chances[:, y0 - tile.y : y1 - tile.y, x0 - tile.x : x1 - tile.x]
        canvas[:, y0:y1, x0:x1] = np.clip(own * 255 + 0.5, 0, 255).astype(np.uint8)

    def _read(self, chances: list[Bytes], frame: Frame, field: BoolImage | None) -> Detections:
        """Make the detections of one frame: lines untangled, everything else by connected parts."""
        layers = dict(zip(self.channels, chances, strict=True))
        found = Detections.empty(frame.index, frame.t_s, frame.shape, self.class_names)
        for label, name in enumerate(self.class_names, 1):
            mask = layers[name] >= self._thresholds.get(name, 0.5) * 255
            masks = (
                self._lines(mask, layers.get(CENTRELINE)) if name == "dislocation" else connected_parts(mask)
            )
            masks = masks.take(masks.area_px() >= self.config.min_area_px)
            scores = mean_chances(masks, layers[name])
            kind = np.full(len(masks), label, np.int64)
            found = found.then(
                Detections(
                    frame.index, frame.t_s, frame.shape, masks.boxes(), kind, scores, masks, self.class_names
                )
            )
        found = found.take(found.scores >= self.config.least_score)
        found = capped(found.take(np.argsort(-found.scores, kind="stable")), self.config.max_detections)
        return inside_field(found, field)

    def _lines(self, mask: BoolImage, core: Bytes | None) -> Masks:
        """Outlines of single lines: traced along the centrelines where the network gives them."""
        width = line_width_px(mask)
        if not width:
            return Masks.empty()
        return line_masks(
            trace_lines(mask) if core is None else trace_centrelines(core, self._centreline, width), mask
        )

    def for_live(self) -> None:
        """Make each frame come out as soon as can be, at the price of frames per second."""
        self._network.one_at_a_time()

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest: name, file, hash, classes, runtime."""
        return {
            "name": self.model.name,
            "file": self.model.weights.name,
            "sha256": self.model.sha256,
            "classes": list(self.model.classes),
            **self.model.calibration(),
            "view": self._stretch.describe(),
            **self._network.describe(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CentrelineThresholds:
    """Chances, 0..1, that make a centreline.

    Parameters
    ----------
    threshold : float
        From which a pixel belongs to one.
    sure : float
        Which one must reach somewhere: a faint line that goes on from a clear one is a line, a faint streak
        alone is not.
    mean : float
        Which the mean along a traced line must reach.
    """

    threshold: float = 0.5
    sure: float = 0.5
    mean: float = 0.0


def trace_centrelines(core: Bytes, thresholds: CentrelineThresholds, width_px: float) -> list[Chain]:
    """Single lines along a map of centrelines.

    Parameters
    ----------
    core : ndarray of uint8, shape (H, W)
        Chance that a pixel is the middle of a line, 255 for certain.
    thresholds : CentrelineThresholds
        What counts.
    width_px : float
        Width of the lines themselves, px: a gap is as wide as the line, however thin its centreline is drawn.

    Returns
    -------
    list of ndarray of int32, shape (K, 2)
        Row and column of the pixels of each, the longest first.
    """
    _, parts = cv2.connectedComponents((core >= 255 * thresholds.threshold).view(np.uint8), connectivity=8)
    sure = np.zeros(int(parts.max()) + 1, bool)
    sure[parts[core >= 255 * max(thresholds.sure, thresholds.threshold)]] = True
    sure[0] = False
    along = sure[parts]
    thin_px = line_width_px(along)
    if not thin_px:
        return []
    chains = trace_lines(along, LineSettings(gap=LineSettings().gap * max(1.0, width_px / thin_px)))
    return [chain for chain in chains if core[chain[:, 0], chain[:, 1]].mean() >= 255 * thresholds.mean]


def _cut(seen: Bytes, tile: Tile) -> Bytes:
    """Cut out a tile, mirrored beyond the image, so that a line goes on and the border is no edge."""
    part = window(seen, tile)
    down, right = tile.height - part.shape[0], tile.width - part.shape[1]
    if not (down or right):
        return np.ascontiguousarray(part)
    return np.asarray(cv2.copyMakeBorder(part, 0, down, 0, right, cv2.BORDER_REFLECT_101), np.uint8)


def _resized(layer: Bytes, shape: tuple[int, int]) -> Bytes:
    return np.asarray(cv2.resize(layer, shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def connected_parts(mask: BoolImage) -> Masks:
    """Cut a map into its connected parts, 8-connected.

    Examples
    --------
    >>> connected_parts(np.array([[True, False, True, True]])).area_px().tolist()
    [1, 2]
    """
    n, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    boxes = stats[1:n, :4].tolist()
    crops = [labels[y : y + h, x : x + w] == i for i, (x, y, w, h) in enumerate(boxes, 1)]
    return Masks.from_crops(crops, [(y, x) for x, y, _, _ in boxes])


def mean_chances(masks: Masks, chances: Bytes) -> NDArray[np.float32]:
    """Mean chance inside each mask, 0..1, float32 (N,)."""
    out = np.zeros(len(masks), np.float32)
    for i, ((y, x), (h, w)) in enumerate(zip(masks.corners.tolist(), masks.sizes.tolist(), strict=True)):
        crop = masks.crop(i)
        out[i] = chances[y : y + h, x : x + w][crop].mean() / 255 if crop.any() else 0.0
    return out
