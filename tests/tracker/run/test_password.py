"""The password of a camera is used, and shown to nobody."""

import os
import stat

import pytest

import insitrack
from insitrack.io.errors import SourceError
from insitrack.io.live.camera import LiveSource
from insitrack.io.manifest import without_password
from insitrack.io.sources import replay
from insitrack.io.tables.run_folder import SECRET, STATE, default_folder
from insitrack.tracker.run.config import load_config
from insitrack.tracker.run.state import address_of

WORD = "s3cr3t"


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_a_password_stands_in_no_file_no_alarm_and_on_no_page_but_in_one_for_its_owner(tmp_path):
    settings = ["output.video=false", "segment.scale=1.0", "segment.contrast=dark", "live.give_up_s=1"]
    out, lines, kept = tmp_path / "run", [], []

    def look(tally, _):
        path = out / SECRET
        kept.append((path.read_text(), stat.S_IMODE(path.stat().st_mode)))
        assert WORD.encode() not in (out / STATE).read_bytes()
        assert WORD not in (out / "run.json").read_text()

    with replay("synth:loops?frames=6&size=96&seed=3") as camera:
        address = camera.address.replace("://", f"://user:{WORD}@")
        insitrack.track(
            address,
            out,
            config=load_config(assignments=settings),
            alarm=lines.append,
            progress=look,
            command=["track", address],
        )
    assert set(kept) == {(address, 0o600)}
    assert not (out / SECRET).exists()  # a run that has ended needs it no more
    assert any("user:***@" in line for line in lines)  # the loss of the camera
    assert WORD not in "\n".join(lines)
    assert not [path for path in out.rglob("*") if path.is_file() and WORD.encode() in path.read_bytes()]


def test_a_run_that_goes_on_finds_the_address_with_its_password(tmp_path):
    address = f"rtsp://user:{WORD}@host/1"
    (tmp_path / SECRET).write_text(address)
    assert address_of(tmp_path, without_password(address)) == address
    assert address_of(tmp_path, "rtsp://user:***@other/1") == "rtsp://user:***@other/1"  # of another source
    assert address_of(tmp_path / "nowhere", "movie.mp4") == "movie.mp4"


@pytest.mark.parametrize("address", [f"http://u:{WORD}@127.0.0.1:9/x", f"http://u:p@{WORD}@127.0.0.1:9/x"])
def test_a_wrong_address_is_told_without_its_password(address):
    with pytest.raises(SourceError) as caught:
        LiveSource(address)
    assert WORD not in str(caught.value)
    assert WORD not in str(default_folder(address))
