"""A burnt-in scale bar: measured to the pixel, read only where a reader is, never taken silently."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.segment.prepare.scale_bar import ScaleBar, find_scale_bar, labelled, read_label
from insitrack.tracker.cli import main


def picture(x=20, y=180, length=101, height=4, level=255):
    image = cv2.GaussianBlur(
        np.random.default_rng(0).normal(120, 25, (220, 400)).astype(np.float32), (0, 0), 1.5
    )
    image = np.clip(image, 30, 220).astype(np.uint8)
    image[y : y + height, x : x + length] = level
    return image


@settings(max_examples=30, deadline=None)
@given(
    st.integers(5, 150),
    st.integers(5, 200),
    st.integers(40, 240),
    st.integers(2, 8),
    st.sampled_from([0, 255]),
)
def test_a_bar_is_measured_to_the_pixel_wherever_it_lies(x, y, length, height, level):
    found = find_scale_bar(picture(x, y, length, height, level))
    assert (found.x_px, found.y_px, found.length_px, found.height_px) == (x, y, length, height)


def test_a_picture_without_a_bar_has_none():
    image = picture(level=255)
    image[180:184] = 120
    assert find_scale_bar(image) is None
    assert find_scale_bar(np.zeros((50, 60), np.uint8)) is None


@pytest.mark.parametrize(
    ("text", "nm_per_px"),
    [
        ("50 nm", 0.5),
        ("xx 0,5 µm", 5.0),
        ("200nm\n", 2.0),
        ("1 um", 10.0),
        ("50 mm", None),
        ("nm", None),
        ("", None),
    ],
)
def test_labels_in_the_usual_units_are_understood(text, nm_per_px):
    found = labelled(ScaleBar(0, 0, 100, 4), text).nm_per_px
    assert found == (None if nm_per_px is None else pytest.approx(nm_per_px))


def test_a_reader_that_is_installed_is_asked_and_one_that_fails_is_borne(tmp_path):
    reader = tmp_path / "reader"
    reader.write_text("#!/bin/sh\necho '20 nm'\n")
    reader.chmod(0o755)
    bar = find_scale_bar(picture())
    assert read_label(picture(), bar, str(reader)).nm_per_px == pytest.approx(20 / 101)
    reader.write_text("#!/bin/sh\nexit 3\n")
    assert read_label(picture(), bar, str(reader)).nm_per_px is None
    assert read_label(picture(), bar, str(tmp_path / "nobody")).nm_per_px is None


def test_doctor_suggests_a_scale_and_takes_none(tmp_path, capsys):
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), picture())
    assert main(["doctor", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "scale           not known: give --nm-per-px" in told
    assert "scale bar       101 px long, at x 20, y 180" in told
    assert "suggestion" in told
    assert main(["doctor", str(tmp_path / "none.mp4")]) == 2
