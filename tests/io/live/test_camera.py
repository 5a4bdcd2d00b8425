"""Live sources: a camera that is not there, over a real connection, with the faults of real ones."""

import filecmp
import itertools
import math
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import insitrack
from insitrack.io.errors import InsitrackError, SettingsError, SourceError
from insitrack.io.frames import Frame, MissingFrame
from insitrack.io.live.camera import LiveSource
from insitrack.io.live.replay import Fault, parse_fault, random_faults
from insitrack.io.live.settings import LeftOff, LiveConfig
from insitrack.io.live.status import LiveStatus
from insitrack.io.live.view import LiveView
from insitrack.io.live.waiting import WaitingFrames
from insitrack.io.sources import open_source, replay
from insitrack.io.tables import columns
from insitrack.tracker.run.config import load_config

pytestmark = pytest.mark.live

SCENE = "synth:loops?frames=40&size=128&seed=3"
ALL = LiveConfig(policy="all", give_up_s=0.3)


def received(camera, config=ALL, lossless=True, alarms=None):
    source = LiveSource(
        camera.address if lossless else camera.mjpeg_address,
        config,
        alarm=None if alarms is None else alarms.append,
    )
    try:
        return source, list(source)
    finally:
        source.close()


def picture(index):
    return Frame(index, float(index), np.full((4, 6), index, np.uint8))


def test_a_lossless_stream_gives_the_pictures_and_times_of_the_movie():
    truth = list(open_source(SCENE))
    with replay(SCENE, fps=100) as camera:
        source, items = received(camera)
    assert [item.index for item in items] == list(range(40))
    assert all(np.array_equal(one.image, two.image) for one, two in zip(items, truth, strict=True))
    assert [item.t_s for item in items] == pytest.approx([i / 100 for i in range(40)], abs=1e-5)
    assert (source.n_captured, source.n_damaged, source.n_gaps) == (40, 0, 0)


def test_a_movie_played_as_a_stream_gives_the_tables_of_the_file_byte_for_byte(tmp_path):
    from insitrack.io.synth.files import write_synth

    write_synth("synth:loops?frames=24&size=160&seed=5", tmp_path / "made", lossless=True)
    movie = tmp_path / "made" / "movie.mkv"
    config = load_config(assignments=["live.policy=all", "live.give_up_s=0.5", "output.video=false"])
    insitrack.track(movie, tmp_path / "file", config=config)
    with replay(str(movie)) as camera:
        live = insitrack.track(camera.address, tmp_path / "live", config=config)
    for folder in ("", "causal"):
        for name in ("tracks.csv", "series.csv", "summary.csv", "events.csv"):
            assert filecmp.cmp(
                tmp_path / "file" / folder / name, tmp_path / "live" / folder / name, shallow=False
            ), f"{folder}/{name}"
    assert filecmp.cmp(tmp_path / "file" / "frames.csv", tmp_path / "live" / "frames.csv", shallow=False)
    results = live.manifest["results"]["live"]
    assert results["captured"] == results["processed"] == 24
    assert results["latency_median_ms"] > 0
    assert live.manifest["status"] == "done"


def test_under_overload_newest_drops_and_counts_every_frame(tmp_path):
    scene = "synth:loops?frames=150&size=512&seed=3"
    config = load_config(
        assignments=[
            "live.give_up_s=0.5",
            "output.video=false",
            "refine.enabled=false",
            "segment.scale=1.0",
            "segment.contrast=dark",
        ]
    )
    with replay(scene, fps=200) as camera:
        run = insitrack.track(camera.address, tmp_path / "run", config=config)
    frames, live = run.frames, run.manifest["results"]["live"]
    counts = frames["status"].value_counts()
    assert frames["frame"].tolist() == list(range(len(frames)))
    assert (
        live["captured"] == counts["processed"] + counts.get("dropped", 0) + counts.get("damaged", 0) == 150
    )
    assert (np.diff(frames["t_s"]) > 0).all()
    series = run.series
    dropped = series[series["frame"].isin(frames.loc[frames["status"] == "dropped", "frame"])]
    assert dropped["n"].isna().all()


def test_an_interruption_is_one_gap_and_the_stream_goes_on_with_rising_times_and_told_alarms():
    alarms = []
    with replay(SCENE, fps=50, faults=[Fault("disconnect", 20, 0.5)]) as camera:
        source, items = received(camera, LiveConfig(policy="all", give_up_s=1.5), alarms=alarms)
    gaps = [item for item in items if isinstance(item, MissingFrame)]
    assert [item.status for item in gaps] == ["gap"]
    assert source.n_reconnects == 1
    assert [item.index for item in items] == list(range(len(items)))
    times = [item.t_s for item in items]
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    place = items.index(gaps[0])
    assert times[place + 1] - times[place - 1] > 0.4
    assert any("reconnecting" in line for line in alarms)
    assert any("the run ends" in line for line in alarms)


