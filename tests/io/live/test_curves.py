"""Curves for the page of a live run: few points, no spike lost, gaps that stay gaps, the last known value."""

import json
import math
import struct
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from insitrack.io.detections import Detections
from insitrack.io.frames import Frame, MissingFrame
from insitrack.io.live.page.curves import QUANTITIES, Curves, Thinned
from insitrack.io.results import Measures, SeriesRow, TrackedFrame


def thinned(times, values, span_s=math.inf, most=8):
    view = Thinned(span_s, 1, most)
    for t, value in zip(times, values, strict=True):
        view.add(float(t), 0.1 * t, np.array([[value], [value - 1], [value + 1]]))
    return view.points()


@given(
    values=st.lists(st.floats(0, 100) | st.just(math.nan), min_size=1, max_size=300),
    step=st.floats(0.01, 50),
)
def test_the_mean_of_all_points_is_that_of_all_rows_and_the_band_holds_every_row(values, step):
    t, dose, rows, points = thinned(step * np.arange(len(values)), values)
    there = np.array(values)[np.isfinite(values)]
    assert len(t) - np.isnan(t).sum() <= 16
    assert rows.sum() == len(values)
    if len(there):
        assert np.nanmin(points[1]) == pytest.approx(there.min() - 1)
        assert np.nanmax(points[2]) == pytest.approx(there.max() + 1)
    else:
        assert np.isnan(points).all()
    known = np.isfinite(t)
    np.testing.assert_allclose((t * rows)[known].sum(), step * np.arange(len(values)).sum(), atol=1e-6)
    np.testing.assert_allclose(dose[known], 0.1 * t[known], atol=1e-6)
    assert (np.diff(t[known]) > 0).all()
    if len(there) == len(values):
        assert np.nansum(points[0, :, 0] * rows) == pytest.approx(there.sum())


def test_a_million_rows_are_at_most_so_many_points_of_equal_length():
    view = Thinned(math.inf, 1, 50)
    for i in range(20_000):
        view.add(i * 0.04, math.nan, np.full((3, 1), float(i)))
    t, _, rows, points = view.points()
    assert 50 <= len(t) <= 100
    np.testing.assert_allclose(rows[:-1], np.median(rows), rtol=0.05)
    np.testing.assert_allclose(points[0, :, 0] * 0.04, t, rtol=1e-9)


def test_a_limited_view_forgets_what_is_older_and_keeps_its_resolution():
    t, _, rows, _ = thinned(np.arange(0, 500, 0.1), np.ones(5000), span_s=10.0, most=20)
    assert t[0] >= 489.0
    assert t[-1] == pytest.approx(499.75, abs=0.3)
    assert set(rows[:-1].tolist()) <= {5, 6}


def test_a_gap_is_a_gap_and_a_frame_left_out_now_and_then_is_none():
    steady = np.delete(np.arange(0, 10, 0.5), [3, 8, 9, 14])
    assert not np.isnan(thinned(steady, np.ones(len(steady)), most=50)[0]).any()
    late = np.append(np.arange(0, 5, 0.5), [15.0, 15.5])
    t = thinned(late, np.ones(len(late)), most=50)[0]
    assert np.flatnonzero(np.isnan(t)).tolist() == [10]
    unknown = thinned(np.arange(5), [1, 1, math.nan, 1, 1], most=50)[3]
    assert np.isnan(unknown[0, :, 0]).tolist() == [False, False, True, False, False]


def test_frames_that_there_was_no_time_for_leave_no_hole_and_a_silent_source_does():
    curves = Curves()
    for t_s in np.arange(0, 30, 0.1):
        looked_at = t_s < 3 or 12 < t_s < 15 or t_s > 25
        curves.add(tracked(float(t_s), "" if looked_at else "dropped", n=3.0 if looked_at else math.nan))
    assert not np.isnan(decoded(curves.data("recent", False, 0.0))[1]).any()
    for t_s in (60.0, 60.1, 60.2):  # nothing came for half a minute, then frames for which there was no time
        curves.add(tracked(t_s, "dropped"))
    curves.add(tracked(60.3, n=3.0))
    t = decoded(curves.data("recent", False, 0.0))[1]
    assert np.flatnonzero(np.isnan(t)).tolist() == [len(t) - 2]


