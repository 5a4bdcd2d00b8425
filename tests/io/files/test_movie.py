"""Movie files in and out: every frame accounted for, times and grey levels as they were recorded."""

import wave
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.draw.movie_writer import MovieWriter
from insitrack.io.errors import SettingsError, SourceError
from insitrack.io.files.movie import MovieSource
from insitrack.io.frames import Frame, MissingFrame
from insitrack.io.timeline import Selection
from insitrack.tests.support.movies import encode, pictures

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
RAMP = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
FULL = 2
FASTSTART = {"movflags": "faststart"}


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    """40 frames at 10 per second, key frames every 10, B-frames, index at the front."""
    options = {"crf": "18", "preset": "veryfast", "g": "10", "bf": "2"}
    return encode(
        tmp_path_factory.mktemp("movie") / "whole.mp4", pictures(40), options=options, container=FASTSTART
    )


@pytest.fixture(scope="module")
def whole(movie):
    return list(MovieSource(movie))


def status(items):
    return ["ok" if isinstance(item, Frame) else item.status for item in items]


def times(items):
    return [item.t_s for item in items]


# --- the laws
# ------------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(share=st.floats(0.15, 0.99))
def test_a_movie_cut_anywhere_accounts_for_every_frame_and_keeps_those_before_the_cut(
    movie, whole, tmp_path_factory, share
):
    data = movie.read_bytes()
    cut = tmp_path_factory.mktemp("cut") / "cut.mp4"
    cut.write_bytes(data[: int(share * len(data))])
    try:
        source = MovieSource(cut)
    except SourceError:
        assert share < 0.5  # not even the first image is whole
        return
    items = list(source)
    assert [item.index for item in items] == list(range(40))
    assert times(items) == pytest.approx(times(whole))
    n_kept = status(items).index("damaged")
    assert all(
        np.array_equal(item.image, full.image) for item, full in zip(items[:n_kept], whole, strict=False)
    )
    assert set(status(items[n_kept + 3 :])) <= {
        "damaged"
    }  # the cut may leave an image whose B-frames are lost
    assert source.warnings


@settings(max_examples=15, deadline=None)
@given(bounds=st.tuples(st.floats(0, 4.5), st.floats(0, 4.5)).map(sorted), every=st.integers(1, 7))
def test_a_selection_gives_the_same_pictures_as_the_whole_movie_and_skips_the_others(
    movie, whole, bounds, every
):
    start_s, end_s = bounds
    items = list(MovieSource(movie, selection=Selection(start_s=start_s, end_s=end_s, every=every)))
    assert times(items) == times(whole)
    for item, full in zip(items, whole, strict=True):
        wanted = start_s <= full.t_s <= end_s and full.index % every == 0
        assert isinstance(item, Frame) == wanted
        if wanted:
            assert np.array_equal(item.image, full.image)
        else:
            assert item.status == "skipped"


