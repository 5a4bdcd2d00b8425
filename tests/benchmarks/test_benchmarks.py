"""Every benchmark runs: in seconds, on tiny inputs, and leaves what is beside it alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from insitrack.tests.support.scripts import load_script

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPTS = load_script("measured").names()


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_benchmark_runs_on_tiny_inputs_and_writes_where_it_is_told(name: str, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in FOLDER.iterdir() if path.is_file()}
    results = str(tmp_path / "results")
    where = [str(tmp_path / "data"), "--out", results] if name == "left_out" else ["--results", results]
    command = [sys.executable, str(FOLDER / f"{name}.py"), "--smoke", *where]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        env={**os.environ, "MPLBACKEND": "agg"},
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    for ending in (".json", ".md"):
        assert (tmp_path / "results" / f"{name}{ending}").stat().st_size > 0
    assert {path: path.stat().st_mtime_ns for path in FOLDER.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("what", ["state", "settings", "http"])
def test_damaged_records_and_requests_give_no_traceback_no_hang_and_no_wrong_answer(
    what: str, tmp_path: Path
) -> None:
    command = [sys.executable, str(FOLDER / "fuzz.py"), what, "--smoke", "--results", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    facts = json.loads((tmp_path / f"fuzz_{what}.json").read_text(encoding="utf-8"))
    assert (facts["bad"], facts["tracebacks"], facts["hangs_over_20_s"], facts["wrong"]) == ([], 0, 0, 0)
