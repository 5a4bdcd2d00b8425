"""When each benchmark was last measured, and whether the code that it measures has changed since.

What a benchmark depends on is found, not listed: its script, the scripts beside it and the modules of insitrack that
these import, and what those import when they are loaded; of a network its weights. A script that measures commands of
`track` names their wings, or files, in ``MEASURES``. Comments, docstrings and line breaks do not count as changes.
"""

from __future__ import annotations

import ast
import datetime
import functools
import hashlib
import io
import json
import os
import platform
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
STAMPS = "measured.json"
"""When, where and of what code the figures in a folder are, by the name of the benchmark."""
_MAIN = re.compile(r"^if __name__ == ", re.MULTILINE)
_HARNESS = ("record", "measured")
_DOORS = {"insitrack.track": "tracker/run/track.py", "insitrack.open_run": "io/tables/run_folder.py"}


class Figures(NamedTuple):
    """Where the figures of one benchmark stand.

    Parameters
    ----------
    name, title : str
        Name of the script, and what it says of itself.
    date, commit, machine : str
        When they were measured, and of what; empty where they never were, or nobody noted it.
    current : bool or None
        Whether the code is still the one that was measured; None where there are no figures.
    """

    name: str
    title: str
    date: str
    commit: str
    machine: str
    current: bool | None

    @property
    def state(self) -> str:
        """The same in words."""
        words = {True: "current", False: "older than the code", None: "not measured"}
        return words[self.current]


def names(root: Path = ROOT) -> list[str]:
    """Name every benchmark that can be run."""
    scripts = sorted((root / "benchmarks").glob("*.py"))
    return [
        path.stem for path in scripts if path.stem != "run" and _MAIN.search(path.read_text(encoding="utf-8"))
    ]


def depends(name: str, root: Path = ROOT) -> list[Path]:
    """Find the files that the figures of a benchmark depend on."""
    found: dict[Path, None] = {}
    waiting = [root / "benchmarks" / f"{name}.py"]
    while waiting:
        path = waiting.pop()
        if path in found or not path.is_file():
            continue
        found[path] = None
        if path.suffix == ".py":
            waiting += _imported(path, root, path.stat().st_mtime_ns)
    own = [path for path in found if path.parent == root / "benchmarks"]
    texts = "".join(path.read_text(encoding="utf-8") for path in own)
    if any(path.match("segment/models.py") for path in found):
        weights = (root / "segment" / "weights").glob("*.onnx")
        found |= {path: None for path in weights if f'"{path.stem}"' in texts}
    return sorted(found)


@functools.cache
def _imported(path: Path, root: Path, changed_ns: int) -> tuple[Path, ...]:
    return tuple(_imports(path, root))


def _imports(path: Path, root: Path) -> Iterator[Path]:
    """Files that a file imports; of a module only what it needs to be loaded, of a benchmark also what runs later."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    script = path.parent == root / "benchmarks"
    nodes: list[ast.stmt] = (
        [node for node in ast.walk(tree) if isinstance(node, ast.stmt)] if script else tree.body
    )
    for node in nodes:
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            targets = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif script and isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MEASURES":
            for named in ast.literal_eval(node.value):
                place = root / named
                yield from [place] if place.is_file() else sorted(place.rglob("*.py"))
            continue
        else:
            continue
        for target in targets:
            if target in _DOORS:
                yield root / _DOORS[target]
            elif target.startswith("insitrack."):
                place = root.joinpath(*target.split(".")[1:])
                yield from (place.with_suffix(".py"), place / "__init__.py")
            elif script and target not in _HARNESS:
                yield root / "benchmarks" / f"{target}.py"


def hash_of(name: str, root: Path = ROOT) -> str:
    """Hash of everything that the figures of a benchmark depend on.

    Parameters
    ----------
    name : str
        Name of the script.
    root : Path
        Root of the repository.
    """
    whole = hashlib.sha256()
    for path in depends(name, root):
        whole.update(
            path.relative_to(root).as_posix().encode() + _hash_of_file(path, path.stat().st_mtime_ns)
        )
    return whole.hexdigest()[:16]


@functools.cache
def _hash_of_file(path: Path, changed_ns: int) -> bytes:
    content = _code(path.read_text(encoding="utf-8")) if path.suffix == ".py" else path.read_bytes()
    return hashlib.sha256(content).digest()


def _code(text: str) -> bytes:
    """Program text without comments, docstrings and white space: what runs, the same in every version of Python."""
    lines = text.splitlines(keepends=True)
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        for one in body if isinstance(body, list) else []:
            if (
                isinstance(one, ast.Expr)
                and isinstance(one.value, ast.Constant)
                and isinstance(one.value.value, str)
            ):
                for line in range(one.lineno - 1, one.end_lineno or one.lineno):
                    lines[line] = "\n"
    kept = "".join(lines)
    cut = kept.splitlines(keepends=True)
    try:
        for token in tokenize.generate_tokens(io.StringIO(kept).readline):
            if token.type == tokenize.COMMENT:
                row, column = token.start
                cut[row - 1] = cut[row - 1][:column]
    except (tokenize.TokenError, IndentationError):  # a body that was a docstring alone
        cut = kept.splitlines(keepends=True)
    joined = "".join("".join(cut).split())
    for bracket in ")]}":
        joined = joined.replace("," + bracket, bracket)
    return joined.encode()


def machine() -> str:
    """Architecture, cores that may be used, and version of Python."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{platform.machine()}, {cores} cores, Python {platform.python_version()}"


