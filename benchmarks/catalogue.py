"""How long `track runs` takes over 2,000 run folders: the first time, and from then on.

python benchmarks/catalogue.py
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import time
from pathlib import Path

import record

from insitrack.tracker.cli import main as main_of_track

KEPT = ("run.json", "series.csv", "frames.csv", "kinetics.csv", "events.csv", "summary.csv")


def track(words: list[str]) -> None:
    """Run a command of `track`, and leave what it says aside."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        if main_of_track(words):
            raise RuntimeError(" ".join(words))


def make_lab(lab: Path, n_runs: int) -> None:
    """Copy the tables of one drawn movie into many run folders, a hundred to a night."""
    made = lab.parent / "made"
    words = ["synth", "loops", "--seed", "4", "--frames", "60", "--size", "256", "--out", str(made)]
    track(words)
    link = [
        "link",
        str(made / "truth.csv"),
        "--nm-per-px",
        "0.4",
        "--size",
        "256x256",
        "--out",
        str(made / "run"),
    ]
    track(link)
    for i in range(n_runs):
        folder = lab / f"night{i // 100:02d}" / f"movie{i % 100:02d}"
        folder.mkdir(parents=True)
        for name in KEPT:
            shutil.copyfile(made / "run" / name, folder / name)


def measure(n_runs: int) -> dict[str, object]:
    """Time the catalogue itself, without the start of Python."""
    from insitrack.tracker.many.catalogue import Catalogue

    above = Path(tempfile.mkdtemp())
    lab = above / "lab"
    make_lab(lab, n_runs)
    times: dict[str, float] = {}

    def clock(name: str, what: object) -> None:
        begun = time.perf_counter()
        what()  # type: ignore[operator]
        times[name] = round(time.perf_counter() - begun, 3)

    clock("first_s", lambda: Catalogue(lab))
    clock("again_s", lambda: Catalogue(lab))
    clock("filter_s", lambda: Catalogue(lab).select("n > 0 and frames = 60", sort="-n"))
    clock("all_series_s", lambda: Catalogue(lab).ask("select run, max(n) from series group by run"))
    index_mb = round((lab / ".insitrack_runs.json").stat().st_size / 1e6, 2)
    shutil.rmtree(above)
    return {"runs": n_runs, "index_mb": index_mb, **times}


def main() -> None:
    given = record.options(__doc__).parse_args()
    facts = measure(20 if given.smoke else 2000)
    text = f"""# The catalogue of runs

`track runs` over {facts["runs"]} run folders of 60 frames each; seconds, without the start of Python.

| | s |
|---|---|
| first call: every run is read, the index is written ({facts["index_mb"]} MB) | {facts["first_s"]} |
| later: all folders are looked through, nothing has changed | {facts["again_s"]} |
| later, with a filter and an order | {facts["filter_s"]} |
| later, one question to the series of all runs (CSV, {facts["runs"]} files) | {facts["all_series_s"]} |
"""
    record.keep(__file__, {**facts, "machine": record.machine()}, text, given.results)


if __name__ == "__main__":
    main()
