"""Files of microscopes that are made here: TIA series, HyperSpy, blockfiles; their images, scale and time."""

import importlib
import struct

import numpy as np
import pytest

from insitrack.io.errors import SourceError
from insitrack.io.files.stacks import StackSource
from insitrack.tests.support.microscope_files import EMI, signal, write_ser
from insitrack.tests.support.stacks import images

PICTURES = np.random.default_rng(5).integers(0, 4000, (6, 9, 13)).astype(np.uint16)


@pytest.mark.parametrize("long_offsets", [True, False])
def test_a_tia_series_gives_its_pictures_scale_and_interval(tmp_path, long_offsets):
    source = StackSource(write_ser(tmp_path / "run_1.ser", PICTURES, long_offsets=long_offsets))
    assert all(np.array_equal(one, two) for one, two in zip(images(source), PICTURES, strict=True))
    assert source.calibration.nm_per_px == pytest.approx(0.37)
    assert [item.t_s for item in source] == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert source.describe()["bit_depth"] == 16
    source.close()


def test_a_tia_series_agrees_with_rosettasciio(tmp_path):
    from rsciio.tia import file_reader

    path = write_ser(tmp_path / "run_1.ser", PICTURES)
    (theirs,) = file_reader(str(path))
    assert np.array_equal(theirs["data"], np.stack(images(StackSource(path))))
    assert theirs["axes"][-1]["scale"] == pytest.approx(0.37)


def test_whole_seconds_do_not_hide_a_fast_series(tmp_path):
    source = StackSource(write_ser(tmp_path / "fast_1.ser", np.repeat(PICTURES, 5, axis=0), step_s=0.25))
    assert source.describe()["average_fps"] == pytest.approx(4, rel=0.05)
    still = StackSource(write_ser(tmp_path / "still_1.ser", PICTURES, step_s=0))
    assert still.time_origin.startswith("assumed")


def test_an_emi_file_stands_for_its_longest_series_and_tells_diffraction(tmp_path):
    write_ser(tmp_path / "run_1.ser", PICTURES[:1])
    write_ser(tmp_path / "run_2.ser", PICTURES)
    emi = tmp_path / "run.emi"
    emi.write_text(EMI.format(mode="TEM uP SA Zoom Image"))
    source = StackSource(emi)
    assert source.n_frames == 6
    assert source.describe()["mode"] == "TEM uP SA Zoom Image"
    assert not source.refused
    emi.write_text(EMI.format(mode="TEM uP SA Zoom Diffraction"))
    assert "diffraction pattern" in StackSource(tmp_path / "run_2.ser").refused
    emi.write_text(EMI.format(mode="STEM nP SA Zoom Diffraction"))
    assert not StackSource(emi).refused


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"RIFF" + data[4:], "not a series of TIA"),
        (lambda data: data[:60], "damaged TIA series"),
        (lambda data: data[:18] + b"\xff\xff\xff\x7f" + data[22:], "damaged TIA series"),
        (lambda data: data[:6] + struct.pack("<I", 0x4120) + data[10:], "only spectra"),
    ],
)
def test_a_damaged_series_is_refused_in_one_line(tmp_path, damage, message):
    path = write_ser(tmp_path / "run_1.ser", PICTURES)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SourceError, match=message) as caught:
        StackSource(path)
    assert "\n" not in str(caught.value)


def test_an_emi_file_without_its_series_is_refused(tmp_path):
    (tmp_path / "alone.emi").write_text(EMI.format(mode="TEM"))
    with pytest.raises(SourceError, match=r"no alone_1\.ser lies beside it"):
        StackSource(tmp_path / "alone.emi")


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("suffix", [".hspy", ".zspy", ".emd"])
def test_files_of_hyperspy_and_ncem_give_their_pictures_scale_and_interval(tmp_path, suffix):
    path = tmp_path / f"made{suffix}"
    writer = importlib.import_module(
        {".hspy": "rsciio.hspy", ".zspy": "rsciio.zspy", ".emd": "rsciio.emd"}[suffix]
    ).file_writer
    writer(str(path), signal(PICTURES))
    source = StackSource(path)
    assert all(np.array_equal(one, two) for one, two in zip(images(source), PICTURES, strict=True))
    assert source.calibration.nm_per_px == pytest.approx(0.37)
    assert [item.t_s for item in source] == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0, 2.5])
    source.close()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_of_packed_files_one_block_is_held_and_pictures_do_not_hold_it(tmp_path, monkeypatch):
    from rsciio.zspy import file_writer

    from insitrack.io.files import vendor

    monkeypatch.setattr(vendor, "_BLOCK_BYTES", 2 * PICTURES[0].nbytes)
    file_writer(str(tmp_path / "made.zspy"), signal(PICTURES))
    stack = vendor.open_vendor(tmp_path / "made.zspy")
    for index in (0, 5, 2, 3, 1):
        picture = stack.read(index)
        assert np.array_equal(picture, PICTURES[index])
        assert picture.base is None


def test_a_blockfile_gives_its_patterns(tmp_path):
    from rsciio.blockfile import file_writer

    patterns = np.random.default_rng(1).integers(0, 255, (2, 3, 16, 16)).astype(np.uint8)
    made = signal(patterns[0], units="cm", nm_per_px=0.01)
    time, y, x = made["axes"]
    scan = [
        {**time, "name": name, "units": "nm", "size": size, "scale": 2.0, "navigate": True}
        for name, size in (("y", 2), ("x", 3))
    ]
    made["data"], made["axes"] = (
        patterns,
        [{**axis, "index_in_array": i} for i, axis in enumerate([*scan, y, x])],
    )
    file_writer(str(tmp_path / "made.blo"), made)
    source = StackSource(tmp_path / "made.blo")
    assert all(
        np.array_equal(one, two)
        for one, two in zip(images(source), patterns.reshape(-1, 16, 16), strict=True)
    )
    assert source.calibration.nm_per_px is None


def write_tvips(folder, pictures, *, units="nm", nm_per_px=2.0, **more):
    from rsciio.tvips import file_writer

    path = folder / "made_000.tvips"
    file_writer(
        str(path),
        signal(pictures, units=units, nm_per_px=nm_per_px, step_s=2.0),
        show_progressbar=False,
        **more,
    )
    return path


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("more", [{}, {"max_file_size": 900, "frame_header_extra_bytes": 20}])
def test_a_tvips_movie_gives_the_pictures_of_all_its_parts_as_rosettasciio_does(tmp_path, more):
    from rsciio.tvips import file_reader

    path = write_tvips(tmp_path, PICTURES, **more)
    source = StackSource(path)
    (theirs,) = file_reader(str(path))
    assert np.array_equal(np.stack(images(source)), theirs["data"])
    assert source.describe()["parts"] == len(list(tmp_path.iterdir()))
    assert source.calibration.nm_per_px == 2.0
    assert source.describe()["average_fps"] == pytest.approx(0.5)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_tvips_movie_of_diffraction_patterns_a_later_part_and_a_broken_file_are_refused(tmp_path):
    path = write_tvips(tmp_path, PICTURES, units="1/nm")
    assert "diffraction pattern" in StackSource(path).refused
    later = path.rename(tmp_path / "made_001.tvips")
    with pytest.raises(SourceError, match="not the first part"):
        StackSource(later)
    data = later.read_bytes()
    for broken in (data[:20], data[:4] + b"\xff" * 40 + data[44:], data[:260]):
        path.write_bytes(broken)
        later.unlink(missing_ok=True)
        with pytest.raises(SourceError, match=r"damaged|no whole image") as caught:
            StackSource(path)
        assert "\n" not in str(caught.value)
