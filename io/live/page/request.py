"""What a viewer of a live run may ask for."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from insitrack.io.errors import SettingsError
from insitrack.io.plausible import DOSE_RATE_DPA_PER_S, THICKNESS_NM, plausible

_LIMITS = {"dose_rate": (DOSE_RATE_DPA_PER_S, "dpa/s"), "thickness": (THICKNESS_NM, "nm")}
_MOST_SHOWN = 40
_ACTIONS = "pause, resume, stop, mark, dose_rate, thickness, material or undo"
AT_ONCE = ("pause", "resume", "stop")
"""What is done whether or not another frame comes."""


@dataclass(frozen=True, slots=True)
class ViewerRequest:
    """Something that a viewer asked for.

    Parameters
    ----------
    action : str
        `pause`, `resume`, `stop`, `mark`, `dose_rate`, `thickness`, `material` or `undo`.
    text : str
        Of a mark; name of a material.
    value : float
        Dose rate, dpa/s, or thickness, nm.
    """

    action: str
    text: str = ""
    value: float = math.nan


def parse_request(body: bytes) -> ViewerRequest:
    """Read what a viewer sent.

    Raises
    ------
    SettingsError
        If it is not one of the things that can be asked for.

    Examples
    --------
    >>> parse_request(b'{"action": "mark", "text": "beam on"}')
    ViewerRequest(action='mark', text='beam on', value=nan)
    """
    try:
        asked = json.loads(body)
        action = asked["action"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SettingsError("expected JSON with an action") from error
    if not isinstance(action, str):
        raise SettingsError(f"action of type {type(action).__name__}: expected text, {_ACTIONS}")
    if action in (*AT_ONCE, "undo"):
        return ViewerRequest(action)
    if action in ("mark", "material"):
        given = asked.get("text")
        text = given.strip() if isinstance(given, str) else ""
        if not text or len(text) > 80 or not text.isprintable():
            raise SettingsError(f"a {action}: expected up to 80 printable characters")
        return ViewerRequest(action, text)
    if action in ("dose_rate", "thickness"):
        return ViewerRequest(action, value=_number(action, asked.get("value")))
    raise SettingsError(f"action {action[:_MOST_SHOWN]!r}: expected {_ACTIONS}")


def _number(action: str, value: object) -> float:
    """Dose rate or thickness that can be; no dose rate is a beam that is off."""
    limits, unit = _LIMITS[action]
    least, most = limits
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except OverflowError:
        number = math.inf
    if plausible(number, limits, zero=action == "dose_rate"):
        return number
    what, zero = action.replace("_", " "), "0 or " if action == "dose_rate" else ""
    shown = str(value)[:_MOST_SHOWN] if isinstance(value, int | float) else f"of type {type(value).__name__}"
    raise SettingsError(f"{what} {shown}: expected {zero}{least:g} to {most:g} {unit}")
