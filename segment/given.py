"""Segmenters of others: an object in Python, or a name that an installed package has registered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from insitrack.io.arrays import BoolImage
from insitrack.io.detections import DEFECT_CLASSES, UNTYPED, Detections
from insitrack.io.errors import ModelError
from insitrack.io.frames import Frame
from insitrack.segment.base import SegmentConfig, Segmenter

Tag = TypeVar("Tag")
GROUP = "insitrack.segmenters"
"""Group of entry points; each is called with a `SegmentConfig` and returns a segmenter."""


class GivenSegmenter:
    """A segmenter that somebody else wrote, held to what it promises.

    Parameters
    ----------
    given : callable
        Called with a frame and its valid field (None: all of it), returns `Detections`; its attribute `class_names`
        says of which classes. What else `Segmenter` asks for is taken from it where it is there.
    name : str
        What `run.json` calls it.

    Raises
    ------
    ModelError
        If it cannot be called, or has no classes, or others than those of `DEFECT_CLASSES`.
    """

    def __init__(self, given: Callable[..., Detections], name: str = "") -> None:
        self._given, self._name = given, name or type(given).__name__
        classes = getattr(given, "class_names", None)
        if not callable(given) or isinstance(given, type) or not isinstance(classes, tuple | list):
            raise ModelError(
                f"segmenter {self._name}: expected an object that is called with a frame and its field, returns"
                " Detections, and has the attribute class_names"
            )
        self.class_names = tuple(str(one) for one in classes)
        wrong = [one for one in self.class_names if one not in (*DEFECT_CLASSES, UNTYPED)]
        if wrong or not classes or len(set(self.class_names)) < len(self.class_names):
            raise ModelError(
                f"segmenter {self._name}: unknown or repeated class {wrong[:1] or list(self.class_names)}; expected"
                f" some of {', '.join(DEFECT_CLASSES)}"
            )

    def __call__(self, frame: Frame, field: BoolImage | None = None) -> Detections:
        """Return what is in the frame."""
        return self._checked(self._given(frame, field), frame)

    def stream(
        self, items: Iterable[tuple[Frame | None, BoolImage | None, Tag]]
    ) -> Iterator[tuple[Detections | None, Tag]]:
        """Run over many frames in order."""
        for frame, field, tag in items:
            yield (None if frame is None else self(frame, field)), tag

    def for_live(self) -> None:
        """Make each frame come out as soon as can be, where it knows how."""
        getattr(self._given, "for_live", lambda: None)()

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest: what it says of itself, its name, class and classes."""
        own: dict[str, Any] = getattr(self._given, "describe", dict)()
        made_by = f"{type(self._given).__module__}.{type(self._given).__qualname__}"
        return {
            "name": self._name,
            **own,
            "kind": "given",
            "object": made_by,
            "classes": list(self.class_names),
        }

    def _checked(self, found: Any, frame: Frame) -> Detections:
        if not isinstance(found, Detections):
            raise ModelError(
                f"segmenter {self._name}, frame {frame.index}: returned {type(found).__name__}; expected Detections"
            )
        told = found.class_names, found.shape, found.frame_index
        if told != (self.class_names, frame.shape, frame.index):
            raise ModelError(
                f"segmenter {self._name}, frame {frame.index}: returned classes, shape and frame {told}; expected"
                f" {(self.class_names, frame.shape, frame.index)}"
            )
        return found


def registered(group: str = GROUP) -> dict[str, EntryPoint]:
    """Names that installed packages have registered in a group of entry points."""
    return {one.name: one for one in entry_points(group=group)}


def from_package(entry: EntryPoint, config: SegmentConfig) -> Segmenter:
    """Make the segmenter that a package has registered.

    Raises
    ------
    ModelError
        If it cannot be loaded, or is no segmenter.
    """
    try:
        made = entry.load()(config)
    except Exception as error:  # whatever it is, it is theirs: the line names the package
        raise ModelError(
            f"--model {entry.name}: {entry.value} of another package failed: {type(error).__name__}: {error}"
        ) from error
    return GivenSegmenter(made, entry.name)
