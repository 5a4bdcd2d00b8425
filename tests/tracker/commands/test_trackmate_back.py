"""A run goes to TrackMate and comes back: what was not touched there is the same to the digit."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

import insitrack
from insitrack.io.tables.columns import EVENTS
from insitrack.io.tables.run_folder import Run
from insitrack.tracker.cli import main

SOURCE = "synth:two_beam?frames=24&size=256&seed=5"
TABLES = (
    "tracks.csv",
    "series.csv",
    "summary.csv",
    "events.csv",
    "frames.csv",
    "kinetics.csv",
    "masks.parquet",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run in which a track ends in another one, and one begins from another."""
    made = insitrack.track(SOURCE, tmp_path_factory.mktemp("run") / "run", video=False)
    life = made.tracks.groupby("track_id")["frame"].agg(["min", "max"])
    whole = life.index[(life["min"] == 0) & (life["max"] == 23)][0]
    ends, begins = life.index[life["max"] < 22][0], life.index[life["min"] > 1][-1]
    events = made.events
    events.loc[(events["track_id"] == ends) & (events["kind"] == "death"), ["kind", "other_id"]] = (
        "merge",
        whole,
    )
    events.loc[(events["track_id"] == begins) & (events["kind"] == "birth"), ["kind", "other_id"]] = (
        "split",
        whole,
    )
    (made.folder / EVENTS.file).write_text(
        EVENTS.header() + EVENTS.format({name: events[name].to_numpy() for name in EVENTS.names})
    )
    return Run(made.folder)


@pytest.fixture
def xml(run: Run, tmp_path: Path) -> Path:
    assert main(["export", str(run.folder), "--to", "trackmate", "--out", str(tmp_path / "tracks.xml")]) == 0
    return tmp_path / "tracks.xml"


def returned(run: Run, xml: Path, tmp_path: Path) -> Run:
    assert main(["edit", str(run.folder), str(xml), "--out", str(tmp_path / "back")]) == 0
    return Run(tmp_path / "back")


def lines_of(run: Run, without: set[int]) -> list[str]:
    lines = (run.folder / "tracks.csv").read_text().splitlines()
    return [line for line in lines[1:] if int(line.split(",")[2]) not in without]


def test_a_run_that_comes_back_unedited_has_the_same_tables_byte_for_byte(
    run: Run, xml: Path, tmp_path: Path
) -> None:
    joined = ElementTree.parse(xml).getroot().iter("Track")
    n_edges = sum(len(list(track.iter("Edge"))) for track in joined)
    assert n_edges == len(run.tracks) - run.tracks["track_id"].nunique() + 2  # a merge and a split
    back = returned(run, xml, tmp_path)
    for name in TABLES:
        assert (back.folder / name).read_bytes() == (run.folder / name).read_bytes(), name
    assert back.manifest["edited"][0]["edits"] == []
    assert (back.folder / "annotated.mp4").is_file()


def test_only_tracks_that_were_corrected_change(run: Run, xml: Path, tmp_path: Path) -> None:
    tree = ElementTree.parse(xml)
    model = tree.getroot().find("Model")
    assert model is not None
    rows, names = run.tracks, run.summary.sort_values("n_observed")["track_id"].tolist()
    joined = set(run.events.query("kind in ('merge', 'split')")[["track_id", "other_id"]].to_numpy().ravel())
    gone, renamed, cut = [name for name in reversed(names) if name not in joined][:3]
    of = {name: set(rows.index[rows["track_id"] == name].map(str)) for name in (gone, renamed, cut)}
    for frame in model.iter("SpotsInFrame"):
        for spot in list(frame):
            if spot.get("ID") in of[gone]:
                frame.remove(spot)
            elif spot.get("ID") in of[renamed]:
                spot.set("name", "precipitate")
    half = sorted(of[cut], key=int)[len(of[cut]) // 2]
    for track in model.iter("Track"):
        for edge in list(track.iter("Edge")):
            ends = {edge.get("SPOT_SOURCE_ID"), edge.get("SPOT_TARGET_ID")}
            if ends & of[gone] or edge.get("SPOT_TARGET_ID") == half:
                track.remove(edge)
    tree.write(xml)
    back = returned(run, xml, tmp_path)
    assert gone not in set(back.tracks["track_id"])
    classes = back.summary.set_index("track_id")["defect_class"]
    assert classes[renamed] == "precipitate"
    (new,) = set(back.tracks["track_id"]) - set(run.tracks["track_id"])
    at = int(rows.loc[int(half), "frame"])
    assert back.tracks.query("track_id == @new")["frame"].min() >= at
    assert back.tracks.query("track_id == @cut")["frame"].max() < at + 3
    touched = {gone, renamed, cut, new}
    assert lines_of(back, touched) == lines_of(run, touched)
    trail = {(one["action"], one["track_id"]) for one in back.manifest["edited"][0]["edits"]}
    assert trail == {("delete", gone), ("class", renamed), ("move", cut)}


def test_what_cannot_be_taken_over_is_told(run: Run, xml: Path, tmp_path: Path) -> None:
    tree = ElementTree.parse(xml)
    spots = list(tree.getroot().iter("Spot"))
    spots[3].set("POSITION_X", "1.0")
    new = ElementTree.SubElement(next(tree.getroot().iter("SpotsInFrame")), "Spot", dict(spots[0].attrib))
    new.set("ID", str(len(spots) + 7))
    tree.write(xml)
    told = " ".join(returned(run, xml, tmp_path).manifest["warnings"])
    assert "1 spots were moved or resized" in told
    assert "1 spots are new; they have no outline and are left out" in told


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace('name="black_dot', 'name="blob'), "a spot is named 'blob'"),
        (lambda text: text.replace('FRAME="', 'FRAME="9'), "spots are of this run"),
        (lambda text: text[: len(text) // 2], "not XML"),
        (lambda text: "<TrackMate/>", "expected a TrackMate file"),
    ],
)
def test_a_file_that_is_not_of_the_run_is_one_line_and_makes_no_run(
    run: Run, xml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change, words: str
) -> None:
    xml.write_text(change(xml.read_text()))
    capsys.readouterr()
    assert main(["edit", str(run.folder), str(xml), "--out", str(tmp_path / "back")]) == 2
    line = capsys.readouterr().err
    assert words in line
    assert line.count("\n") == 1
    assert not (tmp_path / "back").exists()


def test_a_corrected_run_says_in_its_manifest_which_file_it_was(run: Run, xml: Path, tmp_path: Path) -> None:
    manifest = json.loads((returned(run, xml, tmp_path).folder / "run.json").read_text())
    assert manifest["tables"] == "edited"
    assert manifest["edited"][0]["edits_file"] == "tracks.xml"
