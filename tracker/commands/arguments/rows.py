"""The movies of a batch: a table whose columns are options of `track`, a folder, or a pattern."""

from __future__ import annotations

import argparse
import copy
import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from insitrack.io.errors import InsitrackError, SettingsError, SourceError, nearest
from insitrack.io.manifest import without_password
from insitrack.tracker.commands.arguments.parser import Parser
from insitrack.tracker.commands.arguments.run_options import add_run_options, run_settings

if TYPE_CHECKING:
    from insitrack.tracker.many.movies import Movie

PATH, LABEL = "path", "label"
MOVIE_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".mpg", ".mpeg", ".m4v", ".webm", ".wmv", ".tif", ".tiff")
_TRUE, _FALSE = ("1", "yes", "true", "x"), ("", "0", "no", "false")
_LIVE = ("watch:", "camera:", "screen:")
_EXPECTED = "a table (CSV) with a column path, a folder of movies, or a pattern such as 'night1/*.dm4'"


def movies_of(given: str, common: argparse.Namespace, out: Path, facts: Sequence[str] = ()) -> list[Movie]:
    """Find the movies of a batch and resolve the settings of each, before anything starts.

    Parameters
    ----------
    given : str
        Table, folder or pattern.
    common : argparse.Namespace
        Options for all movies; those of a row go before them.
    out : Path
        Folder of the batch, in which every movie has its own.
    facts : sequence of str
        Columns that only describe the movies.

    Raises
    ------
    InsitrackError
        If a column is unknown, a movie is missing, an option is impossible, or two movies share a folder.
    """
    path = Path(given)
    if path.is_file() and path.suffix.lower() in (".csv", ".tsv", ".txt", ".parquet"):
        rows, above = _table_rows(path), path.resolve().parent
    else:
        rows, above = [(found, {PATH: found}) for found in _found(path, given)], Path.cwd()
    if not rows:
        raise SettingsError(f"{given}: no movie in it; expected {_EXPECTED}")
    parser = _row_parser()
    _refuse_unknown(given, rows[0][1], parser, facts)
    movies: list[Movie] = []
    for where, cells in rows:
        try:
            movies.append(_movie(cells, common, parser, above, out, where))
        except InsitrackError as error:
            raise type(error)(f"{where}: {error}") from error
    _refuse_shared_folders(movies)
    return movies


