"""Drawn defects on real backgrounds."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.segment.training.composite import drawn_onto


def picture(seed: int, noise: float = 4.0) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(150, noise, (160, 200)), 0, 255).astype(np.uint8)


def labelled(*boxes: tuple[int, int, int]) -> Detections:
    masks = Masks.from_crops(
        [np.ones((side, side), bool) for _, _, side in boxes], [(y, x) for y, x, _ in boxes]
    )
    scores = np.ones(len(boxes), np.float32)
    return Detections(
        0, 0.0, (160, 200), masks.boxes(), np.full(len(boxes), 1, np.int64), scores, masks, DEFECT_CLASSES
    )


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["loops", "two_beam", "diffuse"]))
def test_drawn_defects_are_darker_than_the_background_and_nothing_else_changes(seed: int, kind: str) -> None:
    before = picture(seed)
    after, found = drawn_onto(
        before, labelled(), np.random.default_rng(seed), kind=kind, nm_per_px=0.5, turn=0.3, n=12, blur_px=1.0
    )
    assert after.shape == before.shape
    assert (after <= before).all()
    for i in range(len(found)):
        y, x = found.masks.corners[i]
        crop = found.masks.crop(i)
        window = np.s_[y : y + crop.shape[0], x : x + crop.shape[1]]
        assert (before[window].astype(int) - after[window])[crop].mean() > 3


def test_what_is_labelled_already_keeps_its_label_and_is_not_drawn_over() -> None:
    there = labelled((10, 10, 40), (100, 120, 30))
    counts = []
    for seed in range(6):
        _, found = drawn_onto(
            picture(seed),
            there,
            np.random.default_rng(seed),
            kind="loops",
            nm_per_px=0.4,
            turn=0.0,
            n=30,
            blur_px=1.0,
        )
        counts.append(len(found))
        assert found.labels[:2].tolist() == [1, 1]
        old = there.masks.dense((160, 200)).any(axis=0)
        for i in range(2, len(found)):
            mask = found.masks.take(np.array([i])).dense((160, 200))[0]
            assert (mask & old).sum() <= 0.15 * mask.sum() + 1
    assert max(counts) > 4


def n_drawn(noise: float) -> int:
    options = {"kind": "loops", "nm_per_px": 0.6, "turn": 0.0, "n": 25, "blur_px": 1.0}
    return sum(
        len(drawn_onto(picture(seed, noise), labelled(), np.random.default_rng(seed), **options)[1])
        for seed in range(4)
    )


def test_a_defect_that_noise_would_hide_is_not_drawn() -> None:
    assert n_drawn(60.0) < 0.7 * n_drawn(3.0)


def test_the_same_numbers_give_the_same_picture() -> None:
    one, two = (
        drawn_onto(
            picture(1),
            labelled(),
            np.random.default_rng(5),
            kind="diffuse",
            nm_per_px=0.4,
            turn=0.0,
            n=9,
            blur_px=2.0,
        )[0]
        for _ in range(2)
    )
    assert (one == two).all()
