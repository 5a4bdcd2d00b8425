"""A run in napari: layers read as they are looked at, and what was painted is a table of edits."""

import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest

import insitrack
from insitrack.io.errors import SettingsError
from insitrack.tracker.cli import main
from insitrack.tracker.hindsight.edits import read_edits
from insitrack.tracker.napari_plugin.lazy import LazyFrames, LazyLabels
from insitrack.tracker.napari_plugin.reader import RUN, get_reader
from insitrack.tracker.napari_plugin.writer import write_labels

MANIFEST = Path(insitrack.__file__).parent / "tracker" / "napari_plugin" / "napari.yaml"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("napari") / "run"
    insitrack.track("synth:loops?seed=3&frames=5&size=192", folder, video=False)
    return folder


@pytest.fixture
def layers(run):
    return {kind: (data, options) for data, options, kind in get_reader(str(run))(str(run))}


def stack() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 9, (6, 5, 7)).astype(np.uint32)


@pytest.mark.parametrize(
    "key",
    [2, -1, np.int64(3), slice(None), slice(1, 6, 2), (2, 3), (slice(0, 3), 2, slice(1, 4)), (0, slice(None), 2),
     (np.array([5, 0, 5]), np.array([1, 2, 3]), np.array([6, 0, 2])), [0, 4], (Ellipsis, 2), slice(4, 2)],
    ids=str,
)  # fmt: skip
def test_a_lazy_array_gives_what_an_array_gives(key):
    whole = stack()
    read = []
    lazy = LazyFrames(lambda place: read.append(place) or whole[place], whole.shape, whole.dtype)
    np.testing.assert_array_equal(lazy[key], whole[key])
    assert set(read) <= set(range(6))
    if isinstance(key, int):
        assert read == [key % 6]


@pytest.mark.parametrize(
    "key", [(1, 2, 3), (1, slice(0, 2), slice(None)), (slice(0, 2), 1, 1),
            (np.array([2, 2, 4]), np.array([0, 1, 0]), np.array([6, 6, 6]))], ids=str
)  # fmt: skip
def test_painting_changes_what_it_is_asked_to_and_only_those_frames_are_known_as_changed(key):
    whole, lazy = stack(), LazyLabels(lambda place: stack()[place], (6, 5, 7))
    whole[key] = 77
    lazy[key] = 77
    np.testing.assert_array_equal(np.asarray(lazy), whole)
    assert set(lazy.changed) == set(np.flatnonzero((whole != stack()).any(axis=(1, 2))).tolist())
    with pytest.raises(IndexError, match="frame 6 of 6"):
        lazy[6]


def test_layers_hold_the_ids_places_and_classes_of_the_tables(run, layers):
    opened = insitrack.open_run(run)
    images, _ = layers["image"]
    np.testing.assert_array_equal(images[3], opened.frame(3).frame.image)
    labels, options = layers["labels"]
    seen = opened.tracks[opened.tracks["frame"] == 4]
    assert {*np.unique(labels[4]).tolist()} - {0} <= set(seen["track_id"])
    assert set(options["features"]["index"]) == set(opened.summary["track_id"])
    assert set(options["colormap"]) == {0, None, *opened.summary["track_id"]}
    tracks, _ = layers["tracks"]
    assert len(tracks) == len(opened.tracks)
    dense = opened.to_napari()[1][0]
    np.testing.assert_array_equal(np.asarray(labels), dense)
    assert get_reader(str(run / "tracks.csv")) is get_reader([str(run), "b"]) is None


