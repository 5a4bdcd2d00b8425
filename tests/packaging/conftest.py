"""The released files, built once for all tests that need them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from insitrack.tests.support.release import DECOYS, ROOT, lean_environment


@pytest.fixture(scope="session")
def source_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy of the repository with what a developer's folder holds besides."""
    tree = tmp_path_factory.mktemp("source") / "insitrack"
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
    return tree


@pytest.fixture(scope="session")
def built(source_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Build the sdist, and the wheel from it."""
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source_tree)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return {"sdist": next(out.glob("*.tar.gz")), "wheel": next(out.glob("*.whl"))}


@pytest.fixture(scope="session")
def lean_python(built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment of the wheel and what it requires, without extras."""
    return lean_environment(tmp_path_factory.mktemp("lean") / "venv", built["wheel"])
