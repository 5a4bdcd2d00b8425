"""However a run ends, `run.json` says how and why, and what was done stays readable."""

import json
import threading

import pytest

import insitrack
from insitrack.io.errors import OutputError
from insitrack.io.tables.columns import FRAMES
from insitrack.tracker.run import job
from insitrack.tracker.run.resume import resume

SOURCE = "synth:loops?seed=3&frames=4&size=128"


@pytest.mark.parametrize("place", ["write_report", "refine_run", "run_warnings"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [(OutputError("no room"), "no room"), (ZeroDivisionError("by zero\nhere"), "ZeroDivisionError: by zero")],
)
def test_a_fault_after_the_last_frame_leaves_a_run_that_has_failed_says_why_and_can_be_finished(
    tmp_path, monkeypatch, place, error, reason
):
    def broken(*arguments, **options):
        raise error

    out = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(job, place, broken)
        with pytest.raises(type(error), match=str(error)[:5]):
            insitrack.track(SOURCE, out, video=False)
    manifest = json.loads((out / "run.json").read_text())
    assert (manifest["status"], manifest["reason"]) == ("failed", reason)
    assert len(FRAMES.read(out / "frames.csv")) == 4
    again = resume(out)
    assert (again.manifest["status"], again.manifest["reason"]) == ("done", "")
    assert (out / "report.html").is_file()


def test_a_run_that_was_stopped_says_so(tmp_path):
    stop = threading.Event()
    run = insitrack.track(
        SOURCE, tmp_path / "run", video=False, stop=stop, progress=lambda tally, n_frames: stop.set()
    )
    assert run.manifest["status"] == "stopped"
    assert "asked" in run.manifest["reason"]
