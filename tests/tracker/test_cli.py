"""The command as a user meets it.

Bad input is one clear line and nothing is written; a run leaves the whole contract behind.
"""

import json
import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.progress import Progress

from insitrack.io.synth.settings import ranges
from insitrack.io.tables.columns import SERIES, TABLES, TRACKS
from insitrack.tracker.cli import COMMANDS, SHELLS, main, make_parser
from insitrack.tracker.commands.arguments.progress import ProgressBar, progress_columns
from insitrack.tracker.hardening.materials import load_material
from insitrack.tracker.run.tally import Tally

SYNTH = "synth:loops?seed=3&frames=6&size=192"


def run_refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must be refused; its one line."""
    assert main(list(arguments)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("track: ")
    assert printed.err.count("\n") == 1
    return printed.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.mp4"], ["absent.mp4"]),
        (["text.mp4"], ["text.mp4"]),
        (["empty.mp4"], ["empty.mp4"]),
        (
            [SYNTH, "--set", "segment.confidense=0.3"],
            ["segment.confidense", "did you mean segment.confidence"],
        ),
        ([SYNTH, "--nm-per-px", "-0.37"], ["-0.37", "positive"]),
        ([SYNTH, "--model", "nonesuch"], ["nonesuch", "loops"]),
        ([SYNTH, "--material", "unobtainium"], ["unobtainium", "fecral"]),
        ([SYNTH, "--model", ""], ["--model", "loops"]),
        ([SYNTH, "--every", "0"], ["0", "every"]),
        ([SYNTH, "--every", "second"], ["second", "--every"]),
        ([SYNTH, "--start", "nan"], ["nan", "--start "]),
        ([SYNTH, "--no-such-option"], ["--no-such-option", "track --help"]),
        ([], ["SOURCE", "track --help"]),
        (["serie", "movie_track"], ["serie", "did you mean track series?"]),
        (["serie"], ["serie", "did you mean track series?"]),
        (["Doctor"], ["did you mean track doctor?"]),
        ([SYNTH, "--nm-per-pixel", "0.37"], ["--nm-per-pixel", "did you mean --nm-per-px?"]),
        ([SYNTH, "--materials", "fecral"], ["did you mean --material?"]),
        ([SYNTH, "--nm-per-px", "0,37"], ["--nm-per-px", "use a point, 0.37"]),
        ([SYNTH, "--set", "source.nm_per_px=0,37"], ["source.nm_per_px", "use a point, 0.37"]),
        ([SYNTH, "--start", "1e6"], ["--start 1e+06", "ends at"]),
        (["synth:loops?sede=3"], ["sede", "seed"]),
        ([SYNTH, "--config", "absent.toml"], ["absent.toml"]),
    ],
    ids=lambda value: " ".join(value[-1:]) if isinstance(value, list) else None,
)
def test_bad_input_is_one_clear_line_and_nothing_is_written(
    arguments: list[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.mp4").write_text("this is not a movie\n" * 100, encoding="utf-8")
    (tmp_path / "empty.mp4").write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    line = run_refused(capsys, *arguments, "--out", "out")
    assert all(word in line for word in words), line
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_help_of_every_command_explains_every_option(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    parser = make_parser(command)
    assert parser.description
    for action in parser._actions:
        assert action.help, action
        assert all(name in printed for name in action.option_strings)


def test_the_help_of_synth_lists_every_kind_of_scene(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["synth", "--help"])
    printed = capsys.readouterr().out
    assert all(kind in printed for kind in ranges()["scene"])


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_for_a_shell_knows_every_command_and_option(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("shtab")
    assert main(["--print-completion", shell]) == 0
    printed = capsys.readouterr().out
    assert all(command in printed for command in COMMANDS)
    assert all(option in printed for option in ("--nm-per-px", "--frame-interval-s", "--common-field"))


def test_a_material_is_found_whatever_the_case() -> None:
    assert load_material("FeCrAl") == load_material("fecral")


def test_the_bar_of_a_part_of_a_movie_counts_seconds_to_its_end_and_that_of_a_whole_one_frames() -> None:
    tally = Tally(frames=40, last_s=4.0)
    assert ProgressBar(1.0, 15.0)._counted(tally, 300) == (3.0, 14.0, "3/14 s")
    assert ProgressBar()._counted(tally, 300) == (40, 300, "40/300 frames")
    assert ProgressBar()._counted(tally, None)[2] == "40/? frames"


@pytest.mark.parametrize(("last_s", "known"), [(0.0, False), (3.0, True)])
def test_no_time_left_is_guessed_before_any_of_the_movie_is_done(
    last_s: float, known: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = ProgressBar(0.0, 6.0)
    bar._last_line_s -= 60
    bar.update(Tally(frames=1, last_s=last_s), 300)
    assert ("s left" in capsys.readouterr().err) is known


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120])
def test_count_and_time_left_are_seen_on_a_terminal_of_any_width(width: int) -> None:
    console = Console(file=StringIO(), width=width, force_terminal=True)
    bar = Progress(*progress_columns(width), console=console)
    bar.add_task("", total=1200, completed=300, rate="12.3 frames/s", count="300/1200 frames")
    with console.capture() as shown:
        console.print(bar.get_renderable())
    assert "300/1200 frames" in shown.get()
    assert "-:--:--" in shown.get()


def test_an_output_folder_with_something_in_it_is_not_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    assert "--overwrite" in run_refused(capsys, SYNTH, "--out", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_movie_that_the_run_would_write_over_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    movie = tmp_path / "annotated.mp4"
    movie.write_bytes(b"mine")
    assert "would be overwritten" in run_refused(capsys, str(movie), "--out", str(tmp_path), "--overwrite")
    assert movie.read_bytes() == b"mine"


def test_a_run_writes_the_whole_contract_and_overwrites_only_its_own_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    options = ["--thickness-nm", "100", "--dose-rate", "1e-3", "--material", "fecral", "--out", str(out)]
    assert main(["synth:loops?seed=3&frames=6&size=320&n=30", *options]) == 0
    assert {path.name for path in out.iterdir()} == {
        *TABLES,
        "msd.csv",
        "masks.parquet",
        "settings.csv",
        "kinetics.csv",
        "causal",
        "annotated.mp4",
        "report.html",
        "run.json",
    }
    series = SERIES.read(out / "series.csv")
    everything = series[series["defect_class"] == "all"]
    assert len(everything) == 6
    assert (everything["n"] > 0).sum() >= 3
    # the hardening is not known without a defect, nor where all of a class touch the border and so have no
    # size
    unsized = series[(series["defect_class"] != "all") & (series["n"] > 0) & series["size_nm"].isna()][
        "frame"
    ]
    everything = everything[(everything["n"] > 0) & ~everything["frame"].isin(unsized)]
    assert len(everything) >= 3
    for column in (
        "dose_dpa",
        "density_per_m2",
        "density_per_m3",
        "hardening_linear_mpa",
        "hardening_quadrature_mpa_hi",
    ):
        assert np.isfinite(everything[column]).all(), column
    manifest = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "done"
    assert manifest["results"]["processed"] == 6
    assert manifest["calibration"]["origin"]
    assert manifest["calibration"]["thickness_origin"] == "settings"
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    (out / "annotated.mp4.part").write_bytes(b"left by a run that died")
    assert main([SYNTH, *options, "--overwrite", "--no-video"]) == 0
    assert {path.name for path in out.iterdir()} == {
        *TABLES,
        "msd.csv",
        "masks.parquet",
        "settings.csv",
        "kinetics.csv",
        "causal",
        "report.html",
        "run.json",
        "notes.txt",
    }
    said = capsys.readouterr().out.splitlines()
    assert "open" in said[-4]
    assert [line.split(" (")[0] for line in said[-3:]] == ["density", "mean size", "hardening"]


def test_unknown_scale_gives_empty_columns_and_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    movie = tmp_path / "made"
    assert main(["synth", "loops", "--seed", "3", "--frames", "4", "--size", "192", "--out", str(movie)]) == 0
    assert (
        main(
            [
                str(movie / "movie.mp4"),
                "--out",
                str(tmp_path / "run"),
                "--thickness-nm",
                "100",
                "--material",
                "fecral",
                "--no-video",
            ]
        )
        == 0
    )
    assert "--nm-per-px" in capsys.readouterr().err
    tracks = TRACKS.read(tmp_path / "run" / "tracks.csv")
    assert len(tracks)
    assert tracks["size_nm"].isna().all()
    assert tracks["area_px"].notna().all()
    assert (
        SERIES.read(tmp_path / "run" / "series.csv")[["density_per_m2", "hardening_linear_mpa"]]
        .isna()
        .all()
        .all()
    )


def test_frames_outside_the_choice_are_accounted_for(tmp_path: Path) -> None:
    assert main([SYNTH, "--every", "2", "--no-video", "--out", str(tmp_path / "run")]) == 0
    frames = TABLES["frames.csv"].read(tmp_path / "run" / "frames.csv")
    assert frames["frame"].tolist() == list(range(6))
    assert frames["status"].tolist() == ["processed", "skipped"] * 3


def test_a_movie_cut_off_in_the_middle_keeps_what_decodes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            [
                "synth",
                "loops",
                "--seed",
                "3",
                "--frames",
                "20",
                "--size",
                "192",
                "--out",
                str(tmp_path / "made"),
            ]
        )
        == 0
    )
    whole = (tmp_path / "made" / "movie.mp4").read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: int(len(whole) * 0.6)])
    capsys.readouterr()
    assert main([str(cut), "--no-video", "--out", str(tmp_path / "run")]) == 0
    frames = TABLES["frames.csv"].read(tmp_path / "run" / "frames.csv")
    counts = frames["status"].value_counts()
    assert len(frames) == 20
    assert counts["processed"] >= 5
    assert counts["damaged"] >= 1
    assert "warning" in capsys.readouterr().err
    series = SERIES.read(tmp_path / "run" / "series.csv")
    lost = series[series["frame"].isin(frames.loc[frames["status"] == "damaged", "frame"])]
    assert lost["n"].isna().all()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_the_end_of_the_session_leave_complete_and_readable_files(
    tmp_path: Path, number: int
) -> None:
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "insitrack.tracker.cli",
        "synth:loops?seed=3&frames=5000&size=192",
        "--out",
        str(out),
    ]
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    frames = out / "frames.csv"
    while running.poll() is None and not (
        frames.exists() and frames.read_text(encoding="utf-8").count("\n") > 10
    ):
        time.sleep(0.1)
    running.send_signal(number)
    assert running.wait(timeout=120) == 0
    manifest = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "stopped"
    assert (out / "report.html").is_file()
    done = len(TABLES["frames.csv"].read(frames))
    assert done == manifest["results"]["frames"]
    seen = TRACKS.read(out / "tracks.csv")["frame"]
    assert seen.empty or seen.max() == done - 1


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["eval", "--help"],
        ["doctor", "synth:loops?frames=3&size=64"],
        ["synth:loops?frames=2&size=64"],
    ],
)
def test_a_command_whose_reader_has_gone_ends_without_a_word(tmp_path, arguments):
    reader, writer = os.pipe()
    os.close(reader)
    quiet = ["--no-video", "--out", "out"] if arguments[0].startswith("synth:") else []
    ended = subprocess.run(
        [sys.executable, "-m", "insitrack.tracker.cli", *arguments, *quiet],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    os.close(writer)
    assert "Broken" not in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 0


def test_a_broken_pipe_of_another_kind_is_no_quiet_end(monkeypatch):
    def broken(*_):
        raise BrokenPipeError("of a camera")

    monkeypatch.setattr("insitrack.tracker.cli._run", broken)
    with pytest.raises(BrokenPipeError, match="camera"):
        main(["--help"])
