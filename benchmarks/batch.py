"""A batch of 40 small movies on two worker processes, against `xargs -P 2 track`, and through 20 kills of workers.

The same movies, drawn and written here, run in both ways in turn; with `--repeats` the better time of each counts,
because other programs use the machine. Processor time, of all processes together, is that of no other program. What
a movie costs a worker beyond its own run is taken from the times that the scheduler notes. Then the batch runs once
more while its workers are killed, one after another in the middle of their movies, and every table of every movie is
compared with those of the undisturbed batch.

    python benchmarks/batch.py
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import record
from distributed import get_task_stream

from insitrack.io.synth.files import write_synth
from insitrack.io.tables.columns import TABLES
from insitrack.tracker.many.batch import Batch
from insitrack.tracker.many.cluster import ClusterChoice, connected
from insitrack.tracker.many.movies import Movie
from insitrack.tracker.many.status import MovieStatus
from insitrack.tracker.run.config import load_config

TRACK = [sys.executable, "-m", "insitrack.tracker.cli"]
OPTIONS = ["--nm-per-px", "0.4", "--no-video"]
COMPARED = (*TABLES, "kinetics.csv", "masks.parquet")


def draw(folder: Path, n_movies: int, n_frames: int) -> list[Path]:
    """Draw the movies."""
    movies = []
    for seed in range(n_movies):
        made = folder / f"{seed:02d}"
        write_synth(f"synth:loops?seed={seed}&size=256&frames={n_frames}", made, lossless=False)
        movies.append((made / "movie.mp4").rename(folder / f"m{seed:02d}.mp4"))
        shutil.rmtree(made)
    return movies


def spent_s() -> tuple[float, float]:
    """Time now, and processor time of the programs that were started here and have ended, s."""
    below = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter(), below.ru_utime + below.ru_stime


def _since(begun: tuple[float, float]) -> tuple[float, float]:
    now = spent_s()
    return now[0] - begun[0], now[1] - begun[1]


def by_batch(movies: list[Path], out: Path) -> tuple[float, float]:
    """Run the batch as a user does; return its time and its processor time, s."""
    shutil.rmtree(out, ignore_errors=True)
    begun = spent_s()
    words = ["batch", str(movies[0].parent), "--out", str(out), "--workers", "2", "--view", "none", *OPTIONS]
    done = subprocess.run([*TRACK, *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"track batch failed:\n{done.stderr[-2000:]}")
    return _since(begun)


def by_xargs(movies: list[Path], out: Path) -> tuple[float, float]:
    """Run the movies by `xargs -P 2 track`; return the time and the processor time, s."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    begun = spent_s()
    one = " ".join([*TRACK, "$0", "--out", f"{out}/$(basename $0 .mp4)", *OPTIONS])
    lines = "".join(f"{movie}\n" for movie in movies)
    subprocess.run(
        ["xargs", "-P", "2", "-n", "1", "sh", "-c", one],
        input=lines,
        text=True,
        check=True,
        capture_output=True,
    )
    return _since(begun)


def overhead_s(movies: list[Path], out: Path) -> float:
    """Return what a movie costs a worker beyond its own run, s: giving out, taking back, keeping account."""
    states = _states(movies, out)
    with connected(ClusterChoice(workers=2), 2) as client:
        client.wait_for_workers(2)
        with get_task_stream(client) as noted:
            begun = time.perf_counter()
            Batch(client, states, out, threading.Event()).run()
            wall_s = time.perf_counter() - begun
    runs = [part for task in noted.data for part in task["startstops"] if part["action"] == "compute"]
    ran_s = sum(part["stop"] - part["start"] for part in runs)
    ends: dict[str, float] = {}
    for task in noted.data:
        ends[task["worker"]] = max(
            ends.get(task["worker"], 0.0), *(part["stop"] for part in task["startstops"])
        )
    tail_s = sum(max(ends.values()) - end for end in ends.values())  # one worker ends after the other
    return (2 * wall_s - ran_s - tail_s) / len(movies)


