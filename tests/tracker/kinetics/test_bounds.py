"""Where identities are not sure there are bounds, and steps to strangers are no diffusion; against drawn movies."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from insitrack.io.arrays import Ints
from insitrack.tracker.kinetics.bounds import between
from insitrack.tracker.kinetics.rates import kinetics_rows
from insitrack.tracker.kinetics.track_histories import track_histories

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


def kinetics(rows: pd.DataFrame) -> dict[str, dict[str, object]]:
    looked = pd.DataFrame({"frame": range(LOOKS), "t_s": np.arange(LOOKS) / 2, "status": "processed"})
    looked = looked.assign(shift_x_px=0.0, shift_y_px=0.0, width_px=SIDE, height_px=SIDE, field_px=SIDE**2)
    rows = rows.sort_values(["frame", "track_id"], kind="stable").reset_index(drop=True)
    told = kinetics_rows(track_histories(rows, looked, nm_per_px=NM), rows, looked, nm_per_px=NM)
    return {str(row["quantity"]): row for row in told if row["defect_class"] == "all"}


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
    one = kinetics(drawn.assign(track_id=ids))["lifetime_mean_s"]
    assert np.isnan(one["value"])
    assert one["lo"] < TAU / 2 < one["hi"]


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
