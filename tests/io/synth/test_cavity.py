"""Tests of the image of a cavity out of focus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from insitrack.io.synth.cavity import WAVELENGTH_NM, Optics, depth_px, intensity

COMPUTED = Path(__file__).resolve().parents[4] / "shared/data/bf-clean-steel/cavity_fresnel_profiles.npz"


def sphere(radius_px: float, side: int = 161) -> np.ndarray:
    """Depth of a round cavity in the middle of a field."""
    at = np.arange(side, dtype=np.float32) - side // 2
    return depth_px(np.hypot(at[None], at[:, None]) - np.float32(radius_px), radius_px)


@given(st.floats(-300, 300), st.floats(3, 20))
def test_without_absorption_defocus_moves_intensity_but_neither_makes_nor_loses_any(
    defocus_px2: float, radius_px: float
) -> None:
    optics = Optics(defocus_px2=defocus_px2, phase_per_px=0.05, absorption_per_px=0.0, blur_px=0.0)
    assert intensity(sphere(radius_px), optics).mean() == pytest.approx(1.0, abs=1e-4)


def test_in_focus_only_the_absorption_that_is_missing_shows() -> None:
    depth = sphere(10.0)
    image = intensity(depth, Optics(defocus_px2=0.0, absorption_per_px=0.02, blur_px=0.0))
    assert np.allclose(image, np.exp(0.02 * depth), atol=1e-4)


def test_over_focus_reverses_the_fringes_of_a_weak_phase_object() -> None:
    weak = {"phase_per_px": 0.0005, "absorption_per_px": 0.0, "blur_px": 0.0}
    under = intensity(sphere(8.0), Optics(defocus_px2=-60.0, **weak)) - 1
    over = intensity(sphere(8.0), Optics(defocus_px2=60.0, **weak)) - 1
    assert np.abs(under).max() > 0.001
    assert np.abs(under + over).max() < 0.05 * np.abs(under).max()


def test_a_sphere_is_as_deep_in_its_middle_as_it_is_wide_and_a_facetted_one_is_flat_there() -> None:
    distance = np.linspace(-10, 2, 25, dtype=np.float32)
    assert depth_px(distance, 10.0)[0] == pytest.approx(20.0)
    flat = depth_px(distance, 10.0, flat=1.0)
    assert np.ptp(flat[distance < -2.6]) == 0
    assert (depth_px(distance, 10.0)[distance >= 0] == 0).all()
    assert (flat[distance >= 0] == 0).all()


@pytest.mark.skipif(not COMPUTED.is_file(), reason="computed profiles are not beside the repository")
@pytest.mark.parametrize(("radius_nm", "defocus_nm"), [(5.0, -400), (9.0, -1200), (9.0, 700), (21.0, -1200)])
def test_profiles_agree_with_an_independent_computation(radius_nm: float, defocus_nm: int) -> None:
    stored = np.load(COMPUTED)
    row = np.argmin(np.abs(stored["r0_nm"] - radius_nm))
    column = np.argmin(np.abs(stored["defocus_nm"] - defocus_nm))
    expected = stored["intensity"][row, column]
    scale = 0.1
    optics = Optics(
        defocus_px2=WAVELENGTH_NM * defocus_nm / scale**2,
        phase_per_px=0.17 * scale,
        absorption_per_px=0.043 * scale,
        blur_px=2.0,
    )
    side = int(2 * 1.8 * radius_nm / scale) | 1
    image = intensity(sphere(radius_nm / scale, side), optics)
    at = np.arange(10, 150)
    profile = np.interp(at / 100 * radius_nm / scale, np.arange(side // 2 + 1), image[side // 2, side // 2 :])
    assert np.median(np.abs(profile - expected[at])) < 0.06
