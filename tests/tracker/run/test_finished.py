"""A finished run in Python: its outlines, its frames, layers for other programs, and what a notebook shows."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

import insitrack
from insitrack.io.errors import SettingsError, SourceError, TableError
from insitrack.io.frames import Frame
from insitrack.io.synth.files import write_synth
from insitrack.tracker.run.job import finished


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("movie")
    write_synth("synth:two_beam?frames=8&size=192&seed=5&n=40", folder / "made", lossless=True)
    return folder / "made" / "movie.mkv"


@pytest.fixture(scope="module")
def run(movie: Path, tmp_path_factory: pytest.TempPathFactory) -> insitrack.Run:
    out = tmp_path_factory.mktemp("run") / "run"
    insitrack.track(movie, out, video=False, nm_per_px=0.5, every=2)
    return insitrack.open_run(out)


def test_a_frame_has_its_picture_and_the_defects_of_the_tables(run: insitrack.Run, movie: Path) -> None:
    pictures = {item.index: item for item in insitrack.open_source(movie) if isinstance(item, Frame)}
    for index in (0, 4):
        tracked = run.frame(index)
        assert isinstance(tracked.frame, Frame)
        assert (tracked.frame.image == pictures[index].image).all()
        rows = run.tracks.query("frame == @index")
        assert sorted(tracked.track_ids.tolist()) == sorted(rows["track_id"])
        assert len(rows) > 3


def test_outlines_of_some_frames_are_those_of_the_whole(run: insitrack.Run) -> None:
    whole = {one.frame: one for one in run.masks()}
    assert sum(len(one.track_ids) for one in whole.values()) == len(run.tracks)
    some = list(run.masks(2, 4))
    assert [one.frame for one in some] == [2, 4]
    assert some[1].masks.pixels.tolist() == whole[4].masks.pixels.tolist()


def test_layers_for_napari_lie_on_each_other(run: insitrack.Run) -> None:
    (images, _, _), (labels, _, kind), (tracks, options, _) = run.to_napari()
    assert images.shape == labels.shape == (4, 192, 192)
    assert kind == "labels"
    assert len(tracks) == len(run.tracks) == len(options["features"]["defect_class"])
    assert set(tracks[:, 1]) == {0, 1, 2, 3}  # places in the stack, not numbers of the source
    inside = [labels[int(t), int(y), int(x)] == name for name, t, y, x in tracks]
    assert np.mean(inside) > 0.8  # a curved or covered outline may not hold its own centre


def test_a_notebook_sees_the_result_and_its_curve(run: insitrack.Run) -> None:
    page = ElementTree.fromstring(run._repr_html_().replace("<br>", "<br/>"))
    words = "".join(page.itertext())
    assert "mean size (nm)" in words
    assert "hardening" in words
    assert "not known" in words  # no thickness was given
    assert page.findall(".//{http://www.w3.org/2000/svg}polyline")


def test_what_is_not_there_is_said_in_one_line(
    run: insitrack.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TableError, match=r"no run\.json"):
        insitrack.open_run(tmp_path)
    with pytest.raises(SettingsError, match="no image \\(skipped\\)"):
        run.frame(3)
    with pytest.raises(SettingsError, match="the run has 8"):
        run.frame(99)
    with pytest.raises(SourceError, match=r"absent\.mkv"):
        run.frame(0, movie=tmp_path / "absent.mkv")
    monkeypatch.setattr(finished, "_MOST_BYTES", 192 * 192)
    with pytest.raises(SettingsError, match="give start_s and end_s"):
        run.to_napari()
    assert run.to_napari(end_s=0.0)[0][0].shape == (1, 192, 192)


def test_hyperspy_gets_time_and_scale(run: insitrack.Run) -> None:
    pytest.importorskip("hyperspy")
    signal = run.to_hyperspy()
    assert signal.data.shape == (4, 192, 192)
    assert signal.axes_manager["x"].units == "nm"
    assert signal.axes_manager["x"].scale == 0.5


def test_frames_of_another_size_do_not_go_into_one_stack(
    run: insitrack.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = [Frame(0, 0.0, np.zeros((8, 8), np.uint8)), Frame(2, 0.5, np.zeros((8, 9), np.uint8))]
    monkeypatch.setattr(type(run), "_between", lambda *arguments: iter(mixed))
    with pytest.raises(SettingsError, match=r"frame 2 has another size than those before; give end_s = 0\.5"):
        run.to_napari()
