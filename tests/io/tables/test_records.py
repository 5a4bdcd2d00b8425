"""Records that grow while a run goes on: whole lines only, on disk, and nothing that a spreadsheet would run."""

import csv
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insitrack.io.errors import TableError
from insitrack.io.report.evaluation_report import write_rows
from insitrack.io.tables import records
from insitrack.io.tables.records import MARKS, append_rows, harmless, read_rows


def cells(text):
    return {"t_s": "1.5", "dose_dpa": "", "mark": text, "by": "page"}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_what_was_appended_reads_back(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("marks") / MARKS.file
    texts = [text.replace("\r", "").replace("\n", "").replace("\0", "") for text in texts]
    for text in texts:
        append_rows(path, MARKS, [cells(text)])
    assert [row["mark"] for row in read_rows(path, MARKS)] == texts


@pytest.mark.parametrize("left", [b"1.5,,half a li", b'1.5,,"open', b"\x00\x00\x00"])
def test_what_a_kill_left_of_a_line_is_not_read_and_the_next_line_is_whole(tmp_path, left):
    path = tmp_path / MARKS.file
    append_rows(path, MARKS, [cells("one")])
    with path.open("ab") as stream:
        stream.write(left)
    assert [row["mark"] for row in read_rows(path, MARKS)] == ["one"]
    append_rows(path, MARKS, [cells("two"), cells("three")])
    assert [row["mark"] for row in read_rows(path, MARKS)] == ["one", "two", "three"]


def test_a_line_that_cannot_be_written_leaves_the_table_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / MARKS.file
    append_rows(path, MARKS, [cells("one")])
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        append_rows(path, MARKS, [cells("two")])
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.fsync is not full


@pytest.mark.parametrize(
    ("text", "words"),
    [("t_s,mark\n1,a\n", "line 1: expected the columns"), ("t_s,dose_dpa,mark,by\n1,a\n", "line 2: 2 cells")],
)
def test_other_columns_and_cells_are_refused_with_the_line(tmp_path, text, words):
    path = tmp_path / MARKS.file
    path.write_text(text)
    with pytest.raises(TableError, match=words):
        read_rows(path, MARKS)


@pytest.mark.parametrize("text", ['=HYPERLINK("http://evil.example")', "+1+cmd", "@SUM(A1)", "-2+3", "\t=1"])
def test_no_spreadsheet_runs_a_name(tmp_path, text):
    assert harmless(text).startswith("'")
    write_rows(tmp_path / "pictures.csv", [{"file": text, "n": -1.5}])
    with (tmp_path / "pictures.csv").open(newline="") as stream:
        assert list(csv.DictReader(stream)) == [{"file": "'" + text, "n": "-1.5"}]
    assert harmless("-1.5e3") == "-1.5e3"
