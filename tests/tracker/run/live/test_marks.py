"""Marks of a live run: on disk before they count, and only those of somebody can be changed."""

import math

import pytest

from insitrack.io.errors import SettingsError
from insitrack.io.tables.records import MARKS, read_rows
from insitrack.tracker.run.live import marks as marks_file
from insitrack.tracker.run.live.marks import Marks


@pytest.fixture
def lines():
    return []


@pytest.fixture
def marks(tmp_path, lines):
    return Marks(tmp_path / MARKS.file, lambda t_s: 0.5 * t_s, lines.append)


def on_disk(marks):
    return [(float(row["t_s"]), row["mark"], row["by"]) for row in read_rows(marks._path, MARKS)]


def test_what_is_done_to_marks_is_in_the_table_at_once_and_in_a_run_that_goes_on(marks, tmp_path):
    first, second = marks.add(2.0, "beam on", "page"), marks.add(4.0, "tilted", "page")
    marks.add(5.0, "pause", "run")
    marks.rename(first.number, "beam really on")
    moved = marks.move(second.number, 1.0)
    assert moved.dose_dpa == 0.5
    assert [mark.text for mark in marks.all()] == ["tilted", "beam really on", "pause"]
    assert on_disk(marks) == [(2.0, "beam really on", "page"), (1.0, "tilted", "page"), (5.0, "pause", "run")]
    assert marks.remove(second.number).text == "tilted"
    again = Marks(tmp_path / MARKS.file, lambda t_s: math.nan, pytest.fail)
    assert [(mark.t_s, mark.dose_dpa, mark.text) for mark in again.all()] == [
        (2.0, 1.0, "beam really on"),
        (5.0, 2.5, "pause"),
    ]
    assert again.add(6.0, "x", "page").number not in [mark.number for mark in again.all()[:-1]]


@pytest.mark.parametrize("by", ["run", "trigger"])
def test_what_happened_cannot_be_changed(marks, by):
    number = marks.add(1.0, "stop", by).number
    for change in (
        lambda: marks.rename(number, "x"),
        lambda: marks.move(number, 9.0),
        lambda: marks.remove(number),
    ):
        with pytest.raises(SettingsError, match="says what happened"):
            change()
    with pytest.raises(SettingsError, match="there is none"):
        marks.remove(99)
    assert on_disk(marks) == [(1.0, "stop", by)]


def test_a_change_that_cannot_be_written_does_not_hold(marks, monkeypatch):
    number = marks.add(1.0, "beam on", "page").number

    def full(*_, **__):
        raise SettingsError("no space left")

    monkeypatch.setattr(marks_file, "write_text", full)
    with pytest.raises(SettingsError, match="no space left"):
        marks.rename(number, "x")
    assert [mark.text for mark in marks.all()] == ["beam on"]


def test_a_table_of_another_kind_is_left_as_it_is(tmp_path, lines):
    (tmp_path / MARKS.file).write_text("t_s,mark\n1,beam on\n")
    marks = Marks(tmp_path / MARKS.file, lambda t_s: math.nan, lines.append)
    marks.add(2.0, "beam off", "page")
    assert (tmp_path / MARKS.file).read_text() == "t_s,mark\n1,beam on\n"
    assert [mark.text for mark in marks.all()] == ["beam off"]
    assert len(lines) == 1
