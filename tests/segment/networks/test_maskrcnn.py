"""Torchvision checkpoints as segmenters.

What they find is what torchvision finds, and what cannot be used is refused in one line.
"""

import argparse
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from scipy import ndimage

from insitrack.io.detections import Detections
from insitrack.io.errors import ModelError
from insitrack.io.frames import Frame
from insitrack.segment.base import SegmentConfig
from insitrack.segment.card import ModelCard
from insitrack.segment.models import load_segmenter
from insitrack.segment.networks import architecture as network
from insitrack.segment.networks.box_masks import box_mask, pasted
from insitrack.segment.networks.checkpoint import CheckpointSettings
from insitrack.segment.networks.weights import read_state

ROOT = Path(__file__).resolve().parents[3]
SMALL: dict[str, Any] = {"fpn_channels": 16, "box_features": 32, "mask_channels": 16}
ANCHORS: dict[str, Any] = {"anchor_sizes_px": [[4], [8], [16], [24], [32]]}
CLASSES = 'classes = ["loop_111", "void"]\n'
TINY = CLASSES + "proposals = 60\nanchor_sizes_px = [[4], [8], [16], [24], [32]]\n"


def speckled(height: int = 64, width: int = 96, index: int = 0) -> Frame:
    noise = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=(height, width)), 3)
    levels = (noise - noise.min()) / np.ptp(noise) * 300 - 20  # so that stretching leaves it nearly as it is
    return Frame(index, float(index), np.clip(levels, 0, 255).astype(np.uint8))


