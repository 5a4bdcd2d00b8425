"""A watched folder: whatever the pace and the habits of the writer, every frame comes once and in order."""

import contextlib
import io
import os
import random
import threading
import time

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from insitrack.io.frames import Frame
from insitrack.io.live import watched
from insitrack.io.live.camera import LiveSource
from insitrack.io.live.settings import LiveConfig

pytestmark = pytest.mark.live


def picture(number, dtype=np.uint8):
    """Noise that carries its number, so that two are never alike."""
    values = np.random.default_rng(number).integers(20, 200, (48, 64)).astype(dtype)
    values[0, :2] = number // 100, number % 100
    return values


def encoded(number, kind):
    stream = io.BytesIO()
    if kind == "tif":
        tifffile.imwrite(stream, picture(number), photometric="minisblack")
    elif kind == "deflate":
        tifffile.imwrite(stream, picture(number), photometric="minisblack", compression="zlib")
    elif kind == "lzw":
        Image.fromarray(picture(number)).save(stream, "tiff", compression="tiff_lzw")
    else:
        stream.write(cv2.imencode("." + kind, picture(number))[1].tobytes())
    return stream.getvalue()


@contextlib.contextmanager
def watching(folder):
    source, seen = LiveSource(f"watch:{folder}", LiveConfig(policy="all")), []
    reader = threading.Thread(target=lambda: seen.extend(source), daemon=True)
    reader.start()
    try:
        yield seen
    finally:
        source.close()
        reader.join(timeout=10)


def wait_for(condition, timeout_s=30.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.02)


def numbers(seen):
    return [int(item.image[0, 0]) * 100 + int(item.image[0, 1]) for item in seen if isinstance(item, Frame)]


def write_slowly(path, data, pauses):
    """Write a file in pieces, as a shared drive shows it."""
    pieces = np.array_split(np.frombuffer(data, np.uint8), len(pauses) + 1)
    with path.open("wb") as stream:
        for piece, pause_s in zip(pieces, [*pauses, 0.0], strict=True):
            stream.write(piece.tobytes())
            stream.flush()
            time.sleep(pause_s)


@pytest.mark.parametrize("kind", ["tif", "deflate", "lzw", "png", "bmp"])
def test_a_writer_that_pauses_in_the_middle_of_a_file_loses_no_picture(tmp_path, kind):
    draw = random.Random(kind)
    suffix = kind if kind in ("png", "bmp") else "tif"
    with watching(tmp_path) as seen:
        for number in range(8):
            pauses = [draw.uniform(0.0, 0.5) for _ in range(draw.randint(1, 3))]
            write_slowly(tmp_path / f"f{number}.{suffix}", encoded(number, kind), pauses)
        wait_for(lambda: len(seen) >= 8)
        time.sleep(0.3)
    assert numbers(seen) == list(range(8))
    assert [getattr(item, "status", "") for item in seen] == [""] * 8


def test_a_file_that_pauses_for_two_seconds_holds_its_place_before_those_that_follow(tmp_path):
    with watching(tmp_path) as seen:
        slow = threading.Thread(target=write_slowly, args=(tmp_path / "f0.tif", encoded(0, "tif"), [2.0]))
        slow.start()
        time.sleep(0.2)
        for number in range(1, 6):
            (tmp_path / f"f{number}.tif").write_bytes(encoded(number, "tif"))
            time.sleep(0.1)
        slow.join()
        wait_for(lambda: len(seen) >= 6)
    assert numbers(seen) == list(range(6))
    times = [item.t_s for item in seen]
    assert times == sorted(set(times))
    assert times[-1] < 2.0  # those of the beginning of each file, not of the end of the wait


def test_a_file_laid_out_at_its_full_length_is_read_when_it_is_filled(tmp_path):
    data = encoded(7, "tif")
    with watching(tmp_path) as seen:
        with (tmp_path / "f.tif").open("wb") as stream:
            stream.write(data[: len(data) // 2])
            stream.truncate(len(data))
            stream.flush()
            time.sleep(0.5)
            assert not seen
            stream.write(data[len(data) // 2 :])
        wait_for(lambda: len(seen) == 1)
    assert np.array_equal(seen[0].image, picture(7))


@pytest.mark.parametrize("how", ["in place", "renamed into place"])
def test_one_file_written_again_and_again_is_a_new_picture_each_time(tmp_path, how):
    with watching(tmp_path) as seen:
        for number in range(20):
            target = tmp_path / ("latest.tif" if how == "in place" else "next.tif")
            target.write_bytes(encoded(number, "tif"))
            if how != "in place":
                target.replace(tmp_path / "latest.tif")
            time.sleep(0.2)
        wait_for(lambda: len(seen) >= 20)
    assert numbers(seen) == list(range(20))


def test_a_picture_that_is_renamed_or_only_touched_is_one_frame(tmp_path):
    with watching(tmp_path) as seen:
        (tmp_path / "writing.tif").write_bytes(encoded(1, "tif"))
        wait_for(lambda: len(seen) == 1)
        (tmp_path / "writing.tif").rename(tmp_path / "f1.tif")
        os.utime(tmp_path / "f1.tif")
        (tmp_path / "f2.tmp").write_bytes(encoded(2, "tif"))
        (tmp_path / "f2.tmp").rename(tmp_path / "f2.tif")
        wait_for(lambda: len(seen) >= 2)
        time.sleep(0.5)
    assert numbers(seen) == [1, 2]


def test_a_stack_that_grows_gives_its_new_pages_and_one_that_is_replaced_all_of_them(tmp_path):
    def write(*pages):
        tifffile.imwrite(
            tmp_path / "stack.tif", np.stack([picture(n) for n in pages]), photometric="minisblack"
        )

    with watching(tmp_path) as seen:
        for n_seen, pages in ((2, (1, 2)), (4, (1, 2, 3, 4)), (7, (5, 6, 7))):
            write(*pages)
            wait_for(lambda n_seen=n_seen: len(seen) >= n_seen)
        time.sleep(0.2)
    assert numbers(seen) == [1, 2, 3, 4, 5, 6, 7]


def test_a_file_that_stays_cut_off_is_damaged_and_a_frame_once_it_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(watched, "PATIENCE_S", 0.6)
    data = encoded(3, "tif")
    with watching(tmp_path) as seen:
        (tmp_path / "f3.tif").write_bytes(data[: len(data) // 2])
        wait_for(lambda: len(seen) == 1)
        assert seen[0].status == "damaged"
        (tmp_path / "f3.tif").write_bytes(data)
        wait_for(lambda: len(seen) == 2)
    assert numbers(seen) == [3]


def test_pictures_with_a_black_border_are_waited_for_once_only(tmp_path, monkeypatch):
    monkeypatch.setattr(watched, "PATIENCE_S", 0.6)
    folder = watched.WatchedFolder(tmp_path, lambda: False, watched.Depth())
    for number in range(3):
        dark = picture(number)
        dark[-4:] = 0
        tifffile.imwrite(tmp_path / f"f{number}.tif", dark)
    given = folder.pictures()
    assert [next(given).image[0, 1] for _ in range(3)] == [0, 1, 2]
    given.close()
    assert folder._harmless == {"a last row of zeros"}
