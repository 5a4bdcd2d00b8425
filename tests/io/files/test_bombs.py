"""A small file that promises gigabytes costs what it is, and is refused in one line or read as far as it goes."""

import resource
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from insitrack.io.errors import SourceError
from insitrack.io.files.stack import MOST_FRAME_PX, check_promises
from insitrack.io.sources import open_source

MOST_MB = 500
PICTURE = np.full((64, 64), 100, np.uint8)
_READ = """
import sys
from pathlib import Path
from insitrack.io.errors import InsitrackError
from insitrack.io.sources import open_source
from insitrack.io.frames import Frame
try:
    source = open_source(sys.argv[1])
    print('read', sum(isinstance(item, Frame) for item in source))
except InsitrackError as error:
    print(error)
# of this program alone: ru_maxrss begins with the memory of the process that started it
status = Path('/proc/self/status').read_text()
print(int(status.split('VmHWM:')[1].split()[0]) // 1024)
"""


def tiff(folder, description):
    path = folder / "bomb.ome.tif" if description.startswith("<?xml") else folder / "bomb.tif"
    tifffile.imwrite(path, PICTURE, description=description, metadata=None, photometric="minisblack")
    return path


def imagej(folder):
    return tiff(folder, "ImageJ=1.53\nimages=50000000\nframes=50000000\nhyperstack=true\n")


def shaped(folder):
    return tiff(folder, '{"shape": [50000000, 64, 64]}')


def ome(folder):
    pixels = (
        '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="64" SizeY="64" SizeZ="1" SizeC="1"'
        ' SizeT="50000000"><TiffData/></Pixels>'
    )
    space = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    return tiff(
        folder, f'<?xml version="1.0"?><OME xmlns="{space}"><Image ID="Image:0">{pixels}</Image></OME>'
    )


def circle_of_pages(folder):
    path = tiff(folder, "")
    data = bytearray(path.read_bytes())
    first = struct.unpack("<I", data[4:8])[0]
    n_tags = struct.unpack("<H", data[first : first + 2])[0]
    struct.pack_into("<I", data, first + 2 + 12 * n_tags, first)
    path.write_bytes(data)
    return path


def huge_packed_page(folder):
    """A page of 30,000 x 30,000 px in one strip of zeros: under a megabyte."""
    path = folder / "bomb.tif"
    packer, packed = zlib.compressobj(9), b""
    for _ in range(900):
        packed += packer.compress(bytes(10**6))
    packed += packer.flush()
    tags = [
        (256, 4, 1, 30000),
        (257, 4, 1, 30000),
        (258, 3, 1, 8),
        (259, 3, 1, 8),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, 1),
        (278, 4, 1, 30000),
        (279, 4, 1, len(packed)),
    ]
    place = 8 + len(packed) + len(packed) % 2
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = struct.pack("<2sHI", b"II", 42, place)
    path.write_bytes(
        head + packed + bytes(len(packed) % 2) + struct.pack("<H", len(tags)) + entries + bytes(4)
    )
    return path


def huge_png(folder):
    path = folder / "bomb.png"
    Image.new("1", (30000, 30000)).save(path)
    return path


def huge_chunk(folder):
    """A HyperSpy file whose frames are packed in chunks of 4 GB, of which nothing was written."""
    h5py = pytest.importorskip("h5py")
    from insitrack.tests.support.microscope_files import signal

    path = folder / "bomb.hspy"
    __import__("rsciio.hspy", fromlist=["file_writer"]).file_writer(
        str(path), signal(np.zeros((3, 64, 64), np.uint16), step_s=1.0)
    )
    with h5py.File(path, "r+") as file:
        group = next(iter(file["Experiments"].values()))
        del group["data"]
        group.create_dataset(
            "data", shape=(10**6, 64, 64), dtype="u2", chunks=(500_000, 64, 64), compression="gzip"
        )
    return path


def huge_mrc(folder):
    path = folder / "bomb.mrc"
    head = bytearray(1024)
    struct.pack_into("<4i", head, 0, 30000, 30000, 50_000_000, 0)
    head[208:214] = b"MAP \x44\x44"
    path.write_bytes(bytes(head) + bytes(5000))
    return path


def huge_ser(folder):
    path = folder / "bomb_1.ser"
    head = struct.pack("<HHHIIIII", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, 50_000_000, 50_000_000, 46)
    path.write_bytes(head + bytes(2000))
    return path


BOMBS = (imagej, shaped, ome, circle_of_pages, huge_packed_page, huge_png, huge_chunk, huge_mrc, huge_ser)


@pytest.mark.parametrize("make", BOMBS)
def test_a_bomb_is_refused_in_one_line_or_read_in_little_memory(make, tmp_path):
    path = make(tmp_path)
    assert path.stat().st_size < 2e6
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30)),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *said, peak_mb = done.stdout.splitlines()
    assert len(said) == 1, said
    assert int(peak_mb) < MOST_MB
    if said[0].startswith("read"):
        assert int(said[0].split()[1]) <= 1


def test_what_a_file_can_hold_is_not_refused(tmp_path):
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, np.stack([PICTURE] * 9), imagej=True, metadata={"axes": "TYX"})
    assert open_source(path).n_frames == 9
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size // 2)  # cut off: the frames that are lost are accounted for
    assert open_source(path).n_frames == 9
    check_promises(path, 10, MOST_FRAME_PX)
    with pytest.raises(SourceError, match="expected at most 100 million"):
        check_promises(path, 10, MOST_FRAME_PX + 10**6)
    with pytest.raises(SourceError, match=r"more than a file of .* bytes can hold"):
        check_promises(path, 10**6, 4096)
