"""Files of microscopes: time to open, frames per second and memory.

Each format is read once as a short file and once as a file four times as long.

``python -P benchmarks/files.py`` (-P: no benchmark hides a library of its name) writes files.json and
files.md beside this file. The files are made here, 512 x 512 px of 16 bits; each is read in a process of its
own, by `insitrack.io.files.stacks` and, where it can, by RosettaSciIO lazily. Memory is the most that the
process held for itself (RssAnon) after any of the images: mapped pages, which the system can drop, do not
count.
"""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from insitrack.io.files.stacks import StackSource
from insitrack.tests.support.microscope_files import signal, write_ser

HERE = Path(__file__)
sys.path.append(str(HERE.parent))  # last: no benchmark hides a library of its name
SMALL = {"SHORT": 2, "LONG": 4, "READ": 2, "SIDE": 64, "FORMATS": ("tif", "tvips", "hspy")}
SIDE = 512
SHORT, LONG, READ = 300, 1200, 12
FORMATS = ("tif", "mrc", "tvips", "ser", "hspy", "zspy", "emd")
PLUGINS = {"tvips": "tvips", "ser": "tia", "hspy": "hspy", "zspy": "zspy", "emd": "emd", "mrc": "mrc"}


def make(path: Path, kind: str, n: int) -> None:
    """Write a file of noise."""
    pictures = np.random.default_rng(0).integers(0, 4000, (n, SIDE, SIDE)).astype(np.uint16)
    if kind == "tif":
        tifffile.imwrite(path, pictures, photometric="minisblack")
    elif kind == "mrc":
        head = np.zeros(256, "<i4")
        head[:10] = (SIDE, SIDE, n, 6, 0, 0, 0, SIDE, SIDE, n)
        head.view("<f4")[10:13] = (SIDE * 3.7, SIDE * 3.7, n)  # angstrom
        head[16:19] = (1, 2, 3)
        head.view("S4")[52:54] = (b"MAP ", b"\x44\x44")
        path.write_bytes(head.tobytes() + pictures.tobytes())
    elif kind == "ser":
        write_ser(path, pictures)
    else:
        importlib.import_module(f"rsciio.{PLUGINS[kind]}").file_writer(str(path), signal(pictures))


def taken_mb() -> float:
    """Memory of this process that is not of files, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def measure(path: str, kind: str, reader: str) -> dict[str, float]:
    """Open a file and read images spread over it in order."""
    before, start = taken_mb(), time.perf_counter()
    if reader == "insitrack":
        source = StackSource(path)
        n, read = source.n_frames, source._read
    else:
        module = importlib.import_module(f"rsciio.{PLUGINS[kind]}")
        data = module.file_reader(path, lazy=True)[0]["data"]
        n, read = len(data), lambda index: np.asarray(data[index])
    opened, most = time.perf_counter() - start, taken_mb()
    assert n is not None
    start = time.perf_counter()
    for index in range(min(READ, n)):
        read(index)
        most = max(most, taken_mb())
    return {
        "open_s": round(opened, 2),
        "pictures_per_s": round(READ / (time.perf_counter() - start), 1),
        "memory_mb": round(most - before),
    }


def main() -> None:
    import record

    given = record.options(__doc__).parse_args()
    if given.smoke:
        globals().update(SMALL)
    rows: list[dict[str, Any]] = []
    for kind in FORMATS:
        for n in (SHORT, LONG):
            folder = Path(tempfile.mkdtemp())
            path = folder / ("made_000.tvips" if kind == "tvips" else f"made_1.{kind}")
            make(path, kind, n)
            for reader in ("insitrack", "RosettaSciIO"):
                if reader == "insitrack" or kind in PLUGINS:
                    command = [sys.executable, "-P", str(HERE), "--measure", str(path), kind, reader]
                    done = subprocess.run(command, capture_output=True, text=True, check=True)
                    rows.append(
                        {
                            "format": kind,
                            "pictures": n,
                            "reader": reader,
                            **json.loads(done.stdout.splitlines()[-1]),
                        }
                    )
                    print(rows[-1], flush=True)
            shutil.rmtree(folder)
    lines = [
        "# Files of microscopes",
        "",
        (
            "`python -P benchmarks/files.py`: 512 x 512 px, 16 bits, made by RosettaSciIO where it can write"
            " them."
        ),
        "",
    ]
    lines += [
        "| format | pictures | reader | opens in s | pictures a second | memory in MB |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            "| "
            + " | ".join(
                str(row[name])
                for name in ("format", "pictures", "reader", "open_s", "pictures_per_s", "memory_mb")
            )
            + " |"
        )
    lines += ["", f"Machine: {record.machine()}."]
    record.keep(__file__, rows, "\n".join(lines), given.results)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(*sys.argv[2:5])))
    else:
        main()
