"""Damaged and hostile labels: one line with the file and the place, little memory, no image from elsewhere."""

import base64
import json
import shutil
import struct
import tracemalloc
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from insitrack.io.errors import InsitrackError
from insitrack.segment.labels.files import MOST_LABELS
from insitrack.segment.labels.predictions import read_predictions
from insitrack.segment.labels.reader import read_labelled

SHAPE = (60, 90)
LARGE = (190, 285)  # rows that cover it claim as much as ten times as many in the small one
BOX = [1.0, 1.0, 9.0, 9.0]
BOMB_MB = 400  # each of these claims gigabytes


def picture(folder: Path, name: str = "a.png", shape: tuple[int, int] = SHAPE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / name), np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8))
    return folder / name


def coco(segmentation: object, file_name: str = "a.png", **image: object) -> str:
    annotation = {"image_id": 1, "category_id": 1, "segmentation": segmentation, "bbox": BOX}
    images = [{"id": 1, "file_name": file_name, **image}]
    return json.dumps(
        {"images": images, "annotations": [annotation], "categories": [{"id": 1, "name": "loop"}]}
    )


def labelme(points: object, kind: str = "polygon", **more: object) -> str:
    return json.dumps({"shapes": [{"label": "loop", "points": points, "shape_type": kind, **more}]})


def png_that_claims(width: int, height: int) -> str:
    data = cv2.imencode(".png", np.full((4, 4), 255, np.uint8))[1].tobytes()
    return base64.b64encode(data[:16] + struct.pack(">II", width, height) + data[24:]).decode("ascii")


