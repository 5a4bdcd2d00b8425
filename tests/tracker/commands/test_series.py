"""`track series`: from tables alone to tables, fits and figures."""

import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest

from insitrack.io.tables import columns as tables
from insitrack.tests.support.series_runs import OPTIONS, series
from insitrack.tracker.analysis.recompute import Recompute
from insitrack.tracker.analysis.table_run import open_run
from insitrack.tracker.analysis.time_bins import TimeBins
from insitrack.tracker.cli import main


def test_the_same_settings_give_the_series_of_the_run_itself(run, plain):
    again, before = tables.SERIES.read(plain / "series.csv"), tables.SERIES.read(run / "series.csv")
    assert again["defect_class"].tolist() == before["defect_class"].tolist()
    for name in tables.SERIES.names:
        if name != "defect_class":
            # tables hold sizes to four decimals
            np.testing.assert_allclose(again[name], before[name], rtol=2e-4, atol=1e-3, equal_nan=True)


def test_twice_the_scale_quarters_densities_and_doubles_sizes(run, plain, tmp_path):
    scale = json.loads((run / "run.json").read_text())["calibration"]["nm_per_px"]
    one = pd.read_csv(plain / "tidy.csv")
    two = pd.read_csv(series(tmp_path, run, "--nm-per-px", 2 * scale) / "tidy.csv")
    np.testing.assert_allclose(two["density_per_m2"] * 4, one["density_per_m2"], rtol=1e-6)
    np.testing.assert_allclose(two["size_nm"], 2 * one["size_nm"], rtol=1e-6)
    np.testing.assert_allclose(
        two["hardening_linear_mpa"] * math.sqrt(2), one["hardening_linear_mpa"], rtol=1e-6
    )


def test_a_thinner_foil_and_another_border_rule_change_only_what_hangs_on_them(run, plain, tmp_path):
    plain = pd.read_csv(plain / "tidy.csv")
    thin = pd.read_csv(series(tmp_path, run, "--thickness-nm", "80", name="thin") / "tidy.csv")
    np.testing.assert_allclose(thin["density_per_m3"], plain["density_per_m3"] / 0.8, rtol=1e-6)
    np.testing.assert_allclose(thin["density_per_m2"], plain["density_per_m2"], rtol=1e-6)
    every = pd.read_csv(series(tmp_path, run, "--set", "series.border=all", name="all") / "tidy.csv")
    inside = pd.read_csv(series(tmp_path, run, "--set", "series.border=inside", name="inside") / "tidy.csv")
    assert (inside["n_counted"] <= plain["n_counted"]).all()
    assert (plain["n_counted"] <= every["n_counted"]).all()
    assert (every["n_counted"] == every["n"]).all()
    np.testing.assert_allclose(inside["size_nm"], plain["size_nm"], equal_nan=True)


def test_other_definitions_of_size_come_from_the_outlines_in_the_table(run, tmp_path):
    out = series(tmp_path, run, "--set", "measure.sizes_of=jacobs")
    time_bins = pd.read_csv(out / "series.csv")
    rows = tables.TRACKS.read(run / "tracks.csv")
    first = rows[(rows["frame"] == 0) & (rows["defect_class"] == "loop_111") & (rows["on_edge"] == 0)]
    scale = json.loads((run / "run.json").read_text())["calibration"]["nm_per_px"]
    sizes = 2 * first["r_max_px"] * scale
    mine = time_bins[(time_bins["frame"] == 0) & (time_bins["defect_class"] == "loop_111")]["size_nm"].iloc[0]
    assert sizes.min() <= mine <= sizes.max()
    record = json.loads((out / "run.json").read_text())["runs"]["run"]
    assert record["settings"]["measure"]["sizes_of"] == "jacobs"
    assert "Jacobs et al." in record["methods"]
    assert len(record["choices"]) == 23


def test_tidy_tables_hold_the_same_numbers_in_three_formats_with_units(run, tmp_path):
    out = series(tmp_path, run, "--every-s", "1")
    table = pd.read_csv(out / "tidy.csv")
    stored = pd.read_parquet(out / "tidy.parquet")
    sheets = pd.read_excel(out / "tidy.xlsx", sheet_name=None)
    assert set(sheets) == {"series", "averages", "sizes", "fits", "rates", "settings"}
    np.testing.assert_allclose(stored["density_per_m3"], table["density_per_m3"], rtol=1e-7)
    np.testing.assert_allclose(
        sheets["series"]["volume density (m^-3)"].astype(float), table["density_per_m3"], rtol=1e-7
    )
    assert "mean size, lower 95 % (nm)" in sheets["series"].columns
    import pyarrow.parquet as pq

    assert pq.read_schema(out / "tidy.parquet").field("size_nm").metadata[b"unit"] == b"nm"
    rows = pd.read_parquet(out / "tracks.parquet")
    assert len(rows) == len(tables.TRACKS.read(run / "tracks.csv"))
    assert (out / "figure.pdf").read_bytes().startswith(b"%PDF")
    assert (out / "figure.png").stat().st_size > 10_000


