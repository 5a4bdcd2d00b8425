"""A run that was killed goes on as if nothing had happened."""

import filecmp
import io
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import tifffile

import insitrack
from insitrack.io.errors import OutputError, TableError
from insitrack.io.files.movie import MovieSource
from insitrack.io.frames import Frame
from insitrack.io.sources import replay
from insitrack.io.synth.files import write_synth
from insitrack.io.tables import columns
from insitrack.io.tables.outlines.masks import STREAM
from insitrack.io.tables.run_folder import MOVIE, MOVIE_BEFORE, STATE
from insitrack.tracker.hindsight import rewrite
from insitrack.tracker.run import loop
from insitrack.tracker.run import state as state_module
from insitrack.tracker.run.config import load_config
from insitrack.tracker.run.job import closing, running
from insitrack.tracker.run.resume import resume
from insitrack.tracker.run.state import read_state, write_state

SETTINGS = [
    "output.video=false",
    "specimen.thickness_nm=100",
    "specimen.material=fecral",
    "specimen.dose_rate_dpa_per_s=1e-3",
]
NAMES = [
    *columns.TABLES,
    "masks.parquet",
    "causal/tracks.csv",
    "causal/series.csv",
    "causal/masks.parquet",
    "kinetics.csv",
]


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    folder = tmp_path_factory.mktemp("movie")
    write_synth("synth:two_beam?frames=60&size=192&seed=5", folder / "made", lossless=True)
    return folder / "made" / "movie.mkv"


@pytest.fixture(scope="module")
def whole(movie, tmp_path_factory):
    return insitrack.track(
        movie, tmp_path_factory.mktemp("whole") / "run", config=load_config(assignments=SETTINGS)
    )


class Killed(BaseException):
    """Stands for a kill: nothing after it is done."""


