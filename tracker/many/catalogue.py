"""The catalogue of a laboratory's runs: found on disk, kept in a small index, asked by DuckDB."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from insitrack.io.errors import OutputError, SettingsError, TableError
from insitrack.io.tables.columns import EVENTS, FRAMES, KINETICS, SERIES, SUMMARY, TRACKS
from insitrack.io.tables.run_folder import MANIFEST
from insitrack.io.write import json_text, write_text
from insitrack.tracker.many.facts import LAST_KNOWN, run_facts

INDEX = ".insitrack_runs.json"
LISTED = (
    "run",
    "status",
    "frames",
    "n",
    "density_per_m2",
    "size_nm",
    "hardening_linear_mpa",
    "trust",
    "started",
)
"""Columns that are listed unless others are asked for."""
_TABLES = {
    table.file.removesuffix(".csv"): table for table in (SERIES, SUMMARY, KINETICS, EVENTS, FRAMES, TRACKS)
}
_VERSION = 1
_ALWAYS = ("run", "status", "reason", "source", "model", "material", "started")
_NUMBERS = (
    "frames",
    "processed",
    "tracks",
    "t_s",
    "dose_dpa",
    "nm_per_px",
    "thickness_nm",
    "trust",
    "n_warnings",
)


class Catalogue:
    """All runs below a folder, one row each.

    What was read of a run stands in an index, and is read again only where its ``run.json`` has changed.

    Parameters
    ----------
    root : Path
        The folder.
    tell : callable, optional
        Gets one line where something cannot be read.

    Attributes
    ----------
    rows : list of dict
        Facts of every run, see `insitrack.tracker.many.facts.run_facts`, and `run`, its folder below the root.

    Raises
    ------
    SettingsError
        If there is no such folder.
    """

    def __init__(self, root: Path, tell: Callable[[str], None] = lambda line: None) -> None:
        if not root.is_dir():
            raise SettingsError(f"{root}: no such folder; expected one with runs in it")
        self.root = root.resolve()
        self._tell = tell
        before = _read_index(self.root / INDEX)
        now: dict[str, dict[str, Any]] = {}
        for name, stamp in runs_below(self.root):
            kept = before.get(name)
            now[name] = kept if kept is not None and kept["stamp"] == stamp else self._read(name, stamp)
        if now != before:
            self._keep(now)
        self.rows = [{"run": name, **one["facts"]} for name, one in sorted(now.items()) if one["facts"]]

    def _read(self, name: str, stamp: list[int]) -> dict[str, Any]:
        """Read the facts of a run; of what is none, or is damaged, there are none."""
        try:
            facts = run_facts(self.root / name)
        except (TableError, KeyError, TypeError, AttributeError) as error:
            self._tell(f"{name}: left out ({error})")
            facts = {}
        return {"stamp": stamp, "facts": facts if facts.get("status") else {}}

    def _keep(self, runs: dict[str, Any]) -> None:
        try:
            write_text(self.root / INDEX, json_text({"version": _VERSION, "runs": runs}, indent=0))
        except OutputError:  # a folder that may only be read is read anew each time
            self._tell(f"{self.root}: cannot be written, so no index is kept and every call reads all runs")

    def select(
        self, where: str = "", columns: Sequence[str] = (), sort: str = ""
    ) -> tuple[list[str], list[Any]]:
        """List runs.

        Parameters
        ----------
        where : str
            Condition on the columns, as in SQL.
        columns : sequence of str
            Columns; by default `LISTED`, as far as a run has them.
        sort : str
            Column by which to sort, the largest first where it begins with a minus.

        Returns
        -------
        names : list of str
        rows : list of tuple

        Raises
        ------
        SettingsError
            If a column is unknown or the condition cannot be understood.
        """
        quoted = ", ".join(f'"{_plain(name)}"' for name in columns or LISTED)
        order = f'"{_plain(sort.lstrip("-"))}" {"DESC" if sort.startswith("-") else "ASC"} NULLS LAST'
        return self.ask(
            f"SELECT {quoted} FROM runs"
            + (f" WHERE ({where}\n)" if where else "")
            + (f" ORDER BY {order}" if sort else "")
        )

    def ask(self, sql: str) -> tuple[list[str], list[Any]]:
        """Answer a question in SQL, which can change nothing and sees no file outside the folder.

        Tables: `runs`, and of all runs together `series`, `summary`, `kinetics`, `events`, `frames` and `tracks`,
        each with a column `run`.

        Parameters
        ----------
        sql : str
            One SELECT.

        Raises
        ------
        SettingsError
            If it is something else, or cannot be answered.
        """
        import duckdb

        with duckdb.connect(":memory:") as database:
            try:
                statements = database.extract_statements(sql)
                if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                    raise SettingsError("--sql: expected one SELECT; the catalogue is only read")
                self._fill(database, sql)
                database.execute(f"SET allowed_directories = ['{_text(self.root)}/']")
                for setting in ("enable_external_access = false", "lock_configuration = true"):
                    database.execute(f"SET {setting}")
                answer = database.execute(statements[0])
                return [one[0] for one in answer.description], answer.fetchall()
            except duckdb.Error as error:
                first = (str(error).strip().splitlines() or [""])[0]
                known = f"; columns of runs: {', '.join(self.columns)}" if "column" in first else ""
                raise SettingsError(f"{first}{known}") from error

    @property
    def columns(self) -> list[str]:
        """Columns of `runs`: those that every catalogue has, then what the runs bring."""
        pairs = (name for column, ends in LAST_KNOWN.items() for name in (column, *ends))
        fixed = (*_ALWAYS, *_NUMBERS, *pairs)
        return list(dict.fromkeys([*fixed, *(name for row in self.rows for name in row)]))

    def _fill(self, database: Any, sql: str) -> None:
        """Make the tables that a question names."""
        import pandas as pd

        texts = {name for row in self.rows for name, value in row.items() if isinstance(value, str)} | {
            *_ALWAYS
        }
        columns = {
            name: pd.array([row.get(name) for row in self.rows], dtype="string")
            if name in texts
            else pd.array([row.get(name, float("nan")) for row in self.rows], dtype="float64")
            for name in self.columns
        }
        database.register("given", pd.DataFrame(columns))
        numbers = ", ".join(
            f'nullif("{name}", \'NaN\'::DOUBLE) AS "{name}"' for name in columns if name not in texts
        )
        words = ", ".join(f'"{name}"' for name in columns if name in texts)
        database.execute(f"CREATE TABLE runs AS SELECT {words}, {numbers} FROM given")
        database.unregister("given")
        for name, table in _TABLES.items():
            if re.search(rf"\b{name}\b", sql, re.IGNORECASE):
                self._view(database, name, table.file)

    def _view(self, database: Any, name: str, file: str) -> None:
        """Make a view of one table of all runs, which is read only as far as it is asked for."""
        paths = [
            f"'{_text(self.root / row['run'] / file)}'"
            for row in self.rows
            if (self.root / row["run"] / file).is_file()
        ]
        if not paths:
            raise SettingsError(f"--sql: no run has a table {name}")
        start, end = len(_text(self.root).replace("''", "'")) + 2, len(file) + 1
        database.execute(
            f"CREATE VIEW {name} AS SELECT substr(filename, {start}, length(filename) - {start + end - 1}) AS run,"
            f" * EXCLUDE (filename) FROM read_csv([{', '.join(paths)}], header=true, delim=',', union_by_name=true,"
            " filename=true, nullstr='')"
        )


def runs_below(root: Path) -> Iterator[tuple[str, list[int]]]:
    """Give every folder with a ``run.json``, and when and how large that was written; no link is followed."""
    waiting = [(os.fspath(root), "")]
    while waiting:
        path, name = waiting.pop()
        inner: list[tuple[str, str]] = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name == MANIFEST and entry.is_file(follow_symlinks=False):
                        facts = entry.stat()
                        yield name or ".", [facts.st_mtime_ns, facts.st_size]
                        inner = []
                        break
                    if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                        inner.append((entry.path, f"{name}/{entry.name}" if name else entry.name))
        except OSError:  # a folder that others may not read holds nothing for us
            continue
        waiting += inner


def _read_index(path: Path) -> dict[str, dict[str, Any]]:
    """Read the index; nothing where it is not there, damaged, or of another version."""
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        runs = index["runs"] if index["version"] == _VERSION else {}
        whole = all(
            isinstance(one["stamp"], list) and isinstance(one["facts"], dict) for one in runs.values()
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    return runs if whole else {}


def _plain(name: str) -> str:
    return name.replace('"', '""')


def _text(path: Path) -> str:
    """Path as it stands between quotes in SQL."""
    return path.as_posix().replace("'", "''")
