"""The page of a beam time: what goes on and what ended, from the folders alone, and nothing else of the disk."""

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from insitrack.io.errors import SettingsError
from insitrack.tests.support.browser import BROWSER, Browser
from insitrack.tests.support.live_run import refused_with
from insitrack.tests.support.once import Once
from insitrack.tests.support.series_runs import linked_run
from insitrack.tracker.many import beamtime as module
from insitrack.tracker.many.beamtime import BeamTime, Running
from insitrack.tracker.many.beamtime_page import BeamTimeServer


@pytest.fixture(scope="module")
def night(once: Once, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that ended, one that goes on in this process, and one whose process is gone."""
    linked = once("linked_for_the_catalogue", linked_run) / "run_track"
    root = tmp_path_factory.mktemp("night")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name, process in (("cam 1/ended", 0), ("cam 2/live", os.getpid()), ("cut", gone.pid)):
        shutil.copytree(linked, root / name)
        (root / name / "report.html").write_text(f"<script>report of {name}</script>")
        if process:
            owner = {"host": socket.gethostname(), "process": process, "page": "http://127.0.0.1:5/"}
            (root / name / "run.owner").write_text(json.dumps(owner))
            facts = json.loads((root / name / "run.json").read_text())
            (root / name / "run.json").write_text(json.dumps({**facts, "status": "running"}))
    return root


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LIST_EVERY_S", 0.0)
    monkeypatch.setattr(module, "_LOOK_EVERY_S", 0.0)


def test_runs_that_go_on_are_told_from_those_that_ended_and_those_that_were_cut_off(night: Path) -> None:
    shown = BeamTime(night).look()
    assert [(one["run"], one["alive"], one["page"]) for one in shown["running"]] == [
        ("cam 2/live", True, "http://127.0.0.1:5/"),
        ("cut", False, ""),
    ]
    assert [(one["run"], one["report"]) for one in shown["ended"]] == [("cam 1/ended", True)]
    json.dumps(shown, allow_nan=False)


def test_what_a_growing_table_gets_is_read_once_and_never_half_a_line(night: Path, tmp_path: Path) -> None:
    shutil.copytree(night / "cam 1/ended", tmp_path / "run")
    for name in ("series.csv", "frames.csv"):
        (tmp_path / "run" / name).write_bytes(b"")
    running, lines = Running(tmp_path / "run"), {}
    for name in ("series.csv", "frames.csv"):
        lines[name] = (night / "cam 1/ended" / name).read_bytes()
    half = len(lines["series.csv"]) // 2
    counts = []
    for cut in (half, half + 3, len(lines["series.csv"])):
        (tmp_path / "run" / "series.csv").write_bytes(lines["series.csv"][:cut])
        (tmp_path / "run" / "frames.csv").write_bytes(lines["frames.csv"])
        facts = running.look()
        counts.append(sum(facts["counts"].values()))
    assert set(counts) == {lines["frames.csv"].count(b"\n") - 1}
    whole = Running(night / "cam 1/ended").look()
    assert (facts["last"], facts["curve"]) == (whole["last"], whole["curve"])


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such folder"):
        BeamTime(tmp_path / "nowhere")


@pytest.fixture
def server(night: Path):
    one = BeamTimeServer(BeamTime(night), host="127.0.0.1", port=0)
    one.start()
    yield one
    one.stop()


def get(server, path, headers=None):
    request = urllib.request.Request(server.address + path, headers=headers or {})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read(), dict(answer.headers)


def test_only_reports_of_runs_that_are_shown_are_given_and_they_are_shut_in(server, night: Path) -> None:
    get(server, "runs")
    page, headers = get(server, "report?run=" + urllib.parse.quote("cam 1/ended"))
    assert b"report of cam 1/ended" in page
    assert headers["content-security-policy"].startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in headers["content-security-policy"]
    for name in ("cam 2/live", "cut", "../x", "/etc/passwd", "cam 1/ended/../ended", ".", "", "%00"):
        with refused_with(404):
            get(server, "report?run=" + urllib.parse.quote(name))
    with refused_with(403):
        get(server, "runs", {"Host": "evil.example"})


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_in_a_real_browser_runs_stand_side_by_side_and_fit_a_phone(server, tmp_path: Path) -> None:
    page = Browser(tmp_path / "b", server.address, 390, 844)
    try:
        page.until(
            "document.querySelectorAll('.card').length === 2 && document.querySelector('#ended a') !== null"
        )
        assert "cam 2/live" in page.value("document.getElementById('running').textContent")
        assert page.value("document.documentElement.scrollWidth <= innerWidth")
        assert page.value("document.querySelector('.card polyline') !== null")
    finally:
        page.close()
