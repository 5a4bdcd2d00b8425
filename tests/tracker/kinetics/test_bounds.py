"""Where identities are not sure there are bounds, and steps to strangers are no diffusion; against drawn movies."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from insitrack.io.arrays import Ints
from insitrack.tracker.kinetics.bounds import between, expected
from insitrack.tracker.kinetics.identities import Identities
from insitrack.tracker.kinetics.lives import exponential_mean
from insitrack.tracker.kinetics.rates import kinetics_rows
from insitrack.tracker.kinetics.track_histories import track_histories
from insitrack.tracker.kinetics.watched import Watched, watch

SIDE, LOOKS, TAU, SIZE, NM = 500.0, 120, 30.0, 16.0, 0.5
RATE = 2.0
"""Births between two looks."""
STEP_PX = 0.3
"""Standard deviation of a step in one direction."""


@pytest.fixture(scope="module")
def drawn() -> pd.DataFrame:
    """Rows of tracks.csv of defects that wander and live 30 looks on average, with the ids that they have."""
    random = np.random.default_rng(5)
    born = np.concatenate(
        [
            np.full(random.poisson(RATE * TAU), -0.5),
            random.uniform(0, LOOKS - 1, random.poisson(RATE * LOOKS)),
        ]
    )
    parts = []
    for name, start in enumerate(born.tolist(), 1):
        look = np.arange(int(np.ceil(start)), min(LOOKS - 1, int(start + random.exponential(TAU))) + 1)
        home = random.uniform(0, SIDE, 2)
        path = home + np.cumsum(random.normal(0, STEP_PX, (len(look), 2)), axis=0)
        parts.append(np.column_stack([np.full(len(look), name), look, path]))
    rows = np.concatenate(parts)
    rows[:, 2:] += random.normal(0, 0.4, (len(rows), 2))
    return rows_of(rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64), rows[:, 2:])


def rows_of(track: Ints, look: Ints, place: np.ndarray) -> pd.DataFrame:
    x, y = place.T
    half = SIZE / 2
    table = pd.DataFrame({"track_id": track, "frame": look, "t_s": look / 2, "defect_class": "loop"})
    return (
        table.assign(
            score=0.9, observed=1, on_edge=0, size_nm=SIZE * NM, raw_size_nm=SIZE * NM, area_px=3.14 * half**2
        )
        .assign(x_px=x, y_px=y, raw_x_px=x, raw_y_px=y, specimen_x_px=x, specimen_y_px=y)
        .assign(x1_px=x - half, x2_px=x + half, y1_px=y - half, y2_px=y + half, probability=np.nan)
    )


def looked_frames() -> pd.DataFrame:
    looked = pd.DataFrame({"frame": range(LOOKS), "t_s": np.arange(LOOKS) / 2, "status": "processed"})
    return looked.assign(shift_x_px=0.0, shift_y_px=0.0, width_px=SIDE, height_px=SIDE, field_px=SIDE**2)


def kinetics(rows: pd.DataFrame) -> dict[str, dict[str, object]]:
    looked = looked_frames()
    rows = rows.sort_values(["frame", "track_id"], kind="stable").reset_index(drop=True)
    told = kinetics_rows(track_histories(rows, looked, nm_per_px=NM), rows, looked, nm_per_px=NM)
    return {str(row["quantity"]): row for row in told if row["defect_class"] == "all"}


def joined_to_strangers(drawn: pd.DataFrame) -> pd.Series:
    """Give each defect that dies the name of one that is born a little later, if there is one."""
    first = drawn.groupby("track_id")["frame"].agg(["min", "max"])
    joined, free = {}, set(first.index[first["min"] > 0])
    for name, end in first["max"].items():
        after = [one for one in free if 0 < first.loc[one, "min"] - end <= 3]
        if after and end < LOOKS - 5:
            joined[after[0]] = name
            free.discard(after[0])
    ids = drawn["track_id"]
    for _ in range(8):
        ids = ids.replace(joined)
    return ids


TRUE = {"lifetime_mean_s": TAU / 2, "nucleation_per_m2_s": RATE / (SIDE * NM * 1e-9) ** 2 / 0.5}


@pytest.mark.parametrize("quantity", TRUE)
def test_sure_identities_give_a_value_and_cut_lives_give_bounds_that_hold_the_truth(
    drawn: pd.DataFrame, quantity: str
) -> None:
    sure = kinetics(drawn)[quantity]
    assert sure["value"] == pytest.approx(TRUE[quantity], rel=0.25)
    halves = drawn.assign(track_id=10 * drawn["track_id"] + drawn["frame"] // 40)
    cut = kinetics(halves)[quantity]
    assert np.isnan(cut["value"])
    assert "identities are not sure" in cut["why"]
    assert cut["lo"] < TRUE[quantity] < cut["hi"]
    assert cut["hi"] / cut["lo"] > sure["hi"] / sure["lo"]


def test_lives_joined_to_strangers_give_bounds_that_hold_the_truth(drawn: pd.DataFrame) -> None:
    one = kinetics(drawn.assign(track_id=joined_to_strangers(drawn)))["lifetime_mean_s"]
    assert np.isnan(one["value"])
    assert one["lo"] < TAU / 2 < one["hi"]


def test_a_step_that_may_lead_to_a_stranger_hides_a_death_and_a_birth_with_its_chance(
    drawn: pd.DataFrame,
) -> None:
    looked, ids = looked_frames(), joined_to_strangers(drawn)
    rows = drawn.assign(track_id=ids, true=drawn["track_id"])
    rows = rows.sort_values(["track_id", "frame"], kind="stable").reset_index(drop=True)
    same = (rows["track_id"].diff() == 0) & (rows["true"].diff() != 0)
    seen = watch(rows, looked)

    def told(chance: float) -> tuple[float, float]:
        """Mean life, looks, and births per area and look, were each joint a stranger with this chance."""
        none = np.zeros(len(rows))
        found = Identities(0.0, 0.0, 1, np.where(same, chance, 0.0), none, none)
        likely = expected(seen, rows, looked, frozenset(), found, weigh=False).seen
        return exponential_mean(likely.lives, 1.0).value, rate(likely)

    def rate(one: Watched) -> float:
        return float((one.lives.weight / one.exposure_px2_looks)[one.countable].sum())

    true = watch(drawn.sort_values(["track_id", "frame"]), looked)
    tau, births = exponential_mean(true.lives, 1.0).value, rate(true)
    assert exponential_mean(seen.lives, 1.0).value > 1.5 * tau
    assert told(0.0) == (exponential_mean(seen.lives, 1.0).value, rate(seen))
    assert rate(seen) < 0.7 * births
    assert told(1.0) == (pytest.approx(tau, rel=0.01), pytest.approx(births, rel=0.05))
    half = told(0.5)
    assert tau < half[0] < told(0.0)[0]
    assert half[1] == pytest.approx((told(0.0)[1] + told(1.0)[1]) / 2)


def test_a_step_to_a_stranger_now_and_then_is_no_diffusion(drawn: pd.DataFrame) -> None:
    spoiled, away_px = drawn.copy(), 6.0
    at = np.random.default_rng(1).random(len(drawn)) < 0.0012
    for name in ("raw_x_px", "specimen_x_px"):
        spoiled[name] += np.where(at, away_px, 0.0)
    clean, found = (kinetics(rows)["diffusion_nm2_per_s"]["value"] for rows in (drawn, spoiled))
    assert clean == pytest.approx(STEP_PX**2 * NM**2, rel=0.25)
    feigned = 2 * at.sum() * (away_px * NM) ** 2 / len(drawn) / (4 * 0.5)
    assert feigned > 0.3 * clean  # what they would add, taken as they are
    assert found == pytest.approx(clean, rel=0.05)


def test_a_quantity_that_one_extreme_does_not_tell_has_no_bounds() -> None:
    row = {"quantity": "lifetime_mean_s", "value": 2.0, "lo": 1.0, "hi": 3.0, "method": "", "why": ""}
    (both,) = between([row], [[row], [{**row, "lo": 0.5, "hi": 2.5}]], "doubt")
    assert (both["lo"], both["hi"], both["why"]) == (0.5, 3.0, "doubt")
    assert np.isnan(both["value"])
    (none,) = between([row], [[row], [{**row, "value": np.nan}]], "doubt")
    assert np.isnan([none["value"], none["lo"], none["hi"]]).all()


def test_where_nothing_moves_dies_or_is_born_every_empty_cell_says_why() -> None:
    track, look = np.repeat(np.arange(1, 13), LOOKS), np.tile(np.arange(LOOKS), 12)
    place = 30.0 * track[:, None] + np.array([0.0, 50.0])
    told = kinetics(rows_of(track, look, place))
    empty = {name for name, row in told.items() if not np.isfinite(row["value"])}
    assert {"lifetime_mean_s", "lifetime_median_s", "diffusion_nm2_per_s", "confinement_nm"} <= empty
    assert all(told[name]["why"] for name in empty)
    assert "nothing moved" in told["diffusion_nm2_per_s"]["why"]
    assert told["lifetime_mean_s"]["lo"] > 100.0
    assert (told["growth_nm_per_s"]["value"], told["nucleation_per_m2_s"]["value"]) == (0.0, 0.0)
    assert told["nucleation_per_m2_s"]["hi"] > 0