def test_a_time_bin_is_the_mean_of_its_frames_and_is_surer_than_one_of_them(run, plain, tmp_path):
    whole = pd.read_csv(plain / "series.csv")
    long = pd.read_csv(series(tmp_path, run, "--every-s", "1000", name="long") / "tidy.csv")
    for name in ("n", "n_counted", "density_per_m2"):
        mean = whole[whole["defect_class"] == "all"][name].mean()
        assert long[long["defect_class"] == "all"][name].iloc[0] == pytest.approx(mean, rel=1e-6)
    smooth = pd.read_csv(
        series(tmp_path, run, "--every-s", "0.2", "--window-s", "1", name="smooth") / "tidy.csv"
    )
    rough = pd.read_csv(series(tmp_path, run, "--every-s", "0.2", name="rough") / "tidy.csv")
    assert len(smooth) == len(rough)
    assert smooth["n"].diff(8).abs().sum() <= 1.01 * rough["n"].diff(8).abs().sum()


def test_frames_of_one_movie_are_not_independent():
    """A hundred frames of the same defects tell no more than one; of ever new ones a hundred times as much."""
    from insitrack.io.frames import Calibration
    from insitrack.tracker.analysis.time_bins import Pool
    from insitrack.tracker.series.meter import SeriesMeter
    from insitrack.tracker.series.settings import SeriesConfig

    meter = SeriesMeter(
        SeriesConfig(),
        Calibration(nm_per_px=1.0, thickness_nm=100.0, thickness_sd_nm=1e-9),
        class_names=("void",),
    )
    widths = []
    for same in (True, False):
        pool = Pool(meter, TimeBins(np.zeros(100, np.int64), 1))
        frame, n = np.repeat(np.arange(100), 25), 2500
        columns = {name: np.full(n, 200.0) for name in ("x_px", "y_px", "x1_px", "y1_px", "x2_px", "y2_px")}
        columns |= {name: np.zeros(n, np.int8) for name in ("on_edge", "on_exclusion_edge")} | {
            "observed": np.ones(n, np.int8)
        }
        columns["track_id"] = np.tile(np.arange(25), 100) if same else np.arange(n)
        pool.add(
            frame, columns, np.ones(n, np.int64), np.full(n, 5.0), np.full(n, np.nan), np.full((n, 2), 400.0)
        )
        nothing = np.zeros((100, 1), np.int64)
        row = pool.series(
            np.arange(100.0), np.full(100, 160_000.0), np.full((100, 2), 400.0), nothing, nothing
        )
        assert row["n"][0, 0] == pytest.approx(25)
        widths.append(row["density_per_m2_hi"][0, 0] - row["density_per_m2_lo"][0, 0])
    assert widths[0] / widths[1] == pytest.approx(10, rel=0.1)


