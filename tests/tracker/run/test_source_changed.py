"""A source that changes while it is read is told of, and marked; what was read has a hash."""

import os
import shutil

import numpy as np
import pytest
import tifffile

import insitrack
from insitrack.io.errors import OutputError
from insitrack.io.files.pixels import PixelHash
from insitrack.io.files.unchanged import SourceFiles
from insitrack.io.manifest import fingerprint
from insitrack.io.sources import open_source
from insitrack.tracker.run import loop
from insitrack.tracker.run.config import load_config
from insitrack.tracker.run.resume import resume

SETTINGS = ["output.video=false", "segment.scale=1.0", "segment.contrast=dark"]
DRAW = np.random.default_rng(4)
FRAMES = DRAW.integers(80, 160, (12, 96, 96), np.uint8)


def write(path, frames=FRAMES):
    tifffile.imwrite(path, frames, photometric="minisblack")
    return path


def track(source, out, at=None, then=None):
    def progress(tally, _):
        if then is not None and tally.frames == at:
            then()

    return insitrack.track(source, out, config=load_config(assignments=SETTINGS), progress=progress)


def replaced(path):
    other = write(path.with_name("other.tif"), FRAMES[::-1])
    other.replace(path)


def grown(path):
    with path.open("ab") as stream:
        stream.write(b"more")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (replaced, "was replaced by another file"),
        (grown, "grew from"),
        (lambda path: path.unlink(), "was removed"),
    ],
)
def test_a_file_that_changes_while_it_is_read_marks_the_run(tmp_path, change, words):
    source = write(tmp_path / "m.tif")
    run = track(source, tmp_path / "run", 5, lambda: change(source))
    lines = [line for line in run.manifest["warnings"] if words in line]
    assert len(lines) == 1
    assert str(source) in lines[0]
    assert words in run.manifest["source"]["changed_while_read"][0]
    assert run.manifest["status"] == "done"


def test_outlines_are_not_drawn_on_the_frames_of_another_file(tmp_path):
    source = write(tmp_path / "m.tif")
    run = insitrack.track(
        source,
        tmp_path / "run",
        config=load_config(assignments=SETTINGS[1:]),
        progress=lambda tally, _: replaced(source) if tally.frames == 5 else None,
    )
    assert not (run.folder / "annotated.mp4").exists()
    assert any("was not drawn: the source changed" in line for line in run.manifest["warnings"])


def test_a_file_that_is_only_touched_or_replaced_by_its_copy_has_not_changed(tmp_path):
    source = write(tmp_path / "m.tif")
    files, known = SourceFiles(str(source)), fingerprint(source)
    os.utime(source, (1, 1))
    assert files.changes(known) == []
    shutil.copy(source, tmp_path / "copy.tif")
    (tmp_path / "copy.tif").replace(source)
    assert files.changes(known) == []


def test_files_that_come_go_and_change_in_a_folder_are_each_one_line(tmp_path):
    for number in range(4):
        write(tmp_path / f"{number}.tif", FRAMES[number])
    files = SourceFiles(str(tmp_path))
    (tmp_path / "0.tif").unlink()
    grown(tmp_path / "1.tif")
    grown(tmp_path / "2.tif")
    write(tmp_path / "9.tif", FRAMES[0])
    lines = files.changes({})
    assert sorted(line.split()[1] for line in lines) == ["and", "came", "was"]
    assert any("1.tif and 1 more grew from" in line for line in lines)


def test_the_hash_of_what_was_read_is_that_of_the_pixels_whatever_the_file(tmp_path):
    stack = write(tmp_path / "m.tif")
    (tmp_path / "many").mkdir()
    for number, frame in enumerate(FRAMES):
        write(tmp_path / "many" / f"{number:03d}.tif", frame)
    found = [
        track(source, tmp_path / name).manifest["results"]["frames_read_sha256"]
        for source, name in ((stack, "a"), (tmp_path / "many", "b"))
    ]
    expected = PixelHash()
    for frame in open_source(stack):
        expected.update(frame.image)
    assert found == [expected.value] * 2
    assert expected.value != PixelHash().update(FRAMES[0])


def test_a_run_goes_on_only_with_the_frames_that_it_began_with(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def kill():
        raise Killed

    monkeypatch.setattr(loop, "STATE_EVERY_S", 0.0)
    (tmp_path / "many").mkdir()
    for number, frame in enumerate(FRAMES):
        write(tmp_path / "many" / f"{number:03d}.tif", frame)
    whole = track(tmp_path / "many", tmp_path / "whole")
    with pytest.raises(Killed):
        track(tmp_path / "many", tmp_path / "run", 6, kill)
    other = FRAMES[2].copy()
    other[0, 0] ^= 1  # as long as before, under the same name
    write(tmp_path / "many" / "002.tif", other)
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(OutputError, match="are not those that were read"):
        resume(tmp_path / "run")
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    write(tmp_path / "many" / "002.tif", FRAMES[2])
    results = resume(tmp_path / "run").manifest["results"]
    assert results["frames_read_sha256"] == whole.manifest["results"]["frames_read_sha256"]
