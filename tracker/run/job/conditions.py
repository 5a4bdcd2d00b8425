"""How ``settings.csv`` begins, and how it goes on with a run that was cut off."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from insitrack.io.errors import OutputError
from insitrack.io.tables.records import SETTINGS
from insitrack.tracker.run.state import State
from insitrack.tracker.series.conditions import Change, read_conditions, write_changes
from insitrack.tracker.series.meter import SeriesMeter


def begin_record(folder: Path, meter: SeriesMeter, state: State | None) -> Callable[[], None]:
    """Let the meter follow the record of a run; what is returned writes the lines with which it begins or goes on.

    A setting that was changed after the last state of a run that was cut off is not lost: it holds from the
    first frame after the cut on.

    Raises
    ------
    InsitrackError
        If the record is not as it was when the run was cut off; nothing is changed then.
    """
    path = folder / SETTINGS.file
    lines = list(meter.conditions.changes) if state is None else _carried_over(path, meter, state)

    def write() -> None:
        try:
            write_changes(path, lines)
        except OSError as error:
            raise OutputError(
                f"{path}: cannot be written ({error.strerror}); choose another folder with --out"
            ) from error

    return write


def _carried_over(path: Path, meter: SeriesMeter, state: State) -> list[Change]:
    """Check what was recorded, let the meter follow it, and return the lines to add."""
    facts = state.facts
    try:
        begun = path.read_bytes()[: facts.settings_bytes]
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be read ({error.strerror}); restore it, or start a new run"
        ) from error
    if len(begun) != facts.settings_bytes or hashlib.sha256(begun).hexdigest() != facts.settings_sha256:
        raise OutputError(
            f"{path}: is not as it was when the run was cut off; restore it, or start a new run"
        )
    recorded = read_conditions(path)
    late = [one for one in recorded.changes if one.frame > facts.next_index]
    lines = [replace(one, frame=facts.next_index, by="resume") for one in late]
    meter.follow(recorded.then(*lines))
    return lines
