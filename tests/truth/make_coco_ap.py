"""Makes coco_ap.json: a drawn case with the average precision that pycocotools finds for it.

``pip install pycocotools`` and run it again only to change the case; the numbers in the file are those of
pycocotools 2.0.
"""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

HEIGHT, WIDTH = 120, 160


def ellipse(x: float, y: float, a: float, b: float) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return ((columns - x) / a) ** 2 + ((rows - y) / b) ** 2 < 1


def shapes() -> tuple[list[dict], list[dict]]:
    """True and found ellipses: x y a b, class, and a score with few digits, so that scores tie."""
    rng = np.random.default_rng(7)
    true, found = [], []
    for picture in range(1, 7):
        for _ in range(int(rng.integers(0, 14))):
            shape = [*rng.uniform((8, 8), (WIDTH - 8, HEIGHT - 8)), *rng.uniform(3, 12, 2)]
            label = int(rng.integers(1, 4))
            true.append({"image_id": picture, "category_id": label, "ellipse": np.round(shape, 2).tolist()})
            for _ in range(int(rng.choice([0, 1, 1, 1, 2]))):
                moved = np.array(shape) + rng.normal(0, (0.9, 0.9, 0.6, 0.6))
                other = label if rng.random() < 0.85 else int(rng.integers(1, 4))
                score = round(float(rng.uniform(0.1, 1)), 1)
                found.append(
                    {
                        "image_id": picture,
                        "category_id": other,
                        "ellipse": np.round(np.maximum(moved, 2), 2).tolist(),
                        "score": score,
                    }
                )
        for _ in range(int(rng.integers(0, 4))):
            shape = [*rng.uniform((8, 8), (WIDTH - 8, HEIGHT - 8)), *rng.uniform(3, 12, 2)]
            entry = {
                "image_id": picture,
                "category_id": int(rng.integers(1, 4)),
                "ellipse": np.round(shape, 2).tolist(),
            }
            found.append({**entry, "score": round(float(rng.uniform(0.1, 0.6)), 1)})
    return true, found


def with_masks(entries: list[dict]) -> list[dict]:
    out = []
    for i, entry in enumerate(entries, start=1):
        rle = coco_mask.encode(np.asfortranarray(ellipse(*entry["ellipse"]).astype(np.uint8)))
        rle["counts"] = rle["counts"].decode()
        box = coco_mask.toBbox(rle).tolist()
        plain = {key: value for key, value in entry.items() if key != "ellipse"}
        out.append(
            {
                **plain,
                "id": i,
                "segmentation": rle,
                "area": float(coco_mask.area(rle)),
                "bbox": box,
                "iscrowd": 0,
            }
        )
    return out


def main() -> None:
    true, found = (with_masks(entries) for entries in shapes())
    images = [{"id": i, "file_name": f"{i}.png", "height": HEIGHT, "width": WIDTH} for i in range(1, 7)]
    names = {1: "black_dot", 2: "loop_111", 3: "loop_100"}
    categories = [{"id": key, "name": name} for key, name in names.items()]
    expected = {}
    for agnostic in (False, True):
        # a copy with one category in place of useCats=0, which would sort ties in score by category
        parts = [
            [entry | ({"category_id": 1} if agnostic else {}) for entry in part] for part in (true, found)
        ]
        with redirect_stdout(io.StringIO()):
            truth = COCO()
            truth.dataset = {"images": images, "annotations": parts[0], "categories": categories}
            truth.createIndex()
            results = truth.loadRes(parts[1])
            for most in (3, 100):
                run = COCOeval(truth, results, "segm")
                run.params.maxDets = [1, 2, most]
                run.evaluate()
                run.accumulate()
                precision = run.eval["precision"][:, :, :, 0, 2]  # thresholds, recalls, classes
                expected[f"{'find' if agnostic else 'classes'}_{most}"] = np.round(
                    precision.mean(axis=1).T, 12
                ).tolist()[: 1 if agnostic else 3]
    keep = ("image_id", "category_id", "segmentation", "bbox", "score", "id", "area", "iscrowd")
    case = {
        "images": images,
        "categories": categories,
        "annotations": true,
        "results": [
            {key: entry[key] for key in keep if key in entry and key not in ("id", "area", "iscrowd")}
            for entry in found
        ],
        "expected_ap_by_class_and_threshold": expected,
    }
    Path(__file__).with_name("coco_ap.json").write_text(json.dumps(case, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
