"""A review of 500 frames with 200 defects each, in a real browser: times, and 40 edits that are all taken back.

    python benchmarks/review.py [--frames 500] [--defects 200] [--size 1024] [--edits 40]

The movie is drawn with discs that move, and a stand-in for the network gives their outlines; everything else is
the tool. Times are those of the page: to the first picture, of a step of the slider onto a frame that was decoded
ahead, and from an edit to new outlines, lists and curves. Needs Chromium. Writes benchmarks/review.json and
benchmarks/review.md.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import record

import insitrack
from insitrack.io.detections import Detections, Masks
from insitrack.io.draw.movie_writer import MovieWriter
from insitrack.io.frames import Frame
from insitrack.tests.support.browser import BROWSER
from insitrack.tests.support.review_page import KINDS, ReviewPage
from insitrack.tracker.analysis.edit import edit_run
from insitrack.tracker.review.open import reviewing
from insitrack.tracker.run.config import RunConfig

CLASSES = ("black_dot", "loop_111", "loop_100", "dislocation", "precipitate", "void", "loop")


class Discs:
    """Discs that walk about and are missed now and then; in place of a network it tells where they are."""

    class_names = CLASSES

    def __init__(self, n_frames: int, n: int, size: int) -> None:
        random = np.random.default_rng(0)
        side = int(np.ceil(np.sqrt(n)))
        grid = np.stack(np.meshgrid(*[(np.arange(side) + 0.5) * size / side] * 2), axis=-1).reshape(-1, 2)[:n]
        # not a lattice, which fits itself anywhere
        grid = grid + random.uniform(-0.15, 0.15, grid.shape) * size / side
        steps = random.normal(0, 0.12, (n_frames, n, 2))
        self.centres = grid + np.cumsum(steps, axis=0) + random.normal(0, 0.2, (n_frames, n, 2))
        self.radius = random.uniform(0.12, 0.24, n) * size / side
        self.label = random.integers(1, 3, n)
        self.seen = random.random((n_frames, n)) > 0.05
        self.score = np.clip(random.normal(0.85, 0.08, (n_frames, n)), 0.3, 0.99).astype(np.float32)
        self.shape = size, size
        mottle = cv2.GaussianBlur(random.standard_normal(self.shape).astype(np.float32), (0, 0), 5)
        self.mottle = 150 + 10 * mottle / mottle.std()

    def draw(self, k: int) -> Any:
        """Return frame k."""
        noise = self.mottle + 6 * np.random.default_rng(k).standard_normal(self.shape, np.float32)
        for (x, y), radius in zip(self.centres[k], self.radius, strict=True):
            cv2.circle(noise, (round(x), round(y)), round(radius), 95.0, -1)
        return np.clip(noise, 0, 255).astype(np.uint8)

    def __call__(self, frame: Frame, field: Any = None) -> Detections:
        """Return what is seen in a frame."""
        k = frame.index
        crops, corners = [], []
        chosen = np.flatnonzero(self.seen[k])
        for i in chosen.tolist():
            side = 2 * round(float(self.radius[i])) + 1
            crops.append(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)).astype(bool))
            corners.append([round(float(value)) - side // 2 for value in self.centres[k, i][::-1]])
        masks = Masks.from_crops(crops, corners)
        return Detections(
            k,
            frame.t_s,
            frame.shape,
            masks.boxes(),
            self.label[chosen],
            self.score[k][chosen],
            masks,
            CLASSES,
        )

    def stream(self, items: Any) -> Any:
        """Answer frame by frame."""
        for frame, field, tag in items:
            yield (None if frame is None else self(frame, field)), tag

    def for_live(self) -> None:
        """Nothing changes."""

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest."""
        return {"name": "discs that are known", "classes": list(CLASSES)}


def make_run(folder: Path, n_frames: int, n: int, size: int) -> Path:
    """Draw the movie, and follow its discs; what an earlier call made is taken as it is."""
    if (folder / "run" / "report.html").is_file():
        return folder / "run"
    discs = Discs(n_frames, n, size)
    with MovieWriter(folder / "discs.mp4", crf=18) as movie:
        for k in range(n_frames):
            movie.write(discs.draw(k), k / 10)
    config = RunConfig()
    # discs are no micrograph: curves all the same
    config = replace(config, series=replace(config.series, least_trust=0.0))
    run = insitrack.track(
        folder / "discs.mp4",
        folder / "run",
        config=config,
        segmenter=discs,
        nm_per_px=0.5,
        thickness_nm=100.0,
        material="fecral",
        video=False,
    )
    return run.folder


def first_picture_ms(page: ReviewPage) -> float:
    """Time from the call of the page to its first picture with outlines, ms."""
    page.value("document.documentElement.dataset.ready = ''; location.reload()")
    code = (
        "new Promise(done => { const look = () => globalThis.review?.viewer.bitmap && review.viewer.outlines.length"
        " ? done(performance.now()) : setTimeout(look, 4); look(); })"
    )
    time.sleep(0.05)
    took = page.value(code)
    page.browser.until("document.documentElement.dataset.ready === '1'", 60)
    return float(took)


