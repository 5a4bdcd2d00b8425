"""Write the pages that follow from the code: every column, every setting and every command.

    python docs/generate.py

``tests/test_docs.py`` fails while one of them differs from what this script writes.
"""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

DOCS = Path(__file__).resolve().parent
SETTINGS = DOCS.parent / "configs" / "default.toml"
COMMANDS = (
    "",
    "batch",
    "runs",
    "series",
    "link",
    "edit",
    "review",
    "annotate",
    "export",
    "resume",
    "replay",
    "eval",
    "label",
    "train",
    "synth",
    "doctor",
)
_KEY = re.compile(r"(?P<off># )?(?P<key>[a-z_0-9]+) = (?P<value>.*)")


def pages() -> dict[str, str]:
    """Return the text of each generated page by its name in ``docs``."""
    from insitrack.io.tables.columns import describe_columns
    from insitrack.tracker.many.facts import BATCH
    from insitrack.tracker.many.status import STATUS

    return {
        "tables.md": describe_columns(STATUS, BATCH),
        "settings.md": settings_page(),
        "commands.md": commands_page(),
    }


def settings_page() -> str:
    """Every setting with its default and meaning, from ``configs/default.toml``."""
    lines = [
        "# Settings",
        "",
        "Give single settings with `--set section.key=value`, or several in a TOML file with `--config FILE`; a key that is not",
        "listed here is refused. Where the default is in brackets the setting has none: what depends on it is not known until you",
        "give it, and the value in brackets is an example. This page is written by `docs/generate.py` from `configs/default.toml`.",
    ]
    section = ""
    for line in SETTINGS.read_text(encoding="utf-8").splitlines():
        heading = re.match(r"\[(\w+)\]\s*(?:# (.*))?", line)
        if heading:
            section = heading.group(1)
            lines += ["", f"## {section}", ""] + (
                [_sentence(heading.group(2)), ""] if heading.group(2) else []
            )
            lines += ["| setting | default | meaning |", "|---|---|---|"]
        elif found := _KEY.fullmatch(line):
            if not section and lines[-1] != "|---|---|---|":
                lines += ["", "| setting | default | meaning |", "|---|---|---|"]
            value, meaning = _value_and_comment(found["value"])
            default = f"(`{value}`)" if found["off"] else f"`{value}`"
            key = f"{section}.{found['key']}" if section else found["key"]
            lines.append(f"| `{key}` | {default} | {_cell(meaning)} |")
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Every command with its arguments and options, from the argument parsers."""
    lines = [
        "# Commands",
        "",
        "Exit status: 0 done; 1 the run failed; 2 change something and try again. Numbers use a decimal point. This page is written",
        "by `docs/generate.py` from the argument parsers; `track COMMAND --help` prints the same.",
    ]
    for command in COMMANDS:
        parser = parser_of(command)
        lines += ["", f"## track {command or 'SOURCE'}", "", *_description(parser.description or "")]
        lines += ["", "| argument | meaning |", "|---|---|"]
        lines += [f"| {_names(action)} | {_cell(_help(parser, action))} |" for action in _actions(parser)]
    return "\n".join(lines) + "\n"


def parser_of(command: str) -> argparse.ArgumentParser:
    """Return the parser that answers ``track COMMAND --help``."""
    from insitrack.tracker.cli import main

    asked: list[argparse.ArgumentParser] = []
    words = [command, "--help"] if command else ["--help"]
    with (
        patch.object(argparse.ArgumentParser, "print_help", lambda self, file=None: asked.append(self)),
        contextlib.suppress(SystemExit),
    ):
        main(words)
    return asked[-1]


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if action.help != argparse.SUPPRESS and not isinstance(
            action, (argparse._HelpAction, argparse._SubParsersAction)
        ):
            yield action


def _names(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    if action.choices:
        metavar = metavar or ", ".join(map(str, action.choices))
    if not action.option_strings:
        return f"`{metavar or action.dest}`"
    takes_value = action.nargs != 0
    names = ", ".join(f"`{name}`" for name in action.option_strings)
    return f"{names} {_cell(metavar or action.dest.upper())}" if takes_value else names


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    text = action.help or ""
    return text % {**vars(action), "prog": parser.prog} if "%(" in text else text.replace("%%", "%")


def _description(text: str) -> list[str]:
    """Prose as it is, indented examples as a block."""
    lines: list[str] = []
    for line in text.strip().splitlines():
        example = line.startswith("  ")
        if example and not (lines and lines[-1].startswith("  ")):
            lines += ["<!-- not run: from the help text -->", "```text"]
        elif not example and lines and lines[-1].startswith("  "):
            lines.append("```")
        lines.append(line)
    return [*lines, "```"] if lines and lines[-1].startswith("  ") else lines


def _value_and_comment(text: str) -> tuple[str, str]:
    """Split a TOML value from the comment behind it; a # in quotes is none."""
    quoted = False
    for i, letter in enumerate(text):
        quoted ^= letter == '"'
        if letter == "#" and not quoted:
            return text[:i].strip(), text[i + 1 :].strip()
    return text.strip(), ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _sentence(text: str) -> str:
    """Write a comment as a sentence; one that begins with an address says what the section is for."""
    if re.match(r"\w+:", text):
        return f"For {text}."
    return text[:1].upper() + text[1:].rstrip(".") + "."


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
