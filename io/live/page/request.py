"""What a viewer of a live run may ask for."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from insitrack.io.errors import SettingsError
from insitrack.io.plausible import DOSE_RATE_DPA_PER_S, THICKNESS_NM, plausible

_LIMITS = {"dose_rate": (DOSE_RATE_DPA_PER_S, "dpa/s"), "thickness": (THICKNESS_NM, "nm")}
_MOST_SHOWN, _MOST_TEXT = 40, 80
_ACTIONS = "pause, resume, stop, mark, rename, move, delete, dose_rate, thickness, material or undo"
AT_ONCE = ("pause", "resume", "stop")
"""What is done whether or not another frame comes, and before anything else."""
OF_MARKS = ("rename", "move", "delete")
"""What is done to a mark that was set: it waits for no frame."""
_MOST_MARKS, _MOST_S = 10**9, 1e9


@dataclass(frozen=True, slots=True)
class ViewerRequest:
    """Something that a viewer asked for.

    Parameters
    ----------
    action : str
        `pause`, `resume`, `stop`, `mark`, `rename`, `move`, `delete`, `dose_rate`, `thickness`, `material` or
        `undo`.
    text : str
        Of a mark; name of a material.
    value : float
        Dose rate, dpa/s, thickness, nm, or the time to which a mark is moved, s.
    number : int
        Of the mark that is renamed, moved or deleted.
    """

    action: str
    text: str = ""
    value: float = math.nan
    number: int = -1


def parse_request(body: bytes) -> ViewerRequest:
    """Read what a viewer sent.

    Raises
    ------
    SettingsError
        If it is not one of the things that can be asked for.

    Examples
    --------
    >>> parse_request(b'{"action": "mark", "text": "beam on"}')
    ViewerRequest(action='mark', text='beam on', value=nan, number=-1)
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
        return ViewerRequest(action, _text(action, asked.get("text")))
    if action in OF_MARKS:
        return _of_mark(action, asked)
    if action in ("dose_rate", "thickness"):
        return ViewerRequest(action, value=_number(action, asked.get("value")))
    raise SettingsError(f"action {action[:_MOST_SHOWN]!r}: expected {_ACTIONS}")


def _text(action: str, given: object) -> str:
    text = given.strip() if isinstance(given, str) else ""
    if not text or len(text) > _MOST_TEXT or not text.isprintable():
        raise SettingsError(f"a {action}: expected up to {_MOST_TEXT} printable characters")
    return text


def _of_mark(action: str, asked: dict[str, object]) -> ViewerRequest:
    """Which mark, and its new text or time."""
    number, value = asked.get("number"), asked.get("value")
    if type(number) is not int or not 0 <= number < _MOST_MARKS:
        raise SettingsError(f"{action}: expected the number of a mark of the list")
    if action == "rename":
        return ViewerRequest(action, _text("mark", asked.get("text")), number=number)
    if action == "delete":
        return ViewerRequest(action, number=number)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_S:
        raise SettingsError("move: expected a time of the run, s, zero or more")
    return ViewerRequest(action, value=float(value), number=number)


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
