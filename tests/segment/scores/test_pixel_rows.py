"""Pixel scores by class, and what DefectNet calls overall."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.segment.scores.pixels import PixelCounts, pixel_rows

COUNT = st.integers(0, 50)
COUNTS = st.builds(PixelCounts, tp=COUNT, fp=COUNT, fn=COUNT, tn=st.integers(1, 50))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=5))
def test_overall_is_the_plain_mean_of_the_labelled_classes(parts):
    rows = pixel_rows([{"void": a, "loop": b, None: a + b} for a, b in parts], ("void", "loop"))
    void, loop, overall, _ = rows
    for key in ("accuracy", "precision", "recall", "iu"):
        for of in ("pooled", "mean"):
            real = [row for row in (void, loop) if row["n_pictures_labelled"]]
            both = np.array([row[f"pixel_{key}_{of}"] for row in real], float)
            known = both[np.isfinite(both)]
            expected = known.mean() if known.size else np.nan
            assert overall[f"pixel_{key}_{of}"] == pytest.approx(expected, nan_ok=True)


def test_overall_reproduces_the_published_table():
    # Roberts et al. 2019, table 1: 91.60, 93.39 and 98.85 % of the pixels are right, 94.61 % overall
    right = {"dislocation": 9160, "precipitate": 9339, "void": 9885}
    picture = {name: PixelCounts(tp=9, tn=n - 9, fp=10_000 - n) for name, n in right.items()}
    rows = pixel_rows([picture | {None: PixelCounts(tn=10_000)}], tuple(right))
    assert [row["defect_class"] for row in rows] == [*right, "overall", "any"]
    assert rows[3]["pixel_accuracy_mean"] == pytest.approx(0.94613, abs=1e-5)


def test_the_deviation_is_that_of_the_pictures():
    one = {"void": PixelCounts(tp=6, fn=2, tn=2), "loop": PixelCounts(tp=2, fn=2, tn=6)}
    two = {"void": PixelCounts(tp=8, tn=2), "loop": PixelCounts(tp=1, fn=3, tn=6)}
    rows = pixel_rows([part | {None: PixelCounts(tn=10)} for part in (one, two)], ("void", "loop"))
    assert (rows[0]["pixel_recall_mean"], rows[0]["pixel_recall_pooled"]) == (0.875, 0.875)
    assert rows[0]["pixel_recall_sd"] == pytest.approx(0.25 / np.sqrt(2))
    assert rows[2]["pixel_recall_mean"] == pytest.approx((0.875 + 0.375) / 2)
    assert rows[2]["pixel_recall_sd"] == pytest.approx(0, abs=1e-12)  # both images: mean of the classes 0.625


def test_a_class_absent_from_a_picture_is_background_there_and_has_no_recall():
    seen = {"void": PixelCounts(tp=5, tn=5), None: PixelCounts(tp=5, tn=5)}
    rows = pixel_rows([seen, {None: PixelCounts(tn=10)}], ("void",))
    assert rows[0]["n_pictures_labelled"] == 1
    assert (rows[0]["pixel_accuracy_mean"], rows[0]["pixel_recall_mean"]) == (1, 1)
    assert np.isnan(rows[0]["pixel_recall_sd"])


def test_no_pictures_have_no_pixels():
    assert np.isnan(pixel_rows([], ("void",))[1]["pixel_iu_mean"])
