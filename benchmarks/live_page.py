"""The live page with a million points a curve: what a frame costs the run, and what the browser takes.

    python benchmarks/live_page.py [--points 1000000]

Headless Chromium on this machine, beside whatever else runs on it. Writes live_page.json and live_page.md.
"""

from __future__ import annotations

import math
import os
import statistics
import tempfile
import time
from pathlib import Path

import record

from insitrack.io.live.view import LiveView
from insitrack.tests.support.browser import BROWSER, Browser
from insitrack.tests.support.page_run import Controls, Status, frame_of

FPS = 25.0


def fill(view: LiveView, points: int) -> tuple[float, float]:
    """Write so many frames; return the time of a frame in the first and in the last tenth, us, without making it."""
    spent = []
    for index in range(points):
        frame = frame_of(index)
        start = time.perf_counter()
        view.write(frame)
        spent.append(time.perf_counter() - start)
    tenth = max(1, points // 10)
    return 1e6 * statistics.median(spent[:tenth]), 1e6 * statistics.median(spent[-tenth:])


_UPDATE = """(async () => {
  const got = await fetch("curves?" + q + "span=whole&each=0"), body = await got.arrayBuffer(), start = performance.now();
  plots.show(body);
  return performance.now() - start;
})()"""


def processor_s(parent: int) -> float:
    """Processor time of a process and all below it, s: on a busy machine the clock tells little; NaN where not known."""
    if not Path("/proc").is_dir():
        return math.nan
    spent, below = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            cells = path.read_text().rpartition(") ")[2].split()
        except OSError:  # it has just ended
            continue
        number = int(path.parent.name)
        spent[number] = (int(cells[11]) + int(cells[12])) / os.sysconf("SC_CLK_TCK")
        below.setdefault(int(cells[1]), []).append(number)
    total, waiting = 0.0, [parent]
    while waiting:
        one = waiting.pop()
        total += spent.get(one, 0.0)
        waiting += below.get(one, [])
    return total


def browse(view: LiveView, folder: Path, points: int, updates: int) -> dict[str, object]:
    """Open the page; time its first curves and its updates."""
    page = Browser(folder, view.address, 1400, 1100)
    try:
        page.count_drawing()
        start_s = processor_s(page.process.pid)
        page.until("typeof plots !== 'undefined' && plots.drawn", 180)
        paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        facts: dict[str, object] = {
            "first paint after the address was opened, s": round(page.value(paint) / 1e3, 2),
            "first curves after the address was opened, s": round(page.value("plots.first_ms") / 1e3, 2),
        }
        facts["processor time until then, of the page alone, s"] = round(
            processor_s(page.process.pid) - start_s, 2
        )
        page.value("document.getElementById('span').value = 'whole'; 0")
        facts["of these the thread that draws the page, s"] = round(page.drawing_s(), 2)
        took, spent, drawn = [], [], []
        for number in range(updates):
            view.write(frame_of(points + number))
            time.sleep(2.1)  # the curves of the whole run are made anew every 2 s
            before_s, thread_s = processor_s(page.process.pid), page.drawing_s()
            took.append(float(page.value(_UPDATE)))
            drawn.append(1e3 * (page.drawing_s() - thread_s))
            spent.append(1e3 * (processor_s(page.process.pid) - before_s))
        facts["update of all curves, median ms"] = round(statistics.median(took), 1)
        facts["update of all curves, longest ms"] = round(max(took), 1)
        facts["processor time of an update, median ms"] = round(statistics.median(spent), 1)
        facts["of these the thread that draws the page, median ms"] = round(statistics.median(drawn), 1)
        return facts
    finally:
        page.close()


def measure(points: int, updates: int) -> dict[str, object]:
    """Fill the curves, and look at them."""
    folder = tempfile.TemporaryDirectory()
    view = LiveView(Status(), "a night", Controls(Path(folder.name)))
    early_us, late_us = fill(view, points)
    facts: dict[str, object] = {
        "machine": record.machine(),
        "load": f"{os.getloadavg()[0]:.1f}",
        "points a curve": points,
        "a frame costs the run at first, us": round(early_us, 1),
        "a frame costs the run at last, us": round(late_us, 1),
    }
    start = time.perf_counter()
    body = view.curves("whole", each=True)
    facts["curves of every class made, ms"] = round(1e3 * (time.perf_counter() - start), 1)
    facts["sent, kB"] = round(len(body) / 1e3)
    if BROWSER is None:
        return {**facts, "browser": "none here"}
    with view, tempfile.TemporaryDirectory() as made:
        return {**facts, **browse(view, Path(made), points, updates)}


def main() -> None:
    """Measure and write the page."""
    parser = record.options(__doc__)
    parser.add_argument("--points", type=int, default=1_000_000)
    given = parser.parse_args()
    facts = measure(3000, 1) if given.smoke else measure(given.points, 12)
    lines = [
        "# The live page with a long night of points",
        "",
        "`python benchmarks/live_page.py`",
        "",
        "| | |",
        "|---|---|",
    ]
    record.keep(
        __file__,
        facts,
        "\n".join([*lines, *(f"| {name} | {value} |" for name, value in facts.items())]),
        given.results,
    )


if __name__ == "__main__":
    main()
