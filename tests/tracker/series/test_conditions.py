"""The record of thickness, dose rate and material: which line holds, damaged lines, many lines."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insitrack.io.errors import TableError
from insitrack.io.frames import Calibration
from insitrack.io.tables.records import SETTINGS
from insitrack.tracker.run.config import load_config
from insitrack.tracker.run.meters import meter_for
from insitrack.tracker.series.conditions import (
    MATERIAL,
    SEVERAL,
    THICKNESS,
    THICKNESS_SD,
    Change,
    Conditions,
    read_conditions,
)


def test_a_later_line_goes_before_an_earlier_one_from_its_frame_on():
    held = Conditions(
        (
            Change(0, 0.0, THICKNESS, "100"),
            Change(0, 0.0, THICKNESS_SD, "5"),
            Change(20, 2.0, THICKNESS, "50"),
            Change(12, 1.2, THICKNESS, "70"),
        )
    )
    assert [held.foil(frame).thickness_nm for frame in (11, 12, 20, 99)] == [100.0, 70.0, 70.0, 70.0]
    assert [held.foil(frame).thickness_sd_nm for frame in (11, 12)] == [
        5.0,
        0.0,
    ]  # another has no error of its own
    assert [start for start, _ in held.stretches()] == [0, 12]
    assert held.foil(SEVERAL).thickness_nm is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-1,0,x,thickness_nm,,50,page", "column frame: '-1'; expected a whole number"),
        ("3,nan,x,thickness_nm,,50,page", "column t_s: 'nan'; expected a time in s"),
        ("3,1,x,thickness_nm,,-5,page", "column to: '-5'; expected a positive number of nm"),
        ("3,1,x,thickness_nm,,5e-324,page", "expected a positive number of nm"),
        ("3,1,x,dose_rate_dpa_per_s,,1e400,page", "expected dose_rate_dpa_per_s, 0 or a positive number"),
        ("3,1,x,colour,,red,page", "column what: 'colour'; expected thickness_nm"),
        ("3,1,x,thickness_nm,,50", "6 cells; expected 7"),
    ],
)
def test_a_damaged_line_is_named_with_what_was_expected(tmp_path, line, words):
    path = tmp_path / SETTINGS.file
    path.write_text(SETTINGS.header() + "0,0,x,thickness_nm,,100,command\n" + line + "\n")
    with pytest.raises(TableError, match="line 3") as caught:
        read_conditions(path)
    assert words in str(caught.value)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 30),
            st.sampled_from([THICKNESS, THICKNESS_SD, MATERIAL]),
            st.sampled_from(["", "50", "70"]),
        ),
        max_size=12,
    )
)
def test_stretches_say_for_every_frame_what_the_last_line_up_to_it_said(lines):
    held = Conditions(tuple(Change(frame, 0.0, what, to) for frame, what, to in lines))
    expected = {what: [""] * 40 for what in (THICKNESS, THICKNESS_SD, MATERIAL)}
    for frame, what, to in lines:
        expected[what][frame:] = [to] * (40 - frame)
        if what == THICKNESS:
            expected[THICKNESS_SD][frame:] = [""] * (40 - frame)
    for frame in range(40):
        foil = held.foil(frame)
        assert foil.thickness_nm == (
            float(expected[THICKNESS][frame]) if expected[THICKNESS][frame] else None
        )
        assert foil.thickness_sd_nm == float(expected[THICKNESS_SD][frame] or 0)
        assert foil.material == (expected[MATERIAL][frame] or None)
    starts = [start for start, _ in held.stretches()]
    assert starts == sorted(set(starts))
    foils = [foil for _, foil in held.stretches()]
    assert all(a != b for a, b in itertools.pairwise(foils))


def test_a_table_of_ten_thousand_changes_is_read_and_of_more_is_refused(tmp_path):
    path = tmp_path / SETTINGS.file
    rows = [f"{i},{i},x,thickness_nm,,{50 + i % 7},page\n" for i in range(10_001)]
    path.write_text(SETTINGS.header() + "".join(rows[:-1]))
    meter = meter_for(load_config(), Calibration(), ("void",))
    meter.follow(read_conditions(path))
    assert meter.specimens.at(9_999).densities.thickness_nm == 50 + 9_999 % 7
    path.write_text(SETTINGS.header() + "".join(rows))
    with pytest.raises(TableError, match="10001 lines; expected at most 10000"):
        read_conditions(path)
