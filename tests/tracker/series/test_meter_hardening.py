"""Hardening in the series: which law for which class, what is left out and said so, totals and their intervals."""

import math
from dataclasses import replace

import numpy as np
import pytest

from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.errors import SettingsError
from insitrack.io.frames import Calibration
from insitrack.io.results import Measures
from insitrack.tests.support.meters import FOIL, TEST_SET, iron, rows_of, shen
from insitrack.tracker.hardening.laws import dispersed_barrier, taylor
from insitrack.tracker.hardening.materials import load_material
from insitrack.tracker.hardening.models import Barrier, Material
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.series.settings import SeriesConfig


def test_one_lone_defect_at_the_border_does_not_empty_the_hardening_of_all():
    meter = SeriesMeter(SeriesConfig(), FOIL, iron())
    cut = rows_of(meter, {"black_dot": [8.0] * 5, "loop_111": [20.0]}, edge=("loop_111",))
    whole = rows_of(SeriesMeter(SeriesConfig(), FOIL, iron()), {"black_dot": [8.0] * 5, "loop_111": [20.0]})
    assert math.isnan(cut["loop_111"].size_nm)
    assert cut["loop_111"].n == 1
    for name in ("loop_111", "all"):
        assert cut[name].hardening_linear_mpa == pytest.approx(whole[name].hardening_linear_mpa)
    assert cut["all"].hardening_linear_mpa > cut["black_dot"].hardening_linear_mpa > 0
    assert any("loop_111: no size in 1 frames" in line for line in meter.warnings)


def test_parts_cut_by_the_border_give_no_narrower_interval_than_one_unknown_size():
    def width(n: int, edge: tuple[str, ...]) -> float:
        rows = rows_of(SeriesMeter(SeriesConfig(), FOIL, iron()), {"loop_111": [20.0] * n}, edge=edge)
        row = rows["loop_111"]
        return (row.hardening_linear_mpa_hi - row.hardening_linear_mpa) / row.hardening_linear_mpa

    # sizes that were measured narrow it with their number, parts of equal extent do not
    assert width(40, ("loop_111",)) > 0.39  # 1.96 x 0.40 / 2
    assert width(40, ()) < 0.35


def test_a_class_without_strength_is_left_out_of_the_total_and_named():
    meter = SeriesMeter(SeriesConfig(), FOIL, load_material("fecral"))
    rows = rows_of(meter, {"black_dot": [8.0] * 6, "precipitate": [4.0] * 6})
    assert math.isnan(rows["precipitate"].hardening_linear_mpa)
    assert rows["all"].hardening_linear_mpa == pytest.approx(rows["black_dot"].hardening_linear_mpa)
    assert any(
        "no barrier strength for precipitate" in line and "leaves them out" in line for line in meter.warnings
    )
    assert any("generic, +-50 %" in line for line in meter.warnings)


@pytest.mark.parametrize("name", ["void", "dislocation"])
def test_total_is_unknown_not_zero_where_nothing_of_what_is_there_has_a_strength(name):
    row = rows_of(SeriesMeter(SeriesConfig(), FOIL, iron()), {name: [4.0] * 6})["all"]
    assert math.isnan(row.hardening_linear_mpa)
    assert math.isnan(row.hardening_quadrature_mpa)


def test_a_material_without_strengths_hardens_nothing_not_even_by_zero():
    assert math.isnan(
        rows_of(SeriesMeter(SeriesConfig(), FOIL, iron(alphas={})), {})["all"].hardening_linear_mpa
    )


def test_line_dislocations_count_but_enter_neither_hardening_nor_the_mean_size_of_all():
    meter = SeriesMeter(SeriesConfig(), FOIL, iron(alphas={**TEST_SET, "dislocation": 0.3}))
    rows = rows_of(meter, {"black_dot": [8.0] * 6, "dislocation": [300.0]})
    assert math.isnan(rows["dislocation"].hardening_linear_mpa)
    assert rows["all"].hardening_linear_mpa == pytest.approx(rows["black_dot"].hardening_linear_mpa)
    assert (rows["all"].n, rows["all"].size_nm) == (7, 8.0)
    assert any(line.startswith("dislocation: hardening by lines") for line in meter.warnings)


def test_obstacle_burgers_vector_reaches_the_rows():
    own = {"loop_100": Barrier(constant=0.3, burgers_nm=0.287)}
    meter = SeriesMeter(
        SeriesConfig(), FOIL, Material(shear_modulus_gpa=82.0, burgers_nm=0.248, barriers=own)
    )
    assert rows_of(meter, shen({"loop_100": 132}))["loop_100"].hardening_linear_mpa == pytest.approx(
        111.8, abs=0.05
    )


def lines_found(lengths_nm, meter_settings=(), material=None):
    """Frame with straight line dislocations of given lengths, 1 nm per px."""
    n = len(lengths_nm)
    blank = np.zeros(n)
    masks = Masks.from_crops([np.ones((3, 9), bool)] * n, [(10, 10 + 12 * i) for i in range(n)])
    label = np.full(n, DEFECT_CLASSES.index("dislocation") + 1)
    found = Detections(0, 0.0, (400, 500), masks.boxes(), label, np.ones(n, np.float32), masks)
    measures = Measures(*[blank] * 6, np.zeros(n, bool), np.full(n, 9.0), blank, np.array(lengths_nm, float))
    meter = SeriesMeter(SeriesConfig(**dict(meter_settings)), FOIL, material)
    rows = meter.rows(0, 0.0, found, measures, np.ones(n, bool))
    return meter, {row.defect_class: row for row in rows}


