"""Image folders, TIFF stacks and microscope files.

Natural order, native depth, scale and time as the file tells them.
"""

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
from insitrack.io.files.stacks import StackSource, nm_of, seconds_of
from insitrack.io.frames import Frame
from insitrack.io.timeline import Selection

EM_FILES = Path(__file__).resolve().parents[4] / "shared" / "data" / "em-files"
RNG = np.random.default_rng(11)
STACK = RNG.integers(0, 65535, (5, 6, 9)).astype(np.uint16)


def save(path, image):
    Image.fromarray(image).save(path)
    return path


def images(source):
    return [item.image for item in source if isinstance(item, Frame)]


def status(source):
    return ["ok" if isinstance(item, Frame) else item.status for item in source]


def same(source, expected):
    got = images(source)
    return len(got) == len(expected) and all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))


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
        (tmp_path / text).write_text("no picture here " * 40)
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


# --- TIFF stacks
# ---------------------------------------------------------------------------------------------------


def write_imagej(path):
    tifffile.imwrite(
        path,
        STACK,
        imagej=True,
        resolution=(1 / 0.25, 1 / 0.25),
        metadata={"unit": "nm", "finterval": 0.5, "axes": "TYX"},
    )


def write_ome(path):
    size = {
        "PhysicalSizeX": 0.25,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.25,
        "PhysicalSizeYUnit": "nm",
    }
    tifffile.imwrite(
        path,
        STACK,
        ome=True,
        compression="zlib",
        metadata={"axes": "TYX", "TimeIncrement": 500, "TimeIncrementUnit": "ms", **size},
    )


def write_pages(path):
    with tifffile.TiffWriter(path) as tif:
        for page in STACK:
            tif.write(page, photometric="minisblack", contiguous=False, metadata=None)


def write_big_endian(path):
    tifffile.imwrite(path, STACK, byteorder=">", photometric="minisblack")


@pytest.mark.parametrize("write", [write_imagej, write_ome, write_pages, write_big_endian])
def test_every_page_of_a_stack_is_a_frame(tmp_path, write):
    write(tmp_path / "stack.tif")
    source = StackSource(tmp_path / "stack.tif")
    assert source.n_frames == 5
    assert same(source, list(STACK))
    assert all(frame.image.dtype == np.uint16 for frame in source)
    source.close()
    source.close()


@pytest.mark.parametrize(
    ("write", "origin"), [(write_imagej, "metadata: ImageJ TIFF"), (write_ome, "metadata: OME TIFF")]
)
def test_scale_and_interval_come_from_the_metadata(tmp_path, write, origin):
    write(tmp_path / "stack.tif")
    source = StackSource(tmp_path / "stack.tif")
    assert source.calibration.nm_per_px == pytest.approx(0.25)
    assert source.calibration.origin == source.time_origin == origin
    assert [item.t_s for item in source] == [0.0, 0.5, 1.0, 1.5, 2.0]
    given_by_user = StackSource(tmp_path / "stack.tif", nm_per_px=2.0, frame_interval_s=3.0)
    assert given_by_user.calibration.nm_per_px == 2.0
    assert given_by_user.calibration.origin == given_by_user.time_origin == "command line"
    assert [item.t_s for item in given_by_user][-1] == 12.0


@pytest.mark.parametrize("old", [b'PhysicalSizeX="0.25"', b'TimeIncrement="500"'])
def test_a_damaged_number_in_the_metadata_is_unknown_and_no_more(tmp_path, old):
    write_ome(tmp_path / "stack.tif")
    data = (tmp_path / "stack.tif").read_bytes()
    assert old in data
    (tmp_path / "stack.tif").write_bytes(data.replace(old, old[:-3] + b"x" + old[-2:]))
    source = StackSource(tmp_path / "stack.tif")
    assert (source.calibration.nm_per_px is None) == (b"Size" in old)
    assert source.time_origin.startswith("assumed") == (b"Time" in old)
    assert source.n_frames == 5


def test_the_resolution_of_a_printer_is_no_scale(tmp_path):
    tifffile.imwrite(tmp_path / "dpi.tif", STACK[0], resolution=(72, 72), resolutionunit="INCH")
    source = StackSource(tmp_path / "dpi.tif")
    assert source.calibration.nm_per_px is None
    assert source.calibration.origin == "unknown"


def test_pixels_that_are_not_square_give_a_warning(tmp_path):
    tifffile.imwrite(
        tmp_path / "flat.tif", STACK, imagej=True, resolution=(4, 2), metadata={"unit": "nm", "axes": "TYX"}
    )
    assert "as if they were square" in StackSource(tmp_path / "flat.tif").warnings[0]


@pytest.mark.parametrize(("planar", "shape"), [("contig", (6, 9, 3)), ("separate", (3, 6, 9))])
def test_one_colour_tiff_is_one_frame(tmp_path, planar, shape):
    tifffile.imwrite(
        tmp_path / "rgb.tif", np.full(shape, 80, np.uint8), photometric="rgb", planarconfig=planar
    )
    assert same(StackSource(tmp_path / "rgb.tif"), [np.full((6, 9), 80, np.uint8)])


def test_of_several_channels_the_first_is_used_and_said(tmp_path):
    values = RNG.integers(0, 255, (4, 3, 6, 9)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "channels.tif", values, imagej=True, metadata={"axes": "TCYX"})
    source = StackSource(tmp_path / "channels.tif")
    assert same(source, list(values[:, 0]))
    assert "3 channels" in source.warnings[0]


