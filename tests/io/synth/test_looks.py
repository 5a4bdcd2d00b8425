import math

import cv2
import numpy as np
import pytest

from insitrack.io.synth.background import paint
from insitrack.io.synth.camera import Camera
from insitrack.io.synth.distractors import curves, paint_curves
from insitrack.io.synth.looks import variants
from insitrack.io.synth.settings import ranges
from insitrack.io.synth.source import SynthSource


@pytest.mark.parametrize(
    ("zone", "family", "expected"),
    [
        ("001", "loop_111", [0.5774] * 4),
        ("001", "loop_100", [0.0, 0.0, 1.0]),
        ("011", "loop_111", [0.0, 0.0, 0.8165, 0.8165]),
        ("011", "loop_100", [0.0, 0.7071, 0.7071]),
        ("111", "loop_111", [0.3333, 0.3333, 0.3333, 1.0]),
        ("111", "loop_100", [0.5774] * 3),
    ],
)
def test_axis_ratios_on_a_zone_are_those_of_the_habit_planes(
    zone: str, family: str, expected: list[float]
) -> None:
    assert sorted(round(q, 4) for q, _ in variants(zone, family)) == expected


def test_on_001_bars_lie_at_45_degrees_to_the_long_axes_of_111_loops() -> None:
    ellipses = {round(math.degrees(angle)) % 90 for _, angle in variants("001", "loop_111")}
    bars = {round(math.degrees(angle)) % 90 for q, angle in variants("001", "loop_100") if q < 0.1}
    assert (ellipses, bars) == ({0}, {45})


def first(condition: str, **wanted: float) -> SynthSource:
    """Movie of the first seed whose specimen has a veil, or the like."""
    for seed in range(60):
        movie = SynthSource(f"synth:dense?seed={seed}&frames=1&size=160&overlay=0&drift=0&jumps=0&n=200")
        veil = movie.scenery.specimen.veil
        if veil is not None and veil.min() < 0.01 and veil.mean() < 0.8:
            return movie
    raise AssertionError(condition)


def test_nothing_is_labelled_in_a_hole() -> None:
    movie = first("a hole")
    veil = movie.scenery.specimen.veil
    left, top, _, _ = movie.scenery.margins
    state = movie.truth_state(0)
    kept = veil[
        np.clip(state.y_px + top, 0, veil.shape[0] - 1).astype(int),
        np.clip(state.x_px + left, 0, veil.shape[1] - 1).astype(int),
    ]
    assert (kept < 0.01).any()
    assert not state.visible[kept < 0.01].any()


def test_a_line_is_dark_and_leaves_the_rest_alone() -> None:
    rng = np.random.default_rng(1)
    drawn = curves(rng, (200, 300), ranges()["background"], lines=1, arcs=0, nm_per_px=0.5)
    picture = paint_curves((200, 300), drawn, 1.0)
    assert picture.min() < 0.97
    assert picture.max() == 1.0
    assert np.array_equal(paint_curves((50, 60), [], 1.0), np.ones((50, 60), np.float32))


def test_the_background_of_a_magnified_picture_is_coarser() -> None:
    plain = {
        **ranges()["background"],
        **{key: 0.0 for key in ranges()["background"] if key.endswith("_share")},
        "ghosts": [0, 0],
        "specks": [0, 0],
    }
    fine, coarse = (
        paint(np.random.default_rng(3), (128, 128), plain, strength=0.1, lines=[], magnified=magnified).canvas
        for magnified in (1.0, 3.0)
    )
    assert np.abs(np.diff(coarse, axis=1)).mean() < 0.7 * np.abs(np.diff(fine, axis=1)).mean()


@pytest.mark.parametrize(("blur", "streak"), [(0.0, 1.0), (0.9, 1.0), (0.6, 3.0), (0.0, 2.0)])
def test_the_noise_is_as_strong_as_asked_whatever_its_correlation(blur: float, streak: float) -> None:
    camera = Camera(
        mean=100.0,
        black=0,
        psf_px=0,
        noise=0.1,
        noise_blur_px=blur,
        streak=streak,
        white=0.3,
        read=0.5,
        scan=0,
        vignetting=0,
        uneven=0,
        bright=False,
        gamma=1.0,
        quality=0,
    )
    flat = np.ones((200, 220), np.float32)
    grey = camera.expose(flat.copy(), flat, np.random.default_rng(0)).astype(float)
    assert grey.std() == pytest.approx(10, rel=0.06)
    rows, columns = (
        np.corrcoef(a.ravel(), b.ravel())[0, 1]
        for a, b in ((grey[:, 1:], grey[:, :-1]), (grey[1:], grey[:-1]))
    )
    assert (rows > columns + 0.1) == (streak > 1)


def test_defects_are_no_larger_than_the_largest_and_decorated_lines_keep_their_number() -> None:
    movie = SynthSource("synth:loops?seed=5&frames=1&size=128&nm_per_px=0.13")
    largest = ranges()["growth"]["largest_px"]
    assert max(defect.look.size_px for defect in movie.defects) <= largest
    assert cv2.countNonZero(movie.truth(0).masks.dense(movie.shape).any(axis=0).astype(np.uint8)) < 128 * 128


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_laths_lie_along_two_perpendicular_directions_of_the_crystal(seed: int) -> None:
    movie = SynthSource(f"synth:laths?seed={seed}&size=512&frames=1&n=150&start=1")
    angles = [d.look.angle % (np.pi / 2) for d in movie.defects if d.look.form == "lath"]
    assert len(angles) > 20
    turned = np.exp(4j * np.array(angles)).mean()
    assert abs(turned) > 0.9


@pytest.mark.parametrize("under", [True, False])
def test_all_cavities_of_a_movie_are_on_one_side_of_focus(under: bool) -> None:
    seeds = range(40)
    movies = [SynthSource(f"synth:voids?seed={seed}&size=256&frames=1&n=30&start=1") for seed in seeds]
    signs = [{np.sign(d.look.optics.defocus_px2) for d in movie.defects} for movie in movies]
    assert all(len(one) <= 1 for one in signs)
    assert {-1.0 if under else 1.0} in signs


def test_every_defect_of_a_scene_of_particles_is_a_precipitate() -> None:
    for kind in ("laths", "particles", "precipitates"):
        movie = SynthSource(f"synth:{kind}?seed=3&size=256&frames=1&n=40&start=1")
        assert set(movie.truth_state(0).detections.names()) == {"precipitate"}
