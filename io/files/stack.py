"""What a reader of files hands over: frames by number, with what the file states of scale and time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray


@dataclass(kw_only=True)
class Stack:
    """What a reader of files hands over: pictures by number, and what the file says of scale and time.

    Parameters
    ----------
    read : callable
        Gives the picture of a number, any depth and colour; whatever it raises makes that frame `damaged`.
    n_frames : int
        How many there are.
    facts : dict
        For the manifest.
    nm_per_px : float or None
        Width of a pixel, nm, if the file tells.
    interval_s : float or None
        Time between frames, s, if the file tells.
    told_by : str
        Which metadata tell it.
    warnings : list of str
        What was wrong.
    close : callable
        Releases the file.
    refused : str
        Why its pictures are none of a specimen; empty if they are.
    times_s : list of float or None
        Time of every frame, s, where the file states them one by one; empty otherwise.
    gaps : dict of int to str
        Frames that were never written, and why that is known: a number missing from a series of files.
    """

    read: Callable[[int], NDArray[Any]]
    n_frames: int
    facts: dict[str, Any]
    nm_per_px: float | None = None
    interval_s: float | None = None
    told_by: str = ""
    warnings: list[str] = field(default_factory=list)
    close: Callable[[], None] = lambda: None
    refused: str = ""
    times_s: list[float | None] = field(default_factory=list)
    gaps: dict[int, str] = field(default_factory=dict)


def no_image(path: Path, because: str) -> str:
    """Say why the pictures of a file are none of a specimen.

    Examples
    --------
    >>> no_image(Path("saed.dm4"), "in 1/nm")
    'saed.dm4: a diffraction pattern, in 1/nm; expected an image (if it is one, give --nm-per-px)'
    """
    return f"{path}: a diffraction pattern, {because}; expected an image (if it is one, give --nm-per-px)"
