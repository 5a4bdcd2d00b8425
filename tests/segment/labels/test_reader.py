"""Every form of labels gives the same defects back; what is wrong is said in one line."""

import base64
import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.errors import InsitrackError, SettingsError, SourceError
from insitrack.segment.labels.classes import parse_classes
from insitrack.segment.labels.fill import filled
from insitrack.segment.labels.outlines import Drawn, ellipse_points
from insitrack.segment.labels.reader import read_labelled
from insitrack.segment.labels.yolo import label_lines, polygons
from insitrack.tests.support.label_files import coco_labels, coco_polygon, packed, via_regions

SHAPE = (60, 90)
REAL = Path(__file__).resolve().parents[4] / "shared" / "data"


def discs(*discs: tuple[float, float, float], shape: tuple[int, int] = SHAPE) -> Detections:
    """Loops as discs of centre (x, y) and radius."""
    truth, _ = filled([Drawn("loop", (ellipse_points((x, y), (r, r)),)) for x, y, r in discs], shape)
    return truth


TRUTH = discs((20.3, 15.6, 6.2), (60.0, 40.0, 11.0), (80.0, 10.0, 4.0))


def picture(folder: Path, name: str = "a_01.png", shape: tuple[int, int] = SHAPE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / name), np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8))
    return folder / name


def outlines() -> list[list[list[float]]]:
    return [points.astype(float).tolist() for points in polygons(TRUTH.masks)]


def coco(folder: Path, encode: Callable[[int], object]) -> None:
    picture(folder)
    data = coco_labels("a_01.png", SHAPE, [encode(i) for i in range(3)])
    (folder / "labels.json").write_text(json.dumps(data), encoding="utf-8")


def coco_polygons(folder: Path) -> None:
    coco(folder, lambda i: coco_polygon(outlines()[i]))


def coco_counts(folder: Path) -> None:
    coco(folder, lambda i: TRUTH.masks.rle(i, SHAPE))


def coco_text(folder: Path) -> None:
    coco(folder, lambda i: {"size": list(SHAPE), "counts": packed(TRUTH.masks.rle(i, SHAPE)["counts"])})


def regions() -> list[dict[str, object]]:
    return via_regions(outlines(), **{"class": "loop", "note": "x"})


def via_json(folder: Path) -> None:
    picture(folder)
    data = {
        "_via_settings": {},
        "_via_img_metadata": {"a_01.png123": {"filename": "a_01.png", "size": 123, "regions": regions()}},
    }
    (folder / "via.json").write_text(json.dumps(data), encoding="utf-8")


def via_csv(folder: Path) -> None:
    picture(folder)
    with (folder / "via.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(
            [
                "filename",
                "file_size",
                "file_attributes",
                "region_count",
                "region_id",
                "region_shape_attributes",
                "region_attributes",
            ]
        )
        for i, region in enumerate(regions()):
            rows.writerow(
                [
                    "a_01.png",
                    123,
                    "{}",
                    3,
                    i,
                    json.dumps(region["shape_attributes"]),
                    json.dumps(region["region_attributes"]),
                ]
            )


def labelme(folder: Path) -> None:
    picture(folder)
    shapes = [
        {"label": "loop", "points": points, "shape_type": "polygon", "group_id": None}
        for points in outlines()[:2]
    ]
    crop, (y, x) = TRUTH.masks.crop(2), TRUTH.masks.corners[2].tolist()
    png = base64.b64encode(cv2.imencode(".png", crop.astype(np.uint8) * 255)[1]).decode("ascii")
    shapes.append(
        {
            "label": "loop",
            "points": [[x, y], [x + crop.shape[1] - 1, y + crop.shape[0] - 1]],
            "shape_type": "mask",
            "mask": png,
        }
    )
    data = {"shapes": shapes, "imagePath": "..\\x\\a_01.png", "imageHeight": SHAPE[0], "imageWidth": SHAPE[1]}
    (folder / "a_01.json").write_text(json.dumps(data), encoding="utf-8")


