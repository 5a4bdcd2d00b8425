"""What a worker does with one movie of a batch: run it, or go on with it, and tell how far it is.

A worker is warm: the libraries and the folder of the next movie are all that is new. What it is given and
what it gives back are plain texts and numbers.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from insitrack.io.errors import InsitrackError, OutputError, TableError
from insitrack.io.tables.run_folder import STATE
from insitrack.tracker.run.lock import SILENT_S, HeldError
from insitrack.tracker.run.meters import config_of
from insitrack.tracker.run.resume import resume
from insitrack.tracker.run.state import check_tables, read_state
from insitrack.tracker.run.tally import Tally
from insitrack.tracker.run.track import track

PROGRESS = "insitrack-progress"
"""Topic of what workers tell while a movie runs."""
_TELL_EVERY_S = 0.5
_HELD_TICK_S = 1.0

_stopped: set[str] = set()
_one_movie = threading.Lock()


class CutOffError(KeyboardInterrupt):
    """Ends a run at once and leaves its state: the same batch goes on from it."""


def stop_batch(batch: str) -> None:
    """Cut off what this worker runs of a batch."""
    _stopped.add(batch)


def run_movie(order: dict[str, Any]) -> dict[str, Any]:
    """Run a movie, or go on with what another worker left of it.

    Parameters
    ----------
    order : dict
        `batch`, `name`, `uri`, `folder`, `settings`, `command`; `fresh`: what lies in the folder is of another
        row and is replaced; `threads` of the network where the settings leave them open.

    Returns
    -------
    dict
        `status` (done, stopped or failed), `why`, and with a fault of ours its `traceback`.
    """
    with _one_movie:  # a worker of several threads puts all of them to one movie
        try:
            return _run(order, _teller(order))
        except CutOffError:
            return {"status": "stopped", "why": "the batch was stopped; the same command goes on"}
        except InsitrackError as error:
            return {"status": "failed", "why": str(error)}
        except MemoryError:
            return {
                "status": "failed",
                "why": "not enough memory; give the worker more, or use fewer workers",
            }
        except Exception as error:
            first = (str(error).splitlines() or [""])[0]
            why = f"{type(error).__name__}: {first}"
            return {"status": "failed", "why": why, "traceback": traceback.format_exc()}


def _run(order: dict[str, Any], tell: Callable[[Tally, int | None], None]) -> dict[str, Any]:
    folder = Path(order["folder"])
    config = config_of({"settings": order["settings"]})
    if not config.segment.threads:
        config = replace(config, segment=replace(config.segment, threads=order["threads"]))
    if not order["fresh"] and _can_go_on(folder):
        made = _when_free(folder, lambda: resume(folder, progress=tell))
    else:
        command = order["command"]
        made = _when_free(
            folder,
            lambda: track(
                order["uri"], folder, config=config, overwrite=True, progress=tell, command=command
            ),
        )
    results = made.manifest["results"]
    facts = {"frames": results["frames"], "frames_per_s": results["frames_per_s"]}
    if not results["processed"]:
        return {"status": "failed", "why": "no frame was processed: " + _why_empty(made.manifest), **facts}
    return {"status": "done", "why": "", **facts}


def _can_go_on(folder: Path) -> bool:
    """Whether the folder holds the whole state of a run that was cut off."""
    if not (folder / STATE).is_file():
        return False
    try:
        check_tables(folder, read_state(folder).facts.offsets)
    except (OutputError, TableError):
        return False
    return True


def _why_empty(manifest: dict[str, Any]) -> str:
    results = manifest["results"]
    lost = [
        f"{results[name]} {name}" for name in ("skipped", "damaged", "dropped", "gap") if results.get(name)
    ]
    return ", ".join(lost) or "the source has none"


def _when_free(folder: Path, run: Callable[[], Any]) -> Any:
    """Run once the folder is free: the lock of a worker that died elsewhere is forgotten only after a while."""
    give_up_s = time.monotonic() + SILENT_S + 15
    while True:
        try:
            return run()
        except HeldError:
            if time.monotonic() > give_up_s:
                raise
            time.sleep(_HELD_TICK_S)


def _teller(order: dict[str, Any]) -> Callable[[Tally, int | None], None]:
    """Make what tells the batch how far a run is, and cuts it off when the batch was stopped."""
    send = _sender()
    last_s = -_TELL_EVERY_S

    def tell(tally: Tally, n_frames: int | None) -> None:
        nonlocal last_s
        if order["batch"] in _stopped:
            raise CutOffError("the batch was stopped; the same command goes on")
        now = time.monotonic()
        if now - last_s < _TELL_EVERY_S:
            return
        last_s = now
        send(
            {
                "batch": order["batch"],
                "name": order["name"],
                "frames": tally.frames,
                "n_frames": n_frames,
                "frames_per_s": round(tally.frames_per_s, 3),
                "drawn": tally.drawn,
            }
        )

    return tell


def _sender() -> Callable[[dict[str, Any]], None]:
    """Return what reaches the batch from here; nothing does outside a worker."""
    if "distributed" not in sys.modules:
        return lambda facts: None
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:
        return lambda facts: None
    return lambda facts: worker.log_event(PROGRESS, facts)


def worker_facts(seen: str = "") -> dict[str, Any]:
    """Tell what a batch must know of a worker: its version of insitrack, and whether it sees a file."""
    import socket

    import insitrack

    there = not seen or Path(seen).exists()
    return {"version": insitrack.__version__, "host": socket.gethostname(), "sees": there}
