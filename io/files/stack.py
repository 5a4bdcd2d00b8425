"""What a reader of files hands over: frames by number, with what the file states of scale and time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from insitrack.io.errors import SourceError


@dataclass(kw_only=True)
class Stack:
    """What a reader of files hands over: images by number, and what the file says of scale and time.

    Parameters
    ----------
    read : callable
        Gives the image of a number, any depth and colour; whatever it raises makes that frame `damaged`.
    n_frames : int
        How many there are.
    facts : dict
        For the manifest.
    nm_per_px : float or None
        Width of a pixel, nm, if the file states it.
    interval_s : float or None
        Time between frames, s, if the file states it.
    told_by : str
        Which metadata state it.
    warnings : list of str
        What was wrong.
    close : callable
        Releases the file.
    refused : str
        Why its images are none of a specimen; empty if they are.
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


MOST_FRAME_PX = 100_000_000
"""Pixels of a frame: the largest cameras of microscopes have 94 million."""
_LEAST_FRAME_BYTES = 64
"""No program writes a frame, or its entry in an index, into fewer."""


def check_promises(path: Path, n_frames: int, frame_px: int) -> None:
    """Refuse a file that promises more than it can hold, before anything is made ready for it.

    Parameters
    ----------
    path : Path
        The file.
    n_frames, frame_px : int
        Frames that it promises, and pixels of each.

    Raises
    ------
    SourceError
        If it is more than a file of its size can hold, or a frame is larger than that of any camera.
    """
    if frame_px > MOST_FRAME_PX:
        raise SourceError(
            f"{path}: frames of {frame_px / 1e6:.0f} million pixels; expected at most {MOST_FRAME_PX / 1e6:.0f}"
            " million: cut or bin them first"
        )
    size = sum(part.stat().st_size for part in path.rglob("*")) if path.is_dir() else path.stat().st_size
    if n_frames > max(1, size // _LEAST_FRAME_BYTES):
        raise SourceError(
            f"{path}: promises {n_frames} frames, more than a file of {size} bytes can hold; it is damaged: copy it"
            " again from where it was recorded"
        )


def no_image(path: Path, because: str) -> str:
    """Say why the images of a file are none of a specimen.

    Examples
    --------
    >>> no_image(Path("saed.dm4"), "in 1/nm")
    'saed.dm4: a diffraction pattern, in 1/nm; expected an image (if it is one, give --nm-per-px)'
    """
    return f"{path}: a diffraction pattern, {because}; expected an image (if it is one, give --nm-per-px)"
