"""What a run says in three lines: density, size and hardening, first and last, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from insitrack.io.tables.columns import SERIES
from insitrack.io.units import time_unit


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95 % interval, at a time, s."""

    value: float
    low: float
    high: float
    t_s: float

    def text(self, power: int = 0) -> str:
        """Print the value in units of a power of ten."""
        return f"{self.value / 10.0**power:.3g}"

    def interval(self, power: int = 0) -> str:
        """Print the interval, likewise; empty where it is not known."""
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            return ""
        return f"{self.low / 10.0**power:.3g} to {self.high / 10.0**power:.3g}"


@dataclass(frozen=True, slots=True)
class Headline:
    """One result of a run.

    Parameters
    ----------
    words : str
        What it is.
    unit : str
        Unit, plain text.
    first, last : Figure or None
        At the first and the last frame in which it is known.
    missing : str
        Why it is not known, where it is not.
    state : str
        What it is then: "not known" or "not trusted".
    """

    words: str
    unit: str
    first: Figure | None
    last: Figure | None
    missing: str = ""
    state: str = "not known"

    @property
    def power(self) -> int:
        """Power of ten that is taken out of the numbers; 0 where they read well as they are."""
        largest = max((abs(one.value) for one in (self.first, self.last) if one is not None), default=0.0)
        return 0 if largest < 1e4 else math.floor(math.log10(largest))

    def line(self) -> str:
        """Print it as a line of text.

        Examples
        --------
        >>> figure = Figure(6.82, 6.1, 7.5, 0.0), Figure(7.2, 6.9, 7.6, 90.0)
        >>> Headline("mean size", "nm", *figure).line()
        'mean size (nm):             6.82 (6.1 to 7.5) at 0 s, 7.2 (6.9 to 7.6) at 90 s'
        """
        if self.first is None or self.last is None:
            return f"{f'{self.words}:':27} {self.state}: {self.missing}"
        unit_s, unit = time_unit(max(abs(self.first.t_s), abs(self.last.t_s)))
        power = self.power
        of = " ".join(part for part in (f"1e{power}" if power else "", self.unit) if part)
        parts = [
            one.text(power)
            + (f" ({one.interval(power)})" if one.interval() else "")
            + f" at {one.t_s / unit_s:.3g} {unit}"
            for one in dict.fromkeys((self.first, self.last))
        ]
        return f"{f'{self.words} ({of}):' if of else f'{self.words}:':27} {', '.join(parts)}"

    def shown(self) -> dict[str, Any]:
        """Return it as a page shows it: numbers as text, the unit as markup."""
        if self.first is None or self.last is None:
            return {"words": self.words, "state": self.state, "missing": self.missing}
        power = self.power
        exponent = Markup("\u00d7 10<sup>{}</sup> ").format(power) if power else Markup("")
        base, mark, raised = self.unit.partition("^")
        unit = exponent + (Markup("{}<sup>{}</sup>").format(base, raised) if mark else base)
        return {
            "words": self.words,
            "missing": "",
            "unit": unit,
            "last": self.last.text(power),
            "interval": self.last.interval(power),
            "first": "" if self.first == self.last else self.first.text(power),
            "first_interval": self.first.interval(power),
        }


_DENSITIES = (
    ("density_per_m3", "density", "m^-3"),
    ("density_per_m2", "areal density", "m^-2"),
    ("n", "defects in view", ""),
)
_NEEDS = {
    "nm_per_px": "the scale (--nm-per-px)",
    "thickness_nm": "the foil thickness (--thickness-nm)",
    "material": "barrier strengths (--material)",
}


def headlines(folder: Path, facts: Mapping[str, Any]) -> list[Headline]:
    """Density, size and hardening of all defects of a run together.

    Parameters
    ----------
    folder : Path
        Output folder with ``series.csv``.
    facts : mapping
        ``run.json``: what was not given is named as the reason where a figure is not known.

    Raises
    ------
    TableError
        If the table cannot be read.
    """
    ends = _first_and_last(folder / SERIES.file)
    if distrust := not_trusted(facts):
        names = ("density", "mean size", "hardening")
        return [Headline(words, "", None, None, distrust, "not trusted") for words in names]
    column, words, unit = next((one for one in _DENSITIES if ends.get(one[0])), _DENSITIES[-1])
    nothing = "no frame was processed"
    return [
        _headline(words, unit, ends.get(column), nothing),
        _headline("mean size", "nm", ends.get("size_nm"), _missing(facts, ("nm_per_px",))),
        _headline("hardening", "MPa", ends.get("hardening_linear_mpa"), _missing(facts, tuple(_NEEDS))),
    ]


def _headline(words: str, unit: str, ends: tuple[Figure, Figure] | None, missing: str) -> Headline:
    first, last = ends if ends is not None else (None, None)
    return Headline(words, unit, first, last, missing)


def _missing(facts: Mapping[str, Any], needed: tuple[str, ...]) -> str:
    """Say what a figure needs and was not given."""
    given = {**(facts.get("calibration") or {}), "material": facts.get("material")}
    absent = [_NEEDS[name] for name in needed if not given.get(name)]
    return f"it needs {' and '.join(absent)}" if absent else "nothing that was found could be measured"


def not_trusted(facts: Mapping[str, Any]) -> str:
    """Say what speaks against the frames of a run, where none of them is trusted; else nothing.

    Examples
    --------
    >>> not_trusted({"results": {"not_trusted": {"frames": 3, "of": 3, "why": "out of focus"}}})
    'out of focus; --trust-anyway gives it'
    """
    refused = (facts.get("results") or {}).get("not_trusted") or {}
    if not refused or refused["frames"] < refused["of"]:
        return ""
    return f"{refused['why']}; --trust-anyway gives it"


_ENDS = {
    "density_per_m3": ("density_per_m3_lo", "density_per_m3_hi"),
    "density_per_m2": ("density_per_m2_lo", "density_per_m2_hi"),
    "n": ("n_lo", "n_hi"),
    "size_nm": ("size_lo_nm", "size_hi_nm"),
    "hardening_linear_mpa": ("hardening_linear_mpa_lo", "hardening_linear_mpa_hi"),
}


def _first_and_last(path: Path) -> dict[str, tuple[Figure, Figure]]:
    """First and last known figures of class `all`, read piece by piece."""
    ends: dict[str, tuple[Figure, Figure]] = {}
    wanted = ["t_s", "defect_class", *_ENDS, *(name for pair in _ENDS.values() for name in pair)]
    for piece in SERIES.chunks(path, wanted):
        rows = piece[piece["defect_class"] == "all"]
        for column, (low, high) in _ENDS.items():
            known = rows[rows[column].notna() & rows["t_s"].notna()]
            if not len(known):
                continue
            first, last = (
                Figure(*(float(row[name]) for name in (column, low, high, "t_s")))
                for row in known.iloc[[0, -1]].to_dict("records")
            )
            ends[column] = (ends[column][0] if column in ends else first, last)
    return ends
