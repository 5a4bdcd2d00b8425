import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from insitrack.io.detections import Masks
from insitrack.io.errors import SourceError
from insitrack.segment.labels.predictions import coco_facts, read_predictions
from insitrack.segment.labels.run_lengths import rle_mask

CASE = json.loads(
    (Path(__file__).resolve().parents[2] / "truth" / "coco_ap.json").read_text(encoding="utf-8")
)


@settings(max_examples=30, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 7))))
def test_what_was_written_as_run_lengths_is_read_again(mask: np.ndarray) -> None:
    assert (rle_mask(Masks.from_dense(mask[None]).rle(0, mask.shape)) == mask).all()


def test_compressed_runs_have_the_area_and_box_that_pycocotools_gives_them() -> None:
    for entry in CASE["annotations"]:
        masks = Masks.from_dense(rle_mask(entry["segmentation"])[None])
        x, y, width, height = entry["bbox"]
        assert masks.area_px()[0] == entry["area"]
        assert masks.boxes()[0].tolist() == [x, y, x + width, y + height]


def test_runs_that_do_not_fill_the_picture_are_refused() -> None:
    with pytest.raises(ValueError, match="do not add up to the 2 x 3 pixels"):
        rle_mask({"size": [2, 3], "counts": [1, 4]})


def test_results_may_bring_their_pictures_and_classes(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    polygon = [2, 2, 8, 2, 8, 6, 2, 6]
    entry = {"image_id": 9, "category_id": 3, "segmentation": [polygon], "score": 0.5}
    data = {
        "images": [{"id": 9, "file_name": "deep/a.png"}],
        "categories": [{"id": 3, "name": "frank_loop"}],
        "annotations": [entry],
    }
    path.write_text(json.dumps(data), encoding="utf-8")
    found = read_predictions(path, {"a": (10, 12), "b": (10, 12)})
    assert found["a"].names() == ["frank_loop"]
    assert found["a"].masks.area_px().tolist() == [24]
    assert len(found["b"]) == 0


def test_without_the_meaning_of_a_number_the_results_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    path.write_text(json.dumps([{"image_id": "a", "category_id": 3, "bbox": [1, 1, 3, 3]}]), encoding="utf-8")
    with pytest.raises(SourceError, match="category_id 3 is not known"):
        read_predictions(path, {"a": (10, 12)})
    with pytest.raises(SourceError, match="cannot be read"):
        coco_facts([tmp_path / "absent.json"])


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz",
        boxes=np.zeros((1, 4)),
        labels=np.ones(1),
        scores=np.ones(1),
        masks=np.zeros((1, 1, 5, 5)),
    )
    with pytest.raises(SourceError, match=r"masks of \(5, 5\) for an image of \(10, 12\)"):
        read_predictions(tmp_path, {"a": (10, 12)})
