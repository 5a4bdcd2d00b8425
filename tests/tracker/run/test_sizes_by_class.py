"""The size of a row is by the definition of the class that stands beside it, whatever a single frame looked like."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.frames import Calibration
from insitrack.io.results import TrackSummary
from insitrack.tracker.hindsight.classes import sizes_of_typed
from insitrack.tracker.hindsight.refine import refine
from insitrack.tracker.hindsight.settings import RefineConfig
from insitrack.tracker.link.linker import Linker
from insitrack.tracker.measure.by_class import sizes_as
from insitrack.tracker.measure.from_table import sizes_as as sizes_of_rows
from insitrack.tracker.measure.measure import MeasureConfig, measure

NM = 0.5
LOOP, DOT = DEFECT_CLASSES.index("loop_111") + 1, DEFECT_CLASSES.index("black_dot") + 1


def lath(frame: int, label: int, score: float) -> Detections:
    """A defect three times as long as wide, whose class changes with the frame."""
    y, x = np.mgrid[:9, :27]
    crop = ((x - 13) / 13) ** 2 + ((y - 4) / 4) ** 2 <= 1
    masks = Masks.from_crops([crop], [(20, 30)])
    labels, scores = np.array([label]), np.array([score], np.float32)
    return Detections(frame, frame / 7, (64, 96), masks.boxes(), labels, scores, masks)


def linked(seen: list[tuple[int, float]], *, by_class: bool) -> tuple[list[float], TrackSummary]:
    """Sizes of one track frame by frame, nm, and its summary."""
    linker, config, sizes = Linker(), MeasureConfig(), []
    for frame, one in enumerate(seen):
        found = lath(frame, *one)
        measures = measure(found, Calibration(nm_per_px=NM), config)

        def sizes_of(names, measures=measures):
            return sizes_as(measures, names, NM, config)

        answer = linker.update(found, measures, (0.0, 0.0), sizes_of if by_class else None)
        assert answer.size_nm is not None
        sizes.append(float(answer.size_nm[0]))
    (summary,) = linker.finish()
    return sizes, summary


def size_as(label: int) -> float:
    return float(measure(lath(0, label, 1.0), Calibration(nm_per_px=NM), MeasureConfig()).size_nm[0])


def test_the_causal_size_follows_the_class_of_the_track_and_so_does_that_of_its_summary() -> None:
    loop, dot = size_as(LOOP), size_as(DOT)
    assert loop > 1.5 * dot
    sizes, summary = linked([(LOOP, 0.9), (DOT, 0.4), (LOOP, 0.9)], by_class=True)
    assert sizes == pytest.approx([loop] * 3)
    assert summary.size_nm == pytest.approx(loop)
    turned, _ = linked([(DOT, 0.4), (LOOP, 0.9), (DOT, 0.4)], by_class=True)
    assert turned == pytest.approx([dot, loop, loop])


def test_sizes_of_a_table_stay_as_they_are_given_whatever_the_class_of_the_track() -> None:
    sizes, _ = linked([(LOOP, 0.9), (DOT, 0.4), (LOOP, 0.9)], by_class=False)
    assert sizes == pytest.approx([size_as(LOOP), size_as(DOT), size_as(LOOP)])


@pytest.fixture
def rows() -> pd.DataFrame:
    """A track whose causal rows are of two classes, each sized by its own."""
    seen = ["loop_111", "black_dot", "loop_111", "loop_111"]
    one = measure(lath(0, LOOP, 1.0), Calibration(nm_per_px=NM), MeasureConfig())
    figures = ("area_px", "major_px", "minor_px", "feret_px", "r_min_px", "r_max_px", "area_nm2")
    return pd.DataFrame(
        [
            {
                **{"frame": k, "t_s": k / 7, "track_id": 1, "causal_id": 1, "defect_class": name},
                **{"score": 0.9, "x_px": 43.0, "y_px": 24.0, "on_edge": 0, "observed": 1},
                **{"x1_px": 30.0, "y1_px": 20.0, "x2_px": 57.0, "y2_px": 29.0},
                **{name: float(getattr(one, name)[0]) for name in figures},
                "size_nm": size_as(LOOP if name == "loop_111" else DOT),
            }
            for k, name in enumerate(seen)
        ]
    )


def test_a_refined_track_has_the_size_of_the_class_that_it_gets(rows: pd.DataFrame) -> None:
    frames = pd.DataFrame({"frame": range(4), "t_s": np.arange(4) / 7, "status": "processed"})
    frames = frames.assign(shift_x_px=0.0, shift_y_px=0.0, n_detections=1.0, field_px=6e3)

    def sizes_of(some, names):
        return sizes_of_rows(some, names, MeasureConfig(), np.full(len(some), NM))

    refined = refine(rows, frames, RefineConfig(), nm_per_px=NM, sizes_of=sizes_of).tracks
    assert set(refined["defect_class"]) == {"loop_111"}
    assert refined["size_nm"].to_numpy() == pytest.approx(size_as(LOOP), rel=1e-6)
    as_found = refine(rows, frames, RefineConfig(), nm_per_px=NM).tracks
    assert as_found["size_nm"].min() < 0.98 * size_as(LOOP)


def test_a_track_that_is_typed_at_the_end_is_sized_as_what_it_is_typed(rows: pd.DataFrame) -> None:
    smoothed = rows.assign(defect_class="loop_111", size_nm=size_as(LOOP), size_sd_nm=0.2)
    before = smoothed["defect_class"].to_numpy(str)
    typed = sizes_of_typed(smoothed.assign(defect_class="black_dot"), before, MeasureConfig())
    assert typed["size_nm"] == pytest.approx(size_as(DOT))
    assert typed["size_sd_nm"] == pytest.approx(0.2 * size_as(DOT) / size_as(LOOP))
    same = sizes_of_typed(smoothed, before, MeasureConfig())
    assert same["size_nm"].tolist() == smoothed["size_nm"].tolist()