@pytest.mark.parametrize("last", [3, 17, 41])
def test_a_run_cut_off_anywhere_gives_the_tables_of_the_whole_run_byte_for_byte(
    movie, whole, tmp_path, monkeypatch, last
):
    monkeypatch.setattr(loop, "STATE_EVERY_S", 0.0)

    def cut(tally, n_frames):
        if tally.frames == last:
            raise Killed

    with pytest.raises(Killed):
        insitrack.track(movie, tmp_path / "cut", config=load_config(assignments=SETTINGS), progress=cut)
    assert read_state(tmp_path / "cut").facts.next_index in (last - 1, last)
    with (tmp_path / "cut" / "tracks.csv").open("a") as stream:
        stream.write("61,1.0,half a ro")  # what a kill in the middle of a row leaves
    again = resume(tmp_path / "cut")
    for name in NAMES:
        assert filecmp.cmp(whole.folder / name, again.folder / name, shallow=False), name
    assert again.manifest["status"] == "done"
    assert again.manifest["results"]["processed"] == whole.manifest["results"]["processed"]
    assert not (again.folder / STATE).exists()
    assert "(resumed)" in again.manifest["command"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_process_leaves_readable_tables_and_goes_on(movie, tmp_path):
    out = tmp_path / "run"
    code = (
        "import sys, insitrack; from insitrack.tracker.run.config import load_config; "
        "insitrack.track(sys.argv[1], sys.argv[2], config=load_config(None, sys.argv[3:]))"
    )
    with replay(str(movie), fps=15, loops=50) as camera:
        worker = subprocess.Popen(
            [sys.executable, "-c", code, camera.address, str(out), *SETTINGS, "output.view="],
            stderr=subprocess.DEVNULL,
        )
        while not (out / STATE).exists() or read_state(out).facts.next_index < 2:
            assert worker.poll() is None
            time.sleep(0.05)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        before = columns.FRAMES.read(out / "frames.csv")
        assert len(before) > 0
        tracks, outlines = columns.TRACKS.read(out / "tracks.csv"), STREAM.read(out / "masks.csv")
        shared = tracks.merge(outlines[outlines["doubted"] == 0], on=["frame", "track_id", "observed"])
        assert (
            abs(len(shared) - len(tracks)) <= tracks["frame"].value_counts().max()
        )  # the last frame at most
        stop = threading.Event()

        def enough(tally, n_frames):
            if tally.frames > len(before) and tally.processed > 5:
                stop.set()

        again = resume(out, stop=stop, progress=enough)
    frames = again.frames
    assert frames["frame"].tolist() == list(range(len(frames)))
    assert (frames["t_s"].diff().dropna() > 0).all()
    assert "gap" in set(frames["status"])
    assert len(frames) > len(before)


@pytest.mark.parametrize("last", [1, 12])
def test_a_run_of_bright_defects_that_was_cut_off_at_once_or_later_sees_them_as_before(
    movie, tmp_path, monkeypatch, last
):
    monkeypatch.setattr(loop, "STATE_EVERY_S", 0.0 if last > 1 else 60.0)
    tifffile.imwrite(
        tmp_path / "bright.tif",
        255 - np.stack([frame.image for frame in MovieSource(movie)][:30]),
        photometric="minisblack",
    )

    def cut(tally, n_frames):
        if tally.frames == last:
            raise Killed

    whole = insitrack.track(
        tmp_path / "bright.tif", tmp_path / "whole", config=load_config(assignments=SETTINGS)
    )
    assert whole.manifest["model"]["view"]["contrast"] == "bright"
    with pytest.raises(Killed):
        insitrack.track(
            tmp_path / "bright.tif", tmp_path / "cut", config=load_config(assignments=SETTINGS), progress=cut
        )
    assert (read_state(tmp_path / "cut").facts.next_index == 0) == (last == 1)
    again = resume(tmp_path / "cut")
    for name in NAMES:
        assert filecmp.cmp(whole.folder / name, again.folder / name, shallow=False), name


@pytest.mark.parametrize("place", ["refine_run", "moving", "write_report"])
def test_a_run_that_was_cut_off_while_it_was_refined_is_finished(movie, whole, tmp_path, monkeypatch, place):
    with monkeypatch.context() as patched:
        patched.setattr(loop, "STATE_EVERY_S", 0.1)
        moved, move = [], shutil.move

        def killed(*arguments, **options):
            moved.append(arguments)
            if place == "moving" and len(moved) < 3:
                return move(*arguments, **options)
            raise Killed

        if place == "moving":
            patched.setattr(rewrite.shutil, "move", killed)
        else:
            patched.setattr(closing, place, killed)
        with pytest.raises(Killed):
            insitrack.track(
                movie, tmp_path / "cut", config=load_config(assignments=[*SETTINGS, "output.video=true"])
            )
    again = resume(tmp_path / "cut")
    for name in NAMES:
        assert filecmp.cmp(whole.folder / name, again.folder / name, shallow=False), name
    assert sorted(path.name for path in (whole.folder / "causal").iterdir()) == sorted(
        path.name for path in (again.folder / "causal").iterdir()
    )
    assert again.manifest["status"] == "done"
    assert (again.folder / "report.html").is_file()
    assert len(list(MovieSource(again.folder / MOVIE))) == 60
    assert not (again.folder / STATE).exists()


def test_deep_data_are_seen_with_the_same_grey_levels_before_and_after_the_cut(movie, tmp_path, monkeypatch):
    pictures = np.stack([frame.image for frame in MovieSource(movie)][:30]).astype(np.uint16) * 100
    pictures[25:] = (pictures[25:] * 2.5).clip(0, 65535)  # the beam was turned up
    tifffile.imwrite(tmp_path / "deep.tif", pictures, photometric="minisblack")
    monkeypatch.setattr(loop, "STATE_EVERY_S", 0.0)

    def cut(tally, n_frames):
        if tally.frames == 12:
            raise Killed

    config = load_config(assignments=SETTINGS)
    whole = insitrack.track(tmp_path / "deep.tif", tmp_path / "whole", config=config)
    with pytest.raises(Killed):
        insitrack.track(tmp_path / "deep.tif", tmp_path / "cut", config=config, progress=cut)
    again = resume(tmp_path / "cut")
    for name in NAMES:
        assert filecmp.cmp(whole.folder / name, again.folder / name, shallow=False), name
    view = whole.manifest["model"]["view"]
    assert view["levels"] == again.manifest["model"]["view"]["levels"]
    assert 0 <= view["levels"][0] < view["levels"][1] <= 65535
    assert view["frames_misfit"] > 0
    assert any("--set segment.levels=frame" in line for line in whole.manifest["warnings"])
    each = insitrack.track(
        tmp_path / "deep.tif",
        tmp_path / "each",
        config=load_config(assignments=[*SETTINGS, "segment.levels=frame"]),
    )
    assert each.manifest["model"]["view"]["levels"] == "frame"


def test_the_movie_of_a_run_that_was_cut_off_twice_is_one_movie(movie, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "STATE_EVERY_S", 0.0)
    config = load_config(assignments=[*SETTINGS, "output.video=true", "output.registered=true"])
    for last in (35, 50, None):

        def cut(tally, n_frames, last=last):
            if tally.frames == last:
                raise Killed

        if last is None:
            again = resume(tmp_path / "cut")
            break
        if last == 35:
            with pytest.raises(Killed):
                insitrack.track(movie, tmp_path / "cut", config=config, progress=cut)
        else:
            with pytest.raises(Killed):
                resume(tmp_path / "cut", progress=cut)
        assert not (tmp_path / "cut" / MOVIE).exists()  # it is drawn last, from the final tables
    frames = list(MovieSource(again.folder / MOVIE))
    assert len(frames) == 60
    assert all(isinstance(frame, Frame) for frame in frames)
    steps = np.diff([frame.t_s for frame in frames])
    assert steps == pytest.approx(steps[0], abs=1e-4)
    assert not (again.folder / MOVIE_BEFORE).exists()
    assert any("registered.mp4 begins at frame" in line for line in again.manifest["warnings"])


def test_what_cannot_be_resumed_is_refused_in_one_line(movie, whole, tmp_path, monkeypatch):
    with pytest.raises(OutputError, match="holds no resume"):
        resume(whole.folder)
    monkeypatch.setattr(loop, "STATE_EVERY_S", 0.0)

    def cut(tally, n_frames):
        if tally.frames == 5:
            raise Killed

    out = tmp_path / "cut"
    with pytest.raises(Killed):
        insitrack.track(movie, out, config=load_config(assignments=SETTINGS), progress=cut)
    text = (out / "series.csv").read_bytes()
    (out / "series.csv").write_bytes(text[:10])
    with pytest.raises(TableError, match="shorter than when the run was cut off"):
        resume(out)
    (out / "series.csv").write_bytes(text)
    (out / STATE).write_bytes(b"nonsense")
    with pytest.raises(OutputError, match="start a new run"):
        resume(out)


@pytest.fixture(scope="module")
def cut_off(movie, tmp_path_factory):
    """Folder of a run that was cut off."""
    out = tmp_path_factory.mktemp("cut") / "run"

    def cut(tally, n_frames):
        if tally.frames == 12:
            raise Killed

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "STATE_EVERY_S", 0.0)
        with pytest.raises(Killed):
            insitrack.track(movie, out, config=load_config(assignments=SETTINGS), progress=cut)
    return out


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_one_flipped_bit_anywhere_in_a_state_is_found_and_nothing_is_changed(cut_off, tmp_path):
    whole = (cut_off / STATE).read_bytes()
    draw = np.random.default_rng(7)
    head = len(whole.split(b"\n", 2)[0]) + len(whole.split(b"\n", 2)[1])
    places = [*draw.integers(0, head, 60), *draw.integers(head, len(whole), 140)]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(draw.integers(8))
        (tmp_path / STATE).write_bytes(damaged)
        with pytest.raises(OutputError, match="start a new run") as caught:
            read_state(tmp_path)
        assert "\n" not in str(caught.value)
    for length in (0, 1, head, len(whole) - 1):
        (tmp_path / STATE).write_bytes(whole[:length])
        with pytest.raises(OutputError, match="start a new run"):
            read_state(tmp_path)