def stamp(name: str, root: Path = ROOT) -> None:
    """Note that the figures of a benchmark were measured now, by the code as it is."""
    folder = root / "benchmarks"
    stamps = read_stamps(folder)
    stamps[name] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": _commit(root),
        "machine": machine(),
        "code": hash_of(name, root),
    }
    text = json.dumps(dict(sorted(stamps.items())), indent=1) + "\n"
    (folder / STAMPS).write_text(text, encoding="utf-8")


def read_stamps(folder: Path = HERE) -> dict[str, dict[str, str]]:
    """Read what was noted of the figures in a folder."""
    path = folder / STAMPS
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _commit(root: Path) -> str:
    """Return the commit that is checked out, with + where files were changed since; empty outside git."""
    git = ["git", "-C", str(root)]
    done = subprocess.run(
        [*git, "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return ""
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD"], capture_output=True, check=False).returncode
    return done.stdout.strip() + ("+" if changed else "")


def figures(root: Path = ROOT) -> list[Figures]:
    """Say of every benchmark when it was measured, and whether its code has changed since."""
    stamps = read_stamps(root / "benchmarks")
    answer = []
    for name in names(root):
        text = (root / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
        title = (ast.get_docstring(ast.parse(text)) or name).split("\n\n")[0].replace("\n", " ")
        known = stamps.get(name)
        there = any((root / "benchmarks" / f"{name}{end}").is_file() for end in (".json", ".md"))
        current = known["code"] == hash_of(name, root) if known else (False if there else None)
        noted = known or {"date": "", "commit": "", "machine": ""}
        answer.append(Figures(name, title, noted["date"], noted["commit"], noted["machine"], current))
    return answer


def note(row: Figures) -> str:
    """Say under the title of a page of figures when they were measured, and whether they are of the code as it is."""
    if not row.date:
        return ""
    of = f"Figures of {row.date}" + (f", commit {row.commit}" if row.commit else "")
    return f"*{of}.*" if row.current else f"*{of}: older than the code, which has changed since.*"


def page(rows: list[Figures]) -> str:
    """Write a page that lists every benchmark, the date of its figures, and whether they are of the code as it is."""
    lines = [
        "# Benchmarks",
        "",
        "Every figure in these pages comes from a script in `benchmarks/`. A figure is *current* while nothing that the",
        "script measures has changed since: its own code, the modules that it loads, and the weights of its network.",
        "`python benchmarks/run.py --old` measures the others again.",
        "",
        "| benchmark | what it measures | figures of | commit | machine | |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        link = (
            f"[{row.name}](benchmarks/{row.name}.md)"
            if (HERE / f"{row.name}.md").is_file()
            else f"`{row.name}`"
        )
        cells = (link, row.title.rstrip(".:").replace("|", "/"), row.date, row.commit, row.machine, row.state)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
