from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.errors import SettingsError, TableError
from insitrack.segment.scores.splits import (
    cross_validate,
    folds,
    leave_out_groups,
    leave_out_percent,
    read_table,
    splits_from,
)


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(2, 40),
    text=st.sampled_from(["random:3", "folds:2", "percent:10,50,90", "group:alloy"]),
    seed=st.integers(0, 5),
)
def test_every_picture_is_on_one_side_of_every_split_and_neither_side_is_empty(
    n: int, text: str, seed: int
) -> None:
    names = [f"p{i}" for i in range(n)]
    table = {name: {"alloy": f"a{i % 2}"} for i, name in enumerate(names)}
    for split in splits_from(text, names, table, seed):
        assert split.train
        assert split.test
        assert sorted(split.train + split.test) == list(range(n))
    assert splits_from(text, names, table, seed) == splits_from(text, names, table, seed)


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=20).filter(lambda values: len(set(values)) > 1))
def test_no_group_is_on_both_sides(values: list[str]) -> None:
    splits = leave_out_groups(values)
    assert len(splits) == len(set(values))
    for split in splits:
        assert not {values[i] for i in split.train} & {values[i] for i in split.test}


def test_folds_hold_out_every_picture_once_and_keep_neighbours_together() -> None:
    splits = folds(7, 3)
    assert [split.test for split in splits] == [(0, 1, 2), (3, 4), (5, 6)]
    assert sorted(sum((split.test for split in folds(7, 3, seed=1)), ())) == list(range(7))


def test_a_learning_curve_trains_on_more_and_more_and_tests_on_the_same() -> None:
    splits = splits_from("learning:4", [str(i) for i in range(50)], {})
    assert len({split.test for split in splits}) == 1
    for smaller, larger in pairwise(splits):
        assert set(smaller.train) < set(larger.train)


def test_percent_is_the_share_of_the_test_pictures() -> None:
    assert [len(split.test) for split in leave_out_percent(182, (10, 25, 90), 1)] == [18, 46, 164]


def test_each_model_sees_its_training_pictures_only() -> None:
    seen = cross_validate(
        list("abcd"), folds(4, 2), lambda known, split: set(known), lambda model, new: model & set(new)
    )
    assert seen == {"fold_1": set(), "fold_2": set()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("thirds", "expected random:5"),
        ("random:many", "expected a number"),
        ("random:0", "at least one"),
        ("folds:9", "as many as there are images, 4"),
        ("percent:0", "more than 0"),
        ("group:alloy", "no row for d"),
        ("group:microscope", "no value for a"),
    ],
)
def test_an_impossible_split_is_one_line(text: str, message: str) -> None:
    table = {name: {"alloy": "C35M"} for name in "abc"}
    with pytest.raises(SettingsError, match=message) as caught:
        splits_from(text, list("abcd"), table)
    assert "\n" not in str(caught.value)


def test_one_picture_or_one_group_cannot_be_split() -> None:
    with pytest.raises(SettingsError, match="at least two"):
        splits_from("random:2", ["a"], {})
    with pytest.raises(SettingsError, match="at least two groups"):
        leave_out_groups(["a", "a"])


def test_a_table_is_read_by_picture_name(tmp_path: Path) -> None:
    path = tmp_path / "pictures.csv"
    path.write_text("file,alloy\nimages/one.tif,C35M\ntwo.png,C06M\n", encoding="utf-8")
    assert read_table(path)["one"]["alloy"] == "C35M"
    path.write_text("name,alloy\none,C35M\n", encoding="utf-8")
    with pytest.raises(TableError, match="'file'"):
        read_table(path)
    with pytest.raises(TableError, match="cannot be read"):
        read_table(tmp_path / "absent.csv")