BOMBS: dict[str, tuple[str, str, str]] = {
    "run lengths of 5.8 GB": (
        "c.json",
        coco({"size": [80_000, 72_500], "counts": [0, 80_000 * 72_500]}),
        "80000 x 72500",
    ),
    "runs that never end": ("c.json", coco({"size": [60, 90], "counts": "o" * 1_000_000}), "annotation 0"),
    "nested brackets": ("c.json", "[" * 100_000, "nested too deep"),
    "nested brackets in YAML": ("data.yaml", "names: " + "[" * 100_000, "class names"),
    "aliases in YAML": (
        "data.yaml",
        "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]\n" for i in range(12))
        + "names: *a12\n",
        "aliases",
    ),
    "rows of 200,000 defects": ("a.txt", "0 .5 .5 1 1\n" * 200_000, f"line {MOST_LABELS + 1}"),
    "rows that cover the image": ("a.txt", "0 .5 .5 1 1\n" * (MOST_LABELS // 10), ""),
    "a mask of LabelMe of 10 Gpx": (
        "a.json",
        labelme([[0, 0], [9, 9]], "mask", mask=png_that_claims(100_000, 100_000)),
        "shape 0",
    ),
    "a class for every defect": (
        "a.txt",
        "".join(f"{i} .5 .5 .1 .1\n" for i in range(MOST_LABELS)),
        "unknown class",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_in_labels_is_refused_or_read_in_little_memory(name: str, tmp_path: Path) -> None:
    file, text, words = BOMBS[name]
    picture(tmp_path, shape=SHAPE if words else LARGE)
    (tmp_path / file).write_text(text, encoding="utf-8")
    classes = None if "class" in words else {"0": "loop"}
    tracemalloc.start()
    try:
        said = message(tmp_path, classes if file == "a.txt" else None)
    finally:
        peak_mb = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
    assert words in said
    assert peak_mb < BOMB_MB


def message(folder: Path, classes: dict[str, str] | None = None) -> str:
    """What is said of the labels, in one line; nothing where they are read."""
    try:
        list(read_labelled(folder, classes))
    except InsitrackError as error:
        said = str(error)
        assert "\n" not in said
        assert len(said) < 700
        return said
    return ""


DAMAGED: dict[str, tuple[str, bytes, list[str]]] = {
    "latin-1 class names": ("data.yaml", b"names: [caf\xe9]", ["data.yaml", "byte 11"]),
    "latin-1 rows": ("a.txt", b"0 .1 .1 \xb2 .2 .2 .2", ["a.txt", "UTF-8"]),
    "no number": ("a.json", labelme([[1, 1], [float("nan"), 2], [3, 3]]).encode(), ["a.json", "shape 0"]),
    "beyond all images": (
        "c.json",
        coco([[1, 1, 1e300, 2, 3, 3]]).encode(),
        ["annotation 0", "coordinate"],
    ),
    "an infinite image": ("c.json", coco([BOX[:2] * 3], width=1e999, height=9).encode(), ["image 1"]),
    "a polygon of words": ("c.json", coco([["x", "y", "z"]]).encode(), ["annotation 0"]),
    "regions that are no list": (
        "v.json",
        b'{"a": {"filename": "a.png", "regions": true}}',
        ["v.json", "VIA"],
    ),
    "regions that are numbers": ("v.json", b'{"a": {"filename": "a.png", "regions": [1, 2]}}', ["v.json"]),
    "a name of many lines": ("c.json", coco([], file_name="x\ny" * 500).encode(), ["no image"]),
    "a name with a zero": ("c.json", coco([], file_name="x\0y.png").encode(), ["no image"]),
    "a mask of objects": ("masks/a.npy", b"", ["masks"]),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_labels_are_one_line_that_names_the_file_and_the_place(name: str, tmp_path: Path) -> None:
    file, data, words = DAMAGED[name]
    picture(tmp_path)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(data)
    if file.endswith(".npy"):
        np.save(tmp_path / file, np.array([{}, 1]), allow_pickle=True)
    classes = {"defect": "loop"} if file.endswith(".npy") else None
    said = message(tmp_path, classes)
    assert all(word in said for word in words), said


@pytest.mark.parametrize("kind", ["npy of 40 GB", "png of 10 Gpx", "numbers like 2**40"])
def test_a_mask_that_claims_more_than_its_picture_is_not_unpacked(kind: str, tmp_path: Path) -> None:
    picture(tmp_path)
    (tmp_path / "masks").mkdir()
    if kind == "npy of 40 GB":
        with (tmp_path / "masks" / "a.npy").open("wb") as file:
            header = {"descr": "<i8", "fortran_order": False, "shape": (100_000, 50_000)}
            np.lib.format.write_array_header_1_0(file, header)
    elif kind == "png of 10 Gpx":
        (tmp_path / "masks" / "a.png").write_bytes(base64.b64decode(png_that_claims(100_000, 100_000)))
    else:
        values = np.zeros(SHAPE, np.int64)
        values[5:15, 5:15], values[30:40, 30:50] = 2**40, 7
        np.save(tmp_path / "masks" / "a.npy", values)
    said = message(tmp_path, {"defect": "loop"})
    if kind.startswith("numbers"):
        (read,) = read_labelled(tmp_path, {"defect": "loop"})
        assert sorted(read.truth.masks.area_px().tolist()) == [100, 200]
    else:
        assert "masks" in said


def test_a_set_of_regions_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    picture(tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(3):
            archive.writestr(f"{i}.roi", bytes(50 * 2**20))
    assert "150 MB" in message(tmp_path)


def test_a_set_of_regions_of_no_known_version_is_refused(tmp_path: Path) -> None:
    picture(tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("0.roi", b"Iout")
    data = (tmp_path / "a.zip").read_bytes()
    at = data.index(b"PK\x01\x02") + 6  # version that is needed, in the directory
    (tmp_path / "a.zip").write_bytes(data[:at] + b"\xb8" + data[at + 1 :])
    assert "a.zip" in message(tmp_path)


@pytest.mark.parametrize("write", ["absolute", "relative", "beside", "above", "in LabelMe", "in VIA"])
def test_labels_name_no_picture_outside_their_folder(write: str, tmp_path: Path) -> None:
    secret = picture(tmp_path / "elsewhere", "secret.png")
    folder = tmp_path / "given" / "labels"
    picture(folder)
    picture(tmp_path / "given" / "private", "secret.png")
    picture(tmp_path / "given", "above.png")
    names = {"absolute": str(secret), "beside": "../private/secret.png", "above": "../above.png"}
    name = names.get(write, "../../elsewhere/secret.png")
    texts = {
        "in LabelMe": json.dumps({"shapes": [], "imagePath": name}),
        "in VIA": json.dumps({"x": {"filename": name, "regions": [rect()]}}),
    }
    (folder / "labels.json").write_text(texts.get(write, coco([], file_name=name)), encoding="utf-8")
    said = message(folder)
    assert "outside" in said
    assert "labels.json" in said


def rect() -> dict[str, object]:
    shape = {"name": "rect", "x": 1, "y": 1, "width": 9, "height": 9}
    return {"shape_attributes": shape, "region_attributes": {"class": "loop"}}


def test_a_picture_in_a_folder_of_images_beside_the_labels_may_be_named(tmp_path: Path) -> None:
    picture(tmp_path / "images")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.json").write_text(
        json.dumps({"shapes": [], "imagePath": "../images/a.png"}), encoding="utf-8"
    )
    assert read_labelled(tmp_path / "labels").names == ("a",)


def test_a_path_of_another_machine_still_finds_the_picture_beside_the_labels(tmp_path: Path) -> None:
    picture(tmp_path)
    (tmp_path / "c.json").write_text(coco([], file_name="/elsewhere/somebody/a.png"), encoding="utf-8")
    assert read_labelled(tmp_path).names == ("a",)
    shutil.move(tmp_path / "a.png", tmp_path / "b.png")
    assert "no image a.png" in message(tmp_path)


def test_predictions_of_another_size_are_not_expanded(tmp_path: Path) -> None:
    found = {
        "image_id": "a",
        "category_id": 1,
        "segmentation": {"size": [80_000, 72_500], "counts": [0, 80_000 * 72_500]},
    }
    categories = {"categories": [{"id": 1, "name": "loop"}]}
    (tmp_path / "found.json").write_text(json.dumps({"annotations": [found], **categories}), encoding="utf-8")
    with pytest.raises(InsitrackError, match="80000 x 72500"):
        read_predictions(tmp_path / "found.json", {"a": SHAPE})
