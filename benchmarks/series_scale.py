"""`track series` on a run of 100,000 frames and ten million rows.

Time against a plain pandas read of the same file, memory.

    python benchmarks/series_scale.py [--frames 100000] [--folder DIR]

The table is made first (about 1.6 GB): a hundred defects in every frame, each alive for 2,000 frames on
average.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import record

from insitrack.io.tables.columns import FRAMES, TRACKS

MEASURES = ("tracker/analysis", "tracker/series", "io/tables")

PER_FRAME, LIFE, STEP, SIDE = 100, 2000, 500, 1024
CLASSES = np.array(["black_dot", "loop_111", "loop_100", "loop"], object)


def make(folder: Path, n_frames: int) -> None:
    """Write ``tracks.csv``, ``frames.csv`` and ``run.json`` of a long run."""
    random = np.random.default_rng(0)
    ids, following = np.arange(1, PER_FRAME + 1), PER_FRAME + 1
    place, size = random.uniform(0, SIDE, (PER_FRAME, 2)), random.lognormal(np.log(20), 0.4, PER_FRAME)
    label = random.integers(0, 4, PER_FRAME)
    with (folder / TRACKS.file).open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(TRACKS.header())
        for start in range(0, n_frames, STEP):
            stream.write(TRACKS.format(_rows(random, start, ids, place, size, label)))
            gone = random.random(PER_FRAME) < STEP / LIFE
            ids[gone] = np.arange(following, following + gone.sum())
            following += int(gone.sum())
            place[gone], size[gone] = (
                random.uniform(0, SIDE, (gone.sum(), 2)),
                random.lognormal(np.log(20), 0.4, gone.sum()),
            )
            label[gone] = random.integers(0, 4, gone.sum())
    frame = np.arange(n_frames)
    known = {
        "frame": frame,
        "t_s": frame * 0.1,
        "status": ["processed"] * n_frames,
        "n_detections": np.full(n_frames, float(PER_FRAME)),
        "distrust": [""] * n_frames,
    }
    rest = {
        "shift_x_px": 0.0,
        "shift_y_px": 0.0,
        "drift_quality": 0.9,
        "field_px": SIDE**2,
        "width_px": SIDE,
        "height_px": SIDE,
        "view": 1,
        "nm_per_px": 0.5,
        "trust": 1.0,
    }
    text = FRAMES.format({**known, **{name: np.full(n_frames, float(value)) for name, value in rest.items()}})
    (folder / FRAMES.file).write_text(FRAMES.header() + text, encoding="utf-8")
    calibration = {
        "nm_per_px": 0.5,
        "nm_per_px_sd": 0.0,
        "thickness_nm": 100.0,
        "thickness_sd_nm": 10.0,
        "origin": "made",
    }
    (folder / "run.json").write_text(
        json.dumps({"settings": {}, "calibration": calibration, "model": {"classes": CLASSES.tolist()}})
    )


def _rows(
    random: np.random.Generator,
    start: int,
    ids: np.ndarray,
    place: np.ndarray,
    size: np.ndarray,
    label: np.ndarray,
) -> dict[str, object]:
    k = STEP * PER_FRAME
    x, y = (np.tile(place[:, i], STEP) + random.normal(0, 0.3, k) for i in (0, 1))
    d = np.tile(size, STEP) * (1 + random.normal(0, 0.03, k))
    frame, names = np.repeat(np.arange(start, start + STEP), PER_FRAME), np.tile(ids, STEP)
    low, high = (x - d / 2, y - d / 2), (x + d / 2, y + d / 2)
    edge = (low[0] < 0) | (low[1] < 0) | (high[0] > SIDE) | (high[1] > SIDE)
    columns = {
        "frame": frame,
        "t_s": frame * 0.1,
        "track_id": names,
        "causal_id": names,
        "defect_class": CLASSES[np.tile(label, STEP)],
    }
    columns |= {
        "score": np.full(k, 0.8),
        "probability": np.full(k, 0.9),
        "x_px": x,
        "y_px": y,
        "x1_px": low[0],
        "y1_px": low[1],
        "x2_px": high[0],
        "y2_px": high[1],
    }
    columns |= {
        "area_px": np.pi / 4 * d * d,
        "major_px": d,
        "minor_px": d,
        "angle_deg": np.zeros(k),
        "size_nm": d / 2,
        "area_nm2": d * d * 0.2,
    }
    columns |= {
        "on_edge": edge.astype(int),
        "on_exclusion_edge": ((low[0] < 0) | (high[1] > SIDE)).astype(int),
        "observed": np.ones(k, int),
    }
    columns |= {"feret_px": d, "r_min_px": d * 0.49, "r_max_px": d * 0.51, "heywood": np.full(k, 1.03)}
    return columns | dict.fromkeys(("line_length_nm", "x_sd_px", "y_sd_px", "size_sd_nm"), np.full(k, np.nan))


def main() -> None:
    """Make the run, work it out, write the page."""
    parser = record.options(__doc__)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.smoke:
        options.frames = STEP
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or Path(made)
        if not (folder / TRACKS.file).is_file():
            make(folder, options.frames)
        start = time.perf_counter()
        code = f"import pandas; print(len(pandas.read_csv({str(folder / TRACKS.file)!r})))"
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        plain = time.perf_counter() - start
        start = time.perf_counter()
        command = [
            "-m",
            "insitrack.tracker.cli",
            "series",
            str(folder),
            "--material",
            "fecral",
            "--dose-rate",
            "1e-4",
            "--out",
            f"{made}/out",
        ]
        worker = subprocess.Popen([sys.executable, *command])
        _, status, usage = os.wait4(worker.pid, 0)
        took = time.perf_counter() - start
        assert status == 0
        size = (folder / TRACKS.file).stat().st_size
    facts = {
        "machine": record.machine(),
        "command": "python benchmarks/series_scale.py",
        "frames": options.frames,
        "rows": options.frames * PER_FRAME,
        "tracks_csv_gb": round(size / 1e9, 2),
        "series_s": round(took, 1),
        "peak_memory_gb": round(usage.ru_maxrss / 1024**2, 2),
        "pandas_read_csv_s": round(plain, 1),
        "ratio_to_pandas_read_csv": round(took / plain, 2),
    }
    lines = [
        "# `track series` at scale",
        "",
        (
            "`python benchmarks/series_scale.py`: everything that `track series` does, with `tracks.parquet`"
            " written too."
        ),
        "",
    ]
    lines += [
        "| | |",
        "|---|---|",
        *(f"| {name.replace('_', ' ')} | {value} |" for name, value in facts.items()),
        "",
    ]
    record.keep(__file__, facts, "\n".join(lines), options.results)


if __name__ == "__main__":
    main()
