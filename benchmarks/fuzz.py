"""Damaged movies, TIFFs, pictures and microscope files through the readers.

One clear line or frames, never a crash, a hang or a full memory.

    python benchmarks/fuzz.py [--files 2000] [--vendor FOLDER] [--seed 0]
    python benchmarks/fuzz.py labels [--files 2000]          so many of each form of labels
    python benchmarks/fuzz.py tables [--files 2000]          so many of each form of tables
    python benchmarks/fuzz.py state [--files 2000]           so many states of runs that were cut off
    python benchmarks/fuzz.py settings [--files 2000]        so many tables of settings that changed
    python benchmarks/fuzz.py http [--files 2000]            so many requests to the page of a live run

Sound files are made here (and taken from a folder of microscope files, if one is given), then damaged: bytes
changed, pieces cut out, doubled or cut off. Each is opened and read to its end in a child process that is
watched.
"""

from __future__ import annotations

import importlib
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import record
import tifffile

from insitrack.io.draw.movie_writer import MovieWriter
from insitrack.tests.support.microscope_files import EMI, signal, write_ser

ENDS = {".tvips": "_000", ".ser": "_1"}  # what these names must end with
MEASURES = (
    "io/sources.py",
    "io/files",
    "io/tables",
    "io/exchange",
    "io/pages",
    "io/live/page",
    "segment/labels",
    "tracker/run/state.py",
    "tracker/run/meters.py",
    "tracker/series",
    "tracker/analysis",
)
FORMS = ("labels", "tables", "state", "settings", "http")
BATCH, LIMIT_S = 250, 20.0
_WORKER = f"import sys; sys.path[0] = {str(Path(__file__).parent)!r}; import fuzz_worker; fuzz_worker.main(sys.argv[1], sys.argv[2:])"


