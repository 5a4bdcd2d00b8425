"""Files that are whole or not there."""

import json
import math
import os
from contextlib import ExitStack

import numpy as np
import pytest

from insitrack.io.errors import OutputError
from insitrack.io.write import part_of, replacing, write_json, write_text


def test_a_file_keeps_its_text_until_the_new_one_is_whole(tmp_path):
    path = write_text(tmp_path / "a.txt", "old\n")
    with replacing(path) as part:
        part.write_text("new\n")
        assert path.read_text() == "old\n"
    assert path.read_text() == "new\n"
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_error_the_old_file_stays_and_no_part_is_left(tmp_path):
    path = write_text(tmp_path / "a.txt", "old\n")
    with pytest.raises(ZeroDivisionError), replacing(path) as part:
        part.write_text("half" * (part.write_text("half") // 0))
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.txt", "old\n")]


def test_of_files_that_belong_together_none_is_renamed_if_one_fails(tmp_path):
    def write_both():
        with ExitStack() as files:
            first, second = (files.enter_context(replacing(tmp_path / name)) for name in ("a", "b"))
            first.write_text("whole")
            second.write_text(f"{1 // 0}")

    with pytest.raises(ZeroDivisionError):
        write_both()
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_was_written_the_file_stays(tmp_path):
    path = write_text(tmp_path / "a.txt", "old\n")
    with replacing(path):
        pass
    assert path.read_text() == "old\n"


def test_a_folder_that_is_not_there_is_named_in_one_line(tmp_path):
    with pytest.raises(OutputError, match=r"none/a.txt: cannot be written .*; make room$") as caught:
        write_text(tmp_path / "none" / "a.txt", "", advice="make room")
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_meanwhile_is_not_said_to_be_one_that_cannot_be_written(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.txt"):
        (tmp_path / "source.csv").read_text()


def test_json_holds_null_for_what_is_not_known(tmp_path):
    path = write_json(
        tmp_path / "a.json", {"b": np.float64(1.5), "a": (math.nan, math.inf, tmp_path)}, sort_keys=True
    )
    assert json.loads(path.read_text()) == {"a": [None, None, str(tmp_path)], "b": 1.5}
    assert path.read_text().endswith("}\n")
    assert not part_of(path).exists()


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
def test_a_link_under_the_temporary_name_is_not_followed(tmp_path):
    (tmp_path / "outside").write_text("of somebody else")
    part_of(tmp_path / "a.txt").symlink_to(tmp_path / "outside")
    write_text(tmp_path / "a.txt", "new\n")
    assert (tmp_path / "outside").read_text() == "of somebody else"
    assert (tmp_path / "a.txt").read_text() == "new\n"
    assert not (tmp_path / "a.txt").is_symlink()
