"""Trust frame by frame: known kinds are trusted, others are not, and an interruption changes nothing."""

import math

import numpy as np
import pytest

from insitrack.io.frames import Frame
from insitrack.io.results import Measures
from insitrack.io.synth.source import SynthSource
from insitrack.tracker.run.pack import pack, unpack
from insitrack.tracker.trust.live import LOOK_EVERY, LiveTrust, TrustSnapshot

RNG = np.random.default_rng(11)
DRAWN = SynthSource("synth:loops?seed=4&frames=2&size=384&overlay=0").frame(0).image
Y, X = np.mgrid[:384, :384]


def measures(n: int, size_nm: float = 8.0) -> Measures:
    values = [np.full(n, value) for value in (0.0, 0.0, 60.0, 9.0, 9.0, 0.0)]
    values[0][:], values[1][:] = np.random.default_rng(n).uniform(0, 384, (2, n))
    return Measures(*values, np.zeros(n, bool), np.full(n, size_nm), np.full(n, 50.0))


def judged(
    trust: LiveTrust, image: np.ndarray, n: int = 20, size_nm: float = 8.0, *, registered: bool = True
):
    return trust.update(
        Frame(0, 0.0, image), None, measures(n, size_nm), np.ones(n, bool), registered=registered
    )


def columns_of_atoms() -> np.ndarray:
    near = np.cos(2 * np.pi * (X + 0.3 * Y) / 11) * np.cos(2 * np.pi * (Y - 0.3 * X) / 11)
    return np.clip(120 + 60 * near + RNG.normal(0, 12, X.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "kind", ["loops", "two_beam", "voids", "bubbles", "laths", "dense", "diffuse", "lines"]
)
def test_a_drawn_movie_is_trusted(kind) -> None:
    image = SynthSource(f"synth:{kind}?seed=21&frames=2&size=512").frame(0).image
    verdict = judged(LiveTrust(0.4), image)
    assert verdict.trust > 0.5
    assert verdict.reasons == ()


def test_columns_of_atoms_are_not_trusted_and_called_a_lattice() -> None:
    verdict = judged(LiveTrust(), columns_of_atoms())
    assert verdict.trust < 0.5
    assert verdict.reasons == ("lattice",)


def test_noise_is_not_trusted() -> None:
    assert judged(LiveTrust(), RNG.integers(0, 255, X.shape).astype(np.uint8)).trust < 0.5


def test_a_picture_with_sharp_edges_and_flat_areas_is_not_trusted() -> None:
    discs = np.zeros(X.shape)
    for y, x, r, grey in RNG.uniform((0, 0, 15, 0), (384, 384, 90, 255), (60, 4)):
        discs[np.hypot(Y - y, X - x) < r] = grey
    assert judged(LiveTrust(), discs.astype(np.uint8)).trust < 0.5


@pytest.mark.parametrize(("nm_per_px", "size_nm", "reason"), [(0.3, 0.2, "size"), (0.04, 8.0, "view")])
def test_sizes_and_views_that_cannot_be_take_the_trust(nm_per_px, size_nm, reason) -> None:
    assert judged(LiveTrust(nm_per_px), DRAWN, size_nm=size_nm).reasons == (reason,)
    assert judged(LiveTrust(nm_per_px), DRAWN, size_nm=size_nm).trust < 0.2


def test_what_is_gone_at_once_takes_the_trust_until_it_has_become_usual() -> None:
    trust = LiveTrust(0.4)
    for _ in range(10):
        assert judged(trust, DRAWN, 40).trust > 0.5
    sudden = [judged(trust, DRAWN, 5).reasons for _ in range(25)]
    assert sudden[0] == ("sudden",)
    assert sudden[-1] == ()


def test_a_slow_decline_and_another_view_are_not_sudden() -> None:
    trust = LiveTrust(0.4)
    for n in range(60, 3, -1):
        assert "sudden" not in judged(trust, DRAWN, n).reasons
    trust = LiveTrust(0.4)
    for _ in range(10):
        judged(trust, DRAWN, 40)
    for _ in range(4):
        judged(trust, DRAWN, 40, registered=False)
    assert judged(trust, DRAWN, 3).reasons == ()


def test_a_change_of_the_picture_is_seen_in_the_same_frame() -> None:
    trust = LiveTrust(0.4)
    judged(trust, DRAWN)
    assert judged(trust, columns_of_atoms()).trust < 0.5
    assert judged(trust, DRAWN).trust > 0.5


def test_a_picture_of_one_grey_level_says_nothing() -> None:
    verdict = judged(LiveTrust(), np.full((300, 300), 80, np.uint8), 0)
    assert math.isnan(verdict.trust)
    assert verdict.reasons == ()


def test_a_judge_that_goes_on_from_a_snapshot_says_what_the_first_one_says() -> None:
    images = [DRAWN, DRAWN, columns_of_atoms(), DRAWN] * 5
    whole = LiveTrust(0.4)
    expected = [judged(whole, image, 30 - i) for i, image in enumerate(images)]
    for cut in (1, 7, LOOK_EVERY + 1):
        first, second = LiveTrust(0.4), LiveTrust(0.4)
        for i, image in enumerate(images[:cut]):
            judged(first, image, 30 - i)
        second.restore(unpack(TrustSnapshot, pack(first.snapshot())))
        got = [judged(second, image, 30 - i) for i, image in enumerate(images[cut:], cut)]
        assert got == expected[cut:]
