"""What flows in: frames, their scale, and the protocol that every kind of source keeps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from insitrack.io.arrays import BoolImage, GreyImage
from insitrack.io.errors import SettingsError
from insitrack.io.levels import Levels

MissingStatus = Literal["damaged", "dropped", "gap", "skipped"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One grey image of the movie.

    Parameters
    ----------
    index : int
        Number of the frame in its source, from 0; counts every source frame, also those not processed.
    t_s : float
        Time of the frame, s, from the source's own timestamps.
    image : ndarray of uint8 or uint16, shape (H, W)
        Grey levels at the native depth of the source.

    Raises
    ------
    ValueError
        If `image` is not a non-empty two-dimensional uint8 or uint16 array.

    Examples
    --------
    >>> Frame(index=0, t_s=0.0, image=np.zeros((4, 6), np.uint8)).shape
    (4, 6)
    """

    index: int
    t_s: float
    image: GreyImage

    def __post_init__(self) -> None:
        image = self.image
        if image.ndim != 2 or image.size == 0 or image.dtype not in (np.uint8, np.uint16):
            raise ValueError(
                f"frame {self.index}: expected a (H, W) uint8 or uint16 image, got {image.dtype}"
                f" {image.shape}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, px."""
        height, width = self.image.shape
        return int(height), int(width)


@dataclass(frozen=True, slots=True)
class MissingFrame:
    """A source frame without an image to process, so that every frame of the source is accounted for.

    Parameters
    ----------
    index : int
        Number of the frame in its source, from 0.
    t_s : float
        Time of the frame, s; NaN where the source does not say.
    status : {"damaged", "dropped", "gap", "skipped"}
        `damaged` could not be decoded, `dropped` came faster than it could be processed, `gap` was never
        delivered, `skipped` lies outside what the user asked for.
    reason : str
        What happened, in the user's words.
    """

    index: int
    t_s: float
    status: MissingStatus
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scale and thickness of the specimen area in view, and where the figures come from.

    Parameters
    ----------
    nm_per_px : float or None
        Width of a pixel, nm; None where unknown: every figure in nm then stays empty.
    nm_per_px_sd : float
        Its standard deviation, nm.
    thickness_nm : float or None
        Foil thickness, nm; None where unknown: volume densities and hardening then stay empty.
    thickness_sd_nm : float
        Its standard deviation, nm.
    field : ndarray of bool, shape (H, W), or None
        True where the image shows the specimen; None means everywhere. Text, bars and borders are False.
    origin : str
        Where the scale comes from: the command line, the metadata of the file, or unknown.

    Raises
    ------
    SettingsError
        If a length is not finite and positive, or a standard deviation is negative.

    Examples
    --------
    >>> Calibration(nm_per_px=0.37, origin="command line").nm_per_px
    0.37
    """

    nm_per_px: float | None = None
    nm_per_px_sd: float = 0.0
    thickness_nm: float | None = None
    thickness_sd_nm: float = 0.0
    field: BoolImage | None = field(default=None, repr=False)
    origin: str = "unknown"

    def __post_init__(self) -> None:
        for name in ("nm_per_px", "thickness_nm"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                option = "--" + name.replace("_", "-")
                raise SettingsError(
                    f"{option} {value}: expected a positive number of nm; leave it out if it is unknown"
                )
        for name in ("nm_per_px_sd", "thickness_sd_nm"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise SettingsError(f"{name} {value}: expected zero or a positive number of nm")

    def with_(self, **changes: Any) -> Calibration:
        """Return a copy with some values changed, checked again."""
        return replace(self, **changes)


@runtime_checkable
class Source(Protocol):
    """Where frames come from: a file, a folder, a generator or a camera.

    Iterating yields every source frame in order, once: a `Frame`, or a `MissingFrame` that says why there is
    no image.
    """

    name: str
    time_origin: str
    n_frames: int | None

    @property
    def warnings(self) -> list[str]:
        """What was wrong, one line each; complete once the source has been read to its end."""
        ...

    @property
    def refused(self) -> str:
        """Why the frames are none of a specimen; empty if they are."""
        ...

    @property
    def calibration(self) -> Calibration:
        """Scale, as far as the source knows it."""
        ...

    @property
    def levels(self) -> Levels | None:
        """How the values of the run become grey levels; None where they are taken as they come."""
        ...

    def samples(self) -> Iterator[Frame]:
        """Give some wanted frames spread over the run; none where the source cannot be read twice."""
        ...

    def __iter__(self) -> Iterator[Frame | MissingFrame]: ...

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest: path, container, codec, size, hash, frame rate, as far as known."""
        ...

    def close(self) -> None:
        """Release files and devices; safe to call twice."""
        ...
