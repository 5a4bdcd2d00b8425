"""Conditions of a live run: how they are read, and that each fires once when it comes true."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from insitrack.io.errors import SettingsError
from insitrack.io.live.settings import LiveConfig
from insitrack.io.live.triggers import QUANTITIES, Watch, parse_trigger


def firings(text, times, values):
    watch = Watch(parse_trigger(text))
    return [float(t) for t, value in zip(times, values, strict=True) if watch.fires(float(t), float(value))]


@given(st.lists(st.floats(0, 10) | st.just(math.nan), max_size=80))
def test_a_limit_fires_once_for_each_time_that_it_is_passed_and_the_unknown_changes_nothing(values):
    times = 10.0 * np.arange(len(values))  # so far apart that each is a time of its own
    known = [(t, value > 5) for t, value in zip(times, values, strict=True) if math.isfinite(value)]
    wanted, may = [], True
    for number, (t, true) in enumerate(known):
        if true and may:
            wanted.append(t)
            may = False
        elif not true and number and not known[number - 1][1]:
            may = True  # false for at least 5 s
    assert firings("n > 5", times, values) == wanted


def test_a_limit_must_hold_as_long_as_it_says():
    times, values = np.arange(40.0), np.where(np.arange(40) % 10 < 4, 9.0, 1.0)
    assert firings("n > 5 for 6 s", times, values) == []
    assert firings("n > 5 for 3 s", times, values) == [3.0, 13.0, 23.0, 33.0]
    assert firings("trust < 0.2 for 2 s", [0, 1, 2, 3], [0.1] * 4) == [2.0]


def test_a_value_that_trembles_about_its_limit_fires_once():
    times = np.arange(0, 60, 0.04)
    values = 5 + 0.5 * np.sin(20 * times)
    assert len(firings("n > 5", times, values)) == 1


def test_saturation_comes_after_the_rise_and_not_before():
    times = np.arange(0, 900, 0.5)
    values = 1e15 * (1 - np.exp(-times / 120)) * (1 + 0.02 * np.random.default_rng(1).normal(size=len(times)))
    (at,) = firings("saturation over 100 s", times, values)
    change = np.exp(-(at - 100) / 120) - np.exp(-at / 120)  # of the true curve over those 100 s
    assert 0.02 < change < 0.1
    assert firings("saturation over 100 s", times, np.full(len(times), 1e15)) == []  # nothing has risen
    assert len(firings("density_per_m2 steady over 100 s", times, np.full(len(times), 1e15))) == 1
    assert firings("saturation over 100 s", times, 1e15 * times) == []


def test_noise_does_not_pass_for_rest():
    times = np.arange(0, 300, 1.0)
    values = 10 + 60 * np.random.default_rng(2).normal(size=len(times))
    assert firings("size_nm steady over 30 s", times, values) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "density > 1",
        "n = 3",
        "n > x",
        "n > 1e999",
        "n > 5 for ever",
        "n steady over -3",
        "silent_s steady",
        "saturation over",
        "n > 5; rm -rf /",
        "n" * 10_000,
    ],
)
def test_a_wrong_condition_is_one_line_with_what_was_expected(text):
    with pytest.raises(SettingsError, match="expected") as caught:
        LiveConfig(triggers=(text,))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("what", QUANTITIES)
def test_every_quantity_can_have_a_limit(what):
    assert parse_trigger(f"  {what}>1e3 for 2s").limit == 1000
