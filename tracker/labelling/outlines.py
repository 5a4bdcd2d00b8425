"""Outlines of a crop as its page and its files have them: run lengths in a box, a class, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.errors import SettingsError
from insitrack.io.tables.outlines import rle
from insitrack.segment.labels.files import MOST_LABELS

PROPOSED, ACCEPTED, CHANGED, DRAWN, REFUSED = "proposed", "accepted", "changed", "drawn", "refused"
STATES = (PROPOSED, ACCEPTED, CHANGED, DRAWN, REFUSED)
KEPT = (ACCEPTED, CHANGED, DRAWN)
"""States of outlines that are labels."""


@dataclass(frozen=True, slots=True)
class Outline:
    """One outline in a crop.

    Parameters
    ----------
    id : int
        Number in its crop; that of a proposal stays what it was, others are above all proposals.
    defect_class : str
        One of `DEFECT_CLASSES`.
    state : str
        ``proposed`` by the model and not looked at, ``accepted`` as it was, ``changed`` in outline or class,
        ``drawn`` anew, or ``refused``.
    x_px, y_px, width_px, height_px : int
        Box of the mask in the crop, px.
    counts : str
        Run lengths of COCO inside the box.
    probability : float or None
        What the model said of it; None for one that was drawn.
    """

    id: int
    defect_class: str
    state: str
    x_px: int
    y_px: int
    width_px: int
    height_px: int
    counts: str
    probability: float | None = None

    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def masks_of(outlines: Sequence[Outline]) -> Masks:
    """Masks of outlines, in px of their crop."""
    corners = np.array([(one.y_px, one.x_px) for one in outlines], np.int32).reshape(-1, 2)
    sizes = np.array([(one.height_px, one.width_px) for one in outlines], np.int32).reshape(-1, 2)
    return rle.decode([one.counts for one in outlines], corners, sizes)


def proposals(found: Detections, probability: Sequence[float]) -> list[Outline]:
    """Return what a model found in a crop as proposals, numbered from 1."""
    lines = rle.encode(found.masks)
    return [
        Outline(
            number, name, PROPOSED, x, y, width, height, line, round(float(chance), 3)
        )
        for number, (name, (y, x), (height, width), line, chance) in enumerate(
            zip(
                found.names(), found.masks.corners.tolist(), found.masks.sizes.tolist(), lines, probability, strict=True
            ),
            1,
        )
    ]  # fmt: skip


def checked(given: Any, shape: tuple[int, int]) -> list[Outline]:
    """Check outlines from a page or a file before anything is made of them.

    Parameters
    ----------
    given : object
        What JSON held: a list of mappings with the fields of `Outline`.
    shape : tuple of int
        Height and width of the crop, px.

    Raises
    ------
    SettingsError
        If they are none, lie outside the crop, are empty, or two have one number.
    """
    if not isinstance(given, list) or len(given) > MOST_LABELS:
        raise SettingsError(f"outlines: expected a list of at most {MOST_LABELS}")
    out = [_checked(one, shape) for one in given]
    if len({one.id for one in out}) < len(out):
        raise SettingsError("outlines: two have one number")
    try:
        empty = [one.id for one, area in zip(out, masks_of(out).area_px().tolist(), strict=True) if not area]
    except ValueError as error:
        raise SettingsError(f"outlines: {str(error)[:120]}") from error
    if empty:
        raise SettingsError(f"outline {empty[0]}: is empty; draw it again, or refuse it")
    return out


def _checked(one: Any, shape: tuple[int, int]) -> Outline:
    if not isinstance(one, Mapping):
        raise SettingsError("outlines: expected objects with id, defect_class, state, box and counts")
    numbers = {}
    for name in ("id", "x_px", "y_px", "width_px", "height_px"):
        value = one.get(name)
        if type(value) is not int or not 0 <= value < 2**31:
            raise SettingsError(f"outlines: {name} {str(value)[:20]!r}: expected a whole number")
        numbers[name] = value
    inside = (
        numbers["width_px"] > 0
        and numbers["height_px"] > 0
        and numbers["x_px"] + numbers["width_px"] <= shape[1]
        and numbers["y_px"] + numbers["height_px"] <= shape[0]
    )
    if not inside:
        raise SettingsError(f"outline {numbers['id']}: lies outside its image of {shape[1]} x {shape[0]} px")
    named, state, counts = (one.get(key) for key in ("defect_class", "state", "counts"))
    if named not in DEFECT_CLASSES or state not in STATES or not isinstance(counts, str):
        raise SettingsError(
            f"outline {numbers['id']}: class {str(named)[:20]!r}, state {str(state)[:20]!r}; expected one of"
            f" {', '.join(DEFECT_CLASSES)}, and of {', '.join(STATES)}"
        )
    chance = one.get("probability")
    known = isinstance(chance, int | float) and not isinstance(chance, bool) and 0 <= chance <= 1
    return Outline(
        defect_class=str(named),
        state=str(state),
        counts=counts,
        probability=float(chance or 0) if known else None,
        **numbers,
    )
