"""Another view in mid-movie: tracks end there without having died, nothing is born, and the scale may be lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from insitrack.io.arrays import BoolImage, Floats
from insitrack.io.detections import Detections, Masks
from insitrack.io.frames import Calibration, Frame, MissingFrame
from insitrack.io.tables import columns as tables
from insitrack.io.tables.sink import TableSink
from insitrack.segment.prepare.field import FieldConfig
from insitrack.tracker.hindsight.rewrite import refine_run
from insitrack.tracker.hindsight.settings import RefineConfig
from insitrack.tracker.link.drift import DriftEstimator
from insitrack.tracker.link.linker import Linker
from insitrack.tracker.link.view_scale import ViewScale
from insitrack.tracker.measure.measure import MeasureConfig
from insitrack.tracker.run import loop
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.series.settings import SeriesConfig

BEFORE, AFTER, NM, SIDE = 12, 10, 0.5, 160


class Source:
    """Frames from memory."""

    name, time_origin, n_frames, calibration = "memory", "test", None, Calibration(nm_per_px=NM)

    def __init__(self, frames: list[Frame]) -> None:
        self.frames = frames

    def __iter__(self) -> Iterator[Frame | MissingFrame]:
        return iter(self.frames)

    def describe(self) -> dict[str, Any]:
        return {}

    def close(self) -> None: ...


class Dots:
    """Finds dots on a grid: 16 small ones at first, then those of another view."""

    class_names = ("black_dot",)

    def __init__(self, later: tuple[int, int]) -> None:
        self.later = later

    def __call__(self, frame: Frame) -> Detections:
        n, side = (16, 8) if frame.index < BEFORE else self.later
        places = [(20 + 35 * (i // 4), 10 + 35 * (i % 4)) for i in range(n)]
        sides = side + np.arange(n) % 3
        masks = Masks.from_crops([np.ones((s, s), bool) for s in sides], places)
        scores = np.full(n, 0.9, np.float32)
        labels = np.ones(n, np.int64)
        return Detections(
            frame.index, frame.t_s, frame.shape, masks.boxes(), labels, scores, masks, self.class_names
        )

    def stream(
        self, items: Iterable[tuple[Frame | None, BoolImage | None, Any]]
    ) -> Iterator[tuple[Detections | None, Any]]:
        for frame, _, tag in items:
            yield (None if frame is None else self(frame)), tag


def scene(seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    return np.asarray(cv2.GaussianBlur(rng.normal(0, 1, (600, 600)), (0, 0), 3.0) * 300 + 120)


def frames_of(zoom: float, other_place: bool) -> list[Frame]:
    answer = []
    for i in range(BEFORE + AFTER):
        late = i >= BEFORE
        side = round(SIDE / zoom) if late else SIDE
        window = scene(8 if late and other_place else 3)[40 : 40 + side, 40 + i : 40 + i + side]
        noise = np.random.default_rng(i).normal(0, 3, (SIDE, SIDE))
        image = cv2.resize(window, (SIDE, SIDE)) + noise
        answer.append(Frame(i, 0.5 * i, image.clip(0, 255).astype(np.uint8)))
    return answer


def run(
    folder: Path, zoom: float, other_place: bool, later: tuple[int, int], given: tuple[float, ...] = ()
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Run and refine; the causal tables by their names, the refined ones as 'refined NAME', and the warnings."""
    source = Source(frames_of(zoom, other_place))
    meter = SeriesMeter(SeriesConfig(), source.calibration, class_names=Dots.class_names)
    scale = ViewScale(source.calibration, given)
    loop.run(
        source,
        Dots(later),
        Linker(),
        meter,
        [TableSink(folder)],
        calibration=scale,
        fields=FieldConfig(),
        drift=DriftEstimator(),
        sizes=MeasureConfig(),
    )
    names = ("frames", "series", "summary", "events", "tracks")
    read = {name: tables.TABLES[f"{name}.csv"].read(folder / f"{name}.csv") for name in names}
    refine_run(
        folder, RefineConfig(), SeriesMeter(SeriesConfig(), source.calibration, class_names=Dots.class_names)
    )
    read |= {f"refined {name}": tables.TABLES[f"{name}.csv"].read(folder / f"{name}.csv") for name in names}
    return read, scale.told


