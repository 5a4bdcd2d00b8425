"""Live frames from RTSP, UDP, SRT, a camera of this computer, the screen; slow and fast cameras."""

import shutil
import socket
import subprocess
import threading
import time
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from PIL import Image, ImageGrab

from insitrack.io.draw.movie_writer import MovieWriter
from insitrack.io.errors import SettingsError, SourceError
from insitrack.io.frames import Frame, MissingFrame
from insitrack.io.live.camera import LiveSource
from insitrack.io.live.settings import LiveConfig
from insitrack.io.sources import open_source, replay
from insitrack.tests.support.rtsp_camera import RtspCamera

pytestmark = pytest.mark.live

SCENE = "synth:loops?frames=40&size=128&seed=3"
ALL = LiveConfig(policy="all", give_up_s=0.3)


@pytest.fixture(scope="module")
def pictures():
    return [frame.image for frame in open_source(SCENE)]


def taken(uri, config=ALL, most=None, **more):
    source = LiveSource(uri, config, **more)
    items = []
    try:
        for item in source:
            items.append(item)
            if len(items) == most:
                break
    finally:
        source.close()
    return source, items


def test_an_rtsp_camera_gives_its_pictures_and_times_and_is_connected_again(pictures):
    with RtspCamera(pictures, fps=25, cuts=[20]) as camera:
        source, items = taken(camera.address, LiveConfig(policy="all", give_up_s=1.0))
    frames = [item for item in items if isinstance(item, Frame)]
    assert all(np.array_equal(frame.image, picture) for frame, picture in zip(frames, pictures, strict=True))
    assert [getattr(item, "status", "") for item in items].index("gap") == 20
    assert (source.n_captured, source.n_damaged, source.n_gaps, source.n_reconnects) == (40, 0, 1, 1)
    assert np.diff([frame.t_s for frame in frames[:20]]) == pytest.approx(0.04, abs=1e-4)
    assert (np.diff([item.t_s for item in items]) > 0).all()


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_a_udp_stream_is_read(pictures):
    uri, done = f"udp://127.0.0.1:{free_port()}", threading.Event()

    def send():
        with av.open(f"{uri}?pkt_size=1316", "w", format="mpegts") as out:
            stream = out.add_stream("libx264", options={"preset": "ultrafast", "tune": "zerolatency"})
            stream.height, stream.width, stream.pix_fmt = 128, 128, "yuv420p"
            stream.codec_context.gop_size, stream.codec_context.time_base = 5, Fraction(1, 50)
            number = 0
            while not done.is_set():
                picture = av.VideoFrame.from_ndarray(
                    cv2.cvtColor(pictures[number % 40], cv2.COLOR_GRAY2BGR), format="bgr24"
                )
                picture.pts, number = number, number + 1
                for packet in stream.encode(picture):
                    out.mux(packet)
                time.sleep(0.02)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        source, items = taken(uri, most=30)
    finally:
        done.set()
        sender.join(timeout=5)
    assert sum(isinstance(item, Frame) for item in items) >= 25
    assert source.describe()["codec"] == "h264"


def has_srt():
    program = shutil.which("ffmpeg")
    if program is None:
        return False
    known = subprocess.run(
        [program, "-hide_banner", "-protocols"], capture_output=True, text=True, check=False
    )
    return "srt" in known.stdout.split()


@pytest.mark.skipif(not has_srt(), reason="needs the program ffmpeg with SRT")
def test_an_srt_stream_is_received_through_the_program_ffmpeg(pictures, tmp_path):
    movie, address = tmp_path / "sent.mp4", f"srt://127.0.0.1:{free_port()}"
    with MovieWriter(movie, playback_fps=25.0, crf=10) as writer:
        for number in range(90):
            writer.write(pictures[number % 40], number / 25)
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-re",
        "-i",
        str(movie),
        "-c",
        "copy",
        "-f",
        "mpegts",
        f"{address}?mode=listener",
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as sender:
        try:
            time.sleep(0.5)
            source, items = taken(f"{address}?mode=caller", most=40)
        finally:
            sender.kill()
    frames = [item for item in items if isinstance(item, Frame)]
    assert len(frames) == 40
    assert np.diff([frame.t_s for frame in frames]) == pytest.approx(0.04, abs=1e-3)
    assert source.describe()["codec"] == "h264"


