"""Lint, types, docstrings and doctests are tests like any other."""

import doctest
import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import insitrack

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(
    module.name
    for floor in ("io", "segment", "tracker")
    for module in pkgutil.walk_packages([str(ROOT / floor)], prefix=f"insitrack.{floor}.")
)


def complaints(*arguments: str, folder: Path = ROOT) -> str:
    """What a tool says when it is not content; nothing when it is."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, cwd=folder, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_the_linter_has_nothing_to_say() -> None:
    assert complaints("ruff", "check", ".") == ""


def test_the_code_is_formatted() -> None:
    assert complaints("ruff", "format", "--check", ".") == ""


def test_types_are_strict(tmp_path: Path) -> None:
    # from the root mypy would take the standard library's io for our folder: check through a link of the
    # package's name
    (tmp_path / "insitrack").symlink_to(ROOT, target_is_directory=True)
    settings = ("--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache"))
    assert complaints("mypy", *settings, "-p", "insitrack", folder=tmp_path) == ""


@pytest.mark.parametrize("name", ["insitrack", *MODULES])
def test_examples_in_docstrings_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    import numpy as np

    # ultralytics, once imported, changes how numpy prints
    with np.printoptions(formatter=None, precision=8, linewidth=75, suppress=False):
        results = doctest.testmod(module, extraglobs={"np": np}, optionflags=doctest.ELLIPSIS)
    assert results.failed == 0


def test_every_public_name_of_the_door_opens() -> None:
    for name in insitrack.__all__:
        assert getattr(insitrack, name) is not None


def test_no_machine_path_or_registry_host_is_in_the_tree() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False
    ).stdout.split()
    texts = [ROOT / name for name in listed if Path(name).suffix in {".py", ".md", ".toml", ".json", ".cff"}]
    words = [os.sep + "root" + os.sep, os.sep + "home" + os.sep, "pypi" + ".org"]
    found = [
        (path.name, word)
        for path in texts
        if path.is_file()
        for word in words
        if word in path.read_text(encoding="utf-8")
    ]
    assert not found
