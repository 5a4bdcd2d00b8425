"""How far the movies of a batch are: in memory, and in `status.csv` for whoever looks from elsewhere."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from insitrack.io.errors import TableError
from insitrack.io.tables.engine import Column, Table
from insitrack.io.tables.records import harmless, lines_of, read_rows
from insitrack.io.tables.run_folder import MANIFEST
from insitrack.io.write import write_text
from insitrack.tracker.many.movies import Movie

Condition = Literal["waiting", "running", "done", "failed", "stopped"]

STATUS = Table(
    "status.csv",
    "movie of a batch, rewritten while it goes on",
    (
        Column("movie", "text", "", "name of its folder", "%s"),
        Column("path", "text", "", "source", "%s"),
        Column("status", "text", "", "waiting, running, done, failed or stopped", "%s"),
        Column("frames", "int", "", "source frames so far", "%s"),
        Column("n_frames", "int", "", "source frames in all; empty where not known", "%s"),
        Column("frames_per_s", "float", "s^-1", "frames processed per second of wall time", "%s"),
        Column("left_s", "float", "s", "time left for this movie at that rate", "%s"),
        Column("worker", "text", "", "which worker has it, or had it last", "%s"),
        Column("starts", "int", "", "times that a worker took it up", "%s"),
        Column("started", "text", "", "date and time of the first start, UTC", "%s"),
        Column("finished", "text", "", "date and time of its end, UTC", "%s"),
        Column("why", "text", "", "why it failed or was stopped", "%s"),
        Column("key", "text", "", "hash of the row and of the files that it names, once begun", "%s"),
    ),
)


@dataclass(slots=True)
class MovieStatus:
    """Where one movie is.

    Parameters
    ----------
    movie : Movie
        Which.
    status : {"waiting", "running", "done", "failed", "stopped"}
        Its condition.
    frames, n_frames : int, int or None
        Source frames so far, and in all.
    frames_per_s : float
        Rate of the worker that has it.
    drawn : int
        Frames of the annotated movie, which is drawn last.
    worker, why, started, finished
        As in `STATUS`.
    starts : int
        Times that a worker took it up.
    deaths, died_at : int
        Workers that died over it in a row without getting further than that frame.
    fresh : bool
        What lies in its folder is of another row, and is replaced.
    """

    movie: Movie
    status: Condition = "waiting"
    frames: int = 0
    n_frames: int | None = None
    frames_per_s: float = 0.0
    drawn: int = 0
    worker: str = ""
    starts: int = 0
    started: str = ""
    finished: str = ""
    why: str = ""
    deaths: int = 0
    died_at: int = -1
    fresh: bool = False

    @property
    def left_s(self) -> float | None:
        """Time left, s; None where it is not known."""
        if self.status != "running" or self.n_frames is None or self.frames_per_s <= 0:
            return None
        return max(0, self.n_frames - self.frames) / self.frames_per_s

    def cells(self) -> dict[str, str]:
        """Return its row of ``status.csv``."""
        left = self.left_s
        return {
            "movie": harmless(self.movie.name),
            "path": harmless(self.movie.uri),
            "status": self.status,
            "frames": str(self.frames),
            "n_frames": "" if self.n_frames is None else str(self.n_frames),
            "frames_per_s": f"{self.frames_per_s:.3f}" if self.frames_per_s else "",
            "left_s": "" if left is None else f"{left:.0f}",
            "worker": self.worker,
            "starts": str(self.starts),
            "started": self.started,
            "finished": self.finished,
            "why": harmless(self.why),
            "key": "" if self.fresh else self.movie.key,
        }


def write_status(path: Path, movies: list[MovieStatus]) -> None:
    """Write ``status.csv`` as a whole.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    write_text(path, STATUS.header() + lines_of(STATUS, [one.cells() for one in movies]))


def taken_up(path: Path, movies: list[Movie]) -> list[MovieStatus]:
    """Return where each movie is, by what an earlier call of the same batch left.

    A movie is done if it was, under the same key, and its run is there; what failed is tried again. What lies in
    its folder under another key is replaced.

    Parameters
    ----------
    path : Path
        ``status.csv``; it need not be there.
    movies : list of Movie
        Those that are asked for now.
    """
    before = {row["movie"]: row for row in read_rows_of(path)}
    return [_taken_up(one, before.get(harmless(one.name))) for one in movies]


def read_rows_of(path: Path) -> list[dict[str, str]]:
    """Read ``status.csv``; nothing where it is not there, damaged, or of another version."""
    try:
        return read_rows(path, STATUS) if path.is_file() else []
    except TableError:
        return []


def _taken_up(movie: Movie, row: dict[str, str] | None) -> MovieStatus:
    one = MovieStatus(movie)
    if row is None or row["key"] != movie.key:
        one.fresh = True
        return one
    one.started, one.starts = row["started"], _count(row["starts"]) or 0
    if row["status"] == "done" and _is_done(movie.folder):
        one.status, one.finished = "done", row["finished"]
        one.frames, one.n_frames = _count(row["frames"]) or 0, _count(row["n_frames"])
    return one


def _is_done(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("status") == "done")
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def _count(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def overview(movies: list[MovieStatus], began_s: float, done_before: int) -> dict[str, Any]:
    """Return the counts of a batch, its rate, and the time left.

    Parameters
    ----------
    movies : list of MovieStatus
        All of them.
    began_s : float
        When this call began, by the monotonic clock.
    done_before : int
        Frames that were done then.
    """
    counts = {name: sum(one.status == name for one in movies) for name in STATUSES}
    known = [one.n_frames for one in movies if one.n_frames]
    usual = sum(known) / len(known) if known else None
    open_ones = [one for one in movies if one.status in ("waiting", "running")]
    left = None if usual is None else sum(max(0, (one.n_frames or usual) - one.frames) for one in open_ones)
    elapsed = max(1e-9, time.monotonic() - began_s)
    rate = max(0, sum(one.frames for one in movies) - done_before) / elapsed
    left_s = left / rate if left is not None and rate > 0 else None
    return {"counts": counts, "frames_per_s": rate, "left_s": left_s, "elapsed_s": elapsed}


STATUSES: tuple[Condition, ...] = ("waiting", "running", "done", "failed", "stopped")


def now() -> str:
    """Date and time, to the second, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
