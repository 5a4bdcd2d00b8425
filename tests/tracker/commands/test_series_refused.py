"""Tables and wishes that `track series` cannot take: one line, nothing written."""

import pandas as pd
import pytest

from insitrack.tracker.cli import main


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("size_nm", "sizes", 1), "line 1 lacks the column 'size_nm'"),
        (lambda text: with_cell(text, 5, "x_px", "abc"), "line 5, column x_px: 'abc' is not a number"),
        (
            lambda text: with_cell(text, 7, "frame", "1.5"),
            "line 7, column frame: '1.5': expected a whole number",
        ),
        (lambda text: swapped(text), "column frame: 0 comes after 1; sort the rows by frame"),
        (lambda text: repeated(text), r"line 3, column track_id: \d+ is in frame 0 already, at line 2"),
        (lambda text: with_units(text), "line 2 is a row of units"),
        (lambda text: with_cell(text, 4, "observed", "2"), "line 4, column observed: '2': expected 0 or 1"),
        (lambda text: text + "1,2,3\n", "has 3 cells, the header has"),
        (lambda text: text.splitlines()[0] + "\n", "no rows"),
        (lambda text: with_cell(text, 6, "track_id", ""), "line 6, column track_id: '' is not a number"),
    ],
)
def test_a_broken_table_is_told_by_line_and_column_and_writes_nothing(run, tmp_path, capsys, change, message):
    text = (run / "tracks.csv").read_text()
    (tmp_path / "mine.csv").write_text(change(text), encoding="utf-8")
    assert main(["series", str(tmp_path / "mine.csv"), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err.strip()
    assert told.count("\n") == 0
    assert pd.Series([told]).str.contains(message, regex=True).all(), told
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def with_cell(text, line, column, value):
    lines = text.splitlines()
    cells = lines[line - 1].split(",")
    cells[lines[0].split(",").index(column)] = value
    lines[line - 1] = ",".join(cells)
    return "\n".join(lines) + "\n"


def swapped(text):
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("1,"))
    lines[first], lines[first - 1] = lines[first - 1], lines[first]
    return "\n".join(lines) + "\n"


def repeated(text):
    lines = text.splitlines()
    lines.insert(2, lines[1])
    return "\n".join(lines) + "\n"


def with_units(text):
    lines = text.splitlines()
    units = {"frame": "-", "t_s": "s", "track_id": "-", "x_px": "px", "y_px": "px", "size_nm": "um"}
    lines.insert(1, ",".join(units.get(name, "") for name in lines[0].split(",")))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "segment.confidence=0.5"], "took part in finding the defects"),
        (["--set", "measure.line_length=freeman"], "need the outlines"),
        (["--labels", "a,b"], "expected 1 different names"),
        (["--every-s", "-1"], "expected a positive number of s"),
        (["--every-s", "2", "--window-s", "1"], "shorter than a time bin"),
        (["--size", "big"], "expected WxH"),
        (["--material", "unobtainium"], "no such material"),
    ],
)
def test_impossible_wishes_are_refused_in_one_line(run, tmp_path, capsys, arguments, message):
    assert main(["series", str(run), "--out", str(tmp_path / "out"), *arguments]) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert "\n" not in told


def test_what_is_no_run_is_refused(tmp_path, capsys):
    for path, message in ((tmp_path, "lacks tracks.csv"), (tmp_path / "no.csv", "no such table")):
        assert main(["series", str(path), "--out", str(tmp_path / "out")]) == 2
        assert message in capsys.readouterr().err
