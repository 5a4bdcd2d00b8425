"""Figures of an image's texture: unchanged by grey levels and polarity, and moved by what they are named after."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.segment.prepare.texture import LEAST_SIDE_PX, NAMES, texture

NOISE = np.random.default_rng(7).normal(0, 6, (256, 320))


def grey(values) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def figure(image, name, field=None) -> float:
    found = texture(image, field)
    assert found is not None
    return float(found[NAMES.index(name)])


def fringes(period_px: float, degrees: float) -> np.ndarray:
    y, x = np.mgrid[: NOISE.shape[0], : NOISE.shape[1]]
    along = x * np.cos(np.radians(degrees)) + y * np.sin(np.radians(degrees))
    return 20 * np.cos(2 * np.pi * along / period_px)


@settings(max_examples=15, deadline=None)
@given(gain=st.integers(1, 200), offset=st.integers(0, 5000), inverted=st.booleans(), seed=st.integers(0, 99))
def test_figures_do_not_depend_on_gain_offset_and_polarity(gain, offset, inverted, seed) -> None:
    rng = np.random.default_rng(seed)
    blobs = np.kron(rng.integers(0, 90, (24, 24)), np.ones((8, 8))) + rng.integers(0, 30, (192, 192))
    image = blobs.astype(np.uint16)
    other = offset + gain * (image.max() - image if inverted else image).astype(np.int64)
    np.testing.assert_allclose(texture(image), texture(other.astype(np.uint16)), atol=0.02)


@pytest.mark.parametrize("period_px", [3.3, 7.0, 18.0])
@pytest.mark.parametrize("degrees", [20.0, 45.0, 110.0])
def test_fringes_of_any_period_and_direction_make_a_sharp_peak(period_px, degrees) -> None:
    without = figure(grey(120 + NOISE), "spectral peak")
    assert figure(grey(120 + NOISE + fringes(period_px, degrees)), "spectral peak") > without + 1.5


def test_lines_of_a_scan_make_no_peak() -> None:
    rows = np.random.default_rng(3).normal(0, 12, (256, 1))
    interlaced = 10 * (np.arange(256)[:, None] % 2)
    without = figure(grey(120 + NOISE), "spectral peak")
    assert abs(figure(grey(120 + NOISE + rows + interlaced), "spectral peak") - without) < 0.5


def test_vacuum_is_flat_and_a_specimen_is_not() -> None:
    ramp = 0.5 * np.arange(320)[None] * (np.arange(256)[:, None] > 128)
    assert figure(grey(60 + NOISE / 3 + ramp), "largest flat area") > 0.35
    mottle = np.kron(np.random.default_rng(1).normal(0, 20, (64, 80)), np.ones((4, 4)))
    assert figure(grey(120 + NOISE / 3 + mottle), "largest flat area") < 0.05


def test_two_grey_levels_are_told_from_one() -> None:
    halves = np.where(np.arange(320)[None] < 160, 60, 180)
    assert (
        figure(grey(halves + NOISE), "two grey levels") > 0.9 > figure(grey(120 + NOISE), "two grey levels")
    )


def test_what_lies_outside_the_field_does_not_count() -> None:
    field = np.ones(NOISE.shape, bool)
    field[:, :80] = False
    text = grey(120 + NOISE)
    text[:, :80] = 255 * (np.arange(80) // 4 % 2)
    plain = grey(120 + NOISE)
    np.testing.assert_allclose(texture(text, field), texture(plain, field), atol=0.35)


@pytest.mark.parametrize(
    "image", [np.full((200, 200), 9, np.uint8), np.zeros((LEAST_SIDE_PX - 1, 900), np.uint8)]
)
def test_a_picture_that_says_nothing_has_no_figures(image) -> None:
    assert texture(image) is None


def test_a_picture_that_shows_hardly_any_specimen_has_no_figures() -> None:
    field = np.zeros(NOISE.shape, bool)
    field[:20] = True
    assert texture(grey(120 + NOISE), field) is None


@pytest.mark.parametrize("shape", [(64, 64), (70, 900), (2048, 1500)])
def test_every_size_has_all_figures_and_all_are_numbers(shape) -> None:
    found = texture(np.random.default_rng(5).integers(0, 4000, shape).astype(np.uint16))
    assert found is not None
    assert found.shape == (len(NAMES),)
    assert np.isfinite(found).all()
