"""What a viewer of a live run may ask for."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from insitrack.io.errors import SettingsError


@dataclass(frozen=True, slots=True)
class ViewerRequest:
    """Something that a viewer asked for.

    Parameters
    ----------
    action : str
        `pause`, `resume`, `stop`, `mark`, `dose_rate` or `thickness`.
    text : str
        Of a mark.
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
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError("expected JSON with an action") from error
    if action in ("pause", "resume", "stop"):
        return ViewerRequest(action)
    if action == "mark":
        text = str(asked.get("text", "")).strip()
        if not text or len(text) > 80 or not text.isprintable():
            raise SettingsError("a mark: expected up to 80 printable characters")
        return ViewerRequest(action, text)
    if action in ("dose_rate", "thickness"):
        value = asked.get("value")
        words = "zero or a positive number of dpa/s" if action == "dose_rate" else "a positive number of nm"
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
            or value < 0
            or (action == "thickness" and not value)
        ):
            raise SettingsError(f"{action.replace('_', ' ')} {value}: expected {words}")
        return ViewerRequest(action, value=float(value))
    raise SettingsError(
        f"action {str(action)[:40]!r}: expected pause, resume, stop, mark, dose_rate or thickness"
    )
