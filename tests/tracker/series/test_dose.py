"""Dose against time: rates, beam off, logs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.errors import InsitrackError, SettingsError, TableError
from insitrack.tracker.run.config import load_config
from insitrack.tracker.series.dose import (
    Exposure,
    arc_displacements,
    ion_dose_dpa,
    nrt_displacements,
    read_log,
)


def write(tmp_path, text):
    path = tmp_path / "log.csv"
    path.write_text(text, encoding="utf-8")
    return path


@given(st.floats(0, 1000), st.floats(0, 1000), st.floats(1e-6, 1e-2))
@settings(max_examples=40)
def test_dose_rises_with_the_rate_and_stands_still_while_the_beam_is_off(start, length, rate):
    beam = Exposure(rate, ((start, start + length),))
    before, after, later = beam.dose_dpa([start, start + length, start + length + 10]).tolist()
    assert before == pytest.approx(rate * start)
    assert after == pytest.approx(before)
    assert later - after == pytest.approx(10 * rate, rel=1e-6)


def test_worked_numbers_of_the_dose():
    assert nrt_displacements(10_000.0) == 100.0
    assert float(Exposure(1e-3).dose_dpa(2500.0)) == 2.5
    assert ion_dose_dpa(10.0, 8.496) == pytest.approx(1.0)
    assert nrt_displacements(30.0) == 0.0
    assert nrt_displacements(50.0) == 1.0
    assert 0.25 < arc_displacements(1e6) / nrt_displacements(1e6) < 0.35


def test_a_logged_rate_is_held_to_the_next_line_and_summed(tmp_path):
    beam = read_log(
        write(
            tmp_path,
            "t_s,dose_rate_dpa_per_s,temperature_k\n-5,0,593.15\n0,0.001,593.15\n100,0,603.15\n200,0.002,593.15\n300,0,\n",
        )
    )
    assert beam.dose_dpa([0, 50, 100, 150, 250, 300]).tolist() == pytest.approx([0, 0.05, 0.1, 0.1, 0.2, 0.3])
    assert float(beam.temperature_c(50.0)) == pytest.approx(325.0)
    assert np.isnan(beam.dose_dpa([-6, 301])).all()
    assert np.isnan(beam.beam_current_a(50.0))


def test_a_logged_current_switches_the_nominal_rate_or_scales_it(tmp_path):
    path = write(tmp_path, "t_s,current_na\n0,100\n10,0.5\n20,50\n30,50\n")
    switched = read_log(path, dose_rate_dpa_per_s=1e-3)
    assert switched.dose_dpa([10, 20, 30]).tolist() == pytest.approx([0.01, 0.01, 0.02])
    scaled = read_log(path, dose_rate_dpa_per_s=1e-3, nominal_current_a=1e-7)
    assert scaled.dose_dpa([10, 20, 30]).tolist() == pytest.approx([0.01, 0.01005, 0.01505])
    assert float(scaled.beam_current_a(0.0)) == pytest.approx(1e-7)
    assert not read_log(path).known


def test_a_log_of_dates_is_joined_by_the_time_of_the_first_frame(tmp_path):
    path = write(tmp_path, "time,dose_dpa\n2026-05-01T10:00:00,0\n2026-05-01T10:10:00,0.6\n")
    assert float(read_log(path, log_start="2026-05-01T10:05:00").dose_dpa(60.0)) == pytest.approx(0.36)
    with pytest.raises(SettingsError, match="say when the first frame was taken"):
        read_log(path)
    with pytest.raises(SettingsError, match="expected a date and time"):
        read_log(path, log_start="yesterday")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t_s,dose_dpa\n0,0\n10,abc\n", "line 3, column dose_dpa: 'abc' is not a number"),
        ("t_s,dose_dpa\n0,0\n10,1\n5,2\n", "line 4: its time is not after"),
        ("t_s,dose_dpa\n0,0\n,1\n", "line 3: no time"),
        ("t_s,pressure_pa\n0,1\n", "has none of the columns dose_dpa"),
        ("seconds,dose_dpa\n0,1\n", "lacks a column t_s"),
        ("time,dose_dpa\nnoon,1\n", "line 2, column time: 'noon'"),
    ],
)
def test_a_broken_log_is_told_by_line_and_column(tmp_path, text, message):
    with pytest.raises(TableError, match=message):
        read_log(write(tmp_path, text), log_start="2026-05-01")


def test_beam_off_and_log_are_settings_that_exclude_each_other(tmp_path):
    off = load_config(assignments=["specimen.beam_off_s=[[10, 20.5]]"]).specimen
    assert off.beam_off_s == ((10, 20.5),)
    for wrong in (
        ["specimen.beam_off_s=[[10]]"],
        ["specimen.beam_off_s=[[1, 2]]", "specimen.log=a.csv"],
        ["specimen.nominal_current_a=0"],
    ):
        with pytest.raises(InsitrackError, match=r"expected|give one"):
            load_config(assignments=wrong)
    with pytest.raises(SettingsError, match="do not overlap"):
        Exposure(1e-3, ((0.0, 10.0), (5.0, 20.0)))


@pytest.mark.parametrize(
    ("lines", "start", "seconds"),
    [
        (["30/04/2026 23:59", "01/05/2026 00:01"], "30/04/2026 23:58", [60, 180]),
        (["04/30/2026 23:59", "05/01/2026 00:01"], "04/30/2026 23:58", [60, 180]),
        (["01.05.2026 10:00", "02.05.2026 10:00"], "2026-05-01T10:00", [0, 86_400]),
        (["05/05/2026 10:00", "05/05/2026 10:01"], "2026-05-05T10:00", [0, 60]),
    ],
)
def test_the_order_of_day_and_month_is_that_of_the_whole_column(tmp_path, lines, start, seconds):
    text = "time,dose_dpa\n" + "".join(f"{line},{i}\n" for i, line in enumerate(lines))
    assert read_log(write(tmp_path, text), log_start=start).log_t_s.tolist() == seconds


def test_dates_that_read_either_way_are_refused_and_the_setting_named(tmp_path):
    path = write(tmp_path, "time,dose_dpa\n01/05/2026 10:00,0\n02/05/2026 10:00,1\n")
    with pytest.raises(TableError, match=r"specimen\.log_dates=day_first"):
        read_log(path, log_start="2026-05-01T10:00")
    days = [
        read_log(path, log_start="2026-01-01T10:00", log_dates=order).log_t_s[-1] / 86_400
        for order in ("day_first", "month_first")
    ]
    assert days == [121, 35]
    mixed = write(tmp_path, "time,dose_dpa\n13/05/2026 10:00,0\n05/14/2026 10:00,1\n")
    with pytest.raises(TableError, match="some with the month"):
        read_log(mixed, log_start="2026-05-01")


def test_a_log_that_covers_part_of_the_times_says_so():
    beam = Exposure(log_t_s=np.array([10.0, 20.0]), log={"dose_dpa": np.array([0.0, 1.0])})
    assert not beam.outlasts_log([10.0, 20.0])
    assert beam.outlasts_log([15.0, 21.0])
    assert np.isnan(beam.dose_dpa(21.0))
    assert not Exposure(dose_rate_dpa_per_s=1.0).outlasts_log([1e9])
