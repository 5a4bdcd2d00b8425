"""Pixel-wise networks as segmenters: maps to detections, tiles, fields, cards; and their data."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from insitrack.io.errors import ModelError, SourceError
from insitrack.io.frames import Frame
from insitrack.io.synth.source import SynthSource
from insitrack.segment.base import SegmentConfig
from insitrack.segment.models import find_model, load_segmenter, shipped_models
from insitrack.segment.networks import semantic
from insitrack.segment.networks.semantic import SemanticSegmenter, connected_parts, mean_chances
from insitrack.segment.training.semantic_data import (
    CHANNELS,
    IGNORE_BIT,
    SemanticDataSettings,
    class_map,
    list_examples,
    scenes,
    write_semantic_dataset,
)


class GreyNetwork:
    """Stands for a trained one: very dark pixels are lines, dark ones precipitates, white ones voids."""

    def stream(self, items: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
        for grey, tag in items:
            if grey is None:
                yield None, tag
                continue
            parts = [grey < 40, (grey >= 40) & (grey < 100), grey > 230, grey < 40]
            yield (np.array(parts, np.float32) * 0.9,), tag

    def describe(self) -> dict[str, Any]:
        return {"runtime": "test"}


def card(folder: Path, **facts: Any) -> str:
    weights = folder / "test.onnx"
    weights.write_bytes(b"no network")
    text = {
        "name": "test",
        "file": "test.onnx",
        "sha256": hashlib.sha256(b"no network").hexdigest(),
        "kind": "semantic",
    }
    classes = {"classes": ["dislocation", "precipitate", "void"], "channels": list(CHANNELS)}
    weights.with_suffix(".json").write_text(json.dumps({**text, **classes, **facts}), encoding="utf-8")
    return str(weights)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(semantic, "load_network", lambda *_, **__: GreyNetwork())
    return card(tmp_path)


def scene(width: int = 300, height: int = 210) -> Frame:
    """Two crossing lines, two precipitates and a void on grey, with pixels at both ends of the grey range."""
    image = np.full((height, width), 170, np.uint8)
    cv2.circle(image, (60, 40), 12, 70, -1)
    cv2.circle(image, (220, 170), 15, 70, -1)
    cv2.circle(image, (40, 160), 10, 255, -1)
    cv2.line(image, (20, 100), (280, 110), 0, 5)
    cv2.line(image, (150, 20), (160, 190), 0, 5)
    return Frame(3, 1.5, image)


def test_crossing_lines_and_particles_come_out_one_by_one(model: str) -> None:
    found = load_segmenter(model)(scene())
    assert sorted(found.names()) == ["dislocation"] * 2 + ["precipitate"] * 2 + ["void"]
    assert (found.frame_index, found.t_s, found.shape) == (3, 1.5, (210, 300))
    assert (found.scores > 0.85).all()
    assert np.array_equal(found.boxes, found.masks.boxes())


def test_tiles_give_what_the_whole_frame_gives(model: str) -> None:
    frame = scene(640, 500)
    whole, cut = (load_segmenter(model, SegmentConfig(tile_px=side))(frame) for side in (0, 256))
    assert whole.names() == cut.names()
    assert np.array_equal(whole.masks.pixels, cut.masks.pixels)


def test_nothing_is_found_outside_the_field(model: str) -> None:
    field = np.ones((210, 300), bool)
    field[:, 200:] = False
    found = load_segmenter(model)(scene(), field)
    assert found.boxes[:, 2].max() <= 200
    assert found.names().count("precipitate") == 1


def test_weak_small_and_too_many_detections_are_dropped_and_the_cap_is_counted(model: str) -> None:
    assert not len(load_segmenter(model, SegmentConfig(confidence=0.95))(scene()))
    assert "void" not in load_segmenter(model, SegmentConfig(min_area_px=400))(scene()).names()
    capped = load_segmenter(model, SegmentConfig(max_detections=2))(scene())
    assert (len(capped), capped.n_over_cap) == (2, 3)


def test_a_stream_gives_what_single_calls_give_and_passes_lost_frames(model: str) -> None:
    segmenter = load_segmenter(model)
    stream = list(segmenter.stream([(scene(), None, "a"), (None, None, "b"), (scene(200, 210), None, "c")]))
    assert [(None if found is None else len(found), tag) for found, tag in stream] == [
        (5, "a"),
        (None, "b"),
        (len(segmenter(scene(200, 210))), "c"),
    ]
    blank = segmenter(Frame(0, 0.0, np.full((70, 90), 128, np.uint8)))
    assert set(blank.names()) <= {"dislocation"}  # a flat image has no grey levels to stretch


def test_maps_are_the_network_s_chances_in_bytes(model: str) -> None:
    segmenter = load_segmenter(model)
    assert isinstance(segmenter, SemanticSegmenter)
    maps = segmenter.maps(scene())
    assert tuple(maps) == CHANNELS
    assert set(np.unique(maps["dislocation"])) == {0, 230}


def test_a_card_without_its_classes_among_the_channels_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(semantic, "load_network", lambda *_, **__: GreyNetwork())
    with pytest.raises(ModelError, match="lack one of its classes"):
        load_segmenter(card(tmp_path, channels=["dislocation", "void"]))
    with pytest.raises(ModelError, match="not a map for each"):
        load_segmenter(card(tmp_path, channels=["dislocation", "precipitate", "void"]))(scene())


def test_parts_and_their_chances() -> None:
    mask = np.zeros((6, 9), bool)
    mask[1:3, 1:4] = mask[4, 6] = mask[5, 7] = True  # touching by a corner is touching
    parts = connected_parts(mask)
    assert parts.area_px().tolist() == [6, 2]
    assert mean_chances(parts, np.where(mask, 51, 255).astype(np.uint8)).tolist() == pytest.approx([0.2, 0.2])
    assert len(connected_parts(np.zeros((3, 3), bool))) == 0


def test_class_maps_hold_what_is_visible_and_ignore_what_is_too_faint() -> None:
    seen: set[int] = set()
    for seed in range(2):
        movie = SynthSource(f"synth:lines?seed={seed}&size=160&frames=3&n=60&lines=12")
        found, state = class_map(movie, 2), movie.truth_state(2)
        names = np.array(state.detections.names())
        for k, name in enumerate(CHANNELS[:3]):
            dense = state.detections.masks.dense(movie.shape)
            assert np.array_equal((found >> k & 1) > 0, dense[(names == name) & state.visible].any(axis=0))
        core, line = found & 8 > 0, found & 1 > 0
        assert not core.any() or line[core].mean() > 0.8
        assert not (found[found >= IGNORE_BIT] != IGNORE_BIT).any()
        seen |= set(np.unique(found).tolist())
    assert {0, 1, 9, IGNORE_BIT} <= seen


def test_a_data_set_is_written_once_by_movie_and_gone_on_with(tmp_path: Path) -> None:
    settings = SemanticDataSettings(scenes=3, frames_per_scene=2, size_px=96, held_out=0.4)
    write_semantic_dataset(tmp_path, settings)
    images = {split: list_examples(tmp_path, split) for split in ("train", "val")}
    assert {len(images["train"]), len(images["val"])} == {2, 4}
    assert not {path.name[:-8] for path, _ in images["train"]} & {path.name[:-8] for path, _ in images["val"]}
    before = images["train"][0][0].stat().st_mtime_ns
    write_semantic_dataset(tmp_path, settings)
    assert images["train"][0][0].stat().st_mtime_ns == before
    assert [uri for uri, _ in scenes(settings)] == [uri for uri, _ in scenes(settings)]
    with pytest.raises(SourceError, match="no images"):
        list_examples(tmp_path / "nowhere", "train")


@pytest.mark.skipif("lines" not in shipped_models(), reason="no model `lines` is shipped")
def test_the_shipped_model_finds_two_strong_lines() -> None:
    assert find_model("lines").facts["kind"] == "semantic"
    rng = np.random.default_rng(0)
    image = np.full((256, 256), 170.0, np.float32)
    cv2.line(image, (20, 60), (236, 90), 80, 5, cv2.LINE_AA)
    cv2.line(image, (60, 20), (110, 236), 80, 5, cv2.LINE_AA)
    noisy = cv2.GaussianBlur(image, (0, 0), 1.2) + rng.normal(0, 5, image.shape)
    found = load_segmenter("lines")(Frame(0, 0.0, np.clip(noisy, 0, 255).astype(np.uint8)))
    lines = [
        row
        for row, name in enumerate(found.names())
        if name == "dislocation" and np.ptp(found.boxes[row].reshape(2, 2), axis=0).max() > 150
    ]
    assert len(lines) == 2


def test_only_the_classes_that_are_asked_for_are_looked_for(model: str) -> None:
    voids = load_segmenter(model, SegmentConfig(classes=("void",)))(scene())
    assert voids.class_names == ("void",)
    assert voids.names() == ["void"]
