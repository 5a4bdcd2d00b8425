"""What the class names of a laboratory mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from insitrack.io.detections import DEFECT_CLASSES, UNTYPED
from insitrack.io.errors import SettingsError
from insitrack.segment.labels.files import shown
from insitrack.segment.labels.outlines import UNNAMED, Sheet

LEFT_OUT = "ignore"
"""Class that stands for labels that are not to be used."""


def parse_classes(text: str) -> dict[str, str]:
    """Read ``their_name=black_dot,other=ignore``; ``*`` stands for all other names.

    Raises
    ------
    SettingsError
        If a class is not one of `DEFECT_CLASSES` or ``ignore``.

    Examples
    --------
    >>> parse_classes("faceted loop=loop_100, *=ignore")
    {'faceted loop': 'loop_100', '*': 'ignore'}
    """
    out = {}
    for pair in filter(str.strip, text.split(",")):
        theirs, _, ours = (part.strip() for part in pair.rpartition("="))
        if not theirs or ours not in (*DEFECT_CLASSES, LEFT_OUT):
            raise SettingsError(
                f"--classes {pair.strip()}: expected their_name=CLASS, CLASS one of"
                f" {', '.join(DEFECT_CLASSES)} or {LEFT_OUT}"
            )
        out[theirs] = ours
    return out


def known_classes(
    source: Path, sheets: Sequence[Sheet], told: Mapping[str, str], *, absent_too: bool = False
) -> dict[str, str]:
    """Meaning of every name that occurs; a given name that does not is refused unless `absent_too`."""
    found = sorted({name for sheet in sheets for name in sheet.names})
    absent = sorted(set(told) - set(found) - {"*"})
    if absent and not absent_too:
        raise SettingsError(
            f"--classes {absent[0]}=...: no label has that class; those found: {shown(', '.join(found), 200)}"
        )
    out, unknown = {}, []
    # a set whose labels all say no more than "defect" has not told its types: that is asked, not taken for untyped
    meant = [one for one in DEFECT_CLASSES if one != UNTYPED or found != [UNNAMED]]
    for name in found:
        plain = re.sub(r"[\s-]+", "_", name.strip().lower())
        ours = told.get(name) or (plain if plain in meant else told.get("*"))
        if ours is None:
            unknown.append(name)
        else:
            out[name] = ours
    if unknown:
        what = (
            "the labels name no classes"
            if unknown == [UNNAMED] == found
            else f"unknown class {shown(unknown[0])!r}; those found: {shown(', '.join(found), 200)}"
        )
        raise SettingsError(
            f"{source}: {what}; expected {', '.join(DEFECT_CLASSES)}; add --classes '{shown(unknown[0])}=loop' or"
            " what it is"
        )
    return out
