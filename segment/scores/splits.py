"""Splits of labelled images into those to train on and those to test on, and the loop over them.

A split only says which images are which. It means something if images that resemble each other (one
movie, one specimen) stay on one side: `leave_out_groups` does that; random splits do not.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from insitrack.io.errors import SettingsError, TableError

Picture = TypeVar("Picture")
Model = TypeVar("Model")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class DataSplit:
    """One division of the images.

    Parameters
    ----------
    name : str
        Fit for a file name.
    train, test : tuple of int
        Places of the images in their list; together every image once, unless the split leaves some out.
    """

    name: str
    train: tuple[int, ...]
    test: tuple[int, ...]


def random_splits(n: int, k: int = 5, test_share: float = 0.2, seed: int = 0) -> list[DataSplit]:
    """Divide at random, `k` times independently, with `test_share` of the images held out each time.

    Examples
    --------
    >>> [len(split.test) for split in random_splits(107, 5, 21 / 107)]
    [21, 21, 21, 21, 21]
    """
    rng = np.random.default_rng([seed, 1])
    return [_split(f"random_{i + 1}", rng.permutation(n), test_share) for i in range(_at_least_one(k))]


def folds(n: int, k: int = 5, seed: int | None = None) -> list[DataSplit]:
    """Divide into `k` parts and hold out each once: parts of neighbours, or shuffled where a seed is given.

    Examples
    --------
    >>> folds(5, 2)[0]
    DataSplit(name='fold_1', train=(3, 4), test=(0, 1, 2))
    """
    if not 2 <= k <= n:
        raise SettingsError(f"folds:{k}: expected from 2 to as many as there are images, {n}")
    order = np.arange(n) if seed is None else np.random.default_rng([seed, 2]).permutation(n)
    parts = np.array_split(order, k)
    return [
        _made(f"fold_{i + 1}", np.concatenate(parts[:i] + parts[i + 1 :]), part)
        for i, part in enumerate(parts)
    ]


def leave_out_percent(
    n: int, percents: Sequence[float] = (10, 25, 50, 75, 90), repeats: int = 3, seed: int = 0
) -> list[DataSplit]:
    """Hold out a share of the images at random, several times for each share (Jacobs et al. 2022, figure 8).

    Examples
    --------
    >>> [(split.name, len(split.test)) for split in leave_out_percent(20, (10, 50), 1)]
    [('leave_out_10_percent_1', 2), ('leave_out_50_percent_1', 10)]
    """
    rng = np.random.default_rng([seed, 3])
    names = [
        (percent, f"leave_out_{percent:g}_percent_{i + 1}")
        for percent in percents
        for i in range(_at_least_one(repeats))
    ]
    return [_split(name, rng.permutation(n), percent / 100) for percent, name in names]


def leave_out_groups(values: Sequence[str]) -> list[DataSplit]:
    """Hold out every group of images once; `values` names the group of each image.

    A group is an alloy, a microscope or a movie, for example.

    Raises
    ------
    SettingsError
        If there is one group only.

    Examples
    --------
    >>> [(split.name, split.test) for split in leave_out_groups(["C35M", "C35M", "C06M"])]
    [('without_C06M', (2,)), ('without_C35M', (0, 1))]
    """
    groups = sorted(set(values))
    if len(groups) < 2:
        raise SettingsError(
            f"all {len(values)} images are in one group, {groups[0] if groups else ''!r}: expected at least"
            " two groups to leave one out"
        )
    of = np.array(values)
    return [
        _made(f"without_{_fit(group)}", np.flatnonzero(of != group), np.flatnonzero(of == group))
        for group in groups
    ]


def learning_curve(n: int, steps: int = 5, test_share: float = 0.2, seed: int = 0) -> list[DataSplit]:
    """Hold out one test set and train on more and more of the rest.

    The share doubles each time and ends with all of it.

    Examples
    --------
    >>> [(len(split.train), split.test == learning_curve(20, 3)[0].test) for split in learning_curve(20, 3)]
    [(4, True), (8, True), (16, True)]
    """
    whole = _split("", np.random.default_rng([seed, 4]).permutation(n), test_share)
    order = np.random.default_rng([seed, 5]).permutation(np.array(whole.train))
    sizes = sorted({max(1, round(len(order) / 2**step)) for step in range(_at_least_one(steps))})
    return [DataSplit(f"train_on_{size}", tuple(sorted(order[:size].tolist())), whole.test) for size in sizes]


def splits_from(
    text: str, names: Sequence[str], table: Mapping[str, Mapping[str, str]], seed: int = 0
) -> list[DataSplit]:
    """Make splits from their short form.

    Parameters
    ----------
    text : str
        ``random:5``, ``folds:5``, ``percent:10,50,90``, ``learning:5``, or ``group:COLUMN`` of the table.
    names : sequence of str
        Names of the images.
    table : mapping
        Row of each image name, as `read_table` gives it.
    seed : int
        Seed of what is random.

    Raises
    ------
    SettingsError
        If the form is unknown or the table lacks an image or the column.
    """
    kind, _, rest = text.partition(":")
    n = len(names)
    if n < 2:
        raise SettingsError(f"--split {text}: {n} labelled images; expected at least two to split")
    try:
        if kind == "group" and rest:
            return leave_out_groups([_group(name, rest, table) for name in names])
        if kind == "percent" and rest:
            return leave_out_percent(n, [float(value) for value in rest.split(",")], seed=seed)
        count = int(rest or 5)
        if kind == "random":
            return random_splits(n, count, seed=seed)
        if kind == "learning":
            return learning_curve(n, count, seed=seed)
        if kind == "folds":
            return folds(n, count)
    except ValueError as error:
        raise SettingsError(f"--split {text}: {error}; expected a number after the colon") from error
    raise SettingsError(
        f"--split {text}: expected random:5, folds:5, percent:10,50, learning:5 or group:COLUMN"
    )


def read_table(path: Path) -> dict[str, dict[str, str]]:
    """Read facts of images, one row each.

    There is a column `file`, and any others, such as alloy, irradiation, microscope or nm_per_px.

    Returns
    -------
    dict of str to dict
        The row of each image, by its file name without folder and suffix.

    Raises
    ------
    TableError
        If the file cannot be read, or there is no column `file`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(
            f"--table {path}: cannot be read ({error}); expected comma-separated text with a header line"
        ) from error
    if not rows or "file" not in rows[0]:
        raise TableError(
            f"--table {path}: expected a header line with the column 'file' and one row per image"
        )
    return {
        Path(row["file"] or "").stem: {key: value or "" for key, value in row.items() if key is not None}
        for row in rows
    }


