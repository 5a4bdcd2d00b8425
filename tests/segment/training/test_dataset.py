import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.synth.source import SynthSource
from insitrack.segment.labels.yolo import TRAINED_CLASSES, label_lines, polygons, read_labels
from insitrack.segment.training.dataset import DatasetSettings, jittered, scenes, tiles, write_synth_dataset


def discs(
    centres: list[tuple[float, float]], radii: list[float], shape: tuple[int, int] = (90, 130), label: int = 1
) -> Detections:
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    dense = np.array(
        [(x - cx) ** 2 + (y - cy) ** 2 < r**2 for (cx, cy), r in zip(centres, radii, strict=True)]
    ).reshape(-1, *shape)
    masks = Masks.from_dense(dense)
    return Detections(
        0,
        0.0,
        shape,
        masks.boxes(),
        np.full(len(masks), label, np.int64),
        np.ones(len(masks), np.float32),
        masks,
        DEFECT_CLASSES,
    )


@settings(max_examples=25, deadline=None)
@given(x=st.floats(25, 105), y=st.floats(25, 65), radius=st.floats(3, 24))
def test_labels_written_and_read_back_outline_the_same_pixels(
    x: float, y: float, radius: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    truth = discs([(x, y)], [radius])
    path = tmp_path_factory.mktemp("labels") / "a.txt"
    path.write_text("\n".join(label_lines(truth)), encoding="utf-8")
    again = read_labels(path, truth.shape)
    assert again.names() == ["black_dot"]
    assert again.masks.iou(truth.masks)[0, 0] > 0.93


def test_a_contour_is_as_wide_as_its_mask() -> None:
    truth = discs([(40.0, 40.0)], [3.0])
    points = polygons(truth.masks)[0]
    assert np.ptp(points, axis=0) == pytest.approx([6.0, 6.0], abs=0.15)


def test_classes_that_are_not_trained_are_left_out() -> None:
    dislocation = DEFECT_CLASSES.index("dislocation") + 1
    assert label_lines(discs([(40, 40)], [5], label=dislocation)) == []
    assert set(TRAINED_CLASSES) == set(DEFECT_CLASSES) - {"dislocation", "defect"}


def test_no_labels_make_no_lines_and_an_empty_file_no_detections(tmp_path) -> None:
    assert label_lines(discs([], [])) == []
    (tmp_path / "a.txt").write_text("\n", encoding="utf-8")
    assert len(read_labels(tmp_path / "a.txt", (10, 20))) == 0


def test_a_movie_is_either_trained_on_or_held_out_never_both(tmp_path) -> None:
    chosen = DatasetSettings(scenes=6, frames_per_scene=2, size_px=64, held_out=0.5, first_seed=3)
    assert list(scenes(chosen)) == list(scenes(chosen))
    data = write_synth_dataset(tmp_path, chosen)
    movies = {
        split: {path.stem.rsplit("_", 1)[0] for path in (tmp_path / "images" / split).iterdir()}
        for split in ("train", "val")
    }
    assert not movies["train"] & movies["val"]
    assert len(movies["train"] | movies["val"]) == 6
    assert {path.stem for path in (tmp_path / "labels" / "train").iterdir()} == {
        path.stem for path in (tmp_path / "images" / "train").iterdir()
    }
    assert "0: black_dot" in data.read_text(encoding="utf-8")


def test_tiles_keep_the_defects_that_lie_mostly_inside() -> None:
    truth = discs([(30, 30), (64, 30), (100, 60)], [6, 6, 6])
    image = np.arange(90 * 130, dtype=np.uint16).reshape(90, 130)
    cut = {(y, x): (part, found) for y, x, part, found in tiles(image, truth, 64, 26)}
    part, found = cut[0, 0]
    assert np.array_equal(part, image[:64, :64])
    assert found.masks.area_px().tolist() == [truth.masks.area_px()[0], truth.masks.area_px()[1] // 2]
    _, found = cut[26, 44]
    assert len(found) == 2


@pytest.mark.parametrize(("height", "width"), [(50, 64), (90, 131), (200, 65)])
def test_tiles_cover_every_pixel(height: int, width: int) -> None:
    image = np.zeros((height, width), np.uint8)
    covered = image.copy()
    for y, x, part, _ in tiles(image, Detections.empty(0, 0.0, image.shape), 64, 40):
        covered[y : y + part.shape[0], x : x + part.shape[1]] = 1
        assert part.shape == (min(height, 64), min(width, 64))
    assert covered.all()


def test_jitter_keeps_the_order_of_the_grey_levels() -> None:
    image = SynthSource("synth:loops?seed=1&frames=1&size=64").frame(0).image
    changed = jittered(image, np.random.default_rng(1)).astype(int)
    order = np.argsort(image.ravel(), kind="stable")
    assert (np.diff(changed.ravel()[order]) >= 0).all()
