"""The loop as a whole: same frames same bytes, every frame accounted for, no limit on the number of defects."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import insitrack
from insitrack.io.arrays import BoolImage, Floats
from insitrack.io.detections import Detections, Masks
from insitrack.io.errors import RunError
from insitrack.io.frames import Calibration, Frame, MissingFrame
from insitrack.io.results import TrackedFrame
from insitrack.io.synth.files import write_synth
from insitrack.io.tables.columns import TABLES
from insitrack.io.tables.sink import TableSink
from insitrack.segment.prepare.field import FieldConfig
from insitrack.tracker.link.drift import DriftEstimator
from insitrack.tracker.link.linker import Linker
from insitrack.tracker.link.settings import DriftConfig, LinkConfig
from insitrack.tracker.measure.measure import MeasureConfig
from insitrack.tracker.run import loop
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.series.settings import SeriesConfig


@dataclasses.dataclass
class ListSource:
    """Frames from memory."""

    items: list[Frame | MissingFrame]
    name: str = "memory"
    calibration: Calibration = dataclasses.field(default_factory=lambda: Calibration(nm_per_px=0.5))
    time_origin: str = "test"

    @property
    def n_frames(self) -> int | None:
        return len(self.items)

    def __iter__(self) -> Iterator[Frame | MissingFrame]:
        return iter(self.items)

    def describe(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


class GridSegmenter:
    """Finds the same grid of squares in every frame."""

    class_names = ("black_dot",)

    def __init__(self, rows: int, columns: int, step: int) -> None:
        y, x = np.mgrid[:rows, :columns] * step + 3
        corners = np.stack([y.ravel(), x.ravel()], axis=1)
        self.masks = Masks.from_crops([np.ones((6, 6), bool)] * len(corners), corners)

    def __call__(self, frame: Frame, field: BoolImage | None = None) -> Detections:
        n = len(self.masks)
        return Detections(
            frame.index,
            frame.t_s,
            frame.shape,
            self.masks.boxes(),
            np.ones(n, np.int64),
            np.full(n, 0.9, np.float32),
            self.masks,
            self.class_names,
        )

    def for_live(self) -> None: ...

    def stream(
        self, items: Iterable[tuple[Frame | None, BoolImage | None, Any]]
    ) -> Iterator[tuple[Detections | None, Any]]:
        for frame, field, tag in items:
            yield (None if frame is None else self(frame, field)), tag

    def describe(self) -> dict[str, Any]:
        return {}


def run_on(items: list[Frame | MissingFrame], segmenter: GridSegmenter, folder: Path) -> loop.Tally:
    source = ListSource(items)
    meter = SeriesMeter(SeriesConfig(), source.calibration, class_names=segmenter.class_names)
    return loop.run(
        source,
        segmenter,
        Linker(LinkConfig()),
        meter,
        [TableSink(folder)],
        calibration=source.calibration,
        fields=FieldConfig(),
        drift=DriftEstimator(DriftConfig()),
        sizes=MeasureConfig(),
    )


def grey(index: int, shape: tuple[int, int] = (64, 96)) -> Frame:
    """Noise on blocks of different grey: noise alone would show no specimen."""
    rng = np.random.default_rng(5)
    blocks = np.kron(rng.integers(0, 60, (shape[0] // 16 + 1, shape[1] // 16 + 1)), np.ones((16, 16)))
    image = rng.integers(60, 140, shape) + blocks[: shape[0], : shape[1]]
    return Frame(index, index * 0.5, image.astype(np.uint8))


def test_two_thousand_defects_in_a_frame_are_all_kept_and_keep_their_ids(tmp_path: Path) -> None:
    tally = run_on([grey(i, (420, 520)) for i in range(3)], GridSegmenter(40, 50, 10), tmp_path)
    tracks = TABLES["tracks.csv"].read(tmp_path / "tracks.csv")
    assert len(tracks) == 6000
    assert tracks["track_id"].nunique() == 2000
    assert tally.over_cap == 0


def test_every_source_frame_is_accounted_for_and_lost_ones_are_not_zero(tmp_path: Path) -> None:
    items: list[Frame | MissingFrame] = [
        grey(0),
        grey(1),
        MissingFrame(2, 1.0, "damaged"),
        MissingFrame(3, 1.5, "skipped"),
        grey(4),
    ]
    tally = run_on(items, GridSegmenter(2, 3, 20), tmp_path)
    frames = TABLES["frames.csv"].read(tmp_path / "frames.csv")
    assert frames["status"].tolist() == ["processed", "processed", "damaged", "skipped", "processed"]
    assert frames["n_detections"].isna().tolist() == [False, False, True, True, False]
    series = TABLES["series.csv"].read(tmp_path / "series.csv").query("defect_class == 'all'")
    assert series["frame"].tolist() == [0, 1, 2, 4]
    assert series["n"].isna().tolist() == [False, False, True, False]
    assert (tally.processed, tally.damaged, tally.skipped) == (3, 1, 1)
    assert TABLES["tracks.csv"].read(tmp_path / "tracks.csv")["track_id"].nunique() == 6


def test_a_black_frame_counts_as_not_seen_and_ends_no_track(tmp_path: Path) -> None:
    items: list[Frame | MissingFrame] = [grey(i) for i in range(10)]
    for i in range(2, 8):
        items[i] = Frame(i, i * 0.5, np.zeros((64, 96), np.uint8))
    tally = run_on(items, GridSegmenter(2, 3, 20), tmp_path)
    series = TABLES["series.csv"].read(tmp_path / "series.csv").query("defect_class == 'all'")
    assert series["n"].isna().tolist() == [2 <= i < 8 for i in range(10)]
    assert (series["n"].dropna() == 6).all()
    assert TABLES["summary.csv"].read(tmp_path / "summary.csv")["track_id"].tolist() == [1, 2, 3, 4, 5, 6]
    assert (tally.processed, tally.blank) == (10, 6)


def test_an_error_in_the_source_reaches_the_caller_and_what_was_done_is_readable(tmp_path: Path) -> None:
    class Broken(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            yield grey(0)
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        run_on(Broken(), GridSegmenter(2, 3, 20), tmp_path)
    assert len(TABLES["frames.csv"].read(tmp_path / "frames.csv")) <= 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "frames.csv").symlink_to("/dev/full")
    with pytest.raises(RunError, match="No space left on device"):
        run_on([grey(i) for i in range(3)], GridSegmenter(2, 3, 20), tmp_path)


def test_an_error_in_a_sink_ends_the_run(tmp_path: Path) -> None:
    class Full(TableSink):
        def write(self, tracked: TrackedFrame) -> None:
            raise OSError("no space left")

    source = ListSource([grey(i) for i in range(50)])
    segmenter = GridSegmenter(2, 3, 20)
    meter = SeriesMeter(SeriesConfig(), source.calibration, class_names=segmenter.class_names)
    with pytest.raises(OSError, match="no space left"):
        loop.run(
            source,
            segmenter,
            Linker(LinkConfig()),
            meter,
            [Full(tmp_path)],
            calibration=source.calibration,
            fields=FieldConfig(),
            drift=DriftEstimator(DriftConfig()),
            sizes=MeasureConfig(),
        )


def test_the_same_frames_from_the_generator_and_from_a_file_give_the_same_bytes(tmp_path: Path) -> None:
    uri = "synth:loops?seed=3&frames=8&size=192"
    write_synth(uri, tmp_path / "made", lossless=True)
    options = {
        "nm_per_px": insitrack.open_source(uri).calibration.nm_per_px,
        "thickness_nm": 100.0,
        "material": "fecral",
        "video": False,
    }
    drawn = insitrack.track(uri, tmp_path / "drawn", **options)
    read = insitrack.track(tmp_path / "made" / "movie.mkv", tmp_path / "read", **options)
    for name in TABLES:
        assert (drawn.folder / name).read_bytes() == (read.folder / name).read_bytes(), name


def test_running_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        insitrack.track("synth:two_beam?seed=4&frames=6&size=192", tmp_path / name, video=False)
    for table in TABLES:
        assert (tmp_path / "one" / table).read_bytes() == (tmp_path / "two" / table).read_bytes(), table


def drifting(index: int, scene: Floats, zoom: float = 1.0, jump: int = 0) -> Frame:
    """A window of a scene that drifts by a pixel a frame, magnified or moved by a jump of the stage."""
    side = round(128 / zoom)
    at = 20 + index + jump
    window = scene[at : at + side, at : at + side]
    noise = np.random.default_rng(index).normal(0, 3, (128, 128))
    return Frame(index, index * 0.5, (cv2.resize(window, (128, 128)) + noise).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(("zoom", "jump", "changes"), [(1.0, 0, 0), (1.0, 10, 0), (2.0, 0, 1), (1.0, 300, 1)])
def test_a_change_of_magnification_or_of_the_place_is_noticed_with_its_time(tmp_path, zoom, jump, changes):
    scene = cv2.GaussianBlur(np.random.default_rng(3).normal(0, 1, (600, 600)), (0, 0), 3.0) * 300 + 120
    items = [drifting(i, scene) for i in range(12)]
    items += [drifting(i, scene, zoom, jump) for i in range(12, 24)]
    tally = run_on(items, GridSegmenter(2, 3, 20), tmp_path)
    assert tally.view_changes == changes
    if changes:
        assert tally.view_changed_s == 6.0


def test_separate_micrographs_are_noticed_to_be_no_movie(tmp_path):
    scenes = [
        cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (200, 200)), (0, 0), 3.0) * 300 + 120
        for seed in range(6)
    ]
    tally = run_on([drifting(i, scene) for i, scene in enumerate(scenes)], GridSegmenter(2, 3, 20), tmp_path)
    assert tally.unregistered >= 4
    movie = run_on([drifting(i, scenes[0]) for i in range(6)], GridSegmenter(2, 3, 20), tmp_path)
    assert movie.unregistered == 0
