"""The shipped model end to end.

Runtimes agree, nothing is capped, streams and single calls agree, bad models are refused.
"""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from insitrack.io.errors import ModelError, SettingsError
from insitrack.io.frames import Frame
from insitrack.io.synth.source import SynthSource
from insitrack.segment.base import SegmentConfig
from insitrack.segment.models import find_model, load_segmenter, shipped_models
from insitrack.segment.networks import runtime
from insitrack.segment.networks.yolo import YoloSegmenter


def dotted(rows: int, columns: int, step: int) -> Frame:
    """A slightly noisy image with dark round dots 12 px wide on a grid."""
    image = np.full((rows * step, columns * step), 170.0, np.float32)
    for y in range(rows):
        for x in range(columns):
            cv2.circle(image, (x * step + step // 2, y * step + step // 2), 6, 60, -1, cv2.LINE_AA)
    noisy = cv2.GaussianBlur(image, (0, 0), 1.2) + np.random.default_rng(0).normal(0, 4, image.shape)
    return Frame(0, 0.0, np.clip(noisy, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def segmenter() -> YoloSegmenter:
    loaded = load_segmenter(config=SegmentConfig(scale=1.0, looks=1, least_class=0.0))  # as frames of a movie
    assert isinstance(loaded, YoloSegmenter)
    return loaded


def test_two_thousand_dots_in_one_frame_are_found(segmenter: YoloSegmenter) -> None:
    found = segmenter(dotted(40, 50, 26))
    assert found.n_over_cap == 0
    assert 1900 <= len(found) <= 2100
    size = np.sqrt(4 * found.masks.area_px() / np.pi)
    assert np.median(size) == pytest.approx(13, abs=3)


def test_a_cap_that_is_hit_is_counted() -> None:
    found = load_segmenter(config=SegmentConfig(max_detections=50))(dotted(10, 10, 26))
    assert len(found) == 50
    assert found.n_over_cap >= 40


def test_sizes_that_come_again_are_not_compiled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_compiled", runtime.OrderedDict())
    made = []
    compile_for = runtime.OpenVinoNetwork._made
    monkeypatch.setattr(
        runtime.OpenVinoNetwork,
        "_made",
        lambda self, shape: (made.append(shape), compile_for(self, shape))[1],
    )
    images = [np.full((side, 64), 130, np.uint8) for side in (64, 96, 64, 96, 64)]
    weights = find_model("loops").weights
    first, second = (runtime.load_network(weights) for _ in range(2))
    alone = [next(iter(first.stream([(image, None)])))[0] for image in images]
    together = [
        [part.copy() for part in out] for out, _ in second.stream([(image, None) for image in images])
    ]
    assert made == [(64, 64), (96, 64)]
    assert all(np.array_equal(a, b) for a, b in zip(alone[-1], together[-1], strict=True))
    for side in range(128, 128 + 32 * runtime._KEPT_COMPILED, 32):
        list(first.stream([(np.full((side, 64), 130, np.uint8), None)]))
    assert len(runtime._compiled) == runtime._KEPT_COMPILED


def test_masks_lie_inside_the_frame_and_their_boxes_at_odd_sizes(segmenter: YoloSegmenter) -> None:
    image = dotted(6, 9, 26).image[:149, :227]
    found = segmenter(Frame(0, 0.0, np.ascontiguousarray(image)))
    assert len(found)
    assert np.array_equal(found.boxes, found.masks.boxes())
    assert (found.boxes[:, :2] >= 0).all()
    assert (found.boxes[:, 2:] <= [227, 149]).all()


def test_a_stream_gives_what_single_calls_give_in_order(segmenter: YoloSegmenter) -> None:
    frames = [
        item for item in SynthSource("synth:two_beam?seed=5&frames=6&size=192") if isinstance(item, Frame)
    ]
    frames[3] = Frame(
        3, frames[3].t_s, np.ascontiguousarray(frames[3].image[:160])
    )  # another size in the middle
    items = [(frame, None, frame.index) for frame in frames]
    items.insert(2, (None, None, -1))
    streamed = list(segmenter.stream(items))
    assert [tag for _, tag in streamed] == [tag for _, _, tag in items]
    for (found, _), (frame, _, _) in zip(streamed, items, strict=True):
        if frame is None:
            assert found is None
            continue
        alone = segmenter(frame)
        assert np.array_equal(found.boxes, alone.boxes)
        assert np.array_equal(found.masks.pixels, alone.masks.pixels)


def test_a_stream_given_up_half_way_leaves_the_segmenter_usable(segmenter: YoloSegmenter) -> None:
    frame = dotted(6, 6, 26)
    stream = segmenter.stream((frame, None, i) for i in range(8))
    next(stream)
    del stream
    assert len(segmenter(frame)) == len(segmenter(frame)) > 0


def test_both_runtimes_find_the_same_defects() -> None:
    pytest.importorskip("onnxruntime")
    frame = dotted(8, 11, 26)
    one = load_segmenter(config=SegmentConfig(precision="f32"))(frame)
    other = load_segmenter(config=SegmentConfig(runtime="onnxruntime"))(frame)
    assert len(one) == len(other) > 0
    assert one.masks.iou(other.masks).max(axis=1).min() > 0.98
    assert one.scores == pytest.approx(other.scores, abs=0.01)


def test_a_runtime_built_for_a_card_that_is_not_there_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("there may be a card")
    monkeypatch.setattr(runtime, "_has_cuda_runtime", lambda: True)
    model = find_model("loops")
    assert runtime.load_network(model.weights).describe()["runtime"] == "openvino"


def test_a_blank_frame_holds_nothing(segmenter: YoloSegmenter) -> None:
    assert len(segmenter(Frame(0, 0.0, np.full((128, 160), 90, np.uint8)))) == 0


def test_every_shipped_card_fits_its_weights() -> None:
    for name, card in shipped_models().items():
        facts = json.loads(card.read_text(encoding="utf-8"))
        assert find_model(name).sha256 == facts["sha256"]
        for key in (
            "trained_on",
            "recipe",
            "seed",
            "scores" if facts.get("kind") == "semantic" else "metrics",
            "known_failures",
            "licence",
        ):
            assert facts.get(key) not in (None, "", {}, []), f"{name}: {key}"


def test_all_weights_together_stay_small() -> None:
    folder = next(iter(shipped_models().values())).parent
    assert sum(path.stat().st_size for path in folder.iterdir()) < 60e6


def test_models_that_cannot_be_used_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nonesuch: no such model; expected one of .*loops"):
        find_model("nonesuch")
    card = shipped_models()["loops"]
    facts = json.loads(card.read_text(encoding="utf-8"))
    (tmp_path / "mine.json").write_text(json.dumps({**facts, "file": "mine.onnx"}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"weights that mine\.json names are missing"):
        find_model(str(tmp_path / "mine.onnx"))
    (tmp_path / "mine.onnx").write_bytes(b"not a network")
    with pytest.raises(ModelError, match="damaged or was exchanged"):
        find_model(str(tmp_path / "mine.json"))
    (tmp_path / "mine.json").write_text(json.dumps({**facts, "classes": ["unicorn"]}), encoding="utf-8")
    with pytest.raises(ModelError, match="unknown or repeated class"):
        find_model(str(tmp_path / "mine.json"))
    (tmp_path / "mine.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="not a model card"):
        find_model(str(tmp_path / "mine.json"))


def test_a_network_that_does_not_fit_its_card_is_refused(tmp_path: Path) -> None:
    card = shipped_models()["loops"]
    facts = json.loads(card.read_text(encoding="utf-8"))
    shutil.copy(card.with_name(facts["file"]), tmp_path / "few.onnx")
    (tmp_path / "few.json").write_text(
        json.dumps({**facts, "file": "few.onnx", "classes": ["void"]}), encoding="utf-8"
    )
    with pytest.raises(ModelError, match="are not those of a YOLO-seg network"):
        load_segmenter(str(tmp_path / "few.onnx"))(dotted(3, 3, 26))


def test_only_the_classes_that_are_asked_for_are_found(segmenter: YoloSegmenter) -> None:
    frame = dotted(8, 8, 26)
    dots = load_segmenter(config=SegmentConfig(classes=("black_dot",)))(frame)
    assert dots.class_names == ("black_dot",)
    assert set(dots.names()) == {"black_dot"}
    assert len(dots) >= 60
    assert len(load_segmenter(config=SegmentConfig(classes=("void",)))(frame)) < 10


def test_a_class_that_is_none_or_that_the_model_does_not_know_is_refused_in_one_line() -> None:
    with pytest.raises(SettingsError, match="'dot' is no class"):
        SegmentConfig(classes=("dot",))
    with pytest.raises(SettingsError, match="does not know dislocation"):
        load_segmenter(config=SegmentConfig(classes=("dislocation",)))
