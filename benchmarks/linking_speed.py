"""Time and memory of the linker alone.

50, 500 and 10,000 defects in a frame, and a long run. ``python benchmarks/linking_speed.py [--long FRAMES]``.

Detections are made beforehand; registration of the image is timed in benchmarks/drift.py. Writes
linking_speed.json and .md.
"""

from __future__ import annotations

import os
import resource
import time

import numpy as np
import record

from insitrack.io.detections import Detections
from insitrack.io.results import Measures
from insitrack.io.tables.detection_table import ellipses
from insitrack.tracker.link.linker import Linker


def frames(n: int, count: int, seed: int = 0) -> list[tuple[Detections, Measures]]:
    """Defects at rest with noise and 10 % missed; 5 % false."""
    rng = np.random.default_rng(seed)
    side = int(30 * np.sqrt(n))
    places, size = rng.uniform(20, side - 20, (n, 2)), rng.uniform(8, 16, n)
    label = rng.integers(1, 3, n)
    answer = []
    for t in range(count):
        seen = rng.random(n) > 0.1
        xy = np.concatenate(
            [
                places[seen] + rng.normal(0, 0.7, (int(seen.sum()), 2)),
                rng.uniform(20, side - 20, (n // 20, 2)),
            ]
        )
        d = np.concatenate([size[seen], rng.uniform(8, 16, n // 20)])
        boxes = np.concatenate([xy - d[:, None] / 2, xy + d[:, None] / 2], axis=1)
        labels, scores = (
            np.concatenate([label[seen], np.ones(n // 20, int)]),
            np.full(len(d), 0.8, np.float32),
        )
        found = Detections(
            t, 0.25 * t, (side, side), boxes.astype(np.float32), labels, scores, ellipses(boxes)
        )
        area = np.pi / 4 * d**2
        zero = np.zeros(len(d))
        answer.append(
            (found, Measures(xy[:, 0], xy[:, 1], area, d, d, zero, zero.astype(bool), d * 0.5, area * 0.25))
        )
    return answer


def ms_per_frame(n: int, count: int) -> float:
    """Median time of one update after ten frames of warm-up, ms."""
    linker, times = Linker(), []
    for found, measures in frames(n, count):
        start = time.perf_counter()
        linker.update(found, measures, (0.0, 0.0))
        times.append(time.perf_counter() - start)
    return float(1e3 * np.median(times[10:]))


def long_run(n_frames: int) -> dict[str, float]:
    """Feed the same 500 frames of 50 defects again and again, with rising time; compare the ends."""
    from dataclasses import replace

    made, linker = frames(50, 500), Linker()
    chunk = max(1, n_frames // 10)
    seconds, memory, start = [], [], time.process_time()
    for k in range(n_frames):
        found, measures = made[k % 500]
        linker.update(replace(found, frame_index=k, t_s=0.25 * k), measures, (0.0, 0.0))
        if (k + 1) % chunk == 0:
            seconds.append(time.process_time() - start)
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
            start = time.process_time()
    return {
        "frames": n_frames,
        "first_tenth_s": seconds[0],
        "last_tenth_s": seconds[-1],
        "memory_first_mb": memory[0],
        "memory_last_mb": memory[-1],
    }


def main() -> None:
    parser = record.options(__doc__)
    parser.add_argument("--long", type=int, default=20_000)
    given = parser.parse_args()
    sizes = ((50, 100), (500, 60), (10_000, 25))
    if given.smoke:
        given.long, sizes = 40, ((50, 12),)
    facts = {str(n): ms_per_frame(n, count) for n, count in sizes}
    print(facts)
    end = long_run(given.long)
    lines = [
        "# Time and memory of the linker",
        "",
        f"`python benchmarks/linking_speed.py --long {given.long}`, {os.cpu_count()} cores.",
        "",
    ]
    lines += [
        "| defects in a frame | ms a frame |",
        "|---|---|",
        *(f"| {n} | {value:.2f} |" for n, value in facts.items()),
        "",
    ]
    lines.append(
        f"{end['frames']} frames of 50 defects: processor time of the last tenth"
        f" {end['last_tenth_s'] / end['first_tenth_s']:.3f} of the first, peak memory"
        f" {end['memory_first_mb']:.0f} MB after the first tenth, {end['memory_last_mb']:.0f} MB at the end."
    )
    results = {"ms_per_frame": facts, "long_run": end, "cores": os.cpu_count()}
    record.keep(__file__, results, "\n".join(lines), given.results)


if __name__ == "__main__":
    main()