@settings(max_examples=8, deadline=None)
@given(steps=st.lists(st.integers(1, 5000), min_size=1, max_size=6))
def test_times_written_come_back_however_uneven(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("times") / "uneven.mp4"
    stamps = np.concatenate([[0], np.cumsum(steps)]) / 1000
    with MovieWriter(path, playback_fps="timestamps") as movie:
        for t_s in stamps:
            movie.write(RAMP, 7.0 + t_s)
    assert times(MovieSource(path)) == pytest.approx(stamps, abs=1e-4)


# --- grey levels
# ---------------------------------------------------------------------------------------------------


def test_grey_levels_written_as_h264_come_back_within_two(tmp_path):
    with MovieWriter(tmp_path / "grey.mp4") as movie:
        for k in range(5):
            movie.write(np.roll(RAMP, k, axis=1), k / 10)
    for k, frame in enumerate(MovieSource(tmp_path / "grey.mp4")):
        assert np.abs(frame.image.astype(int) - np.roll(RAMP, k, axis=1)).max() <= 2


def test_a_grey_stream_without_a_range_tag_is_taken_as_encoded(tmp_path):
    path = encode(tmp_path / "grey.mp4", [RAMP] * 3, layout="gray")
    source = MovieSource(path)
    assert source.describe()["pix_fmt"] == "yuv420p"  # the decoder hides that there is no colour
    assert np.abs(next(iter(source)).image.astype(int) - RAMP).max() <= 2


def test_the_limited_range_is_stretched_to_the_full_one(tmp_path):
    path = encode(tmp_path / "limited.mp4", [RAMP] * 3)
    source = MovieSource(path)
    assert source.describe()["levels"] == "limited range stretched to full"
    assert np.abs(next(iter(source)).image.astype(int) - RAMP).max() <= 3


def test_levels_beyond_the_limited_range_show_that_an_untagged_movie_is_full(tmp_path):
    yuv = np.vstack([RAMP, np.full((32, 256), 128, np.uint8)])
    with av.open(str(tmp_path / "untagged.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=10, options={"crf": "8"})
        stream.width, stream.height, stream.pix_fmt = 256, 64, "yuv420p"
        file.mux(stream.encode(av.VideoFrame.from_ndarray(yuv, format="yuv420p")))
        file.mux(stream.encode(None))
    frame = next(iter(MovieSource(tmp_path / "untagged.mp4")))
    assert np.abs(frame.image.astype(int) - RAMP).max() <= 2


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535)])
def test_ffv1_is_lossless_at_odd_sizes(tmp_path, dtype, top):
    images = list(np.random.default_rng(3).integers(0, top, (4, 33, 47), endpoint=True).astype(dtype))
    with MovieWriter(tmp_path / "exact.mkv", codec="ffv1", playback_fps="timestamps") as movie:
        for k, image in enumerate(images):
            movie.write(image, 0.25 * k)
    items = list(MovieSource(tmp_path / "exact.mkv"))
    assert times(items) == [0.0, 0.25, 0.5, 0.75]
    for item, image in zip(items, images, strict=True):
        assert item.image.dtype == dtype
        assert np.array_equal(item.image, image)


def test_ten_bits_keep_their_levels(tmp_path):
    image = RAMP.astype(np.uint16) * 4
    path = encode(tmp_path / "ten.mkv", [image] * 2, codec="ffv1", layout="gray10le", options={"level": "3"})
    frame = next(iter(MovieSource(path)))
    assert frame.image.dtype == np.uint16
    assert np.array_equal(frame.image, image)


def test_limited_ten_bits_are_stretched_to_1023(tmp_path):
    image = np.linspace(64, 940, 256).round().astype(np.uint16) * np.ones((64, 1), np.uint16)
    yuv = av.VideoFrame(256, 64, "yuv420p10le")
    for plane, level in zip(yuv.planes, (image, None, None), strict=True):
        wide = np.full((plane.height, plane.line_size // 2), 512, np.uint16)
        if level is not None:
            wide[:, :256] = level
        plane.update(wide.tobytes())
    with av.open(str(tmp_path / "ten.mkv"), "w") as file:
        stream = file.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 256, 64, "yuv420p10le"
        file.mux(stream.encode(yuv))
        file.mux(stream.encode(None))
    got = next(iter(MovieSource(tmp_path / "ten.mkv"))).image
    assert (got.min(), got.max()) == (0, 1023)
    assert np.abs(got[0].astype(float) - np.arange(256) * 1023 / 255).max() <= 1


def test_equal_red_green_and_blue_are_that_grey(tmp_path):
    path = encode(
        tmp_path / "rgb.mkv", [np.dstack([RAMP] * 3)], codec="ffv1", layout="bgr0", options={"level": "3"}
    )
    assert np.array_equal(next(iter(MovieSource(path))).image, RAMP)


def test_odd_sizes_are_padded_by_repeating_the_border(tmp_path):
    with MovieWriter(tmp_path / "odd.mp4", crf=8) as movie:
        movie.write(RAMP[:33, :47], 0.0)
    frame = next(iter(MovieSource(tmp_path / "odd.mp4")))
    assert frame.shape == (34, 48)
    assert np.abs(frame.image[:33, :47].astype(int) - RAMP[:33, :47]).max() <= 3


@pytest.mark.parametrize("height", [64, 66])
def test_colours_come_back_where_they_were_drawn(tmp_path, height):
    picture = np.zeros((height, 96, 3), np.uint8)
    picture[:, :32], picture[:, 32:64], picture[:, 64:] = (0, 0, 255), (0, 255, 0), (255, 0, 0)
    picture[:20] = 128
    with MovieWriter(tmp_path / "colour.mp4", crf=8) as movie:
        movie.write(picture, 0.0)
    with av.open(str(tmp_path / "colour.mp4")) as file:
        back = next(file.decode(video=0)).to_ndarray(format="bgr24").astype(int)
    assert np.abs(back - picture)[np.r_[2:18, 22 : height - 2]][:, [16, 48, 80]].max() <= 8


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
        ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
        ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    ],
)
def test_the_display_matrix_turns_the_picture(movie, whole, tmp_path, matrix, turn):
    a, b, c, d = (np.array([value << 16], ">i4").tobytes() for value in matrix)
    zero = bytes(4)
    data = movie.read_bytes()
    at = data.index(b"tkhd") + 4 + 40
    path = tmp_path / "turned.mp4"
    path.write_bytes(data[:at] + a + b + zero + c + d + data[at + 20 :])
    source = MovieSource(path)
    assert np.array_equal(next(iter(source)).image, turn(whole[0].image))
    assert (source.describe()["height_px"], source.describe()["width_px"]) == turn(whole[0].image).shape


