"""Tables of detections made elsewhere: what is not told is asked for, what cannot be is refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from insitrack.io.errors import TableError
from insitrack.io.tables.read_detections import read_detections


def spots(n_frames: int = 4, n: int = 6, seed: int = 3) -> pd.DataFrame:
    """Draw the same defects in every frame."""
    random = np.random.default_rng(seed)
    x, y, size = random.uniform(20, 180, n), random.uniform(20, 180, n), random.uniform(6, 14, n)
    return pd.concat(
        [
            pd.DataFrame({"frame": t, "x_px": x + 0.1 * t, "y_px": y, "size_px": size})
            for t in range(n_frames)
        ],
        ignore_index=True,
    )


def write(folder: Path, table: pd.DataFrame, name: str = "found.csv", **how: object) -> Path:
    table.to_csv(folder / name, index=False, **how)  # type: ignore[call-overload]
    return folder / name


@pytest.mark.parametrize("numbers", [[0, 5, 10, 15], [1, 2, 3, 4], [400, 401, 402, 403], [7, 9, 20, 21]])
def test_frames_that_have_no_row_are_not_looked_at(tmp_path: Path, numbers: list[int]) -> None:
    table = spots()
    table["frame"] = np.array(numbers)[table["frame"]]
    read, _ = read_detections(write(tmp_path, table), frame_interval_s=0.5)
    assert read.numbers.tolist() == numbers
    assert read.times.tolist() == [0.5 * number for number in numbers]
    assert [len(found) for found in read.frames()] == [6] * 4
    assert [found.frame_index for found in read.frames()] == numbers
    assert any("no row" in line for line in read.warnings) == (numbers[0] == 7)


@pytest.mark.parametrize(
    ("frames", "numbers"),
    [("9", range(9)), ("1:5", range(1, 6)), ("1:9:2", range(1, 10, 2)), ("rows", [1, 3])],
)
def test_frames_that_were_looked_at_are_empty_where_they_have_no_row(
    tmp_path: Path, frames: str, numbers: list[int]
) -> None:
    table = spots(2)
    table["frame"] = 1 + 2 * table["frame"]
    read, _ = read_detections(write(tmp_path, table), frame_interval_s=1.0, frames=frames)
    assert read.numbers.tolist() == list(numbers)
    assert [len(found) for found in read.frames()] == [6 * (t in (1, 3)) for t in numbers]


@pytest.mark.parametrize("folder", [".", "causal"])
def test_a_table_of_frames_beside_the_detections_says_which_were_looked_at(
    tmp_path: Path, folder: str
) -> None:
    (tmp_path / "run" / "causal").mkdir(parents=True)
    table = spots(3)
    table["frame"] *= 5
    status = ["processed" if t % 5 == 0 else "skipped" for t in range(21)]
    frames = pd.DataFrame({"frame": range(21), "t_s": np.arange(21) * 0.1, "status": status})
    frames.assign(width_px=300, height_px=200).to_csv(tmp_path / "run" / "frames.csv", index=False)
    read, _ = read_detections(write(tmp_path / "run" / folder, table))
    assert read.numbers.tolist() == [0, 5, 10, 15, 20]
    np.testing.assert_allclose(read.times, [0, 0.5, 1, 1.5, 2])
    assert read.shape == (200, 300)
    assert [len(found) for found in read.frames()] == [6, 6, 6, 0, 0]
    assert read.frames_from.endswith("frames.csv")


def trackmate(units: tuple[str, str] | None) -> pd.DataFrame:
    """Spots with lines of explanation, units of length and time in the last of them."""
    plain = spots()
    table = pd.DataFrame({"ID": range(len(plain)), "POSITION_X": plain["x_px"], "POSITION_Y": plain["y_px"]})
    table = table.assign(POSITION_T=plain["frame"] * 0.2, FRAME=plain["frame"], RADIUS=plain["size_px"] / 2)
    if units is None:
        return table
    told = pd.DataFrame([dict.fromkeys(table.columns, word) for word in ("Spot", "X", f"({units[0]})")])
    told["POSITION_T"] = ["T", "T", f"({units[1]})"]
    return pd.concat([told, table.astype(object)])


@pytest.mark.parametrize(
    ("units", "message"),
    [
        (None, "give --length-unit"),
        (("furlong", "sec"), "give the right one with --length-unit"),
        (("nm", "frame"), "give --frame-interval-s, or --time-unit"),
        (("nm", "ns"), "give --frame-interval-s, or --time-unit"),
        (("nm", ""), "give --frame-interval-s, or --time-unit"),
    ],
)
def test_a_unit_that_is_not_told_or_not_known_is_asked_for(
    tmp_path: Path, units: tuple[str, str] | None, message: str
) -> None:
    path = write(tmp_path, trackmate(units))
    with pytest.raises(TableError, match=message):
        read_detections(path, nm_per_px=0.5)
    read, _ = read_detections(path, nm_per_px=0.5, length_unit="nm", frame_interval_s=0.2)
    np.testing.assert_allclose(read.x_px, spots()["x_px"] * 2)
    np.testing.assert_allclose(read.times, np.arange(4) * 0.2)


def test_rows_that_repeat_others_are_dropped_and_counted(tmp_path: Path) -> None:
    once = spots()
    read, _ = read_detections(write(tmp_path, pd.concat([once, once])), frame_interval_s=1.0)
    assert len(read) == len(once)
    assert f"{len(once)} of {2 * len(once)} rows repeat another row and were dropped" in read.warnings


CHANGES = {
    "contradict each other": lambda t: pd.concat([t, t.assign(size_px=t["size_px"] + 1)]),
    r"6 of 24 centres lie outside the frame of 200x200 px": lambda t: t.assign(
        x_px=t["x_px"] + 900 * (t["frame"] == 1)
    ),
    "1 of 24 centres lie outside the frame of 200x200 px": lambda t: t.assign(
        x_px=t["x_px"].where(t.index != 4, 1e300)
    ),
    "1 of 24 sizes are zero or negative": lambda t: t.assign(size_px=t["size_px"].where(t.index != 4, 0)),
    "24 of 24 sizes are zero or negative": lambda t: t.assign(size_px=-t["size_px"]),
    "24 of 24 boxes do not hold their centre": lambda t: t.assign(
        x1_px=t["y_px"] * 9, x2_px=t["y_px"] * 9 + 9, y1_px=t["y_px"] - 5, y2_px=t["y_px"] + 5
    ),
    "24 of 24 boxes have no extent": lambda t: t.assign(
        x1_px=t["x_px"] + 5, x2_px=t["x_px"] - 5, y1_px=t["y_px"] - 5, y2_px=t["y_px"] + 5
    ),
    "times that rise with the frame": lambda t: t.assign(t_s=0.0),
    "has two times": lambda t: t.assign(t_s=np.arange(len(t)) * 1.0),
    "a time of 1e\\+300 s": lambda t: t.assign(t_s=1e300 * (t["frame"] + 1)),
    "column 't_s': 'inf'": lambda t: t.assign(t_s="inf"),
    "at most 1e\\+08": lambda t: t.assign(frame=t["frame"] + 2_000_000_000),
    "expected times that rise": lambda t: t.assign(t_s=t["frame"] % 2),
}


@pytest.mark.parametrize("message", list(CHANGES))
def test_cells_that_cannot_be_are_refused_in_one_line(tmp_path: Path, message: str) -> None:
    path = write(tmp_path, CHANGES[message](spots()))
    with pytest.raises(TableError, match=message) as told:
        read_detections(path, shape=(200, 200))
    assert "\n" not in str(told.value)


def test_a_defect_that_the_border_cuts_may_have_its_centre_outside(tmp_path: Path) -> None:
    table = spots(1)
    table.loc[0, "x_px"] = -0.4 * table.loc[0, "size_px"]
    read, _ = read_detections(write(tmp_path, table), shape=(200, 200))
    assert read.x_px.min() == pytest.approx(table.loc[0, "x_px"])


def test_times_of_a_clock_count_from_the_first_frame(tmp_path: Path) -> None:
    read, _ = read_detections(write(tmp_path, spots().assign(t_s=1.7e9 + 0.5 * spots()["frame"])))
    np.testing.assert_allclose(read.times, [0, 0.5, 1, 1.5])
    assert any("count from the first frame" in line for line in read.warnings)


def test_sizes_of_the_table_go_before_those_of_its_boxes(tmp_path: Path) -> None:
    plain = spots()
    table = plain.drop(columns="size_px").assign(size_nm=plain["size_px"] * 0.5)
    for side, centre, sign in (("x1", "x", -1), ("x2", "x", 1), ("y1", "y", -1), ("y2", "y", 1)):
        table[f"{side}_px"] = table[f"{centre}_px"] + sign * plain["size_px"] * 0.4
    read, _ = read_detections(write(tmp_path, table), nm_per_px=0.5)
    np.testing.assert_allclose(read.size_px, plain["size_px"])
    with pytest.raises(TableError, match="sizes are in nm"):
        read_detections(tmp_path / "found.csv")


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("bom.csv", {"encoding": "utf-8-sig"}),
        ("semicolon.csv", {"sep": ";", "decimal": ","}),
        ("mixed.csv", {"sep": ";"}),
        ("tabs.tsv", {"sep": "\t"}),
        ("latin.csv", {"encoding": "cp1252"}),
    ],
)
def test_tables_of_a_spreadsheet_read_as_the_plain_one(
    tmp_path: Path, name: str, how: dict[str, str]
) -> None:
    table = spots().assign(note="Prüfling")
    plain, _ = read_detections(write(tmp_path, table), frame_interval_s=1.0)
    other, _ = read_detections(write(tmp_path, table, name, **how), frame_interval_s=1.0)
    np.testing.assert_array_equal(plain.boxes, other.boxes)


@pytest.mark.parametrize("told", ["sep=;\r\n", '"sep=;"\n', ""])
def test_what_a_spreadsheet_adds_above_and_below_a_table_is_no_row(tmp_path: Path, told: str) -> None:
    plain, _ = read_detections(write(tmp_path, spots()), frame_interval_s=1.0)
    text = "\ufeff" + told + spots().to_csv(index=False, sep=";", decimal=",") + ";;;\n;;;\n"
    (tmp_path / "excel.csv").write_text(text, encoding="utf-8")
    other, _ = read_detections(tmp_path / "excel.csv", frame_interval_s=1.0)
    np.testing.assert_array_equal(plain.boxes, other.boxes)
    wrong = text.replace(";;;\n;;;\n", "9;x;1;1\n")
    (tmp_path / "excel.csv").write_text(wrong, encoding="utf-8")
    line = len(wrong.splitlines())
    with pytest.raises(TableError, match=f"line {line}, column 'x_px': 'x'"):
        read_detections(tmp_path / "excel.csv", frame_interval_s=1.0)


def test_a_workbook_is_named_as_one(tmp_path: Path) -> None:
    (tmp_path / "found.xlsx").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(TableError, match="workbook of Excel"):
        read_detections(tmp_path / "found.xlsx")


def test_rows_that_repeat_others_but_for_rounding_are_one_defect(tmp_path: Path) -> None:
    once = spots()
    twice = pd.concat([once, once.assign(x_px=once["x_px"] + 1e-3, size_px=once["size_px"].round(1))])
    read, _ = read_detections(write(tmp_path, twice), frame_interval_s=1.0)
    assert len(read) == len(once)
    assert any("taken for one defect" in line for line in read.warnings)
    ring = pd.concat([once, once.assign(x_px=once["x_px"] + 1e-3, size_px=once["size_px"] * 0.8)])
    assert len(read_detections(write(tmp_path, ring), frame_interval_s=1.0)[0]) == 2 * len(once)


def test_parquet_reads_as_csv(tmp_path: Path) -> None:
    plain, _ = read_detections(write(tmp_path, spots()), frame_interval_s=1.0)
    spots().to_parquet(tmp_path / "found.parquet")
    other, _ = read_detections(tmp_path / "found.parquet", frame_interval_s=1.0)
    np.testing.assert_array_equal(plain.boxes, other.boxes)


def test_what_is_no_table_is_refused_without_being_unpacked(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text(",".join(["frame"] * 1_000_000) + "\n" + "1," * 999_999 + "1\n")
    (tmp_path / "zeros.csv").write_bytes(b"\0" * 100_000)
    (tmp_path / "utf16.csv").write_bytes("frame,x_px\n".encode("utf-16"))
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1" + b"\7" * 999 + b"PAR1")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(TableError) as told:
            read_detections(path)
        assert "\n" not in str(told.value), path


def test_parquet_that_claims_more_rows_than_its_bytes_hold_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    same = pa.array(np.zeros(1_000_000, np.int64)).dictionary_encode()
    part = pa.table(dict.fromkeys(("frame", "x_px", "y_px", "size_px"), same))
    with pq.ParquetWriter(tmp_path / "bomb.parquet", part.schema) as writer:
        for _ in range(40):
            writer.write_table(part)
    with pytest.raises(TableError, match="claims 40000000 rows"):
        read_detections(tmp_path / "bomb.parquet")
