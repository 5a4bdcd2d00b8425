"""Plots of the tracks of a run: what they show is what the tables say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from insitrack.io.report.track_plots import growth_figure, lifetime_figure, msd_figure


def test_the_plot_of_displacements_has_every_lag_its_band_and_the_line_of_free_motion() -> None:
    lag = np.array([0.5, 1.0, 1.5, 2.0, 3.0])
    table = pd.DataFrame(
        {"lag_s": lag, "msd_nm2": 4 * lag, "msd_nm2_lo": 3 * lag, "msd_nm2_hi": 5 * lag, "n_tracks": 30}
    )
    both = pd.concat([table.assign(defect_class="void"), table.assign(defect_class="all")])
    figure = msd_figure(both)
    assert figure is not None
    curve = next(part for part in figure.data if part.name == "void, 30 tracks")
    assert list(curve.y) == pytest.approx((4 * lag).tolist())
    free = next(part for part in figure.data if part.name == "free motion")
    assert list(free.y) == pytest.approx([2.0, 12.0])
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "log")
    assert msd_figure(both[both["lag_s"] < 2.0]) is None


def test_the_life_time_curve_is_that_of_kaplan_and_meier_and_has_a_band() -> None:
    ages = [2.0, 3.0, 3.0, 5.0, 8.0]
    tracks = pd.DataFrame(
        {
            "defect_class": "void",
            "lifetime_s": ages,
            "left_censored": 0,
            "right_censored": [0, 0, 1, 0, 1],
            "n_observed": 11,  # watched from the third on: from a fifth of the life
            "size_nm": 5.0,
        }
    )
    figure = lifetime_figure(tracks)
    assert figure is not None
    curve = next(part for part in figure.data if part.name)
    assert sorted({round(float(value), 3) for value in curve.y}, reverse=True) == [1.0, 0.8, 0.6, 0.3]
    assert any(part.fill == "toself" for part in figure.data)
    assert curve.customdata[2] == 5
    told = [note for note in figure.layout.annotations if note.text.isdigit()]
    assert [(note.x, note.text) for note in told][:4] == [(0.0, "0"), (2.0, "5"), (4.0, "2"), (6.0, "1")]
    of_all = next(part for part in lifetime_figure(tracks, {"void": 4.0}).data if part.name)
    lived = np.exp(-float(curve.x[0]) / 4.0)  # of the others nothing is seen
    assert np.asarray(of_all.y, float) == pytest.approx(lived * np.asarray(curve.y, float), abs=1e-3)
    assert lived < 0.95
    assert lifetime_figure(tracks.assign(left_censored=1)) is None
    assert lifetime_figure(tracks.assign(n_observed=2)) is None


def test_lives_that_end_as_soon_as_they_count_do_not_end_the_life_time_curve() -> None:
    sights = (
        3 + np.random.default_rng(0).geometric(1 / 20, 400) - 1
    )  # after the third, one look in twenty is the last
    tracks = pd.DataFrame(
        {"defect_class": "loop", "lifetime_s": 0.5 * (sights - 1), "n_observed": sights, "size_nm": 5.0}
    ).assign(left_censored=0, right_censored=0)
    figure = lifetime_figure(tracks)
    assert figure is not None
    curve = next(part for part in figure.data if part.name)
    x, y = np.asarray(curve.x, float), np.asarray(curve.y, float)
    for looks in (10, 20, 40):
        assert y[np.searchsorted(x, 0.5 * (2.5 + looks)) - 1] == pytest.approx(0.95**looks, abs=0.07)


def test_the_histogram_of_growth_has_every_track_that_was_seen_long_enough() -> None:
    tracks = pd.DataFrame(
        {
            "defect_class": ["void"] * 8 + ["loop"] * 4,
            "growth_nm_per_s": np.linspace(-1, 2, 12),
            "n_observed": 20,
        }
    )
    figure = growth_figure(tracks)
    assert figure is not None
    assert sum(int(np.sum(bar.y)) for bar in figure.data) == 12
    assert growth_figure(tracks.assign(n_observed=9)) is None