def test_runs_are_compared_in_one_table_and_one_figure(run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    out = series(tmp_path, run, other, "--labels", "300 C,360 C", "--against", "dose")
    table = pd.read_csv(out / "tidy.csv")
    assert sorted(table["run"].unique()) == ["300 C", "360 C"]
    assert (out / "300 C" / "series.csv").is_file()
    assert (out / "360 C" / "tracks.parquet").is_file()
    parts = [part.drop(columns="run").reset_index(drop=True) for _, part in table.groupby("run")]
    pd.testing.assert_frame_equal(parts[0], parts[1])
    assert set(pd.read_csv(out / "fits.csv")["run"]) == {"300 C", "360 C"}


def test_a_table_of_tracks_alone_needs_seven_columns_and_gives_the_same_densities(run, plain, tmp_path):
    rows = tables.TRACKS.read(run / "tracks.csv")
    rows[
        [
            "frame",
            "t_s",
            "track_id",
            "defect_class",
            "x_px",
            "y_px",
            "size_nm",
            "on_edge",
            "on_exclusion_edge",
        ]
    ].to_csv(tmp_path / "mine.csv", index=False)
    scale = json.loads((run / "run.json").read_text())["calibration"]["nm_per_px"]
    out = series(tmp_path, tmp_path / "mine.csv", "--nm-per-px", scale, "--size", "384x384", *OPTIONS)
    alone, whole = pd.read_csv(out / "tidy.csv"), pd.read_csv(plain / "tidy.csv")
    totals = [table[table["defect_class"] == "all"]["density_per_m3"].to_numpy() for table in (alone, whole)]
    np.testing.assert_allclose(totals[0], totals[1][: len(totals[0])], rtol=1e-6)
    births = [table.groupby("defect_class")["births"].sum()["all"] for table in (alone, whole)]
    assert births[0] == births[1] == rows["track_id"].nunique()
    stored = series(
        tmp_path, out / "tracks.parquet", "--nm-per-px", scale, "--size", "384x384", *OPTIONS, name="parquet"
    )
    assert (stored / "tidy.csv").read_text().replace("tracks,", "mine,") == (out / "tidy.csv").read_text()


def test_averages_sizes_and_fits_follow_from_the_tracks(run, plain):
    averages, sizes, fits = (pd.read_csv(plain / f"{name}.csv") for name in ("averages", "sizes", "fits"))
    rows = tables.TRACKS.read(run / "tracks.csv")
    assert averages.set_index("defect_class")["n_tracks"]["all"] == rows["track_id"].nunique()
    whole = sizes[sizes["when"] == "whole run"].groupby("defect_class")["n"].sum()
    inside = rows[rows["on_edge"] == 0].groupby("defect_class").size() / 60
    for name, n in whole.items():
        assert n >= inside[name] * 0.999  # weighted up for what the border hides
    assert (sizes["n_lo"] <= sizes["n"] + 1e-9).all()
    assert {"nucleation_per_m2_s", "nucleation_per_m2_dpa"} <= set(fits["quantity"])


def test_gaps_are_unknown_and_not_zero(run, tmp_path):
    broken = tmp_path / "gap_track"
    shutil.copytree(run, broken)
    frames = tables.FRAMES.read(broken / "frames.csv")
    lost = frames["frame"].between(20, 29)
    frames.loc[lost, "status"] = "gap"
    frames.to_csv(broken / "frames.csv", index=False)
    rows = tables.TRACKS.read(broken / "tracks.csv")
    rows[~rows["frame"].between(20, 29)].to_csv(broken / "tracks.csv", index=False)
    whole = tables.SERIES.read(series(tmp_path, broken) / "series.csv")
    gap = whole[whole["frame"].between(20, 29)]
    assert len(gap) == 10 * whole["defect_class"].nunique()
    assert gap.drop(columns=["frame", "t_s", "dose_dpa", "defect_class"]).isna().all(axis=None)
    assert whole[whole["frame"] == 30]["n"].notna().all()


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_frames_whose_rows_were_cut_off_are_unknown_and_not_zero(run, tmp_path, capsys, kept):
    broken = tmp_path / "cut_track"
    shutil.copytree(run, broken)
    lines = (broken / "tracks.csv").read_text().splitlines(keepends=True)
    left = lines[: int(kept * len(lines))]
    (broken / "tracks.csv").write_text("".join(left))
    whole, cut = (
        tables.SERIES.read(run / "series.csv"),
        tables.SERIES.read(series(tmp_path, broken) / "series.csv"),
    )
    last = int(left[-1].split(",")[0])
    before = cut["frame"] < last
    np.testing.assert_array_equal(cut[before]["n"], whole[before]["n"])
    assert cut[~before]["n"].isna().all()
    assert f"lacks rows of {60 - last} frames, the first {last}" in capsys.readouterr().err


def test_tables_of_a_spreadsheet_give_the_same_series(run, tmp_path):
    names = ["frame", "t_s", "track_id", "defect_class", "x_px", "y_px", "size_nm"]
    rows = tables.TRACKS.read(run / "tracks.csv")[names]
    rows.to_csv(tmp_path / "plain.csv", index=False)
    rows.to_csv(tmp_path / "bom.csv", index=False, encoding="utf-8-sig")
    rows.to_csv(tmp_path / "comma.csv", index=False, sep=";", decimal=",")
    texts = {
        (series(tmp_path, tmp_path / f"{name}.csv", name=name) / "series.csv").read_text()
        for name in ("plain", "bom", "comma")
    }
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(t_s=0.0), "expected times that rise from frame to frame"),
        (lambda t: t.assign(t_s=t["t_s"] + 1.7e9), "is the time of a clock"),
        (lambda t: t.assign(t_s=t["t_s"] % 0.5), "expected times that rise from frame to frame"),
        (lambda t: t.assign(t_s=1e300), "column t_s: '1e+300'"),
        (lambda t: t.assign(size_nm=-t["size_nm"]), "line 2, column size_nm"),
        (lambda t: t.assign(size_nm=0.0), "sizes are zero or negative"),
        (lambda t: t.assign(frame=t["frame"] + 2_000_000_000), "line 2, column frame"),
        (lambda t: t.assign(x_px=t["x_px"] * 9), "centres lie outside the frame"),
        (lambda t: t.assign(defect_class="=cmd"), "column defect_class: '=cmd'"),
        (lambda t: twice(t), "two tracks at one place in one frame"),
    ],
)
def test_values_that_cannot_be_are_refused_in_one_line_and_nothing_is_written(
    run, tmp_path, capsys, change, message
):
    names = ["frame", "t_s", "track_id", "defect_class", "x_px", "y_px", "size_nm"]
    change(tables.TRACKS.read(run / "tracks.csv")[names]).to_csv(tmp_path / "mine.csv", index=False)
    out = tmp_path / "out"
    assert main(["series", str(tmp_path / "mine.csv"), "--size", "384x384", "--out", str(out)]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not out.exists()


def twice(table):
    other = table.assign(track_id=table["track_id"] + 100_000)
    return pd.concat([table, other]).sort_values("frame", kind="stable")


def test_a_damaged_parquet_table_is_refused_in_one_line(plain, tmp_path, capsys):
    whole = (plain / "tracks.parquet").read_bytes()
    random = np.random.default_rng(1)
    for i in range(12):
        data = bytearray(whole[: len(whole) - (i % 3) * 100])
        for place in random.integers(len(data), size=60).tolist():
            data[place] = int(random.integers(256))
        (tmp_path / "mine.parquet").write_bytes(data)
        capsys.readouterr()
        if main(["series", str(tmp_path / "mine.parquet"), "--out", str(tmp_path / f"out{i}")]) == 2:
            assert capsys.readouterr().err.count("\n") == 1


def test_a_label_that_a_spreadsheet_would_run_is_written_as_text(run, tmp_path):
    out = series(tmp_path, run, "--labels", "=1+1")
    assert set(pd.read_csv(out / "tidy.csv")["run"]) == {"'=1+1"}
    for sheet in pd.read_excel(out / "tidy.xlsx", sheet_name=None).values():
        assert set(sheet["run"]) <= {"'=1+1"}


def test_dose_stands_still_while_the_beam_is_off(run, tmp_path):
    out = series(tmp_path, run, "--set", "specimen.beam_off_s=[[0.5, 1.0]]", "--against", "dose")
    table = pd.read_csv(out / "series.csv").drop_duplicates("frame")
    off = table[table["t_s"].between(0.5, 1.0)]["dose_dpa"]
    assert np.ptp(off) == 0
    assert table["dose_dpa"].iloc[-1] == pytest.approx(1e-3 * (table["t_s"].iloc[-1] - 0.5), rel=1e-4)
    log = tmp_path / "log.csv"
    log.write_text("t_s,dose_dpa,temperature_c,current_na\n0,1,300,10\n100,2,310,10\n", encoding="utf-8")
    logged = pd.read_csv(series(tmp_path, run, "--log", log, name="logged") / "series.csv")
    assert logged["dose_dpa"].iloc[0] == 1.0
    assert logged["temperature_c"].between(300, 302).all()
    assert logged["beam_current_a"].iloc[0] == pytest.approx(1e-8)


def test_only_what_every_frame_shows_counts_in_the_common_field(run, tmp_path):
    drifted = tmp_path / "drifted_track"
    shutil.copytree(run, drifted)
    frames = tables.FRAMES.read(drifted / "frames.csv")
    frames["shift_x_px"] = np.linspace(
        0.0, 100.0, len(frames)
    )  # the specimen moves to the right: its left part comes into view
    frames["shift_y_px"] = 0.0
    frames.to_csv(drifted / "frames.csv", index=False)
    whole = pd.read_csv(series(tmp_path, drifted, name="whole") / "series.csv")
    common = pd.read_csv(series(tmp_path, drifted, "--common-field", name="common") / "series.csv")
    totals = [table[table["defect_class"] == "all"].reset_index(drop=True) for table in (whole, common)]
    assert totals[1]["field_nm2"].iloc[0] / totals[0]["field_nm2"].iloc[0] == pytest.approx(
        284 / 384, rel=1e-3
    )
    assert (totals[1]["n"] <= totals[0]["n"]).all()
    rows = tables.TRACKS.read(drifted / "tracks.csv")
    first = rows[
        (rows["frame"] == 0) & (rows["x1_px"] < 284)
    ]  # at first the window is the left part of the image
    assert totals[1]["n"].iloc[0] == len(first)
    frames["shift_x_px"] = np.linspace(0.0, 1000.0, len(frames))
    frames.to_csv(drifted / "frames.csv", index=False)
    assert main(["series", str(drifted), "--common-field", "--out", str(tmp_path / "none")]) == 2


def test_a_run_in_two_passes_is_a_run_in_one(run):
    """The pool of the time bins does not depend on where the table is cut."""
    from insitrack.io.tables import stream

    whole = Recompute(open_run(run, "a"))
    list(whole.series())
    before = stream._ROWS_AT_ONCE
    stream._ROWS_AT_ONCE = 50
    try:
        pieces = Recompute(open_run(run, "a"))
        assert len(list(pieces.series())) >= 1
    finally:
        stream._ROWS_AT_ONCE = before
    pd.testing.assert_frame_equal(whole.finish().time_bins, pieces.finish().time_bins)
