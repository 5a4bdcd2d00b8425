"""Image folders, TIFF stacks and microscope files: order, native depth, scale and time as in the file."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from insitrack.io.errors import SourceError
from insitrack.io.files.folder import natural_order
from insitrack.io.files.stacks import StackSource
from insitrack.io.frames import Frame
from insitrack.io.timeline import Selection
from insitrack.tests.support.stacks import STACK, images, same, status, write_pages

EM_FILES = Path(__file__).resolve().parents[4] / "shared" / "data" / "em-files"
RNG = np.random.default_rng(11)


def save(path, image):
    Image.fromarray(image).save(path)
    return path


# --- image files
# ---------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(numbers=st.lists(st.integers(0, 10**6), unique=True, max_size=8))
def test_files_are_ordered_by_the_numbers_in_their_names(numbers):
    paths = [Path(f"Frame {number}b.png") for number in numbers]
    assert sorted(paths, key=natural_order) == [Path(f"Frame {number}b.png") for number in sorted(numbers)]


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_a_folder_gives_its_images_in_natural_order(tmp_path, suffix):
    pictures = {k: RNG.integers(0, 255, (4, 7)).astype(np.uint8) for k in (1, 2, 10)}
    for k, picture in pictures.items():
        save(tmp_path / f"frame{k}.{suffix}", picture)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden.png").write_text("not an image either")
    source = StackSource(tmp_path)
    assert same(source, [pictures[1], pictures[2], pictures[10]])
    assert source.time_origin.startswith("assumed 1 s")
    assert [item.t_s for item in source] == [0.0, 1.0, 2.0]
    assert same(StackSource(str(tmp_path / f"frame1*.{suffix}")), [pictures[1], pictures[10]])
    assert same(StackSource(tmp_path / f"frame2.{suffix}"), [pictures[2]])


def test_a_folder_is_identified_by_the_names_and_sizes_of_its_files(tmp_path):
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((40, 60), np.uint8)).save(tmp_path / name)
    first = StackSource(tmp_path).describe()
    assert first["sha256_of"] == "the names and sizes of 2 files"
    (tmp_path / "b.png").rename(tmp_path / "c.png")
    assert StackSource(tmp_path).describe()["sha256"] != first["sha256"]


def test_sixteen_bits_stay_sixteen_bits(tmp_path):
    save(tmp_path / "deep.png", STACK[0])
    assert same(StackSource(tmp_path / "deep.png"), [STACK[0]])


def test_colour_becomes_luma(tmp_path):
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[:, :2], picture[:, 2:4], picture[:, 4:] = (255, 0, 0), (0, 255, 0), (90, 90, 90)
    save(tmp_path / "colour.png", picture)
    save(tmp_path / "clear.png", np.dstack([picture, np.full((4, 6), 7, np.uint8)]))
    (grey,) = images(StackSource(tmp_path / "colour.png"))
    assert grey[0].tolist() == [76, 76, 150, 150, 90, 90]  # ITU-R BT.601: 0.299, 0.587, 0.114
    assert same(StackSource(tmp_path / "clear.png"), [grey])


def test_a_damaged_image_is_one_damaged_frame(tmp_path):
    for k in range(4):
        save(tmp_path / f"{k}.png", RNG.integers(0, 255, (40, 40)).astype(np.uint8))
    data = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "3.png").write_bytes(b"")
    source = StackSource(tmp_path)
    assert status(source) == ["ok", "ok", "damaged", "damaged"]
    assert source.warnings == [
        line for line in source.warnings if "could not be read: 2 (first: frame 2" in line
    ]
    assert len(list(source)) == 4
    assert len(source.warnings) == 1


def test_a_frame_of_another_size_or_depth_is_damaged_and_says_so(tmp_path):
    save(tmp_path / "0.png", np.zeros((9, 9), np.uint8))
    for k in (1, 2, 3):
        save(tmp_path / f"{k}.png", np.zeros((8, 12), np.uint8))
    save(tmp_path / "4.png", np.zeros((8, 12), np.uint16))
    items = list(StackSource(tmp_path))
    assert [isinstance(item, Frame) for item in items] == [False, True, True, True, False]
    assert items[0].reason == "9 x 9 px uint8, most of the run is 12 x 8 px uint8"


@pytest.mark.parametrize(
    "name", ["missing", "missing*.png", "empty", "empty.tif", "broken.png", "text.tif", "text.dm4"]
)
def test_what_holds_no_picture_is_refused_in_one_line(tmp_path, capfd, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.tif").touch()
    for text in ("broken.png", "text.tif", "text.dm4"):
        (tmp_path / text).write_text("no image here " * 40)
    with pytest.raises(SourceError) as caught:
        StackSource(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


# --- values that are not 8 or 16 bit grey levels
# -------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(scale=st.floats(1e-6, 1e6), shift=st.floats(-1e3, 1e3))
def test_floats_keep_their_order_and_share_one_scale_over_the_run(tmp_path_factory, scale, shift):
    values = (RNG.normal(size=(5, 20, 30)) * scale + shift).astype(np.float32)
    path = tmp_path_factory.mktemp("float") / "float.tif"
    tifffile.imwrite(path, values, photometric="minisblack")
    got = np.stack(images(StackSource(path)))
    assert got.dtype == np.uint16
    order = np.argsort(values, axis=None)
    assert np.all(np.diff(got.ravel()[order].astype(int)) >= 0)


def test_hot_pixels_do_not_squeeze_the_picture_and_nan_is_black(tmp_path):
    values = RNG.uniform(100, 200, (2, 100, 100)).astype(np.float32)
    values[0, 0, 0], values[1, 1, 1] = 1e9, np.nan
    tifffile.imwrite(tmp_path / "hot.tif", values, photometric="minisblack")
    source = StackSource(tmp_path / "hot.tif")
    got = images(source)
    assert got[0][0, 0] == 65535
    assert got[1][1, 1] == 0
    assert np.ptp(got[1][2:]) > 30000
    assert "scaled to 16 bits" in source.describe()["levels"]


def test_a_flat_float_picture_is_black(tmp_path):
    tifffile.imwrite(tmp_path / "flat.tif", np.full((6, 8), 3.5, np.float32))
    assert same(StackSource(tmp_path / "flat.tif"), [np.zeros((6, 8), np.uint16)])


def test_signed_sixteen_bits_are_shifted_without_loss(tmp_path):
    values = np.array([[-32768, -1, 0, 32767]], np.int16)
    tifffile.imwrite(tmp_path / "signed.tif", values)
    assert same(StackSource(tmp_path / "signed.tif"), [np.array([[0, 32767, 32768, 65535]], np.uint16)])


def test_frames_that_are_not_wanted_are_not_read(tmp_path):
    write_pages(tmp_path / "stack.tif")
    source = StackSource(tmp_path / "stack.tif", selection=Selection(start_s=1, end_s=3, every=2))
    source._read = lambda index: STACK[index] if index == 2 else pytest.fail("read for nothing")
    assert status(source) == ["skipped", "skipped", "ok", "skipped", "skipped"]


# --- units and microscope files
# ------------------------------------------------------------------------------------


@pytest.mark.skipif(not EM_FILES.is_dir(), reason="the microscope files are not here")
@pytest.mark.parametrize(
    ("name", "shape", "nm_per_px", "n_frames"),
    [
        ("digitalmicrograph/2D/test_STEM_image.dm3", (68, 68), 0.248538, 1),
        ("digitalmicrograph/3D/test-1.dm4", (2, 2), None, 2),
        ("digitalmicrograph/test_stackbuilder_imagestack.dm3", (2, 16), 59.9829, 3),
        ("mrc/20241021_00405_movie.mrc", (4, 8), None, 32),
        ("tvips/test_tvips_2345_split_000.tvips", (4, 5), None, 6),
    ],
)
def test_microscope_files_give_their_frames_and_scale(name, shape, nm_per_px, n_frames, capfd):
    source = StackSource(EM_FILES / name)
    items = list(source)
    assert [item.shape for item in items] == [shape] * n_frames
    assert source.calibration.nm_per_px == (
        nm_per_px if nm_per_px is None else pytest.approx(nm_per_px, rel=1e-5)
    )
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not EM_FILES.is_dir(), reason="the microscope files are not here")
@pytest.mark.skipif(importlib.util.find_spec("h5py") is not None, reason="h5py is installed")
def test_a_reader_that_is_not_installed_is_named():
    with pytest.raises(SourceError, match="pip install h5py"):
        StackSource(next((EM_FILES / "emd").glob("*.emd")))


@pytest.mark.skipif(not EM_FILES.is_dir(), reason="the microscope files are not here")
def test_diffraction_patterns_open_but_are_no_specimen_unless_a_scale_is_given(tmp_path, capsys):
    from insitrack.tracker.cli import main

    path = EM_FILES / "tvips" / "test_tvips_2233_000.tvips"
    assert "its axes are in 1/nm" in StackSource(path).refused
    assert StackSource(path, nm_per_px=0.5).refused == ""
    assert main([str(path), "--out", str(tmp_path / "out")]) == 2
    assert "a diffraction pattern" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not EM_FILES.is_dir(), reason="the microscope files are not here")
def test_exposure_and_bit_depth_come_from_the_metadata():
    facts = StackSource(EM_FILES / "mrc" / "20241021_00405_movie.mrc").describe()
    assert (facts["exposure_s"], facts["bit_depth"]) == (0.045712, 16)


def test_an_mrc_file_that_promises_more_than_it_holds_is_refused_at_once(tmp_path):
    header = np.zeros(256, "<i4")
    header[:4] = 4000, 4000, 100_000, 2
    (tmp_path / "a.mrc").write_bytes(header.tobytes() + b"\0" * 1000)
    with pytest.raises(SourceError, match="promises 4000 x 4000 x 100000 values"):
        StackSource(tmp_path / "a.mrc")
    (tmp_path / "b.mrc").write_bytes(b"short")
    with pytest.raises(SourceError, match="shorter than the header"):
        StackSource(tmp_path / "b.mrc")


def test_a_picture_that_the_camera_turned_is_read_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(STACK[0].astype(np.uint8)).save(tmp_path / "turned.png", exif=exif)
    assert same(StackSource(tmp_path / "turned.png"), [np.rot90(STACK[0].astype(np.uint8), -1)])
