"""What a run says in three lines: density, size and hardening, with their intervals.

Of a movie they are those of the first and of the last frame, of separate micrographs the means over them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from insitrack.io.tables.columns import SERIES, STATISTICS
from insitrack.io.units import time_unit


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95 % interval, at a time, s; NaN where it belongs to no time."""

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
    over : str
        What it is a mean over, where it belongs to no time.
    """

    words: str
    unit: str
    first: Figure | None
    last: Figure | None
    missing: str = ""
    state: str = "not known"
    over: str = ""

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
            + (f" at {one.t_s / unit_s:.3g} {unit}" if math.isfinite(one.t_s) else "")
            for one in dict.fromkeys((self.first, self.last))
        ]
        parts += [self.over] if self.over else []
        return f"{f'{self.words} ({of}):' if of else f'{self.words}:':27} {', '.join(parts)}"

    def shown(self) -> dict[str, Any]:
        """Return it as a page shows it: numbers as text, the unit as markup."""
        if self.first is None or self.last is None:
            return {"words": self.words, "state": self.state, "missing": self.missing, "over": self.over}
        power = self.power
        exponent = Markup("\u00d7 10<sup>{}</sup> ").format(power) if power else Markup("")
        base, mark, raised = self.unit.partition("^")
        unit = exponent + (Markup("{}<sup>{}</sup>").format(base, raised) if mark else base)
        return {
            "words": self.words,
            "missing": "",
            "over": self.over,
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
    if distrust := not_trusted(facts):
        names = ("density", "mean size", "hardening")
        return [Headline(words, "", None, None, distrust, "not trusted") for words in names]
    n = separate_micrographs(facts)
    ends = _means(folder / STATISTICS.file) if n > 1 else _first_and_last(folder / SERIES.file)
    if n == 1:  # one micrograph has no time, and no mean over others
        timeless = {name: replace(first, t_s=math.nan) for name, (first, _) in ends.items()}
        ends = {name: (one, one) for name, one in timeless.items()}
    column, words, unit = next((one for one in _DENSITIES if ends.get(one[0])), _DENSITIES[-1])
    over = f"mean over {n} micrographs" if n > 1 else ""
    looked = (facts.get("results") or {}).get("processed", 0)

    def headline(words: str, unit: str, column: str, missing: str) -> Headline:
        first, last = ends.get(column, (None, None))
        return Headline(words, unit, first, last, missing, over=over)

    return [
        headline(words, unit, column, _NO_SPECIMEN if looked else "no frame was processed"),
        headline("mean size", "nm", "size_nm", _missing(facts, ("nm_per_px",))),
        headline("hardening", "MPa", "hardening_linear_mpa", _missing(facts, tuple(_NEEDS), _NO_STRENGTH)),
    ]


def separate_micrographs(facts: Mapping[str, Any]) -> int:
    """Count the micrographs of a run that is no movie; 0 for a movie.

    Parameters
    ----------
    facts : mapping
        ``run.json``. A run of ``--stills`` is none, nor is one whose source has a single frame.

    Examples
    --------
    >>> separate_micrographs({"results": {"micrographs": 4}}), separate_micrographs({"results": {"frames": 9}})
    (4, 0)
    """
    results = facts.get("results") or {}
    if "micrographs" in results:
        return int(results["micrographs"])
    return int(results.get("frames") == 1 and results.get("processed") == 1)


_NO_SPECIMEN = "no frame shows specimen"
_NO_SIZE = "nothing that was found could be measured"
_NO_STRENGTH = "no class that was found has both a size and a barrier strength"


def _missing(facts: Mapping[str, Any], needed: tuple[str, ...], otherwise: str = _NO_SIZE) -> str:
    """Say what a figure needs and was not given."""
    given = {**(facts.get("calibration") or {}), "material": facts.get("material")}
    absent = [_NEEDS[name] for name in needed if not given.get(name)]
    return f"it needs {' and '.join(absent)}" if absent else otherwise


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


def _means(path: Path) -> dict[str, tuple[Figure, Figure]]:
    """Means over micrographs of class `all`, each as first and last."""
    rows = STATISTICS.read(path).query("defect_class == 'all' and n > 0").set_index("quantity")
    answer = {}
    for column in _ENDS:
        if column in rows.index:
            mean, low, high = (float(rows.loc[column, name]) for name in ("mean", "lo", "hi"))
            answer[column] = (Figure(mean, low, high, math.nan),) * 2
    return answer


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