def _table_rows(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Read a table: where each row stands, and its cells that are not empty."""
    from insitrack.io.tables.engine import read_text

    table = read_text(path, _EXPECTED)
    names = [str(name).strip() for name in table.columns]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SettingsError(f"{path}: line 1 has the column {twice!r} twice; leave one out")
    rows = []
    for number, cells in enumerate(table.itertuples(index=False, name=None), 2):
        row = {name: str(cell).strip() for name, cell in zip(names, cells, strict=True)}
        if any(row.values()):
            rows.append((f"{path} line {number}", row))
    return rows


def _found(path: Path, given: str) -> list[str]:
    """Movies of a folder, or what fits a pattern."""
    from insitrack.io.files.folder import VENDOR_SUFFIXES

    if path.is_dir():
        known = MOVIE_SUFFIXES + VENDOR_SUFFIXES
        return [str(one) for one in sorted(path.iterdir()) if one.is_file() and one.suffix.lower() in known]
    if set("*?[") & set(given):
        return sorted(glob.glob(given, recursive=True))  # noqa: PTH207 a pattern may be absolute
    if path.is_file():
        raise SettingsError(f"{given}: one movie; expected {_EXPECTED}; for one movie: track {given}")
    raise SettingsError(f"{given}: no such table or folder; expected {_EXPECTED}")


def _row_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="track", add_help=False, allow_abbrev=False)
    add_run_options(parser)
    return parser


def _options_by_column(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    return {action.dest: action for action in parser._actions if action.option_strings}


def _refuse_unknown(
    given: str, cells: dict[str, str], parser: argparse.ArgumentParser, facts: Sequence[str]
) -> None:
    known = _options_by_column(parser)
    if PATH not in cells:
        raise SettingsError(f"{given}: line 1 lacks the column path; expected one row a movie")
    for name in facts:
        if name in known or name in (PATH, LABEL):
            raise SettingsError(f"--facts {name}: is an option of track; leave it out of --facts")
        if name not in cells:
            near = nearest(name, cells)
            hint = f"; did you mean {near}?" if near else ""
            raise SettingsError(f"--facts {name}: {given} has no such column{hint}")
    for name in cells:
        if name in known or name in (PATH, LABEL, *facts) or "." in name:
            continue
        near = nearest(name.lower().replace("-", "_").lstrip("_"), [PATH, LABEL, *known])
        hint = f"did you mean {near}? " if near else ""
        raise SettingsError(
            f"{given}: column {name!r} is no option of track; {hint}a column that only describes the movies is"
            f" named by --facts {name or 'NAME'}"
        )


def _movie(
    cells: dict[str, str],
    common: argparse.Namespace,
    parser: argparse.ArgumentParser,
    above: Path,
    out: Path,
    where: str,
) -> Movie:
    """Resolve one row."""
    from insitrack.io.tables.run_folder import default_folder
    from insitrack.tracker.many.movies import Movie, check_settings, with_whole_paths

    uri = _source(cells.get(PATH, ""), above)
    words = _words(cells, parser)
    options = parser.parse_args(words, copy.deepcopy(common))
    settings = with_whole_paths(run_settings(options), (above, Path.cwd()))
    check_settings(settings)
    label = cells.get(LABEL, "")
    if label and (Path(label).name != label or label.startswith(".")):
        raise SettingsError(f"label {label!r}: expected a name without / that does not begin with a dot")
    name = label or default_folder(uri).name.removesuffix("_track")
    return Movie(name, uri, out / name, settings, cells, where)


def _source(text: str, above: Path) -> str:
    """Return the address of a movie, from the folder of the table or else the present one."""
    if not text:
        raise SettingsError("the path is empty; expected a movie")
    if text.startswith("synth:"):
        return text
    if text.startswith(_LIVE) or "://" in text:
        shown = without_password(text)
        raise SettingsError(f"{shown}: a live source; expected a movie that can be read again: track {shown}")
    for place in (above / text, Path(text)):
        if place.exists():
            return str(place.resolve())
        if set("*?[") & set(text) and glob.glob(str(place)):  # noqa: PTH207 a pattern may be absolute
            return str(place.absolute())
    raise SourceError(
        f"{text}: no such movie or folder; paths are those from the table's folder or from here"
    )


def _words(cells: dict[str, str], parser: argparse.ArgumentParser) -> list[str]:
    """Options that a row stands for, as they would be typed."""
    words: list[str] = []
    actions = _options_by_column(parser)
    for name, cell in cells.items():
        if "." in name and name not in actions:
            words += ["--set", f"{name}={cell}"] if cell else []
            continue
        action = actions.get(name)
        if action is None or (not cell and action.nargs != 0):
            continue
        option = action.option_strings[-1]
        if action.nargs == 0:
            if cell.lower() not in (*_TRUE, *_FALSE):
                raise SettingsError(f"{name} {cell!r}: expected yes or no")
            words += [option] if cell.lower() in _TRUE else []
        elif name == "set":
            words += [f"{option}={part.strip()}" for part in cell.split(";") if part.strip()]
        else:
            words.append(f"{option}={cell}")
    return words


def _refuse_shared_folders(movies: Sequence[Movie]) -> None:
    seen: dict[str, Movie] = {}
    for one in movies:
        before = seen.setdefault(one.name.casefold(), one)  # some drives take no notice of capitals
        if before is not one:
            raise SettingsError(
                f"{one.where}: its results would go into {one.folder}, as those of {before.where}; give each row a"
                " label of its own"
            )