def test_srt_without_the_program_ffmpeg_says_what_to_do(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SourceError, match=r"reading SRT needs the program ffmpeg.*install it"):
        LiveSource("srt://127.0.0.1:9?mode=caller")


@pytest.mark.skipif(not has_srt(), reason="needs the program ffmpeg with SRT")
def test_an_srt_address_where_nobody_is_says_so_in_one_line():
    with pytest.raises(SourceError, match="no stream there") as caught:
        LiveSource(f"srt://127.0.0.1:{free_port()}?mode=caller&connect_timeout=300")
    assert "\n" not in str(caught.value)


def test_a_camera_of_this_computer_is_read_through_opencv(pictures, tmp_path, monkeypatch):
    with MovieWriter(tmp_path / "camera.mkv", codec="ffv1", playback_fps=25.0) as movie:
        for number, picture in enumerate(pictures):
            movie.write(picture, number / 25)
    opened = cv2.VideoCapture
    monkeypatch.setattr(
        cv2, "VideoCapture", lambda number: opened(str(tmp_path / "camera.mkv") if number == 0 else "nothing")
    )
    source, items = taken("camera:0", most=40)
    assert all(np.array_equal(item.image, picture) for item, picture in zip(items, pictures, strict=True))
    assert source.describe()["container"] == "camera through OpenCV"


def test_a_part_of_the_screen_is_read(pictures, monkeypatch):
    asked = []

    def grab(box):
        asked.append(box)
        return Image.fromarray(pictures[len(asked) % 40]).convert("RGB")

    monkeypatch.setattr(ImageGrab, "grab", grab)
    _, items = taken("screen:10,20,128,128", most=5)
    assert set(asked) == {(10, 20, 138, 148)}
    assert all(item.image.shape == (128, 128) for item in items)
    assert np.array_equal(items[0].image, pictures[2])  # the first was taken to see whether it can be


def test_a_fast_camera_keeps_its_times():
    with replay("synth:loops?frames=200&size=64&seed=3", fps=313) as camera:
        source, items = taken(camera.address)
    assert [item.index for item in items] == list(range(200))
    assert np.diff([item.t_s for item in items]) == pytest.approx(1 / 313, abs=2e-5)
    assert source.n_captured == 200


def test_a_slow_camera_whose_interval_is_told_is_not_taken_for_a_stalled_one():
    config, alarms = LiveConfig(policy="all", give_up_s=3.0, stall_s=0.4), []
    with replay("synth:loops?frames=4&size=64&seed=3", fps=1.0) as camera:
        source, items = taken(camera.address, config, most=3, usual_s=1.0, alarm=alarms.append)
    assert [isinstance(item, Frame) for item in items] == [True] * 3
    assert [item.t_s for item in items] == pytest.approx([0.0, 1.0, 2.0], abs=1e-3)
    assert source.n_gaps == source.n_reconnects == 0
    assert not [line for line in alarms if "no frames" in line]


def test_a_slow_camera_whose_interval_is_not_told_is_connected_again_and_then_understood():
    config = LiveConfig(policy="all", give_up_s=6.0, stall_s=0.5)
    with replay("synth:loops?frames=6&size=64&seed=3", fps=1.4) as camera:
        source, items = taken(camera.address, config, most=5)
    assert source.n_reconnects <= 2
    assert sum(isinstance(item, MissingFrame) for item in items) <= 2
    assert [isinstance(item, Frame) for item in items[-2:]] == [True, True]


def test_what_waits_on_disk_goes_where_it_is_told(tmp_path):
    with pytest.raises(SettingsError, match="no such folder"):
        LiveConfig(spool=str(tmp_path / "nowhere"))
    with replay(SCENE, fps=0) as camera:
        source = LiveSource(
            camera.address, LiveConfig(policy="all", give_up_s=0.3, queue_frames=2, spool=str(tmp_path))
        )
        end = time.monotonic() + 10
        while not list(tmp_path.rglob("*.npy")):
            assert time.monotonic() < end
            time.sleep(0.01)
        assert len(list(source)) == 40
        source.close()
    assert not list(tmp_path.rglob("*.npy"))
