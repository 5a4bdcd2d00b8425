"""Mean squared displacement, error of position and confinement against drawn walks."""

from __future__ import annotations

import numpy as np
import pytest

from insitrack.tracker.kinetics.displacement import Displacement, displacement, fit_displacement

TRACKS, LOOKS, STEP_S = 60, 120, 0.5


def walk(seed: int, d: float, noise: float, radius: float = np.inf) -> Displacement:
    """Draw walks with diffusion `d`, nm^2/s, and an error of position, nm; kept inside a circle if one is given."""
    rng, fine = np.random.default_rng(seed), 20
    place = np.zeros((TRACKS, 2)) if np.isinf(radius) else rng.uniform(-0.6, 0.6, (TRACKS, 2)) * radius
    seen = np.zeros((TRACKS, LOOKS, 2))
    for look in range(LOOKS):
        for _ in range(fine):
            tried = place + rng.normal(0, np.sqrt(2 * d * STEP_S / fine), place.shape)
            inside = np.hypot(*tried.T) <= radius
            place = np.where(inside[:, None], tried, place)
        seen[:, look] = place
    seen += rng.normal(0, noise, seen.shape)
    track, look = np.repeat(np.arange(TRACKS), LOOKS), np.tile(np.arange(LOOKS), TRACKS)
    return displacement(track, look, seen.reshape(-1, 2), STEP_S)


def test_free_motion_has_the_slope_and_the_offset_of_the_draws() -> None:
    curve = walk(0, d=0.5, noise=1.0)
    assert curve.msd_nm2 == pytest.approx(4 * 0.5 * curve.lag_s + 4 * 1.0**2, rel=0.2)
    fit = fit_displacement(curve)
    assert fit.localisation_nm.lo < 1.0 < fit.localisation_nm.hi
    assert fit.localisation_nm.value == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("seed", range(4))
def test_free_motion_is_not_called_confined(seed: int) -> None:
    fit = fit_displacement(walk(seed, d=0.5, noise=0.5))
    assert np.isnan(fit.confinement_nm.value)
    assert "free motion" in fit.why_free


def test_a_walk_in_a_circle_tells_its_radius() -> None:
    fit = fit_displacement(walk(1, d=1.0, noise=0.3, radius=4.0))
    assert fit.confinement_nm.value == pytest.approx(4.0, rel=0.1)
    assert fit.confinement_nm.lo <= fit.confinement_nm.value <= fit.confinement_nm.hi


def test_noise_alone_is_the_error_of_a_position() -> None:
    fit = fit_displacement(walk(2, d=0.0, noise=0.7))
    assert fit.localisation_nm.value == pytest.approx(0.7, rel=0.05)


def test_what_never_moves_and_what_is_seen_too_seldom_say_why() -> None:
    track, look = np.repeat(np.arange(20), 30), np.tile(np.arange(30), 20)
    still = fit_displacement(displacement(track, look, np.zeros((600, 2)), 1.0))
    assert still.why_free == "nothing moved"
    few = fit_displacement(displacement(track[:60], look[:60], np.zeros((60, 2)), 1.0))
    assert "lags" in few.why_free
    none = displacement(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2)), 1.0)
    assert len(none.lag_s) == 0


def test_gaps_are_no_steps_of_one_look() -> None:
    track, look = np.repeat(np.arange(20), 30), np.tile(2 * np.arange(30), 20)  # seen every second look
    curve = displacement(track, look, np.random.default_rng(0).normal(0, 1, (600, 2)), 1.0)
    assert np.all(curve.lag_s % 2 == 0)
