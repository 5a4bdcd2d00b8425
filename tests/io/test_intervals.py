"""Intervals of counts and means: exact, and as wide as the data say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from insitrack.io.intervals import mean_half_width, poisson_interval


@given(st.floats(0.05, 500), st.floats(1.001, 2.0))
@settings(max_examples=40)
def test_poisson_intervals_hold_the_count_and_tighten_with_it(n, factor):
    low, high = poisson_interval(n)
    assert low < n < high
    more = poisson_interval(n * factor)
    assert (more[1] - more[0]) / (n * factor) < (high - low) / n


@given(st.integers(0, 3000))
@settings(max_examples=30, deadline=None)
def test_poisson_interval_is_that_of_the_chi_square_distribution(n):
    low, high = poisson_interval(n)
    assert low == pytest.approx(chi2.ppf(0.025, 2 * n) / 2 if n else 0.0)
    assert high == pytest.approx(chi2.ppf(0.975, 2 * n + 2) / 2)


def test_fewer_than_two_values_have_no_interval_of_the_mean():
    assert np.isnan(mean_half_width([0, 1, 1.9])).all()
    assert float(mean_half_width(2)) == pytest.approx(8.985, abs=1e-3)
