"""What a segmenter is, its settings, and how one is found by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from insitrack.io.arrays import BoolImage
from insitrack.io.detections import DEFECT_CLASSES, Detections
from insitrack.io.errors import SettingsError
from insitrack.io.frames import Frame

Tag = TypeVar("Tag")


DEFAULT_CONFIDENCE = 0.15
"""Least score where no tracks judge the detections."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentConfig:
    """Settings of the segmenter.

    Parameters
    ----------
    classes : tuple of str
        Classes that are looked for, all others are left out; empty: all that the model knows.
    least_class : float
        Least probability of its class; a defect whose best class has less is a `defect`, 0..1; 0: none is.
    confidence : float or None
        Detections with a lower score are dropped, 0..1; None: `DEFAULT_CONFIDENCE`, or in a run the
        probability of existence decides.
    overlap_iou : float
        Of two detections whose boxes overlap by more than this, the weaker is dropped, 0..1.
    min_area_px : int
        Masks with fewer pixels are dropped.
    max_detections : int
        Cap on the detections in a frame; how many it threw away is reported.
    scale : float, "auto" or "each"
        Pixels of the image that the network sees per pixel of the frame. `auto` finds on the first frames
        what suits the network: less than 1 where the defects are large, more where they are a few pixels
        wide and that pays for the time; `each` finds it on each frame (``--stills``).
    looks : "auto", 1 or 3
        In how many scales each frame is shown: with 3, what is found at that scale only counts less; `auto` is
        3 for micrographs and 1 for movies, because it takes three times as long.
    contrast : str
        `dark`: defects are mostly dark on bright; `bright`: the reverse; `auto` finds out.
    levels : "auto", "run", "frame" or (float, float)
        Which grey levels the network sees as black and white: fixed over the run, from frames spread over it,
        or by each frame; `auto` is `frame` for 8 bits and `run` for more; two numbers fix them.
    tile_px : int
        Longest side of the tiles that large frames are cut into, px of what the network sees; 0 decides from
        the size of the frame.
    runtime : str
        `auto`, `openvino` or `onnxruntime`.
    precision : str
        `auto` lets the runtime choose what the processor does fastest, `f32` forces 32-bit floats.
    threads : int
        Processor threads of the network; 0 takes all cores.
    """

    classes: tuple[str, ...] = ()
    least_class: float = 0.4
    confidence: float | None = None
    overlap_iou: float = 0.5
    min_area_px: int = 12
    max_detections: int = 20_000
    scale: float | str = "auto"
    looks: int | str = "auto"
    contrast: str = "auto"
    levels: str | tuple[float, ...] = "auto"
    tile_px: int = 0
    runtime: str = "auto"
    precision: str = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        for name in self.classes:
            if name not in DEFECT_CLASSES:
                raise SettingsError(
                    f"segment.classes: {name!r} is no class; expected some of {', '.join(DEFECT_CLASSES)}"
                )
        for name in ("confidence", "overlap_iou"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < 1.0:
                raise SettingsError(f"segment.{name} = {value}: expected a number between 0 and 1")
        if not 0.0 <= self.least_class < 1.0:
            raise SettingsError(
                f"segment.least_class = {self.least_class}: expected a probability from 0 to below 1; 0 names"
                " a class for every defect"
            )
        for name, least in (("min_area_px", 1), ("max_detections", 1), ("threads", 0)):
            if getattr(self, name) < least:
                raise SettingsError(
                    f"segment.{name} = {getattr(self, name)}: expected a whole number of at least {least}"
                )
        if self.looks not in ("auto", 1, 3):
            raise SettingsError(f"segment.looks = {self.looks!r}: expected auto, 1 or 3")
        if self.scale not in ("auto", "each") and (
            isinstance(self.scale, str) or not 0.05 <= self.scale <= 8.0
        ):
            raise SettingsError(
                f"segment.scale = {self.scale!r}: expected auto, each, or a number from 0.05 to 8, like 0.5 to show"
                " the network half the size"
            )
        rising = (
            not isinstance(self.levels, str)
            and len(self.levels) == 2
            and 0 <= self.levels[0] < self.levels[1] <= 65535
        )
        if self.levels not in ("auto", "run", "frame") and not rising:
            raise SettingsError(
                f"segment.levels = {self.levels!r}: expected auto, run, frame, or two grey levels, like [900,"
                " 7200]"
            )
        if self.tile_px and self.tile_px < 256:
            raise SettingsError(
                f"segment.tile_px = {self.tile_px}: expected 0 for automatic, or at least 256"
            )
        for name, known in (
            ("contrast", ("auto", "dark", "bright")),
            ("runtime", ("auto", "openvino", "onnxruntime")),
            ("precision", ("auto", "f32")),
        ):
            if getattr(self, name) not in known:
                raise SettingsError(
                    f"segment.{name} = {getattr(self, name)!r}: expected one of {', '.join(known)}"
                )

    @property
    def least_score(self) -> float:
        """Score below which detections are dropped."""
        return DEFAULT_CONFIDENCE if self.confidence is None else self.confidence


def looked_for(known: tuple[str, ...], config: SegmentConfig) -> tuple[str, ...]:
    """Classes of a model that the settings ask for, in the order of the model.

    Raises
    ------
    SettingsError
        If the model does not know one of them.
    """
    missing = [name for name in config.classes if name not in known]
    if missing:
        raise SettingsError(
            f"segment.classes: this model does not know {missing[0]}; expected some of {', '.join(known)}"
        )
    return tuple(name for name in known if not config.classes or name in config.classes)


class Segmenter(Protocol):
    """Finds the defects of a frame; `stream` gives the same answers while decoding, network and the rest overlap."""

    class_names: tuple[str, ...]

    def __call__(self, frame: Frame, field: BoolImage | None = None) -> Detections:
        """Return what is in the frame; nothing is looked for where `field` is False."""
        ...

    def stream(
        self, items: Iterable[tuple[Frame | None, BoolImage | None, Tag]]
    ) -> Iterator[tuple[Detections | None, Tag]]:
        """Run over many frames in order; an item without a frame passes through as None."""
        ...

    def for_live(self) -> None:
        """Make each frame come out as soon as can be, at the price of frames per second."""
        ...

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest: name, file, hash, classes, runtime."""
        ...