def row(name, t_s, **values):
    nothing = {field.name: math.nan for field in fields(SeriesRow)}
    return SeriesRow(**{**nothing, "frame": 0, "t_s": t_s, "defect_class": name, **values})


def tracked(t_s, status="", **values):
    image = np.zeros((8, 8), np.uint8)
    frame = MissingFrame(0, t_s, status) if status else Frame(0, t_s, image)
    none = Detections.empty(0, t_s, (8, 8))
    measures = Measures(**{field.name: np.zeros(0) for field in fields(Measures)})
    series = (row("void", t_s, **values), row("all", t_s, **values))
    return TrackedFrame(
        frame=frame,
        detections=none,
        measures=measures,
        track_ids=np.zeros(0, np.int64),
        observed=np.zeros(0, bool),
        shift_px=(0.0, 0.0),
        series=series,
        events=(),
    )


def decoded(data):
    size = struct.unpack("<I", data[:4])[0]
    facts, at = json.loads(data[4 : 4 + size]), 4 + size
    n = facts["points"]
    assert at % 8 == 0
    t, dose, rows = np.frombuffer(data, "<f8", 3 * n, at).reshape(3, n)
    at += 24 * n
    curves = {}
    for one in facts["classes"]:
        for key in facts["quantities"]:
            ends = 3 if one["name"] == "all" else 1
            curves[one["name"], key] = np.frombuffer(data, "<f4", ends * n, at).reshape(ends, n)
            at += 4 * ends * n
    assert at == len(data)
    return facts, t, dose, rows, curves


def test_viewers_get_every_quantity_with_its_band_and_single_classes_where_they_ask():
    curves = Curves()
    assert decoded(curves.data("recent", False, 0.0))[0]["points"] == 0
    curves.add(tracked(1.0, n=3.0, n_lo=2.0, n_hi=4.0, size_nm=5.0, size_lo_nm=4.0, size_hi_nm=6.0))
    facts, t, _, _, all_only = decoded(curves.data("whole", False, 0.0))
    assert [one["name"] for one in facts["classes"]] == ["all"]
    assert t.tolist() == [1.0]
    assert all_only["all", "s"].tolist() == [[5.0], [4.0], [6.0]]
    assert np.isnan(all_only["all", "d3"]).all()
    _, _, _, _, each = decoded(curves.data("whole", True, 0.0))
    assert each["void", "n"].tolist() == [[3.0]]
    assert set(facts["quantities"]) == set(QUANTITIES)


def test_the_last_known_value_stays_with_its_age_when_newer_frames_know_nothing(monkeypatch):
    from insitrack.io.live.page import curves as module

    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    curves = Curves()
    curves.add(tracked(1.0, n=3.0, n_lo=2.0, n_hi=4.0))
    clock[0] = 107.5
    curves.add(tracked(2.0, "dropped", n=math.nan))
    curves.add(tracked(3.0, "gap"))
    last = curves.readings()["last"]
    assert last["n"] == {"value": [3.0, 2.0, 4.0], "age_s": 7.5}
    assert last["t"] == {"value": [3.0], "age_s": 0.0}
    assert "d3" not in last
    assert curves.readings()["classes"][0]["n"] == 3.0


def test_curves_are_made_once_for_all_viewers_of_a_moment():
    curves = Curves()
    curves.add(tracked(1.0, n=3.0))
    first = curves.data("whole", False, 60.0)
    curves.add(tracked(2.0, n=3.0))
    assert curves.data("whole", False, 60.0) is first
    assert curves.data("whole", False, 0.0) is not first
