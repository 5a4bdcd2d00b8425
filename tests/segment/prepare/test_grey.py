from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.frames import Frame
from insitrack.segment.prepare.field import FieldConfig, FieldFinder
from insitrack.segment.prepare.grey import Stretch, grey_range, stretch_to_8_bit

REAL = Path(__file__).resolve().parents[4] / "shared" / "data"


def specimen(seed: int = 0, shape: tuple[int, int] = (240, 320)) -> np.ndarray:
    """Grey mottle with dark blobs, 60..190."""
    rng = np.random.default_rng(seed)
    field = cv2.GaussianBlur(rng.normal(size=shape), (0, 0), 6)
    blobs = np.zeros(shape)
    for y, x in rng.integers(20, 200, (15, 2)):
        cv2.circle(blobs, (int(x), int(y)), 6, 90, -1)
    image = 140 + 20 * field / field.std() - cv2.GaussianBlur(blobs, (0, 0), 1.5) + rng.normal(size=shape) * 6
    return np.clip(image, 20, 220).astype(np.uint8)


@settings(max_examples=20, deadline=None)
@given(gain=st.floats(0.2, 1.0), offset=st.integers(0, 30))
def test_stretching_undoes_brightness_and_contrast(gain: float, offset: int) -> None:
    image = specimen()
    changed = np.clip(image * gain + offset, 0, 255).astype(np.uint8)
    difference = np.abs(stretch_to_8_bit(changed).astype(int) - stretch_to_8_bit(image).astype(int))
    assert np.median(difference) <= 3 / gain


def test_sixteen_bit_frames_are_stretched_like_eight_bit_ones() -> None:
    image = specimen()
    assert (
        np.abs(stretch_to_8_bit(image.astype(np.uint16) * 200).astype(int) - stretch_to_8_bit(image)).max()
        <= 1
    )


def test_a_flat_frame_is_stretched_without_dividing_by_zero() -> None:
    assert stretch_to_8_bit(np.full((4, 5), 7, np.uint8)).shape == (4, 5)


def deep(gain: float = 1.0, seed: int = 0) -> np.ndarray:
    return (specimen(seed) * (100.0 * gain) + 300).astype(np.uint16)


def test_a_brighter_frame_of_deep_data_is_seen_brighter_and_one_of_8_bits_is_not() -> None:
    fixed, each = Stretch("auto"), Stretch("frame")
    first, second = fixed(deep()), fixed(deep(1.1))
    assert np.array_equal(first, stretch_to_8_bit(deep()))
    assert second.mean() > first.mean() + 10
    assert abs(each(deep(1.1)).mean() - each(deep()).mean()) < 1
    shallow = Stretch("auto")
    assert abs(shallow(specimen()).mean() - shallow((specimen() * 0.8).astype(np.uint8)).mean()) < 2
    assert shallow.describe() == each.describe() == {"levels": "frame"}


def test_the_levels_of_a_run_come_from_frames_spread_over_it_without_overlays_and_black_frames() -> None:
    lettered = deep(seed=1)
    lettered[:24] = 0
    lettered[:20, ::7] = 65535
    frames = [
        Frame(0, 0.0, np.zeros_like(lettered)),
        Frame(1, 1.0, deep(0.9)),
        Frame(2, 2.0, deep(1.1)),
        Frame(3, 3.0, lettered),
    ]
    levels = grey_range(frames)
    assert levels is not None
    low, high = levels
    assert np.percentile(deep(0.9), 0.2) < low < np.percentile(deep(0.9), 2)
    assert np.percentile(deep(1.1), 98) < high <= np.percentile(deep(1.1), 99.9)
    assert grey_range(frames[:1]) is None
    stretch = Stretch(levels)
    stretch(deep())
    assert stretch.describe() == {"levels": [low, high], "frames_misfit": 0}
    stretch(deep(2.5))
    assert stretch.describe()["frames_misfit"] == 1
    stretch((deep() * 0.3 + 8000).astype(np.uint16))
    assert stretch.describe()["frames_misfit"] == 2


def test_a_run_that_begins_black_takes_its_levels_from_the_first_frame_that_shows_something() -> None:
    stretch = Stretch("run")
    stretch(np.zeros((240, 320), np.uint16))
    assert stretch.describe() == {"levels": "run"}
    assert np.array_equal(stretch(deep()), stretch_to_8_bit(deep()))
    assert len(stretch.describe()["levels"]) == 2


@pytest.mark.parametrize(("ink", "outline"), [(255, 0), (0, 255)])
def test_text_and_scale_bar_leave_the_field_and_defects_stay(ink: int, outline: int) -> None:
    image = specimen()
    for colour, width in ((outline, 5), (ink, 2)):
        cv2.putText(image, "100 nm", (20, 215), cv2.FONT_HERSHEY_SIMPLEX, 0.9, colour, width, cv2.LINE_AA)
    cv2.rectangle(image, (20, 224), (120, 230), ink, -1)
    field = FieldFinder().update(image)
    assert field is not None
    assert not field[200:214, 30:110].any()
    assert not field[226:228, 30:110].any()
    assert field[:170].all()


def test_a_flat_border_leaves_the_field() -> None:
    image = specimen()
    image[:, 280:] = 0
    field = FieldFinder().update(image)
    assert field is not None
    assert not field[:, 282:].any()
    assert field[:, :260].all()


@pytest.mark.parametrize("seed", range(3))
def test_a_picture_without_overlays_is_all_field(seed: int) -> None:
    assert FieldFinder().update(specimen(seed)) is None


def test_noise_is_not_taken_for_text() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300), dtype=np.uint8)
    assert FieldFinder(FieldConfig(blank_share=0.0)).update(noise) is None


def test_the_search_can_be_switched_off() -> None:
    image = specimen()
    image[:, 280:] = 0
    assert FieldFinder(FieldConfig(find_overlays=False)).update(image) is None


@pytest.mark.skipif(not (REAL / "fecral-loops-111").is_dir(), reason="../shared/data is not there")
def test_real_micrographs_without_overlays_are_nearly_all_field() -> None:
    for path in sorted((REAL / "fecral-loops-111" / "images").iterdir())[::40]:
        field = FieldFinder().update(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
        assert field is None or field.mean() > 0.97, path.name


def test_an_overlay_that_is_blurred_in_a_frame_is_remembered_for_a_while() -> None:
    written = specimen()
    cv2.putText(written, "100 nm", (20, 215), cv2.FONT_HERSHEY_SIMPLEX, 0.9, 255, 2, cv2.LINE_AA)
    finder = FieldFinder(FieldConfig(memory_frames=2))
    fields = [finder.update(image) for image in (written, specimen(), specimen(), specimen())]
    assert [field is None for field in fields] == [False, False, False, True]


@pytest.mark.parametrize("grey", [0, 255])
def test_a_frame_without_beam_is_left_out_and_the_next_one_is_seen(grey: int) -> None:
    finder = FieldFinder()
    fields = [finder.update(image) for image in (specimen(), np.full((240, 320), grey, np.uint8), specimen())]
    assert fields[0] is None
    assert fields[1] is not None
    assert not fields[1].any()
    assert fields[2] is None
