"""Which figures are older than the code that they measure."""

import json
from pathlib import Path

import pytest

from insitrack.tests.support.scripts import load_script

measured = load_script("measured")
IO, BENCHMARKS = "io", "benchmarks"  # folders of a repository that a test makes
SCRIPT = '''"""How fast it is.

More.
"""

import helper
from insitrack.io.fast import go

if __name__ == "__main__":
    print(go(), helper)
'''
FAST = '''"""Fast."""

from insitrack.io.deep import base


def go() -> int:
    """Go."""
    from insitrack.io.elsewhere import other

    return base(1) or other  # at once
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with one benchmark, whose figures have just been measured."""
    for name, text in {
        f"{BENCHMARKS}/speed.py": SCRIPT,
        f"{BENCHMARKS}/helper.py": "FRAMES = 10\n",
        f"{BENCHMARKS}/run.py": SCRIPT,
        f"{IO}/fast.py": FAST,
        f"{IO}/deep.py": "def base(n):\n    return n\n",
        f"{IO}/elsewhere.py": "other = 1\n",
        f"{BENCHMARKS}/speed.md": "# Speed\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    measured.stamp("speed", tmp_path)
    return tmp_path


def state(root: Path) -> str:
    (row,) = measured.figures(root)
    return str(row.state)


def test_figures_are_current_until_the_code_that_they_measure_changes(root: Path) -> None:
    assert state(root) == "current"
    (root / "io" / "deep.py").write_text("def base(n):\n    return n + 1\n", encoding="utf-8")
    assert state(root) == "older than the code"
    (row,) = measured.figures(root)
    assert "older than the code" in measured.page([row])
    assert "older than the code" in measured.note(row)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (f"{IO}/fast.py", "# at once", "# without delay"),
        (f"{IO}/fast.py", "Go.", "Go now."),
        (f"{IO}/deep.py", "def base(n):", "def base(\n    n,\n):"),
        (f"{IO}/elsewhere.py", "1", "2"),
    ],
)
def test_comments_layout_and_what_is_loaded_later_by_the_library_are_no_change(
    name: str, before: str, after: str, root: Path
) -> None:
    text = (root / name).read_text(encoding="utf-8")
    (root / name).write_text(text.replace(before, after), encoding="utf-8")
    assert state(root) == "current"


@pytest.mark.parametrize("name", [f"{BENCHMARKS}/speed.py", f"{BENCHMARKS}/helper.py", f"{IO}/fast.py"])
def test_the_script_what_lies_beside_it_and_what_it_imports_are_part_of_the_code(
    name: str, root: Path
) -> None:
    with (root / name).open("a", encoding="utf-8") as stream:
        stream.write("MORE = 1\n")
    assert state(root) == "older than the code"


def test_figures_without_a_note_are_taken_to_be_old_and_none_are_none(root: Path) -> None:
    (root / "benchmarks" / measured.STAMPS).unlink()
    assert state(root) == "older than the code"
    (root / "benchmarks" / "speed.md").unlink()
    assert state(root) == "not measured"


def test_a_note_names_date_commit_machine_and_code(root: Path) -> None:
    noted = json.loads((root / "benchmarks" / measured.STAMPS).read_text(encoding="utf-8"))
    assert set(noted["speed"]) == {"date", "commit", "machine", "code"}


def test_the_linker_is_what_its_benchmark_depends_on_and_training_is_not() -> None:
    files = {path.relative_to(measured.ROOT).as_posix() for path in measured.depends("linking_speed")}
    assert {"tracker/link/assign.py", "io/boxes.py", "benchmarks/linking_speed.py"} <= files
    assert not any(name.startswith("segment/training") for name in files)


def test_a_wrong_name_is_refused_with_the_nearest(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["run.py", "linking_sped"])
    monkeypatch.setitem(__import__("sys").modules, "measured", measured)
    with pytest.raises(SystemExit):
        load_script("run").main()
    assert "did you mean linking_speed?" in capsys.readouterr().err
