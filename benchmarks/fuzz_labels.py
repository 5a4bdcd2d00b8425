"""Sound labels of every form, to be damaged by ``fuzz.py labels``."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from roifile import ImagejRoi, roiwrite

from insitrack.tests.support.label_files import coco_labels, coco_polygon, packed, via_regions

SHAPE = (48, 64)
OUTLINES = [
    [[5.0, 5.0], [14.0, 6.0], [15.0, 13.0], [6.0, 14.0]],
    [[30.0, 20.0], [41.0, 21.0], [40.0, 33.0], [31.0, 32.0]],
    [[50.0, 4.0], [58.0, 5.0], [57.0, 12.0], [51.0, 11.0]],
]
_ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1e308, float("inf"), float("nan"), 2**70, "", "x" * 3000, "../../x", [], {}, [[]], [1], {"size": [9, 9]},
)  # fmt: skip


def _picture() -> bytes:
    values = np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)
    return cv2.imencode(".png", values)[1].tobytes()


def _mask() -> np.ndarray[Any, np.dtype[np.uint8]]:
    mask = np.zeros(SHAPE, np.uint8)
    for number, points in enumerate(OUTLINES, 1):
        cv2.fillPoly(mask, [np.array(points, np.int32)], number)
    return mask


def _coco(kind: str) -> bytes:
    def encoded(number: int) -> Any:
        if kind == "polygons":
            return coco_polygon(OUTLINES[number])
        flat = (_mask() == number + 1).T.ravel()
        edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(np.int8)))
        counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
        return {"size": list(SHAPE), "counts": counts if kind == "counts" else packed(counts)}

    found = [encoded(i) for i in range(len(OUTLINES))]
    return json.dumps(coco_labels("a.png", SHAPE, found, category=(2, "loop"))).encode()


def _regions() -> list[dict[str, Any]]:
    shapes = (
        {"name": "rect", "x": 1, "y": 2, "width": 9, "height": 8},
        {"name": "circle", "cx": 9, "cy": 9, "r": 4},
    )
    others = [{"shape_attributes": shape, "region_attributes": {"class": "loop"}} for shape in shapes]
    return via_regions(OUTLINES, **{"class": "loop"}) + others


def _via_csv() -> bytes:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["filename", "region_shape_attributes", "region_attributes"])
    for one in _regions():
        rows.writerow(["a.png", json.dumps(one["shape_attributes"]), json.dumps(one["region_attributes"])])
    return text.getvalue().encode()


def _labelme() -> bytes:
    png = base64.b64encode(cv2.imencode(".png", np.full((6, 7), 255, np.uint8))[1].tobytes()).decode()
    shapes: list[dict[str, Any]] = [
        {"label": "loop", "points": one, "shape_type": "polygon"} for one in OUTLINES
    ]
    shapes.append({"label": "loop", "points": [[3, 3], [9, 8]], "shape_type": "mask", "mask": png})
    return json.dumps(
        {"shapes": shapes, "imagePath": "a.png", "imageHeight": SHAPE[0], "imageWidth": SHAPE[1]}
    ).encode()


def _yolo() -> bytes:
    lines = ["0 " + " ".join(f"{x / SHAPE[1]:.4f} {y / SHAPE[0]:.4f}" for x, y in one) for one in OUTLINES]
    return "\n".join([*lines, "1 0.5 0.5 0.1 0.2"]).encode()


def sound_labels(folder: Path) -> dict[str, tuple[str, bytes, dict[str, bytes]]]:
    """Name and bytes of a label file of each form, and the files that lie beside it."""
    picture = {"a.png": _picture()}
    rois = [
        ImagejRoi.frompoints(np.array(one, np.float32), name=f"loop-{i}") for i, one in enumerate(OUTLINES)
    ]
    roiwrite(folder / "set.zip", rois)
    roiwrite(folder / "one.roi", rois[0])
    np.save(folder / "mask.npy", _mask())
    rows = _yolo()
    return {
        "COCO polygons": ("c.json", _coco("polygons"), picture),
        "COCO run lengths": ("c.json", _coco("counts"), picture),
        "COCO packed": ("c.json", _coco("packed"), picture),
        "VIA JSON": (
            "v.json",
            json.dumps({"a.png1": {"filename": "a.png", "regions": _regions()}}).encode(),
            picture,
        ),
        "VIA CSV": ("v.csv", _via_csv(), picture),
        "LabelMe": ("a.json", _labelme(), picture),
        "YOLO rows": ("a.txt", rows, {**picture, "data.yaml": b"names: [loop, void]\n"}),
        "YOLO names": ("data.yaml", b"path: x\nnames:\n  0: loop\n  1: void\n", {**picture, "a.txt": rows}),
        "y0 x0 y1 x1": ("a.txt", b"1 2 9 12\n20 30 33 41\n", picture),
        "ImageJ set": ("a.zip", (folder / "set.zip").read_bytes(), picture),
        "ImageJ region": ("a.roi", (folder / "one.roi").read_bytes(), picture),
        "mask PNG": ("masks/a.png", cv2.imencode(".png", _mask())[1].tobytes(), picture),
        "mask npy": ("masks/a.npy", (folder / "mask.npy").read_bytes(), picture),
    }


def changed(data: bytes, name: str, random: np.random.Generator, damage: Callable[..., bytes]) -> bytes:
    """Damage the bytes, or in JSON half of the time one value, which stays JSON."""
    if not name.endswith(".json") or random.random() < 0.5:
        return damage(data, random)
    tree = json.loads(data)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(tree)
    node, key = places[int(random.integers(len(places)))]
    node[key] = _ODD[int(random.integers(len(_ODD)))]
    return json.dumps(tree).encode()


def damaged_labels(
    folder: Path, each: int, random: np.random.Generator, damage: Callable[..., bytes]
) -> tuple[list[Path], list[str]]:
    """Folders of an image and damaged labels, and the form of each."""
    paths, forms = [], []
    for form, (name, data, beside) in sound_labels(folder).items():
        for i in range(each):
            one = folder / form.replace(" ", "_") / f"{i:05d}"
            (one / name).parent.mkdir(parents=True)
            for other, content in beside.items():
                (one / other).write_bytes(content)
            (one / name).write_bytes(changed(data, name, random, damage))
            paths.append(one)
            forms.append(form)
    return paths, forms
