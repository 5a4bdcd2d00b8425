"""One owner of a run folder, and records that survive a kill, tried many times."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from live_runs import COMMAND, QUICK, SOURCE, alone, ask, refused, started, tables_of

import insitrack
from insitrack.io.tables.records import SETTINGS
from insitrack.io.tables.run_folder import STATE
from insitrack.tracker.run.state import read_state
from insitrack.tracker.series.conditions import read_conditions


def together(folder: Path, n: int = 20) -> dict[str, object]:
    """Two runs started together into one folder: one is done as if it were alone, one is refused in one line."""
    whole, good = alone(), 0
    for i in range(n):
        out = folder / f"two{i}"
        both = [ask(SOURCE, *QUICK, "--out", str(out)) for _ in range(2)]
        said = [one.communicate()[1] for one in both]
        lines = [text.count("\n") for one, text in zip(both, said, strict=True) if one.returncode == 2]
        good += sorted(one.returncode for one in both) == [0, 2] and lines == [1] and tables_of(out) == whole
        shutil.rmtree(out, ignore_errors=True)
    return {"tries": n, "one_done_and_undisturbed_one_refused_in_one_line": good}


def living(folder: Path, n: int = 20) -> dict[str, object]:
    """Resume, and a run with `--overwrite`, come to the folder of a living run; then it goes on to its end."""
    whole, run = alone(), started(folder / "living")
    os.kill(run.pid, signal.SIGSTOP)  # it is alive for as long as the others try
    facts: dict[str, object] = {"tries_of_each": n}
    for name, arguments in (("resume", ["resume"]), ("overwrite", [SOURCE, "--overwrite", "--out"])):
        facts[f"{name}_refused_in_one_line"] = sum(
            refused(
                subprocess.run([*COMMAND, *arguments, str(folder / "living")], capture_output=True, text=True)
            )
            for _ in range(n)
        )
    os.kill(run.pid, signal.SIGCONT)
    run.communicate()
    return {**facts, "its_tables_byte_for_byte_undisturbed": tables_of(folder / "living") == whole}


def dead(folder: Path, n: int = 20) -> dict[str, object]:
    """Kill a run, and let two resumes come to its lock together; each time to another copy of its folder."""
    whole, good, over, lines = alone(), 0, 0, 0
    killed = started(folder / "dead")
    while not (folder / "dead" / STATE).exists() and killed.poll() is None:
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    several = multiprocessing.get_context("forkserver")  # libraries are loaded once for all of them
    several.set_forkserver_preload(
        [__name__, "insitrack.tracker.run.resume", "insitrack.io.report.run_report"]
    )
    for i in range(n):
        out = folder / f"dead{i}"
        shutil.copytree(folder / "dead", out)
        both = [
            several.Process(target=_resume, args=(str(out), str(folder / f"said{i}_{k}"))) for k in range(2)
        ]
        for one in both:
            one.start()
        for one in both:
            one.join()
        statuses = [one.exitcode for one in both]
        said = [(folder / f"said{i}_{k}").read_text() for k in range(2) if statuses[k] == 2]
        over += 0 in statuses
        lines += len(said) == 1 and said[0].count("\n") == 1
        good += sorted(map(str, statuses)) == ["0", "2"] and tables_of(out) == whole
        shutil.rmtree(out, ignore_errors=True)
    return {
        "tries": n,
        "the_lock_of_the_dead_run_taken_over": over,
        "the_other_refused_in_one_line": lines,
        "one_resume_done_byte_for_byte_the_other_refused": good,
    }


def _resume(run: str, said: str) -> None:
    """Go on with a run in a process of its own; what it says goes into a file."""
    from insitrack.tracker.cli import main

    with (
        Path(said).open("w") as stream,
        contextlib.redirect_stderr(stream),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        status = main(["resume", run])
    sys.exit(status)


_APPENDING = """
import sys
from pathlib import Path
from insitrack.tracker.series.conditions import Change, write_changes
path = Path(sys.argv[1]) / 'settings.csv'
for i in range(10**6):
    write_changes(path, [Change(i, i / 10, 'thickness_nm', str(50 + i % 100), 'page')])
    print(i, flush=True)
"""

_MARKING = """
import sys
from pathlib import Path
from insitrack.io.tables.records import MARKS, append_rows
for i in range(10**6):
    append_rows(Path(sys.argv[1]) / 'marks.csv', MARKS, [{'t_s': str(i), 'dose_dpa': '', 'mark': f'mark {i}', 'by': 'page'}])
    print(i, flush=True)
"""

_KEEPING = """
import dataclasses, sys
from pathlib import Path
from insitrack.tracker.run.state import read_state, write_state
folder = Path(sys.argv[1])
state = read_state(folder)
for i in range(10**6):
    write_state(dataclasses.replace(state, facts=dataclasses.replace(state.facts, next_index=i)), folder / 'resume.state')
    print(i, flush=True)
"""

_LOCKING = """
import sys
from pathlib import Path
from insitrack.tracker.run.lock import RunLock
for i in range(10**6):
    with RunLock(Path(sys.argv[1])):
        print(i, flush=True)
"""


def records(folder: Path, n: int = 20, flips: int = 200) -> dict[str, object]:
    """Kill the writer of each record at random moments; flip single bits of a state."""
    import fuzz_record

    state = fuzz_record.sound_state(folder / "sound_run")
    random, facts = np.random.default_rng(2), {"kills_of_each": n}
    for name, code, last in (
        ("settings.csv", _APPENDING, lambda where: len(read_conditions(where / SETTINGS.file).changes) - 1),
        ("marks.csv", _MARKING, _last_mark),
        ("resume.state", _KEEPING, lambda where: read_state(where).facts.next_index),
        ("run.lock", _LOCKING, _lockable),
    ):
        kept = 0
        for i in range(n):
            where = folder / f"{name}_{i}"
            where.mkdir()
            shutil.copy(state, where / STATE)
            kept += _survives(where, code, last, float(random.uniform(0.02, 0.4)))
            shutil.rmtree(where)
        facts[f"{name}: everything acknowledged is there, and it can be read and gone on with"] = kept
    data, found = state.read_bytes(), 0
    (folder / "flip").mkdir()
    for _ in range(flips):
        (folder / "flip" / STATE).write_bytes(fuzz_record.flipped(data, random))
        try:
            read_state(folder / "flip")
        except insitrack.io.errors.OutputError:
            found += 1
    return {**facts, "bits_flipped": flips, "flips_found": found}


def _survives(where: Path, code: str, last: Any, after_s: float) -> bool:
    """Kill a writer so long after its first record; say whether nothing that it acknowledged is lost."""
    writer = subprocess.Popen([sys.executable, "-c", code, str(where)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    first = writer.stdout.readline()
    time.sleep(after_s)
    writer.kill()
    said = [first, *writer.stdout.readlines()]
    writer.wait()
    whole = [line for line in said if line.endswith("\n")]
    try:
        return bool(last(where) >= int(whole[-1]))
    except (insitrack.io.errors.InsitrackError, IndexError):
        return False


def _last_mark(where: Path) -> int:
    from insitrack.io.tables.records import MARKS, read_rows

    return len(read_rows(where / MARKS.file, MARKS)) - 1


def _lockable(where: Path) -> float:
    from insitrack.tracker.run.lock import RunLock

    with RunLock(where):
        return float("inf")
