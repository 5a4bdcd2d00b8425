"""Separate micrographs: nothing links them, and means over them scatter as they do."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import insitrack
from insitrack.io.intervals import poisson_interval
from insitrack.io.report.headline import headlines
from insitrack.io.sources import open_source
from insitrack.io.tables import columns as tables
from insitrack.tracker.cli import main
from insitrack.tracker.series.micrographs import mean_over_micrographs, mean_with_shared_errors


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=30), st.floats(1e-3, 1e3))
def test_the_mean_lies_in_its_interval_and_scales_with_the_unit(values, factor):
    mean, lo, hi, sd, n = mean_over_micrographs(np.array(values))
    assert 0 <= lo <= mean * (1 + 1e-9)
    assert mean <= hi * (1 + 1e-9)
    assert n == len(values)
    scaled = mean_over_micrographs(factor * np.array(values))
    assert scaled[:4] == pytest.approx([factor * one for one in (mean, lo, hi, sd)], rel=1e-6, abs=1e-9)


def test_the_interval_of_the_mean_holds_the_truth_in_95_percent_of_draws_of_clustered_counts():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        counts = rng.poisson(40 * rng.gamma(9, 1 / 9, 8)).astype(
            float
        )  # a third of scatter from place to place
        _, lo, hi, _, _ = mean_over_micrographs(counts)
        inside += lo <= 40 <= hi
    assert 0.92 < inside / 2000 < 0.97


def test_one_micrograph_has_no_interval_and_none_has_no_mean():
    assert np.isnan(mean_over_micrographs(np.array([3.0, np.nan]))[1:4]).all()
    assert mean_over_micrographs(np.array([3.0]))[0] == 3.0
    assert mean_over_micrographs(np.array([np.nan]))[4] == 0


def rows_of(n: list[int], reach: float) -> pd.DataFrame:
    """Rows of a series: counts with the interval of counting, widened by an error of `reach` in logarithms."""
    n_ = np.array(n, np.float64)
    low, high = poisson_interval(n_)
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.where(n_ > 0, n_ * np.exp(-np.hypot(np.log(n_ / low), reach)), 0.0)
        high = np.where(n_ > 0, n_ * np.exp(np.hypot(np.log(high / n_), reach)), high)
    return pd.DataFrame({"n": n_, "n_lo": low, "n_hi": high})


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 500), min_size=2, max_size=20), st.floats(0.1, 2.0))
def test_no_number_of_micrographs_makes_the_error_of_the_detector_smaller(n, reach):
    spread = mean_with_shared_errors(rows_of(n, reach), "n")
    assert spread.hi >= spread.mean * np.exp(reach) * (1 - 1e-9)
    assert spread.lo <= spread.mean * np.exp(-reach) * (1 + 1e-9)


def test_the_interval_of_many_micrographs_narrows_to_the_shared_error():
    rng = np.random.default_rng(0)
    spread = mean_with_shared_errors(rows_of(rng.poisson(50, 400).tolist(), 0.3), "n")
    assert np.log(spread.hi / spread.mean) == pytest.approx(0.3, abs=0.02)


def test_equal_counts_are_no_exact_mean_and_nothing_found_is_no_exact_zero():
    ones = mean_with_shared_errors(rows_of([1, 1, 1], 0.0), "n")
    assert ones.lo == pytest.approx(poisson_interval(3)[0] / 3)
    assert ones.hi == pytest.approx(poisson_interval(3)[1] / 3)
    none = mean_with_shared_errors(rows_of([0, 0, 0, 0], 0.0), "n")
    assert (none.mean, none.lo) == (0, 0)
    assert none.hi == pytest.approx(poisson_interval(0)[1] / 4)


def test_a_single_micrograph_has_its_own_interval():
    rows = rows_of([5], 0.5)
    spread = mean_with_shared_errors(rows, "n")
    assert (spread.lo, spread.hi) == (rows["n_lo"][0], rows["n_hi"][0])


@pytest.fixture(scope="module")
def stills(tmp_path_factory):
    """Three micrographs of different places, as a folder of pictures."""
    folder = tmp_path_factory.mktemp("stills")
    source = folder / "micrographs"
    source.mkdir()
    for seed in range(3):
        frame = next(iter(open_source(f"synth:loops?seed={seed}&frames=1&size=192")))
        cv2.imwrite(str(source / f"grain {'ABC'[seed]}, x.png"), frame.image)
    return insitrack.track(source, folder / "out", nm_per_px=0.4, stills=True, video=False)


def test_no_track_has_two_micrographs_and_nothing_is_born_or_dies(stills):
    tracks = tables.TRACKS.read(stills.folder / "tracks.csv")
    assert tracks.groupby("track_id")["frame"].nunique().max() == 1
    series = tables.SERIES.read(stills.folder / "series.csv")
    assert series["births"].sum() == 0
    assert series["deaths"].sum() == 0
    events = tables.EVENTS.read(stills.folder / "events.csv")
    assert set(events["kind"]) <= {"view"}


def test_every_micrograph_has_its_row_by_name_and_statistics_are_their_means(stills):
    micrographs = pd.read_csv(stills.folder / "micrographs.csv").query("defect_class == 'all'")
    assert micrographs["micrograph"].tolist() == [f"grain {x}, x.png" for x in "ABC"]
    statistics = pd.read_csv(stills.folder / "statistics.csv").query("defect_class == 'all'")
    row = statistics.set_index("quantity").loc["density_per_m2"]
    assert row["n"] == 3
    assert row["mean"] == pytest.approx(micrographs["density_per_m2"].mean(), rel=1e-5)


def test_headline_and_page_speak_of_micrographs_and_of_no_time(stills):
    manifest = json.loads((stills.folder / "run.json").read_text())
    statistics = pd.read_csv(stills.folder / "statistics.csv").query("defect_class == 'all'")
    mean = statistics.set_index("quantity").loc["size_nm", "mean"]
    lines = [one.line() for one in headlines(stills.folder, manifest)]
    assert all(line.endswith(", mean over 3 micrographs") for line in lines[:2])
    assert f" {mean:.3g} (" in lines[1]
    assert not any(" at " in line for line in lines)
    page = (stills.folder / "report.html").read_text(encoding="utf-8").split("<body")[-1]
    assert "3 of 3 micrographs" in page
    assert "Means over the micrographs" in page
    assert "grain A, x.png" in page
    for words in ("Against time", "Lifetimes", "First and last frame", "Kinetics</h2>", "Time ("):
        assert words not in page, words


def test_a_single_picture_is_a_micrograph_without_time_or_movie(tmp_path):
    frame = next(iter(open_source("synth:loops?seed=3&frames=1&size=128")))
    cv2.imwrite(str(tmp_path / "one.png"), frame.image)
    run = insitrack.track(tmp_path / "one.png", tmp_path / "out", nm_per_px=0.4)
    lines = [one.line() for one in headlines(run.folder, run.manifest)]
    assert not any(" at " in line or "mean over" in line for line in lines)
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert ">1 micrograph<" in page
    assert "<video" not in page
    assert not any("frame-interval" in line or "dose" in line for line in run.manifest["warnings"])


def test_the_tables_of_series_have_the_means_of_micrographs_too(stills, tmp_path):
    assert main(["series", str(stills.folder), "--thickness-nm", "80", "--out", str(tmp_path / "s")]) == 0
    statistics = pd.read_csv(tmp_path / "s" / "statistics.csv").query("defect_class == 'all'")
    assert statistics.set_index("quantity").loc["density_per_m3", "n"] == 3
    micrographs = pd.read_csv(tmp_path / "s" / "micrographs.csv")
    assert micrographs["micrograph"].unique().tolist() == [f"grain {x}, x.png" for x in "ABC"]


def test_an_edited_run_of_micrographs_has_new_means_and_no_kinetics(stills, tmp_path):
    track_id = tables.TRACKS.read(stills.folder / "tracks.csv")["track_id"].iloc[0]
    (tmp_path / "edits.csv").write_text(
        f"action,track_id,other_id,frame,defect_class\ndelete,{track_id},,,\n"
    )
    assert main(["edit", str(stills.folder), str(tmp_path / "edits.csv"), "--out", str(tmp_path / "e")]) == 0
    was, now = (
        pd.read_csv(folder / "statistics.csv")
        .query("defect_class == 'all'")
        .set_index("quantity")["mean"]["n"]
        for folder in (stills.folder, tmp_path / "e")
    )
    assert now == pytest.approx(was - 1 / 3)
    assert not (tmp_path / "e" / "kinetics.csv").exists()
    assert "3 of 3 micrographs" in (tmp_path / "e" / "report.html").read_text(encoding="utf-8")


def test_kinetics_are_absent_and_the_manifest_says_why(stills):
    assert not (stills.folder / "kinetics.csv").exists()
    results = json.loads((stills.folder / "run.json").read_text())["results"]
    assert results["micrographs"] == 3
    assert "separate micrographs" in results["kinetics"]


def test_no_warning_speaks_of_a_movie(stills):
    warnings = json.loads((stills.folder / "run.json").read_text())["warnings"]
    assert not any("view" in line or "frame-interval" in line or "--stills" in line for line in warnings)
