"""The README's first command and its Python example run as they stand there.

The environment is that of the tests; test_docs.py runs the other commands.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from insitrack.io.tables.columns import TABLES
from insitrack.tracker.cli import main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(mark: str) -> list[str]:
    """Lines that begin with a prompt in the block after a mark."""
    block = re.search(rf"<!-- {mark} -->\n```console\n(.*?)```", README, re.S)
    assert block, f"README.md lacks a console block after <!-- {mark} -->"
    return [line.removeprefix("$ ") for line in block.group(1).splitlines() if line.startswith("$ ")]


def run_line(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the `track` command of a line with this interpreter."""
    words = shlex.split(line.split("&&")[-1])
    assert words[0].endswith("track")
    return subprocess.run(
        [sys.executable, "-m", "insitrack.tracker.cli", *words[1:]],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )


def test_the_demo_writes_everything_that_the_readme_promises(tmp_path: Path) -> None:
    (line,) = commands("demo")
    assert line.startswith("python3 -m venv .venv && .venv/bin/python -m pip install")
    done = run_line(line, tmp_path)
    assert done.returncode == 0, done.stderr
    listed = set(re.findall(r"^\| `([\w.]+)/?` \|", README, re.M)) - {"drawn.parquet"}  # of corrections only
    assert listed == {path.name for path in (tmp_path / "demo").iterdir()}
    assert set(TABLES) <= listed


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = re.search(r"```python\n(.*?)```", README, re.S)
    assert block
    monkeypatch.chdir(tmp_path)
    assert main(["synth", "--frames", "4", "--size", "192", "--out", "made"]) == 0
    (tmp_path / "made" / "movie.mp4").rename(tmp_path / "movie.mp4")
    names: dict[str, object] = {}
    exec(block.group(1), names)
    assert len(names["density"]) == 4  # type: ignore[arg-type]
