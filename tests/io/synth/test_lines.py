"""Synthetic line dislocations: seeded, where the truth says, as long as the truth says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.errors import SourceError
from insitrack.io.synth.line_shapes import wandering
from insitrack.io.synth.lines import Dislocation, pieces_in_view
from insitrack.io.synth.source import SynthSource

CLEAN = "noise=0.001&mottle=0.001&overlay=0&polarity=dark&n=0&drift=0&jumps=0"


def straight(y: float = 20.0, x0: float = 10.0, x1: float = 90.0, **more: float) -> Dislocation:
    x = np.arange(x0, x1 + 0.5)
    points = np.stack([x, np.full(len(x), y)], axis=1)
    return Dislocation(1, points, np.full(len(x), 0.5), np.zeros(len(x)), 4.0, **more)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), length=st.floats(40, 400), persistence=st.floats(50, 2000))
def test_a_wandering_line_is_as_long_as_asked_and_its_points_are_a_pixel_apart(
    seed: int, length: float, persistence: float
) -> None:
    steps = np.linalg.norm(
        np.diff(wandering(np.random.default_rng(seed), length, persistence), axis=0), axis=1
    )
    assert steps.sum() == pytest.approx(length, rel=0.06)
    assert steps.max() < 1.2


def test_headings_forget_themselves_over_twice_the_persistence_length() -> None:
    rng, persistence, apart = np.random.default_rng(1), 80.0, 80
    cosines = []
    for _ in range(60):
        tangents = np.diff(wandering(rng, 800.0, persistence), axis=0)
        tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
        cosines.append((tangents[:-apart] * tangents[apart:]).sum(axis=1).mean())
    assert np.mean(cosines) == pytest.approx(np.exp(-apart / (2 * persistence)), abs=0.08)


def test_half_a_pixel_of_motion_moves_the_picture_by_half_a_pixel() -> None:
    centres = []
    for dy in (0.0, 0.5, 7.25):
        y, x, loss, _ = straight().drawn(np.array([0.0, dy]), (64, 128))
        image = np.zeros((64, 128))
        image[y, x] = loss
        column = image[:, 50]
        centres.append((column * (np.arange(64) + 0.5)).sum() / column.sum())
    assert np.diff(centres) == pytest.approx([0.5, 6.75], abs=0.02)


def test_the_outline_is_as_wide_and_as_long_as_the_line() -> None:
    _, _, _, inside = straight().drawn(np.zeros(2), (64, 128))
    assert inside.sum() == pytest.approx(4 * 80, rel=0.08)
    _, _, _, double = straight(double_px=6.0).drawn(np.zeros(2), (64, 128))
    assert double.sum() == pytest.approx(10 * 80, rel=0.08)


def test_a_line_outside_the_frame_draws_nothing() -> None:
    assert all(not len(part) for part in straight().drawn(np.array([500.0, 0.0]), (64, 128)))


def test_a_line_behind_a_text_comes_back_as_two_pieces() -> None:
    clear = np.ones((64, 128), bool)
    clear[:, 40:60] = False
    pieces = pieces_in_view(straight().points, clear)
    assert [len(piece) for piece in pieces] == [30, 31]
    assert pieces_in_view(straight().points, np.zeros((64, 128), bool)) == ()


@pytest.mark.parametrize("kind", ["lines", "pileup"])
def test_centreline_mask_and_dark_pixels_agree(kind: str) -> None:
    movie = SynthSource(f"synth:{kind}?seed=4&size=200x160&frames=2&nm_per_px=0.5&{CLEAN}")
    image, state = movie.frame(1).image.astype(float), movie.truth_state(1)
    lines = [row for row, name in enumerate(state.detections.names()) if name == "dislocation"]
    truth = {line.track_id: line for line in movie.line_truth(1)}
    assert len(lines) >= 2
    masks = state.detections.masks.dense((160, 200))
    background = np.median(image[~masks.any(axis=0)])
    for row in lines:
        line = truth[int(state.track_ids[row])]
        points = np.floor(np.concatenate(line.pieces)).astype(int)
        assert masks[row][points[:, 1], points[:, 0]].mean() > 0.97
        assert state.size_nm[row] == pytest.approx(0.5 * line.length_px)
        assert image[masks[row]].mean() < background - 2


def test_lines_of_a_pile_up_end_on_common_traces_and_do_not_cross() -> None:
    movie = SynthSource(f"synth:pileup?seed=11&size=512&frames=1&nm_per_px=0.5&{CLEAN}")
    groups = [line for line in movie.lines.lines if line.double_px == 0]
    firsts = np.array([line.points[0] for line in groups[-3:]])
    steps = np.diff(firsts, axis=0)
    cosine = (steps[0] @ steps[1]) / (np.linalg.norm(steps[0]) * np.linalg.norm(steps[1]))
    assert cosine > 0.8


def test_the_number_of_single_lines_can_be_asked_for() -> None:
    assert [
        len(SynthSource(f"synth:lines?seed=1&size=96&frames=1&lines={n}").lines.lines) for n in (0, 1, 7)
    ] == [0, 1, 7]
    with pytest.raises(SourceError, match="lines=-5"):
        SynthSource("synth:lines?lines=-5")


def test_other_kinds_of_scene_have_no_line_with_truth() -> None:
    assert SynthSource("synth:loops?seed=1&size=96&frames=1").line_truth(0) == ()


def test_gliding_lines_move_and_keep_their_length() -> None:
    movie = SynthSource(f"synth:lines?seed=6&size=256&frames=60&fps=1&{CLEAN}&lines=40")
    moving = [line for line in movie.lines.lines if any(line.glide_px_per_s)]
    assert moving
    assert np.hypot(*(moving[0].offset_px(59.0) - moving[0].offset_px(0.0))) > 0
    assert (moving[0].offset_px(0.0) == 0).all()
