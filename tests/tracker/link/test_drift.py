"""Drift of the stage, on textures whose motion is known exactly and on a real movie whose motion was measured by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from insitrack.io.arrays import BoolImage
from insitrack.io.errors import SettingsError
from insitrack.io.frames import Frame
from insitrack.io.sources import open_source
from insitrack.tracker.link.drift import Drift, DriftEstimator
from insitrack.tracker.link.settings import DriftConfig

TI = Path(__file__).parents[3] / "../shared/data/ti-anneal/consecutive/1733-1739_full"
Path2D = Callable[[int], tuple[float, float]]
MARGIN = 170


def texture(rng: np.random.Generator, shape: tuple[int, int], grain: float) -> NDArray[np.float32]:
    image = cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), grain)
    return np.asarray(image / image.std(), np.float32)


def movie(
    path: Path2D,
    n: int,
    *,
    shape: tuple[int, int] = (240, 320),
    text: bool = False,
    seed: int = 1,
    noise: float = 8.0,
) -> Iterator[Frame]:
    """A moving specimen under a fixed camera pattern, shot noise and, if asked, burnt-in text."""
    rng = np.random.default_rng(seed)
    height, width = shape
    specimen = 14 * texture(rng, (height + 2 * MARGIN, width + 2 * MARGIN), 4.0)
    pattern = 5 * rng.standard_normal(shape)
    x, y = np.meshgrid(np.arange(width) + MARGIN, np.arange(height) + MARGIN)
    for i in range(n):
        dx, dy = path(i)
        seen = cv2.remap(specimen, (x - dx).astype(np.float32), (y - dy).astype(np.float32), cv2.INTER_CUBIC)
        image = np.clip(120 + seen + pattern + noise * rng.standard_normal(shape), 0, 255).astype(np.uint8)
        if text:
            cv2.putText(image, "200 nm", (10, height - 14), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 255, 3)
        yield Frame(i, float(i), image)


def field_without_text(shape: tuple[int, int] = (240, 320)) -> BoolImage:
    field = np.ones(shape, bool)
    field[-55:] = False
    return field


def follow(
    frames: Iterator[Frame], field: BoolImage | None = None, config: DriftConfig | None = None
) -> list[Drift]:
    estimator = DriftEstimator(config)
    found = [drift for frame in frames for drift in estimator.update(frame, field)]
    return [*found, *estimator.finish()]


def rms_error(drifts: list[Drift], path: Path2D) -> float:
    truth = np.array([np.subtract(path(i), path(0)) for i in range(len(drifts))])
    return float(np.sqrt(np.mean((np.array([drift.shift_px for drift in drifts]) - truth) ** 2)))


@settings(max_examples=8, deadline=None)
@given(vx=st.floats(-4, 4), vy=st.floats(-4, 4), seed=st.integers(0, 99))
def test_steady_drift_is_followed_to_a_third_of_a_pixel(vx: float, vy: float, seed: int) -> None:
    def path(i: int) -> tuple[float, float]:
        return vx * i, vy * i

    assert rms_error(follow(movie(path, 8, seed=seed)), path) < 0.3


def test_a_random_walk_with_text_outside_the_field_is_followed_without_adding_up_errors() -> None:
    steps = np.random.default_rng(3).normal(0, 2, (40, 2)).cumsum(axis=0)

    def path(i: int) -> tuple[float, float]:
        return float(steps[i, 0]), float(steps[i, 1])

    drifts = follow(movie(path, 40, text=True), field_without_text())
    assert rms_error(drifts, path) < 0.3
    assert np.abs(np.subtract(drifts[-1].shift_px, np.subtract(path(39), path(0)))).max() < 0.5


def test_a_jump_of_the_stage_is_followed() -> None:
    def path(i: int) -> tuple[float, float]:
        return (0.2 * i, 0.0) if i < 5 else (0.2 * i + 100.0, -60.0)

    assert rms_error(follow(movie(path, 10, shape=(360, 480))), path) < 0.3


def test_a_specimen_that_leaves_the_first_view_altogether_is_still_followed() -> None:
    def path(i: int) -> tuple[float, float]:
        return 9.0 * i - 150.0, 4.0 * i - 60.0

    assert rms_error(follow(movie(path, 34, shape=(192, 256))), path) < 1.0


def test_a_specimen_at_rest_does_not_drift() -> None:
    assert rms_error(follow(movie(lambda i: (0.0, 0.0), 10)), lambda i: (0.0, 0.0)) < 0.05


def test_blank_frames_keep_the_last_shift_and_say_so() -> None:
    def path(i: int) -> tuple[float, float]:
        return 1.5 * i, 0.5 * i

    rng = np.random.default_rng(0)
    frames = [
        Frame(f.index, f.t_s, rng.poisson(60, f.shape).astype(np.uint8)) if 5 <= f.index < 10 else f
        for f in movie(path, 14)
    ]
    drifts = follow(iter(frames))
    assert [drift.quality for drift in drifts[5:10]] == [0.0] * 5
    assert {drift.shift_px for drift in drifts[5:10]} == {drifts[4].shift_px}
    assert drifts[13].shift_px == pytest.approx((19.5, 6.5), abs=0.4)


def then(one: Iterator[Frame], other: Iterator[Frame]) -> list[Frame]:
    """Put two movies one behind the other."""
    images = [frame.image for movie in (one, other) for frame in movie]
    return [Frame(i, float(i), image) for i, image in enumerate(images)]


def changes(drifts: list[Drift]) -> list[int]:
    """Frames with which another view begins."""
    return [i for i in range(1, len(drifts)) if drifts[i].view != drifts[i - 1].view]


def test_another_place_begins_a_view_with_its_first_frame_from_which_the_drift_counts_anew() -> None:
    def path(i: int) -> tuple[float, float]:
        return 2.0 * i, 0.0

    drifts = follow(iter(then(movie(path, 5), movie(path, 10, seed=77))))
    assert changes(drifts) == [5]
    assert drifts[5].magnified is None
    assert drifts[5].shift_px == (0.0, 0.0)
    assert drifts[14].shift_px == pytest.approx((18.0, 0.0), abs=0.5)
    assert min(drift.quality for drift in drifts) > 0.5


def magnified(frame: Frame, by: float) -> Frame:
    """The middle of a frame, as large as the whole."""
    height, width = frame.shape
    side = (round(width / by), round(height / by))
    cut = cv2.getRectSubPix(frame.image, side, ((width - 1) / 2, (height - 1) / 2))
    return Frame(frame.index, frame.t_s, cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize("zoom", [0.5, 0.7, 0.8, 1.25, 1.4, 2.0, 3.0])
def test_another_magnification_begins_a_view_and_is_told_to_six_percent(zoom: float) -> None:
    frames = list(movie(lambda i: (0.7 * i, 0.0), 16, shape=(480, 640)))
    wide, near = frames[:8], frames[8:]
    if zoom > 1:
        near = [magnified(frame, zoom) for frame in near]
    else:
        wide = [magnified(frame, 1 / zoom) for frame in wide]
    drifts = follow(iter(then(iter(wide), iter(near))))
    assert changes(drifts) == [8]
    assert drifts[8].magnified == pytest.approx(zoom, rel=0.06)


@pytest.mark.parametrize("zoom", [1.0, 1.1])
def test_a_little_more_magnification_is_told_though_the_old_scale_still_fits_somewhat(zoom: float) -> None:
    still = movie(lambda i: (0.0, 0.0), 12, shape=(120, 160), noise=3.0)
    drifts = follow(magnified(frame, zoom if frame.index >= 6 else 1.0) for frame in still)
    assert changes(drifts) == ([6] if zoom > 1 else [])
    assert drifts[6].magnified == (pytest.approx(zoom, rel=0.03) if zoom > 1 else None)


@pytest.mark.parametrize("change", ["blur", "reversed", "flicker", "blank", "shaken"])
def test_neither_focus_nor_flicker_nor_a_blank_beam_begins_a_view(change: str) -> None:
    rng = np.random.default_rng(2)
    frames = []
    for frame in movie(lambda i: (0.8 * i, 0.4 * i), 20):
        image, late = frame.image.astype(float), frame.index >= 10
        if change == "blur" and late:
            image = cv2.GaussianBlur(image, (0, 0), 4) + rng.normal(0, 5, frame.shape)
        elif change == "reversed" and late:
            image = 240 - image
        elif change == "flicker":
            image = image * rng.uniform(0.6, 1.4)
        elif change == "blank" and 8 <= frame.index < 14:
            image = np.full(frame.shape, 10.0) + rng.normal(0, 1, frame.shape)
        elif change == "shaken" and 8 <= frame.index < 11:
            image = cv2.blur(image, (81, 1))
        frames.append(Frame(frame.index, frame.t_s, image.clip(0, 255).astype(np.uint8)))
    drifts = follow(iter(frames))
    assert changes(drifts) == []
    assert drifts[-1].shift_px == pytest.approx((15.2, 7.6), abs=0.6)


def test_a_frame_that_fits_nothing_waits_and_is_lost_when_the_next_one_fits_again() -> None:
    frames = list(movie(lambda i: (1.0 * i, 0.0), 8))
    frames[4] = Frame(4, 4.0, next(movie(lambda i: (0.0, 0.0), 1, seed=9)).image)
    estimator = DriftEstimator()
    told = [len(estimator.update(frame)) for frame in frames]
    assert told == [1, 1, 1, 1, 0, 2, 1, 1]
    assert [drift.quality == 0 for drift in follow(iter(frames))] == [i == 4 for i in range(8)]


def test_a_movie_that_ends_while_frames_wait_tells_of_each() -> None:
    frames = then(movie(lambda i: (1.0 * i, 0.0), 5), movie(lambda i: (0.0, 0.0), 2, seed=9))
    assert [(drift.view, drift.quality == 0) for drift in follow(iter(frames))][-2:] == [(0, True)] * 2


def test_views_of_a_real_movie_are_one() -> None:
    movie_path = Path(__file__).parents[3] / "../shared/data/ti-anneal/videos/Figure-3-Loop-Motion.mp4"
    if not movie_path.is_file():
        pytest.skip(f"{movie_path}: not here")
    drifts = follow(frame for frame in open_source(str(movie_path)) if isinstance(frame, Frame))
    assert len(drifts) == 14
    assert changes(drifts) == []


def test_sixteen_bits_give_the_same_drift_as_eight() -> None:
    frames = list(movie(lambda i: (1.2 * i, -0.7 * i), 4))
    deep = [Frame(f.index, f.t_s, f.image.astype(np.uint16) * 200) for f in frames]
    for a, b in zip(follow(iter(frames)), follow(iter(deep)), strict=True):
        assert a.shift_px == pytest.approx(b.shift_px, abs=0.05)


def test_frames_without_any_structure_do_not_drift() -> None:
    flat = [Frame(i, float(i), np.full((64, 96), 80, np.uint8)) for i in range(3)]
    assert follow(iter(flat)) == [Drift((0.0, 0.0), 0.0)] * 3


def test_a_field_that_excludes_everything_gives_no_drift() -> None:
    assert {d.shift_px for d in follow(movie(lambda i: (3.0 * i, 0.0), 3), np.zeros((240, 320), bool))} == {
        (0.0, 0.0)
    }


def test_tiny_frames_do_not_drift() -> None:
    assert (
        follow(iter([Frame(i, float(i), np.eye(9, dtype=np.uint8)) for i in range(2)]))
        == [Drift((0.0, 0.0), 0.0)] * 2
    )


def test_drift_can_be_switched_off() -> None:
    drifts = follow(movie(lambda i: (5.0 * i, 0.0), 3), config=DriftConfig(enabled=False))
    assert {drift.shift_px for drift in drifts} == {(0.0, 0.0)}


@pytest.mark.parametrize(
    "changes",
    [
        {"size_px": 8},
        {"min_significance": 0.0},
        {"refresh_quality": 2.0},
        {"refresh_shift": 0.0},
        {"lost_frames": 0},
    ],
)
def test_impossible_settings_are_refused_by_name(changes: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(changes))):
        DriftConfig(**changes)  # type: ignore[arg-type]


def test_drift_of_a_real_heating_movie_agrees_with_the_measurement_by_hand() -> None:
    """People measured |y| 10.3 and |x| 8.5 px from frame 1733 to 1739; phase correlation answers (0, 0)."""
    if not TI.is_dir():
        pytest.skip(f"{TI}: not here")
    paths = sorted(TI.glob("frame_*.png"))
    drifts = follow(
        Frame(i, float(i), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)) for i, path in enumerate(paths)
    )
    assert drifts[-1].shift_px[0] == pytest.approx(-8.5, abs=2.5)
    assert drifts[-1].shift_px[1] == pytest.approx(-10.3, abs=2.0)
    assert min(drift.quality for drift in drifts) > 0.5
