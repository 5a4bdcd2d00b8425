"""However a run ends, `run.json` says how and why, and what was done stays readable."""

import json
import shutil
import threading

import numpy as np
import pytest
import tifffile

import insitrack
from insitrack.io.errors import OutputError, SettingsError, TableError
from insitrack.io.tables.columns import FRAMES
from insitrack.tracker.run.job import closing
from insitrack.tracker.run.resume import resume

SOURCE = "synth:loops?seed=3&frames=4&size=128"


@pytest.mark.parametrize("place", ["write_report", "refine_run", "run_warnings"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [(TableError("no room"), "no room"), (ZeroDivisionError("by zero\nhere"), "ZeroDivisionError: by zero")],
)
def test_a_fault_after_the_last_frame_leaves_a_run_that_has_failed_says_why_and_can_be_finished(
    tmp_path, monkeypatch, place, error, reason
):
    def broken(*arguments, **options):
        raise error

    out = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(closing, place, broken)
        with pytest.raises(type(error), match=str(error)[:5]):
            insitrack.track(SOURCE, out, video=False)
    manifest = json.loads((out / "run.json").read_text())
    assert (manifest["status"], manifest["reason"]) == ("failed", reason)
    assert len(FRAMES.read(out / "frames.csv")) == 4
    again = resume(out)
    assert (again.manifest["status"], again.manifest["reason"]) == ("done", "")
    assert (out / "report.html").is_file()


def test_a_report_that_cannot_be_written_is_a_warning_of_a_run_that_is_done(tmp_path, monkeypatch):
    def broken(*arguments, **options):
        raise OutputError("no room for it")

    monkeypatch.setattr(closing, "write_report", broken)
    run = insitrack.track(SOURCE, tmp_path / "run", video=False)
    assert run.manifest["status"] == "done"
    assert "no room for it" in run.manifest["warnings"]


def test_a_run_that_was_stopped_says_so(tmp_path):
    stop = threading.Event()
    run = insitrack.track(
        SOURCE, tmp_path / "run", video=False, stop=stop, progress=lambda tally, n_frames: stop.set()
    )
    assert run.manifest["status"] == "stopped"
    assert "asked" in run.manifest["reason"]


def test_drawing_the_movie_is_told_and_can_be_ended_with_all_tables_whole(tmp_path):
    stop, seen = threading.Event(), []

    def tell(tally, n_frames):
        seen.append((tally.frames, tally.drawn))
        if tally.drawn == 2:
            stop.set()

    run = insitrack.track(SOURCE, tmp_path / "run", stop=stop, progress=tell)
    assert seen == [(1, 0), (2, 0), (3, 0), (4, 0), (4, 1), (4, 2)]
    assert run.manifest["status"] == "done"
    assert any(
        "annotated.mp4 ends at frame 2 of 4; track annotate" in line for line in run.manifest["warnings"]
    )
    assert len(run.frames) == 4


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["drawn", "pictures", "movie"])
def test_a_start_beyond_the_end_leaves_an_earlier_run_as_it_was(tmp_path, kind):
    source = SOURCE
    if kind == "pictures":
        source = tmp_path / "pictures"
        source.mkdir()
        for i in range(3):
            tifffile.imwrite(
                source / f"{i}.tif", np.random.default_rng(i).integers(90, 160, (64, 64), np.uint8)
            )
    out = tmp_path / "run"
    insitrack.track(SOURCE, out, video=True)
    if kind == "movie":
        source = shutil.copy(out / "annotated.mp4", tmp_path / "movie.mp4")
    before = contents(out)
    with pytest.raises(SettingsError, match=r"--start 1000: .* ends at"):
        insitrack.track(source, out, overwrite=True, start_s=1000.0)
    assert contents(out) == before
