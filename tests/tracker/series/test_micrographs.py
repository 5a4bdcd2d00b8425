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
from insitrack.io.sources import open_source
from insitrack.io.tables import columns as tables
from insitrack.tracker.series.micrographs import mean_over_micrographs


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


def test_kinetics_are_absent_and_the_manifest_says_why(stills):
    assert not (stills.folder / "kinetics.csv").exists()
    results = json.loads((stills.folder / "run.json").read_text())["results"]
    assert results["micrographs"] == 3
    assert "separate micrographs" in results["kinetics"]


def test_no_warning_speaks_of_a_movie(stills):
    warnings = json.loads((stills.folder / "run.json").read_text())["warnings"]
    assert not any("view" in line or "frame-interval" in line or "--stills" in line for line in warnings)
