"""Counting rules, foil, visibility, intervals: against Monte Carlo with known truth."""

import numpy as np
import pytest

from insitrack.io.detections import Detections, Masks
from insitrack.io.errors import SettingsError
from insitrack.io.frames import Calibration
from insitrack.tracker.measure.measure import MeasureConfig, measure
from insitrack.tracker.series.counting import counted, detector_factor, visibility_factor, whole_weight
from insitrack.tracker.series.foil import foil_depth_nm, line_density_per_m2
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.series.settings import SeriesConfig

SIDE = 500.0


def thrown_discs(seed, per_frame=100.0, frames=400, low=3.0, high=25.0):
    """Discs at random far beyond the frame: centre, radius and frame of each."""
    random = np.random.default_rng(seed)
    margin = high + 5
    n = random.poisson(per_frame * ((SIDE + 2 * margin) / SIDE) ** 2, frames)
    centre = random.uniform(-margin, SIDE + margin, (n.sum(), 2))
    return centre, random.uniform(low, high, n.sum()), np.repeat(np.arange(frames), n)


def edges_of(centre, radius):
    """What a frame shows of each disc.

    Touches any border, touches the left or lower one, is in view at all.
    """
    nearest = np.clip(centre, 0, SIDE)
    seen = np.linalg.norm(centre - nearest, axis=1) < radius
    low, high = centre - radius[:, None], centre + radius[:, None]
    on_edge = ((low <= 0) | (high >= SIDE)).any(axis=1)
    return on_edge, (low[:, 0] <= 0) | (high[:, 1] >= SIDE), seen


def test_border_rules_have_the_published_biases():
    centre, radius, frame = thrown_discs(0)
    on_edge, excluded, seen = edges_of(centre, radius)
    near = ((centre < 30) | (centre > SIDE - 30)).any(axis=1)
    mean = {}
    for rule in ("gundersen", "inside", "all", "centroid"):
        which = counted(rule, on_edge, excluded, near) & seen
        area = ((SIDE - 60) / SIDE) ** 2 if rule == "centroid" else 1.0
        mean[rule] = np.bincount(frame[which], minlength=400).mean() / area
    assert mean["gundersen"] == pytest.approx(100.0, abs=1.5)
    assert mean["centroid"] == pytest.approx(100.0, abs=1.8)
    assert mean["inside"] == pytest.approx(89.3, abs=1.5)
    assert mean["all"] == pytest.approx(111.4, abs=1.5)


def test_weights_take_the_bias_out_of_the_mean_size_of_what_lies_wholly_in_view():
    centre, radius, _ = thrown_discs(1, per_frame=200.0)
    on_edge, _, seen = edges_of(centre, radius)
    whole = seen & ~on_edge
    weight = whole_weight(np.repeat(2 * radius[whole, None], 2, axis=1), np.array([SIDE, SIDE]))
    truth = radius.mean()
    assert radius[whole].mean() < 0.985 * truth
    assert np.average(radius[whole], weights=weight) == pytest.approx(truth, rel=0.005)


def test_masks_cut_by_text_in_the_field_count_by_the_side_on_which_they_are_cut():
    crops, corners = [np.ones((10, 10), bool)] * 5, [(40, 20), (40, 60), (20, 40), (60, 40), (80, 80)]
    masks = Masks.from_crops(crops, corners)
    found = Detections(
        0, 0.0, (100, 100), masks.boxes(), np.ones(5, np.int64), np.ones(5, np.float32), masks, ("void",)
    )
    field = np.ones((100, 100), bool)
    field[30:60, 30:60] = False
    measures = measure(found, Calibration(nm_per_px=1.0, field=field), MeasureConfig())
    # left of the text, right of it, above it, below it, far away
    assert measures.on_edge.tolist() == [True, True, True, True, False]
    assert measures.on_exclusion_edge.tolist() == [False, True, True, False, False]


def test_abercrombie_gives_the_density_of_spheres_cut_by_the_surfaces_of_the_foil():
    random = np.random.default_rng(2)
    depth = random.uniform(-100, 300, 400_000)
    seen = (depth > -10) & (depth < 110)  # spheres of 20 nm, a foil from 0 to 100 nm
    per_nm = len(depth) / 400
    assert seen.sum() / per_nm == pytest.approx(float(foil_depth_nm("abercrombie", 100.0, 20.0)), rel=0.01)
    assert float(foil_depth_nm("none", 100.0, 20.0)) == 100.0


