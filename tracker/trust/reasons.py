"""Why frames are not trusted: short names for the tables, sentences for people, and the line of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from insitrack.io.arrays import Bools
from insitrack.io.tables.columns import FRAMES

if TYPE_CHECKING:
    import pandas as pd

REASONS = {
    "lattice": "like lattice fringes, columns of atoms or nanocrystals",
    "pores": "like pores, ligaments and vacuum",
    "surface": "like a surface, grains, a powder or a photograph",
    "drawing": "like text, a plot, a mask or a diffraction pattern",
    "noise": "out of focus, or nothing but noise",
    "unlike": "unlike anything it has learnt to see",
    "view": "a field of view below 25 nm or above 50 um: is the scale right?",
    "size": "what is detected measures less than 0.6 nm or more than 5 um: is the scale right?",
    "regular": "what is detected stands on a lattice",
    "sudden": "most of what was there is gone at once: did focus, tilt or beam change?",
}
"""Short name of every reason, as in the column `distrust`, and what it means."""


def distrust_line(distrust: Iterable[object], n_frames: int, least: float) -> str:
    """One line for the frames of a run that are not trusted; empty where there is none.

    Parameters
    ----------
    distrust : iterable of str
        Reasons of each of them, as in the column `distrust`: names with spaces between.
    n_frames : int
        Frames of the run.
    least : float
        Least trust of a frame whose numbers are given.

    Examples
    --------
    >>> distrust_line(["size", "size view"], 40, 0.5)[:70]
    'trust is below 0.5 in 2 of 40 frames (what is detected measures less t'
    """
    rows = list(distrust)
    if not rows:
        return ""
    words = why_not(Counter(name for row in rows for name in str(row).split()))
    return (
        f"trust is below {least:g} in {len(rows)} of {n_frames} frames ({words}): the model has not learnt to see"
        " such images, so their densities, sizes, kinetics and hardening stay empty; --trust-anyway fills them in"
    )


def why_not(counts: Mapping[str, int]) -> str:
    """Say what the one or two commonest reasons mean.

    Examples
    --------
    >>> why_not({"noise": 3})
    'out of focus, or nothing but noise'
    """
    known = Counter({name: n for name, n in counts.items() if name in REASONS})
    return "; ".join(REASONS[name] for name, _ in known.most_common(2)) or REASONS["unlike"]


def not_trusted(frames: pd.DataFrame, least: float) -> Bools:
    """Tell which rows of ``frames.csv`` have less trust, shape (F,); none of a table of an earlier version."""
    if "trust" not in frames:
        return np.zeros(len(frames), bool)
    return np.asarray(frames["trust"].to_numpy(np.float64) < least)


@dataclass(frozen=True, slots=True)
class Refused:
    """Frames of a run that are not trusted.

    Parameters
    ----------
    n, n_frames : int
        Their number, and that of all frames in which somebody looked.
    line : str
        `distrust_line`; empty where there is none.
    why : str
        What speaks most against them.
    """

    n: int
    n_frames: int
    line: str
    why: str

    def facts(self) -> dict[str, object]:
        """Return what `run.json` says of them; nothing where there is none."""
        return {"not_trusted": {"frames": self.n, "of": self.n_frames, "why": self.why}} if self.n else {}


def refused_of_run(folder: Path, least: float) -> Refused:
    """Tell which frames of a run are not trusted, from its ``frames.csv``, read in pieces.

    Raises
    ------
    TableError
        If the table cannot be read.
    """
    reasons: Counter[str] = Counter()
    n_frames = 0
    for piece in FRAMES.chunks(folder / FRAMES.file, ["status", "trust", "distrust"]):
        n_frames += int((piece["status"] == "processed").sum())
        reasons.update(piece["distrust"][not_trusted(piece, least)].astype(str).tolist())
    rows = list(reasons.elements())
    why = why_not(Counter(name for row in rows for name in row.split()))
    return Refused(len(rows), n_frames, distrust_line(rows, n_frames, least), why)
