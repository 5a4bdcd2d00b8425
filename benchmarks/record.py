"""What every benchmark has in common: where its figures go, a small mode, and the machine that they are of."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import measured
from measured import machine as machine

from insitrack.io.write import write_text

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Published data sets, where they lie beside the repository."""


def options(text: str | None) -> argparse.ArgumentParser:
    """Make a parser that knows what every benchmark takes.

    Parameters
    ----------
    text : str
        Docstring of the script, shown by ``--help``.

    Returns
    -------
    argparse.ArgumentParser
        With ``--smoke``, ``--results``; the script adds its own.
    """
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="seconds on tiny inputs: shows that the script runs; the figures mean nothing",
    )
    parser.add_argument(
        "--results",
        type=_folder,
        default=Path(__file__).parent,
        metavar="DIR",
        help="write the figures here (default: beside the script)",
    )
    return parser


def _folder(text: str) -> Path:
    folder = Path(text)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def earlier(script: str, folder: Path) -> Any:
    """Read what `keep` wrote before, for a benchmark of which parts run alone; an empty dict where nothing is."""
    path = folder / f"{Path(script).stem}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def keep(script: str, facts: Any, page: str, folder: Path) -> None:
    """Write the figures of a benchmark as JSON, and the page made from them; and print the page.

    Parameters
    ----------
    script : str
        ``__file__`` of the benchmark, whose name both files take.
    facts : dict or list
        What was measured; written as JSON.
    page : str
        The same for people, Markdown.
    folder : Path
        Where both are written.
    """
    name = Path(script).stem
    write_text(folder / f"{name}.json", json.dumps(facts, indent=1) + "\n")
    write_text(folder / f"{name}.md", page.rstrip("\n") + "\n")
    if folder.resolve() == measured.HERE:
        measured.stamp(name)
    print(page)


def table(heads: list[str], rows: list[list[Any]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]