def cross_validate(
    pictures: Sequence[Picture],
    splits: Sequence[DataSplit],
    train: Callable[[list[Picture], DataSplit], Model],
    test: Callable[[Model, list[Picture]], Outcome],
) -> dict[str, Outcome]:
    """Train on one part of the images and test on the other, split by split.

    Parameters
    ----------
    pictures : sequence
        Labelled images, in whatever form `train` and `test` take.
    splits : sequence of Split
        Divisions.
    train : callable
        Gets the training images and the split, returns a model.
    test : callable
        Gets the model and the test images, returns whatever is wanted of them.

    Returns
    -------
    dict of str to object
        What `test` returned, by name of the split.

    Examples
    --------
    >>> cross_validate([1.0, 2.0, 6.0], folds(3, 3), lambda known, split: sum(known) / 2, lambda mean, new: abs(mean - new[0]))
    {'fold_1': 3.0, 'fold_2': 1.5, 'fold_3': 4.5}
    """
    outcomes = {}
    for split in splits:
        model = train([pictures[i] for i in split.train], split)
        outcomes[split.name] = test(model, [pictures[i] for i in split.test])
    return outcomes


def _split(name: str, order: np.ndarray[tuple[int], np.dtype[np.int64]], test_share: float) -> DataSplit:
    """First part of the order held out, at least one image on either side."""
    if not 0 < test_share < 1:
        raise SettingsError(
            f"share of test images {test_share:g}: expected more than 0 and less than 1 (0 and 100 %)"
        )
    if len(order) < 2:
        raise SettingsError(f"{len(order)} labelled images: expected at least two to split")
    n_test = min(max(1, round(len(order) * test_share)), len(order) - 1)
    return _made(name, order[n_test:], order[:n_test])


def _made(
    name: str,
    train: np.ndarray[tuple[int], np.dtype[np.int64]],
    test: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> DataSplit:
    return DataSplit(name, tuple(sorted(train.tolist())), tuple(sorted(test.tolist())))


def _at_least_one(count: int) -> int:
    if count < 1:
        raise SettingsError(f"{count} splits: expected at least one")
    return count


def _group(name: str, column: str, table: Mapping[str, Mapping[str, str]]) -> str:
    row = table.get(Path(name).stem)
    if row is None:
        raise SettingsError(
            f"--split group:{column}: no row for {name} in the table; give --table FILE.csv with the columns"
            f" file,{column}"
        )
    if not row.get(column):
        raise SettingsError(
            f"--split group:{column}: no value for {name}; the table has the columns {', '.join(row)}"
        )
    return row[column]


def _fit(group: str) -> str:
    """Text fit for a file name."""
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in group)
