"""Two networks on one frame: every class once, every thing once, and one line for what does not go together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from insitrack.io.detections import Detections, Masks
from insitrack.io.errors import ModelError, SettingsError
from insitrack.io.frames import Frame
from insitrack.segment.base import SegmentConfig
from insitrack.segment.combined import Combined, outlines_of_loops, pieces_of_lines
from insitrack.segment.models import load_segmenter
from insitrack.segment.untyped import with_untyped

SHAPE = (120, 160)


def found(shapes: Iterable[np.ndarray], names: tuple[str, ...], labels: list[int]) -> Detections:
    masks = Masks.from_crops(
        [mask[np.ix_(mask.any(1), mask.any(0))] for mask in shapes],
        [(int(mask.any(1).argmax()), int(mask.any(0).argmax())) for mask in shapes],
    )
    scores = np.full(len(masks), 0.9, np.float32)
    return Detections(0, 0.0, SHAPE, masks.boxes(), np.array(labels, np.int64), scores, masks, names)


def line(y: int, x0: int, x1: int) -> np.ndarray:
    image = np.zeros(SHAPE, np.uint8)
    cv2.line(image, (x0, y), (x1, y), 1, 5)
    return image > 0


def disc(y: int, x: int, radius: int, width: int = -1) -> np.ndarray:
    image = np.zeros(SHAPE, np.uint8)
    cv2.circle(image, (x, y), radius, 1, width)
    return image > 0


class Fixed:
    """Finds the same in every frame."""

    def __init__(self, there: Detections) -> None:
        self.there, self.class_names = there, there.class_names

    def __call__(self, frame: Frame, field: Any = None) -> Detections:
        return self.there

    def stream(self, items: Iterable[Any]) -> Iterator[Any]:
        for frame, _, tag in items:
            yield (None if frame is None else self.there), tag

    def for_live(self) -> None: ...

    def describe(self) -> dict[str, Any]:
        return {"name": "fixed", "file": "a", "sha256": "b", "classes": list(self.class_names)}


LOOPS = ("black_dot", "loop")
LINES = ("dislocation", "void")
FRAME = Frame(0, 0.0, np.zeros(SHAPE, np.uint8))


def test_a_piece_of_a_long_line_is_no_loop_and_a_loop_beside_it_is_one() -> None:
    on, beside = line(20, 50, 62), disc(60, 60, 8)
    finds = found([on, beside], LOOPS, [2, 2])
    assert pieces_of_lines(finds, found([line(20, 5, 150)], LINES, [1]).masks).tolist() == [True, False]


def test_a_loop_that_a_line_only_crosses_stays() -> None:
    finds = found([disc(20, 60, 12)], LOOPS, [2])
    assert pieces_of_lines(finds, found([line(20, 5, 150)], LINES, [1]).masks).tolist() == [False]


def test_a_line_along_the_rims_of_loops_is_theirs_and_one_that_leaves_them_is_a_line() -> None:
    finds = found([disc(60, 60, 14)], LOOPS, [2])
    lines = found([disc(60, 60, 14, 4), line(60, 10, 150)], LINES, [1, 1])
    assert outlines_of_loops(finds, lines.masks).tolist() == [True, False]


def test_both_together_have_every_class_and_count_every_thing_once() -> None:
    first = Fixed(found([line(20, 50, 62), disc(60, 60, 14)], LOOPS, [2, 2]))
    second = Fixed(found([line(20, 5, 150), disc(60, 60, 14, 4), disc(100, 100, 9)], LINES, [1, 1, 2]))
    both = Combined(first, second)
    assert both.class_names == ("black_dot", "loop", "dislocation", "void")
    third = Fixed(found([line(20, 50, 62), disc(60, 60, 14)], ("black_dot", "loop", "void"), [2, 2]))
    alone = Combined(third, second)
    assert sorted(alone(FRAME).names()) == ["dislocation", "loop"]  # voids are those of the first
    streamed = list(alone.stream([(FRAME, None, "a"), (None, None, None), (FRAME, None, "b")]))
    assert [tag for _, tag in streamed] == ["a", None, "b"]
    assert streamed[1][0] is None
    assert [sorted(one.names()) for one, _ in streamed if one is not None] == [["dislocation", "loop"]] * 2
    assert alone.describe()["name"] == "fixed+fixed"


@pytest.mark.parametrize(
    "name", ["loops+", "loops+loops", "loops+lines+loops", "loops+nothing", "lines+nix.onnx"]
)
def test_models_that_do_not_go_together_are_one_line(name: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_segmenter(name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value) or name.split("+")[1] in str(caught.value)


def test_classes_that_leave_one_of_two_models_nothing_name_the_other() -> None:
    with pytest.raises(SettingsError, match=r"nothing for lines.*--model loops"):
        load_segmenter("loops+lines", SegmentConfig(classes=("void",)))
    with pytest.raises(SettingsError, match="does not know defect"):
        load_segmenter("loops+lines", SegmentConfig(classes=("defect",)))


def test_a_find_whose_best_class_is_too_unlikely_is_a_defect_and_stays_there() -> None:
    finds = found([disc(20, 20, 8), disc(60, 60, 8)], LOOPS, [1, 2])
    chances = np.array([[0.55, 0.45], [0.1, 0.9]], np.float32)
    typed = with_untyped(
        Detections(0, 0.0, SHAPE, finds.boxes, finds.labels, finds.scores, finds.masks, LOOPS, 0, chances),
        0.6,
    )
    assert typed.names() == ["defect", "loop"]
    np.testing.assert_allclose(typed.class_probability.sum(axis=1), 1.0, rtol=1e-6)
    assert (typed.class_probability.argmax(axis=1) + 1 == typed.labels).all()
    assert with_untyped(finds, 0.6).names() == ["black_dot", "loop"]  # where only labels are known


def test_nothing_found_is_nothing_of_every_class() -> None:
    nothing = with_untyped(Detections.empty(0, 0.0, SHAPE, LOOPS), 0.5)
    assert len(nothing) == 0
    assert nothing.class_names == (*LOOPS, "defect")


@pytest.mark.parametrize("least", [-0.1, 1.0])
def test_a_least_class_that_is_no_probability_is_refused(least: float) -> None:
    with pytest.raises(SettingsError, match="least_class"):
        SegmentConfig(least_class=least)