def test_without_its_movie_a_run_shows_outlines_and_tracks_and_says_why(run, tmp_path):
    import json
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    facts = json.loads((copy / "run.json").read_text(encoding="utf-8"))
    facts["source"] = {**facts["source"], "uri": "gone.mp4", "path": "gone.mp4", "kind": "movie"}
    (copy / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    with pytest.warns(UserWarning, match="frames are not shown"):
        kinds = [kind for _, _, kind in get_reader(str(copy))(str(copy))]
    assert kinds == ["labels", "tracks"]


def test_what_was_painted_comes_back_as_edits_that_make_the_run_that_was_painted(run, layers, tmp_path):
    labels, options = layers["labels"]
    ids = [int(one) for one in np.unique(labels[2]) if one]
    grown, gone, named = ids[0], ids[1], ids[2]
    y, x = (int(values.min()) for values in np.nonzero(labels[2] == grown))
    labels[2, y : y + 3, x : x + 3] = grown
    where = np.nonzero(labels[2] == gone)
    labels[(np.full(len(where[0]), 2), *where)] = 0
    new = int(max(options["features"]["index"])) + 50
    for frame in (1, 3):
        labels[frame, 150:160, 150 + frame : 162 + frame] = new
    features = options["features"].copy()
    was = features.loc[features["index"] == named, "defect_class"].iloc[0]
    other = "void" if was != "void" else "loop"
    features.loc[features["index"] == named, "defect_class"] = other
    features.loc[len(features)] = {"index": new, "defect_class": "precipitate"}
    path = tmp_path / "edits.csv"
    assert write_labels(str(path), labels, {**options, "features": features}) == [str(path)]
    edits = read_edits(path)
    assert [(one.action, one.frame) for one in edits if one.action == "add"] == [("add", 1), ("add", 3)]
    assert {(one.action, one.track_id) for one in edits} >= {
        ("outline", grown),
        ("delete", gone),
        ("class", named),
    }
    out = tmp_path / "edited"
    assert main(["edit", str(run), str(path), "--out", str(out)]) == 0
    after = insitrack.open_run(out)
    seen = {frame: after.tracks[after.tracks["frame"] == frame].set_index("track_id") for frame in (1, 2, 3)}
    drawn = seen[1].index[seen[1]["defect_class"] == "precipitate"]
    assert len(drawn) == 1
    assert drawn[0] in seen[3].index
    assert gone not in seen[2].index
    assert seen[2].loc[named, "defect_class"] == other
    # where it lies over a neighbour a pixel has one label only
    assert seen[2].loc[grown, "area_px"] == pytest.approx(np.count_nonzero(labels[2] == grown), rel=0.02)


def test_only_the_outlines_of_a_run_that_were_changed_can_be_saved(layers, tmp_path):
    labels, options = layers["labels"]
    with pytest.raises(SettingsError, match="nothing was changed"):
        write_labels(str(tmp_path / "e.csv"), labels, options)
    with pytest.raises(SettingsError, match="not the outlines of a run"):
        write_labels(str(tmp_path / "e.csv"), np.zeros((2, 3, 3), int), {"metadata": {}})
    labels[0, 0:4, 0:4] = 9999
    with pytest.warns(UserWarning, match="the most frequent one"):
        write_labels(str(tmp_path / "e.csv"), labels, options)
    assert RUN in options["metadata"]


def test_napari_finds_the_manifest_by_the_entry_point_of_the_package():
    facts = tomllib.loads((MANIFEST.parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    module, file = facts["project"]["entry-points"]["napari.manifest"]["insitrack"].split(":")
    assert Path(insitrack.__file__).parent.joinpath(*module.split(".")[1:], file) == MANIFEST
    assert MANIFEST.is_file()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of npe2 itself
def test_the_manifest_is_one_that_npe2_accepts_and_its_commands_are_there():
    npe2 = pytest.importorskip("npe2", reason="napari's plugin engine is not installed")
    manifest = npe2.PluginManifest.from_file(MANIFEST)
    for command in manifest.contributions.commands:
        assert callable(_named(command.python_name))
    assert manifest.contributions.readers[0].accepts_directories
    assert manifest.contributions.writers[0].layer_types == ["labels"]


def _named(name: str):
    from importlib import import_module

    module, function = name.split(":")
    return getattr(import_module(module), function)


def test_napari_takes_the_layers(layers):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        napari = pytest.importorskip("napari", reason="napari is not installed")
        from napari.layers import Layer

        made = {kind: Layer.create(data, dict(options), kind) for kind, (data, options) in layers.items()}
        assert napari is not None
        assert made["labels"].data.shape == made["image"].data.shape
        labels = made["labels"]
        labels.data_setitem((np.array([1, 1]), np.array([0, 1]), np.array([0, 0])), 5)
    assert layers["labels"][0].changed[1][0, 0] == 5