# --- times
# ---------------------------------------------------------------------------------------------------------


def test_repeated_times_are_repaired_and_said(tmp_path):
    path = encode(
        tmp_path / "repeat.mkv",
        pictures(5),
        codec="mjpeg",
        layout="yuvj420p",
        stamps=[0, 100, 200, 300, 400],
        options={"q:v": "3"},
    )
    with av.open(str(path)) as before, av.open(str(tmp_path / "bad.mkv"), "w") as after:
        out = after.add_stream_from_template(before.streams.video[0])
        for packet, stamp in zip(before.demux(video=0), [0, 100, 100, 300, 400, None], strict=True):
            if stamp is not None:
                packet.stream, packet.pts, packet.dts, packet.time_base = out, stamp, stamp, Fraction(1, 1000)
                after.mux(packet)
    source = MovieSource(tmp_path / "bad.mkv")
    assert times(source) == pytest.approx([0.0, 0.1, 0.15, 0.3, 0.4])
    assert any("timestamps" in line for line in source.warnings)


@pytest.mark.parametrize("suffix", [".mkv", ".nut", ".wmv", ".ts", ".mp4"])
@pytest.mark.parametrize("begins_ms", [0, 2_000, 3_600_000])
def test_a_movie_whose_clock_does_not_begin_at_zero_has_lost_no_frames(tmp_path, suffix, begins_ms):
    codec, layout = ("mjpeg", "yuvj420p") if suffix == ".wmv" else ("libx264", "yuv420p")
    path = encode(
        tmp_path / f"late{suffix}",
        pictures(48),
        codec=codec,
        layout=layout,
        stamps=[begins_ms + 100 * k for k in range(48)],
        options={"q:v": "3"} if suffix == ".wmv" else None,
    )
    source = MovieSource(path)
    items = list(source)
    assert status(items) == ["ok"] * 48
    assert abs(source.n_frames - 48) <= 1
    assert not any("cut off" in line for line in source.warnings)


def test_a_stream_without_times_says_which_rate_it_assumes(movie, tmp_path):
    with av.open(str(movie)) as before, av.open(str(tmp_path / "raw.h264"), "w") as after:
        out = after.add_stream_from_template(before.streams.video[0])
        for packet in before.demux(video=0):
            if packet.dts is not None:
                packet.stream = out
                after.mux(packet)
    source = MovieSource(tmp_path / "raw.h264")
    items = list(source)
    assert source.time_origin.startswith("assumed")
    assert source.warnings
    assert status(items) == ["ok"] * 40
    assert np.all(np.diff(times(items)) > 0)


def test_a_given_interval_replaces_the_timestamps(movie):
    source = MovieSource(movie, frame_interval_s=60.0, selection=Selection(start_s=120, end_s=300))
    items = list(source)
    assert source.time_origin == "command line"
    assert times(items) == [60.0 * k for k in range(40)]
    assert [item.index for item in items if isinstance(item, Frame)] == [2, 3, 4, 5]


# --- damage
# --------------------------------------------------------------------------------------------------------