def yolo(folder: Path) -> None:
    picture(folder / "images")
    (folder / "labels").mkdir()
    (folder / "labels" / "a_01.txt").write_text(
        "\n".join(label_lines(TRUTH, ("void", "loop"))), encoding="utf-8"
    )
    (folder / "data.yaml").write_text("names: [void, loop]\n", encoding="utf-8")


def imagej(folder: Path) -> None:
    from roifile import ImagejRoi, roiwrite

    picture(folder)
    found = [
        ImagejRoi.frompoints(np.array(points, np.float32), name=f"loop-{i}")
        for i, points in enumerate(outlines())
    ]
    roiwrite(folder / "RoiSet.zip", found)


def label_image(folder: Path) -> None:
    picture(folder / "imgs")
    (folder / "masks").mkdir()
    image = (TRUTH.masks.dense(SHAPE) * np.array([1, 2, 5])[:, None, None]).max(axis=0)
    cv2.imwrite(str(folder / "masks" / "a_01.png"), image.astype(np.uint16))


def black_and_white(folder: Path) -> None:
    picture(folder)
    cv2.imwrite(str(folder / "a_01_mask.png"), TRUTH.masks.dense(SHAPE).any(axis=0).astype(np.uint8) * 255)


def one_image_each(folder: Path) -> None:
    picture(folder / "images")
    (folder / "masks" / "a_01").mkdir(parents=True)
    for i, mask in enumerate(TRUTH.masks.dense(SHAPE)):
        cv2.imwrite(str(folder / "masks" / "a_01" / f"{i}.png"), mask.astype(np.uint8) * 255)


FORMS = [
    coco_polygons,
    coco_counts,
    coco_text,
    via_json,
    via_csv,
    labelme,
    yolo,
    imagej,
    label_image,
    black_and_white,
    one_image_each,
]


@pytest.mark.parametrize("write", FORMS, ids=lambda write: write.__name__)
def test_every_form_gives_the_outlined_defects_back(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "set")
    unnamed = write in (label_image, black_and_white, one_image_each)
    labels = read_labelled(tmp_path / "set", {"defect": "loop"} if unnamed else None)
    (found,) = list(labels)
    assert (found.name, found.image.shape) == ("a_01", SHAPE)
    assert found.truth.names() == ["loop"] * 3
    assert found.outlined.all()
    iou = TRUTH.masks.iou(found.truth.masks)
    assert (iou.max(axis=1) > 0.93).all()


def boxes_coco(folder: Path) -> None:
    picture(folder)
    annotations = [{"image_id": 1, "category_id": 1, "bbox": [10, 5, 20, 8]}]
    data = {
        "images": [{"id": 1, "file_name": "a_01.png"}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "loop"}],
    }
    (folder / "boxes.json").write_text(json.dumps(data), encoding="utf-8")


def boxes_rows(folder: Path) -> None:
    picture(folder / "images")
    (folder / "boxes").mkdir()
    (folder / "boxes" / "a_01.txt").write_text("5 10 13 30\n", encoding="utf-8")


def boxes_yolo(folder: Path) -> None:
    picture(folder)
    (folder / "a_01.txt").write_text(f"0 {20 / 90} {9 / 60} {20 / 90} {8 / 60}\n", encoding="utf-8")
    (folder / "classes.txt").write_text("loop\n", encoding="utf-8")


def boxes_via(folder: Path) -> None:
    picture(folder)
    shape = {"name": "rect", "x": 10, "y": 5, "width": 20, "height": 8}
    entry = {
        "filename": "a_01.png",
        "size": 1,
        "regions": {"0": {"shape_attributes": shape, "region_attributes": {"kind": {"loop": True}}}},
    }
    (folder / "via.json").write_text(json.dumps({"a_01.png1": entry}), encoding="utf-8")


