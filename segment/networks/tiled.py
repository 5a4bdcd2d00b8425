"""Frames through a network in tiles: the one loop that every kind of network runs in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from insitrack.io.arrays import BoolImage, Bytes
from insitrack.io.detections import Detections
from insitrack.io.frames import Frame
from insitrack.segment.networks.postprocess import capped, inside_field
from insitrack.segment.prepare.grey import Stretch
from insitrack.segment.prepare.tiles import Tile, stitch, tiles
from insitrack.segment.prepare.view import View

Tag = TypeVar("Tag")
Raw = TypeVar("Raw")
Item = tuple[Frame | None, BoolImage | None, Tag]


@dataclass(frozen=True, slots=True)
class Piece:
    """What is known of one image on its way through the network.

    Parameters
    ----------
    frame : Frame
        The frame that it is a part of.
    field : ndarray of bool, shape (H, W), or None
        Where the frame shows the specimen.
    view : View
        How the network sees the frame.
    shape : tuple of int
        Height and width of the whole frame as the network sees it, px.
    tile : Tile
        Which part of that it is.
    first, last : bool
        Whether it is the first or last part of its frame at this view.
    last_view : bool
        Whether the frame is shown in no other view after this one.
    """

    frame: Frame
    field: BoolImage | None
    view: View
    shape: tuple[int, int]
    tile: Tile
    first: bool
    last: bool
    last_view: bool = True


def pieces(
    items: Iterable[Item[Tag]],
    views_of: Callable[[Frame], Sequence[View]],
    stretch: Stretch,
    tile_px: int,
    cut: Callable[[Bytes, Tile], Bytes],
) -> Iterator[tuple[Bytes | None, tuple[Piece | None, Tag]]]:
    """Images for the network: each frame as it is to be seen, in as many tiles as it needs.

    Parameters
    ----------
    items : iterable of (Frame or None, field, tag)
        Frames in order; an item without a frame gives an item without an image.
    views_of : callable
        Scales and polarities at which the network sees a frame, one after the other.
    stretch : Stretch
        Makes 8 bits of the grey levels.
    tile_px : int
        Longest side of a tile, px; 0 decides from the size of the frame.
    cut : callable
        Cuts a tile out of a frame as the network sees it, and fills it up where it reaches beyond.

    Yields
    ------
    picture : ndarray of uint8, shape (h, w), or None
    (Piece or None, tag)
        What it is a part of.
    """
    for frame, field, tag in items:
        if frame is None:
            yield None, (None, tag)
            continue
        views = views_of(frame)
        for at, view in enumerate(views, 1):
            seen = view.picture(frame.image, field, stretch)
            shape = (seen.shape[0], seen.shape[1])
            cover = tiles(shape, tile_px)
            for tile in cover:
                ends = tile is cover[0], tile is cover[-1], at == len(views)
                yield cut(seen, tile), (Piece(frame, field, view, shape, tile, *ends), tag)


def window(seen: Bytes, tile: Tile) -> Bytes:
    """Part of an image that a tile shows; smaller than the tile at the right and lower border."""
    return seen[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]


def joined(
    outputs: Iterable[tuple[Raw | None, tuple[Piece | None, Tag]]],
    read: Callable[[Raw, Piece], Detections],
    most: int,
    agreed: Callable[[Sequence[Detections]], Detections] = lambda views: views[0],
) -> Iterator[tuple[Detections | None, Tag]]:
    """Join what the network gave for each tile into detections of whole frames.

    Parameters
    ----------
    outputs : iterable of (output or None, (Piece or None, tag))
        What the network gave for each item of `pieces`, in the same order.
    read : callable
        Makes detections of one tile, in px of the frame.
    most : int
        Cap on the detections of a frame; how many it cut is counted.
    agreed : callable
        Makes one of the detections in each view of a frame.

    Yields
    ------
    Detections or None
        Strongest first; nothing where the field is False.
    tag
        That of the frame.
    """
    parts: list[tuple[Tile, Detections]] = []
    views: list[Detections] = []
    for output, (piece, tag) in outputs:
        if output is None or piece is None:
            yield None, tag
            continue
        parts.append((piece.tile, read(output, piece)))
        if piece.last:
            whole = parts[0][1] if len(parts) == 1 else capped(stitch(parts, piece.view.scale), most)
            parts = []
            views.append(whole)
            if piece.last_view:
                yield inside_field(agreed(views), piece.field), tag
                views = []


def only(stream: Iterator[tuple[Detections | None, Tag]]) -> Detections:
    """Take the detections of the one frame that a stream holds."""
    detections, _ = next(stream)
    assert detections is not None
    return detections
