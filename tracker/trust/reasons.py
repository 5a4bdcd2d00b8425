"""Why frames are not trusted: short names for the tables, sentences for people, and the line of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
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
    counts = Counter(name for row in rows for name in str(row).split() if name in REASONS)
    words = "; ".join(REASONS[name] for name, _ in counts.most_common(2))
    why = f" ({words})" if words else ""
    return (
        f"trust is below {least:g} in {len(rows)} of {n_frames} frames{why}: the model has not learnt to see such"
        " images, so their densities, sizes and hardening stay empty; --trust-anyway fills them in"
    )


def not_trusted(frames: pd.DataFrame, least: float) -> Bools:
    """Tell which rows of ``frames.csv`` have less trust, shape (F,); none of a table of an earlier version."""
    if "trust" not in frames:
        return np.zeros(len(frames), bool)
    return np.asarray(frames["trust"].to_numpy(np.float64) < least)


def distrust_of_run(folder: Path, least: float) -> str:
    """`distrust_line` of a run from its ``frames.csv``, read in pieces.

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
    return distrust_line(reasons.elements(), n_frames, least)
