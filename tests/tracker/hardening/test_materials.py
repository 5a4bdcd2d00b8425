"""Presets and files of material constants."""

import json
import math
from pathlib import Path

import pytest

from insitrack.io.errors import SettingsError
from insitrack.tracker.hardening.materials import EVIDENCE, load_material, material_names, with_constants

CONSTANTS = """
lattice_parameter = { value = 0.2870, unit = "nm", source = "our XRD" }
shear_modulus = { value = 80.0, sd = 2.0, unit = "GPa", source = "our resonance test" }
"""


@pytest.fixture
def material_file(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("name", material_names())
def test_every_constant_of_a_preset_has_a_unit_a_source_and_known_evidence(name):
    record = load_material(name).provenance()
    assert {"shear_modulus", "lattice_parameter", "taylor_factor"} <= record["origins"].keys()
    for origin in record["origins"].values():
        assert origin["unit"]
        assert origin["source"]
        assert origin["evidence"] in EVIDENCE
    for barrier in record["barriers"].values():
        assert barrier["source"]
        assert barrier["evidence"] in EVIDENCE
        assert barrier["constant_sd"] > 0
    assert record["alpha_set"] in ("generic", "fm_secondhand")
    assert record["caution"]
    assert json.loads(json.dumps(record)) == record


@pytest.mark.parametrize("name", material_names())
def test_no_preset_claims_constants_that_were_never_found(name):
    text = json.dumps(load_material(name).provenance())
    assert "Jacobs" not in text
    assert "Field 2015" not in text


@pytest.mark.parametrize("name", material_names())
def test_burgers_vector_follows_from_the_lattice_parameter(name):
    material = load_material(name)
    assert material.burgers_nm == pytest.approx(
        math.sqrt(3) / 2 * material.origins["lattice_parameter"]["value"]
    )
    assert material.b_source == "glide"
    assert all(barrier.burgers_nm is None for barrier in material.barriers.values())


def test_presets_hold_the_documented_numbers():
    fecral, iron, steel = (load_material(name) for name in ("fecral", "pure_iron", "fm_steel"))
    assert (fecral.shear_modulus_gpa, round(fecral.burgers_nm, 4)) == (78.0, 0.2494)
    assert (iron.shear_modulus_gpa, round(iron.burgers_nm, 4), iron.taylor_factor) == (82.0, 0.2482, 3.06)
    loops = {"black_dot": 0.2, "loop_111": 0.3, "loop_100": 0.3, "loop": 0.3}
    assert {name: barrier.constant for name, barrier in fecral.barriers.items()} == {
        **loops,
        "dislocation": 0.3,
        "void": 1.52,
    }
    assert {name for name, barrier in fecral.barriers.items() if barrier.model == "bks"} == {"void"}
    assert {name: barrier.constant for name, barrier in steel.barriers.items()} == {
        "loop_111": 0.17,
        "loop_100": 0.54,
        "void": 0.5,
    }
    assert {barrier.model for barrier in steel.barriers.values()} == {"dbh"}


@pytest.mark.parametrize("name", material_names())
def test_no_preset_has_a_strength_for_precipitates(name):
    assert "precipitate" not in load_material(name).barriers


def test_the_table_of_a_constant_is_its_model_and_a_class_has_one(material_file):
    fkh = 'fkh.black_dot = { value = 0.125, unit = "1", source = "as published" }\n'
    bks = 'bks.precipitate = { value = 0.7, sd = 0.1, unit = "1", source = "hard particles" }\n'
    material = load_material(material_file('bks_spacing = "section"\n' + CONSTANTS + fkh + bks))
    assert {name: barrier.model for name, barrier in material.barriers.items()} == {
        "black_dot": "fkh",
        "precipitate": "bks",
    }
    assert (material.bks_spacing, material.alpha_set) == ("section", "user")
    twice = CONSTANTS + fkh + 'alpha.black_dot = { value = 0.2, unit = "1", source = "s" }'
    with pytest.raises(SettingsError, match="black_dot has constants of two models"):
        load_material(material_file(twice))
    with pytest.raises(SettingsError, match="unknown key 'dislocation'"):
        load_material(
            material_file(CONSTANTS + 'bks.dislocation = { value = 0.7, unit = "1", source = "s" }')
        )


def test_a_file_without_strengths_has_no_default_strength(material_file):
    material = load_material(material_file(CONSTANTS))
    assert material.barriers == {}
    assert material.alpha_set == "none"
    assert material.shear_modulus_sd_gpa == 2.0
    assert (material.taylor_factor, material.origins["taylor_factor"]["evidence"]) == (3.06, "R")


def test_a_user_file_gives_strengths_with_their_citation(material_file):
    material = load_material(
        material_file(
            'name = "A"\n'
            + CONSTANTS
            + 'alpha.void = { value = 0.6, sd = 0.1, unit = "1", source = "our fit" }'
        )
    )
    assert (material.name, material.alpha_set) == ("A", "user")
    assert (
        material.barriers["void"].constant,
        material.barriers["void"].source,
        material.barriers["void"].evidence,
    ) == (0.6, "our fit", "user")


def test_obstacle_burgers_vector_is_given_to_loops_100_only(material_file):
    alphas = "".join(
        f'alpha.{name} = {{ value = 0.3, unit = "1", source = "s" }}\n' for name in ("loop_111", "loop_100")
    )
    material = load_material(material_file('b_source = "obstacle"\n' + CONSTANTS + alphas))
    assert material.barriers["loop_100"].burgers_nm == pytest.approx(0.2870)
    assert material.barriers["loop_111"].burgers_nm is None


def test_burgers_vector_may_be_given_in_place_of_the_lattice_parameter(material_file):
    text = CONSTANTS.replace("lattice_parameter", "burgers_vector").replace("0.2870", "0.248")
    assert load_material(material_file(text)).burgers_nm == pytest.approx(0.248)


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(
        SettingsError,
        match=r"unobtainium: no such material; known are fecral, fm_steel, iron_chromium, pure_iron",
    ):
        load_material("unobtainium")


def test_missing_file_and_broken_toml_are_refused(tmp_path, material_file):
    with pytest.raises(SettingsError, match="cannot be read"):
        load_material(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="not a TOML file"):
        load_material(material_file("alpha = = 3"))


ALPHA = 'alpha.void = { value = 0.5, unit = "1", source = "s" }'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "shear_modulus missing"),
        (CONSTANTS + "colour = 1", "unknown key 'colour'; known are name, alpha_set"),
        (CONSTANTS + ALPHA.replace("void", "cavity"), "unknown key 'cavity'; known are black_dot"),
        (CONSTANTS + ALPHA.replace("void", "vacancy"), "unknown key 'vacancy'"),
        (CONSTANTS + ALPHA.replace("source", "cite"), "unknown key 'cite'; known are value"),
        (CONSTANTS + ALPHA.replace("0.5", "1.5"), "above 0 and up to 1"),
        (CONSTANTS + ALPHA.replace("0.5", "0"), "above 0 and up to 1"),
        (CONSTANTS + ALPHA.replace("0.5", "'half'"), "expected a number"),
        (CONSTANTS + ALPHA.replace(', source = "s"', ""), "lacks source"),
        (CONSTANTS + "alpha = 0.3", "one table per class"),
        (CONSTANTS + 'b_source = "loop"', "expected 'glide'"),
        (CONSTANTS.replace("GPa", "MPa"), "expected the unit 'GPa'"),
        (CONSTANTS.replace("80.0", "-80.0"), "expected a positive number"),
        (CONSTANTS.replace("80.0", "nan"), "expected a number"),
        (CONSTANTS.replace('source = "our XRD"', 'source = "x", evidence = "X"'), "evidence 'X'"),
        (CONSTANTS.replace("lattice_parameter", "taylor_factor"), "got neither"),
        (
            CONSTANTS + 'burgers_vector = { value = 0.248, unit = "nm", source = "s" }',
            "got lattice_parameter and burgers_vector",
        ),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_says_what_was_expected(material_file, text, message):
    with pytest.raises(SettingsError, match=message) as caught:
        load_material(material_file(text))
    assert "\n" not in str(caught.value)


