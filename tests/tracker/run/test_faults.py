"""What goes wrong around a run is one line, and `run.json` says how the run ended."""

import csv
import json
import os
import resource
import shutil

import numpy as np
import pytest
import tifffile

import insitrack
from insitrack.io import manifest as manifest_module
from insitrack.io.errors import OutputError, SettingsError
from insitrack.io.extras import LEAST_FOR_TABLES_BYTES, check_memory
from insitrack.io.manifest import RunManifest
from insitrack.io.write import write_in_place
from insitrack.tracker.cli import main
from insitrack.tracker.run import loop
from insitrack.tracker.run import track as track_module
from insitrack.tracker.run.config import load_config
from insitrack.tracker.run.job import closing

SOURCE = "synth:loops?frames=5&size=192&seed=3&n=20"
SETTINGS = ["output.video=false", "specimen.thickness_nm=100", "specimen.material=fecral"]


def track(out, source=SOURCE, **more):
    return insitrack.track(source, out, config=load_config(assignments=SETTINGS), **more)


def full(*_, **__):
    raise OutputError("run.json: cannot be written (No space left on device); make room")


def test_a_folder_that_is_removed_while_a_run_writes_into_it_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "STATE_EVERY_S", 0.0)

    def remove(tally, _):
        if tally.frames == 2:
            shutil.rmtree(tmp_path / "run")

    with pytest.raises(OutputError, match="was removed or renamed while the run wrote into it") as caught:
        track(tmp_path / "run", progress=remove)
    assert "\n" not in str(caught.value)


def test_how_a_run_ended_is_written_where_nothing_else_can_be(tmp_path, monkeypatch):
    def fill_up(tally, _):
        if tally.frames == 5:
            monkeypatch.setattr(manifest_module, "write_text", full)

    run = track(tmp_path / "run", progress=fill_up)
    assert json.loads((run.folder / "run.json").read_text())["status"] == "done"


def test_a_report_that_cannot_be_written_is_a_warning_and_the_run_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(closing, "write_report", full)
    manifest = track(tmp_path / "run").manifest
    assert (manifest["status"], manifest["tables"]) == ("done", "refined")
    assert any("No space left" in line for line in manifest["warnings"])


@pytest.mark.parametrize("place", ["refine_run", "run_warnings"])
def test_an_error_after_the_last_frame_leaves_no_run_that_says_running(tmp_path, monkeypatch, place):
    def fail(*_, **__):
        raise ValueError("no such thing")

    monkeypatch.setattr(closing, place, fail)
    with pytest.raises(ValueError, match="no such thing"):
        track(tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (manifest["status"], manifest["reason"]) == ("failed", "ValueError: no such thing")
    assert manifest["conditions"]


def test_a_text_goes_over_a_longer_file_and_not_over_a_shorter_one(tmp_path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"a": 1}) + " " * 40 + "\n")
    assert write_in_place(path, '{"b": 2}\n')
    assert json.loads(path.read_text()) == {"b": 2}
    size = path.stat().st_size
    assert not write_in_place(path, "x" * 999)
    assert path.stat().st_size == size
    assert not write_in_place(tmp_path / "nowhere", "x")


def test_a_manifest_keeps_room_for_its_end(tmp_path):
    facts = RunManifest(command=["track"], source={}, model={}, calibration={}, settings={})
    facts.write(tmp_path / "run.json")
    facts.status, facts.reason = "failed", "x" * 4000
    assert len(json.dumps(facts.reason)) < (tmp_path / "run.json").stat().st_size


def test_a_name_of_three_hundred_letters_is_one_line(tmp_path):
    with pytest.raises(OutputError, match=r"File name too long|Filename too long") as caught:
        track(tmp_path / ("a" * 300))
    assert len(str(caught.value)) < 200


@pytest.mark.skipif(os.name != "posix", reason="names of POSIX are bytes")
def test_a_name_that_is_no_unicode_goes_through_the_whole_run(tmp_path, capsys):
    name = os.fsdecode(b"m\xe9x.tif")
    try:
        (tmp_path / name).touch()
    except OSError:
        pytest.skip("the disk takes no such name")
    draw = np.random.default_rng(0).integers(80, 150, (4, 96, 96), np.uint8)
    tifffile.imwrite(tmp_path / name, draw, photometric="minisblack")
    out = tmp_path / os.fsdecode(b"o\xe9")
    assert main([str(tmp_path / name), "--no-video", "--out", str(out)]) == 0
    assert json.loads((out / "run.json").read_text())["status"] == "done"
    assert (out / "report.html").is_file()


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_limit_of_memory_under_which_nothing_works_is_told_before_anything_begins(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (700_000_000, resource.RLIM_INFINITY))
    with pytest.raises(SettingsError, match=r"only 0.7 GB of memory are allowed .* expected at least 2 GB"):
        check_memory()
    with pytest.raises(SettingsError, match=r"expected at least 1.2 GB"):
        check_memory(LEAST_FOR_TABLES_BYTES)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    check_memory()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "not enough memory"),
        (RuntimeError("std::bad_alloc"), "not enough memory"),
        (OSError(24, "Too many open files", "a.csv"), "a.csv: Too many open files; allow more open files"),
        (OSError(28, "No space left on device"), "No space left on device; make room"),
    ],
)
def test_what_the_machine_lacks_is_one_line_and_no_traceback(monkeypatch, capsys, error, words):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(track_module, "track", fail)
    assert main(["synth:loops"]) == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_a_run_without_defects_is_exported_reported_edited_and_goes_through_series(tmp_path):
    draw = np.random.default_rng(0).normal(120, 3, (4, 96, 96)).clip(0, 255).astype(np.uint8)
    tifffile.imwrite(tmp_path / "e.tif", draw, photometric="minisblack")
    out, edits = tmp_path / "run", tmp_path / "edits.csv"
    given = ["--nm-per-px", "0.4", "--thickness-nm", "100", "--set", "segment.confidence=0.99"]
    assert main([str(tmp_path / "e.tif"), "--no-video", *given, "--out", str(out)]) == 0
    assert len(insitrack.Run(out).tracks) == 0
    for form in ("napari", "trackmate", "mot"):
        assert main(["export", str(out), "--to", form, "--out", str(tmp_path / form)]) == 0
    assert main(["series", str(out), "--out", str(tmp_path / "series")]) == 0
    edits.write_text("action,track_id\n")
    assert main(["edit", str(out), str(edits), "--out", str(tmp_path / "edited")]) == 0
    assert (tmp_path / "edited" / "report.html").is_file()


def test_an_edited_run_has_a_manifest_of_its_own_results(tmp_path):
    run = track(tmp_path / "run")
    first = int(run.tracks["track_id"].iloc[0])
    with (tmp_path / "edits.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["action", "track_id"], ["delete", first]])
    command = ["edit", str(run.folder), str(tmp_path / "edits.csv"), "--out", str(tmp_path / "edited")]
    assert main(command) == 0
    edited = insitrack.Run(tmp_path / "edited")
    facts = edited.manifest
    assert (
        facts["results"]["tracks"]
        == edited.tracks["track_id"].nunique()
        == run.tracks["track_id"].nunique() - 1
    )
    assert facts["results"]["detections"] == (edited.tracks["observed"] == 1).sum()
    assert (facts["status"], facts["tables"]) == ("done", "edited")
    assert facts["command"] == ["track", *command]
    assert facts["results"]["frames_read_sha256"] == run.manifest["results"]["frames_read_sha256"]
    assert facts["conditions"] == run.manifest["conditions"]
