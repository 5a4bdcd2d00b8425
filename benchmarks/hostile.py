"""Hostile run folders, checkpoints, playlists and bombs through the real command.

    python benchmarks/hostile.py [--tries 20] [--kinds NAME ...]

Nothing of them may run, nothing may be written outside the folder of the results, nobody may be called, the answer is
one line or a result, and memory stays under 500 MB, or near that of an honest command where its libraries take
more. Writes hostile.json and hostile.md.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import hostile_inputs
import record

MEASURES = ("io/files", "io/tables", "segment", "tracker/run", "tracker/analysis", "tracker/commands")
LIMIT_S = 1200
_WORKER = """
import contextlib, io, json, os, sys, time
from pathlib import Path
from insitrack.tracker.cli import main

def answer(argv):
    said, start = io.StringIO(), time.monotonic()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            status = main(argv)
    except SystemExit as end:
        status = end.code
    except BaseException as error:
        status = f'traceback {type(error).__name__}: {error}'[:200]
    # of this command alone: the one that the system counts begins with that of the process before
    peak = int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]) // 1024
    return status, said.getvalue(), peak, round(time.monotonic() - start, 2)

for line in sys.stdin:
    child = os.fork()  # a command has no libraries and no memory of the one before
    if not child:
        print(json.dumps(answer(json.loads(line))), flush=True)
        os._exit(0)
    ended = os.waitpid(child, 0)[1]
    if ended:
        print(json.dumps([f'ended with {ended}', '', 0, 0.0]), flush=True)
"""


def try_kind(folder: Path, kind: str, tries: int) -> dict[str, object]:
    """Give the command so many hostile inputs of one kind; count what it did with them."""
    place = folder / kind.replace(" ", "_")
    place.mkdir()
    harm = folder / "harm"
    with Listener() as calls:
        made = hostile_inputs.KINDS[kind](place, harm, calls.address, tries)
        commands = [_into(folder / "results", number, command) for number, command in enumerate(made)]
        honest = answers_of(hostile_inputs.honest(kind, place), folder)  # libraries make their caches
        before = contents(folder)
        answers = answers_of(commands, folder)
    own = ("results", "tmp", "run_folders/run")
    after = {name: what for name, what in contents(folder).items() if not name.startswith(own)}
    before = {name: what for name, what in before.items() if not name.startswith(own)}
    lines = [[line for line in said.splitlines() if line.startswith("track: ")] for _, said, _, _ in answers]
    return {
        "tried": len(commands),
        "refused in one line": sum(
            one[0] == 2 and len(two) == 1 for one, two in zip(answers, lines, strict=True)
        ),
        "said": sorted({line.replace(str(place), "")[:160] for one in lines for line in one})[:12],
        "read": sum(one[0] == 0 for one in answers),
        "otherwise": [
            [one[0], one[1][-300:]]
            for one, two in zip(answers, lines, strict=True)
            if not (one[0] == 0 or (one[0] == 2 and len(two) == 1))
        ][:5],
        "no answer": len(commands) - len(answers),
        "ran": harm.exists(),
        "written outside": sorted(
            name for name in after.keys() | before.keys() if after.get(name) != before.get(name)
        )[:5],
        "calls": calls.n,
        "peak MB": max((one[2] for one in answers), default=0),
        "of an honest one MB": max((one[2] for one in honest), default=0),
        "slowest s": max((one[3] for one in answers), default=0.0),
    }


def answers_of(commands: list[list[str]], folder: Path) -> list[tuple[object, str, int, float]]:
    """Status, what was said, peak memory, MB, and time, s, of one command after the other, each in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _WORKER],
        input="".join(json.dumps(command) + "\n" for command in commands),
        capture_output=True,
        text=True,
        cwd=folder / "home",
        env={**os.environ, "HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")},
        timeout=LIMIT_S,
        check=False,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _into(results: Path, number: int, command: list[str]) -> list[str]:
    """Say where a command may write; a run that goes on writes into its own folder."""
    out = results / f"{number}"
    more = {
        "resume": [],
        "annotate": ["--out", f"{out}.mp4"],
        "export": ["--to", "coco", "--out", f"{out}.json"],
    }
    return [*command, *more.get(command[0], ["--out", str(out)])]


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file below a folder."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() or path.is_symlink()
    }


class Listener:
    """A server that counts who calls; what it is asked for it does not give."""

    def __init__(self) -> None:
        self.n, self._socket = 0, socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Listener:
        threading.Thread(target=self._count, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()

    def _count(self) -> None:
        while True:
            try:
                self._socket.accept()[0].close()
            except OSError:
                return
            self.n += 1


def main() -> None:
    """Try every kind, and write the page."""
    parser = record.options(__doc__)
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--kinds", nargs="*", choices=tuple(hostile_inputs.KINDS))
    given = parser.parse_args()
    kinds = given.kinds if given.kinds is not None else list(hostile_inputs.KINDS)
    if given.smoke:
        kinds, given.tries = ["arrays and masks"], 2
    results = record.earlier(__file__, given.results).get("kinds", {})
    with tempfile.TemporaryDirectory() as made:
        for kind in kinds:
            folder = Path(made) / kind.replace(" ", "_")
            for name in ("home", "tmp", "results"):
                (folder / name).mkdir(parents=True)
            results[kind] = try_kind(folder, kind, given.tries)
            print(kind, json.dumps(results[kind]), flush=True)
    results = {kind: results[kind] for kind in hostile_inputs.KINDS if kind in results}
    record.keep(
        __file__, {"machine": record.machine(), "kinds": results}, "\n".join(page(results)), given.results
    )


def page(results: dict[str, dict[str, object]]) -> Iterator[str]:
    """Lines of the page."""
    yield from (
        "# Hostile inputs through the real command",
        "",
        f"`python benchmarks/hostile.py` on {record.machine()}. Each kind is {hostile_inputs.WHAT}.",
        "Who is called on the network counts under calls; everything below the sandbox but the folder",
        "of the results is compared before and after. Every command is a process of its own; memory is its peak with",
        "all its libraries, beside that of a harmless command of the kind, which makes the caches of the libraries in",
        "the home folder: where that is near 500 MB, the difference is what the files cost. hostile.json lists what was",
        "said and written.",
        "",
    )
    heads = [
        "kind",
        "tried",
        "refused in one line",
        "read",
        "otherwise",
        "no answer",
        "ran",
        "written outside",
        "calls",
        "peak MB",
        "of an honest one MB",
        "slowest s",
    ]
    rows = []
    for kind, facts in results.items():
        cells = [facts.get(head, "") for head in heads[1:]]
        rows.append([kind, *[len(cell) if isinstance(cell, list) else cell for cell in cells]])
    yield from record.table(heads, rows)


if __name__ == "__main__":
    main()
