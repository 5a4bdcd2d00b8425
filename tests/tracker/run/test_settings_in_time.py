"""Thickness, dose rate and material that change during a run: every number rests on what held at its frame."""

import itertools
import json
import shutil
import threading

import numpy as np
import pandas as pd
import pytest

import insitrack
from insitrack.io.errors import OutputError, SettingsError
from insitrack.io.frames import Calibration
from insitrack.io.live.page.request import ViewerRequest
from insitrack.io.sources import replay
from insitrack.io.tables.columns import SERIES
from insitrack.io.tables.records import SETTINGS
from insitrack.tests.support.live_run import GIVEN, TOLD, LiveRun
from insitrack.tracker.analysis.table_run import open_run
from insitrack.tracker.commands import series as series_command
from insitrack.tracker.run.config import load_config
from insitrack.tracker.run.live.controls import LiveControls
from insitrack.tracker.run.meters import meter_for
from insitrack.tracker.run.resume import resume
from insitrack.tracker.run.state import read_state
from insitrack.tracker.series.conditions import (
    DOSE_RATE,
    MATERIAL,
    THICKNESS,
    THICKNESS_SD,
    Change,
    read_conditions,
    write_changes,
)

MATERIALS = ("pure_iron", "fecral")


def asked(number):
    """Return the number-th of the changes that a viewer makes."""
    kind = number % 3
    if kind == 2:
        return {"action": "material", "text": MATERIALS[number % 2]}
    return {
        "action": ("thickness", "dose_rate")[kind],
        "value": (40.0 + 7.3 * number, 1e-4 * (number + 1))[kind],
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A live run during which 20 settings changed."""
    folder = tmp_path_factory.mktemp("live") / "run"
    with LiveRun(folder, fps=20.0) as live:
        for number in range(20):
            status, said = live.control(asked(number))
            assert status == 200, said
            n = live.status()["processed"]
            live.until(lambda n=n: live.status()["processed"] > n + 1)
            if number == 10:
                held = live.message()["held"]
                assert (held["thickness_nm"], held["dose_rate"]) == ("105.7", "0.0011")
    return insitrack.io.tables.run_folder.Run(folder)


def held_in(run):
    """What held at every frame, worked out from the lines of the table alone."""
    table = pd.read_csv(run.folder / SETTINGS.file, dtype=str, keep_default_na=False)
    frames = run.frames["frame"].to_numpy()
    found = {}
    for what in (THICKNESS, MATERIAL):
        found[what] = np.full(len(frames), "", object)
        for _, line in table[table["what"] == what].iterrows():
            found[what][frames >= int(line["frame"])] = line["to"]
    return found


def test_every_change_is_a_line_that_says_when_what_from_what_to_what_and_by_whom(run):
    table = pd.read_csv(run.folder / SETTINGS.file, dtype=str, keep_default_na=False)
    assert list(table.columns) == ["frame", "t_s", "clock", "what", "from", "to", "by"]
    by_page = table[table["by"] == "page"]
    assert len(by_page) == 20
    assert (by_page["frame"].astype(int).diff().dropna() >= 0).all()
    for what, part in table.groupby("what"):
        lines = part.to_dict("records")
        assert all(b["from"] == a["to"] for a, b in itertools.pairwise(lines)), what


@pytest.mark.parametrize("folder", ["causal", ""])
def test_rows_hold_the_thickness_and_the_dose_of_their_frame_before_and_after_hindsight(run, folder):
    series = SERIES.read(run.folder / folder / "series.csv")
    total = series[series["defect_class"] == "all"].set_index("frame")
    dots = series[(series["defect_class"] == "black_dot") & (series["n_counted"] > 0)]
    assert len(dots) > 20
    thickness = dict(zip(run.frames["frame"], held_in(run)[THICKNESS], strict=True))
    expected = [float(thickness[frame]) for frame in dots["frame"]]
    found = dots["density_per_m2"] / dots["density_per_m3"] * 1e9
    np.testing.assert_allclose(found, expected, rtol=2e-5)
    assert len(set(expected)) > 5
    changes = [one for one in read_conditions(run.folder / SETTINGS.file).changes if one.what == DOSE_RATE]
    t_s, dose = total["t_s"].to_numpy(), np.full(len(total), np.nan)
    for number, one in enumerate(changes):  # from each step on: what there was, and so much a second
        later = t_s > one.t_s
        start = 0.0 if number == 0 else dose_at(changes[:number], one.t_s)
        dose[later] = start + float(one.to) * (t_s[later] - one.t_s)
    np.testing.assert_allclose(total["dose_dpa"], dose, rtol=2e-5)


def dose_at(changes, t_s):
    """Dose that has been given at a time by steps of the rate."""
    ends = [*(one.t_s for one in changes[1:]), t_s]
    return sum(float(one.to) * (end - one.t_s) for one, end in zip(changes, ends, strict=True))


def test_dose_is_the_same_to_the_digit_with_and_without_hindsight(run):
    refined, causal = (SERIES.read(run.folder / name / "series.csv") for name in ("", "causal"))
    np.testing.assert_array_equal(refined["dose_dpa"], causal["dose_dpa"])
    assert refined["dose_dpa"].notna().sum() > 50
    same = (refined["n_counted"] == causal["n_counted"]) & (refined["field_nm2"] == causal["field_nm2"])
    same &= refined["defect_class"] != "all"
    assert same.sum() > 50
    pd.testing.assert_series_equal(refined["density_per_m3"][same], causal["density_per_m3"][same])


@pytest.mark.parametrize("name", ["refined", "causal"])
def test_series_makes_the_same_rows_from_the_tables_alone(run, name, tmp_path):
    source = run.folder
    if name == "causal":  # the causal tables as a run of their own
        source = tmp_path / "causal_run"
        shutil.copytree(run.folder / "causal", source)
        for file in ("frames.csv", "run.json", SETTINGS.file):
            shutil.copy(run.folder / file, source)
    made = remade(source, tmp_path / "made")
    was = SERIES.read(source / "series.csv")
    for column in ("density_per_m3", "dose_dpa", "density_per_m3_hi", "n"):
        np.testing.assert_array_equal(made[column], was[column], err_msg=column)
    np.testing.assert_allclose(
        made["hardening_linear_mpa"], was["hardening_linear_mpa"], rtol=1e-3, atol=0.05
    )
    assert made["hardening_linear_mpa"].notna().sum() > 50


def remade(source, folder, *more):
    """What `track series` makes of a run."""
    import argparse

    parser = argparse.ArgumentParser()
    series_command.add_arguments(parser)
    command = [str(source), "--out", str(folder), "--no-parquet", *more]
    assert series_command.run(parser.parse_args(command), command) == 0
    return SERIES.read(folder / "series.csv")


def test_a_thickness_given_to_series_holds_for_every_frame_and_leaves_the_rest_in_time(run, tmp_path):
    made = remade(run.folder, tmp_path / "made", "--thickness-nm", "80")
    dots = made[(made["defect_class"] == "black_dot") & (made["n_counted"] > 0)]
    np.testing.assert_allclose(dots["density_per_m2"] / dots["density_per_m3"] * 1e9, 80.0, rtol=2e-5)
    was = SERIES.read(run.folder / "series.csv")
    np.testing.assert_array_equal(made["dose_dpa"], was["dose_dpa"])
    averages = pd.read_csv(tmp_path / "made" / "averages.csv")
    assert averages["density_per_m3"].notna().all()


def test_an_average_over_several_thicknesses_is_empty_and_that_is_said(run, tmp_path, capsys):
    remade(run.folder, tmp_path / "made")
    averages = pd.read_csv(tmp_path / "made" / "averages.csv")
    assert averages["density_per_m2"].notna().all()
    assert "density_per_m3" not in averages or averages["density_per_m3"].isna().all()
    assert "changed during the run" in capsys.readouterr().err


def test_manifest_methods_and_report_say_what_held_from_which_frame_on(run):
    manifest, report = run.manifest, (run.folder / "report.html").read_text(encoding="utf-8")
    assert manifest["calibration"]["thickness_nm"] is None  # it is not one number
    conditions = read_conditions(run.folder / SETTINGS.file)
    for what, unit in ((THICKNESS, "+-"), (DOSE_RATE, "dpa/s")):
        changes = conditions.of(what)
        assert len(changes) >= 7
        recorded = [one for one in manifest["conditions"] if one["what"] == what]
        assert [(one["frame"], one["value"]) for one in recorded] == [(one.frame, one.to) for one in changes]
        for one in changes:
            assert f"{float(one.to):g} {unit}" in manifest["methods"].replace(
                f"{one.to} dpa", f"{float(one.to):g} dpa"
            )
            assert f"{what} from frame {one.frame} (" in report
    assert "pure" in manifest["methods"].lower()


def test_a_run_that_is_cut_off_goes_on_with_what_held_and_loses_no_change(tmp_path):
    class Killed(BaseException):
        pass

    config = load_config(assignments=[*TOLD, *GIVEN, "output.view="])
    n_cut, out, stop = [0], tmp_path / "run", threading.Event()

    def cut(tally, _):
        if tally.frames > 30 and (out / "resume.state").exists():
            state = read_state(out).facts
            # one that the state knows, and one that was made after it
            if not n_cut[0]:
                n_cut[0] = tally.frames
            if tally.frames - state.next_index >= 3:
                raise Killed

    with replay("synth:two_beam?frames=900&size=192&seed=3&start=0.5", fps=20.0) as camera:
        with pytest.raises(Killed):
            insitrack.track(camera.address, out, config=config, progress=cut)
        state = read_state(out).facts
        late = [
            Change(state.next_index + 2, state.last_s + 0.1, THICKNESS, "55", "page", "100"),
            Change(state.next_index + 2, state.last_s + 0.1, DOSE_RATE, "0.002", "page", ""),
        ]
        write_changes(out / SETTINGS.file, late)
        with (out / SETTINGS.file).open("a") as stream:
            stream.write("99,1.0,2026-01-01,thick")  # what a kill leaves of a line
        n = state.next_index

        def enough(tally, _):
            if tally.frames > n + 20:
                stop.set()

        again = resume(out, stop=stop, progress=enough)
    held = read_conditions(out / SETTINGS.file)
    assert held.at(THICKNESS, n) == "55"
    assert held.at(THICKNESS, n - 1) == "100"
    assert [one.by for one in held.changes if one.frame == n] == ["resume", "resume"]
    causal = SERIES.read(out / "causal" / "series.csv").query("defect_class == 'black_dot' and n_counted > 0")
    ratio = causal["density_per_m2"] / causal["density_per_m3"] * 1e9
    np.testing.assert_allclose(ratio, np.where(causal["frame"] >= n, 55.0, 100.0), rtol=2e-5)
    assert again.manifest["status"] == "done"


def test_a_record_that_was_changed_after_the_cut_is_found(tmp_path):
    class Killed(BaseException):
        pass

    def cut(tally, _):
        if tally.frames == 4:
            raise Killed

    settings = ["output.video=false", "specimen.thickness_nm=100"]
    with pytest.raises(Killed):
        insitrack.track(
            "synth:loops?frames=9&size=96&seed=3",
            tmp_path / "run",
            config=load_config(assignments=settings),
            progress=cut,
        )
    path = tmp_path / "run" / SETTINGS.file
    text = path.read_bytes()
    path.write_bytes(text.replace(b"100", b"700"))
    before = {file: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    with pytest.raises(OutputError, match="is not as it was when the run was cut off"):
        resume(tmp_path / "run")
    assert {file: file.read_bytes() for file in (tmp_path / "run").iterdir()} == before
    path.write_bytes(text)
    assert resume(tmp_path / "run").manifest["status"] == "done"


def test_undo_takes_back_the_last_change_and_then_the_one_before(tmp_path):
    with LiveRun(tmp_path / "run", settings=["specimen.thickness_sd_nm=7"]) as live:
        assert live.control({"action": "undo"})[0] == 400
        for value in (50.0, 70.0):
            assert live.control({"action": "thickness", "value": value})[0] == 200
        status, said = live.control({"action": "thickness", "value": 70.0})
        assert (status, "holds already" in said["error"]) == (400, True)
        for back in ("50", "100"):
            assert live.control({"action": "undo"})[0] == 200
            assert live.message()["held"]["thickness_nm"] == back
        assert live.message()["held"]["undo"] == ""
        assert live.control({"action": "undo"})[0] == 400
        assert live.control({"action": "material", "text": "/etc/passwd.toml"})[0] == 400
    held = read_conditions(tmp_path / "run" / SETTINGS.file)
    assert [(one.what, one.to) for one in held.changes if one.by == "undo"] == [
        (THICKNESS, "50"),
        (THICKNESS, "100"),
        (THICKNESS_SD, "7"),
    ]
    last = held.foil(10**6)
    assert (last.thickness_nm, last.thickness_sd_nm) == (100.0, 7.0)


def test_series_refuses_a_run_whose_record_is_gone(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.folder, copy)
    (copy / SETTINGS.file).unlink()
    with pytest.raises(insitrack.io.errors.TableError, match=r"missing, though run\.json lists settings"):
        open_run(copy, "copy")


@pytest.mark.parametrize("value", ["5e-324", "0.5", "1e6"])
def test_a_thickness_that_cannot_be_is_refused_wherever_it_is_given(value):
    with pytest.raises(
        SettingsError, match=r"thickness_nm = .*expected a positive number of nm from 1 to 100000"
    ):
        load_config(assignments=[f"specimen.thickness_nm={value}"])


def test_a_material_that_cannot_be_used_changes_nothing():
    meter = meter_for(load_config(assignments=["specimen.material=fecral"]), Calibration(), ("void",))
    before = meter.conditions
    with pytest.raises(SettingsError, match="unobtainium"):
        meter.follow(before.then(Change(3, 0.1, MATERIAL, "unobtainium", "page")))
    assert meter.conditions is before


def test_a_run_of_a_file_records_what_it_began_with(tmp_path):
    run = insitrack.track(
        "synth:loops?frames=3&size=96&seed=3",
        tmp_path / "run",
        config=load_config(assignments=["output.video=false", *GIVEN]),
    )
    held = read_conditions(run.folder / SETTINGS.file)
    assert {(one.what, one.to, one.by) for one in held.changes} >= {
        (THICKNESS, "100", "command"),
        (MATERIAL, "fecral", "command"),
    }
    assert json.loads((run.folder / "run.json").read_text())["calibration"]["thickness_nm"] == 100.0


class Told:
    """Stands for a camera; keeps what it is told."""

    def __init__(self):
        self.lines, self.paused = [], False
        self.tell = self.lines.append


def test_what_cannot_be_written_is_refused_or_told_and_the_run_goes_on(tmp_path):
    meter = meter_for(load_config(assignments=["specimen.thickness_nm=100"]), Calibration(), ("void",))
    camera, before = Told(), meter.conditions
    controls = LiveControls(camera, meter, tmp_path / "gone", threading.Event())
    with pytest.raises(SettingsError, match=r"settings\.csv: cannot be written .* does not hold; make room"):
        controls(ViewerRequest("thickness", value=50.0))
    assert meter.conditions is before
    assert controls(ViewerRequest("mark", "beam on")).words == "beam on"
    assert len(camera.lines) == 1
    assert "marks.csv: cannot be written" in camera.lines[0]


def test_a_dose_rate_is_refused_where_a_log_gives_the_dose(tmp_path):
    (tmp_path / "log.csv").write_text("t_s,dose_dpa\n0,0\n100,1\n")
    config = load_config(assignments=[f"specimen.log={tmp_path / 'log.csv'}"])
    meter = meter_for(config, Calibration(), ("void",))
    controls = LiveControls(Told(), meter, tmp_path, threading.Event())
    with pytest.raises(SettingsError, match="the dose comes from the log"):
        controls(ViewerRequest("dose_rate", value=0.1))
    assert controls.held()["dose_rate"] == "as logged"
    assert [one.by for one in meter.conditions.changes] == ["log"]
