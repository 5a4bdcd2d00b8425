"""The one door, and the time axis that every source shares."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from insitrack.io.draw.movie_writer import MovieWriter
from insitrack.io.errors import InsitrackError, SettingsError, SourceError
from insitrack.io.files.movie import MovieSource
from insitrack.io.files.stacks import StackSource
from insitrack.io.frames import Calibration, Frame, MissingFrame, Source
from insitrack.io.sources import open_source
from insitrack.io.timeline import Clock, SelectedSource, Selection

PICTURE = np.tile(np.arange(64, dtype=np.uint8), (48, 1))


@dataclass
class Counted:
    """Ten frames, one damaged, that counts what it was asked for."""

    name: str = "counted"
    calibration: Calibration = field(default_factory=Calibration)
    time_origin: str = "camera clock"
    n_frames: int | None = 10
    made: int = 0
    closed: bool = False
    truth: str = "kept"
    warnings: list = field(default_factory=lambda: ["one frame is torn"])
    refused: str = ""
    levels: None = None

    def samples(self):
        yield Frame(9, 4.5, PICTURE)

    def __iter__(self):
        for k in range(10):
            self.made += 1
            yield MissingFrame(k, k / 2, "damaged", "torn") if k == 4 else Frame(k, k / 2, PICTURE)

    def describe(self):
        return {"kind": "made up"}

    def close(self):
        self.closed = True


def status(source):
    return ["ok" if isinstance(item, Frame) else item.status for item in source]


@given(st.lists(st.one_of(st.none(), st.floats(0, 100)), max_size=30))
def test_the_clock_strictly_increases_whatever_the_timestamps(stamps):
    clock = Clock(0.5)
    times = [clock.time(k, stamp) for k, stamp in enumerate(stamps)]
    assert np.all(np.diff(times) > 0)


@given(st.lists(st.floats(1e-3, 100), min_size=1, max_size=30))
def test_the_clock_leaves_rising_timestamps_alone(steps):
    stamps = list(np.cumsum(steps))
    clock = Clock(1.0)
    assert [clock.time(k, stamp) for k, stamp in enumerate(stamps)] == stamps
    assert clock.repaired == 0


@given(st.integers(1, 20), st.integers(2, 20), st.floats(0.01, 100))
def test_timestamps_that_start_again_go_on_at_the_same_rate(before, after, interval):
    stamps = [k * interval for k in range(before + 1)] + [k * interval for k in range(after)]
    clock = Clock(interval)
    times = [clock.time(k, stamp) for k, stamp in enumerate(stamps)]
    assert np.allclose(np.diff(times), interval) or before == 1
    assert np.all(np.diff(times) > 0)


@given(st.integers(3, 20), st.integers(2, 10), st.floats(0.01, 100), st.floats(0, 1))
def test_one_timestamp_that_falls_back_moves_no_other(before, after, interval, share):
    stamps = [k * interval for k in range(before + after + 1)]
    stamps[before] = share * (before - 2.6) * interval
    clock = Clock(interval)
    times = [clock.time(k, stamp) for k, stamp in enumerate(stamps)]
    assert np.allclose(times, [k * interval for k in range(len(stamps))])
    assert (clock.repaired, clock.restarts) == (1, 0)


@given(
    start=st.one_of(st.none(), st.floats(-1, 6)),
    length=st.one_of(st.none(), st.floats(0, 6)),
    every=st.integers(1, 12),
)
def test_a_selection_accounts_for_every_frame_and_keeps_only_those_asked_for(start, length, every):
    end = None if length is None else (start or 0) + length
    items = list(SelectedSource(Counted(), Selection(start_s=start, end_s=end, every=every)))
    assert [(item.index, item.t_s) for item in items] == [(k, k / 2) for k in range(10)]
    for item in items:
        inside = (
            (start is None or item.t_s >= start)
            and (end is None or item.t_s <= end)
            and item.index % every == 0
        )
        assert (getattr(item, "status", "ok") == "skipped") == (not inside)


def test_nothing_is_made_beyond_the_end():
    source = Counted()
    assert status(SelectedSource(source, Selection(end_s=1.0))) == ["ok"] * 3 + ["skipped"] * 7
    assert source.made == 4


def test_a_wrapped_source_keeps_its_damage_its_extras_and_its_facts():
    inner = Counted()
    source = SelectedSource(inner, frame_interval_s=2.0)
    assert isinstance(source, Source)
    assert list(source)[4] == MissingFrame(4, 8.0, "damaged", "torn")
    assert source.truth == "kept"
    assert (source.warnings, source.refused, source.levels) == (["one frame is torn"], "", None)
    assert [frame.index for frame in source.samples()] == [9]
    assert source.describe() == {"kind": "made up", "time_origin": "command line"}
    source.close()
    assert inner.closed


def test_the_door_finds_the_kind_of_source(tmp_path):
    with MovieWriter(tmp_path / "film.MP4") as movie:
        movie.write(PICTURE, 0.0)
    (tmp_path / "frames").mkdir()
    for name in ("frames/a1.png", "single.bmp", "stack.tiff"):
        Image.fromarray(PICTURE).save(tmp_path / name)
    kinds = {
        "film.MP4": MovieSource,
        "frames": StackSource,
        "single.bmp": StackSource,
        "stack.tiff": StackSource,
        "frames/*.png": StackSource,
    }
    for name, kind in kinds.items():
        for uri in (tmp_path / name, str(tmp_path / name)):
            source = open_source(uri, nm_per_px=0.5)
            assert isinstance(source, kind)
            assert isinstance(source, Source)
            assert source.calibration == Calibration(nm_per_px=0.5, origin="command line")
            assert source.describe()["path"] == str(tmp_path / name)
            assert status(source) == ["ok"]


def test_a_movie_under_an_unknown_suffix_is_recognised_by_its_content(tmp_path):
    with MovieWriter(tmp_path / "film.mp4") as movie:
        movie.write(PICTURE, 0.0)
    (tmp_path / "film.mp4").rename(tmp_path / "film.bin")
    assert status(open_source(tmp_path / "film.bin")) == ["ok"]


def test_a_synthetic_movie_takes_scale_and_selection():
    source = open_source("synth:loops?seed=1&frames=4&size=128", nm_per_px=0.9, every=2)
    assert status(source) == ["ok", "skipped", "ok", "skipped"]
    assert source.calibration.nm_per_px == 0.9
    assert source.calibration.origin == "command line"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("nm_per_px", 0.0),
        ("nm_per_px", -1.0),
        ("nm_per_px", float("nan")),
        ("frame_interval_s", 0.0),
        ("frame_interval_s", -0.1),
        ("frame_interval_s", float("inf")),
        ("every", 0),
        ("every", -3),
        ("start_s", float("nan")),
    ],
)
def test_an_impossible_setting_is_refused_before_anything_is_opened(option, value):
    with pytest.raises(SettingsError) as caught:
        open_source("nowhere.mp4", **{option: value})
    assert {"start_s": "--start "}.get(option, option.replace("_", "-")) in str(caught.value)
    assert str(value) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_end_before_the_start_is_refused():
    with pytest.raises(SettingsError, match="swap"):
        Selection(start_s=3.0, end_s=1.0)


@pytest.mark.parametrize(
    "uri", ["nowhere.mp4", "nowhere", "nowhere*.png", "synth:unheard-of", "nowhere.dm4", "nowhere.tif"]
)
def test_a_source_that_is_not_there_is_named_in_one_line(uri):
    with pytest.raises(InsitrackError) as caught:
        open_source(uri)
    assert isinstance(caught.value, SourceError | SettingsError)
    assert uri.removeprefix("synth:") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_text_file_is_no_movie(tmp_path):
    (tmp_path / "notes.txt").write_text("beam on at 12:40\n" * 50)
    with pytest.raises(SourceError, match="text file"):
        open_source(tmp_path / "notes.txt")


def test_a_movie_gives_frames_spread_over_the_times_that_are_wanted(tmp_path):
    with MovieWriter(tmp_path / "deep.mkv", codec="ffv1", playback_fps=10.0) as movie:
        for number in range(100):
            movie.write(np.full((16, 24), 100 * number, np.uint16), number / 10)
    levels = [int(frame.image[0, 0]) // 100 for frame in MovieSource(tmp_path / "deep.mkv").samples()]
    assert len(levels) == 16
    assert levels == sorted(levels)
    assert levels[0] == 0
    assert levels[-1] >= 90
    part = [
        int(frame.image[0, 0]) // 100
        for frame in open_source(tmp_path / "deep.mkv", start_s=2.0, end_s=4.0).samples()
    ]
    assert min(part) >= 19
    assert max(part) <= 40


def test_a_stack_gives_frames_spread_over_it(tmp_path):
    tifffile.imwrite(
        tmp_path / "deep.tif",
        np.arange(40, dtype=np.uint16)[:, None, None] * np.ones((40, 6, 8), np.uint16),
        photometric="minisblack",
    )
    numbers = [int(frame.image[0, 0]) for frame in open_source(tmp_path / "deep.tif").samples()]
    assert len(numbers) == 16
    assert (numbers[0], numbers[-1]) == (0, 39)


def test_with_a_given_interval_an_interruption_lasts_as_long_as_the_camera_tells():
    class Interrupted(Counted):
        def __iter__(self):
            yield Frame(0, 0.0, PICTURE)
            yield Frame(1, 1.1, PICTURE)
            yield MissingFrame(2, 2.0, "gap", "no images")
            yield Frame(3, 62.0, PICTURE)
            yield Frame(4, 63.2, PICTURE)

    times = [item.t_s for item in SelectedSource(Interrupted(n_frames=None), frame_interval_s=1.0)]
    assert times == pytest.approx([0.0, 1.0, 2.0, 62.0, 63.0])