def test_lines_harden_by_taylors_law_where_the_density_before_is_known():
    material = Material(
        shear_modulus_gpa=82.0,
        burgers_nm=0.248,
        barriers={"dislocation": Barrier(constant=0.3, constant_sd=0.03)},
    )
    meter, rows = lines_found([400.0, 300.0], {"unirradiated_line_density_per_m2": 0.0}, material)
    rho = rows["dislocation"].line_density_per_m2
    assert rows["dislocation"].hardening_linear_mpa == pytest.approx(float(taylor(rho, material, alpha=0.3)))
    assert rows["all"].hardening_linear_mpa == pytest.approx(rows["dislocation"].hardening_linear_mpa)
    assert (
        rows["all"].hardening_linear_mpa_lo
        < rows["all"].hardening_linear_mpa
        < rows["all"].hardening_linear_mpa_hi
    )
    assert not [line for line in meter.warnings if "lines is not included" in line]
    more = lines_found([400.0, 300.0], {"unirradiated_line_density_per_m2": rho / 4}, material)[1]
    assert more["all"].hardening_linear_mpa == pytest.approx(rows["all"].hardening_linear_mpa / 2)
    lost = lines_found([400.0], {"unirradiated_line_density_per_m2": 10 * rho}, material)[1]
    assert lost["all"].hardening_linear_mpa == 0
    unknown, rows = lines_found([400.0], {}, material)
    assert math.isnan(rows["dislocation"].hardening_linear_mpa)
    assert any("unirradiated_line_density_per_m2" in line for line in unknown.warnings)


@pytest.mark.parametrize(
    "settings", [{"superposition": "weighted", "superposition_value": 0.5}, {"superposition": "odette_lucas"}]
)
def test_the_third_total_lies_between_the_other_two(settings):
    rows = rows_of(
        SeriesMeter(SeriesConfig(**settings), FOIL, iron(0.2)),
        {"black_dot": [8.0] * 30, "loop_111": [22.0] * 12},
    )
    total = rows["all"]
    assert total.hardening_quadrature_mpa <= total.hardening_mixed_mpa <= total.hardening_linear_mpa
    assert total.hardening_mixed_mpa_lo < total.hardening_mixed_mpa < total.hardening_mixed_mpa_hi
    assert rows["black_dot"].hardening_mixed_mpa == rows["black_dot"].hardening_linear_mpa
    plain = rows_of(SeriesMeter(SeriesConfig(), FOIL, iron(0.2)), {"black_dot": [8.0] * 30})
    assert all(math.isnan(row.hardening_mixed_mpa) for row in plain.values())


def test_powers_one_and_two_are_the_usual_totals():
    for power, name in ((1.0, "hardening_linear_mpa"), (2.0, "hardening_quadrature_mpa")):
        config = SeriesConfig(superposition="power", superposition_value=power)
        row = rows_of(
            SeriesMeter(config, FOIL, iron(0.2)), {"black_dot": [8.0] * 30, "loop_111": [22.0] * 12}
        )["all"]
        for end in ("", "_lo", "_hi"):
            assert getattr(row, f"hardening_mixed_mpa{end}") == pytest.approx(getattr(row, name + end))


def test_black_dots_may_harden_like_other_classes():
    config = SeriesConfig(black_dots_as={"loop_111": 0.25, "loop_100": 0.75})
    row = rows_of(
        SeriesMeter(config, FOIL, iron(alphas={"loop_111": 0.2, "loop_100": 0.4})), {"black_dot": [8.0] * 30}
    )["black_dot"]
    alpha = math.sqrt(0.25 * 0.2**2 + 0.75 * 0.4**2)
    assert row.hardening_linear_mpa == pytest.approx(
        float(dispersed_barrier(row.density_per_m3, 8.0, iron(), alpha=alpha))
    )
    with pytest.raises(SettingsError, match="no dispersed-barrier alpha of loop_100"):
        SeriesMeter(config, FOIL, iron(alphas={"loop_111": 0.2}))


@pytest.mark.parametrize(
    "barrier",
    [
        Barrier(constant=0.125, constant_sd=0.01, model="fkh"),
        Barrier(constant=1.52, constant_sd=0.2, model="bks"),
    ],
)
def test_every_model_reaches_the_rows_and_its_interval_agrees_with_a_monte_carlo(barrier):
    material = Material(
        shear_modulus_gpa=82.0, burgers_nm=0.248, shear_modulus_sd_gpa=4.0, barriers={"void": barrier}
    )
    calibration = Calibration(nm_per_px=1.0, nm_per_px_sd=0.02, thickness_nm=100.0, thickness_sd_nm=10.0)
    sizes = np.random.default_rng(0).normal(6.0, 1.5, 400)
    row = rows_of(SeriesMeter(SeriesConfig(), calibration, material), {"void": sizes.tolist()})["void"]
    random = np.random.default_rng(1)
    n, t, scale = random.poisson(400, 4000), random.normal(100, 10, 4000), random.normal(1, 0.02, 4000)
    density = row.density_per_m3 * n / 400 * 100 / t / scale**2
    size = row.size_nm * scale * (1 + 0.25 / 20 * random.standard_normal(4000))
    drawn = [
        float(barrier.stress(a, b, replace(material, shear_modulus_gpa=g), constant=c))
        for a, b, g, c in zip(
            density,
            size,
            random.normal(82, 4, 4000),
            random.normal(barrier.constant, barrier.constant_sd, 4000),
            strict=True,
        )
    ]
    width = row.hardening_linear_mpa_hi - row.hardening_linear_mpa_lo
    assert width == pytest.approx(2 * 1.96 * np.std(drawn), rel=0.08)