def one_void(n=20, d_px=20, **settings):
    crops = [np.ones((d_px, d_px), bool)] * n
    corners = [(30 + 30 * (i // 10), 30 + 40 * (i % 10)) for i in range(n)]
    masks = Masks.from_crops(crops, corners)
    found = Detections(
        0, 0.0, (500, 500), masks.boxes(), np.ones(n, np.int64), np.ones(n, np.float32), masks, ("void",)
    )
    calibration = Calibration(nm_per_px=1.0, thickness_nm=100.0)
    measures = measure(found, calibration, MeasureConfig())
    meter = SeriesMeter(SeriesConfig(**settings), calibration, class_names=("void",))
    return meter, meter.rows(0, 0.0, found, measures, np.ones(n, bool))[0]


def test_foil_corrections_act_on_density_and_swelling():
    plain, size = one_void()[1], float(np.sqrt(4 * 400 / np.pi))
    cut = one_void(foil="abercrombie", smallest_cap_nm=2.0)[1]
    bare = one_void(foil="denuded", denuded_zone_nm=10.0)[1]
    assert cut.density_per_m3 == pytest.approx(plain.density_per_m3 * 100 / (100 + size - 4))
    assert bare.density_per_m3 == pytest.approx(plain.density_per_m3 * 100 / 80)
    assert (cut.density_per_m2, bare.density_per_m2) == (plain.density_per_m2, plain.density_per_m2)
    assert bare.volume_fraction == pytest.approx(plain.volume_fraction * 100 / 80)
    with pytest.raises(SettingsError, match="nothing of the foil is left"):
        one_void(foil="denuded", denuded_zone_nm=50.0)


def test_visibility_and_detector_multiply_densities_and_widen_their_intervals():
    plain = one_void()[1]
    hidden = one_void(visibility_by_class={"void": 1.5}, visibility_reason="test")[1]
    assert hidden.density_per_m3 == pytest.approx(1.5 * plain.density_per_m3)
    assert hidden.n == plain.n
    assert hidden.density_per_m2_hi == pytest.approx(1.5 * plain.density_per_m2_hi)
    found = one_void(detector_precision={"all": 0.9}, detector_recall={"void": 0.75}, detector_labels=100)[1]
    assert found.density_per_m2 == pytest.approx(1.2 * plain.density_per_m2)
    assert found.density_per_m2_hi / found.density_per_m2 > plain.density_per_m2_hi / plain.density_per_m2
    assert any("saying why" in line for line in one_void(visibility_by_class={"void": 1.5})[0].warnings)


@pytest.mark.parametrize(
    ("imaging", "of_111", "of_100"),
    [
        ("two_beam_110", 2, 1.5),
        ("two_beam_200", 1, 3),
        ("two_beam_211", 4 / 3, 1),
        ("on_zone_001_edge_on", 1, 1.5),
    ],
)
def test_visibility_follows_from_the_variants_that_g_b_leaves(imaging, of_111, of_100):
    assert visibility_factor(imaging, "loop_111") == visibility_factor(imaging, "dislocation") == of_111
    assert visibility_factor(imaging, "loop_100") == of_100
    assert visibility_factor(imaging, "black_dot") == 1


def test_detector_error_is_that_of_two_binomial_shares():
    random = np.random.default_rng(3)
    precision, recall = random.binomial(400, 0.9, 20_000) / 400, random.binomial(400, 0.75, 20_000) / 400
    assert (precision / recall).std() / 1.2 == pytest.approx(detector_factor(0.9, 0.75, 400)[1], rel=0.05)
    assert detector_factor(0.9, 0.9, 0) == (1.0, 0.0)


def test_a_void_larger_than_the_foil_is_flagged():
    meter, _ = one_void(n=1, d_px=120)
    assert any("the foil is only 100 nm thick" in line for line in meter.warnings)


def test_swelling_counts_every_void_by_its_own_volume_and_has_two_denominators():
    row = one_void()[1]
    d = float(np.sqrt(4 * 400 / np.pi))
    share = 20 * np.pi / 6 * d**3 / (500 * 500 * 100)
    assert row.volume_fraction == pytest.approx(share)
    assert row.swelling_percent == pytest.approx(100 * share / (1 - share))
    assert row.swelling_percent_lo < row.swelling_percent < row.swelling_percent_hi
    assert one_void(swelling_denominator="foil")[1].swelling_percent == pytest.approx(100 * share)
    nothing = one_void(n=0)[1]
    assert (nothing.volume_fraction, nothing.swelling_percent) == (0.0, 0.0)
    assert np.isnan(nothing.swelling_percent_hi)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"border": "half"}, "expected one of gundersen"),
        ({"border": "centroid"}, "needs series.border_guard_px"),
        ({"foil": "denuded"}, "needs series.denuded_zone_nm"),
        ({"visibility_by_class": {"void": 0.5}}, "expected 1 or more"),
        ({"detector_precision": {"all": 0.9}}, "give both or neither"),
        ({"detector_precision": {"all": 0.0}, "detector_recall": {"all": 0.9}}, "above 0"),
        ({"black_dots_as": {"loop_111": 0.5}}, "sum to 1"),
        ({"superposition": "weighted"}, "needs series.superposition_value"),
        ({"superposition": "power", "superposition_value": 3.0}, "the power"),
        ({"superposition_value": 0.5}, "means nothing"),
        ({"visibility_by_class": {"voids": 2.0}}, "unknown class"),
    ],
)
def test_settings_out_of_their_range_are_refused_in_one_line(settings, message):
    with pytest.raises(SettingsError, match=message) as error:
        SeriesConfig(**settings)
    assert "\n" not in str(error.value)


def test_worked_numbers_of_the_line_density():
    # 5000 nm in 500 x 500 nm, 100 nm thick
    assert line_density_per_m2(5000.0, 250_000.0, 100.0, four_over_pi=False) == pytest.approx(2.000e14)
    assert line_density_per_m2(5000.0, 250_000.0, 100.0) == pytest.approx(2.546e14, rel=1e-3)
    assert np.isnan(line_density_per_m2(5000.0, 250_000.0, np.nan))


def test_projection_and_crossings_agree_on_random_lines():
    # straight lines across a square of side 1: length per area, times 2/pi, is the number of crossings per
    # test length
    rng = np.random.default_rng(3)
    n, length = 40_000, 0.2
    start, heading = rng.uniform(-0.2, 1.2, (n, 2)), rng.uniform(0, 2 * np.pi, n)
    end = start + length * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    crossings = (
        (start[:, 1] - 0.5) * (end[:, 1] - 0.5) < 0
    ).sum() / 1.4  # with the line y = 0.5, per unit of its length
    per_area = n * length / 1.4**2
    assert crossings == pytest.approx(2 / np.pi * per_area, rel=0.06)