def _states(movies: list[Path], out: Path) -> list[MovieStatus]:
    """Ask for every movie as the command does."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    settings = load_config(assignments=["source.nm_per_px=0.4", "output.video=false"])
    return [MovieStatus(Movie(movie.stem, str(movie), out / movie.stem, settings)) for movie in movies]


def through_kills(movies: list[Path], out: Path, n_kills: int) -> dict[str, Any]:
    """Run the batch while its workers are killed."""
    states = _states(movies, out)
    n_killed, dice = 0, random.Random(1)
    with connected(ClusterChoice(workers=2), 2) as client:
        thread = threading.Thread(target=Batch(client, states, out, threading.Event()).run)
        thread.start()
        while thread.is_alive():
            time.sleep(dice.uniform(0.5, 2.5))
            # what has got on since the last time, so that every kill comes in the middle of a movie
            running = [one.worker for one in states if one.status == "running" and one.frames > one.died_at]
            if n_killed < n_kills and running:
                try:
                    process = client.run(os.getpid, workers=[dice.choice(running)], on_error="ignore")
                    for number in process.values():
                        os.kill(number, signal.SIGKILL)
                        n_killed += 1
                except (OSError, ValueError, KeyError):
                    continue
        thread.join()
    return {
        "kills": n_killed,
        "done": sum(one.status == "done" for one in states),
        "starts": sum(one.starts for one in states),
    }


def differing(movies: list[Path], one: Path, other: Path) -> list[str]:
    """Tables that are not the same byte for byte."""
    names = [f"{movie.stem}/{name}" for movie in movies for name in COMPARED]
    return [name for name in names if (one / name).read_bytes() != (other / name).read_bytes()]


def times(movies: list[Path], above: Path, repeats: int) -> dict[str, Any]:
    """Time the batch against `xargs`, and compare their tables."""
    pairs = [(by_batch(movies, above / "batch"), by_xargs(movies, above / "xargs")) for _ in range(repeats)]
    (batch_s, batch_cpu_s), (xargs_s, xargs_cpu_s) = (min(both) for both in zip(*pairs, strict=True))
    return {
        "batch_s": round(batch_s, 1),
        "xargs_s": round(xargs_s, 1),
        "ratio": round(batch_s / xargs_s, 2),
        "batch_processor_s": round(batch_cpu_s, 1),
        "xargs_processor_s": round(xargs_cpu_s, 1),
        "processor_ratio": round(batch_cpu_s / xargs_cpu_s, 2),
        "overhead_s": round(overhead_s(movies[:10], above / "timed"), 2),
        "differ": differing(movies, above / "batch", above / "xargs"),
    }


def kills(movies: list[Path], above: Path, n_kills: int) -> dict[str, Any]:
    """Kill workers of a batch, and compare its tables with those of one that nobody disturbed."""
    if not all((above / "batch" / movie.stem / "report.html").is_file() for movie in movies):
        by_batch(movies, above / "batch")
    facts = through_kills(movies, above / "killed", n_kills)
    whole = [movie for movie in movies if (above / "killed" / movie.stem / "report.html").is_file()]
    return {**facts, "differ": differing(whole, above / "batch", above / "killed")}


def page(results: dict[str, Any]) -> str:
    """Write the figures for people."""
    lines = ["# Many movies", "", "`python benchmarks/batch.py`; movies of 256 px, two worker processes."]
    of = "{machine}, load {load} by other programs; {movies} movies of {frames} frames"
    if facts := results.get("times"):
        lines += [
            "",
            "## Against xargs",
            "",
            f"{of.format(**facts)}; the better of {facts['repeats']} counts.",
            "",
        ]
        rows = [
            [
                "`track batch`, with the start of the workers and the comparison",
                facts["batch_s"],
                facts["batch_processor_s"],
            ],
            ["`xargs -P 2 track`", facts["xargs_s"], facts["xargs_processor_s"]],
            ["ratio", facts["ratio"], facts["processor_ratio"]],
            ["what a movie costs a worker beyond its own run", facts["overhead_s"], ""],
            [f"tables that differ, of {facts['movies'] * len(COMPARED)}", len(facts["differ"]), ""],
        ]
        lines += record.table(["", "s", "processor time of all processes, s"], rows)
    if facts := results.get("kills"):
        lines += ["", "## Through kills", "", f"{of.format(**facts)}.", ""]
        rows = [[name, facts[name]] for name in ("kills", "starts", "done")]
        rows += [
            [
                f"tables that differ from those of the undisturbed batch, of {facts['done'] * len(COMPARED)}",
                len(facts["differ"]),
            ]
        ]
        lines += record.table(["", ""], rows)
    return "\n".join(lines)


def main() -> None:
    parser = record.options(__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=("times", "kills", []), help="what to run (default: both)"
    )
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--movies", type=int, default=40)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--kills", type=int, default=20)
    given = parser.parse_args()
    if given.smoke:
        given.movies, given.frames, given.kills = 2, 6, 1
    results = record.earlier(__file__, given.results)
    with tempfile.TemporaryDirectory() as made:
        above = Path(made)
        (above / "movies").mkdir()
        movies = draw(above / "movies", given.movies, given.frames)
        of = {"machine": record.machine(), "load": f"{os.getloadavg()[0]:.1f}", "movies": given.movies}
        of |= {"frames": given.frames, "repeats": given.repeats}
        if not given.parts or "times" in given.parts:
            results["times"] = {**of, **times(movies, above, given.repeats)}
        if not given.parts or "kills" in given.parts:
            results["kills"] = {**of, **kills(movies, above, given.kills)}
    record.keep(__file__, results, page(results), given.results)


if __name__ == "__main__":
    main()
