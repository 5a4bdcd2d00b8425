"""A beam time at a glance: the runs below a folder that go on now, and those that ended last."""

from __future__ import annotations

import csv
import math
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from insitrack.io.errors import InsitrackError, SettingsError
from insitrack.io.live.page.curves import Thinned, known
from insitrack.io.tables.columns import FRAMES, SERIES
from insitrack.io.tables.run_folder import REPORT
from insitrack.tracker.many.catalogue import Catalogue, runs_below
from insitrack.tracker.run.lock import OWNER, SILENT_S, owner_of, written_last_s

LATEST = 12
"""Runs that ended, the last first."""
_LIST_EVERY_S, _LOOK_EVERY_S = 5.0, 1.0
_FIRST_BYTES, _MOST_BYTES = 32 << 20, 8 << 20
_POINTS = 300
_SHOWN = ("n", "density_per_m2", "density_per_m3", "size_nm", "hardening_linear_mpa", "dose_dpa", "t_s")
_ENDS = {"size_nm": ("size_lo_nm", "size_hi_nm")}
_OF_RUN = (
    "run",
    "status",
    "frames",
    "n",
    "density_per_m2",
    "density_per_m3",
    "size_nm",
    "hardening_linear_mpa",
    "trust",
)


class _Grown:
    """Reads what was added to a table, whole lines only, and never more than so much at once."""

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, -1
        self._names: list[str] = []

    def rows(self) -> list[dict[str, str]]:
        """Return the lines since last time; at first those of the end of the table."""
        try:
            with self._path.open("rb") as stream:
                size = stream.seek(0, os.SEEK_END)
                if self._at < 0 or size < self._at:
                    stream.seek(0)
                    self._names = next(csv.reader([stream.readline().decode("utf-8", "replace")]), [])
                    self._at = stream.tell()
                    if size - self._at > _FIRST_BYTES:
                        stream.seek(size - _FIRST_BYTES)
                        stream.readline()
                        self._at = stream.tell()
                stream.seek(self._at)
                data = stream.read(_MOST_BYTES)
        except OSError:
            return []
        data = data[: data.rfind(b"\n") + 1]
        self._at += len(data)
        lines = csv.reader(data.decode("utf-8", "replace").splitlines())
        return [dict(zip(self._names, cells, strict=False)) for cells in lines]


class Running:
    """What is shown of one run that goes on.

    Parameters
    ----------
    folder : Path
        Its folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._series, self._frames = _Grown(folder / SERIES.file), _Grown(folder / FRAMES.file)
        self._curves = Thinned(math.inf, 1, _POINTS)
        self._last: dict[str, list[float | None]] = {}
        self._counts: dict[str, int] = {}
        self._times: list[float] = []

    def look(self) -> dict[str, Any]:
        """Read what is new; return what is known."""
        for row in self._frames.rows():
            status = row.get("status", "")
            self._counts[status] = self._counts.get(status, 0) + 1
            if status == "processed":
                self._times = [*self._times[-199:], _number(row.get("t_s"))]
        for row in self._series.rows():
            if row.get("defect_class") == "all":
                self._take(row)
        t, _, _, values = self._curves.points()
        span_s = self._times[-1] - self._times[0] if len(self._times) > 1 else 0.0
        return {
            "last": self._last,
            "counts": self._counts,
            "frames_per_s": round((len(self._times) - 1) / span_s, 1) if span_s > 0 else None,
            "silent_s": round(max(0.0, time.time() - written_last_s(self.folder, FRAMES.file)), 1),
            "curve": [[known(at), known(value)] for at, value in zip(t, values[0][:, 0], strict=True)],
        }

    def _take(self, row: dict[str, str]) -> None:
        for name in _SHOWN:
            value = _number(row.get(name))
            if math.isfinite(value):
                lo, hi = _ENDS.get(name, (f"{name}_lo", f"{name}_hi"))
                self._last[name] = [known(value), known(_number(row.get(lo))), known(_number(row.get(hi)))]
        t_s, n = _number(row.get("t_s")), _number(row.get("n"))
        if math.isfinite(t_s):
            self._curves.add(t_s, math.nan, np.array([[n], [n], [n]]))


class BeamTime:
    """The runs below a folder; may be asked from any thread.

    Parameters
    ----------
    root : Path
        The folder.

    Raises
    ------
    SettingsError
        If there is no such folder.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise SettingsError(f"{root}: no such folder; expected one with runs in it")
        self.root, self._lock = root.resolve(), threading.Lock()
        self._running: dict[str, Running] = {}
        self._ended: list[dict[str, Any]] = []
        self._listed_s = self._looked_s = -math.inf
        self._made: dict[str, Any] = {}

    def look(self) -> dict[str, Any]:
        """Return what is shown, made at most once a second for all viewers."""
        with self._lock:
            now = time.monotonic()
            if now - self._listed_s >= _LIST_EVERY_S:
                self._list()
                self._listed_s = time.monotonic()
            if now - self._looked_s >= _LOOK_EVERY_S:
                self._made = {
                    "name": self.root.name,
                    "running": [
                        {"run": name, **self._state(one.folder), **one.look()}
                        for name, one in sorted(self._running.items())
                    ],
                    "ended": self._ended,
                }
                self._looked_s = time.monotonic()
            return self._made

    def _list(self) -> None:
        """Find the runs, and tell those that go on from those that ended."""
        try:
            rows = Catalogue(self.root).rows
        except InsitrackError:  # the folder is gone for a while
            return
        # who holds a folder is written there, and removed when the run has ended, whatever its tables look like
        going = {name for name, _ in runs_below(self.root) if (self.root / name / OWNER).is_file()}
        self._running = {name: self._running.get(name) or Running(self.root / name) for name in sorted(going)}
        ended = [row for row in rows if str(row["run"]) not in going]
        ended.sort(key=lambda row: written_last_s(self.root / str(row["run"]), "run.json"), reverse=True)
        self._ended = [
            {
                **{name: _plain(row.get(name)) for name in _OF_RUN},
                "ended_s": written_last_s(self.root / str(row["run"]), "run.json"),
                "report": (self.root / str(row["run"]) / REPORT).is_file(),
            }
            for row in ended[:LATEST]
        ]

    def _state(self, folder: Path) -> dict[str, Any]:
        """Whether a run is alive, where, and the address of its page where that is on this computer."""
        owner = owner_of(folder)
        here = owner.get("host") == socket.gethostname()
        fresh = time.time() - written_last_s(folder, "resume.state") < SILENT_S
        alive = bool(owner) and (_runs(owner.get("process")) if here else fresh)
        page = str(owner.get("page", ""))
        return {"alive": alive, "host": str(owner.get("host", "")), "page": page if here and alive else ""}

    def report(self, name: str) -> Path | None:
        """Report of a run that is shown; None for any other name."""
        with self._lock:
            there = any(row["run"] == name and row["report"] for row in self._ended)
        path = self.root / name / REPORT
        return path if there and not path.is_symlink() else None


def _runs(process: Any) -> bool:
    """Whether a process of this computer is there."""
    if type(process) is not int or process <= 0:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of somebody else
        return True
    return True


def _number(text: str | None) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError:
        return math.nan


def _plain(value: Any) -> Any:
    return known(value) if isinstance(value, float) else value