def test_scrambled_bytes_are_reported_and_the_rest_is_read(movie, whole, tmp_path):
    data = bytearray(movie.read_bytes())
    middle = (data.index(b"mdat") + len(data)) // 2
    data[middle : middle + 60] = bytes(60)
    (tmp_path / "bad.mp4").write_bytes(data)
    source = MovieSource(tmp_path / "bad.mp4")
    items = list(source)
    assert times(items) == times(whole)
    assert 1 <= status(items).count("damaged") <= 5
    assert any("decoded" in line for line in source.warnings)


def test_a_movie_can_be_read_twice(movie, whole):
    source = MovieSource(movie)
    assert len(list(source)) == len(list(source)) == source.n_frames == len(whole)
    assert source.warnings == []


def make_text(path):
    path.write_text("not a movie\n" * 300)


def make_empty(path):
    path.touch()


def make_sound(path):
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))


def make_cut_index(path):
    encode(path, pictures(20))
    path.write_bytes(path.read_bytes()[:-500])


def make_no_frames(path):
    with av.open(str(path), "w", format="matroska") as file:
        stream = file.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        file.start_encoding()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (make_text, "not a movie"),
        (make_empty, "empty"),
        (make_sound, "sound"),
        (make_cut_index, "moov"),
        (make_no_frames, "ends before its first image"),
        (lambda path: None, "no such movie"),
    ],
)
def test_what_is_not_a_movie_is_refused_in_one_line(tmp_path, capfd, make, says):
    path = tmp_path / "film.mp4"
    make(path)
    with pytest.raises(SourceError, match=says) as caught:
        MovieSource(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_an_impossible_interval_is_refused(movie):
    with pytest.raises(SettingsError, match="-1"):
        MovieSource(movie, frame_interval_s=-1.0)


def test_the_scale_is_unknown_unless_given(movie):
    assert MovieSource(movie).calibration.nm_per_px is None
    assert MovieSource(movie).calibration.origin == "unknown"
    assert MovieSource(movie, nm_per_px=0.37).calibration.origin == "command line"


# --- real movies
# ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not (DATA / "fecral-video").is_dir(), reason="the real movie is not here")
def test_the_real_movie_agrees_with_opencv_and_is_counted_to_its_end():
    path = next((DATA / "fecral-video").glob("*.mp4"))
    items = list(MovieSource(path, selection=Selection(end_s=0.5)))
    assert status(items) == ["ok"] * 4 + ["skipped"] * 296
    assert items[7].t_s == pytest.approx(1.0)
    video = cv2.VideoCapture(str(path))
    reference = cv2.cvtColor(video.read()[1], cv2.COLOR_BGR2GRAY)
    video.release()
    assert np.abs(items[0].image.astype(int) - reference).max() <= 2


@pytest.mark.skipif(not (DATA / "ti-anneal" / "videos").is_dir(), reason="the real clips are not here")
@pytest.mark.parametrize(("name", "n_frames"), [("Figure-3-Loop-Motion", 14), ("Figure-4-Line-Motion", 23)])
def test_the_real_clips_run_at_four_frames_per_second(name, n_frames):
    items = list(MovieSource(DATA / "ti-anneal" / "videos" / f"{name}.mp4"))
    assert times(items) == [k / 4 for k in range(n_frames)]
    assert not any(isinstance(item, MissingFrame) for item in items)


def test_titles_that_are_no_text_and_codecs_that_nobody_knows_do_no_harm(tmp_path):
    path = tmp_path / "m.mkv"
    with MovieWriter(path, codec="ffv1") as movie:
        for i in range(3):
            movie.write(np.full((48, 64), 40 * i, np.uint8), i / 10)
    data = path.read_bytes()
    assert b"Lavf" in data
    (tmp_path / "title.mkv").write_bytes(data.replace(b"Lavf", b"\x80\xd3vf"))
    assert len(list(MovieSource(tmp_path / "title.mkv"))) == 3
    assert b"V_FFV1" in data or b"V_MS/VFW" in data
    broken = data.replace(b"V_FFV1", b"V_XXXX").replace(b"V_MS/VFW/FOURCC", b"V_XX/XXX/XXXXXX")
    (tmp_path / "codec.mkv").write_bytes(broken)
    with pytest.raises(SourceError, match=r"codec\.mkv: "):
        MovieSource(tmp_path / "codec.mkv")
