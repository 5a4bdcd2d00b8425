"""The model of known images: what it says, and that nothing else is taken for it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import insitrack.tracker.trust.known as known_module
from insitrack.io.errors import ModelError
from insitrack.segment.prepare.texture import NAMES
from insitrack.tracker.trust.known import UNLIKE, KnownImages, load_known, read_known
from insitrack.tracker.trust.reasons import REASONS

SHIPPED = Path(known_module.__file__).parent / "known.json"


def simple() -> KnownImages:
    """One known kind at zero and one that is not, six units off along the first figure."""
    n = len(NAMES)
    off = np.zeros(n)
    off[0] = 6.0
    return KnownImages(
        mean=np.zeros(n),
        sd=np.ones(n),
        weight=np.zeros(n),
        square_weight=np.zeros(n),
        bias=0.0,
        axes=2 * np.eye(n),
        centres=np.stack([np.zeros(n), off]),
        known=np.array([True, False]),
        reasons=("", "pores"),
        farthest=np.inf,
    )


@given(share=st.floats(0, 1))
def test_the_nearer_the_known_kind_the_higher_the_odds(share: float) -> None:
    figures = np.zeros(len(NAMES))
    figures[0] = 3 * share  # the other kind lies at 3 before the axes
    odds, reason = simple().judge(figures)
    assert (odds > 0) == (share < 0.5) or share == 0.5
    assert reason == "pores"


def test_what_is_far_from_everything_is_unlike() -> None:
    figures = np.zeros(len(NAMES))
    figures[1] = 4.0
    near_by_weighing = simple().judge(figures)[0]
    odds, reason = replace(simple(), farthest=5.0).judge(figures)
    assert near_by_weighing > 0 > odds
    assert reason == UNLIKE


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), size=st.floats(0, 1e6))
def test_every_verdict_is_a_number_with_a_reason_that_has_words(seed: int, size: float) -> None:
    figures = np.random.default_rng(seed).normal(0, 1 + size, len(NAMES))
    odds, reason = load_known().judge(figures)
    assert np.isfinite(odds)
    assert reason in REASONS


@pytest.mark.parametrize("damage", ["not JSON", "other figures", "missing part"])
def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path, damage) -> None:
    facts = json.loads(SHIPPED.read_text(encoding="utf-8"))
    if damage == "other figures":
        facts["figures"] = facts["figures"][:-1]
    if damage == "missing part":
        del facts["axes"]
    path = tmp_path / "known.json"
    path.write_text("{" if damage == "not JSON" else json.dumps(facts), encoding="utf-8")
    with pytest.raises(ModelError, match="no model of known images") as error:
        read_known(path)
    assert "\n" not in str(error.value)
