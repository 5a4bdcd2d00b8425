"""Tiles cover every image, seams are invisible, and memory does not depend on who asks."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.detections import Detections, Masks
from insitrack.io.frames import Frame
from insitrack.io.synth.source import SynthSource
from insitrack.segment.base import SegmentConfig
from insitrack.segment.models import load_segmenter
from insitrack.segment.prepare.tiles import Tile, stitch, tiles


def seen(
    tile: Tile, masks: Masks, shape: tuple[int, int], scores: list[float] | None = None
) -> tuple[Tile, Detections]:
    """What a perfect segmenter finds in one tile."""
    crops, corners, rows = [], [], []
    for i, full in enumerate(masks.dense(shape)):
        part = full[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
        ys, xs = np.nonzero(part)
        if ys.size >= 12:
            crops.append(part[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1])
            corners.append((tile.y + ys.min(), tile.x + xs.min()))
            rows.append(i)
    cut = Masks.from_crops(crops, corners)
    strength = np.array(scores or [0.9] * len(masks), np.float32)[rows]
    return tile, Detections(3, 1.5, shape, cut.boxes(), np.ones(len(rows), np.int64), strength, cut)


def ellipses(shape: tuple[int, int], at: list[tuple[float, float, float, float]]) -> Masks:
    """Filled ellipses: centre x, y, half axes."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return Masks.from_dense(
        np.array([((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 <= 1 for cx, cy, a, b in at], bool).reshape(
            -1, *shape
        )
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9000), st.integers(1, 9000), st.sampled_from([0, 256, 320, 512, 1000, 2048]))
def test_tiles_cover_the_picture_and_their_cores_share_it_out(height: int, width: int, tile_px: int) -> None:
    cover = tiles((height, width), tile_px)
    assert len({(tile.height, tile.width) for tile in cover}) == 1  # one shape: the network is compiled once
    assert all(not side % 32 for tile in cover for side in (tile.y, tile.x, tile.height, tile.width))
    assert max(tile.y + tile.height for tile in cover) - height in range(32)
    assert max(tile.x + tile.width for tile in cover) - width in range(32)
    if tile_px:
        assert max(cover[0].height, cover[0].width) <= -(-tile_px // 32) * 32
    clipped = [np.clip(tile.core, 0, [width, height] * 2) for tile in cover]
    assert sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in clipped) == height * width
    margin = min(192, tile_px // 2 or 192) / 2
    for tile in cover:
        inner = np.isfinite(tile.core)
        assert (np.abs(tile.core[inner] - tile.window[inner]) >= margin).all()


def test_small_frames_stay_whole_and_large_ones_run_in_tiles_of_bounded_size() -> None:
    assert len(tiles((1024, 1024))) == len(tiles((710, 1120))) == len(tiles((1536, 1536))) == 1
    for side in (2048, 4096, 8192):
        assert max(tile.height for tile in tiles((side, side))) <= 1280


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(10, 590), st.floats(10, 390), st.floats(4, 60), st.floats(4, 60)),
        min_size=1,
        max_size=6,
    )
)
def test_perfect_tiles_make_the_frame_again(at: list[tuple[float, float, float, float]]) -> None:
    shape = (400, 600)
    apart = [
        e
        for i, e in enumerate(at)
        if all(np.hypot(e[0] - o[0], e[1] - o[1]) > max(e[2:]) + max(o[2:]) + 2 for o in at[:i])
    ]
    masks = ellipses(shape, apart)
    whole = stitch([seen(tile, masks, shape) for tile in tiles(shape, 256)])
    assert len(whole) == len(apart)
    assert whole.masks.iou(masks).max(axis=0).min() > 0.97
    assert np.array_equal(whole.boxes, whole.masks.boxes())


def test_a_defect_on_a_crossing_of_seams_is_one() -> None:
    shape = (400, 600)
    cover = tiles(shape, 256)
    corners = {(tile.core[0], tile.core[1]) for tile in cover if np.isfinite(tile.core[:2]).all()}
    masks = ellipses(shape, [(x, y, 9, 7) for x, y in corners])
    whole = stitch([seen(tile, masks, shape) for tile in cover])
    assert len(whole) == len(corners) > 1