def changed_source(folder, patched):
    patched.setattr(MovieSource, "describe", lambda self: {"sha256": "0" * 64})


def changed_model(folder, patched):
    patched.setattr(running.RunManifest, "write", lambda self, path: pytest.fail("written"))
    state = read_state(folder)
    identity = {**state.facts.identity, "model": "0" * 64}
    write_state(replace(state, facts=replace(state.facts, identity=identity)), folder / STATE)


def no_manifest(folder, patched):
    (folder / "run.json").write_text("[" * 100_000)


def other_classes(folder, patched):
    state = read_state(folder)
    meter = replace(state.meter, seen=np.zeros(99, bool))
    write_state(replace(state, meter=meter), folder / STATE)


@pytest.mark.parametrize("change", [changed_source, changed_model, no_manifest, other_classes])
def test_nothing_is_moved_before_it_is_sure_that_a_run_can_go_on(cut_off, tmp_path, monkeypatch, change):
    folder = tmp_path / "run"
    shutil.copytree(cut_off, folder)
    change(folder, monkeypatch)
    before = contents(folder)
    with pytest.raises(OutputError, match="start a new run") as caught:
        resume(folder)
    assert "\n" not in str(caught.value)
    assert contents(folder) == before


def hostile_pickle(harm):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {harm}",)

    return pickle.dumps(Evil())


