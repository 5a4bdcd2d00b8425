"""The model of lines trained further on a few labelled images, and never for the worse."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from insitrack.io.detections import Detections, Masks
from insitrack.io.frames import Frame
from insitrack.io.synth.source import SynthSource
from insitrack.io.tables.outlines import rle
from insitrack.tracker.cli import main

torch = pytest.importorskip("torch", reason="needs the extra train")
from insitrack.segment.finetune import lines  # noqa: E402
from insitrack.segment.finetune.settings import FinetuneSettings  # noqa: E402
from insitrack.segment.models import load_segmenter, shipped_models  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
SHAPE = (60, 90)


def bars(*places: tuple[int, int, int], name: str = "dislocation") -> Detections:
    """Horizontal bars 5 px wide: (y, x, length)."""
    masks = Masks.from_crops(
        [np.ones((5, length), bool) for _, _, length in places], [(y, x) for y, x, _ in places]
    )
    n = len(places)
    names = ("dislocation", "precipitate", "void")
    labels = np.full(n, names.index(name) + 1, np.int64)
    return Detections(0, 0.0, SHAPE, masks.boxes(), labels, np.ones(n, np.float32), masks, names)


def test_a_map_has_the_outline_of_a_line_and_its_middle_three_pixels_wide():
    found = lines.map_of(bars((20, 10, 60)))
    assert np.count_nonzero(found & 1) == 5 * 60
    middle = (found & 8) > 0
    assert middle[22, 20:60].all()
    assert (middle[:, 40].sum(), middle[20, 40], middle[24, 40]) == (3, False, False)
    assert np.count_nonzero(lines.map_of(bars((20, 10, 60), name="void"))) == 5 * 60


@pytest.mark.parametrize(
    ("shift", "length", "f1"), [(0, 60, 1.0), (2, 60, 1.0), (12, 60, 0.0), (0, 30, 2 / 3)]
)
def test_lines_are_judged_by_the_length_that_is_found_within_three_pixels(shift, length, f1):
    held = [(Frame(0, 0.0, np.zeros(SHAPE, np.uint8)), bars((20, 10, 60)))]
    scores = lines.line_scores(lambda frame, field: bars((20 + shift, 10, length)), held)
    assert set(scores) == {"lines"}
    assert scores["lines"]["f1"] == pytest.approx(f1, abs=0.07)


def write_set(folder: Path) -> Path:
    """Four drawn images with the true outlines of their lines, as COCO."""
    folder.mkdir()
    images, annotations = [], []
    for number, seed in enumerate((1, 2, 3, 4), 1):
        movie = SynthSource(f"synth:lines?seed={seed}&size=128&frames=3")
        truth = movie.truth(1)
        cv2.imwrite(str(folder / f"{'abcd'[number - 1]}_1.png"), movie.frame(1).image)
        images.append({"id": number, "file_name": f"{'abcd'[number - 1]}_1.png", "height": 128, "width": 128})
        for i, name in enumerate(truth.names()):
            if name not in ("dislocation", "precipitate", "void"):
                continue
            line, _, box = rle.over_frame(truth.masks, i, (128, 128))
            segmentation = {"size": [128, 128], "counts": line}
            category = ["dislocation", "precipitate", "void"].index(name) + 1
            annotations.append({"id": len(annotations) + 1, "image_id": number, "category_id": category,
                                "segmentation": segmentation, "bbox": box, "iscrowd": 0})  # fmt: skip
    names = [{"id": i, "name": name} for i, name in enumerate(("dislocation", "precipitate", "void"), 1)]
    facts = {"images": images, "annotations": annotations, "categories": names}
    (folder / "labels.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


def test_a_training_of_lines_ends_with_a_model_that_runs_and_with_the_start_where_that_is_better(
    tmp_path, monkeypatch
):
    data = write_set(tmp_path / "set")
    chosen = FinetuneSettings(base="lines", minutes=0.02, synthetic_pictures=2, threads=1, batch=2)
    said: list[str] = []
    scores = iter([{"lines": {"f1": 0.2}}, {"lines": {"f1": 0.3}}])
    monkeypatch.setattr(lines, "line_scores", lambda *_: next(scores))
    done = lines.finetune_lines(data, tmp_path / "out", chosen, say=said.append)
    assert not done.kept_start
    shipped = shipped_models()["lines"].with_suffix(".onnx").read_bytes()
    assert done.model.read_bytes() != shipped
    card = json.loads(done.model.with_suffix(".json").read_text(encoding="utf-8"))
    assert (card["kind"], card["channels"][-1], card["kept_start"]) == ("semantic", "centreline", False)
    frame = Frame(0, 0.0, cv2.imread(str(data / "a_1.png"), cv2.IMREAD_GRAYSCALE))
    assert load_segmenter(str(done.model))(frame, None).shape == (128, 128)
    scores = iter([{"lines": {"f1": 0.3}}, {"lines": {"f1": 0.2}}])
    again = lines.finetune_lines(data, tmp_path / "out", chosen, resume=True, say=said.append)
    assert again.kept_start
    assert again.model.read_bytes() == shipped


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--epochs", "3"], "--epochs 3: is not for --base lines"),
        (
            ["--classes", "dislocation=loop,precipitate=ignore,void=ignore"],
            "knows dislocation, precipitate, void",
        ),
        (["--resume"], "no training to go on with"),
    ],
)
def test_a_wrong_option_is_one_line_and_nothing_is_written(options, words, tmp_path, capsys):
    data = write_set(tmp_path / "set")
    assert main(["train", str(data), "--base", "lines", "--out", str(tmp_path / "out"), *options]) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()
