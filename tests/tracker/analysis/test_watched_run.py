"""Lifetimes and births that `track series` tells are those of ``kinetics.csv``; of a part, those of that part."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from insitrack import Run
from insitrack.tracker.analysis.fits import fits_and_rates
from insitrack.tracker.analysis.recompute import Recompute
from insitrack.tracker.analysis.table_run import open_run
from insitrack.tracker.cli import main

SIDE, LOOKS, TAU, NM, DT, DPA_S = 400.0, 90, 6.0, 0.5, 0.5, 1e-3
EARLY, LATE = 2.0, 6.0
"""Births between two looks, in the first and second half."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """Link drawn detections of defects that live six looks, and tell the kinetics from the tables of the run."""
    folder, random = tmp_path_factory.mktemp("series"), np.random.default_rng(3)
    half = (LOOKS - 1) / 2
    born = np.concatenate(
        [
            np.full(random.poisson(EARLY * TAU), -1e-9),
            random.uniform(0, half, random.poisson(EARLY * half)),
            random.uniform(half, LOOKS - 1, random.poisson(LATE * half)),
        ]
    )
    parts = []
    for start in born.tolist():
        look = np.arange(int(np.ceil(start)), min(LOOKS - 1, int(start + random.exponential(TAU))) + 1)
        parts.append(np.column_stack([look, random.uniform(0, SIDE, 2) + np.zeros((len(look), 1))]))
    rows = np.concatenate(parts)
    rows[:, 1:] += random.normal(0, 0.4, (len(rows), 2))
    table = pd.DataFrame(rows[random.random(len(rows)) > 0.1], columns=["frame", "x_px", "y_px"])
    inside = ((table[["x_px", "y_px"]] > 0) & (table[["x_px", "y_px"]] < SIDE)).all(axis=1)
    table = table[inside].astype({"frame": int}).sort_values("frame", kind="stable").assign(size_px=12.0)
    table.to_csv(folder / "found.csv", index=False)
    given = ["--nm-per-px", str(NM), "--size", "400x400"]
    linked = [str(folder / "found.csv"), *given, "--frame-interval-s", str(DT), "--dose-rate", str(DPA_S)]
    assert main(["link", *linked, "--out", str(folder / "run")]) == 0
    opened = open_run(folder / "run", "run")
    work = Recompute(opened)
    for _ in work.series():
        pass
    out = work.finish()
    fits, rates = fits_and_rates(opened, out)
    return {
        "kinetics": Run(folder / "run").kinetics,
        "fits": pd.DataFrame(fits),
        "rates": pd.DataFrame(rates),
    }


@pytest.mark.parametrize("quantity", ["lifetime_mean_s", "lifetime_median_s", "nucleation_per_m2_s"])
def test_the_whole_run_has_the_figures_of_its_kinetics(told: dict[str, pd.DataFrame], quantity: str) -> None:
    (theirs,), (ours,) = (
        table[(table["quantity"] == quantity) & (table["defect_class"] == "all")].to_dict("records")
        for table in (told["kinetics"], told["fits"])
    )
    for name in ("value", "lo", "hi", "n"):
        assert ours[name] == pytest.approx(theirs[name], rel=0.01, nan_ok=True)


def test_births_of_short_lives_are_told_in_each_part_with_intervals_that_hold_them(
    told: dict[str, pd.DataFrame],
) -> None:
    table = told["rates"]
    table = table[(table["defect_class"] == "all") & (table["quantity"] == "nucleation")]
    assert len(table) == 8
    per_look = DT * (SIDE * NM * 1e-9) ** 2
    true = np.where(np.arange(8) < 4, EARLY, LATE) / per_look
    held = (table["per_m2_s_lo"] <= true) & (true <= table["per_m2_s_hi"])
    assert held.sum() >= 7
    assert table["per_m2_s"].sum() == pytest.approx(true.sum(), rel=0.12)
    assert table["per_m2_dpa"].to_numpy() == pytest.approx(table["per_m2_s"].to_numpy() / DPA_S, rel=1e-3)
    # what is counted alone is a third too few: that many never live to the third observation
    middle = table.iloc[1:-1]
    seconds = (middle["t_to_s"] - middle["t_from_s"]).to_numpy()
    counted = middle["n"] / seconds / (per_look / DT)
    assert counted.mean() < 0.75 * true[1:-1].mean()
