"""Scale and polarity: used where given, else detected on the first frames; doubt changes nothing."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.arrays import BoolImage
from insitrack.io.detections import Detections, Masks
from insitrack.io.errors import SettingsError
from insitrack.io.frames import Frame
from insitrack.segment.base import SegmentConfig
from insitrack.segment.models import load_segmenter
from insitrack.segment.prepare.find_view import SCALES, ViewFinder, parts, trials
from insitrack.segment.prepare.view import View


def found(scores: list[float], masks: Masks | None = None, shape: tuple[int, int] = (64, 64)) -> Detections:
    outlines = masks or Masks.from_crops(
        [np.ones((4, 4), bool)] * len(scores), [(8, 8 * i) for i in range(len(scores))]
    )
    return Detections(
        0,
        0.0,
        shape,
        outlines.boxes(),
        np.ones(len(scores), np.int64),
        np.array(scores, np.float32),
        outlines,
    )


def blobs(
    bright: bool = False,
    size: int = 320,
    spacing: int = 32,
    radius: float = 6.0,
    noise: float = 4.0,
    seed: int = 0,
) -> Frame:
    """Noisy image with round blobs on a grid."""
    image = np.full((size, size), 110.0, np.float32)
    for y in range(spacing // 2, size, spacing):
        for x in range(spacing // 2, size, spacing):
            cv2.circle(image, (x, y), round(radius), 200 if bright else 20, -1, cv2.LINE_AA)
    noisy = cv2.GaussianBlur(image, (0, 0), radius / 5) + np.random.default_rng(seed).normal(
        0, noise, image.shape
    )
    return Frame(seed, float(seed), np.clip(noisy, 0, 255).astype(np.uint8))


@settings(max_examples=30, deadline=None)
@given(st.integers(40, 400), st.integers(40, 400), st.sets(st.sampled_from(SCALES), min_size=1))
def test_every_scale_is_shown_whole_and_once(height: int, width: int, scales: set[float]) -> None:
    grey = np.random.default_rng(0).integers(0, 255, (height, width)).astype(np.uint8)
    canvas = View(max(scales)).shape((height, width))
    shown = [(trial, at) for trial in trials(grey, tuple(scales), canvas) for at in trial.placed]
    assert sorted(at.scale for _, at in shown) == sorted(scales)
    for trial, at in shown:
        assert trial.canvas.shape == canvas
        part = trial.canvas[at.y : at.y + at.height, at.x : at.x + at.width]
        assert np.array_equal(part, View(at.scale).resampled(grey))


@given(
    st.tuples(st.integers(2, 5000), st.integers(2, 5000)),
    st.tuples(st.integers(2, 5000), st.integers(2, 5000)),
    st.integers(1, 4),
)
def test_parts_lie_in_the_frame_and_apart(shape: tuple[int, int], most: tuple[int, int], wanted: int) -> None:
    places = parts(shape, most, wanted)
    assert 1 <= len(places) <= wanted
    for rows, columns in places:
        assert 0 <= rows.start < rows.stop <= shape[0]
        assert rows.stop - rows.start <= most[0]
        assert 0 <= columns.start < columns.stop <= shape[1]
        assert columns.stop - columns.start <= most[1]
    assert len({(rows.start, columns.start) for rows, columns in places}) == len(places)
    if shape[0] <= most[0] and shape[1] <= most[1]:
        assert places == [(slice(0, shape[0]), slice(0, shape[1]))]


@pytest.mark.parametrize(
    ("surest", "still", "expected"),
    [
        ({}, False, 0.71),
        ({0.5: 0.8}, False, 0.5),
        ({2.0: 0.7}, False, 0.71),
        ({1.41: 0.7, 2.0: 0.7}, True, 1.41),
    ],
)
def test_the_scale_of_the_best_supported_finds_wins_and_an_enlarged_one_must_pay(
    surest: dict[float, float], still: bool, expected: float
) -> None:
    """Five finds at every scale, at 0.35 and less with half the score."""
    finder = ViewFinder("auto", "dark", still=still)
    usual = {scale: 0.6 if scale > 0.35 else 0.3 for scale in SCALES} | {0.5: 0.4}
    finder.weigh(
        np.zeros((64, 64), np.uint8),
        {scale: found([surest.get(scale, usual[scale])] * 5) for scale in SCALES},
    )
    assert finder.view == View(expected)


def test_sure_finds_of_one_scale_only_are_no_reason_to_take_it() -> None:
    """What a network sees in noise when it is enlarged is not there at the next scale."""
    one, other = (
        Masks.from_crops([np.ones((6, 6), bool)] * 9, [(4 + 20 * i, column) for i in range(9)])
        for column in (4, 120)
    )
    finder = ViewFinder("auto", "dark", still=True)
    shape = (200, 200)
    nothing = found([], Masks.from_crops([], []), shape)
    usual = found([0.5] * 9, one, shape)
    finder.weigh(
        np.zeros(shape, np.uint8),
        {2.0: found([0.95] * 9, other, shape), 1.41: usual, 1.0: usual, 0.71: nothing, 0.5: nothing}
        | dict.fromkeys((0.35, 0.25), nothing),
    )
    assert finder.view == View(1.0)


def test_nothing_found_leaves_scale_and_polarity_alone() -> None:
    finder = ViewFinder()
    finder.weigh(np.zeros((64, 64), np.uint8), {scale: found([]) for scale in SCALES})
    assert finder.view == View(1.0, inverted=False)
    assert finder.describe()["bright_share"] is None


@pytest.mark.parametrize(
    ("share", "inverted"), [(0.0, False), (0.5, False), (0.7, False), (0.9, True), (1.0, True)]
)
def test_only_a_large_majority_of_bright_finds_turns_the_picture_round(share: float, inverted: bool) -> None:
    grey = np.full((40, 220), 100, np.uint8)
    masks = Masks.from_crops([np.ones((6, 6), bool)] * 10, [(16, 8 + 20 * i) for i in range(10)])
    for i in range(10):
        grey[16:22, 8 + 20 * i : 14 + 20 * i] = 180 if i < 10 * share else 20
    finder = ViewFinder(1.0, "auto")
    finder.weigh(grey, {1.0: found([0.6] * 10, masks, (40, 220))})
    assert finder.view.inverted == inverted
    assert finder.describe()["bright_share"] == pytest.approx(share)


def test_one_bright_find_proves_nothing() -> None:
    grey = np.zeros((64, 64), np.uint8)
    grey[8:12, :4] = 200
    finder = ViewFinder(1.0, "auto")
    finder.weigh(grey, {1.0: found([0.9])})
    assert not finder.view.inverted


def test_what_is_told_is_not_tried() -> None:
    assert ViewFinder(0.5, "bright").told
    assert not ViewFinder("auto", "dark").told
    assert not ViewFinder(1.0, "auto").told
    segmenter = load_segmenter(config=SegmentConfig(scale=0.8, contrast="bright"))
    segmenter(blobs())
    view = segmenter.describe()["view"]
    assert (view["scale"], view["contrast"], view["scale_origin"], view["contrast_origin"]) == (
        0.8,
        "bright",
        "settings",
        "settings",
    )


def test_bright_defects_are_found_out_and_the_picture_is_turned_round() -> None:
    segmenter = load_segmenter()
    for bright in (True, False):
        n = len(segmenter(blobs(bright)))
        assert 80 <= n <= 120
        view = segmenter.describe()["view"]
        assert view["contrast"] == ("bright" if bright else "dark")
        assert view["contrast_origin"].startswith("detected")


def test_a_picture_magnified_beyond_its_resolution_is_shrunk() -> None:
    segmenter = load_segmenter(config=SegmentConfig(contrast="dark"))
    segmenter(blobs(size=480, spacing=120, radius=30.0, noise=6.0))
    large = segmenter.describe()["view"]["scale"]
    assert large < 0.5
    segmenter(blobs())
    assert segmenter.describe()["view"]["scale"] > large


def test_each_micrograph_is_shown_at_a_scale_of_its_own() -> None:
    segmenter = load_segmenter(config=SegmentConfig(scale="each", contrast="dark"))
    small, large = blobs(), blobs(size=480, spacing=120, radius=30.0, noise=6.0)
    assert len(list(segmenter.stream((frame, None, None) for frame in (small, large, small)))) == 3
    shown = segmenter.describe()["view"]["micrographs_at_scale"]
    assert sorted(shown.values()) == [1, 2]


@pytest.mark.parametrize("scale", [0.4, 0.5, 0.71, 1.6])
def test_sizes_and_places_are_those_of_the_frame_at_every_scale(scale: float) -> None:
    frame = blobs(size=384, spacing=64, radius=12.0)
    detections = load_segmenter(config=SegmentConfig(scale=scale, contrast="dark"))(frame)
    assert 34 <= len(detections) <= 38
    size = np.median(np.sqrt(4 * detections.masks.area_px() / np.pi))
    assert size == pytest.approx(25, abs=2.5)
    centres = (detections.boxes[:, :2] + detections.boxes[:, 2:]) / 2
    off = (centres - 32.5) / 64
    assert np.abs((off - off.round()) * 64).max() <= 2.5


def test_outlines_have_no_staircase_where_the_network_saw_less() -> None:
    frame = blobs(size=512, spacing=128, radius=30.0)
    detections = load_segmenter(config=SegmentConfig(scale=0.33, contrast="dark"))(frame)
    assert len(detections) >= 14
    for i in range(len(detections)):
        outline = max(
            cv2.findContours(
                detections.masks.crop(i).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
            )[0],
            key=len,
        )
        hull = cv2.convexHull(outline)
        assert cv2.contourArea(outline) > 0.93 * cv2.contourArea(hull)  # steps of 3 px would bite into it


def test_a_stream_decides_once_and_waits_for_frames_that_show_something() -> None:
    segmenter = load_segmenter()
    black = [Frame(i, float(i), np.zeros((320, 320), np.uint8)) for i in range(5)]
    shown = [blobs(bright=True, seed=i) for i in range(5, 9)]
    asked: list[int] = []

    def items() -> Iterator[tuple[Frame | None, BoolImage | None, int]]:
        for i, frame in enumerate([*black, *shown]):
            asked.append(i)
            yield (None if i == 1 else frame), None, i

    counts = {
        tag: None if detections is None else len(detections) for detections, tag in segmenter.stream(items())
    }
    assert list(counts) == asked == list(range(9))
    assert counts[1] is None
    assert all(counts[i] == 0 for i in (0, 2, 3, 4))
    assert all(80 <= (counts[i] or 0) <= 120 for i in range(5, 9))
    assert segmenter.describe()["view"]["contrast"] == "bright"


def test_an_empty_stream_gives_nothing() -> None:
    assert list(load_segmenter().stream([])) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": "half"},
        {"scale": 0.0},
        {"scale": 50.0},
        {"contrast": "light"},
        {"tile_px": 64},
        {"tile_px": -1},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="segment"):
        SegmentConfig(**wrong)  # type: ignore[arg-type]
