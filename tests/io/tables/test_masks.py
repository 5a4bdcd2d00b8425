"""Outlines are written as they were found, some rows at a time, and read back frame by frame."""

from pathlib import Path

import numpy as np
import pytest

from insitrack.io.detections import Detections, Masks
from insitrack.io.errors import TableError
from insitrack.io.frames import Frame
from insitrack.io.results import Doubted, Measures, TrackedFrame
from insitrack.io.tables.outlines import masks as masks_module
from insitrack.io.tables.outlines.masks import (
    MASKS,
    STREAM,
    masks_by_frame,
    pack_stream,
    rows_of,
    stream_by_frame,
    writer_of,
)

DRAW = np.random.default_rng(11)


def found(frame: int, n: int) -> Detections:
    crops = [DRAW.random((int(DRAW.integers(1, 9)), int(DRAW.integers(1, 9)))) < 0.6 for _ in range(n)]
    masks = Masks.from_crops(crops, DRAW.integers(-3, 60, (n, 2)))
    labels = DRAW.integers(1, 7, n)
    return Detections(frame, 0.1 * frame, (64, 64), masks.boxes(), labels, np.ones(n, np.float32), masks)


def tracked(frame: int, n: int, n_doubted: int = 0) -> TrackedFrame:
    detections, doubted = found(frame, n), found(frame, n_doubted)
    nothing = [np.zeros(n)] * 9
    doubt = Doubted(
        doubted,
        Measures(*[np.zeros(n_doubted)] * 9),
        np.arange(100, 100 + n_doubted),
        np.full(n_doubted, 0.2),
    )
    return TrackedFrame(
        Frame(frame, 0.1 * frame, np.zeros((64, 64), np.uint8)),
        detections,
        Measures(*nothing),
        np.arange(1, n + 1),
        DRAW.random(n) < 0.8,
        probability=np.round(DRAW.random(n), 4),
        doubted=doubt,
    )


@pytest.fixture
def frames() -> list[TrackedFrame]:
    return [tracked(i, n, n_doubted=i % 3) for i, n in enumerate([3, 0, 12, 5, 1, 0, 7])]


def packed(frames: list[TrackedFrame], folder: Path, *, doubted: bool = False) -> Path:
    text = STREAM.header() + "".join(rows_of(one) for one in frames)
    (folder / STREAM.file).write_text(text, encoding="utf-8")
    pack_stream(folder / STREAM.file, folder / MASKS.file, doubted=doubted)
    return folder / MASKS.file


def test_the_outlines_of_every_frame_come_back_with_ids_classes_and_probabilities(
    frames: list[TrackedFrame], tmp_path: Path
) -> None:
    back = {one.frame: one for one in masks_by_frame(packed(frames, tmp_path))}
    assert sorted(back) == [i for i, one in enumerate(frames) if len(one.track_ids)]
    for i, one in back.items():
        assert one.track_ids.tolist() == frames[i].track_ids.tolist()
        assert one.names == frames[i].detections.names()
        assert one.probability.tolist() == frames[i].probability.tolist()
        assert one.observed.tolist() == frames[i].observed.tolist()
        assert one.masks.pixels.tolist() == frames[i].detections.masks.pixels.tolist()
        assert one.masks.corners.tolist() == frames[i].detections.masks.corners.tolist()


def test_doubted_finds_are_kept_beside_the_causal_tables_only(
    frames: list[TrackedFrame], tmp_path: Path
) -> None:
    import pandas as pd

    both = pd.read_parquet(packed(frames, tmp_path, doubted=True))
    assert both["doubted"].sum() == sum(i % 3 for i in range(7))
    assert (both.loc[both["doubted"] == 1, "track_id"] >= 100).all()
    final = pd.read_parquet(packed(frames, tmp_path))
    assert list(final.columns) == list(MASKS.names)
    assert len(final) == sum(len(one.track_ids) for one in frames)


def test_row_groups_and_a_part_of_the_frames_change_nothing(
    frames: list[TrackedFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masks_module, "_ROWS_OF_A_GROUP", 1)
    path = tmp_path / MASKS.file
    with writer_of(path) as writer:
        for one in frames:
            for i in range(len(one.track_ids)):
                part = one.detections.masks.take(np.array([i]))
                writer.write_columns(
                    {
                        "frame": [one.frame.index],
                        "track_id": [i],
                        "defect_class": ["void"],
                        "probability": [np.nan],
                        "observed": [1],
                        **masks_module.boxes_of(part),
                        "rle": masks_module.rle.encode(part),
                    }
                )
    whole = list(masks_by_frame(path))
    assert [len(one.track_ids) for one in whole] == [3, 12, 5, 1, 7]
    assert np.isnan(whole[0].probability).all()
    some = list(masks_by_frame(path, (2, 4)))
    assert [one.frame for one in some] == [2, 3, 4]
    assert some[0].masks.pixels.tolist() == whole[1].masks.pixels.tolist()


def test_a_run_that_was_killed_leaves_every_whole_line_readable(
    frames: list[TrackedFrame], tmp_path: Path
) -> None:
    text = STREAM.header() + "".join(rows_of(one) for one in frames)
    (tmp_path / STREAM.file).write_text(text + "7,1,void,0.9,1,3,4,2,", encoding="utf-8")
    back = {one.frame: one for one in stream_by_frame(tmp_path / STREAM.file)}
    assert sorted(back) == [i for i, one in enumerate(frames) if len(one.track_ids)]
    for i, one in back.items():
        assert one.track_ids.tolist() == frames[i].track_ids.tolist()
        assert one.masks.pixels.tolist() == frames[i].detections.masks.pixels.tolist()


def test_a_damaged_file_is_refused_in_one_line(frames: list[TrackedFrame], tmp_path: Path) -> None:
    path = packed(frames, tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TableError) as caught:
        list(masks_by_frame(path))
    assert "\n" not in str(caught.value)
    stream = tmp_path / STREAM.file
    stream.write_text(stream.read_text().replace(",1,", ",one,", 1))
    with pytest.raises(TableError, match=r"masks\.csv") as caught:
        pack_stream(stream, path, doubted=False)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == whole[: len(whole) // 2]  # what was there stays


def test_run_lengths_that_do_not_fit_name_the_frame(tmp_path: Path) -> None:
    with writer_of(tmp_path / MASKS.file) as writer:
        writer.write_columns(
            {
                **{name: [4] for name in ("frame", "track_id", "x0_px", "y0_px", "width_px", "height_px")},
                "defect_class": ["void"],
                "probability": [0.5],
                "observed": [1],
                "rle": ["06"],
            }
        )
    with pytest.raises(TableError, match=r"frame 4: run lengths '06' do not fill a mask of 4 x 4 px"):
        list(masks_by_frame(tmp_path / MASKS.file))
