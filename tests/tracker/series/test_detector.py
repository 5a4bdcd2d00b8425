"""The detector's error in intervals: it widens them, moves no number, and holds the truth as often as it says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.detections import Detections, Masks
from insitrack.io.errors import ModelError, SettingsError
from insitrack.io.frames import Calibration
from insitrack.io.intervals import poisson_interval
from insitrack.io.results import SeriesRow
from insitrack.tracker.measure.measure import MeasureConfig, measure
from insitrack.tracker.run.calibrated import calibrated
from insitrack.tracker.run.config import load_config
from insitrack.tracker.series.detector import DetectorError
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.series.settings import SeriesConfig

FOIL = Calibration(nm_per_px=1.0, thickness_nm=100.0)
NAMES = ("black_dot", "loop", "void")


def voids(**values: object) -> SeriesRow:
    """Row of twenty voids of 20 px."""
    corners = [(30 + 30 * (i // 10), 30 + 40 * (i % 10)) for i in range(20)]
    masks = Masks.from_crops([np.ones((20, 20), bool)] * 20, corners)
    labels, scores = np.ones(20, np.int64), np.ones(20, np.float32)
    found = Detections(0, 0.0, (500, 500), masks.boxes(), labels, scores, masks, ("void",))
    meter = SeriesMeter(SeriesConfig(**values), FOIL, class_names=("void",))  # type: ignore[arg-type]
    return meter.rows(0, 0.0, found, measure(found, FOIL, MeasureConfig()), np.ones(20, bool))[0]


def of(**values: object) -> DetectorError:
    return DetectorError.of(SeriesConfig(**values), NAMES)  # type: ignore[arg-type]


def ends(error: DetectorError, *n: float) -> tuple[np.ndarray, np.ndarray]:
    number = np.array([[*n, sum(n)]])
    return error.widened(number, *poisson_interval(number))


@settings(max_examples=60, deadline=None)
@given(
    n=st.lists(st.integers(0, 500), min_size=3, max_size=3),
    sd=st.floats(0.01, 2),
    bias=st.floats(-2, 2),
)
def test_it_never_narrows_below_the_number_itself_and_grows_with_the_spread(n, sd, bias) -> None:
    narrow = of(detector_log_sd={"all": sd}, detector_log_bias={"all": bias})
    wide = of(detector_log_sd={"all": 1.5 * sd}, detector_log_bias={"all": bias})
    low, high = ends(narrow, *n)
    number = np.array([[*n, sum(n)]])
    assert ((low <= number) & (number <= high)).all()
    wider_low, wider_high = ends(wide, *n)
    assert (wider_low <= low + 1e-9).all()
    assert (wider_high >= high - 1e-9).all()


def test_the_band_of_many_pictures_holds_what_scatters_so() -> None:
    rng = np.random.default_rng(0)
    error = of(detector_log_sd={"all": 0.4}, detector_log_bias={"all": 0.2})
    found = rng.integers(300, 600, 4000)
    true = found * np.exp(rng.normal(0.2, 0.4, 4000))
    held = []
    for n, there in zip(found.tolist(), true.tolist(), strict=True):
        low, high = ends(error, 0, n, 0)
        held.append(low[0, 1] <= there <= high[0, 1])
    assert 0.94 < np.mean(held) < 0.975


def test_errors_of_the_classes_of_one_picture_go_together() -> None:
    error = of(detector_log_sd={"black_dot": 0.5, "loop": 0.5})
    (low, high), n = ends(error, 1e8, 1e8, 0), 2e8
    assert high[0, -1] / n == pytest.approx(high[0, 0] / 1e8, rel=1e-3)
    assert low[0, -1] / n == pytest.approx(low[0, 0] / 1e8, rel=1e-3)


def test_a_class_that_is_not_found_among_others_keeps_its_upper_end_and_an_empty_picture_does_not() -> None:
    error = of(detector_log_sd={"void": 1.0, "loop": 0.3})
    assert ends(error, 20, 30, 0)[1][0, 2] == pytest.approx(3.689, abs=1e-3)
    assert ends(error, 0, 0, 0)[1][0, 3] == pytest.approx(3.689 * np.exp(1.96), rel=1e-3)
    assert ends(error, 0, 0, 0)[0].tolist() == [[0.0] * 4]


def test_types_that_are_mistaken_widen_one_class_and_not_the_total() -> None:
    plain = of(detector_log_sd={"all": 0.3})
    mistaken = of(detector_log_sd={"all": 0.3}, detector_type_log_sd=0.6)
    assert ends(mistaken, 50, 50, 0)[1][0, 0] > 1.5 * ends(plain, 50, 50, 0)[1][0, 0]
    assert ends(mistaken, 50, 50, 0)[1][0, 3] == ends(plain, 50, 50, 0)[1][0, 3]


def test_less_trust_widens_and_a_frame_of_unknown_trust_is_as_one_that_is_known() -> None:
    error, n = of(detector_log_sd={"all": 0.3}), np.tile([[50.0, 50.0, 0.0, 100.0]], (4, 1))
    doubted = dataclasses.replace(error, trust=np.array([1.0, np.nan, 0.7, 0.2]))
    _, high = doubted.widened(n, *poisson_interval(n))
    plain = error.widened(n, *poisson_interval(n))[1]
    assert np.array_equal(high[:2], plain[:2])
    assert plain[2, 0] < high[2, 0] < high[3, 0]


def test_scores_of_ones_own_take_the_place_of_the_models() -> None:
    given_ = of(
        detector_log_sd={"all": 1.0},
        detector_precision={"loop": 0.9},
        detector_recall={"loop": 0.8},
        detector_labels=400,
    )
    assert given_.log_sd[1] < 0.05
    assert given_.log_sd[0] == 1.0


def test_counting_alone_leaves_it_out() -> None:
    low, high = ends(of(detector_log_sd={"all": 1.0}, bands="counting"), 9, 0, 0)
    assert (low[0, 0], high[0, 0]) == pytest.approx(
        tuple(end.item() for end in poisson_interval(np.array(9.0)))
    )


def test_densities_sizes_and_volumes_widen_and_stay_where_they_are() -> None:
    plain = voids()
    known = voids(detector_log_sd={"void": 0.7}, size_log_sd=0.1)
    for name in ("n", "density_per_m2", "density_per_m3", "volume_fraction", "size_nm"):
        assert getattr(known, name) == getattr(plain, name)
    for name in ("n_hi", "density_per_m2_hi", "density_per_m3_hi", "volume_fraction_hi", "size_hi_nm"):
        assert getattr(known, name) > getattr(plain, name)
    assert known.density_per_m2_hi / known.density_per_m2 == pytest.approx(known.n_hi / known.n, rel=1e-6)


def test_a_model_brings_its_calibration_and_the_user_overrides_it() -> None:
    card = {
        "calibration": {"even_score": 0.22, "detector_log_sd": {"all": 0.4}, "learnt_on": "six experiments"}
    }
    filled = calibrated(load_config(), card)
    assert (filled.existence.even, filled.series.detector_log_sd) == (0.22, {"all": 0.4})
    own = calibrated(load_config(assignments=["existence.even_score=0.1"]), card)
    assert (own.existence.even, own.series.detector_log_sd) == (0.1, {"all": 0.4})
    assert calibrated(load_config(), {}) == load_config()


def test_an_impossible_calibration_is_refused_with_the_name_of_the_model() -> None:
    with pytest.raises(ModelError, match=r"mine: its card .* existence\.even_score = 3"):
        calibrated(load_config(), {"name": "mine", "calibration": {"even_score": 3.0}})
    with pytest.raises(SettingsError, match=r"series\.detector_log_sd of void -1"):
        SeriesConfig(detector_log_sd={"void": -1.0})
    with pytest.raises(SettingsError, match=r"series\.bands 'none': expected detector or counting"):
        SeriesConfig(bands="none")  # type: ignore[arg-type]
