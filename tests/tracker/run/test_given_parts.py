"""Segmenters and linkers of others: objects in Python, or names that an installed package registers."""

from importlib.metadata import entry_points

import cv2
import numpy as np
import pytest

import insitrack
from insitrack.io.detections import Detections, Masks
from insitrack.io.errors import InsitrackError
from insitrack.io.synth.source import SynthSource
from insitrack.tracker.cli import main

MOVIE = "synth:two_beam?frames=6&size=128&seed=5&n=12&overlay=0"
EXAMPLE = """
from insitrack.tests.tracker.run.test_given_parts import DarkSpots, LeftToRight


def spots(config):
    return DarkSpots(config.confidence)


def rows(config):
    return LeftToRight()


def broken(config):
    raise ValueError("no licence file")
"""
POINTS = """
[insitrack.segmenters]
spots = example_package:spots
broken = example_package:broken

[insitrack.linkers]
rows = example_package:rows
"""


class DarkSpots:
    """Every dark spot is a black dot."""

    class_names = ("black_dot",)

    def __init__(self, confidence=0.15):
        self.confidence = confidence

    def __call__(self, frame, field=None):
        dark = (cv2.GaussianBlur(frame.image, (0, 0), 2) < np.median(frame.image) - 12).astype(np.uint8)
        n, spots, stats, _ = cv2.connectedComponentsWithStats(dark)
        boxes = [(slice(y, y + h), slice(x, x + w)) for x, y, w, h, _ in stats[1:]]
        masks = Masks.from_crops(
            [spots[box] == k for k, box in enumerate(boxes, 1)],
            [(box[0].start, box[1].start) for box in boxes],
        )
        labels, scores = np.ones(n - 1, np.int64), np.full(n - 1, 0.9, np.float32)
        names = self.class_names
        return Detections(frame.index, frame.t_s, frame.shape, masks.boxes(), labels, scores, masks, names)

    def describe(self):
        return {"name": "dark spots", "confidence": self.confidence}


class LeftToRight:
    """The n-th detection from the left is the n-th track: nonsense, but easy to recognise."""

    def update(self, detections, measures, shift_px):
        return np.argsort(np.argsort(measures.x_px, kind="stable"), kind="stable") + 1


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of somebody else, as pip installs it."""
    folder = tmp_path / "site"
    facts = folder / "example_package-1.0.dist-info"
    facts.mkdir(parents=True)
    (folder / "example_package.py").write_text(EXAMPLE)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: example-package\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(folder)
    assert "spots" in entry_points(group="insitrack.segmenters").names
    return "example_package"


def from_the_left(run):
    """Whether every track has one rank from the left in all frames in which it was seen."""
    seen = run.tracks[run.tracks["observed"] == 1]
    ranks = seen.groupby("frame")["x_px"].rank()
    return (ranks.groupby(seen["track_id"]).nunique() == 1).all()


def test_what_a_given_segmenter_finds_is_what_is_followed_and_the_run_says_whose_it_is(tmp_path):
    run = insitrack.track(
        MOVIE, tmp_path / "run", segmenter=DarkSpots(), video=False, refine={"enabled": False}
    )
    frames = {item.index: item for item in SynthSource(MOVIE)}
    for index, rows in run.tracks.groupby("frame"):
        found = DarkSpots()(frames[index])
        assert set(rows.loc[rows["observed"] == 1, "area_px"]) <= set(found.masks.area_px().tolist())
    assert len(run.tracks) > 10
    model = run.manifest["model"]
    assert (model["name"], model["classes"]) == ("dark spots", ["black_dot"])
    assert model["object"].endswith("test_given_parts.DarkSpots")
    assert not (run.folder / "resume.state").exists()


def test_a_given_linker_decides_which_detections_are_one_defect(tmp_path):
    options = {"video": False, "refine": {"enabled": False}, "segmenter": DarkSpots()}
    theirs = insitrack.track(MOVIE, tmp_path / "theirs", linker=LeftToRight(), **options)
    ours = insitrack.track(MOVIE, tmp_path / "ours", **options)
    own = insitrack.track(MOVIE, tmp_path / "own", linker=insitrack.Linker(), **options)
    assert from_the_left(theirs)
    assert not from_the_left(ours)
    assert own.tracks.equals(ours.tracks)
    assert any("linked by LeftToRight" in line for line in theirs.manifest["warnings"])
    assert not any("linked by" in line for line in ours.manifest["warnings"])


def test_what_a_package_registers_is_used_by_its_name(package, tmp_path):
    out = str(tmp_path / "run")
    assert main([MOVIE, "--model", "spots", "--conf", "0.4", "--no-video", "--out", out]) == 0
    model = insitrack.open_run(out).manifest["model"]
    assert (model["name"], model["confidence"]) == ("dark spots", 0.4)
    linked = insitrack.track(
        MOVIE, tmp_path / "rows", model="spots", linker="rows", video=False, refine={"enabled": False}
    )
    assert from_the_left(linked)


class Wrong(DarkSpots):
    def __init__(self, change):
        super().__init__()
        self.change = change

    def __call__(self, frame, field=None):
        return self.change(super().__call__(frame))


class WrongIds:
    def __init__(self, ids):
        self.ids = ids

    def update(self, detections, measures, shift_px):
        return self.ids(len(detections))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"segmenter": lambda frame, field: None}, "has the attribute class_names"),
        ({"segmenter": DarkSpots}, "expected an object that is called with a frame"),
        ({"segmenter": type("Cats", (DarkSpots,), {"class_names": ("cat",)})()}, "'cat'.*expected some of"),
        ({"segmenter": Wrong(lambda found: [])}, "frame 0: returned list; expected Detections"),
        (
            {"segmenter": Wrong(lambda found: Detections.empty(0, 0.0, (9, 9), ("void",)))},
            r"'void'.*expected",
        ),
        ({"linker": object()}, "expected an object with update"),
        ({"linker": "nobody"}, "'nobody': not registered by any package"),
        ({"segmenter": DarkSpots(), "linker": WrongIds(lambda n: [1.5] * n)}, "a whole number for each of"),
        ({"segmenter": DarkSpots(), "linker": WrongIds(lambda n: [7] * n)}, "the id 7 to two detections"),
    ],
)
def test_parts_that_do_not_keep_their_promise_are_told_in_one_line(given, words, tmp_path):
    with pytest.raises(InsitrackError, match=words) as refused:
        insitrack.track(MOVIE, tmp_path / "run", video=False, **given)
    assert "\n" not in str(refused.value)


def test_a_package_that_fails_is_named_in_one_line(package, tmp_path, capsys):
    assert main([MOVIE, "--model", "broken", "--out", str(tmp_path / "run")]) == 2
    assert (
        "example_package:broken of another package failed: ValueError: no licence file"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "run").exists()
