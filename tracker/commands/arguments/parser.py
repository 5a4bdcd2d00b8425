"""How arguments are read: on one line what is wrong with them, and the nearest that would have been right."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

from insitrack.io.errors import SettingsError, nearest

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.IGNORECASE)


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments on one line, and suggests the nearest option."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments."""
        near = ""
        if "unrecognized arguments" in message:
            given = next((word for word in message.split() if word.startswith("--")), "")
            near = nearest(given.partition("=")[0], self._option_string_actions)
        hint = f"; did you mean {near}?" if near else ""
        raise SettingsError(f"{message}{hint}; see {self.prog} --help")


def number(text: str) -> float:
    """Read a number as an option gives it.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is none; with a comma, how it is written.

    Examples
    --------
    >>> number("0.37")
    0.37
    """
    try:
        return float(text)
    except ValueError:
        if _DECIMAL_COMMA.fullmatch(text.strip()):
            point = text.strip().replace(",", ".")
            raise argparse.ArgumentTypeError(f"{text!r}: use a point, {point}") from None
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number") from None


def whole(text: str) -> int:
    """Read a whole number as an option gives it.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is none.
    """
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number") from None


def names(text: str) -> tuple[str, ...]:
    """Read names between commas.

    Examples
    --------
    >>> names("void, loop,")
    ('void', 'loop')
    """
    return tuple(name.strip() for name in text.split(",") if name.strip())


def frame_size(text: str | None) -> tuple[int, int] | None:
    """Read height and width from ``WxH``; None stays None.

    Raises
    ------
    SettingsError
        If the text is none.

    Examples
    --------
    >>> frame_size("1024x768")
    (768, 1024)
    """
    if text is None:
        return None
    width, times, height = text.partition("x")
    if not (times and width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise SettingsError(f"--size {text}: expected WxH in px, for example 1024x768")
    return int(height), int(width)
