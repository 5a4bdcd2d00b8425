"""What is drawn, tabulated, kept and exported of one run is one set of defects with one set of ids."""

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

import insitrack
from insitrack.io.draw import annotate
from insitrack.io.exchange.formats import export_run
from insitrack.io.results import TrackedFrame
from insitrack.io.tables.outlines.masks import MASKS

ROOT = Path(__file__).resolve().parents[3]
REAL = ROOT.parent / "shared" / "data" / "fecral-video" / "fecral_insitu_400-699.mp4"
DRAWN = "synth:two_beam?frames=16&size=256&seed=5"

Seen = set[tuple[int, int, str]]


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[TrackedFrame]]:
    """Frames as the annotator was given them."""
    frames: list[TrackedFrame] = []
    paint = annotate.Annotator.paint

    def spied(self: annotate.Annotator, tracked: TrackedFrame) -> object:
        frames.append(tracked)
        return paint(self, tracked)

    monkeypatch.setattr(annotate.Annotator, "paint", spied)
    return frames  # type: ignore[return-value]


def defects(frames: list[TrackedFrame]) -> Seen:
    return {
        (one.frame.index, name, label)
        for one in frames
        for name, label in zip(one.track_ids.tolist(), one.detections.names(), strict=True)
    }


def rows(table: pd.DataFrame) -> Seen:
    return set(table[["frame", "track_id", "defect_class"]].itertuples(index=False, name=None))


def exported(run: insitrack.Run, folder: Path) -> dict[str, set[tuple[int, int]]]:
    """Frames and ids of some exports."""
    files = {kind: export_run(run.folder, kind, folder / kind) for kind in ("mot", "coco", "trackmate")}
    listed = np.loadtxt(files["mot"], delimiter=",")
    coco = json.loads(files["coco"].read_text(encoding="utf-8"))["annotations"]
    spots = ElementTree.parse(files["trackmate"]).getroot().iter("Spot")
    return {
        "mot": {(int(row[0]) - 1, int(row[1])) for row in listed},
        "coco": {(one["image_id"] - 1, one["track_id"]) for one in coco},
        "trackmate": {
            (int(one.get("FRAME", "-1")), int(one.get("name", "#-1").split("#")[1])) for one in spots
        },
    }


@pytest.mark.parametrize("source", [DRAWN, REAL], ids=["drawn", "real"])
def test_movie_pictures_tables_and_outlines_show_the_same_ids_and_classes(
    source: str | Path, painted: list[TrackedFrame], tmp_path: Path
) -> None:
    if isinstance(source, Path) and not source.is_file():
        pytest.skip("no real movie here")
    part = {"end_s": 2.0} if isinstance(source, Path) else {}
    run = insitrack.track(source, tmp_path / "run", **part)
    tabulated = rows(run.tracks)
    assert len(tabulated) > 50
    movie, pictures = painted[:-2], painted[-2:]
    assert defects(movie) == tabulated
    first, last = min(tabulated)[0], int(run.frames.query("status == 'processed'")["frame"].max())
    assert defects(pictures) == {one for one in tabulated if one[0] in (first, last)}
    assert rows(pd.read_parquet(run.folder / MASKS.file)) == tabulated
    assert {name for _, name, _ in tabulated} == set(run.summary["track_id"])
    assert exported(run, tmp_path) == {
        kind: {one[:2] for one in tabulated} for kind in ("mot", "coco", "trackmate")
    }
    drawn = {(one.frame.index, row.defect_class): row.n for one in movie for row in one.series}
    told = run.series.set_index(["frame", "defect_class"])["n"]
    assert drawn == pytest.approx(told[told.index.isin(list(drawn))].to_dict(), nan_ok=True)
    assert len(drawn) > 50