def test_a_stalled_source_is_told_and_reconnected():
    alarms = []
    with replay(SCENE, fps=50, faults=[Fault("stall", 15, 1.2)]) as camera:
        source, items = received(camera, LiveConfig(policy="all", give_up_s=3.0, stall_s=0.4), alarms=alarms)
    assert any(isinstance(item, MissingFrame) and item.status == "gap" for item in items)
    assert any("no frames since" in line for line in alarms)
    assert any("nothing came in time" in line for line in alarms)
    assert sum(isinstance(item, Frame) for item in items) >= 15
    assert source.n_reconnects >= 1


@pytest.mark.parametrize("lossless", [True, False])
def test_damaged_doubled_swapped_and_resized_pictures_are_accounted_for(lossless):
    faults = [
        Fault("corrupt", 8),
        Fault("duplicate", 12),
        Fault("reorder", 16),
        Fault("drop", 20),
        Fault("resize", 25),
    ]
    with replay(SCENE, fps=100, faults=faults) as camera:
        source, items = received(camera, lossless=lossless)
    n_pictures, n_damaged = (
        sum(isinstance(item, Frame) for item in items),
        sum(getattr(item, "status", "") == "damaged" for item in items),
    )
    assert source.n_captured == n_pictures + n_damaged
    assert len(items) == n_pictures + n_damaged + source.n_gaps
    assert n_damaged >= 1
    assert len({item.image.shape for item in items if isinstance(item, Frame)}) == 1
    times = [item.t_s for item in items]
    assert all(later > earlier for earlier, later in itertools.pairwise(times))


def test_many_random_faults_leave_nothing_unaccounted():
    faults = random_faults(40, 200, seed=1)
    with replay("synth:loops?frames=40&size=64&seed=3", fps=100, faults=faults, loops=5) as camera:
        source, items = received(
            camera, LiveConfig(policy="newest", queue_frames=3, give_up_s=0.6, stall_s=1.0), lossless=False
        )
    counts = {
        status: sum(getattr(item, "status", "") == status for item in items)
        for status in ("dropped", "damaged", "gap")
    }
    assert (
        source.n_captured
        == sum(isinstance(item, Frame) for item in items) + counts["dropped"] + counts["damaged"]
    )
    assert counts["gap"] == source.n_gaps
    assert [item.index for item in items] == list(range(len(items)))


def test_a_page_looks_less_often_while_the_machine_does_not_keep_up(tmp_path):
    with replay(SCENE, fps=0, loops=3) as camera:
        source = LiveSource(camera.address, LiveConfig(policy="newest", queue_frames=1, give_up_s=0.3))
        status = LiveStatus(source, tmp_path)
        view = LiveView(status, "camera", None)
        assert view.tick_s == 0.25 or status.behind  # frames may have come already
        wait_for(lambda: source.waiting.n_dropped > 3)
        assert status.behind
        assert view.tick_s == 1.0
        wait_for(lambda: not status.behind)
        assert view.tick_s == 0.25
        source.close()
        view._server._socket.close()


def test_pausing_skips_frames_without_ending_the_run():
    with replay(SCENE, fps=50) as camera:
        source = LiveSource(camera.address, ALL)
        items = []
        for item in source:
            items.append(item)
            source.paused = 10 <= len(items) < 20
        source.close()
    assert 1 <= sum(getattr(item, "status", "") == "skipped" for item in items) <= 20
    assert isinstance(items[-1], Frame)


def test_a_watched_folder_gives_pictures_as_they_are_written_and_stacks_as_they_grow(tmp_path):
    import cv2
    import tifffile

    source = LiveSource(f"watch:{tmp_path}", LiveConfig(policy="all"))
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(source), daemon=True)
    reader.start()
    for i in (1, 2, 10):
        cv2.imwrite(str(tmp_path / f"f{i}.png"), np.full((8, 12), i, np.uint8))
    wait_for(lambda: len(seen) == 3)
    for pages in (2, 3):
        tifffile.imwrite(
            tmp_path / "stack.tif",
            np.stack([np.full((8, 12), 50 + i, np.uint8) for i in range(pages)]),
            photometric="minisblack",
        )
        wait_for(lambda pages=pages: len(seen) == 3 + pages)
    (tmp_path / "broken.png").write_bytes(b"not a frame")
    wait_for(lambda: len(seen) == 7)
    source.close()
    reader.join(timeout=5)
    assert [int(item.image[0, 0]) for item in seen[:6]] == [1, 2, 10, 50, 51, 52]
    assert seen[6].status == "damaged"
    assert source.n_captured == 7