def sound_files(folder: Path, vendor: Path | None) -> list[Path]:
    """Files that can be read."""
    random = np.random.default_rng(0)
    pictures = random.integers(0, 255, (8, 48, 64)).astype(np.uint8)
    for name, codec in (("a.mp4", "h264"), ("b.mkv", "ffv1"), ("c.mkv", "h264"), ("d.mov", "h264")):
        with MovieWriter(folder / name, codec=codec) as movie:  # type: ignore[arg-type]
            for i, picture in enumerate(pictures):
                movie.write(picture, i / 10)
    writer = cv2.VideoWriter(str(folder / "e.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48), False)
    for picture in pictures:
        writer.write(picture)
    writer.release()
    deep = pictures.astype(np.uint16) * 200
    tifffile.imwrite(
        folder / "f.tif",
        pictures,
        imagej=True,
        resolution=(2.5, 2.5),
        metadata={"unit": "nm", "finterval": 0.5},
    )
    tifffile.imwrite(folder / "g.tif", deep, compression="zlib", photometric="minisblack")
    tifffile.imwrite(
        folder / "h.ome.tif",
        pictures,
        metadata={"axes": "TYX", "PhysicalSizeX": 0.4, "PhysicalSizeXUnit": "nm"},
    )
    tifffile.imwrite(folder / "i.tif", deep.astype(np.float32), photometric="minisblack")
    cv2.imwrite(str(folder / "j.png"), pictures[0])
    cv2.imwrite(str(folder / "k.jpg"), pictures[0])
    cv2.imwrite(str(folder / "l.bmp"), pictures[0])
    write_ser(folder / "m_1.ser", deep)
    (folder / "m.emi").write_text(EMI.format(mode="TEM uP SA Zoom Image"))
    for suffix in ("hspy", "emd", "tvips"):
        importlib.import_module(f"rsciio.{suffix}").file_writer(
            str(folder / f"n_000.{suffix}"), signal(deep, step_s=2.0)
        )
    made = [path for path in sorted(folder.iterdir()) if path.is_file()]
    from insitrack.io.files.stacks import VENDOR_SUFFIXES

    found = (
        []
        if vendor is None
        else [
            path
            for path in sorted(vendor.rglob("*"))
            if path.suffix.lower() in VENDOR_SUFFIXES and path.stat().st_size < 5e6
        ]
    )
    return made + found


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    """Damage a file in one of five ways."""
    out = bytearray(data)
    kind, n = int(random.integers(5)), len(out)
    at = int(random.integers(n))
    if kind == 0:
        for place in random.integers(n, size=int(random.integers(1, 40))).tolist():
            out[place] = int(random.integers(256))
    elif kind == 1:
        out = out[:at]
    elif kind == 2:
        del out[at : at + int(random.integers(1, max(2, n // 4)))]
    elif kind == 3:
        out[at:at] = out[at : at + int(random.integers(1, max(2, n // 4)))]
    else:
        head = min(n, 512)  # headers are where sizes stand
        for place in random.integers(head, size=int(random.integers(1, 12))).tolist():
            out[place] = int(random.choice([0, 255, 127, 128, int(random.integers(256))]))
    return bytes(out)


def run(
    paths: list[Path], folder: Path, way: str = "files", at_once: int = BATCH, sound: Sequence[Path] = ()
) -> list[tuple[str, str, float, int]]:
    """Read files one `way` of ``fuzz_worker.py`` in child processes; one that dies or hangs costs its file, and the rest goes on."""
    results: list[tuple[str, str, float, int]] = []
    while paths:
        batch, paths = paths[:at_once], paths[at_once:]
        said_in = folder / "said.txt"
        with said_in.open("w") as said_to:
            worker = subprocess.Popen(
                [sys.executable, "-c", _WORKER, way, *map(str, sound)],
                stdin=subprocess.PIPE,
                stdout=said_to,
                stderr=subprocess.DEVNULL,
                text=True,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (int(6e9), int(6e9))),
            )
            assert worker.stdin is not None
            worker.stdin.write("\n".join(map(str, batch)))
            worker.stdin.close()
            since, length, hung = time.monotonic(), 0, False
            while worker.poll() is None:
                if said_in.stat().st_size != length:
                    since, length = time.monotonic(), said_in.stat().st_size
                if time.monotonic() - since > LIMIT_S + 8:  # the start of the process is not the file's
                    worker.kill()
                    hung = True
                time.sleep(0.02)
        text = said_in.read_text()
        rows = [line.split("\t") for line in text.splitlines() if line]
        results += [(name, said, float(took), int(memory)) for name, said, took, memory in rows]
        if len(rows) < len(batch):  # it died at the file after the last one told
            results.append(
                (
                    str(batch[len(rows)]),
                    "hang" if hung else f"crash {worker.returncode}",
                    LIMIT_S if hung else 0.0,
                    0,
                )
            )
            paths = batch[len(rows) + 1 :] + paths
    return results


def main() -> None:
    """Damage, read, write the page."""
    parser = record.options(__doc__)
    parser.add_argument("what", nargs="?", choices=("files", *FORMS), default="files")
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vendor", type=Path)
    options = parser.parse_args()
    if options.smoke:
        options.files = 30
    if options.what == "http":
        return fuzz_page(options.files, options.seed, options.results)
    if options.what != "files":
        return fuzz_forms(options.what, options.files, options.seed, options.results)
    random = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "sound").mkdir()
        sound = sound_files(folder / "sound", options.vendor)
        paths = []
        for i in range(options.files):
            source = sound[i % len(sound)]
            path = (
                folder
                / f"{i:05d}{ENDS.get(source.suffix, '')}{''.join(source.suffixes[-2:]) if source.name.endswith('.ome.tif') else source.suffix}"
            )
            path.write_bytes(damaged(source.read_bytes(), random))
            if source.suffix == ".emi":
                (folder / f"{i:05d}_1.ser").write_bytes((folder / "sound" / "m_1.ser").read_bytes())
            paths.append(path)
        results = run(paths, folder, sound=sound)
    kinds = Counter("read" if said.startswith("read") else said.split(":")[0] for _, said, _, _ in results)
    bad = [
        (Path(name).suffix, said, took)
        for name, said, took, _ in results
        if not said.startswith(("read", "refused"))
    ]
    facts: dict[str, object] = {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "command": "python benchmarks/fuzz.py --vendor FOLDER",
        "files": len(results),
        "kinds_of_sound_files": len(sound),
        "read_with_frames_marked_damaged_where_they_are": kinds["read"],
        "refused_in_one_line": kinds["refused"],
        "crashes": sum(n for kind, n in kinds.items() if kind.startswith("crash")),
        "tracebacks": sum(n for kind, n in kinds.items() if kind.startswith("traceback")),
        "hangs_over_20_s": kinds["hang"] + sum(took > LIMIT_S for _, _, took, _ in results),
        "slowest_s": max(took for _, _, took, _ in results),
        "peak_memory_gb": round(max(memory for *_, memory in results) / 1024**2, 2),
    }
    write_page(__file__, "Damaged files through the readers", facts, bad, options.results)


def fuzz_forms(what: str, each: int, seed: int, folder: Path) -> None:
    """Damage labels or tables of every form, read them, write the page."""
    import fuzz_labels
    import fuzz_record
    import fuzz_tables

    damage = {
        "labels": fuzz_labels.damaged_labels,
        "tables": fuzz_tables.damaged_tables,
        "state": fuzz_record.damaged_state,
        "settings": fuzz_record.damaged_settings,
    }[what]
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as made:
        paths, forms = damage(Path(made), each, random, damaged)
        results = run(paths, Path(made), what, at_once=400)
    said_of = {name: said for name, said, _, _ in results}
    bad = [
        (form, said_of.get(str(path), "nothing said"), 0.0)
        for path, form in zip(paths, forms, strict=True)
        if not said_of.get(str(path), "").startswith(("read", "refused"))
    ]
    kinds = Counter(said.split(" ")[0] for said in said_of.values())
    facts = {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "command": f"python benchmarks/fuzz.py {what} --files {each}",
        f"forms_of_{what}": len(set(forms)),
        "damaged_of_each": each,
        "read": kinds["read"],
        "refused_in_one_line": kinds["refused"],
        "crashes": kinds["crash"],
        "tracebacks": kinds["traceback"],
        "wrong": kinds["wrong:"],
        "hangs_over_20_s": kinds["hang"] + sum(took > LIMIT_S for _, _, took, _ in results),
        "slowest_s": max(took for _, _, took, _ in results),
        "peak_memory_gb": round(max(memory for *_, memory in results) / 1024**2, 2),
    }
    write_page(f"fuzz_{what}.py", f"Damaged {what} through the readers", facts, bad, folder)


def fuzz_page(n: int, seed: int, folder: Path) -> None:
    """Ask the page of a live run damaged things, and write what came of it."""
    import fuzz_http

    facts, bad = fuzz_http.fuzz_http(n, np.random.default_rng(seed), damaged)
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    facts = {"machine": machine, "command": f"python benchmarks/fuzz.py http --files {n}", **facts}
    write_page("fuzz_http.py", "Damaged requests to the page of a live run", facts, bad, folder)


def write_page(
    script: str, title: str, facts: dict[str, object], bad: list[tuple[str, str, float]], folder: Path
) -> None:
    """Write the facts as JSON and as a page."""
    lines = [f"# {title}", "", f"`{facts['command']}`", "", "| | |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {value} |" for name, value in facts.items()] + [""]
    if Path(script).stem == "fuzz":
        lines += [f"The same for {', '.join(f'[{name}](fuzz_{name}.md)' for name in FORMS)}.", ""]
    record.keep(script, {**facts, "bad": bad[:40]}, "\n".join(lines), folder)
    print(*bad[:40], sep="\n")


if __name__ == "__main__":
    main()
