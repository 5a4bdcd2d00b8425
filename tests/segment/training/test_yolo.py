import hashlib
import json
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from insitrack.io.errors import ModelError, OutputError
from insitrack.segment.labels.yolo import TRAINED_CLASSES

pytest.importorskip("onnx")
pytest.importorskip("onnxslim")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch")
    train = pytest.importorskip("insitrack.segment.training.yolo")
    export = pytest.importorskip("insitrack.segment.training.export")
    model_card = pytest.importorskip("insitrack.segment.training.model_card")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network, saved like a checkpoint and exported."""
    folder = tmp_path_factory.mktemp("net")
    torch.manual_seed(0)
    model = train.Bf16SegmentationModel(str(train.SLIM_NETWORK), nc=len(TRAINED_CLASSES), ch=3, verbose=False)
    torch.save({"ema": model, "model": None}, folder / "last.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return export.export(folder / "last.pt", folder / "net.onnx")


@pytest.mark.parametrize("shape", [(64, 64), (96, 160)])
def test_an_exported_network_takes_any_multiple_of_32(exported: Path, shape: tuple[int, int]) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported), providers=["CPUExecutionProvider"])
    candidates, prototypes = session.run(
        ["output0", "output1"], {"images": np.zeros((1, 3, *shape), np.float32)}
    )
    anchors = sum(shape[0] // s * (shape[1] // s) for s in (8, 16, 32))
    assert candidates.shape == (1, 4 + len(TRAINED_CLASSES) + 16, anchors)
    assert prototypes.shape == (1, 16, shape[0] // 4, shape[1] // 4)


def test_the_card_describes_the_file_beside_it(exported: Path) -> None:
    from insitrack.segment.models import find_model

    path = model_card.write_card(
        exported,
        classes=TRAINED_CLASSES,
        recipe=asdict(train.TrainSettings(seed=5)),
        facts={"known_failures": ["dense images"]},
    )
    card = json.loads(path.read_text(encoding="utf-8"))
    assert card["sha256"] == hashlib.sha256(exported.read_bytes()).hexdigest()
    assert (card["seed"], card["recipe"]["image_px"], card["known_failures"]) == (5, 320, ["dense images"])
    assert "- dense images" in exported.with_suffix(".md").read_text(encoding="utf-8")
    assert find_model(str(exported)).classes == TRAINED_CLASSES


def test_in_training_the_network_answers_in_32_bits() -> None:
    torch.manual_seed(0)
    model = train.Bf16SegmentationModel(str(train.SLIM_NETWORK), nc=2, ch=3, verbose=False).train()
    out = model(torch.zeros(2, 3, 64, 64))
    assert {value.dtype for value in out.values() if isinstance(value, torch.Tensor)} == {torch.float32}


def test_the_page_lists_every_score(exported: Path) -> None:
    from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
    from insitrack.segment.scores.evaluate import score

    masks = Masks.from_crops([np.ones((4, 4), bool)], [(2, 2)])
    truth = Detections(
        0, 0.0, (9, 9), masks.boxes(), np.ones(1, np.int64), np.ones(1, np.float32), masks, DEFECT_CLASSES
    )
    metrics = {"synthetic": {"net": {"iou_0.5": score([(truth, truth)]).facts()}}}
    model_card.write_card(exported, classes=TRAINED_CLASSES, recipe={}, facts={"metrics": metrics})
    assert "| synthetic | net | 0.5 | 1 | 1 | 1 | 1 | 1 | 1 | 0 | 0 |" in exported.with_suffix(
        ".md"
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize("ratio", [1, 2])
def test_filled_outlines_are_as_large_as_the_outlines(ratio: int) -> None:
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    circles = [
        np.stack([np.cos(angles), np.sin(angles)], axis=1) * 5 + 20 + shift for shift in np.linspace(0, 3, 13)
    ]
    areas = train.exact_masks((50, 60), circles, 1, ratio).sum(axis=(1, 2)) * ratio**2
    assert areas.mean() == pytest.approx(np.pi * 25, rel=0.06)
    assert not train.exact_masks((50, 60), [circles[0] + 200], 1, ratio).any()


def test_there_must_be_something_to_resume_and_nothing_to_overwrite(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="resume"):
        train.train(tmp_path / "data.yaml", tmp_path, resume=True)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "last.pt").touch()
    with pytest.raises(OutputError, match="--resume"):
        train.train(tmp_path / "data.yaml", tmp_path)
    with pytest.raises(ModelError, match=r"weights/last\.pt"):
        export.export(tmp_path / "nothing.pt", tmp_path / "a.onnx")