@pytest.mark.parametrize(
    "write", [boxes_coco, boxes_rows, boxes_yolo, boxes_via], ids=lambda write: write.__name__
)
def test_a_box_alone_is_known_to_be_no_outline(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path)
    (found,) = list(read_labelled(tmp_path, {"defect": "loop"} if write is boxes_rows else None))
    assert not found.outlined.any()
    assert found.truth.boxes.tolist() == [[10, 5, 30, 13]]


@settings(max_examples=10, deadline=None)
@given(mask=st.lists(st.booleans(), min_size=48, max_size=48))
def test_run_lengths_of_both_forms_give_every_pixel_back(
    mask: list[bool], tmp_path_factory: pytest.TempPathFactory
) -> None:
    pixels = np.array(mask).reshape(6, 8)
    folder = tmp_path_factory.mktemp("rle")
    picture(folder, shape=(6, 8))
    counts = Masks.from_dense(pixels[None]).rle(0, (6, 8))
    outline = [counts, {"size": [6, 8], "counts": packed(counts["counts"])}]
    annotations = [{"image_id": 1, "category_id": 1, "segmentation": one} for one in outline]
    data = {
        "images": [{"id": 1, "file_name": "a_01.png"}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "void"}],
    }
    (folder / "a.json").write_text(json.dumps(data), encoding="utf-8")
    (found,) = list(read_labelled(folder))
    dense = found.truth.masks.dense((6, 8))
    assert len(dense) == (2 if pixels.any() else 0)
    for one in dense:
        np.testing.assert_array_equal(one, pixels)


def test_compressed_run_lengths_are_those_of_pycocotools() -> None:
    """Texts that pycocotools 2.0.11 wrote for these masks."""
    pixels = np.zeros((6, 8), bool)
    pixels[1:5, 2:7], pixels[2, 3], pixels[0, 0] = True, False, True
    assert packed(Masks.from_dense(pixels[None]).rle(0, (6, 8))["counts"]) == "01<3FMO11200005"
    large = np.zeros((90, 120), bool)
    large[10:80, 20:100], large[30:33] = True, False
    text = packed(Masks.from_dense(large[None]).rle(0, (90, 120))["counts"])
    assert text == "bh1d03k0a0UO_O" + "k0a0UO_O" * 78 + "k0_h1"


def test_regions_of_a_stack_belong_to_their_frame(tmp_path: Path) -> None:
    import tifffile
    from roifile import ImagejRoi, roiwrite

    tifffile.imwrite(
        tmp_path / "movie.tif",
        np.random.default_rng(0).integers(0, 255, (4, *SHAPE)).astype(np.uint8),
        imagej=True,
        metadata={"axes": "TYX"},
    )
    found = [
        ImagejRoi.frompoints(np.array(points, np.float32), name=f"void-{i}", position=i + 1)
        for i, points in enumerate(outlines())
    ]
    roiwrite(tmp_path / "movie_rois.zip", found)
    labels = read_labelled(tmp_path)
    assert labels.names == ("movie_0001", "movie_0002", "movie_0003")
    assert set(labels.groups) == {"movie"}
    assert [one.truth.names() for one in labels] == [["void"]] * 3


