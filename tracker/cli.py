"""The `track` command. Heavy libraries are imported only by the command that needs them."""

from __future__ import annotations

import argparse
import errno
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from insitrack.io.errors import InsitrackError, SettingsError, nearest
from insitrack.io.extras import LEAST_FOR_TABLES_BYTES, check_memory
from insitrack.tracker.commands.arguments.parser import Parser

COMMANDS = (
    "batch",
    "runs",
    "synth",
    "link",
    "series",
    "resume",
    "replay",
    "edit",
    "review",
    "annotate",
    "export",
    "label",
    "eval",
    "train",
    "doctor",
)
"""Commands beside `track SOURCE`; each is a file in `tracker/commands`."""
_MANY = ("batch", "runs")
SHELLS = ("bash", "zsh")
_LESS_MEMORY = "close other programs, raise the limit (ulimit -v), or cut the movie with --start and --end"
_OF_THE_MACHINE = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room: your share of the disk is used up",
    errno.EROFS: "choose another folder",
    errno.EMFILE: "allow more open files: ulimit -n 1024",
    errno.ENFILE: "close other programs",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOMEM: _LESS_MEMORY,
    errno.EIO: "check the disk and the network",
}
"""What stops a run from outside, with what to do; everything else is an error of ours."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name need not be Unicode
    try:
        try:
            return _run(list(sys.argv[1:] if arguments is None else arguments))
        finally:
            _flush()
    except BrokenPipeError:
        if not _reader_has_gone():
            raise
        return 0


def _run(given: list[str]) -> int:
    try:
        if given and given[0] in COMMANDS:
            command, options = _command(given[0]), make_parser(given[0]).parse_args(given[1:])
            check_memory(LEAST_FOR_TABLES_BYTES)
            return int(command.run(options, given))
        if given and given[0] == "--print-completion":
            return _print_completion(given[1:])
        if given:
            _refuse_misspelt(given[0])
        options = make_parser().parse_args(given)
        check_memory()
        return int(_command("").run(options, given))
    except InsitrackError as error:
        print(f"track: {error}", file=sys.stderr)
        return error.exit_status
    except MemoryError:
        print(f"track: not enough memory; {_LESS_MEMORY}", file=sys.stderr)
        return 1
    except RuntimeError as error:  # as the libraries of networks say it
        if not re.search("alloc|out of memory", str(error), re.IGNORECASE):
            raise
        print(f"track: not enough memory; {_LESS_MEMORY}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"track: {where}{error.strerror}; {_OF_THE_MACHINE[error.errno]}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "track: stopped at once; a run that had begun left what it had done in its output folder",
            file=sys.stderr,
        )
        return 1


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _reader_has_gone() -> bool:
    """Whether nobody reads what is printed, as after `| head -1`; what is left of it is then dropped."""
    try:
        print(
            flush=True
        )  # what could not be written before may be dropped already, and flush without a fault
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the very end
        return True
    return False


def make_parser(name: str = "") -> argparse.ArgumentParser:
    """Make the parser of a command; without a name that of `track SOURCE`."""
    command = _command(name)
    parser = Parser(
        prog=f"track {name}".strip(),
        description=command.DESCRIPTION,
        epilog=command.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    if not name:
        parser.add_argument(
            "--print-completion", choices=SHELLS, help="print completion for a shell, and end"
        )
        parser.add_argument("--version", action="version", version=_version())
    return parser


def _command(name: str) -> Any:
    place = f"many.{name}" if name in _MANY else name or "source"
    return import_module(f"insitrack.tracker.commands.{place}")


def _version() -> str:
    from insitrack import __version__

    return f"insitrack {__version__}"


def _refuse_misspelt(source: str) -> None:
    """Refuse a word that is no source but nearly a command."""
    if re.fullmatch(r"\w+", source) and not Path(source).exists():
        near = nearest(source.lower(), COMMANDS)
        if near:
            raise SettingsError(f"{source}: neither a command nor a file; did you mean track {near}?")


def _print_completion(words: Sequence[str]) -> int:
    """Print what a shell needs to complete commands and options."""
    try:
        import shtab
    except ImportError:
        raise SettingsError("--print-completion: needs shtab; pip install shtab") from None

    if len(words) != 1 or words[0] not in SHELLS:
        raise SettingsError(f"--print-completion {' '.join(words)}: expected one of {', '.join(SHELLS)}")
    parser = argparse.ArgumentParser(prog="track", description="Crystal defects in movies.")
    commands = parser.add_subparsers(metavar="COMMAND")
    for name in COMMANDS:
        command = _command(name)
        first = command.DESCRIPTION.strip().splitlines()[0]
        command.add_arguments(commands.add_parser(name, help=first, description=first))
    for action in make_parser()._actions:
        if action.option_strings and action.dest != "help":
            parser._add_action(action)
    print(shtab.complete(parser, words[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
