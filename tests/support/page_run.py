"""A run that only its page sees: frames, rows and state out of nothing, so that a browser can be tried on it."""

import dataclasses
import math
import threading
from pathlib import Path

import numpy as np

from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.frames import Frame
from insitrack.io.live.page.requests import Done
from insitrack.io.live.view import LiveView
from insitrack.io.results import Measures, SeriesRow, TrackedFrame
from insitrack.io.tables.records import MARKS
from insitrack.tracker.run.live.marks import Marks

FPS = 25.0
SIDE = 96
NAMES = [one.name for one in dataclasses.fields(SeriesRow)][3:]


def frame_of(index, classes=("loop", "void")):
    """A frame with a square of each class, and its rows: curves that rise, tremble, and have holes."""
    t_s, there = index / FPS, index % 5000 > 40 or index < 40
    value = (1 - math.exp(-t_s / 4000)) * (1 + 0.1 * math.sin(index)) if there else math.nan
    rows = tuple(
        SeriesRow(index, t_s, 1e-3 * t_s, **{**dict.fromkeys(NAMES, value), "defect_class": name})
        for name in (*DEFECT_CLASSES, "all")
    )
    n = len(classes)
    corners = np.array([[20, 10 + 40 * i] for i in range(n)], np.int32).reshape(n, 2)
    masks = Masks(np.ones(20 * 20 * n, bool), corners, np.full((n, 2), 20, np.int32))
    boxes = np.array([[x, y, x + 20, y + 20] for y, x in corners], np.float32).reshape(n, 4)
    labels = np.array([DEFECT_CLASSES.index(name) + 1 for name in classes], np.int64)
    found = Detections(index, t_s, (SIDE, SIDE), boxes, labels, np.ones(n, np.float32), masks)
    sizes = np.full(n, 20.0)
    measures = Measures(sizes, sizes, sizes, sizes, sizes, sizes, np.zeros(n, bool), sizes, sizes)
    image = np.full((SIDE, SIDE), 100, np.uint8)
    image[::8] = 140
    return TrackedFrame(
        Frame(index, t_s, image), found, measures, np.arange(n), np.ones(n, bool), series=rows
    )


class Status:
    """A run that keeps up."""

    behind = False

    def now(self):
        """State for a viewer."""
        counts = ("processed", "dropped", "damaged", "gap", "skipped", "waiting", "reconnects", "captured")
        state = {
            "frames_per_s": FPS,
            "arriving_per_s": FPS,
            "latency_ms": 20.0,
            "queue": 0.0,
            "silent_s": 0.0,
        }
        state |= {"disk_free_gb": 100.0, "disk_left_h": 50.0, "disk_used": True, "policy": "newest"}
        state |= {
            "trust": 0.9,
            "distrust": [],
            "least_trust": 0.5,
            "paused": False,
            "lost_ago_s": {},
            "alarms": [],
        }
        return {**dict.fromkeys(counts, 0), **state}


class Controls:
    """Keeps marks as a run does; all else that is asked for is only noted."""

    def __init__(self, folder: Path):
        self.marks = Marks(folder / MARKS.file, lambda t_s: math.nan, print)
        self.asked = []

    @property
    def notes_version(self):
        return self.marks.version

    def __call__(self, wish):
        self.asked.append(wish.action)
        if wish.action == "rename":
            self.marks.rename(wish.number, wish.text)
        elif wish.action == "move":
            self.marks.move(wish.number, wish.value)
        elif wish.action == "delete":
            self.marks.remove(wish.number)
        elif wish.action == "mark":
            self.marks.add(1.0, wish.text, "page")
        return Done(wish.action)

    def held(self):
        """Return what holds now."""
        known = {"thickness_nm": "100", "dose_rate": "0.001", "material": "fecral"}
        return {**known, "materials": ["fecral"], "undo": ""}

    def notes(self):
        """Return the marks."""
        shown = [
            {"id": one.number, "t": one.t_s, "dose": None, "text": one.text, "by": one.by}
            for one in self.marks.all()
        ]
        return {"marks": shown, "log": [], "triggers": ["n > 5"]}


class PageRun:
    """Writes frames to a page for as long as the context lasts."""

    def __init__(self, folder, every_s=0.2):
        self.controls = Controls(folder)
        self.view = LiveView(Status(), "a night", self.controls)
        self._every_s, self._over = every_s, threading.Event()
        self._work = threading.Thread(target=self._write, daemon=True)

    def _write(self):
        index = 0
        while not self._over.wait(self._every_s):
            self.view.write(frame_of(index))
            index += 1

    def __enter__(self):
        self.view.__enter__()
        for index in range(30):
            self.view.write(frame_of(index))
        self._work.start()
        return self

    def end(self, status, report):
        """End as a run does: no more frames, then the report."""
        self._over.set()
        self._work.join()
        self.view.__exit__(None, None, None)
        self.view.close(status, report)

    def __exit__(self, *_):
        if not self._over.is_set():
            self.end("done", Path("nowhere"))
