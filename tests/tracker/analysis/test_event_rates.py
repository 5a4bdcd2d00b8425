"""Rates of births and mergers in parts of a run: every event once, over the area and dose of its part."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from insitrack.io.results import TrackSummary
from insitrack.tracker.analysis.event_rates import RATE_COLUMNS, mergers_row, rate_rows

AREA_NM2, LENGTH_S, FRAME_NM = 250_000.0, 100.0, (500.0, 500.0)


def track(name: int, born_s: float, *, left: bool = False) -> TrackSummary:
    """Make a track of a void of 50 nm."""
    return TrackSummary(name, "void", born_s, born_s + 5, 5.0, left, False, 9, 50.0, np.nan, np.nan)


def run_and_result(dose_dpa: Any) -> tuple[Any, Any]:
    """Make a run of 100 s, and the series of ten time bins."""
    t = np.linspace(5, 95, 10)
    table = pd.DataFrame({"t_s": t, "dose_dpa": dose_dpa(t), "defect_class": "all"})
    frames = pd.DataFrame({"t_s": np.linspace(0, LENGTH_S, 11)})
    return (
        SimpleNamespace(class_names=("void",), frames=frames),
        SimpleNamespace(time_bins=table, area_nm2=AREA_NM2, duration_s=LENGTH_S),
    )


def rows_of(some: list[TrackSummary], merges: dict[int, float] | None, dose: Any) -> pd.DataFrame:
    run, out = run_and_result(dose)
    return pd.DataFrame(rate_rows(some, merges, run, out, FRAME_NM), columns=RATE_COLUMNS)


def test_every_birth_and_every_merger_is_counted_in_one_part() -> None:
    born = np.random.default_rng(0).uniform(0, LENGTH_S, 60)
    some = [track(i, float(t)) for i, t in enumerate(born)] + [track(99, 0.0, left=True)]
    table = rows_of(some, {3: 100.0, 5: 0.0, 7: 50.0}, lambda t: 1e-3 * t)
    for label in ("void", "all"):
        part = table[table["defect_class"] == label]
        assert part[part["quantity"] == "nucleation"]["n"].sum() == 60
        assert part[part["quantity"] == "coalescence"]["n"].sum() == 3
    assert len(table[table["quantity"] == "nucleation"]) == 2 * 6


def test_a_rate_is_the_number_over_the_area_where_it_can_be_whole_and_the_time_or_dose() -> None:
    some = [track(i, 10.0 * i) for i in range(8)]
    (row,) = rows_of(some, None, lambda t: 2e-3 * t).query("defect_class == 'void'").to_dict("records")
    exposure_m2 = AREA_NM2 * (1 - 50 / 500) ** 2 * 1e-18
    assert row["per_m2_s"] == pytest.approx(8 / exposure_m2 / LENGTH_S)
    assert row["per_m2_dpa"] == pytest.approx(8 / exposure_m2 / 0.2)
    assert row["per_m2_s_lo"] < row["per_m2_s"] < row["per_m2_s_hi"]
    assert row["dose_to_dpa"] == pytest.approx(0.2)


def test_parts_have_equal_dose_where_the_beam_was_off_for_a_while() -> None:
    some = [track(i, float(t)) for i, t in enumerate(np.linspace(1, 99, 40))]
    table = rows_of(some, None, lambda t: np.where(t < 50, 0.0, t - 50)).query("defect_class == 'void'")
    assert np.allclose(np.diff(table[["dose_from_dpa", "dose_to_dpa"]].to_numpy(), axis=1), 12.5, atol=2)


def test_without_a_dose_or_a_table_of_events_the_cells_are_empty_and_say_why() -> None:
    some = [track(i, 10.0 * i) for i in range(8)]
    table = rows_of(some, None, lambda t: np.full(len(t), np.nan))
    assert table["per_m2_dpa"].isna().all()
    assert table["per_m2_s"].notna().all()
    assert "coalescence" not in set(table["quantity"])
    row = mergers_row("void", None, run_and_result(lambda t: t)[1])
    assert np.isnan(float(str(row["value"])))
    assert "who merged" in str(row["why"])
