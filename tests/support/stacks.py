"""A small stack, and what came out of a source, for tests of files."""

import numpy as np
import tifffile

from insitrack.io.frames import Frame

STACK = np.random.default_rng(11).integers(0, 65535, (5, 6, 9)).astype(np.uint16)


def images(source):
    return [item.image for item in source if isinstance(item, Frame)]


def status(source):
    return ["ok" if isinstance(item, Frame) else item.status for item in source]


def same(source, expected):
    got = images(source)
    return len(got) == len(expected) and all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))


def write_pages(path):
    with tifffile.TiffWriter(path) as tif:
        for page in STACK:
            tif.write(page, photometric="minisblack", contiguous=False, metadata=None)