def hostile_objects(harm):
    stream = io.BytesIO()
    np.save(stream, np.array([os.path.join], object), allow_pickle=True)
    return archive(stream.getvalue(), zipfile.ZIP_STORED)


def bomb(harm):
    stream = io.BytesIO()
    np.save(stream, np.zeros(1 << 24, np.uint8))
    return archive(stream.getvalue(), zipfile.ZIP_DEFLATED)


def long_as_told(harm):
    stream = io.BytesIO()
    head = {"descr": "<f8", "fortran_order": False, "shape": (5 << 30,)}
    np.lib.format.write_array_header_1_0(stream, head)
    return archive(stream.getvalue(), zipfile.ZIP_STORED)


def archive(array, compression):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        file.writestr("tree.npy", array)
    return stream.getvalue()


@pytest.mark.parametrize("make", [hostile_pickle, hostile_objects, bomb, long_as_told])
def test_a_state_from_somebody_else_runs_nothing_and_takes_no_memory(cut_off, tmp_path, make, monkeypatch):
    harm = tmp_path / "harm"
    parts = make(harm)
    state = read_state(cut_off)
    monkeypatch.setattr(state_module, "pack", lambda value: parts)  # every hash in the file is right
    write_state(state, tmp_path / STATE)
    with pytest.raises(OutputError, match="start a new run"):
        read_state(tmp_path)
    (tmp_path / STATE).write_bytes(parts)
    with pytest.raises(OutputError, match="not the state of a run of this version"):
        read_state(tmp_path)
    assert not harm.exists()


def test_a_table_whose_last_row_is_cut_off_is_read_without_it(tmp_path):
    text = "0,0.000000,processed,0.000,0.000,3,0.900,100,12,10\n"
    (tmp_path / "frames.csv").write_text(columns.FRAMES.header() + text + "1,0.1,proc")
    assert len(columns.FRAMES.read(tmp_path / "frames.csv")) == 1
    assert sum(len(piece) for piece in columns.FRAMES.chunks(tmp_path / "frames.csv")) == 1