def test_constants_from_the_command_line_go_over_those_of_a_material_or_make_one():
    steel = with_constants(
        load_material("fm_steel"), alpha={"loop_111": 0.2}, shear_modulus_gpa=80.0, taylor_factor=2.75
    )
    assert (steel.shear_modulus_gpa, steel.taylor_factor, steel.shear_modulus_sd_gpa) == (80.0, 2.75, 0.0)
    assert (
        steel.barriers["loop_111"].constant,
        steel.barriers["loop_111"].evidence,
        steel.barriers["loop_100"].constant,
    ) == (0.2, "user", 0.54)
    assert steel.origins["shear_modulus"]["source"] == "given on the command line"
    assert "changed on the command line" in steel.alpha_set
    alone = with_constants(None, alpha={"void": 0.5}, shear_modulus_gpa=82.0, burgers_nm=0.248)
    assert (alone.burgers_nm, alone.barriers["void"].constant) == (pytest.approx(0.248), 0.5)
    assert with_constants(None) is None
    with pytest.raises(SettingsError, match="give --shear-modulus-gpa"):
        with_constants(None, alpha={"void": 0.5})
    with pytest.raises(SettingsError, match="voids"):
        with_constants(None, alpha={"voids": 0.5}, shear_modulus_gpa=82.0, burgers_nm=0.248)
