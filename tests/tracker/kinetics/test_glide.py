"""Directions of glide that a movie has, and leaps along them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from insitrack.tracker.hindsight.refine import refine
from insitrack.tracker.hindsight.settings import RefineConfig
from insitrack.tracker.kinetics.glide import away_deg, glide_directions

N, SIDE = 60, 400.0


def leaping(seed: int, n_loops: int, direction_deg: float | None) -> pd.DataFrame:
    """Loops that leap by 12 to 34 px, to and fro along one direction or each time along another one."""
    random = np.random.default_rng(seed)
    rows, name = [], 0
    for loop in range(n_loops):
        place, size = random.uniform(60, SIDE - 60, 2), random.uniform(9, 16)
        name += 1
        for t in range(N):
            if t and random.random() < 0.1:
                angle = random.uniform(0, 360) if direction_deg is None else direction_deg
                way = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
                place = place + random.uniform(12, 34) * random.choice([-1, 1]) * way
                name += 1
            x, y = place + random.normal(0, 0.5, 2)
            half = size * random.lognormal(0, 0.03) / 2
            box = {"x1_px": x - half, "y1_px": y - half, "x2_px": x + half, "y2_px": y + half}
            rows.append(
                {"frame": t, "t_s": t / 10, "track_id": name, "defect_class": "loop", "score": 0.8}
                | {"x_px": x, "y_px": y, "area_px": 3.14 * half**2, "size_nm": half}
                | {"on_edge": 0, "observed": 1, "loop": loop, **box}
            )
    return pd.DataFrame(rows)


def refined(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, float]]:
    frames = pd.DataFrame(
        {"frame": range(N), "t_s": np.arange(N) / 10, "status": "processed", "shift_x_px": 0.0}
    ).assign(shift_y_px=0.0)
    one = refine(rows.drop(columns="loop"), frames, RefineConfig(), nm_per_px=0.5)
    seen = one.tracks[one.tracks["observed"] == 1].assign(raw_x=lambda t: t["raw_x_px"])
    return seen.merge(rows[["frame", "raw_x", "loop"]], on=["frame", "raw_x"]), one.facts


@pytest.fixture(scope="module")
def to_and_fro() -> tuple[pd.DataFrame, dict[str, float]]:
    rows = leaping(0, 25, 37.0)
    return refined(rows.assign(raw_x=rows["x_px"]))


def test_a_direction_that_many_leaps_share_is_found(
    to_and_fro: tuple[pd.DataFrame, dict[str, float]],
) -> None:
    facts = to_and_fro[1]
    assert facts["glide_direction_1_deg"] == pytest.approx(37.0, abs=2.0)
    assert "glide_direction_2_deg" not in facts
    assert facts["jumps_joined"] > 60


def test_loops_that_leap_to_and_fro_keep_their_ids_and_take_nobody_elses(
    to_and_fro: tuple[pd.DataFrame, dict[str, float]],
) -> None:
    rows, facts = to_and_fro
    assert facts["jumps_by_chance"] < 0.05 * facts["jumps_joined"]
    counts = rows.groupby(["loop", "track_id"]).size()
    assert counts.groupby("loop").max().mean() > 0.75 * N
    assert counts.groupby("track_id").max().sum() > 0.97 * counts.sum()


def test_no_direction_is_learnt_where_leaps_have_none() -> None:
    rows = leaping(1, 25, None)
    facts = refined(rows.assign(raw_x=rows["x_px"]))[1]
    assert "glide_direction_1_deg" not in facts


def test_what_lies_along_a_boundary_is_not_taken_for_glide() -> None:
    random = np.random.default_rng(2)
    along, even = random.normal(70.0, 3.0, 60) % 180, random.uniform(0, 180, 30)
    assert glide_directions(np.append(along, even), random.uniform(0, 180, 30)) == pytest.approx(
        (70.0,), abs=1.5
    )
    assert glide_directions(np.append(along, even), random.normal(70.0, 3.0, 60) % 180) == ()


def test_directions_are_not_found_in_chance() -> None:
    random = np.random.default_rng(3)
    found = [
        glide_directions(random.uniform(0, 180, n), random.uniform(0, 180, n)) for n in [10, 40, 160] * 60
    ]
    assert sum(map(len, found)) == 0


def test_directions_near_zero_and_180_degrees_are_one() -> None:
    angles = np.array([1.0, 2.0, 0.5, 179.0, 178.5, 179.5, 1.5, 178.0] * 3)
    (direction,) = glide_directions(angles, np.zeros(0))
    assert abs(away_deg(np.array([direction]), 0.0)[0]) < 1.0
