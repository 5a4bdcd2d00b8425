"""The released files, built once for all tests that need them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from insitrack.tests.support.once import Once
from insitrack.tests.support.release import DECOYS, ROOT, lean_environment, python_of


@pytest.fixture(scope="session")
def built(once: Once) -> dict[str, Path]:
    """The sdist, and the wheel from it."""
    folder = once("built", build) / "dist"
    return {"sdist": next(folder.glob("*.tar.gz")), "wheel": next(folder.glob("*.whl"))}


def build(folder: Path) -> None:
    """Build from a copy of the repository with what a developer's folder holds besides."""
    tree, out = folder / "insitrack", folder / "dist"
    listed = subprocess.run(
        ["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
    for name in DECOYS:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("of a developer\n")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(tree)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(scope="session")
def lean_python(built: dict[str, Path], once: Once) -> Path:
    """Python of an environment of the wheel and what it requires, without extras."""
    return python_of(once("lean", lambda folder: lean_environment(folder / "venv", built["wheel"])) / "venv")
