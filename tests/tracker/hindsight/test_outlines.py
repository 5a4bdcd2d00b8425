"""Outlines of final tables: what was seen is kept to the pixel, what was missed lies between its neighbours."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import insitrack
from insitrack.io.detections import Masks
from insitrack.io.tables.outlines import rle
from insitrack.io.tables.outlines.masks import MASKS, STREAM, boxes_of, masks_by_frame, writer_of
from insitrack.tracker.hindsight.outlines import write_masks


def disc(radius: float) -> np.ndarray:
    y, x = np.mgrid[-15:16, -15:16]
    return np.asarray(x**2 + y**2 <= radius**2)


def seen(path: Path, rows: list[tuple[int, int, np.ndarray, tuple[int, int]]]) -> Path:
    """Table of finds: frame, causal id, mask, corner (y, x)."""
    masks = Masks.from_crops([mask for *_, mask, _ in rows], [corner for *_, corner in rows])
    with writer_of(path, STREAM) as writer:
        writer.write_columns(
            {
                "frame": [frame for frame, *_ in rows],
                "track_id": [name for _, name, *_ in rows],
                "defect_class": ["void"] * len(rows),
                "probability": [0.9] * len(rows),
                "observed": [1] * len(rows),
                **boxes_of(masks),
                "doubted": [0] * len(rows),
                "rle": rle.encode(masks),
            }
        )
    return path


def table(rows: list[tuple[int, int, int, float, float]]) -> pd.DataFrame:
    """Rows of tracks: frame, track, causal id (-1: filled in), centre."""
    made = pd.DataFrame(rows, columns=["frame", "track_id", "causal_id", "x_px", "y_px"])
    return made.assign(
        t_s=made["frame"] * 0.1,
        observed=(made["causal_id"] >= 0).astype(int),
        defect_class="loop",
        probability=0.9,
    )


def test_a_filled_outline_lies_between_its_neighbours_in_size_and_place(tmp_path: Path) -> None:
    found = seen(tmp_path / "seen.parquet", [(0, 5, disc(6), (10, 20)), (4, 7, disc(14), (10, 40))])
    rows = table(
        [(0, 1, 5, 35.5, 25.5), *((f, 1, -1, 35.5 + 5 * f, 25.5) for f in (1, 2, 3)), (4, 1, 7, 55.5, 25.5)]
    )
    write_masks([found], rows, tmp_path / MASKS.file)
    frames = list(masks_by_frame(tmp_path / MASKS.file))
    assert [one.frame for one in frames] == [0, 1, 2, 3, 4]
    radius = [np.sqrt(one.masks.area_px()[0] / np.pi) for one in frames]
    assert radius == pytest.approx([6, 8, 10, 12, 14], abs=0.7)
    middle = [float(one.masks.boxes()[0, [0, 2]].mean()) for one in frames]
    assert middle == pytest.approx([35.5, 40.5, 45.5, 50.5, 55.5], abs=0.51)
    assert [bool(one.observed[0]) for one in frames] == [True, False, False, False, True]
    assert {one.names[0] for one in frames} == {"loop"}


def test_what_was_seen_is_kept_to_the_pixel_and_beyond_the_ends_the_nearest_is_taken(tmp_path: Path) -> None:
    odd = np.random.default_rng(2).random((9, 7)) < 0.5
    found = seen(tmp_path / "seen.parquet", [(3, 8, odd, (4, 6))])
    rows = table([(2, 8, -1, 9.0, 8.0), (3, 8, 8, 9.0, 8.0), (4, 8, -1, 19.0, 8.0)])
    write_masks([found], rows, tmp_path / MASKS.file)
    before, at, after = masks_by_frame(tmp_path / MASKS.file)
    assert (at.masks.crop(0) == odd).all()
    assert at.masks.corners.tolist() == [[4, 6]]
    assert before.masks.area_px().tolist() == after.masks.area_px().tolist() == [int(odd.sum())]
    assert int(after.masks.corners[0, 1] - before.masks.corners[0, 1]) == 10


def test_thin_shapes_that_do_not_overlap_still_leave_an_outline(tmp_path: Path) -> None:
    upright, flat = np.ones((21, 1), bool), np.ones((1, 21), bool)
    upright[9:12] = False
    found = seen(tmp_path / "seen.parquet", [(0, 1, upright, (0, 0)), (2, 1, flat, (0, 0))])
    rows = table([(0, 1, 1, 5.0, 5.0), (1, 1, -1, 5.0, 5.0), (2, 1, 1, 5.0, 5.0)])
    write_masks([found], rows, tmp_path / MASKS.file)
    assert all(one.masks.area_px()[0] > 0 for one in masks_by_frame(tmp_path / MASKS.file))


def test_tables_and_outlines_of_a_run_hold_the_same_defects(tmp_path: Path) -> None:
    run = insitrack.track("synth:two_beam?frames=24&size=256&seed=5", tmp_path / "run", video=False)
    for folder, flagged in ((run.folder, False), (run.folder / "causal", True)):
        tracks = insitrack.Run(folder).tracks
        outlines = pd.read_parquet(folder / MASKS.file)
        if flagged:
            outlines = outlines[outlines["doubted"] == 0]
        keys = ["frame", "track_id", "defect_class", "observed"]
        assert len(tracks) > 100
        assert len(outlines) == len(tracks)
        assert len(tracks.merge(outlines, on=keys)) == len(tracks)
    assert (run.tracks["observed"] == 0).any()  # or the filled ones were not tried
    assert not (run.folder / STREAM.file).exists()
