"""Measure benchmarks again, and say which figures are older than the code that they measure.

    python benchmarks/run.py                     # lists them all: date, commit, machine, and whether the code has changed
    python benchmarks/run.py linking_speed drift # measures these, one after another
    python benchmarks/run.py --old               # measures all whose figures are older than their code

Each script writes its figures beside itself, and notes date, commit, machine and code in measured.json.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

import measured

from insitrack.io.errors import nearest


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to measure")
    parser.add_argument("--old", action="store_true", help="all whose figures are older than their code")
    parser.add_argument(
        "--smoke", action="store_true", help="tiny inputs: shows that they run; needs --results"
    )
    parser.add_argument("--results", metavar="DIR", help="write the figures here, and note nothing")
    options = parser.parse_args()
    known = measured.names()
    for name in options.names:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near}? " if near else ""
            parser.error(f"{name}: no such benchmark; {hint}Known are {', '.join(known)}")
    if options.smoke and not options.results:
        parser.error("--smoke: figures of tiny inputs mean nothing; say where they go with --results DIR")
    wanted = options.names
    if options.old:
        wanted = [*wanted, *(row.name for row in measured.figures() if row.current is False)]
    failed = [name for name in dict.fromkeys(wanted) if not _measure(name, options)]
    if not wanted:
        for row in measured.figures():
            print(f"{row.name:18} {row.date or '-':10} {row.commit or '-':8} {row.state:20} {row.machine}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _measure(name: str, options: argparse.Namespace) -> bool:
    """Run one benchmark; tell whether it came to its end."""
    words = [sys.executable, str(measured.HERE / f"{name}.py")]
    words += ["--smoke"] if options.smoke else []
    words += ["--results", options.results] if options.results else []
    begun = time.monotonic()
    done = subprocess.run(words, check=False)
    if done.returncode == 0 and not options.results:
        measured.stamp(name)
    print(
        f"{name}: {'done' if done.returncode == 0 else 'FAILED'}, {time.monotonic() - begun:.0f} s",
        file=sys.stderr,
    )
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
