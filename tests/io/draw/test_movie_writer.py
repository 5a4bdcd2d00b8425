"""Movie files out: they survive a cut, play at a rate that can be watched, and two parts become one."""

import contextlib

import cv2
import numpy as np
import pytest

from insitrack.io.draw.movie_writer import MovieWriter, count_pictures, join_movies
from insitrack.io.errors import OutputError
from insitrack.io.files.movie import MovieSource
from insitrack.tests.support.movies import pictures

RAMP = np.tile(np.arange(256, dtype=np.uint8), (64, 1))


def test_what_was_written_before_a_crash_can_be_played(tmp_path):
    movie = MovieWriter(tmp_path / "live.mp4")
    for k, picture in enumerate(pictures(100)):
        movie.write(picture, k / 10)
    assert not (tmp_path / "live.mp4").exists()
    assert len(list(MovieSource(tmp_path / "live.mp4.part"))) >= 60
    movie.close()
    movie.close()
    assert not (tmp_path / "live.mp4.part").exists()
    assert len(list(MovieSource(tmp_path / "live.mp4"))) == 100


@pytest.mark.parametrize(("interval_s", "fps"), [(60.0, 5), (0.1, 10), (0.001, 30)])
def test_replay_runs_at_a_rate_that_can_be_watched(tmp_path, interval_s, fps):
    with MovieWriter(tmp_path / "replay.mp4") as movie:
        for k in range(12):
            movie.write(RAMP, k * interval_s)
    video = cv2.VideoCapture(str(tmp_path / "replay.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 12
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(fps, rel=0.01)
    video.release()


def test_an_error_while_writing_leaves_what_is_there(tmp_path):
    with contextlib.suppress(ZeroDivisionError), MovieWriter(tmp_path / "partial.mp4") as movie:
        movie.write(RAMP, 0.0)
        movie.write(RAMP, 1.0)
        movie.write(RAMP, 1 / 0)
    assert len(list(MovieSource(tmp_path / "partial.mp4"))) == 2


def test_no_picture_leaves_no_file(tmp_path):
    with MovieWriter(tmp_path / "none.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with (
        pytest.raises(OutputError, match="cannot be written"),
        MovieWriter(tmp_path / "nowhere" / "film.mp4") as movie,
    ):
        movie.write(RAMP, 0.0)


@pytest.mark.parametrize(
    "image", [RAMP.astype(np.float32), RAMP.astype(np.uint16), RAMP[None, None], RAMP[:0]]
)
def test_pictures_that_h264_cannot_hold_are_refused(tmp_path, image):
    with pytest.raises(ValueError, match="takes uint8"), MovieWriter(tmp_path / "film.mp4") as movie:
        movie.write(image, 0.0)


def test_a_picture_of_another_size_is_refused(tmp_path):
    with MovieWriter(tmp_path / "film.mp4") as movie:
        movie.write(RAMP, 0.0)
        with pytest.raises(ValueError, match="the first one was"):
            movie.write(RAMP[:32], 1.0)


def write(path, n, shape=(64, 96)):
    with MovieWriter(path, playback_fps=10.0) as movie:
        for k, picture in enumerate(pictures(n, *shape)):
            movie.write(picture, k / 10)
    return path


@pytest.mark.parametrize("most", [None, 70, 30])
def test_two_parts_become_one_movie_in_step(tmp_path, most):
    first, second = write(tmp_path / "first.mp4", 45), write(tmp_path / "second.mp4", 40)
    expected = [frame.image for path in (first, second) for frame in MovieSource(path)][:most]
    assert join_movies(first, second, most=most) == len(expected) == count_pictures(first)
    joined = list(MovieSource(first))
    assert all(np.array_equal(frame.image, picture) for frame, picture in zip(joined, expected, strict=True))
    assert np.diff([frame.t_s for frame in joined]) == pytest.approx(0.1, abs=1e-4)
    assert not second.exists()


def test_a_part_that_was_cut_off_is_joined_up_to_the_cut(tmp_path):
    first = write(tmp_path / "first.mp4", 5)
    movie = MovieWriter(tmp_path / "second.mp4", playback_fps=10.0)
    for k, picture in enumerate(pictures(100)):
        movie.write(picture, k / 10)
    part = tmp_path / "second.mp4.part"
    (tmp_path / "copy.part").write_bytes(part.read_bytes()[:-100])
    movie.close()
    n = join_movies(first, tmp_path / "copy.part")
    assert 5 + 60 <= n <= 5 + 99
    assert len(list(MovieSource(first))) == n


def test_one_part_alone_is_the_movie_and_none_is_none(tmp_path):
    second = write(tmp_path / "second.mp4", 7)
    assert join_movies(tmp_path / "first.mp4", second) == 7
    assert count_pictures(tmp_path / "first.mp4") == 7
    (tmp_path / "nothing.mp4").write_bytes(b"")
    assert join_movies(tmp_path / "neither.mp4", tmp_path / "nothing.mp4") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["first.mp4"]


def test_movies_of_two_sizes_stay_two(tmp_path):
    first, second = write(tmp_path / "first.mp4", 5), write(tmp_path / "second.mp4", 5, (32, 48))
    with pytest.raises(OutputError, match="stay two movies"):
        join_movies(first, second)
    assert [count_pictures(path) for path in (first, second)] == [5, 5]
    assert len(list(tmp_path.iterdir())) == 2
