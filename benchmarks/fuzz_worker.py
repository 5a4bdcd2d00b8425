"""What the child processes of ``fuzz.py`` do: read files one of these ways, and say in a line each how it went.

Paths come on the standard input, one a line; printed are path, what came of it, seconds and the largest memory of
this process so far in kB, between tabs.
"""

from __future__ import annotations

import math
import resource
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from insitrack.io.errors import InsitrackError

_LONGEST_LINE = 2000


def files(path: Path) -> str:
    """Read a movie or a stack to its end."""
    from insitrack.io.frames import Frame
    from insitrack.io.sources import open_source

    source = open_source(str(path))
    n = sum(isinstance(item, Frame) for item in source)
    source.close()
    return f"read {n}"


def labels(path: Path) -> str:
    """Read a folder of labelled images."""
    from insitrack.segment.labels.reader import read_labelled

    return f"read {sum(len(one.truth) for one in read_labelled(str(path), {'*': 'loop'}))}"


def tables(path: Path) -> str:
    """Read detections as `track link` does, or recompute tracks as `track series` does."""
    from insitrack.io.exchange.trackmate_file import read_trackmate
    from insitrack.io.tables.read_detections import read_detections
    from insitrack.tracker.analysis.recompute import Recompute
    from insitrack.tracker.analysis.table_run import open_run

    if path.name.startswith("link"):
        read = read_trackmate if path.suffix == ".xml" else read_detections
        table, _ = read(path, nm_per_px=0.5)
        return f"read {sum(len(found) for found in table.frames())}"
    work = Recompute(open_run(path, "a", options={"source.nm_per_px": 0.5}))
    n = sum(len(piece["n"]) for piece in work.series())
    work.finish()
    return f"read {n}"


def state(path: Path) -> str:
    """Read the state of a run; damage that passes for sound is wrong."""
    from insitrack.tracker.run.state import read_state

    read_state(path.parent)
    sound = path.parents[1] / "sound" / path.name
    return "read" if path.read_bytes() == sound.read_bytes() else "wrong: damaged, and not noticed"


def settings(path: Path) -> str:
    """Read a table of settings in time; what cannot be is wrong."""
    import numpy as np

    from insitrack.io.frames import Calibration
    from insitrack.tracker.run.config import load_config
    from insitrack.tracker.run.meters import meter_for
    from insitrack.tracker.series.conditions import SEVERAL, read_conditions

    held = read_conditions(path)
    meter = meter_for(load_config(), Calibration(nm_per_px=0.5), ("void",))
    meter.follow(held)
    foils = [held.foil(frame) for frame in (0, 7, 20, 10**6, SEVERAL)]
    dose = meter.exposure.dose_dpa(np.linspace(0, 10, 50))
    known = dose[np.isfinite(dose)]
    sound = all(foil.thickness_nm is None or 0 < foil.thickness_nm < math.inf for foil in foils)
    sound &= bool((np.diff(known) >= -1e-9 * np.abs(known).max(initial=0)).all()) and bool((known >= 0).all())
    return "read" if sound else "wrong: what cannot be"


WAYS: dict[str, Callable[[Path], str]] = {
    "files": files,
    "labels": labels,
    "tables": tables,
    "state": state,
    "settings": settings,
}


def peak_memory_kb() -> int:
    """Largest memory of this program so far; the one that the operating system counts begins with the parent's."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def outcome(way: Callable[[Path], str], path: Path) -> str:
    """Read one file, and say how it went."""
    try:
        return way(path)
    except InsitrackError as error:
        text = str(error)
        return "refused" if "\n" not in text and len(text) < _LONGEST_LINE else "more than one line"
    except MemoryError:
        return "memory"
    except Exception as error:  # what the benchmark looks for
        return f"traceback {type(error).__name__}: {str(error)[:80]}".replace("\n", " ")


def main(name_of_way: str, sound: Sequence[str] = ()) -> None:
    """Read what is asked for, after sound files, which load the libraries: that time is not the damaged file's."""
    warnings.simplefilter("ignore")
    way = WAYS[name_of_way]
    for name in sound:
        outcome(way, Path(name))
        print(flush=True)  # it has not hung
    for name in filter(None, sys.stdin.read().split("\n")):
        start = time.perf_counter()
        said = outcome(way, Path(name))
        print(name, said, round(time.perf_counter() - start, 2), peak_memory_kb(), sep="\t", flush=True)
