"""Foil thickness, dose rate and material in time: what held at which frame of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from insitrack.io.errors import TableError
from insitrack.io.results import NAN
from insitrack.io.tables.records import SETTINGS, append_rows, read_rows

THICKNESS, THICKNESS_SD = "thickness_nm", "thickness_sd_nm"
DOSE_RATE, MATERIAL, LOG = "dose_rate_dpa_per_s", "material", "log"
_WHAT = (THICKNESS, THICKNESS_SD, DOSE_RATE, MATERIAL, LOG)
GIVEN = "constants given singly"
"""Stands for a material of which no name is known, only its constants."""
LEAST_THICKNESS_NM = 1e-3
"""Less is no figure of a file either."""
MOST_CHANGES = 10_000
SEVERAL = -1
"""Stands for frames for which not the same holds."""


@dataclass(frozen=True, slots=True)
class Change:
    """One line of ``settings.csv``.

    Parameters
    ----------
    frame : int
        First frame for which it holds.
    t_s : float
        Time from which it holds, s.
    what : {"thickness_nm", "thickness_sd_nm", "dose_rate_dpa_per_s", "material", "log"}
        The setting.
    to : str
        Its value as text; empty where it is not known.
    by : str
        Who set it.
    before : str
        Its value before.
    clock : str
        When it was set, UTC.
    """

    frame: int
    t_s: float
    what: str
    to: str
    by: str = "command"
    before: str = ""
    clock: str = ""

    def cells(self) -> dict[str, str]:
        """Texts for the table."""
        return {
            "frame": str(self.frame),
            "t_s": f"{self.t_s:.6f}" if math.isfinite(self.t_s) else "",
            "clock": self.clock or datetime.now(UTC).isoformat(timespec="milliseconds"),
            "what": self.what,
            "from": self.before,
            "to": self.to,
            "by": self.by,
        }


@dataclass(frozen=True, slots=True)
class Foil:
    """What holds for some frames: thickness with its standard deviation, nm, and the name of the material."""

    thickness_nm: float | None = None
    thickness_sd_nm: float = 0.0
    material: str | None = None


@dataclass(frozen=True, slots=True)
class Conditions:
    """Thickness, dose rate and material of a run in time; whoever needs one at a frame asks here.

    Parameters
    ----------
    changes : tuple of Change
        In the order in which they were written: a later one goes before an earlier one from its frame on.

    Examples
    --------
    >>> held = Conditions((Change(0, 0.0, "thickness_nm", "100"), Change(30, 1.5, "thickness_nm", "50")))
    >>> held.foil(29).thickness_nm, held.foil(30).thickness_nm, held.foil(SEVERAL).thickness_nm
    (100.0, 50.0, None)
    """

    changes: tuple[Change, ...] = ()

    def then(self, *changes: Change) -> Conditions:
        """Return the same with further changes."""
        return replace(self, changes=(*self.changes, *changes))

    def without(self, what: Iterable[str]) -> Conditions:
        """Return the same without a word of some settings."""
        left = set(what)
        return replace(self, changes=tuple(one for one in self.changes if one.what not in left))

    def of(self, what: str) -> list[Change]:
        """Return the changes of one setting that hold somewhere, their frames rising."""
        held: list[Change] = []
        for one in self.changes:
            if one.what == what or (what == THICKNESS_SD and one.what == THICKNESS):
                while held and held[-1].frame >= one.frame:
                    held.pop()
                # another thickness has no error of its own until one is given
                held.append(one if one.what == what else replace(one, what=what, to=""))
        return held

    def at(self, what: str, frame: int) -> str:
        """Value of a setting at a frame, as text; empty where it is not known."""
        return next((one.to for one in reversed(self.of(what)) if one.frame <= frame), "")

    def stretches(self) -> list[tuple[int, Foil]]:
        """Return the first frames of the stretches with the same thickness and material, and what holds there."""
        found = [(0, Foil())]
        changes = [one for what in (THICKNESS, THICKNESS_SD, MATERIAL) for one in self.of(what)]
        for one in sorted(changes, key=lambda one: one.frame):
            value: Any = (one.to or None) if one.what == MATERIAL else float(one.to) if one.to else None
            if one.what == THICKNESS_SD:
                value = value or 0.0
            foil = replace(found[-1][1], **{one.what: value})
            if one.frame == found[-1][0]:
                found.pop()
            if not found or foil != found[-1][1]:
                found.append((one.frame, foil))
        return found

    def foil(self, frame: int) -> Foil:
        """Return what holds at a frame; of `SEVERAL`, what is the same all the time."""
        stretches = self.stretches()
        if frame != SEVERAL:
            return next(foil for start, foil in reversed(stretches) if start <= frame)
        foils = [foil for _, foil in stretches]
        first = foils[0]
        if any(one.thickness_nm != first.thickness_nm for one in foils):
            first = replace(first, thickness_nm=None, thickness_sd_nm=0.0)
        else:
            first = replace(first, thickness_sd_nm=max(one.thickness_sd_nm for one in foils))
        return first if len({one.material for one in foils}) == 1 else replace(first, material=None)

    def dose_rates(self) -> tuple[float, tuple[tuple[float, float], ...]]:
        """Return the dose rate from the beginning on, dpa/s, NaN where unknown, and (t_s, rate) of later ones."""
        first, steps = NAN, list[tuple[float, float]]()
        for one in self.changes:
            if one.what != DOSE_RATE:
                continue
            rate = float(one.to) if one.to else NAN
            if one.frame == 0:
                first, steps = rate, []
            else:
                steps = [step for step in steps if step[0] < one.t_s]
                steps.append((one.t_s, rate))
        return first, tuple(steps)

    def given(self, first: Conditions, what: Iterable[str]) -> Conditions:
        """Return the same with some settings as they are in `first`, for every frame."""
        chosen = set(what)
        if THICKNESS in chosen:
            chosen.add(THICKNESS_SD)
        kept = self.without(chosen)
        if THICKNESS_SD in chosen and THICKNESS not in chosen:  # one error for whatever thickness there was
            frames = [one.frame for one in kept.of(THICKNESS)]
            spread = [
                replace(one, frame=frame) for one in first.of(THICKNESS_SD) if one.to for frame in frames
            ]
            return kept.then(*spread)
        return kept.then(*(one for one in first.changes if one.what in chosen))

    @property
    def varied(self) -> bool:
        """Whether a setting changed during the run."""
        return any(one.frame > 0 for what in (THICKNESS, DOSE_RATE, MATERIAL) for one in self.of(what))

    def record(self) -> list[dict[str, object]]:
        """Every setting with its values and where they begin, for the manifest."""
        return [
            {"what": what, "frame": one.frame, "t_s": one.t_s, "value": one.to, "by": one.by}
            for what in (THICKNESS, THICKNESS_SD, DOSE_RATE, MATERIAL, LOG)
            for one in self.of(what)
            if one.to or one.frame > 0
        ]


def calibration_in_time(facts: dict[str, Any], conditions: Conditions) -> dict[str, Any]:
    """Put what held into the facts of a calibration: a thickness that changed is not one number.

    Examples
    --------
    >>> held = Conditions((Change(0, 0.0, "thickness_nm", "100"), Change(30, 1.5, "thickness_nm", "50")))
    >>> calibration_in_time({"nm_per_px": 0.4, "thickness_nm": 100.0}, held)["thickness_nm"] is None
    True
    """
    foil = conditions.foil(SEVERAL)
    return {**facts, "thickness_nm": foil.thickness_nm, "thickness_sd_nm": foil.thickness_sd_nm}


def exact(value: float | str | None) -> str:
    """Write a value so that it reads back as the same number; empty for None.

    Examples
    --------
    >>> exact(100.0), exact(0.001), exact(None), exact("fecral")
    ('100', '0.001', '', 'fecral')
    """
    if value is None or isinstance(value, str):
        return value or ""
    text = repr(float(value))
    return text.removesuffix(".0")


def write_changes(path: Path, changes: Iterable[Change]) -> None:
    """Append changes to ``settings.csv``; they are on disk when this returns.

    Raises
    ------
    OSError
        If they cannot be written; nothing of them is there then.
    """
    append_rows(path, SETTINGS, [one.cells() for one in changes])


def read_conditions(path: Path) -> Conditions:
    """Read ``settings.csv``.

    Raises
    ------
    TableError
        Naming the line, the value and what was expected.
    """
    rows = read_rows(path, SETTINGS)
    if len(rows) > MOST_CHANGES:
        raise TableError(f"{path}: {len(rows)} lines; expected at most {MOST_CHANGES}: restore the table")
    return Conditions(tuple(_change(path, number, cells) for number, cells in enumerate(rows, 2)))


def _change(path: Path, number: int, cells: dict[str, str]) -> Change:
    where = f"{path}: line {number}"
    frame, what, to = cells["frame"], cells["what"], cells["to"]
    if not (frame.isascii() and frame.isdigit() and len(frame) < 16):
        raise TableError(f"{where}, column frame: {frame[:40]!r}; expected a whole number from 0 on")
    if what not in _WHAT:
        raise TableError(f"{where}, column what: {what[:40]!r}; expected {', '.join(_WHAT)}")
    t_s = _number(cells["t_s"])
    if t_s is None or not math.isfinite(t_s):
        raise TableError(f"{where}, column t_s: {cells['t_s'][:40]!r}; expected a time in s")
    _check_value(where, what, to)
    return Change(int(frame), t_s, what, to, cells["by"], cells["from"], cells["clock"])


def _check_value(where: str, what: str, to: str) -> None:
    if not to or what in (MATERIAL, LOG):
        return
    value = _number(to)
    least = LEAST_THICKNESS_NM if what == THICKNESS else 0.0
    if value is None or not least <= value < math.inf:
        kind = "a positive number of nm" if what == THICKNESS else f"{what}, 0 or a positive number"
        raise TableError(f"{where}, column to: {to[:40]!r}; expected {kind}")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
