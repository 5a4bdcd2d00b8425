"""Units as files spell them."""

import pytest

from insitrack.io.units import NM_PER_LENGTH, SECONDS_PER_TIME, UNIT_WORDS, nm_of, seconds_of


@pytest.mark.parametrize(
    ("value", "unit", "nm"),
    [(2, "Å", 0.2), (3, "A", 0.3), (1, "µm", 1e3), (1e-9, "m", 1.0), (0, "nm", None), (1, "1/nm", None)],
)
def test_lengths_become_nm_or_nothing(value, unit, nm):
    assert nm_of(value, unit) == (nm if nm is None else pytest.approx(nm))


@pytest.mark.parametrize(
    ("value", "unit", "seconds"),
    [(5, "ms", 0.005), (2, "min", 120.0), (0, "s", None), (1, "", None), (float("nan"), "s", None)],
)
def test_durations_become_seconds_or_nothing(value, unit, seconds):
    assert seconds_of(value, unit) == seconds


@pytest.mark.parametrize("unit", [*NM_PER_LENGTH, *SECONDS_PER_TIME])
def test_a_unit_is_one_of_length_or_one_of_time_in_any_case_and_may_stand_below_a_header(unit):
    assert unit in UNIT_WORDS
    assert (nm_of(1.0, unit.upper()) is None) != (seconds_of(1.0, f" {unit} ") is None)