def scrub_ms(page: ReviewPage, n: int) -> list[float]:
    """Time of each step onto the next frame, until frame and outlines are painted, ms."""
    page.browser.until(f"review.frames.bitmaps.size >= {min(n, 40)}", 60)
    code = f"""(async () => {{ const times = [];
      const ready = k => review.frames.bitmaps.has(k) && Array.isArray(review.outlines.get(k));
      for (let k = 1; k <= {n}; k++) {{
        while (!ready(k)) {{ await review.goTo(k - 1, 1); await new Promise(next => setTimeout(next, 10)); }}
        const began = performance.now();
        await review.goTo(k);
        review.viewer.paintNow();
        times.push(performance.now() - began);
      }}
      return JSON.stringify(times); }})()"""
    times: list[float] = json.loads(page.value(code))
    return times


def processor_s(page: ReviewPage) -> float:
    """Processor time so far of the server, and of whoever drives the browser, and of the thread that paints the page, s."""
    return time.process_time() + page.browser.drawing_s()


def measured(run: Path, n_edits: int, new: Path) -> dict[str, Any]:
    """Make edits of all kinds, write them as a run, take all back, and tell the times."""
    (run / "edits.csv").unlink(missing_ok=True)  # of a measurement that was cut off
    tables = {path: path.read_bytes() for path in run.iterdir() if path.suffix in (".csv", ".parquet")}
    began = time.perf_counter()
    with reviewing(run) as server:
        opened = time.perf_counter() - began
        page = ReviewPage(server.address)
        try:
            first = [first_picture_ms(page) for _ in range(3)]
            steps = scrub_ms(page, min(30, len(page.value("review.facts.numbers")) - 2))
            page.browser.count_drawing()
            edits, spent, kinds, k = [], [], {}, 0
            while page.n_edits < n_edits and k < 4 * n_edits:
                kind = KINDS[k % len(KINDS)]
                page.go_to(2 + 3 * (k % 7))
                before = processor_s(page)
                if page.edit(kind, k):
                    edits.append(float(page.value("review.timings.edit")))
                    spent.append(1000 * (processor_s(page) - before))
                    kinds[kind] = kinds.get(kind, 0) + 1
                k += 1
            load = os.getloadavg()[0]
            made = page.n_edits
            with patch("insitrack.tracker.analysis.edit.draw_edited", lambda *_: {}):
                trail = edit_run(run, run / "edits.csv", new)
            page.undo_all()
        finally:
            page.close()
    same = {path.name: path.read_bytes() == was for path, was in tables.items()}
    return {
        "opened_s": round(opened, 2),
        "first_picture_ms": round(statistics.median(first)),
        "scrub_ms_median": round(statistics.median(steps), 1),
        "scrub_ms_95": round(float(np.percentile(steps, 95)), 1),
        "recompute_ms_median": round(statistics.median(edits)),
        "recompute_ms_most": round(max(edits)),
        "processor_ms_an_edit_and_its_clicks": round(statistics.median(spent)),
        "programs_that_ran_at_the_time": round(load, 1),
        "edits": made,
        "kinds": kinds,
        "edits_in_the_audit_trail": len(trail),
        "tables_as_at_the_start_after_undoing_all": all(same.values()),
    }


def page(facts: dict[str, Any]) -> str:
    """Print the figures for people."""
    rows = [[name.replace("_", " "), value] for name, value in facts.items()]
    words = [
        "Times are as somebody waits for them, while as many other programs wanted the processor as the table says",
        "(load of a minute). What an edit takes of the processor, with its clicks, the page and the server together, is",
        "the most that it takes where nothing else runs.",
    ]
    lines = [
        "# A review in the browser",
        "",
        "`python benchmarks/review.py`",
        "",
        *words,
        "",
        *record.table(["", ""], rows),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the benchmark."""
    parser = record.options(__doc__)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--defects", type=int, default=200)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--edits", type=int, default=40)
    parser.add_argument("--folder", type=Path, help="keep the run here, for another time")
    given = parser.parse_args()
    if given.smoke:
        given.frames, given.defects, given.size, given.edits = 12, 16, 256, 4
    facts: dict[str, Any] = {"machine": record.machine(), "frames": given.frames, "size_px": given.size}
    if BROWSER is None:
        facts["not_measured"] = "no Chromium here"
    else:
        with tempfile.TemporaryDirectory() as folder:
            place = given.folder or Path(folder)
            place.mkdir(parents=True, exist_ok=True)
            run = make_run(place, given.frames, given.defects, given.size)
            rows = insitrack.open_run(run).tracks
            facts |= {"rows": len(rows), "defects_a_frame": round(len(rows) / given.frames)}
            facts |= measured(run, given.edits, Path(folder) / "new")
    record.keep(__file__, facts, page(facts), given.results)


if __name__ == "__main__":
    main()
