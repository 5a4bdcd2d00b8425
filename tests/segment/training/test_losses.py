"""Tests of what a network is taught with."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch")
    pytest.importorskip("ultralytics")
    losses = pytest.importorskip("insitrack.segment.training.losses")
    yolo = pytest.importorskip("insitrack.segment.training.yolo")

from insitrack.segment.labels.yolo import TRAINED_CLASSES
from insitrack.segment.training.dataset import UNTYPED
from insitrack.segment.training.export import load_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore")


def assigned(label: int, likeliest: int, n_classes: int = 3) -> torch.Tensor:
    """Target scores of 16 anchors, one object over the four in the middle."""
    from ultralytics.utils.tal import TaskAlignedAssigner

    at = torch.arange(4) * 8.0 + 4
    anchors = torch.stack(torch.meshgrid(at, at, indexing="xy"), -1).reshape(-1, 2)
    box = torch.tensor([8.0, 8.0, 24.0, 24.0])
    scores = torch.full((1, 16, n_classes), 0.1)
    scores[..., likeliest] = 0.6
    typed = TaskAlignedAssigner(topk=10, num_classes=n_classes, alpha=0.5, beta=6.0)
    labels = torch.full((1, 1, 1), float(label))
    there = torch.ones(1, 1, 1, dtype=torch.bool)
    _, _, targets, _, _ = losses.UntypedAssigner(typed)(
        scores, box.expand(1, 16, 4), anchors, labels, box[None, None], there
    )
    return targets[0]


@pytest.mark.parametrize("likeliest", [0, 1, 2])
def test_an_object_without_a_type_is_asked_for_under_the_class_that_is_likeliest(likeliest: int) -> None:
    targets = assigned(3, likeliest)
    assert targets.shape == (16, 3)
    assert targets[:, likeliest].max() > 0.5
    assert targets.sum() == targets[:, likeliest].sum()


@pytest.mark.parametrize("likeliest", [0, 1, 2])
def test_an_object_with_a_type_is_asked_for_under_its_own(likeliest: int) -> None:
    targets = assigned(1, likeliest)
    assert targets[:, 1].max() > 0.5
    assert targets.sum() == targets[:, 1].sum()


def test_a_network_taught_with_untyped_objects_has_no_class_for_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("images", "labels"):
        (tmp_path / part / "train").mkdir(parents=True)
    for i in range(4):
        image = rng.integers(100, 140, (64, 64)).astype(np.uint8)
        cv2.circle(image, (32, 32), 10, 20, -1)
        cv2.imwrite(str(tmp_path / "images" / "train" / f"{i}.png"), image)
        label = f"{len(TRAINED_CLASSES)} 0.35 0.35 0.65 0.35 0.65 0.65 0.35 0.65\n"
        (tmp_path / "labels" / "train" / f"{i}.txt").write_text(label, encoding="utf-8")
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate((*TRAINED_CLASSES, UNTYPED)))
    told = tmp_path / "data.yaml"
    told.write_text(
        f"path: {tmp_path}\ntrain: images/train\nval: images/train\nnames:\n{names}", encoding="utf-8"
    )
    chosen = yolo.TrainSettings(
        hours=None, epochs=1, pictures_per_epoch=4, image_px=64, batch=2, threads=1, mosaic=0.0
    )
    assert load_checkpoint(yolo.train(told, tmp_path / "run", chosen)).classes == TRAINED_CLASSES
