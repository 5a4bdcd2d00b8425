"""Size and time of an installation: the environment after each `pip install`, and after the README's first command.

    python benchmarks/install.py [--extras "" train test] [--folder DIR]

Every set is installed into an environment of its own, which is removed afterwards. First all packages are downloaded,
then installed from the disk, so that the time beside the download stands alone. The processor's own seconds are given
beside those of the clock: on a machine that does other work the clock tells of that work.
"""

from __future__ import annotations

import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import record

MEASURES = ("pyproject.toml",)

ROOT = Path(__file__).resolve().parents[1]


def disk_mb(folder: Path) -> float:
    """Space on the disk, MB (10^6 bytes), of files and folders; what is linked twice counts once."""
    seen: set[tuple[int, int]] = set()
    size = 0
    for path in (folder, *folder.rglob("*")):
        facts = path.lstat()
        if (facts.st_dev, facts.st_ino) not in seen:
            seen.add((facts.st_dev, facts.st_ino))
            size += facts.st_blocks * 512
    return size / 1e6


def timed(command: list[str], folder: Path) -> dict[str, float]:
    """Seconds of the clock, and of the processor, that a command takes."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    # compiled copies of imported code belong to what an installation takes
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=plain)
    clock = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)}\n{done.stderr[-2000:]}")
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"clock_s": round(clock, 1), "processor_s": round(processor, 1)}


def demo() -> list[str]:
    """Arguments of `track` in the README's first command."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- demo -->\n```console\n\$ [^\n]*/track ([^\n]*)\n", text)
    if found is None:
        raise SystemExit("README.md: no command with `track` below <!-- demo -->")
    return shlex.split(found.group(1))


def source_of(extra: str) -> str:
    return f"{ROOT}[{extra}]" if extra else str(ROOT)


def measure(extra: str, folder: Path, smoke: bool) -> dict[str, Any]:
    """Install one set of packages, and measure; the core also runs the demo."""
    environment, wheels, place = folder / "venv", folder / "wheels", folder / "run"
    place.mkdir()
    made = timed([sys.executable, "-m", "venv", str(environment)], folder)
    python = str(environment / "bin" / "python")
    pip = [sys.executable if smoke else python, "-m", "pip", "--quiet"]
    only = ["--no-deps", "--no-build-isolation"] if smoke else []
    download = timed([*pip, "wheel", "--no-cache-dir", *only, "-w", str(wheels), source_of(extra)], place)
    wheel = str(next(wheels.glob("insitrack-*.whl"))) + (f"[{extra}]" if extra else "")
    pip = [*pip, "--python", python] if smoke else pip
    local = ["install", "--no-compile", "--no-index", "--find-links", str(wheels), *only[:1], wheel]
    facts: dict[str, Any] = {
        "environment": made,
        "download": download | {"mb": round(sum(path.stat().st_size for path in wheels.iterdir()) / 1e6)},
        "install": timed([*pip, *local], place),
        "packages": len(list(environment.glob("lib/python*/site-packages/*.dist-info"))),
        "installed_mb": round(disk_mb(environment)),
    }
    if not extra and not smoke:
        facts["demo"] = timed([str(environment / "bin" / "track"), *demo()], place)
        facts["after_demo_mb"] = round(disk_mb(environment))
    return facts


def page(result: dict[str, Any]) -> str:
    heads = [
        "installed",
        "packages",
        "download, MB",
        "environment, MB",
        "environment made, s",
        "installed, s",
    ]
    rows = []
    for name, one in result["sets"].items():
        seconds = (
            f"{one[step]['clock_s']} ({one[step]['processor_s']})" for step in ("environment", "install")
        )
        size = f"{one['installed_mb']}" + (
            f", {one['after_demo_mb']} after the demo" if "demo" in one else ""
        )
        rows.append([f"`{name}`", one["packages"], one["download"]["mb"], size, *seconds])
    lines = [
        "# Size and time of an installation",
        "",
        f"`{result['command']}`, without the compiled copies of the code that Python makes when it first imports it",
        f"(`--no-compile`); {result['machine']}, {result['load']} other processes waiting. MB are 10^6 bytes on the",
        "disk, the whole environment; seconds are those of the clock, in brackets those of the processor.",
        "",
        *record.table(heads, rows),
    ]
    core = result["sets"].get(".")
    if core and "demo" in core:
        steps = ("environment", "install", "demo")
        clock, processor = (sum(core[step][kind] for step in steps) for kind in ("clock_s", "processor_s"))
        lines += [
            "",
            f"The README's first command, beside the download: {clock:.0f} s of the clock, {processor:.0f} s of the",
            f"processor, of which the demo takes {core['demo']['clock_s']} s ({core['demo']['processor_s']} s).",
        ]
    return "\n".join(lines)


def main() -> None:
    parser = record.options(__doc__)
    parser.add_argument("--extras", nargs="*", default=["", "train"], help="sets to install; '' is the core")
    parser.add_argument("--folder", type=Path, help="where the environments are made (default: temporary)")
    given = parser.parse_args()
    load = round(os.getloadavg()[0], 1)
    sets: dict[str, Any] = {}
    for extra in [""] if given.smoke else given.extras:
        folder = Path(tempfile.mkdtemp(prefix="install_", dir=given.folder))
        try:
            sets[f".[{extra}]" if extra else "."] = measure(extra, folder, given.smoke)
        finally:
            shutil.rmtree(folder)
    command = shlex.join(["python", "benchmarks/install.py", "--extras", *given.extras])
    result = {"machine": record.machine(), "command": command, "load": load, "sets": sets}
    record.keep(__file__, result, page(result), given.results)


if __name__ == "__main__":
    main()
