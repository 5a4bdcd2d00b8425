"""A frame without structure shows no specimen, whatever its grey level."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from insitrack.io.frames import Frame
from insitrack.io.sources import open_source
from insitrack.segment.prepare.blank import BlankFinder
from insitrack.segment.prepare.field import FieldFinder

REAL = Path(__file__).resolve().parents[4] / "shared" / "data"


def drawn(kind, seed=3):
    source = open_source(f"synth:{kind}?seed={seed}&frames=1&size=256")
    return next(item.image for item in source if isinstance(item, Frame))


def dark(seed, level=10.0, shape=(256, 256), dtype=np.uint8):
    noise = np.random.default_rng(seed).normal(level, 0.2 * level, shape)
    return noise.clip(0, np.iinfo(dtype).max).astype(dtype)


@given(st.integers(0, 2**32 - 1), st.floats(5, 20_000))
def test_noise_at_any_level_is_blank_even_as_the_first_frame(seed, level):
    assert BlankFinder(0.1).update(dark(seed, level, dtype=np.uint16), None)


@given(st.integers(0, 255))
def test_one_grey_level_is_blank(level):
    assert BlankFinder(0.1).update(np.full((128, 160), level, np.uint8), None)


@pytest.mark.parametrize("kind", ["loops", "two_beam", "voids", "diffuse", "precipitates", "dense"])
def test_a_drawn_specimen_is_not_blank_and_the_beam_off_after_it_is(kind):
    finder = FieldFinder()
    image = drawn(kind)
    for _ in range(3):
        field = finder.update(image)
        assert field is None or field.mean() > 0.5
    assert not finder.update(dark(1)).any()
    assert not finder.update(cv2.GaussianBlur(dark(2), (0, 0), 1.0)).any()  # as a codec leaves it
    after = finder.update(image)
    assert after is None or after.mean() > 0.5


def test_a_beam_that_is_not_even_is_no_specimen():
    finder = BlankFinder(0.1)
    assert not finder.update(drawn("loops"), None)
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    beam = np.random.default_rng(4).poisson(12 - 4 * (x**2 + y**2)).astype(np.uint8)
    assert finder.update(beam, None)


def test_the_search_can_be_turned_off():
    assert not BlankFinder(0.0).update(np.zeros((128, 128), np.uint8), None)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real micrographs are not here")
def test_no_real_micrograph_is_blank():
    folders = ("bf-clean-steel/images", "creme-316L/imgs", "ti-anneal/images", "no-defects-gold/brittle")
    for folder in folders:
        for path in sorted((REAL / folder).iterdir())[:6]:
            image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            if image is not None:
                assert not BlankFinder(0.1).update(image, None), path.name