def test_a_loop_larger_than_the_overlap_is_joined_from_its_pieces() -> None:
    shape = (500, 1200)
    masks = ellipses(shape, [(600, 250, 560, 200)])
    parts = [seen(tile, masks, shape) for tile in tiles(shape, 320)]
    whole = stitch(parts)
    assert sum(len(found) for _, found in parts) > 6
    assert len(whole) == 1
    assert whole.masks.iou(masks)[0, 0] == 1.0


def test_a_dot_inside_a_loop_on_a_seam_stays_a_defect_of_its_own() -> None:
    shape = (400, 600)
    cover = tiles(shape, 256)
    x = next(tile.core[0] for tile in cover if np.isfinite(tile.core[0]))
    masks = ellipses(shape, [(x, 90, 40, 40), (x + 5, 95, 6, 6)])
    assert len(stitch([seen(tile, masks, shape) for tile in cover])) == 2


def test_of_two_views_of_one_defect_the_surer_stays() -> None:
    shape = (400, 600)
    cover = tiles(shape, 256)
    x = next(tile.core[0] for tile in cover if np.isfinite(tile.core[0]))
    masks = ellipses(shape, [(x, 60, 12, 12)])
    parts = [seen(tile, masks, shape, [0.3 + 0.1 * i]) for i, tile in enumerate(cover)]
    whole = stitch(parts)
    best = max(found.scores.max() for tile, found in parts if len(found) and tile.y == 0)
    assert whole.scores.tolist() == [best]


def test_nothing_found_stitches_to_nothing() -> None:
    shape = (400, 600)
    whole = stitch([seen(tile, Masks.empty(), shape) for tile in tiles(shape, 256)])
    assert len(whole) == 0
    assert (whole.frame_index, whole.t_s, whole.shape) == (3, 1.5, shape)


def dots_on_seams(shape: tuple[int, int], tile_px: int) -> Frame:
    """Dark dots exactly on every seam of the tiles."""
    image = np.full(shape, 170.0, np.float32)
    cover = tiles(shape, tile_px)
    for x in sorted({tile.core[0] for tile in cover if np.isfinite(tile.core[0])}):
        for y in range(20, shape[0] - 10, 30):
            cv2.circle(image, (int(x), y), 6, 60, -1, cv2.LINE_AA)
    noisy = cv2.GaussianBlur(image, (0, 0), 1.2) + np.random.default_rng(0).normal(0, 4, shape)
    return Frame(0, 0.0, np.clip(noisy, 0, 255).astype(np.uint8))


def test_the_network_finds_defects_on_seams_once() -> None:
    frame = dots_on_seams((352, 608), 256)
    fixed = {"scale": 1.0, "contrast": "dark"}
    whole = load_segmenter(config=SegmentConfig(**fixed))(frame)  # type: ignore[arg-type]
    tiled = load_segmenter(config=SegmentConfig(**fixed, tile_px=256))(frame)  # type: ignore[arg-type]
    assert len(tiled) == len(whole) > 20


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_tiles_change_nothing_but_the_memory(scale: float) -> None:
    frames = [
        SynthSource(f"synth:{kind}?seed=77&size=704x448&frames=2&overlay=0&polarity=dark").frame(1)
        for kind in ("two_beam", "dense", "loops")
    ]
    fixed = {"scale": scale, "contrast": "dark"}
    one = load_segmenter(config=SegmentConfig(**fixed))  # type: ignore[arg-type]
    many = load_segmenter(config=SegmentConfig(**fixed, tile_px=round(384 * scale) + 64))  # type: ignore[arg-type]
    items = [(frame, None, i) for i, frame in enumerate(frames)]
    items.insert(1, (None, None, -1))
    matched = total = 0
    for (whole, _), (tiled, tag), (_, _, expected) in zip(
        one.stream(items), many.stream(items), items, strict=True
    ):
        assert tag == expected
        if whole is None or tiled is None:
            assert tag == -1
            continue
        iou = whole.masks.iou(tiled.masks)
        for best, detections in ((iou.max(axis=1, initial=0), whole), (iou.max(axis=0, initial=0), tiled)):
            clear = (
                detections.scores > 0.3
            )  # what stands at the threshold of confidence may fall on either side
            matched, total = matched + np.count_nonzero(best[clear] > 0.8), total + np.count_nonzero(clear)
    assert total > 60
    assert matched >= 0.98 * total
