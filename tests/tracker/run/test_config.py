import dataclasses
import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import insitrack
from insitrack.io.errors import SettingsError
from insitrack.tracker.run.config import RunConfig, load_config
from insitrack.tracker.run.track import _SHORT, Options

DEFAULT = Path(str(resources.files("insitrack.configs") / "default.toml"))


def test_the_documented_defaults_are_the_defaults() -> None:
    assert load_config(DEFAULT) == RunConfig()


def test_every_setting_is_documented() -> None:
    text = DEFAULT.read_text(encoding="utf-8")
    sections = re.findall(r"^\[([\w.]+)\](.*?)(?=^\[|\Z)", text, re.M | re.S)
    listed = {
        (section, key) for section, body in sections for key in re.findall(r"^(?:# )?(\w+) = ", body, re.M)
    }
    for part in dataclasses.fields(RunConfig):
        value = getattr(RunConfig(), part.name)
        if not dataclasses.is_dataclass(value):
            assert re.search(rf"^{part.name} = ", text, re.M)
            continue
        for inner in dataclasses.fields(value):
            assert (part.name, inner.name) in listed or any(
                section == f"{part.name}.{inner.name}" for section, _ in listed
            ), inner.name


@given(st.floats(0.01, 0.99))
def test_set_reaches_the_setting_it_names(value: float) -> None:
    assert load_config(assignments=[f"segment.confidence={value!r}"]).segment.confidence == value


def test_options_win_over_set_and_set_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text("[link]\nconfirm_hits = 5\npatience_s = 9\n[source]\nevery = 2\n", encoding="utf-8")
    config = load_config(
        file, ["link.patience_s=4.5", "source.every=3"], {"source.every": 7, "source.end_s": None}
    )
    assert (config.link.confirm_hits, config.link.patience_s, config.source.every, config.source.end_s) == (
        5,
        4.5,
        7,
        None,
    )


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("segment.confidense=0.3", "unknown setting 'segment.confidense'; did you mean segment.confidence"),
        ("speed=3", "unknown setting 'speed'"),
        ("segment.confidence=high", "segment.confidence = 'high': expected float"),
        ("segment.confidence=1.5", "expected a number between 0 and 1"),
        ("source.every=0", "source.every = 0"),
        ("source.every=1.5", "source.every = 1.5: expected int"),
        ("source.nm_per_px=-0.37", "source.nm_per_px = -0.37: expected a positive number"),
        ("specimen.thickness_nm=nan", "specimen.thickness_nm"),
        ("segment=3", "segment = 3: expected a section"),
        ("output.video=1", "output.video = 1: expected bool"),
        ("confidence", "expected key=value"),
        ("measure.size_definition.void=diagonal", "diagonal"),
        ('refine.glide_directions_deg=["a"]', "refine.glide_directions_deg[0] = 'a': expected float"),
        ("refine.glide_directions_deg=[30, true]", "refine.glide_directions_deg[1] = True: expected float"),
        ("segment.classes=[3]", "segment.classes[0] = 3: expected str"),
        ("link.patience_by_class.loopp=2", "link.patience_by_class.loopp: no such class; did you mean loop?"),
        ("link.patience_by_class.loop=long", "link.patience_by_class.loop = 'long': expected float"),
        ("specimen.alpha.lop_111=0.3", "specimen.alpha.lop_111: no such class; did you mean loop_111?"),
        ("series.visibility_by_class.loop=[1]", "series.visibility_by_class.loop = [1]: expected float"),
        ("source.nm_per_px=0,37", "source.nm_per_px = '0,37': expected float; use a point, 0.37"),
        ("source.every=true", "source.every = True: expected int"),
        ("segment.classes=loop", "segment.classes = 'loop': expected a list"),
        ("segment.scale=[2]", "segment.scale = [2]: expected float or str"),
        ("segment.levels=[900, 'white']", "segment.levels[1] = 'white': expected float"),
        ("specimen.beam_off_s=[[1]]", "specimen.beam_off_s[0] = [1]: expected one more item"),
        ("specimen.beam_off_s=[[1, 2, 3]]", "specimen.beam_off_s[0] = [1, 2, 3]: expected fewer items"),
        ("link.patience_by_class=3", "link.patience_by_class = 3: expected names with values"),
        ("specimen.material=\udcff.toml", "not Unicode"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(assignment: str, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)) as caught:
        load_config(assignments=[assignment])
    assert "\n" not in str(caught.value)


def test_of_several_wrong_settings_every_one_is_named() -> None:
    wrong = ["link.patience_s=long", "source.every=1.5", "output.vido=false"]
    with pytest.raises(SettingsError) as caught:
        load_config(assignments=wrong)
    assert all(text.partition("=")[0] in str(caught.value) for text in wrong)
    assert "\n" not in str(caught.value)


@given(st.floats(1e-300, 1e300))
def test_a_setting_keeps_its_last_digit(value: float) -> None:
    assert load_config(options={"link.min_gate_px": value}).link.min_gate_px == value


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_config(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[link\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="not TOML"):
        load_config(broken)


def test_the_defaults_are_toml_that_any_reader_takes() -> None:
    assert tomllib.loads(DEFAULT.read_text(encoding="utf-8"))["model"] == "loops"


def test_a_choice_that_is_none_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(
        SettingsError, match=r"series\.border = 'half': expected one of gundersen, inside, centroid, all"
    ):
        load_config(assignments=["series.border=half"])


def test_an_option_of_the_library_that_is_misspelt_is_answered_with_the_nearest(tmp_path: Path) -> None:
    for name, near in (("thicknes_nm", "thickness_nm"), ("overwrit", "overwrite"), ("segmnt", "segment")):
        with pytest.raises(SettingsError, match=rf"no option {name}; did you mean {near}\?$"):
            insitrack.track("synth:loops", tmp_path / "run", **{name: 3})
    with pytest.raises(SettingsError, match="no option xyzzy; expected some of nm_per_px, "):
        insitrack.track("synth:loops", tmp_path / "run", xyzzy=3)
    assert not (tmp_path / "run").exists()


def test_every_section_of_the_settings_is_an_option_of_the_library() -> None:
    assert {field.name for field in dataclasses.fields(RunConfig)} | set(_SHORT) == set(
        Options.__annotations__
    )
