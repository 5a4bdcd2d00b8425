"""One movie on many workers: the linking process alone, what travels, two workers against one, 64 nodes simulated.

The linking process is timed with a network that answers at once: decoding, overlays, drift, trust, linking,
measuring and writing of a drawn movie with many defects a frame. One worker of one thread and two are run in
turn, and the best of each counts, because other programs use the machine. The simulation moves stretches of
frames through these times: two at every worker, results in order, frames in bounds.

    python benchmarks/cluster.py
"""

from __future__ import annotations

import heapq
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import record

from insitrack.io.detections import Detections
from insitrack.io.sources import open_source
from insitrack.io.synth.files import write_synth
from insitrack.io.synth.source import SynthSource
from insitrack.tracker.hardening.materials import LINE_CLASSES
from insitrack.tracker.many.far_network import _plain, packed
from insitrack.tracker.many.stretches import _AT_ONCE, _MOST_FLYING, LENGTH

NODES, CORES = (1, 2, 4, 8, 15, 32, 64), 16
FRAMES = 10_000_000
GIGABIT = 125e6


class AtOnce:
    """A network that knows the answer: the truth of the drawn movie, in turn."""

    def __init__(self, found: list[Any], local: Any) -> None:
        self._found, self._local, self.class_names = found, local, found[0].class_names

    def stream(self, items: Iterable[Any]) -> Iterator[Any]:
        """Give what was drawn, in turn."""
        for frame, _, tag in items:
            if frame is None:
                yield None, tag
            else:
                yield (
                    replace(
                        self._found[frame.index % len(self._found)], frame_index=frame.index, t_s=frame.t_s
                    ),
                    tag,
                )

    def describe(self) -> dict[str, Any]:
        """Facts of the network in whose place it stands."""
        return dict(self._local.describe())

    def for_live(self) -> None:
        """Do nothing."""


def _without_lines(found: Detections) -> Detections:
    """Give detections of a network that knows no lines, as the shipped one for loops: with lines, every mask is traced."""
    kept = found.take(np.flatnonzero([name not in LINE_CLASSES for name in found.names()]))
    names = tuple(name for name in found.class_names if name not in LINE_CLASSES)
    labels = np.array([names.index(name) + 1 for name in kept.names()], np.int64)
    return replace(kept, labels=labels, class_names=names)


def linking(folder: Path, side: int, n_frames: int) -> dict[str, Any]:
    """Time the whole job with a network that answers at once."""
    import insitrack

    scene = f"synth:loops?seed=4&size={side}&frames={n_frames}&n=560&overlay=0"
    drawn = SynthSource(scene)
    found = [_without_lines(drawn.truth(i)) for i in range(min(n_frames, 40))]
    movie = folder / f"drawn_{side}"
    write_synth(scene, movie, lossless=False)
    begun: list[tuple[float, float, float]] = []
    ended: list[tuple[float, float, float]] = []

    def clock(tally: Any, _: int | None) -> None:
        # called by the thread that measures, links and writes; the others decode and find the drift
        (ended if begun else begun).append((time.perf_counter(), time.thread_time(), time.process_time()))

    insitrack.track(
        movie / "movie.mp4",
        folder / f"run_{side}",
        overwrite=True,
        video=False,
        progress=clock,
        spread=lambda local, config, model: AtOnce(found, local),
    )
    frames = list(open_source(str(movie / "movie.mp4")))[:LENGTH]
    sent = sum(one["image"].nbytes for one in packed([(frame, None, None) for frame in frames])["frames"])
    back = sum(
        sum(part.nbytes for part in (*one["masks"].values(), *one.values()) if isinstance(part, np.ndarray))
        for one in map(_plain, found[:LENGTH])
    )
    n = len(ended)
    clock_s, linking_s, all_s = (last - first for first, last in zip(begun[0], ended[-1], strict=True))
    return {
        "side_px": side,
        "defects": round(float(np.mean([len(one) for one in found]))),
        "frames_per_s": round(n / clock_s, 1),
        "linking_thread_ms": round(1e3 * linking_s / n, 2),
        "other_threads_ms": round(1e3 * (all_s - linking_s) / n, 2),
        "frames_per_s_of_free_cores": round(n / max(linking_s, all_s - linking_s), 1),
        "bytes_sent": sent // len(frames),
        "bytes_back": back // LENGTH,
    }


def against_two(
    folder: Path, side: int, n_frames: int, repeats: int, workers: tuple[int, int] = (1, 2)
) -> dict[str, Any]:
    """Run one worker of one thread and two in turn; the best rate of each."""
    best = dict.fromkeys(workers, 0.0)
    tables = {}
    for _ in range(repeats):
        for n in best:  # with more workers than cores the ratio says nothing
            out = folder / f"workers_{n}"
            words = [
                f"synth:loops?seed=4&size={side}&frames={n_frames}",
                "--workers",
                str(n),
                "--out",
                str(out),
            ]
            words += ["--overwrite", "--no-video", "--set", "segment.threads=1"]
            subprocess.run(
                [sys.executable, "-m", "insitrack.tracker.cli", *words], check=True, capture_output=True
            )
            facts = json.loads((out / "run.json").read_text(encoding="utf-8"))
            best[n] = max(best[n], facts["results"]["frames_per_s"])
            tables[n] = (out / "tracks.csv").read_bytes()
    return {
        "one": best[workers[0]],
        "two": best[workers[1]],
        "ratio": round(best[workers[1]] / best[workers[0]], 2),
        "same_bytes": tables[workers[0]] == tables[workers[1]],
    }


