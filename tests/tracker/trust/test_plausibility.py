"""What sizes, fields of view and places say against a frame."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.tracker.trust.plausibility import against_scale, on_lattice


@given(st.floats(0.7, 4000), st.integers(0, 60), st.floats(26, 49_000))
def test_sizes_and_views_that_defects_have_give_no_reason(size_nm, n, view_nm) -> None:
    assert against_scale(np.full(n, size_nm), view_nm) == []


@pytest.mark.parametrize(
    ("size_nm", "view_nm", "reasons"),
    [
        (0.2, 14.0, ["view", "size"]),
        (0.2, 400.0, ["size"]),
        (8.0, 14.0, ["view"]),
        (8.0, 80_000.0, ["view"]),
        (9000.0, 40_000.0, ["size"]),
        (math.nan, math.nan, []),
    ],
)
def test_impossible_sizes_and_views_are_named(size_nm, view_nm, reasons) -> None:
    assert against_scale(np.full(9, size_nm), view_nm) == reasons


def test_a_few_small_finds_among_many_are_no_reason() -> None:
    assert against_scale(np.array([0.2] * 8 + [5.0] * 12), 400.0) == []


@settings(deadline=None)
@given(
    spacing=st.floats(5, 80),
    turn=st.floats(0, math.pi),
    squeeze=st.floats(0.6, 1.0),
    jitter=st.floats(0, 0.06),
    missed=st.floats(0, 0.2),
)
def test_places_on_a_lattice_are_found_out(spacing, turn, squeeze, jitter, missed) -> None:
    rng = np.random.default_rng(1)
    u, v = (axis.ravel() for axis in np.mgrid[:12, :12] * spacing)
    x, y = (
        u * math.cos(turn) - squeeze * v * math.sin(turn),
        u * math.sin(turn) + squeeze * v * math.cos(turn),
    )
    kept = rng.random(len(x)) >= missed
    places = np.stack([x, y])[:, kept] + rng.normal(0, jitter * squeeze * spacing, (2, kept.sum()))
    assert on_lattice(*places)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(24, 400))
def test_scattered_defects_stand_on_no_lattice(seed, n) -> None:
    assert not on_lattice(*np.random.default_rng(seed).uniform(0, 1000, (2, n)))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_bubbles_that_keep_their_distance_stand_on_no_lattice(seed) -> None:
    rng = np.random.default_rng(seed)
    places: list[np.ndarray] = []
    while len(places) < 150:  # as dense as independent tries get
        one = rng.uniform(0, 300, 2)
        if all(np.hypot(*(one - other)) > 16 for other in places):
            places.append(one)
    assert not on_lattice(*np.array(places).T)


def test_too_few_places_say_nothing() -> None:
    y, x = np.mgrid[:4, :4] * 10.0
    assert not on_lattice(x.ravel(), y.ravel())
