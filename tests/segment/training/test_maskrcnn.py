"""Training a Mask R-CNN: labels follow their image when augmented, the loss falls, it runs."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from insitrack.io.detections import Detections, Masks
from insitrack.io.errors import ModelError, OutputError, SourceError
from insitrack.io.frames import Frame
from insitrack.segment.models import load_segmenter
from insitrack.segment.training import maskrcnn as training
from insitrack.segment.training.dataset import write_example, write_yaml

TINY = training.RcnnTraining(
    fpn_channels=16,
    box_features=32,
    mask_channels=16,
    anchor_sizes_px=((8,), (12,), (16,), (24,), (32,)),
    hours=1e-9,
    image_px=64,
    batch=2,
    learning_rate=0.02,
    boxes_per_picture=32,
    threads=1,
)


def dots(seed: int, side: int = 64) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], Detections]:
    """Dark dots on bright, and their truth."""
    rng = np.random.default_rng(seed)
    image, crops, corners = np.full((side, side), 180, np.uint8), [], []
    for x, y in ((16, 16), (45, 20), (30, 47)):
        radius = int(rng.integers(5, 9))
        mask = np.zeros_like(image)
        cv2.circle(mask, (x, y), radius, 1, -1)
        image[mask > 0] = 60
        crops.append(mask[y - radius : y + radius + 1, x - radius : x + radius + 1].astype(bool))
        corners.append((y - radius, x - radius))
    masks = Masks.from_crops(crops, corners)
    return image, Detections(
        0, 0.0, image.shape, masks.boxes(), np.array([1, 6, 6]), np.ones(3, np.float32), masks
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for i in range(3):
        write_example(tmp_path / "data", "train", f"p{i}", *dots(i))
    blank = Detections.empty(0, 0.0, (64, 64))
    write_example(tmp_path / "data", "train", "blank", np.full((64, 64), 128, np.uint8), blank)
    return write_yaml(tmp_path / "data")


@pytest.mark.parametrize("seed", range(12))
def test_masks_follow_their_picture_through_every_augmentation(seed: int) -> None:
    _, truth = dots(seed, 80)
    image = truth.masks.dense((80, 80)).any(axis=0).astype(np.uint8) * 255
    picture, masks, rows = training.augmented(image, truth, 96, 0.4, np.random.default_rng(seed))
    assert picture.shape == masks.shape[1:] == (96, 96)
    if len(rows) == 3:
        assert (
            np.count_nonzero((picture >= 128) != masks.any(axis=0)) <= 20
        )  # a cut rim may be there without its mask
    target = training.target_of(masks, truth.labels[rows])
    for box, mask in zip(target["boxes"].numpy().astype(int), masks, strict=True):
        assert mask[box[1] : box[3], box[0] : box[2]].sum() == mask.sum()


def test_without_magnification_a_picture_is_turned_or_mirrored_only() -> None:
    image, truth = dots(1)
    image[:5, :9] = 0  # no symmetry
    seen = set()
    for seed in range(40):
        picture, masks, _ = training.augmented(image, truth, 64, 0.0, np.random.default_rng(seed))
        same = [i for i in range(8) if np.array_equal(picture, np.rot90(image if i < 4 else image.T, i % 4))]
        assert len(same) == 1
        seen.add(same[0])
        assert masks.sum() == truth.masks.area_px().sum()
    assert seen == set(range(8))


def test_the_loss_falls(data: Path) -> None:
    under_way = training._Training(data, TINY)
    losses = []
    for _ in range(16):
        losses.append(sum(under_way.advance().values()))
        under_way.seconds = 0.0
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])


def test_a_training_can_be_stopped_gone_on_with_and_run(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ModelError, match="no checkpoint to go on with"):
        training.train(data, out, TINY, resume=True)
    final = training.train(data, out, TINY)
    with pytest.raises(OutputError, match="there is a training already"):
        training.train(data, out, TINY)
    first = torch.load(out / training.LAST, weights_only=True)
    training.train(data, out, training.replace(TINY, hours=1.0001 * first["seconds"] / 3600), resume=True)
    second = torch.load(out / training.LAST, weights_only=True)
    assert (first["step"], second["step"]) == (1, 2)
    assert (out / training.LOG).read_text(encoding="utf-8").count("\n") == 3
    segment = load_segmenter(f"maskrcnn:{final}")
    assert segment.class_names == ("black_dot", "loop_111", "loop_100", "loop", "void", "precipitate")
    assert segment(Frame(0, 0.0, dots(0)[0])).shape == (64, 64)
    assert load_segmenter(f"maskrcnn:{final}").describe()["builder"] == "maskrcnn_resnet18_fpn"


def test_the_same_pictures_are_drawn_after_a_resumption(data: Path) -> None:
    one, other = training._Training(data, TINY), training._Training(data, TINY)
    one.step = other.step = 7
    for a, b in zip(one.batch()[0], other.batch()[0], strict=True):
        assert torch.equal(a, b)


def test_data_sets_that_cannot_be_read_are_refused_in_one_line(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        training.dataset_pictures(tmp_path / "none.yaml")
    with pytest.raises(SourceError, match="no images"):
        training.dataset_pictures(data, "val")
    (tmp_path / "other.yaml").write_text("names: [void]\n", encoding="utf-8")
    with pytest.raises(SourceError, match="names no folder for 'train'"):
        training.dataset_pictures(tmp_path / "other.yaml")
