"""Plots of the tracks of a run: what they show is what the tables say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from insitrack.io.report.track_plots import msd_figure


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
