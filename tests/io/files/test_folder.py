"""Folders of images: which files make the movie, in which order, and what is said of the others."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from insitrack.io.errors import SourceError
from insitrack.io.files.folder import in_order, list_folder
from insitrack.io.files.stacks import StackSource
from insitrack.io.frames import Frame

RNG = np.random.default_rng(7)


def picture(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = RNG.integers(shade, shade + 40, (12, 16), dtype=np.uint8)
    Image.fromarray(grey).save(path)
    return path


def imagej(path, nm_per_px):
    path.parent.mkdir(parents=True, exist_ok=True)
    per = 1 / nm_per_px
    grey = RNG.integers(0, 200, (12, 16), dtype=np.uint8)
    tifffile.imwrite(path, grey, imagej=True, resolution=(per, per), metadata={"unit": "nm"})
    return path


def names(listing):
    return [path and path.name for path in listing.files]


@given(st.sets(st.integers(0, 60), min_size=3, max_size=60), st.sampled_from(["{}", "{:04d}", "a{}_b"]))
def test_whole_numbers_are_counted_and_absent_ones_keep_their_place(numbers, form):
    paths = [Path(f"run_{form.format(number)}.png") for number in numbers]
    files = in_order(paths).files
    assert [path for path in files if path] == [Path(f"run_{form.format(n)}.png") for n in sorted(numbers)]
    if None in files:
        counted = sorted(numbers)
        step = (counted[-1] - counted[0]) / (len(files) - 1)
        assert step == int(step)
        for place, path in enumerate(files):
            assert path is None or path.name == f"run_{form.format(counted[0] + int(step) * place)}.png"


@given(st.sets(st.integers(0, 999), min_size=2, max_size=30), st.sampled_from([4, 10, 100]))
def test_times_in_names_are_decimal_numbers(hundredths, divisor):
    values = sorted(number / divisor for number in hundredths)
    paths = [Path(f"t_{value:g}s.png") for value in values]
    assert [path.name for path in in_order(paths).files] == [f"t_{value:g}s.png" for value in values]


def test_a_dot_that_separates_two_counts_is_not_a_decimal_point():
    ordered = [f"run.{major}.{minor}.tif" for major in (1, 2) for minor in range(1, 13)]
    assert names(in_order([Path(name) for name in sorted(ordered)])) == ordered


def test_a_series_saved_every_tenth_frame_has_no_gaps():
    listing = in_order([Path(f"f{number:05d}.png") for number in range(0, 400, 10)])
    assert None not in listing.files
    assert listing.notes == []


def test_a_missing_file_is_a_gap_in_time_and_is_said(tmp_path):
    for number in (1, 2, 3, 5, 6):
        picture(tmp_path / f"f_{number}.png")
    source = StackSource(tmp_path, frame_interval_s=0.5)
    items = list(source)
    assert [getattr(item, "status", "ok") for item in items] == ["ok", "ok", "ok", "gap", "ok", "ok"]
    assert [item.t_s for item in items] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert any("numbers missing from the names: 1" in line for line in source.warnings)


def test_hour_and_minute_folders_of_an_in_situ_camera_are_one_movie(tmp_path):
    for hour, minute, number in [(0, 9, 1), (0, 10, 0), (1, 0, 0), (0, 9, 0), (0, 10, 10), (0, 10, 9)]:
        picture(tmp_path / f"Hour_{hour:02d}" / f"Minute_{minute:02d}" / f"f{number}.png")
    order = [str(path.relative_to(tmp_path)) for path in list_folder(tmp_path).files]
    assert order == [
        str(Path(name))
        for name in (
            "Hour_00/Minute_09/f0.png",
            "Hour_00/Minute_09/f1.png",
            "Hour_00/Minute_10/f0.png",
            "Hour_00/Minute_10/f9.png",
            "Hour_00/Minute_10/f10.png",
            "Hour_01/Minute_00/f0.png",
        )
    ]


def test_a_folder_of_folders_names_those_that_hold_pictures(tmp_path):
    picture(tmp_path / "specimen_a" / "1.png")
    picture(tmp_path / "specimen_b" / "1.png")
    with pytest.raises(SourceError, match=r"specimen_a, specimen_b.*give one of them"):
        list_folder(tmp_path)


def test_previews_beside_raw_pictures_are_left_out_and_named(tmp_path):
    for number in range(4):
        picture(tmp_path / f"f{number}.tif")
        picture(tmp_path / f"f{number}.jpg")
    listing = list_folder(tmp_path)
    assert names(listing) == [f"f{number}.tif" for number in range(4)]
    assert listing.notes == ["of several formats the 4 .tif files are read; left out: 4 .jpg"]


def test_an_overview_of_another_format_is_no_frame_of_the_movie(tmp_path):
    for number in range(5):
        picture(tmp_path / f"f{number}.png")
    picture(tmp_path / "overview.tif")
    listing = list_folder(tmp_path)
    assert names(listing) == [f"f{number}.png" for number in range(5)]
    assert "left out: 1 .tif" in listing.notes[0]


def test_two_magnifications_in_a_folder_are_refused_unless_the_scale_is_given(tmp_path):
    for number in range(6):
        imagej(tmp_path / f"img_{number}.tif", 0.37 if number < 3 else 0.185)
    with pytest.raises(SourceError, match=r"states 0.37 nm/px.*states 0.185 nm/px.*--nm-per-px"):
        StackSource(tmp_path)
    source = StackSource(tmp_path, nm_per_px=0.5)
    assert source.calibration.nm_per_px == 0.5
    assert all(isinstance(item, Frame) for item in source)


def test_a_single_file_of_another_scale_is_a_damaged_frame(tmp_path):
    for number in range(40):  # more files than are sampled when the folder is opened
        imagej(tmp_path / f"img_{number:02d}.tif", 0.185 if number == 1 else 0.37)
    items = list(StackSource(tmp_path))
    assert items[1].status == "damaged"
    assert "0.185 nm/px" in items[1].reason
    assert sum(isinstance(item, Frame) for item in items) == 39
