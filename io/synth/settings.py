"""Addresses of synthetic movies, ``synth:KIND?key=value&...``, and the ranges for everything else."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl

from insitrack.io.errors import SourceError


@lru_cache(maxsize=1)
def ranges() -> dict[str, Any]:
    """Return what ``configs/synth.toml`` holds."""
    return tomllib.loads(
        resources.files("insitrack.configs").joinpath("synth.toml").read_text(encoding="utf-8")
    )


@dataclass(frozen=True, slots=True)
class SynthSettings:
    """One address taken apart; a value of 0 or -1 means drawn from the seed, as ``synth.toml`` says.

    Parameters
    ----------
    kind : str
        Kind of scene.
    values : dict
        Every key with its value.
    width, height : int
        Size of the frames, px.

    Examples
    --------
    >>> SynthSettings.parse("synth:loops?seed=7&size=300x200").width
    300
    """

    kind: str
    values: dict[str, Any]
    width: int
    height: int

    @classmethod
    def parse(cls, uri: str) -> SynthSettings:
        """Read an address.

        Raises
        ------
        SourceError
            If the kind or a key is unknown or a value impossible.
        """
        config = ranges()
        body = uri.removeprefix("synth:")
        kind, _, query = body.partition("?")
        kind = kind or "loops"
        if kind not in config["scene"]:
            raise SourceError(
                f"{uri}: no kind of scene {kind!r}; expected one of {', '.join(config['scene'])}"
            )
        values = dict(config["keys"])
        for key, text in parse_qsl(query, keep_blank_values=True):
            if key not in values:
                raise SourceError(f"{uri}: unknown key {key!r}; expected one of {', '.join(values)}")
            try:
                values[key] = type(values[key])(text)
            except ValueError:
                raise SourceError(f"{uri}: {key}={text}: expected a value like {values[key]!r}") from None
        width, height = _size(uri, str(values["size"]))
        _check(uri, values)
        return cls(kind, values, width, height)


def _size(uri: str, text: str) -> tuple[int, int]:
    """Width and height from ``512`` or ``1024x710``."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and 64 <= int(part) <= 8192 for part in parts):
        raise SourceError(
            f"{uri}: size={text}: expected a side or WIDTHxHEIGHT from 64 to 8192 px, like 512 or 1024x710"
        )
    return int(parts[0]), int(parts[-1])


def _check(uri: str, values: dict[str, Any]) -> None:
    """Refuse impossible values."""
    tests = {
        "frames": (1 <= values["frames"] <= 10**9, "at least 1"),
        "seed": (values["seed"] >= 0, "zero or a positive whole number"),
        "fps": (0 < values["fps"] < 1e6, "a positive number of frames per second"),
        "nm_per_px": (0 <= values["nm_per_px"] < 100, "a positive number of nm, or 0 to draw it"),
        "n": (-1 <= values["n"] <= 20000, "0 to 20000, or -1 to draw it"),
        "lines": (-1 <= values["lines"] <= 2000, "0 to 2000, or -1 to draw it"),
        "drift": (-1 <= values["drift"] < 1e5, "zero or a positive number of nm/s, or -1 to draw it"),
        "mottle": (-1 <= values["mottle"] <= 1, "0 to 1, or -1 to draw it"),
        "noise": (-1 <= values["noise"] <= 1, "0 to 1, or -1 to draw it"),
        "faults": (0 <= values["faults"] <= 1, "0 to 1"),
        "thickness_nm": (0 < values["thickness_nm"] < 1e6, "a positive number of nm"),
        "start": (0 <= values["start"] <= 1, "0 to 1"),
        "blink": (0 <= values["blink"] <= 1, "0 to 1"),
        "jumps": (0 <= values["jumps"] <= 1000, "0 to 1000"),
        "polarity": (values["polarity"] in ("any", "dark", "bright"), "any, dark or bright"),
        "overlay": (values["overlay"] in (0, 1, 2), "0 none, 1 a scale bar, 2 drawn from the seed"),
    }
    for key, (good, expected) in tests.items():
        if not good:
            raise SourceError(f"{uri}: {key}={values[key]}: expected {expected}")
