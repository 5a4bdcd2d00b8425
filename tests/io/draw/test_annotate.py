"""Annotated frames: outlines where the masks are, nothing hidden, no flicker, a movie of every frame."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.draw.annotate import (
    AnnotationStyle,
    Annotator,
    draw,
    outlines,
)
from insitrack.io.draw.canvas import Contrast
from insitrack.io.draw.footer import round_length, time_text
from insitrack.io.draw.palette import CLASS_COLOURS, class_colours
from insitrack.io.draw.sinks import AnnotatedMovieSink, PictureSink
from insitrack.io.errors import OutputError, SettingsError
from insitrack.io.files.movie import MovieSource
from insitrack.io.frames import Frame, MissingFrame
from insitrack.io.results import Measures, SeriesRow, TrackedFrame

NO_IDS = AnnotationStyle(max_ids=0)
BLOB = np.array([[0, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1], [0, 1, 1, 0]], bool)


def tracked(
    image: np.ndarray,
    masks: Masks | None = None,
    *,
    label: int = 2,
    seen: bool = True,
    index: int = 0,
    dose: float = math.nan,
) -> TrackedFrame:
    masks = masks or Masks.empty()
    n = len(masks)
    t_s = 0.5 * index
    numbers = np.zeros(n)
    measures = Measures(*[numbers] * 6, numbers.astype(bool), numbers, numbers)
    labels = np.full(n, label, np.int64)
    detections = Detections(index, t_s, image.shape, masks.boxes(), labels, np.ones(n, np.float32), masks)
    values = dict.fromkeys(SeriesRow.__slots__, math.nan) | {
        "frame": index,
        "t_s": t_s,
        "defect_class": "all",
        "n": float(n),
        "dose_dpa": dose,
    }
    return TrackedFrame(
        Frame(index, t_s, image),
        detections,
        measures,
        np.arange(n),
        np.full(n, seen),
        series=(SeriesRow(**values),),
    )


def missing(status: str, index: int = 1) -> TrackedFrame:
    nothing = tracked(np.zeros((1, 1), np.uint8))
    return TrackedFrame(
        MissingFrame(index, 1.0, status),
        nothing.detections,
        nothing.measures,
        nothing.track_ids,
        nothing.observed,
    )


def noise(height: int = 120, width: int = 200, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(40, 200, (height, width)).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.floats(0.2, 0.95))
def test_an_outline_is_exactly_the_mask_pixels_that_touch_the_outside(
    seed: int, height: int, width: int, share: float
) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    x, y, _, _ = outlines(Masks.from_crops([mask], [(0, 0)]))
    background, _ = ndimage.label(~np.pad(mask, 1))
    outside = background == background[0, 0]
    border = mask & ndimage.binary_dilation(outside)[1:-1, 1:-1]
    drawn = np.zeros_like(mask)
    drawn[y, x] = True
    assert np.array_equal(drawn, border)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 116), st.integers(0, 196), st.sampled_from([np.uint8, np.uint16]))
def test_nothing_of_the_specimen_is_hidden_but_the_outline(y: int, x: int, dtype: type) -> None:
    image = noise().astype(dtype)
    masks = Masks.from_crops([BLOB], [(y, x)])
    plain = Annotator(NO_IDS, nm_per_px=0.5).paint(tracked(image))
    marked = Annotator(NO_IDS, nm_per_px=0.5).paint(tracked(image, masks))
    assert plain is not None
    assert marked is not None
    changed = np.argwhere(plain.luma[:120, :200] != marked.luma[:120, :200])
    allowed = {(py, px) for px, py, *_ in zip(*outlines(masks), strict=True)}
    assert {(int(py), int(px)) for py, px in changed} <= allowed
    assert np.array_equal(plain.luma[:120, :200], Contrast().stretch(image))


@pytest.mark.parametrize("name", DEFECT_CLASSES)
def test_an_outline_has_the_colour_of_its_class(name: str) -> None:
    masks = Masks.from_crops([np.ones((20, 20), bool)], [(40, 60)])
    picture = draw(tracked(noise(), masks, label=DEFECT_CLASSES.index(name) + 1), NO_IDS)
    assert np.abs(picture[40, 70, ::-1].astype(int) - CLASS_COLOURS[name]).max() <= 4


def test_a_defect_that_was_not_seen_is_drawn_dashed() -> None:
    image, masks = noise(), Masks.from_crops([np.ones((30, 30), bool)], [(40, 60)])
    bare, full, dashed = (
        Annotator(NO_IDS).paint(frame)
        for frame in (tracked(image), tracked(image, masks), tracked(image, masks, seen=False))
    )
    assert bare is not None
    assert full is not None
    assert dashed is not None
    n_full, n_dashed = (np.count_nonzero(c.chroma[0][:60] != bare.chroma[0][:60]) for c in (full, dashed))
    assert 0.4 * n_full < n_dashed < 0.95 * n_full


def test_masks_that_reach_over_the_border_or_are_empty_are_drawn_as_far_as_they_are_there() -> None:
    crops, corners = [BLOB, BLOB, np.zeros((1, 1), bool)], [(-2, -2), (118, 198), (5, 5)]
    assert draw(tracked(noise(), Masks.from_crops(crops, corners))).shape[1] == 200


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90))
def test_a_picture_of_any_size_gives_even_sides_as_encoders_want_them(height: int, width: int) -> None:
    picture = draw(tracked(noise(height, width)), nm_per_px=0.4)
    assert picture.shape[0] % 2 == picture.shape[1] % 2 == 0
    assert picture.shape[0] > height
    assert 0 <= picture.shape[1] - width <= 1


def test_the_size_of_the_picture_does_not_depend_on_what_was_found() -> None:
    masks = Masks.from_crops([BLOB] * 5, [(10 * i, 10) for i in range(5)])
    assert draw(tracked(noise())).shape == draw(tracked(noise(), masks)).shape


def test_a_large_frame_is_shrunk_by_a_whole_factor() -> None:
    masks = Masks.from_crops([np.ones((40, 40), bool)], [(100, 200)])
    picture = draw(tracked(noise(300, 500), masks), AnnotationStyle(max_side_px=250, max_ids=0))
    assert picture.shape[1] == 250
    assert np.abs(picture[50, 110, ::-1].astype(int) - CLASS_COLOURS["loop_111"]).max() <= 4


def test_ids_are_written_up_to_the_number_asked_for_and_never_over_each_other() -> None:
    apart = Masks.from_crops([BLOB] * 3, [(20, 20), (60, 60), (90, 120)])
    image = noise()
    pictures = [draw(tracked(image, apart), AnnotationStyle(max_ids=most)) for most in (0, 1, 2, 3, 9)]
    changed = [np.count_nonzero(picture != pictures[0]) for picture in pictures]
    assert changed[0] < changed[1] < changed[2] < changed[3] == changed[4]
    one, pile = (draw(tracked(image, Masks.from_crops([BLOB] * n, [(20, 20)] * n))) for n in (2, 40))
    assert np.array_equal(one[:120, :60], pile[:120, :60])


def test_contrast_follows_slowly_so_that_a_brighter_frame_does_not_flicker() -> None:
    contrast = Contrast(memory=50)
    contrast.stretch(noise())
    before = contrast.window
    contrast.stretch(noise() + np.uint8(20))
    after = contrast.window
    assert before is not None
    assert after is not None
    assert np.abs(np.subtract(after, before)).max() == pytest.approx(20 / 50, abs=0.05)


def test_contrast_follows_at_once_where_the_picture_would_be_lost() -> None:
    contrast = Contrast()
    contrast.stretch(noise())
    shown = contrast.stretch(noise().astype(np.uint16) + 5000)
    assert np.ptp(shown) > 200


@pytest.mark.parametrize("level", [0, 255])
def test_a_flat_picture_is_drawn(level: int) -> None:
    assert Contrast().stretch(np.full((9, 7), level, np.uint8)).shape == (9, 7)


def test_sixteen_bits_look_like_eight() -> None:
    image = noise()
    deep = Contrast().stretch(image.astype(np.uint16) * 256)
    assert np.abs(deep.astype(int) - Contrast().stretch(image)).max() <= 1


@given(st.floats(1e-3, 1e6))
def test_a_scale_bar_has_a_round_length_that_fits_and_is_not_small(longest: float) -> None:
    length = round_length(longest)
    assert longest / 2.5 * (1 - 1e-6) <= length <= longest * (1 + 1e-6)
    assert round(length / 10 ** math.floor(math.log10(length) + 1e-9), 6) in (1, 2, 5)


def test_the_scale_bar_is_as_long_as_it_says_and_absent_where_the_scale_is_unknown() -> None:
    image = noise(300, 1000)
    with_bar, without = (Annotator(NO_IDS, nm_per_px=scale).paint(tracked(image)) for scale in (0.5, None))
    assert with_bar is not None
    assert without is not None
    words = "".join(
        "#" if white else " "
        for row in (with_bar.luma[300:] == 235) & (without.luma[300:] != 235)
        for white in (*row, False)
    )
    assert (
        max(len(run) for run in words.split()) == 200
    )  # 100 nm: the longest round length under 22 % of 500 nm


@pytest.mark.parametrize(
    ("t_s", "words"),
    [(0.0, "0.00 s"), (9.996, "10.0 s"), (99.96, "1 min 40 s"), (3599.6, "1 h 00 min"), (math.nan, "?")],
)
def test_times_are_written_without_a_jump_between_units(t_s: float, words: str) -> None:
    assert time_text(t_s) == words


def test_a_damaged_frame_repeats_the_last_picture_in_grey_and_one_left_out_shows_nothing() -> None:
    annotator = Annotator()
    assert annotator.paint(missing("damaged")) is None
    shown = annotator.paint(tracked(noise(), Masks.from_crops([BLOB], [(20, 20)])))
    again = annotator.paint(missing("damaged"))
    assert shown is not None
    assert again is not None
    assert again.luma[:120].mean() < shown.luma[:120].mean()
    assert (again.chroma[0] == 128).all()
    assert not np.array_equal(again.luma[120:], shown.luma[120:])
    assert annotator.paint(missing("skipped")) is annotator.paint(missing("dropped")) is None


def test_drawing_a_frame_without_a_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="no image"):
        draw(missing("gap"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_ids": -1},
        {"max_side_px": 3},
        {"low_percentile": 60.0, "high_percentile": 50.0},
        {"stroke_px": 0},
    ],
)
def test_an_impossible_style_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="expected"):
        AnnotationStyle(**wrong)  # type: ignore[arg-type]


def test_the_movie_holds_every_picture(tmp_path: Path) -> None:
    masks = Masks.from_crops([BLOB], [(20, 20)])
    with AnnotatedMovieSink(tmp_path / "annotated.mp4", nm_per_px=0.5) as sink:
        for index in range(5):
            sink.write(tracked(noise(), masks, index=index, dose=0.1 * index))
        sink.write(missing("damaged", 5))
        sink.write(missing("skipped", 6))
        sink.finish(())
    shapes = [item.shape for item in MovieSource(tmp_path / "annotated.mp4") if isinstance(item, Frame)]
    assert len(shapes) == 6
    assert set(shapes) == {draw(tracked(noise(), masks)).shape[:2]}


def test_a_live_run_counts_the_pictures_that_it_leaves_out(tmp_path: Path) -> None:
    with AnnotatedMovieSink(tmp_path / "annotated.mp4", when_behind="drop") as sink:
        for index in range(40):
            sink.write(tracked(noise(), index=index))
    n_written = sum(isinstance(item, Frame) for item in MovieSource(tmp_path / "annotated.mp4"))
    assert n_written + sink.n_dropped == 40


def test_a_movie_that_cannot_be_written_raises_and_does_not_hang(tmp_path: Path) -> None:
    def film() -> None:
        with AnnotatedMovieSink(tmp_path / "no such folder" / "annotated.mp4") as sink:
            for index in range(30):
                sink.write(tracked(noise(), index=index))

    with pytest.raises(OutputError, match="cannot be written"):
        film()


def test_a_run_without_frames_leaves_no_movie(tmp_path: Path) -> None:
    with AnnotatedMovieSink(tmp_path / "annotated.mp4"):
        pass
    assert not list(tmp_path.iterdir())


def test_the_first_and_the_last_picture_are_kept() -> None:
    with PictureSink(nm_per_px=0.5) as sink:
        assert sink.pictures() == {}
        for index in range(3):
            sink.write(tracked(noise(seed=index), index=index))
        sink.write(missing("damaged", 3))
        sink.finish(())
    pictures = {
        name: cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
        for name, png in sink.pictures().items()
    }
    assert list(pictures) == ["first", "last"]
    assert np.array_equal(pictures["first"], draw(tracked(noise(seed=0)), nm_per_px=0.5))
    assert np.array_equal(pictures["last"], draw(tracked(noise(seed=2), index=2), nm_per_px=0.5))


@given(st.lists(st.sampled_from([*DEFECT_CLASSES, "frank_loop", "stacking_fault"]), unique=True, max_size=7))
def test_classes_have_different_colours_and_the_usual_ones_keep_theirs(names: list[str]) -> None:
    colours = class_colours(names)
    assert len(set(colours.values())) == len(names)
    assert all(colours[name] == CLASS_COLOURS[name] for name in names if name in CLASS_COLOURS)
