"""Two readers of one table: all at once into a data frame, and piece by piece."""

import numpy as np
import pytest

from insitrack.io.tables.columns import TRACKS
from insitrack.io.tables.stream import to_parquet


@pytest.fixture
def table(tmp_path):
    """Write 20,000 rows of random numbers, some of them empty."""
    random, n = np.random.default_rng(0), 20_000
    columns = {"frame": np.repeat(np.arange(n // 10), 10), "track_id": np.tile(np.arange(10), n // 10)}
    for column in TRACKS.columns:
        if column.kind == "float":
            values = random.normal(size=n) * 10.0 ** random.integers(-3, 6, n)
            columns[column.name] = np.where(random.random(n) < 0.05, np.nan, values)
        elif column.kind == "text":
            columns[column.name] = random.choice(["loop_111", "void"], n).tolist()
        else:
            columns.setdefault(column.name, random.integers(0, 2, n))
    columns["t_s"] = np.repeat(random.normal(size=n // 10) * 1e3, 10)  # one time for a frame
    columns["size_nm"] = np.abs(columns["size_nm"])
    path = tmp_path / TRACKS.file
    path.write_text(TRACKS.header() + TRACKS.format(columns), encoding="utf-8")
    return path


def test_both_readers_of_a_table_give_the_same_numbers_to_the_last_bit(table):
    whole = TRACKS.read(table)
    pieces = list(to_parquet(table, None))
    for column in TRACKS.columns:
        if column.kind != "text":
            read = np.concatenate([piece[column.name] for piece in pieces])
            np.testing.assert_array_equal(read, whole[column.name].to_numpy())
    names = np.concatenate([piece["class_names"][piece["defect_class"]] for piece in pieces])
    assert names.tolist() == whole["defect_class"].tolist()


def test_half_a_last_line_is_not_read(table):
    whole = TRACKS.read(table)
    with table.open("a", encoding="utf-8") as stream:
        stream.write("2000,3.5,17,lo")
    assert TRACKS.read(table).equals(whole)