def test_an_imagej_stack_that_was_cut_off_gives_the_frames_before_the_cut(tmp_path):
    write_imagej(tmp_path / "stack.tif")
    with tifffile.TiffFile(tmp_path / "stack.tif") as tif:
        first = tif.series[0].dataoffset
    data = (tmp_path / "stack.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(data[: first + 3 * STACK[0].nbytes + 10])
    assert status(StackSource(tmp_path / "cut.tif")) == ["ok", "ok", "ok", "damaged", "damaged"]


def test_a_broken_chain_of_pages_gives_those_before_the_break(tmp_path, capfd):
    write_pages(tmp_path / "stack.tif")
    data = (tmp_path / "stack.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(data[:-150])
    source = StackSource(tmp_path / "cut.tif")
    assert same(source, list(STACK[: source.n_frames]))
    assert "breaks off" in source.warnings[0]
    assert capfd.readouterr().err == ""


def test_frames_that_are_not_wanted_are_not_read(tmp_path):
    write_pages(tmp_path / "stack.tif")
    source = StackSource(tmp_path / "stack.tif", selection=Selection(start_s=1, end_s=3, every=2))
    source._read = lambda index: STACK[index] if index == 2 else pytest.fail("read for nothing")
    assert status(source) == ["skipped", "skipped", "ok", "skipped", "skipped"]


# --- units and microscope files
# ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "nm"),
    [(2, "Å", 0.2), (3, "A", 0.3), (1, "µm", 1e3), (1e-9, "m", 1.0), (0, "nm", None), (1, "1/nm", None)],
)
def test_lengths_become_nm_or_nothing(value, unit, nm):
    assert nm_of(value, unit) == (nm if nm is None else pytest.approx(nm))


@pytest.mark.parametrize(
    ("value", "unit", "seconds"),
    [(5, "ms", 0.005), (2, "min", 120.0), (0, "s", None), (1, "", None), (float("nan"), "s", None)],
)
def test_durations_become_seconds_or_nothing(value, unit, seconds):
    assert seconds_of(value, unit) == seconds


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


# --- several series in one TIFF, axes that are not time
# --------------------------------------------------------------------------------------------------


def test_pages_written_one_by_one_are_one_movie(tmp_path):
    with tifffile.TiffWriter(tmp_path / "loop.tif") as tif:
        for page in STACK:
            tif.write(page)
    assert same(StackSource(tmp_path / "loop.tif"), list(STACK))


@pytest.mark.filterwarnings("ignore:.*stored as RGB:DeprecationWarning")
@pytest.mark.parametrize("planes", [2, 4, 5])
def test_blocks_appended_to_a_file_are_one_movie_in_their_order(tmp_path, planes):
    blocks = RNG.integers(0, 255, (3, planes, 12, 16)).astype(np.uint8)
    for block in blocks:
        tifffile.imwrite(tmp_path / "appended.tif", block, append=True)
    assert same(StackSource(tmp_path / "appended.tif"), list(blocks.reshape(-1, 12, 16)))


@pytest.mark.parametrize("first", [True, False])
def test_a_preview_is_not_the_movie_and_is_named(tmp_path, first):
    with tifffile.TiffWriter(tmp_path / "preview.tif") as tif:
        if first:
            tif.write(np.zeros((3, 4), np.uint16), photometric="minisblack", metadata=None)
        for page in STACK:
            tif.write(page, photometric="minisblack", metadata=None)
        if not first:
            tif.write(np.zeros((3, 4), np.uint16), photometric="minisblack", metadata=None)
    source = StackSource(tmp_path / "preview.tif")
    assert same(source, list(STACK))
    assert "left out: 1 of 4 x 3 px" in source.warnings[0]


def test_of_two_ome_images_the_longer_is_read_with_its_own_scale_and_times(tmp_path):
    times = [0.0, 0.4, 1.1, 1.5, 2.2]
    plane = {"DeltaT": [10 + t for t in times], "DeltaTUnit": ["s"] * 5}
    size = {"PhysicalSizeXUnit": "nm", "PhysicalSizeYUnit": "nm"}
    with tifffile.TiffWriter(tmp_path / "two.ome.tif", ome=True) as tif:
        small = np.zeros((3, 4), np.uint16)
        tif.write(
            small,
            photometric="minisblack",
            metadata={"axes": "YX", "PhysicalSizeX": 5.0, "PhysicalSizeY": 5.0, **size},
        )
        tif.write(
            STACK,
            photometric="minisblack",
            metadata={"axes": "TYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "Plane": plane, **size},
        )
    source = StackSource(tmp_path / "two.ome.tif")
    assert same(source, list(STACK))
    assert source.calibration.nm_per_px == pytest.approx(0.25)
    assert [item.t_s for item in source] == pytest.approx(times)
    assert source.time_origin == "metadata: OME TIFF, frame by frame"
    assert [item.t_s for item in StackSource(tmp_path / "two.ome.tif", frame_interval_s=2.0)][-1] == 8.0


def test_focal_planes_beside_a_time_axis_are_not_time(tmp_path):
    values = RNG.integers(0, 255, (4, 3, 6, 9)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "z.tif", values, imagej=True, metadata={"axes": "TZYX"})
    source = StackSource(tmp_path / "z.tif")
    assert same(source, list(values[:, 0]))
    assert "3 focal planes" in source.warnings[0]


def test_slices_of_a_stack_without_a_time_axis_are_its_frames(tmp_path):
    tifffile.imwrite(tmp_path / "z.tif", STACK, imagej=True, metadata={"axes": "ZYX"})
    assert same(StackSource(tmp_path / "z.tif"), list(STACK))