def test_classes_are_mapped_left_out_or_asked_for(tmp_path: Path) -> None:
    picture(tmp_path)
    (tmp_path / "a_01.txt").write_text("0 .1 .1 .3 .1 .3 .3\n1 .5 .5 .8 .5 .8 .8\n", encoding="utf-8")
    (tmp_path / "classes.txt").write_text("Black Dot\nfaulted\n", encoding="utf-8")
    with pytest.raises(
        SettingsError,
        match=r"unknown class 'faulted'; those found: Black Dot, faulted.*--classes 'faulted=loop'",
    ):
        read_labelled(tmp_path)
    assert [one.truth.names() for one in read_labelled(tmp_path, parse_classes("faulted=loop_111"))] == [
        ["black_dot", "loop_111"]
    ]
    assert [one.truth.names() for one in read_labelled(tmp_path, parse_classes("*=ignore"))] == [
        ["black_dot"]
    ]
    with pytest.raises(SettingsError, match="no label has that class"):
        read_labelled(tmp_path, {"perfect": "loop", "faulted": "loop"})
    with pytest.raises(SettingsError, match="expected their_name=CLASS"):
        parse_classes("faulted=frank")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, ["no labels", "YOLO"]),
        ({"a_01.txt": "0 .1 .2 .3\n0 0.1 0.2 0.3 0.4 0.5\n"}, ["a_01.txt", "line 2", "expected rows"]),
        ({"a_01.txt": "loop 1 2 3 4\n"}, ["a_01.txt", "line 1"]),
        ({"a_01.txt": "0 100 20 300 20 300 50\n"}, ["line 1", "YOLO"]),
        ({"labels/b.txt": "0 .1 .1 .2 .2\n"}, ["no image b"]),
        ({"x.json": "{broken"}, ["x.json", "not JSON"]),
        ({"x.json": '{"images": [{"id": 1}], "annotations": []}'}, ["x.json", "COCO"]),
        (
            {"x.json": '{"images": [{"id": 1, "file_name": "b.png"}], "annotations": []}'},
            ["no image b.png"],
        ),
        (
            {
                "x.json": (
                    '{"images": [{"id": 1, "file_name": "a_01.png", "height": 9, "width": 9}],'
                    ' "annotations": []}'
                )
            },
            ["9 x 9", "90 x 60"],
        ),
        ({"a_01.json": '{"shapes": [{"points": []}], "imagePath": "a_01.png"}'}, ["a_01.json", "shape 0"]),
        ({"v.csv": "filename,region_shape_attributes\na_01.png,{oops\n"}, ["v.csv", "line 2"]),
        ({"a_01.roi": "no region"}, ["a_01.roi", "ImageJ"]),
        ({"data.yaml": "path: here\n", "a_01.txt": ""}, ["data.yaml", "names"]),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_what_is_wrong_with_labels_is_one_line_that_names_the_file(
    files: dict[str, str], words: list[str], tmp_path: Path
) -> None:
    picture(tmp_path)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InsitrackError) as caught:
        list(
            read_labelled(
                tmp_path,
                {"0": "loop"} if "0 .1" in "".join(files.values()) and "labels/b.txt" not in files else None,
            )
        )
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)


def test_a_picture_is_labelled_once(tmp_path: Path) -> None:
    picture(tmp_path / "images")
    for name in ("first", "second"):
        (tmp_path / name / "labels").mkdir(parents=True)
        (tmp_path / name / "labels" / "a_01.txt").write_text("", encoding="utf-8")
    with pytest.raises(SourceError, match=r"labelled in .*first.* and in .*second"):
        read_labelled(tmp_path)
    assert [len(one.truth) for one in read_labelled(tmp_path / "first")] == [0]


def test_classes_of_ours_need_no_mapping() -> None:
    assert parse_classes(",".join(f"{name}={name}" for name in DEFECT_CLASSES)) == dict(
        zip(DEFECT_CLASSES, DEFECT_CLASSES, strict=True)
    )


@pytest.mark.skipif(not REAL.is_dir(), reason="the labelled real images lie beside the repository, not in it")
def test_real_labels_and_real_masks_of_the_same_pictures_agree() -> None:
    drawn = list(read_labelled(REAL / "creme-316L", {"hcloop": "loop"}))
    masks = list(read_labelled(REAL / "creme-316L" / "masks1", {"defect": "loop"}))
    assert [one.name for one in drawn] == [str(i) for i in range(1, 17)]
    assert sum(len(one.truth) for one in drawn) == 186
    shares = [one.truth.masks.iou(two.truth.masks).max(axis=1) for one, two in zip(drawn, masks, strict=True)]
    assert np.median(np.concatenate(shares)) > 0.85
