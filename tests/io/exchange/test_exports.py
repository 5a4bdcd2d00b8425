"""Every export is opened by a reader of the program that it is for, and holds the defects of the tables."""

import json
import math
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import tifffile

import insitrack
from insitrack.io.exchange.formats import FORMATS, export_run
from insitrack.io.exchange.polygons import polygons
from insitrack.io.tables.columns import FRAMES
from insitrack.io.tables.outlines.masks import MASKS, FrameMasks, masks_by_frame
from insitrack.io.tables.run_folder import Run
from insitrack.tracker.cli import main

SOURCE = "synth:two_beam?frames=8&size=192&seed=5&n=40"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return insitrack.track(SOURCE, tmp_path_factory.mktemp("run") / "run", video=False)


@pytest.fixture(scope="module")
def outlines(run: Run) -> list[FrameMasks]:
    return list(masks_by_frame(run.folder / MASKS.file))


def exported(run: Run, kind: str, folder: Path, ending: str = "") -> Path:
    return export_run(run.folder, kind, folder / f"out{ending or FORMATS[kind].ending}")


def keys(table: pd.DataFrame, *names: str) -> set[tuple[object, ...]]:
    return set(table[list(names)].itertuples(index=False, name=None))


def area(corners: np.ndarray) -> float:
    x, y = np.asarray(corners, float).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_coco_is_read_by_pycocotools_to_the_pixel(
    run: Run, outlines: list[FrameMasks], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coco = pytest.importorskip("pycocotools.coco").COCO(str(exported(run, "coco", tmp_path)))
    capsys.readouterr()
    names = {one["id"]: one["name"] for one in coco.loadCats(coco.getCatIds())}
    seen = {
        (one["image_id"] - 1, one["track_id"], names[one["category_id"]])
        for one in coco.loadAnns(coco.getAnnIds())
    }
    assert seen == keys(run.tracks, "frame", "track_id", "defect_class")
    for found in outlines:
        height, width = (
            coco.loadImgs(found.frame + 1)[0]["height"],
            coco.loadImgs(found.frame + 1)[0]["width"],
        )
        dense = found.masks.dense((height, width))
        by_track = {one["track_id"]: one for one in coco.loadAnns(coco.getAnnIds(imgIds=found.frame + 1))}
        for i, track in enumerate(found.track_ids.tolist()):
            assert (coco.annToMask(by_track[track]) == dense[i]).all()
            assert by_track[track]["area"] == dense[i].sum()


def test_the_rows_behind_coco_come_back_by_their_numbers(run: Run, tmp_path: Path) -> None:
    made = json.loads(exported(run, "coco", tmp_path).read_text(encoding="utf-8"))
    for one in made["annotations"]:
        row = run.tracks.iloc[one["id"] - 1]
        assert (row["frame"], row["track_id"]) == (one["image_id"] - 1, one["track_id"])
        assert one["score"] == pytest.approx(row["probability"], abs=1e-9)
        assert one["observed"] == bool(row["observed"])


def test_imagej_regions_are_read_by_roifile_with_frame_class_and_area(
    run: Run, outlines: list[FrameMasks], tmp_path: Path
) -> None:
    roifile = pytest.importorskip("roifile")
    rois = roifile.roiread(exported(run, "imagej", tmp_path))
    seen: dict[tuple[int, str], float] = {}
    for roi in rois:
        key = (roi.position - 1, roi.name)
        seen[key] = seen.get(key, 0.0) + area(roi.coordinates())
    assert {(frame, int(name.rpartition("-")[2])) for frame, name in seen} == keys(
        run.tracks, "frame", "track_id"
    )
    for found in outlines:
        for i, track in enumerate(found.track_ids.tolist()):
            parts = polygons(found.masks.crop(i))
            assert seen[(found.frame, f"{found.names[i]}-{track}")] == sum(map(area, parts))


def test_label_images_hold_the_id_of_every_track_that_is_not_covered(
    run: Run, outlines: list[FrameMasks], tmp_path: Path
) -> None:
    path = exported(run, "labels", tmp_path)
    with tifffile.TiffFile(path) as tiff:
        images, facts = tiff.asarray(), ElementTree.fromstring(tiff.ome_metadata or "")
    assert images.shape == (8, 192, 192)
    (pixels,) = (one for one in facts.iter() if one.tag.endswith("Pixels"))
    assert float(pixels.get("PhysicalSizeX", "nan")) == pytest.approx(
        run.manifest["calibration"]["nm_per_px"]
    )
    assert pixels.get("PhysicalSizeXUnit") == "nm"
    for found in outlines:
        ids = np.unique(images[found.frame])
        assert set(ids.tolist()) - {0} <= set(found.track_ids.tolist())
        for i, track in enumerate(found.track_ids.tolist()):
            dense = found.masks.take(np.array([i])).dense((192, 192))[0]
            others = found.masks.take(np.array([k for k in range(len(found.names)) if k != i]))
            alone = dense & ~others.dense((192, 192)).any(axis=0)
            assert (images[found.frame][alone] == track).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_ome_zarr_is_read_by_zarr_and_holds_the_same_labels(run: Run, tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(exported(run, "labels", tmp_path, ".ome.zarr")), mode="r")
    scales = group.attrs["multiscales"][0]
    assert [one["name"] for one in scales["axes"]] == ["t", "y", "x"]
    assert (
        np.asarray(group[scales["datasets"][0]["path"]]) == tifffile.imread(exported(run, "labels", tmp_path))
    ).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_ome_zarr_is_read_by_ome_zarr(run: Run, tmp_path: Path) -> None:
    reader, io = pytest.importorskip("ome_zarr.reader"), pytest.importorskip("ome_zarr.io")
    path = exported(run, "labels", tmp_path, ".ome.zarr")
    (node, *_) = reader.Reader(io.parse_url(str(path)))()
    assert node.data[0].shape == (8, 192, 192)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_geff_is_read_by_geff_with_every_node_and_edge(run: Run, tmp_path: Path) -> None:
    geff = pytest.importorskip("geff")
    graph, facts = geff.read(str(exported(run, "geff", tmp_path)))
    tracks = run.tracks
    assert facts.directed
    assert len(graph.nodes) == len(tracks)
    seen = {(one["frame"], one["track_id"], one["defect_class"]) for _, one in graph.nodes(data=True)}
    assert {(int(f), int(t), str(c)) for f, t, c in seen} == keys(tracks, "frame", "track_id", "defect_class")
    links = sum(len(part) - 1 for _, part in tracks.groupby("track_id"))
    events = run.events["kind"].isin(["merge", "split"]).sum()
    assert links <= len(graph.edges) <= links + events
    for source, target in graph.edges:
        assert graph.nodes[source]["frame"] < graph.nodes[target]["frame"]
    for number, one in graph.nodes(data=True):
        row = tracks.iloc[int(number)]
        for name in ("t_s", "x_px", "y_px", "size_nm", "area_px", "probability", "observed"):
            assert one[name] == row[name] or (np.isnan(one[name]) and np.isnan(row[name])), name


def test_trackmate_has_movie_scale_outlines_and_every_track(
    run: Run, outlines: list[FrameMasks], tmp_path: Path
) -> None:
    root = ElementTree.parse(exported(run, "trackmate", tmp_path)).getroot()
    image = root.find("Settings/ImageData")
    assert image is not None
    scale = run.manifest["calibration"]["nm_per_px"]
    assert float(image.get("pixelwidth", "nan")) == scale
    assert (image.get("width"), image.get("height"), image.get("nframes")) == ("192", "192", "8")
    areas = {}
    for spot in root.iter("Spot"):
        row = run.tracks.iloc[int(spot.get("ID", "-1"))]
        assert spot.get("name") == f"{row['defect_class']} #{row['track_id']}"
        assert float(spot.get("POSITION_X", "nan")) == pytest.approx(row["x_px"] * scale, abs=1e-6)
        corners = np.array((spot.text or "").split(), float).reshape(-1, 2)
        assert len(corners) == int(spot.get("ROI_N_POINTS", "-1"))
        areas[(row["frame"], row["track_id"])] = area(corners) / scale**2
    for found in outlines:
        for i, track in enumerate(found.track_ids.tolist()):
            assert areas[(found.frame, track)] == pytest.approx(
                area(polygons(found.masks.crop(i))[0]), rel=1e-3
            )
    for edge in root.iter("Edge"):
        source, target = (
            run.tracks.iloc[int(edge.get(f"SPOT_{end}_ID", "-1"))] for end in ("SOURCE", "TARGET")
        )
        assert source["frame"] < target["frame"]


def test_parquet_and_lists_have_the_rows_of_the_table(run: Run, tmp_path: Path) -> None:
    table = pd.read_parquet(exported(run, "parquet", tmp_path))
    assert table["x_px"].tolist() == run.tracks["x_px"].tolist()
    assert table["defect_class"].astype(str).tolist() == run.tracks["defect_class"].tolist()
    layer = pd.read_csv(exported(run, "napari", tmp_path))
    assert list(layer.columns[:4]) == ["ID", "T", "Y", "X"]
    assert keys(layer, "T", "ID", "defect_class") == keys(run.tracks, "frame", "track_id", "defect_class")
    mot = np.loadtxt(exported(run, "mot", tmp_path), delimiter=",")
    rows = run.tracks.sort_values(["track_id", "frame"])
    sides = [rows["x2_px"] - rows["x1_px"], rows["y2_px"] - rows["y1_px"]]
    told = np.column_stack(
        [rows["frame"] + 1, rows["track_id"], rows["x1_px"], rows["y1_px"], *sides, rows["score"].fillna(0)]
    )
    assert np.allclose(mot[:, :7], told, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_an_export_never_writes_over_a_file_and_leaves_nothing_half_done(
    run: Run, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"mine{FORMATS[kind].ending}"
    out.write_text("mine")
    assert main(["export", str(run.folder), "--to", kind, "--out", str(out)]) == 2
    assert "exists; choose another name" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main(["export", str(tmp_path / "no_run"), "--to", kind, "--out", str(tmp_path / "new")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_the_corners_of_a_ring_enclose_its_hole_and_parts_are_apart() -> None:
    ring = np.ones((5, 6), bool)
    ring[2, 2:4] = False
    assert [area(part) for part in polygons(ring)] == [30.0]
    corner = np.eye(2, dtype=bool)
    assert [area(part) for part in polygons(corner)] == [1.0, 1.0]
    assert polygons(np.zeros((3, 3), bool)) == []
    assert math.isclose(area(polygons(np.array([[1, 0], [1, 1]], bool))[0]), 3.0)


def test_a_run_that_found_nothing_is_written_in_every_format(tmp_path: Path) -> None:
    flat = np.random.default_rng(0).normal(120, 3, (3, 128, 128)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "flat.tif", flat, photometric="minisblack")
    nothing = insitrack.track(tmp_path / "flat.tif", tmp_path / "run", frame_interval_s=0.1)
    assert len(nothing.tracks) == 0
    assert (nothing.folder / "annotated.mp4").is_file()
    for kind in FORMATS:
        exported(nothing, kind, tmp_path)
    assert tifffile.imread(tmp_path / "out.ome.tif").max() == 0
    assert len(pd.read_parquet(tmp_path / "out.parquet")) == 0


def test_a_run_of_two_magnifications_is_exported_in_pixels(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.folder, tmp_path / "two")
    frames = run.frames
    frames["view"] = (frames["frame"] >= 4).astype(int)
    scale = float(run.manifest["calibration"]["nm_per_px"])
    for later, unit in ((scale, "nm"), (2 * scale, "pixel"), (math.nan, "pixel")):
        frames["nm_per_px"] = np.where(frames["view"] > 0, later, scale)
        text = FRAMES.format({name: frames[name].to_numpy() for name in FRAMES.names})
        (tmp_path / "two" / FRAMES.file).write_text(FRAMES.header() + text)
        path = export_run(tmp_path / "two", "trackmate", tmp_path / f"{later}.xml")
        model = ElementTree.parse(path).getroot().find("Model")
        assert model is not None
        assert model.get("spatialunits") == unit
