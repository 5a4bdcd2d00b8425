"""Several views of one frame: what only one of them shows counts less, and a micrograph is shown in three."""

from dataclasses import replace

import numpy as np
import pytest

from insitrack.io.detections import Detections, Masks
from insitrack.io.frames import Frame
from insitrack.io.synth import SynthSource
from insitrack.segment.base import SegmentConfig
from insitrack.segment.models import load_segmenter
from insitrack.segment.networks.agreement import agreed, neighbours
from insitrack.segment.prepare.view import View


def found(scores: list[float], columns: list[int]) -> Detections:
    masks = Masks.from_crops([np.ones((8, 8), bool)] * len(scores), [(8, column) for column in columns])
    return Detections(
        0,
        0.0,
        (64, 400),
        masks.boxes(),
        np.ones(len(scores), np.int64),
        np.array(scores, np.float32),
        masks,
    )


def test_what_all_views_show_keeps_its_score_and_what_one_shows_loses() -> None:
    together = agreed([found([0.5, 0.5, 0.5], [0, 100, 200]), found([0.5, 0.9], [1, 101])], 0.01)
    scores = dict(zip(together.boxes[:, 0].tolist(), together.scores.tolist(), strict=True))
    assert scores[0] == pytest.approx(0.5, abs=1e-6)
    assert scores[100] > 0.6
    assert scores[200] < 0.2
    assert together.scores.tolist() == sorted(together.scores.tolist(), reverse=True)


def test_one_view_alone_is_left_as_it_is() -> None:
    alone = found([0.9, 0.3, 0.1], [0, 100, 200])
    assert agreed([alone], 0.2).scores.tolist() == pytest.approx([0.9, 0.3])


def test_the_score_is_the_mean_of_logits() -> None:
    logit = 0.6 * np.log(0.8 / 0.2) + 0.4 * np.log(0.3 / 0.7)
    together = agreed([found([0.8], [0]), found([0.1], [0]), found([0.3], [1])], 0.01)
    assert together.scores.tolist() == pytest.approx([1 / (1 + np.exp(-logit))], rel=1e-5)


def test_the_class_is_that_of_all_views() -> None:
    """Twice 0.4 of a dot and a whole void make a void; where only one view shows it, its class stays."""
    alone = found([0.4, 0.5], [0, 100])
    names = alone.class_names
    dot, void = np.eye(len(names), dtype=np.float32)[[names.index("black_dot"), names.index("void")]]
    views = [replace(alone, class_probability=np.stack([dot, dot]))]
    views += [replace(found([1.0], [0]), class_probability=void[None])]
    together = agreed(views, 0.01)
    assert together.names() == ["void", "black_dot"]
    assert together.class_probability is not None
    assert together.class_probability[0] == pytest.approx((0.8 * dot + void) / 1.8)


def test_a_view_that_is_large_already_stands_alone() -> None:
    assert [view.scale for view in neighbours(View(0.5, inverted=True))] == [0.355, 0.705]
    assert all(view.inverted for view in neighbours(View(0.5, inverted=True)))
    assert neighbours(View(2.0)) == []


def frames(n: int) -> list[Frame]:
    source = SynthSource("synth:loops?seed=3&size=256&frames=4&fps=1&overlay=0")
    return [source.frame(i) for i in range(n)]


@pytest.mark.parametrize(
    ("n", "looks", "expected"), [(1, "auto", 3), (2, "auto", 3), (3, "auto", 1), (3, 3, 3), (1, 1, 1)]
)
def test_a_micrograph_is_shown_in_three_scales_and_a_movie_in_one(
    n: int, looks: str | int, expected: int
) -> None:
    segmenter = load_segmenter(config=SegmentConfig(scale=1.0, contrast="dark", looks=looks))
    assert len(list(segmenter.stream((frame, None, None) for frame in frames(n)))) == n
    assert segmenter.describe()["view"]["looks"] == expected
