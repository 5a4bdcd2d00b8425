"""TIFF: every page a frame, scale and time as the program that wrote them says, several series in one file."""

import numpy as np
import pytest
import tifffile

from insitrack.io.errors import SourceError
from insitrack.io.files.stacks import StackSource
from insitrack.tests.support.stacks import STACK, same, status, write_pages

RNG = np.random.default_rng(12)


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


def test_a_compression_that_cannot_be_unpacked_here_is_refused_with_the_command_that_helps(
    tmp_path, monkeypatch
):
    from PIL import Image

    pages = [Image.fromarray(page) for page in STACK.astype(np.uint8)]
    pages[0].save(tmp_path / "lzw.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    assert StackSource(tmp_path / "lzw.tif").n_frames == len(STACK)

    class Codecs(dict):
        def __missing__(self, compression):
            raise KeyError(f"{compression} requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TIFF, "DECOMPRESSORS", Codecs({1: bytes}))
    with pytest.raises(SourceError, match=r"compressed by LZW.*pip install 'insitrack\[files\]'") as caught:
        StackSource(tmp_path / "lzw.tif")
    assert "\n" not in str(caught.value)
