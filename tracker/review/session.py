"""One review of one run: edits are applied, kept, taken back, and written out as a new run."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from insitrack.io.errors import InsitrackError, TableError
from insitrack.io.tables.records import EDITS
from insitrack.tracker.analysis.edit import edit_run, editable_classes, edited_rows_of
from insitrack.tracker.hindsight.apply import apply_edit
from insitrack.tracker.hindsight.edits import Edit, edit_of, read_edits, write_edits
from insitrack.tracker.hindsight.naming import Naming
from insitrack.tracker.review.state import Reviewable, Reviewed
from insitrack.tracker.run.job.finished import manifest_of

_KEPT = 32
"""States that are kept, so that taking back is quick; earlier ones are made again."""


class Session:
    """Edits of a run, each on disk before it counts.

    Parameters
    ----------
    run : Path
        Folder of a finished run.
    movie : Path or None
        Where its movie is now; None: where it was.
    out : Path or None
        Folder of the new run; None: named after the run.

    Raises
    ------
    TableError
        If the run cannot be read, or the edits that are kept do not fit to it.
    """

    def __init__(self, run: Path, movie: Path | None = None, out: Path | None = None) -> None:
        self.run, self.movie, self._out = run, movie, out
        self.manifest = manifest_of(run)
        self.classes = editable_classes(self.manifest)
        self.made = edited_rows_of(run, self.manifest)
        self.reviewable = Reviewable(run, self.manifest, self.made)
        self.path = run / EDITS.file
        self._lock = threading.RLock()
        self.edits: list[Edit] = []
        self.undone: list[Edit] = []
        self.version = 0
        self.writing, self.written, self.refused = False, "", ""
        self._namings: dict[int, Naming] = {0: self.made.naming}
        if self.path.is_file():
            self.edits = read_edits(self.path, self.classes)
            try:
                self._naming()
            except TableError as error:
                raise TableError(
                    f"{error}; {self.path.name} does not fit to this run: move it away to begin anew"
                ) from None
        self.before = Reviewed(self.reviewable, self.made.naming)
        self.now = self.before if not self.edits else Reviewed(self.reviewable, self._naming(), self.before)

    def do(self, cells: Mapping[str, object]) -> dict[str, Any]:
        """Make an edit, given as the cells of its line.

        Raises
        ------
        InsitrackError
            If it cannot be made, or not be kept; nothing is changed then.
        """
        with self._lock:
            n = len(self.edits)
            edit = edit_of(cells, "this edit", self.classes, line=n + 2)
            after, outcome = apply_edit(self._naming(), edit, self.made.drawing, "this edit")
            now = Reviewed(self.reviewable, after, self.now)
            self._keep([*self.edits, edit])
            self.undone.clear()
            self._namings[n + 1] = after
            self._show(now)
            return {**self.state(), "done": outcome}

    def undo(self) -> dict[str, Any]:
        """Take the last edit back; nothing happens where there is none."""
        return self._move(back=True)

    def redo(self) -> dict[str, Any]:
        """Make the edit again that was taken back last."""
        return self._move(back=False)

    def state(self) -> dict[str, Any]:
        """Edits so far, and what may be taken back or done again."""
        with self._lock:
            return {
                "version": self.version,
                "edits": [edit.cells() for edit in self.edits],
                "n_undone": len(self.undone),
                "changed": sorted(self.now.changed),
                "writing": self.writing,
                "written": self.written,
                "refused": self.refused,
            }

    def write(self) -> dict[str, Any]:
        """Begin to write the new run, in a thread of its own; `state` says when it is there."""
        with self._lock:
            if not self.edits:
                raise TableError("nothing is edited; make an edit first")
            if not self.writing:
                self.writing, self.written, self.refused = True, "", ""
                given = list(self.edits), self._free_folder()
                threading.Thread(target=self._write, args=given, daemon=True).start()
            return self.state()

    def _write(self, edits: list[Edit], out: Path) -> None:
        try:
            with tempfile.TemporaryDirectory() as folder:  # she may go on meanwhile
                table = Path(folder) / EDITS.file
                write_edits(table, edits)
                edit_run(self.run, table, out, self.movie, ["track", "review", str(self.run)])
            self.written = str(out)
        except InsitrackError as error:
            self.refused = str(error)
        except Exception as error:  # it is told on the page, and the edits are kept
            self.refused = f"{type(error).__name__}: {error}"
        finally:
            self.writing = False

    def _free_folder(self) -> Path:
        """Folder that is not there yet: nothing is overwritten."""
        first = self._out or self.run.with_name(f"{self.run.resolve().name}_edited")
        found, n = first, 1
        while found.exists():
            n += 1
            found = first.with_name(f"{first.name}_{n}")
        return found

    def _move(self, *, back: bool) -> dict[str, Any]:
        with self._lock:
            source = self.edits if back else self.undone
            if not source:
                return self.state()
            edits = self.edits[:-1] if back else [*self.edits, self.undone[-1]]
            moved = source[-1]
            self._keep(edits)
            if back:
                self.undone.append(moved)
            else:
                self.undone.pop()
            now = self.before if not edits else Reviewed(self.reviewable, self._naming(), self.now)
            self._show(now)
            return {**self.state(), "done": moved.cells()}

    def _keep(self, edits: list[Edit]) -> None:
        """Put the edits on disk; the file goes where the last one is taken back."""
        if edits:
            write_edits(self.path, edits)
        else:
            self.path.unlink(missing_ok=True)
        self.edits = edits

    def _show(self, now: Reviewed) -> None:
        self.now = now
        self.version += 1
        for n in sorted(self._namings)[1:-_KEPT]:
            del self._namings[n]

    def _naming(self) -> Naming:
        """Tracks and classes under all edits."""
        n = len(self.edits)
        start = max(k for k in self._namings if k <= n)
        naming = self._namings[start]
        for k in range(start, n):
            naming, _ = apply_edit(naming, self.edits[k], self.made.drawing, f"{self.path}: line {k + 2}")
        self._namings = {k: one for k, one in self._namings.items() if k <= n} | {n: naming}
        return naming