def simulate(
    n_workers: int, net_s: float, link_s: float, bytes_a_frame: float, n_stretches: int = 20_000
) -> float:
    """Return the frames per second of so many workers and one linking process, stretch by stretch.

    Parameters
    ----------
    n_workers : int
        Workers of one core.
    net_s, link_s : float
        Time of a frame in the network and in the linking process, s.
    bytes_a_frame : float
        What travels, over a line of 10 gigabit a second.
    """
    rng = np.random.default_rng(1)
    line_s, most = LENGTH * bytes_a_frame / (10 * GIGABIT), _MOST_FLYING * n_workers
    free = [(0.0, i % n_workers) for i in range(_AT_ONCE * n_workers)]
    heapq.heapify(free)
    works_until, line_until, linked = np.zeros(n_workers), 0.0, 0.0
    flying: deque[float] = deque()
    for spread in rng.normal(1.0, 0.1, n_stretches):
        at, worker = heapq.heappop(free)
        if len(flying) >= most:
            linked = max(linked, flying.popleft()) + LENGTH * link_s
            at = max(at, linked)
        line_until = max(line_until, at) + line_s
        works_until[worker] = max(works_until[worker], line_until) + LENGTH * net_s * max(0.5, spread)
        heapq.heappush(free, (works_until[worker], worker))
        flying.append(works_until[worker])
    for done in flying:
        linked = max(linked, done) + LENGTH * link_s
    return LENGTH * n_stretches / linked


def page(facts: dict[str, Any]) -> str:
    """Write the figures for people."""
    two = facts["two_workers"]
    lines = ["# One movie on many machines", "", facts["machine"], "", "## The linking process alone", ""]
    lines += record.table(
        [
            "frame",
            "defects",
            "frames/s here",
            "processor time of the thread that links, ms",
            "of the others, ms",
            "frames/s on free cores",
            "sent, kB a frame",
            "back, kB a frame",
        ],
        [
            [
                f"{one['side_px']} px",
                one["defects"],
                one["frames_per_s"],
                one["linking_thread_ms"],
                one["other_threads_ms"],
                one["frames_per_s_of_free_cores"],
                one["bytes_sent"] // 1000,
                one["bytes_back"] // 1000,
            ]
            for one in facts["linking"]
        ],
    )
    lines += ["", "## One worker of one thread against two, on this machine", ""]
    same = "the same bytes" if two["same_bytes"] else "OTHER BYTES"
    lines += [
        f"{two['one']} and {two['two']} frames/s, {two['ratio']} times, {same}. Two cores, shared with other jobs."
    ]
    lines += ["", f"## By simulation, nodes of {CORES} cores, 10 gigabit", ""]
    lines += record.table(
        [
            "nodes",
            *(f"{one['side_px']} px, frames/s" for one in facts["linking"]),
            "10^7 frames of the last, h",
        ],
        [[row["nodes"], *row["frames_per_s"], row["hours"]] for row in facts["simulated"]],
    )
    lines += [
        "",
        f"A frame takes {facts['net_s']} s of one core in the network (one worker, measured above, scaled by area).",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = record.options(__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    sides, n = ((96,), 8) if given.smoke else ((512, 1024), 200)
    facts: dict[str, Any] = {
        "machine": f"{record.machine()}, load {os.getloadavg()[0]:.1f} by other programs",
        "linking": [linking(folder, side, n) for side in sides],
    }
    side = 96 if given.smoke else 512
    # the tests compare the tables of two workers; here one is enough to see that it runs
    size = (8, 1, (1, 1)) if given.smoke else (240, given.repeats)
    facts["two_workers"] = two = against_two(folder, side, *size)
    facts["net_s"] = [round((one["side_px"] / side) ** 2 / two["one"], 4) for one in facts["linking"]]
    facts["simulated"] = []
    for nodes in NODES[:2] if given.smoke else NODES:
        rates = [
            simulate(
                nodes * CORES,
                net_s,
                1 / one["frames_per_s_of_free_cores"],
                one["bytes_sent"] + one["bytes_back"],
            )
            for one, net_s in zip(facts["linking"], facts["net_s"], strict=True)
        ]
        row = {
            "nodes": nodes,
            "frames_per_s": [round(rate, 1) for rate in rates],
            "hours": round(FRAMES / rates[-1] / 3600, 1),
        }
        facts["simulated"].append(row)
    record.keep(__file__, facts, page(facts), given.results)


if __name__ == "__main__":
    main()
