"""Labels of a person: whole at any time, taken up where they were, and honest about where outlines come from."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.detections import Masks
from insitrack.io.errors import InsitrackError, OutputError, SettingsError, SourceError
from insitrack.io.tables.outlines import rle
from insitrack.segment.labels.reader import read_labelled
from insitrack.tracker.labelling.crops import Crop, new_names, read_crops, write_crops, write_image
from insitrack.tracker.labelling.outlines import Outline, checked
from insitrack.tracker.labelling.store import LabelStore

SHAPE = (60, 80)


def square(number, x, y, side=8, state="proposed", name="loop", chance=0.6):
    (line,) = rle.encode(Masks.from_crops([np.ones((side, side), bool)], [(y, x)]))
    return Outline(number, name, state, x, y, side, side, line, chance)


def crop(name, frame):
    return Crop(name, "movie.mp4", "abc", frame, float(frame), 0, 0, SHAPE[1], SHAPE[0], 0.39, 1.0)


START = {"m_000003": [square(1, 5, 5), square(2, 30, 20)], "m_000009": [square(1, 50, 40)]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    crops = [crop("m_000003", 3), crop("m_000009", 9)]
    rng = np.random.default_rng(0)
    for one in crops:
        write_image(tmp_path, one.name, rng.integers(0, 65536, SHAPE).astype(np.uint16))
    write_crops(tmp_path, crops)
    return tmp_path


def store(folder: Path, name: str = "") -> LabelStore:
    path = folder / (f"labels_{name}.json" if name else "labels.json")
    return LabelStore(path, read_crops(folder), START, {"m_000003": {"name": "loops", "sha256": "0"}}, name)


def plain(*outlines):
    return [one.plain() for one in outlines]


def test_only_crops_that_are_done_are_images_and_only_what_was_kept_is_a_label(folder):
    first, second = START["m_000003"]
    labels = store(folder)
    labels.save("m_000003", plain(replace(first, state="accepted"), second), False, 0)
    assert json.loads(labels.path.read_text())["images"] == []
    drawn = square(3, 60, 45, 10, "drawn", "void", None)
    changed = replace(first, defect_class="loop_111", state="changed")
    labels.save("m_000003", plain(changed, replace(second, state="refused"), drawn), True, 1)
    data = json.loads(labels.path.read_text())
    assert [one["file_name"] for one in data["images"]] == ["images/m_000003.png"]
    assert data["images"][0]["source"] == {
        "file": "movie.mp4", "sha256": "abc", "frame": 3, "t_s": 3.0, "x_px": 0, "y_px": 0
    }  # fmt: skip
    assert data["images"][0]["starting_outlines"] == {"name": "loops", "sha256": "0"}
    assert [(one["state"], one["score"]) for one in data["annotations"]] == [
        ("changed", 0.6),
        ("drawn", None),
    ]
    read = read_labelled(folder)
    (picture,) = read
    assert (read.kind, picture.group, picture.image.dtype) == ("COCO", "m", np.uint16)
    assert picture.truth.names() == ["loop_111", "void"] or list(picture.truth.names()) == [
        "loop_111",
        "void",
    ]
    assert picture.truth.masks.area_px().tolist() == [64, 100]


def test_labels_are_taken_up_where_they_were_and_people_do_not_touch_each_other(folder):
    first, second = START["m_000003"]
    store(folder).save("m_000003", plain(replace(first, state="accepted"), second), False, 0)
    anna = store(folder, "anna")
    assert anna.sheets["m_000003"].outlines == list(START["m_000003"])
    anna.save("m_000009", plain(replace(START["m_000009"][0], state="refused")), True, 0)
    again = store(folder)
    assert [one.state for one in again.sheets["m_000003"].outlines] == ["accepted", "proposed"]
    assert (again.n_done, store(folder, "anna").n_done) == (0, 1)
    assert json.loads((folder / "labels_anna.json").read_text())["info"]["contributor"] == "anna"


def test_a_crop_with_nothing_in_it_is_a_label_too(folder):
    store(folder).save("m_000009", plain(replace(START["m_000009"][0], state="refused")), True, 0)
    (picture,) = read_labelled(folder)
    assert len(picture.truth) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "other"}, "no such image"),
        ({"revision": 4}, "another window"),
        ({"done": True}, "2 proposals wait"),
        ({"outlines": plain(START["m_000003"][0])}, "proposal 2 is missing"),
        (
            {"outlines": plain(replace(START["m_000003"][0], state="drawn"), START["m_000003"][1])},
            "not drawn",
        ),
        (
            {
                "outlines": plain(
                    replace(START["m_000003"][0], state="accepted", x_px=6), START["m_000003"][1]
                )
            },
            "not accepted",
        ),
        (
            {"outlines": [*plain(*START["m_000003"]), *plain(square(9, 75, 5, 8, "drawn"))]},
            "outside its image",
        ),
        ({"outlines": [*plain(*START["m_000003"]), *plain(square(2, 5, 5, 8, "drawn"))]}, "one number"),
        ({"outlines": [{**START["m_000003"][0].plain(), "counts": "no"}]}, "run lengths"),
        ({"outlines": [{**START["m_000003"][0].plain(), "counts": "P2"}]}, "empty"),
        ({"outlines": [{**START["m_000003"][0].plain(), "defect_class": "crack"}]}, "'crack'"),
        ({"outlines": "all"}, "expected a list"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(folder, change, words):
    labels = store(folder)
    asked = {
        "name": "m_000003",
        "outlines": plain(*START["m_000003"]),
        "done": False,
        "revision": 0,
        **change,
    }
    with pytest.raises(SettingsError, match=words):
        labels.save(**asked)
    assert not labels.path.exists()
    assert labels.sheets["m_000003"].revision == 0


def test_a_full_disk_leaves_the_last_labels(folder, monkeypatch):
    labels = store(folder)
    labels.save("m_000003", plain(*START["m_000003"]), False, 0)
    before = labels.path.read_bytes()

    def full(path, data):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        labels.save("m_000003", plain(*START["m_000003"]), False, 1)
    monkeypatch.undo()
    assert labels.path.read_bytes() == before
    assert labels.sheets["m_000003"].revision == 1


def test_two_programs_on_one_file_do_not_overwrite_each_other(folder):
    first, second = store(folder), store(folder)
    first.save("m_000003", plain(*START["m_000003"]), False, 0)
    with pytest.raises(OutputError, match="another program"):
        second.save("m_000009", plain(*START["m_000009"]), False, 0)
    assert store(folder).sheets["m_000003"].revision == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(list(Outline.__slots__)), inner, max_size=9)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(json_values)
def test_whatever_a_page_sends_is_taken_or_refused_in_one_line(value):
    words = ""
    try:
        checked(value, SHAPE)
    except SettingsError as error:
        words = str(error)
    assert "\n" not in words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("{}", "not written by track label"),
        ('{"insitrack": {"sheets": {"other": {}}}}', "not among the crops"),
        ('{"insitrack": {"sheets": {"m_000003": {"outlines": 3}}}}', "expected a list"),
        ('{"insitrack": {}}', "no sheets"),
    ],
)
def test_a_damaged_file_is_one_line_and_stays_as_it_is(folder, text, words):
    (folder / "labels.json").write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=words) as caught:
        store(folder)
    assert "\n" not in str(caught.value)
    assert (folder / "labels.json").read_text(encoding="utf-8") == text


def test_crops_are_read_as_they_were_written_and_their_images_without_loss(folder):
    crops = read_crops(folder)
    assert [one.frame for one in crops] == [3, 9]
    image = cv2.imread(str(folder / "images" / "m_000003.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(image, np.random.default_rng(0).integers(0, 65536, SHAPE).astype(np.uint16))
    assert new_names("m", [3, 3], ["m_000003"]) == ["m_000003_2", "m_000003_3"]
    (folder / "images" / "m_000009.png").unlink()
    with pytest.raises(SourceError, match="no such image"):
        read_crops(folder)
    (folder / "crops.csv").write_text("name,frame\na,b\n", encoding="utf-8")
    with pytest.raises(InsitrackError, match="row 1 cannot be read"):
        read_crops(folder)