@pytest.mark.parametrize("kind", [np.float32, np.int16, np.uint16])
def test_deep_pictures_of_a_watched_folder_share_the_levels_and_the_scale_of_the_first(tmp_path, kind):
    import tifffile

    def write(number, gain):
        values = (np.random.default_rng(0).normal(1000, 100, (16, 24)) * gain).astype(kind)
        metadata = {"unit": "nm"} if kind != np.int16 else None  # ImageJ knows no signed ones
        tifffile.imwrite(
            tmp_path / f"f{number}.tif", values, imagej=kind != np.int16, resolution=(4, 4), metadata=metadata
        )

    write(1, 1.0)
    source = LiveSource(f"watch:{tmp_path}", LiveConfig(policy="all"))
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(source), daemon=True)
    reader.start()
    wait_for(lambda: len(seen) == 1)
    write(2, 1.1)
    wait_for(lambda: len(seen) == 2)
    tifffile.imwrite(tmp_path / "f3.tif", np.zeros((16, 24), np.uint8), photometric="minisblack")
    wait_for(lambda: len(seen) == 3)
    source.close()
    reader.join(timeout=5)
    assert all(item.image.dtype == np.uint16 for item in seen[:2])
    assert seen[1].image.astype(float).mean() > seen[0].image.astype(float).mean()
    assert seen[2].status == "damaged"
    assert "in a run of" in seen[2].reason
    assert source.calibration.nm_per_px == (None if kind == np.int16 else pytest.approx(0.25))
    assert np.dtype(kind).name in source.describe()["levels"]
    again = LiveSource(
        f"watch:{tmp_path}", LiveConfig(policy="all"), left_off=LeftOff(3, 100.0, source.levels)
    )
    assert again.levels == source.levels
    again.close()


def wait_for(condition, timeout_s=10.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.02)


def test_waiting_frames_keep_their_order_in_memory_and_on_disk(tmp_path):
    waiting = WaitingFrames("all", 2, tmp_path)
    for i in range(6):
        waiting.put(picture(i))
    waiting.put(MissingFrame(6, 6.0, "gap"))
    assert len(waiting) == 6
    assert waiting.n_spooled == 4
    got = [waiting.get(0.1) for _ in range(7)]
    assert [item.index for item in got] == list(range(7))
    assert all(int(item.image[0, 0]) == item.index for item in got[:6])
    assert waiting.get(0.01) is None
    assert not list(tmp_path.rglob("*.npy"))
    waiting.discard()


def test_newest_turns_the_oldest_picture_into_a_record_in_its_place():
    waiting = WaitingFrames("newest", 2)
    for i in range(5):
        waiting.put(picture(i))
    got = [waiting.get(0.1) for _ in range(5)]
    assert [getattr(item, "status", "picture") for item in got] == ["dropped"] * 3 + ["picture"] * 2
    assert waiting.n_dropped == 3


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("http://127.0.0.1:1/stream.nut", "no stream there"),
        ("camera:front", "expected a number"),
        ("camera:99", "no such camera"),
        ("watch:/nowhere/at/all", "no such folder"),
        ("screen:1,2", "expected screen:LEFT"),
    ],
)
def test_a_wrong_address_is_refused_at_once_in_one_line(uri, message):
    with pytest.raises(SourceError, match=message) as error:
        open_source(uri)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: LiveConfig(policy="oldest"),
        lambda: LiveConfig(queue_frames=0),
        lambda: LiveConfig(stall_s=0.0),
        lambda: LiveConfig(give_up_s=math.nan),
        lambda: parse_fault("explode@3"),
        lambda: parse_fault("stall"),
        lambda: replay(SCENE, fps=-1.0),
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SettingsError, match="expected"):
        wrong()


def test_a_port_that_is_taken_is_refused():
    with replay(SCENE) as camera, pytest.raises(InsitrackError, match="cannot be used"):
        replay(SCENE, port=camera.port)


def test_the_rows_of_a_live_run_are_on_disk_while_it_runs(tmp_path):
    config = load_config(
        assignments=["live.give_up_s=0.5", "output.video=false", "segment.scale=1.0", "segment.contrast=dark"]
    )
    stop = threading.Event()
    with replay("synth:loops?frames=400&size=128&seed=3", fps=20) as camera:
        done = {}
        work = threading.Thread(
            target=lambda: done.update(
                run=insitrack.track(camera.address, tmp_path / "run", config=config, stop=stop)
            )
        )
        work.start()
        path = tmp_path / "run" / "frames.csv"
        wait_for(lambda: path.exists() and len(path.read_text().splitlines()) > 10, 30)
        stop.set()
        work.join(timeout=20)
    assert not work.is_alive()
    assert done["run"].manifest["status"] == "done"
    assert len(columns.FRAMES.read(Path(path))) < 400
