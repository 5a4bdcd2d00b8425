"""What is released: complete, nothing of the developer's, typed; without extras it does the whole job."""

import csv
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import insitrack
from insitrack.tests.support.release import DECOYS, ROOT, project, required

pytestmark = pytest.mark.slow
HEAVY = {"torch", "torchvision", "ultralytics", "segmentation-models-pytorch", "onnx", "onnxslim", "numba"}


def track(python: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-P", "-m", "insitrack.tracker.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def code_and_data() -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "io", "segment", "tracker", "configs", "__init__.py", "py.typed"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    ).stdout.splitlines()
    return {name for name in listed if (ROOT / name).is_file()}


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(built: dict[str, Path]) -> None:
    names = zipfile.ZipFile(built["wheel"]).namelist()
    packed = {name.removeprefix("insitrack/") for name in names if name.startswith("insitrack/")}
    assert packed == code_and_data()
    assert all(name.startswith(("insitrack/", "insitrack-")) for name in names)
    assert f"insitrack-{insitrack.__version__}-" in built["wheel"].name


def test_the_sdist_holds_what_a_build_needs_and_nothing_of_the_developer(built: dict[str, Path]) -> None:
    with tarfile.open(built["sdist"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames() if archive.getmember(name).isfile()}
    assert code_and_data() | {"pyproject.toml", "README.md", "LICENSE"} <= names
    assert not names & set(DECOYS)
    assert not [name for name in names if name.startswith((".", "tests/", "build/"))]


def test_twine_finds_nothing_wrong_with_either(built: dict[str, Path]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *map(str, built.values())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_required_without_extras_brings_nothing_that_trains() -> None:
    brought = required(list(project()["dependencies"]))  # type: ignore[call-overload]
    assert not HEAVY & set(brought)


def test_types_are_seen_in_an_installed_wheel(lean_python: Path, tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text("import insitrack\n\nwrong: int = insitrack.track('movie.mp4')\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--python-executable", str(lean_python), "use.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert "Incompatible types in assignment" in done.stdout, done.stdout + done.stderr
    assert "py.typed" not in done.stdout


def test_an_installed_wheel_without_extras_does_the_whole_job(lean_python: Path, tmp_path: Path) -> None:
    found = subprocess.run(
        [str(lean_python), "-P", "-c", "import insitrack; print(insitrack.__file__)"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    ).stdout
    assert Path(found.strip()).is_relative_to(lean_python.parents[1])
    options = ("--thickness-nm", "100", "--material", "fecral")
    for words in (
        ("synth:loops?seed=7&frames=8&size=192", *options, "--out", "run"),
        ("series", "run", "--thickness-nm", "80", "--out", "series"),
        ("link", "run/tracks.csv", "--nm-per-px", "0.5", *options, "--linker", "trackpy", "--out", "linked"),
        ("edit", "run", "edits.csv", "--out", "edited"),
        ("export", "run", "--to", "trackmate", "--out", "tracks.xml"),
        ("synth", "lines", "--frames", "3", "--size", "192", "--out", "drawn"),
        ("drawn/movie.mp4", "--model", "lines", "--nm-per-px", "0.5", "--out", "lines"),
        ("doctor", "drawn/movie.mp4"),
    ):
        if words[0] == "edit":
            with (tmp_path / "run" / "tracks.csv").open(newline="") as rows:
                track_id = next(csv.DictReader(rows))["track_id"]
            (tmp_path / "edits.csv").write_text(f"action,track_id\ndelete,{track_id}\n")
        done = track(lean_python, tmp_path, *words)
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.parametrize(
    "words",
    [("train", "labelled"), ("synth:loops?frames=2", "--model", "maskrcnn:weights.pt")],
    ids=lambda w: w[0],
)
def test_a_command_that_needs_an_extra_says_so_before_any_work(
    lean_python: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "weights.pt").write_bytes(b"not asked for")
    (tmp_path / "weights.toml").write_text('classes = ["loop_111"]\n')
    before = set(tmp_path.iterdir())
    done = track(lean_python, tmp_path, *words)
    assert done.returncode == 2
    assert "insitrack[train]" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert set(tmp_path.iterdir()) == before