@pytest.fixture(scope="module")
def magnified(tmp_path_factory):
    """The same place, twice as large: nine dots of twice the size."""
    return run(tmp_path_factory.mktemp("magnified"), 2.0, False, (9, 16))


@pytest.mark.parametrize("kind", ["", "refined "])
def test_no_track_crosses_the_change_and_nothing_dies_or_is_born_there(magnified, kind):
    read, _ = magnified
    frames = read[kind + "tracks"].groupby("track_id")["frame"]
    assert ((frames.max() < BEFORE) | (frames.min() >= BEFORE)).all()
    events = read[kind + "events"]
    assert events.loc[events["kind"] == "view", ["frame", "track_id"]].to_numpy().tolist() == [[BEFORE, -1]]
    assert not events["kind"].isin(["death", "merge", "gap"]).any()
    assert (events.loc[events["kind"] == "birth", "frame"] < BEFORE).all()
    series = read[kind + "series"].query("defect_class == 'all'")
    assert series["deaths"].sum() == 0
    assert series.loc[series["frame"] >= BEFORE, "births"].sum() == 0


@pytest.mark.parametrize("kind", ["", "refined "])
def test_every_life_is_censored_on_both_sides_of_the_change(magnified, kind):
    read, _ = magnified
    summary = read[kind + "summary"]
    assert len(summary) == 25
    assert summary["left_censored"].all()
    assert summary["right_censored"].all()


@pytest.mark.parametrize("kind", ["", "refined "])
def test_after_another_magnification_sizes_and_densities_are_empty_and_counts_are_not(magnified, kind):
    read, told = magnified
    series = read[kind + "series"].query("defect_class == 'all'")
    late = series["frame"] >= BEFORE
    for name in ("size_nm", "density_per_m2", "field_nm2"):
        assert series.loc[~late, name].notna().all(), name
        assert series.loc[late, name].isna().all(), name
    assert series["n"].tolist() == [16] * BEFORE + [9] * AFTER
    assert read["refined tracks"].query("frame >= @BEFORE")["size_nm"].isna().all()
    assert len(told) == 1
    assert "from 6 s" in told[0]
    assert "scale is unknown" in told[0]


def test_frames_tell_their_view_and_their_scale(magnified):
    frames = magnified[0]["frames"]
    assert frames["view"].tolist() == [0] * BEFORE + [1] * AFTER
    assert frames["nm_per_px"].dropna().tolist() == [NM] * BEFORE


def test_a_scale_that_is_given_for_the_later_view_is_used(tmp_path):
    read, told = run(tmp_path, 2.0, False, (9, 16), (0.25,))
    size = read["refined series"].query("defect_class == 'all'")["size_nm"].to_numpy()
    assert size[-1] == pytest.approx(0.25 * 2 / 0.5 * size[0], rel=0.1)
    assert "is given, 0.25 nm" in told[0]


def test_after_a_jump_to_a_place_with_defects_of_the_same_size_the_scale_stays(tmp_path):
    read, told = run(tmp_path, 1.0, True, (12, 8))
    series = read["refined series"].query("defect_class == 'all'")
    assert series["size_nm"].notna().all()
    assert "a jump of the stage" in told[0]


def test_another_place_whose_defects_are_all_twice_as_large_is_another_magnification(tmp_path):
    read, told = run(tmp_path, 1.0, True, (9, 16))
    series = read["refined series"].query("defect_class == 'all'")
    assert series.loc[series["frame"] >= BEFORE, "size_nm"].isna().all()
    assert "1.9" in told[0]


def test_where_too_few_defects_are_seen_to_compare_the_scale_is_kept_and_that_is_said(tmp_path):
    _, told = run(tmp_path, 1.0, True, (2, 16))
    assert "too few defects" in told[0]
