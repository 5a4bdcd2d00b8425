"""What a live source hands over: one frame as it came, one open connection, and the grey levels of a run."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from insitrack.io.arrays import GreyImage
from insitrack.io.files.luma import to_grey
from insitrack.io.levels import Levels


@dataclass(frozen=True, slots=True)
class Captured:
    """One frame as it came.

    Parameters
    ----------
    image : ndarray of uint8 or uint16, shape (H, W), or None
        Grey levels at native depth; None where it could not be decoded.
    stamp_s : float or None
        Time since the first frame of this connection, s, by the source itself; None: by the clock.
    reason : str
        Why there is no frame.
    """

    image: GreyImage | None
    stamp_s: float | None = None
    reason: str = ""


@dataclass
class Feed:
    """One open connection.

    Parameters
    ----------
    pictures : generator of Captured
        Ends, or raises OSError, when the connection is lost.
    nominal_s : float
        Usual time between frames, s, as far as the source says; otherwise 0.
    facts : dict
        For the manifest.
    close : callable
        Releases it; only in the thread that takes its frames, for most drivers fail if it is released in the
        middle of a frame.
    stop : callable
        Lets a wait for the next frame end soon, from any thread.
    nm_per_px : float or None
        Width of a pixel, nm, if the source states it.
    told_by : str
        By what.
    """

    pictures: Generator[Captured]
    nominal_s: float
    facts: dict[str, Any]
    close: Callable[[], None]
    stop: Callable[[], None] = lambda: None
    nm_per_px: float | None = None
    told_by: str = ""


class Depth:
    """Makes grey levels of whatever a camera gives, fixed on the first frame of the run.

    Parameters
    ----------
    levels : Levels, optional
        Those of a run that goes on.
    """

    def __init__(self, levels: Levels | None = None) -> None:
        self.levels = levels

    def grey(self, picture: NDArray[Any]) -> GreyImage | str:
        """Return the grey levels, uint8 or uint16, shape (H, W), or why there are none."""
        grey = to_grey(picture)
        if grey.ndim != 2 or grey.size == 0 or grey.dtype.kind not in "buif":
            return f"expected a frame of numbers, got {grey.dtype} {grey.shape}"
        if self.levels is None:
            self.levels = Levels.fitted([grey])
        if grey.dtype != self.levels.dtype:
            return f"{grey.dtype} frame in a run of {self.levels.dtype}"
        return self.levels.apply(grey)