def tiny(builder: str = "maskrcnn_resnet18_fpn", **more: Any) -> Any:
    torch.manual_seed(1)
    few = {"rpn_pre_nms_top_n_test": 60, "rpn_post_nms_top_n_test": 60}
    return network.build(
        network.Architecture(builder=builder, n_classes=2, **SMALL, **ANCHORS), **few, **more
    ).eval()


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mask") / "tiny.pt"
    torch.save(tiny().state_dict(), path)
    path.with_suffix(".toml").write_text(TINY, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def boxed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("box") / "boxes.pt"
    torch.save(
        {
            "model": tiny("fasterrcnn_resnet18_fpn").state_dict(),
            "epoch": 3,
            "args": argparse.Namespace(lr=0.1),
        },
        path,
    )
    path.with_suffix(".toml").write_text(TINY, encoding="utf-8")
    return path


def prediction(
    path: Path, grey: np.ndarray[Any, Any], builder: str = "maskrcnn_resnet18_fpn", **limits: Any
) -> dict[str, Any]:
    """What torchvision's own forward says."""
    model = tiny(builder, **limits)
    model.load_state_dict(read_state(path))
    with torch.inference_mode():
        out: dict[str, Any] = model([torch.from_numpy(grey).float().div(255).expand(3, -1, -1)])[0]
    return out


def largest(mask: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The largest part, its holes filled."""
    parts, n = ndimage.label(mask, np.ones((3, 3)))
    return (
        ndimage.binary_fill_holes(parts == 1 + int(np.argmax(ndimage.sum(mask, parts, range(1, n + 1)))))
        if n
        else mask
    )


def test_detections_are_those_of_torchvision_itself(masked: Path) -> None:
    frame, limits = (
        speckled(),
        {"box_score_thresh": 0.2, "box_nms_thresh": 0.3, "box_detections_per_img": 1000},
    )
    ours = load_segmenter(f"maskrcnn:{masked}", SegmentConfig(confidence=0.2, overlap_iou=0.3, min_area_px=1))
    found = ours(frame)
    grey = ours.view.picture(frame.image)
    raw = prediction(masked, grey, **limits)
    kept = torchvision.ops.nms(raw["boxes"], raw["scores"], 0.3)  # of two classes in one place the surer
    theirs = Detections.from_maskrcnn(
        {key: value[kept] for key, value in raw.items()},
        frame_index=0,
        t_s=0.0,
        class_names=("loop_111", "void"),
    )
    theirs = theirs.take(theirs.masks.area_px() > 0)
    assert len(found) == len(theirs) > 3
    assert found.scores == pytest.approx(theirs.scores, abs=1e-5)
    assert np.array_equal(found.labels, theirs.labels)
    expected = np.array([largest(mask) for mask in theirs.masks.dense(frame.shape)])
    assert (found.masks.dense(frame.shape) != expected).mean() < 1e-4  # the last bit of a probability of 0.5


def test_a_mask_is_enlarged_to_the_pixel_as_torchvision_does_it() -> None:
    from torchvision.models.detection.roi_heads import paste_masks_in_image

    rng = np.random.default_rng(0)
    low = rng.uniform(-8, 40, (20, 2))
    boxes = np.concatenate([low, np.maximum(low + rng.uniform(0.2, 30, (20, 2)), 2)], axis=1).astype(
        np.float32
    )
    soft = rng.uniform(0, 1, (20, 28, 28)).astype(np.float32)
    theirs = paste_masks_in_image(torch.from_numpy(soft)[:, None], torch.from_numpy(boxes), (50, 60))[
        :, 0
    ].numpy()
    for i, box in enumerate(boxes):
        x, y, drawn = pasted(soft[i], box)
        frame = np.zeros((150, 160), np.float32)
        frame[50 + y : 50 + y + drawn.shape[0], 50 + x : 50 + x + drawn.shape[1]] = drawn
        assert frame[50:100, 50:110] == pytest.approx(theirs[i], abs=1e-5)


def test_torchvision_form_goes_both_ways_without_loss(masked: Path) -> None:
    raw = prediction(masked, speckled().image, box_score_thresh=0.2)
    found = Detections.from_maskrcnn(raw, frame_index=2, t_s=0.5, class_names=("loop_111", "void"))
    given = found.to_maskrcnn()
    for key, dtype in (
        ("boxes", torch.float32),
        ("labels", torch.int64),
        ("scores", torch.float32),
        ("masks", torch.float32),
    ):
        assert raw[key].dtype == dtype == torch.from_numpy(given[key]).dtype
        assert raw[key].shape == given[key].shape
        assert np.array_equal(given[key], raw[key].numpy() >= 0.5 if key == "masks" else raw[key].numpy())
    as_tensors = {
        key: torch.from_numpy(value).requires_grad_(value.dtype == np.float32) for key, value in given.items()
    }
    again = Detections.from_maskrcnn(as_tensors, frame_index=2, t_s=0.5, class_names=("loop_111", "void"))
    assert np.array_equal(again.masks.pixels, found.masks.pixels)
    assert np.array_equal(again.boxes, found.boxes)


def test_an_empty_prediction_goes_both_ways(masked: Path) -> None:
    raw = prediction(masked, speckled(40, 70).image, box_score_thresh=0.999)
    found = Detections.from_maskrcnn(raw, frame_index=0, t_s=0.0)
    assert len(found) == 0
    assert found.shape == (40, 70)
    assert {key: value.shape for key, value in found.to_maskrcnn().items()} == {
        key: tuple(value.shape) for key, value in raw.items()
    }


def test_faster_rcnn_gives_ellipses_in_its_boxes_and_says_so(boxed: Path, tmp_path: Path) -> None:
    segment = load_segmenter(f"maskrcnn:{boxed}", SegmentConfig(confidence=0.2))
    found = segment(speckled())
    assert len(found)
    assert segment.describe()["masks"] == "from boxes: inscribed ellipses"
    squares = tmp_path / "squares.pt"
    squares.hardlink_to(boxed)
    squares.with_suffix(".toml").write_text(TINY + 'boxes_as = "box"\n', encoding="utf-8")
    filled = load_segmenter(f"maskrcnn:{squares}", SegmentConfig(confidence=0.2))(speckled())
    shared = found.masks.iou(filled.masks).max(axis=1)
    assert np.median(shared) == pytest.approx(np.pi / 4, abs=0.05)


@pytest.mark.parametrize("ellipse", [True, False])
def test_masks_of_boxes_have_the_area_of_their_shape(ellipse: bool) -> None:
    box = np.array([3.0, -7.0, 43.0, 17.0], np.float32)
    x, y, inside = box_mask(box, ellipse=ellipse)
    assert (x, y, inside.shape) == (3, -7, (24, 40))
    assert inside.sum() == pytest.approx(40 * 24 * (np.pi / 4 if ellipse else 1), rel=0.02)


def test_a_stream_gives_what_single_calls_give_at_odd_sizes(masked: Path) -> None:
    segment = load_segmenter(f"maskrcnn:{masked}")
    frames = [speckled(61, 77, 0), None, speckled(40, 99, 2)]
    streamed = list(segment.stream((frame, None, i) for i, frame in enumerate(frames)))
    assert [tag for _, tag in streamed] == [0, 1, 2]
    assert streamed[1][0] is None
    for found, i in streamed[::2]:
        alone = segment(frames[i])
        assert np.array_equal(found.masks.pixels, alone.masks.pixels)
        assert found.frame_index == i
        assert np.array_equal(found.boxes, found.masks.boxes())
        assert (found.boxes[:, 2:] <= found.shape[::-1]).all()


def test_a_cap_that_is_hit_is_counted(masked: Path) -> None:
    everything = load_segmenter(f"maskrcnn:{masked}", SegmentConfig(confidence=0.2, min_area_px=1))(
        speckled()
    )
    few = load_segmenter(
        f"maskrcnn:{masked}", SegmentConfig(confidence=0.2, min_area_px=1, max_detections=2)
    )(speckled())
    assert len(few) == 2
    assert few.n_over_cap >= len(everything) - 2 > 0


def test_nothing_is_looked_for_outside_the_field(masked: Path) -> None:
    field = np.zeros((64, 96), bool)
    field[:, :48] = True
    found = load_segmenter(f"maskrcnn:{masked}", SegmentConfig(confidence=0.2))(speckled(), field)
    assert len(found)
    assert (found.boxes[:, 0] < 48).all()


def test_tiles_see_what_the_whole_frame_shows_away_from_their_seams(masked: Path) -> None:
    frame = speckled(300, 320)
    whole = load_segmenter(f"maskrcnn:{masked}", SegmentConfig(confidence=0.45))(frame)
    tiled = load_segmenter(f"maskrcnn:{masked}", SegmentConfig(confidence=0.45, tile_px=256))(frame)
    assert len(tiled) == pytest.approx(len(whole), rel=0.3)
    assert tiled.shape == whole.shape == (300, 320)


def test_scaling_as_torchvision_does_it_is_done_only_if_asked_for(masked: Path, tmp_path: Path) -> None:
    path = tmp_path / "scaled.pt"
    path.hardlink_to(masked)
    path.with_suffix(".toml").write_text(TINY + "min_size_px = 128\nmax_size_px = 400\n", encoding="utf-8")
    segment = load_segmenter(f"maskrcnn:{path}", SegmentConfig(confidence=0.2))
    assert segment.describe()["view"]["scale"] == "shorter side 128 px, longer at most 400 px"
    found = segment(speckled())
    assert found.shape == (64, 96)
    assert (found.boxes[:, 2:] <= [96, 64]).all()
    assert load_segmenter(f"maskrcnn:{masked}").describe()["view"]["scale"] == 1.0


@pytest.mark.parametrize(
    "builder",
    [
        "maskrcnn_resnet50_fpn_v2",
        "fasterrcnn_resnet50_fpn",
        "fasterrcnn_resnet50_fpn_v2",
        "fasterrcnn_mobilenet_v3_large_fpn",
    ],
)
def test_the_weights_alone_tell_which_of_torchvisions_networks_they_belong_to(builder: str) -> None:
    with torch.device("meta"):
        theirs = getattr(torchvision.models.detection, builder)(
            weights=None, weights_backbone=None, num_classes=4
        ).state_dict()
        found = network.architecture_of(theirs)
        ours = network.build(found).state_dict()
    assert (found.builder, found.n_classes) == (builder, 3)
    assert {name: value.shape for name, value in ours.items()} == {
        name: value.shape for name, value in theirs.items()
    }


def test_weights_trained_with_frozen_batch_norm_or_on_several_cards_load(
    masked: Path, tmp_path: Path
) -> None:
    state = {
        f"module.{name}": value
        for name, value in read_state(masked).items()
        if not name.endswith("num_batches_tracked")
    }
    path = tmp_path / "frozen.pt"
    torch.save({"state_dict": state}, path)
    path.with_suffix(".toml").write_text(TINY, encoding="utf-8")
    one, other = (load_segmenter(f"maskrcnn:{p}")(speckled()) for p in (masked, path))
    assert np.array_equal(one.masks.pixels, other.masks.pixels)


def test_checkpoints_that_cannot_be_used_are_refused_in_one_line(masked: Path, tmp_path: Path) -> None:
    state = read_state(masked)
    path = tmp_path / "mine.pt"
    toml = path.with_suffix(".toml")

    def refused(text: str) -> None:
        with pytest.raises(ModelError, match=text) as caught:
            load_segmenter(f"maskrcnn:{path}")
        assert "\n" not in str(caught.value)

    refused("no such checkpoint")
    torch.save(state, path)
    refused("mine.toml: missing; write one that names the classes")
    for text, message in (
        ("classes = [", "not a TOML file"),
        ('clases = ["void"]', "unknown key 'clases'"),
        ("builder = 'maskrcnn_resnet18_fpn'", "classes = None"),
        ('classes = ["void", "unicorn"]', "unknown or repeated class"),
        ('classes = ["void", "void"]', "unknown or repeated class"),
        ('classes = ["void"]', "distinguishes 2 classes from the background, mine.toml names 1"),
        (CLASSES + 'builder = "resnet"', "no such network"),
        (CLASSES + 'builder = "maskrcnn_resnet50_fpn"', "do not fit the network|lacks"),
        (CLASSES + "mask_threshold = 2", "mask_threshold = 2: expected a number between 0 and 1"),
        (CLASSES + "anchor_sizes_px = [[4, 8], [8], [16], [24], [32]]", "give anchor_sizes_px"),
        (CLASSES + "detections = 0", "at least 1"),
        (CLASSES + "min_size_px = 800", "together, or neither"),
        (CLASSES + 'sha256 = "12ab"', "not the 12ab... of its card"),
    ):
        toml.write_text(text, encoding="utf-8")
        refused(message)
    toml.write_text(TINY, encoding="utf-8")
    torch.save({**state, "roi_heads.keypoint.weight": torch.zeros(1)}, path)
    refused(r"has unknown roi_heads.keypoint.weight \(1 such names\)")
    torch.save({name: value for name, value in state.items() if "fpn" not in name}, path)
    refused("lacks backbone.fpn")
    torch.save({"weight": torch.zeros(2)}, path)
    refused("not a state dict of a torchvision Mask R-CNN or Faster R-CNN: it begins with 'weight'")
    torch.save([1, 2], path)
    refused("holds no state dict")
    path.write_bytes(b"not a checkpoint")
    refused("not a PyTorch checkpoint, or damaged")
    with pytest.raises(ModelError, match="runs in torch only"):
        load_segmenter(f"maskrcnn:{masked}", SegmentConfig(runtime="openvino"))


def test_a_pickled_module_is_refused_and_never_run(tmp_path: Path) -> None:
    path = tmp_path / "whole.pt"
    torch.save(torch.nn.Linear(2, 2), path)
    path.with_suffix(".toml").write_text(CLASSES, encoding="utf-8")
    with pytest.raises(ModelError, match=r"pickled module.*torch.save\(model.state_dict\(\), 'whole.pt'\)"):
        load_segmenter(f"maskrcnn:{path}")


def test_a_run_records_the_checkpoint_and_its_hash(masked: Path, tmp_path: Path) -> None:
    import insitrack
    from insitrack.io.manifest import file_sha256

    run = insitrack.track(
        "synth:loops?seed=1&frames=2&size=96", tmp_path / "out", model=f"maskrcnn:{masked}", video=False
    )
    assert run.manifest["model"]["sha256"] == file_sha256(masked)
    assert run.manifest["model"]["builder"] == "maskrcnn_resnet18_fpn"
    assert set(run.series.defect_class) == {"loop_111", "void", "all"}


def test_the_door_to_checkpoints_opens_without_torchvision() -> None:
    code = (
        "import sys, insitrack.segment.networks.maskrcnn as m; print([n for n in ('torch', 'torchvision',"
        " 'ultralytics') if n in sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
        ).stdout.strip()
        == "[]"
    )


def test_the_example_in_the_docs_names_every_setting_and_is_accepted() -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    facts = tomllib.loads(text)
    card = ModelCard(
        "example", Path("checkpoint.pt"), facts.pop("sha256"), tuple(facts.pop("classes")), facts
    )
    assert set(facts) == {field.name for field in fields(CheckpointSettings)}
    defaults, given = CheckpointSettings(), CheckpointSettings.of(card)
    for name in ("mask_threshold", "detections", "proposals", "boxes_as"):
        assert getattr(given, name) == getattr(defaults, name)
    assert tuple(given.anchor_ratios) == defaults.anchor_ratios
    assert (tuple(given.mean), tuple(given.std)) == (defaults.mean, defaults.std)


def test_only_the_classes_that_are_asked_for_are_kept(masked: Path) -> None:
    frame = speckled()
    both = load_segmenter(f"maskrcnn:{masked}", SegmentConfig(confidence=0.2))(frame)
    voids = load_segmenter(f"maskrcnn:{masked}", SegmentConfig(confidence=0.2, classes=("void",)))(frame)
    assert voids.class_names == ("void",)
    assert voids.names() == ["void"] * both.names().count("void")
