"""Trust in the tables of a run: what is empty, the one line that says why, and how to fill it in."""

import contextlib
import io
import json
import math
import re

import cv2
import numpy as np
import pandas as pd
import pytest

from insitrack.io.detections import Detections, Masks
from insitrack.io.frames import Calibration
from insitrack.io.report.headline import headlines
from insitrack.io.tables.columns import FRAMES, KINETICS, SERIES, SUMMARY, TRACKS
from insitrack.io.tables.frame_views import frame_scales
from insitrack.tests.support.meters import FOIL, iron, rows_of, shen
from insitrack.tracker import cli
from insitrack.tracker.measure.from_table import with_sizes
from insitrack.tracker.measure.measure import MeasureConfig, measure
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.series.settings import SeriesConfig
from insitrack.tracker.trust.frames import Trusted
from insitrack.tracker.trust.reasons import REASONS, distrust_line

PHYSICS = ["density_per_m2", "density_per_m3", "size_nm", "hardening_linear_mpa", "hardening_quadrature_mpa"]
GIVEN = [
    "--nm-per-px",
    "0.4",
    "--thickness-nm",
    "100",
    "--material",
    "fecral",
    "--no-video",
    "--conf",
    "0.01",
]


def run(*arguments: str) -> str:
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        assert cli.main(list(arguments)) == 0
    return said.getvalue()


@pytest.fixture(scope="module")
def atoms(tmp_path_factory: pytest.TempPathFactory):
    """Frames of columns of atoms, and the run over them."""
    folder = tmp_path_factory.mktemp("atoms")
    (folder / "frames").mkdir()
    y, x = np.mgrid[:256, :256]
    rng = np.random.default_rng(2)
    for i in range(3):
        near = np.exp(-((np.mod(x + 0.3 * y, 14) - 7) ** 2 + (np.mod(y - 0.3 * x, 14) - 7) ** 2) / 12)
        image = np.clip(170 - 90 * near + rng.normal(0, 8, x.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / "frames" / f"{i}.png"), image)
    said = run(str(folder / "frames"), "--out", str(folder / "run"), *GIVEN)
    return folder, said


def test_frames_that_are_not_trusted_have_counts_and_no_physics(atoms) -> None:
    folder, _ = atoms
    frames, series = FRAMES.read(folder / "run/frames.csv"), SERIES.read(folder / "run/series.csv")
    assert (frames["trust"] < 0.5).all()
    assert frames["distrust"].str.contains("lattice").all()
    assert series[PHYSICS].isna().all(axis=None)
    assert series["n"].notna().all()
    assert SERIES.read(folder / "run/causal/series.csv")[PHYSICS].isna().all(axis=None)


@pytest.mark.parametrize("folder", [".", "causal"])
def test_frames_that_are_not_trusted_have_no_sizes_in_any_table(atoms, folder) -> None:
    run_folder = atoms[0] / "run" / folder
    tracks, summary = TRACKS.read(run_folder / "tracks.csv"), SUMMARY.read(run_folder / "summary.csv")
    assert len(tracks) > 0
    assert tracks[["size_nm", "area_nm2", "line_length_nm"]].isna().all(axis=None)
    assert tracks["area_px"].notna().all()
    assert summary[["size_nm", "growth_nm_per_s", "net_displacement_nm"]].isna().all(axis=None)


def test_kinetics_of_frames_that_are_not_trusted_are_empty_with_the_reason(atoms) -> None:
    kinetics = KINETICS.read(atoms[0] / "run/kinetics.csv")
    assert len(kinetics) > 0
    assert kinetics[["value", "lo", "hi"]].isna().all(axis=None)
    assert kinetics["why"].str.contains("not trusted: like lattice fringes", regex=False).all()


def test_the_headline_says_not_trusted_with_the_reason_and_the_option(atoms) -> None:
    folder = atoms[0] / "run"
    lines = [one.line() for one in headlines(folder, json.loads((folder / "run.json").read_text("utf-8")))]
    assert len(lines) == 3
    assert all("not trusted: " in line and REASONS["lattice"] in line for line in lines)
    assert all("--trust-anyway" in line for line in lines)
    assert "not trusted" in (folder / "report.html").read_text(encoding="utf-8")


def test_frames_in_the_midst_that_are_not_trusted_leave_the_others_as_they_would_be() -> None:
    frames = pd.DataFrame(
        {
            "frame": range(9),
            "status": "processed",
            "trust": [0.9] * 3 + [0.2] * 3 + [0.9] * 3,
            "distrust": [""] * 3 + ["noise"] * 3 + [""] * 3,
            "view": 0.0,
            "nm_per_px": 0.5,
        }
    )
    rows = pd.DataFrame({"frame": range(9), "size_nm": 7.0, "area_nm2": 9.0, "area_px": 36.0})
    trusted = Trusted.of(frames, 0.5)
    assert trusted.without_sizes(rows)["size_nm"].isna().tolist() == [False] * 3 + [True] * 3 + [False] * 3
    kept, looked = trusted.part(rows, frames, 0.5)
    assert kept["frame"].tolist() == looked["frame"].tolist() == [0, 1, 2, 6, 7, 8]
    assert looked["view"].diff().ne(0).sum() == 2  # a beginning each: nothing is born where trust comes back
    assert (frame_scales(looked, 0.5) == 0.5).all()
    assert trusted.kinetics([{"value": 1.0}]) == [{"value": 1.0}]


def test_one_line_says_why_and_how_to_override(atoms) -> None:
    lines = [line for line in atoms[1].splitlines() if "trust" in line]
    assert len(lines) == 1
    assert REASONS["lattice"] in lines[0]
    assert "3 of 3 frames" in lines[0]
    assert "--trust-anyway" in lines[0]


def test_trust_anyway_fills_the_numbers_in_from_the_tables(atoms) -> None:
    folder, _ = atoms
    said = run("series", str(folder / "run"), "--out", str(folder / "again"), "--overwrite")
    assert "trust is below" in said
    assert SERIES.read(folder / "again/series.csv")[PHYSICS].isna().all(axis=None)
    said = run("series", str(folder / "run"), "--out", str(folder / "anyway"), "--trust-anyway")
    assert "trust is below" not in said
    total = SERIES.read(folder / "anyway/series.csv").query("defect_class == 'all'")
    assert total["density_per_m2"].notna().all()
    assert total["size_nm"].notna().all()


def test_the_report_shows_the_trust(atoms) -> None:
    page = (atoms[0] / "run/report.html").read_text(encoding="utf-8")
    assert re.search(r"trust 0\.\d\d", page)


def test_a_movie_of_a_known_kind_is_given_in_full_without_a_word_on_trust(tmp_path) -> None:
    said = run("synth:loops?seed=3&frames=1&size=384", "--out", str(tmp_path / "run"), *GIVEN)
    assert "trust" not in said
    frames = FRAMES.read(tmp_path / "run/frames.csv")
    assert (frames["trust"] > 0.5).all()
    series = SERIES.read(tmp_path / "run/series.csv").query("defect_class == 'all'")
    assert series["density_per_m2"].notna().all()


def test_sizes_that_were_left_empty_come_back_from_the_outlines_as_they_were_measured() -> None:
    y, x = np.mgrid[:80, :120]
    shapes = [np.hypot(y - 30, (x - 30) / 1.5) < 12, np.hypot(y - 40, x - 90) < 9]
    masks = Masks.from_dense(np.array(shapes))
    names = ("black_dot", "loop_111")
    found = Detections(
        4, 4.0, (80, 120), masks.boxes(), np.array([2, 1]), np.ones(2, np.float32), masks, names
    )
    config = MeasureConfig()
    measured = measure(found, Calibration(nm_per_px=0.4), config)
    columns = {name: getattr(measured, name) for name in measured.__slots__}
    rows = pd.DataFrame({**columns, "frame": 4, "defect_class": found.names()})
    frames = pd.DataFrame({"frame": [3, 4], "view": 0.0, "nm_per_px": 0.4})
    again = with_sizes(rows.assign(size_nm=math.nan, area_nm2=math.nan), frames, config, 0.4)
    np.testing.assert_allclose(again["size_nm"], measured.size_nm)
    np.testing.assert_allclose(again["area_nm2"], measured.area_nm2)
    assert with_sizes(rows, frames, config, 0.4) is rows


def test_no_frame_to_distrust_is_no_line() -> None:
    assert distrust_line([], 40, 0.5) == ""


def test_the_line_names_the_two_commonest_reasons() -> None:
    line = distrust_line(["size view", "size", "lattice size", "view"], 9, 0.5)
    assert REASONS["size"] in line
    assert REASONS["view"] in line
    assert REASONS["lattice"] not in line


def test_intervals_are_wider_where_a_frame_is_trusted_less() -> None:
    config = SeriesConfig(detector_log_sd={"all": 0.2}, least_trust=0.0)
    widths = []
    for trust in (1.0, 0.6, 0.2):
        rows = rows_of(SeriesMeter(config, FOIL, iron()), shen({"loop_111": 40}), trust=trust)
        widths.append(rows["all"].density_per_m3_hi / rows["all"].density_per_m3_lo)
    assert widths == sorted(widths)
    assert widths[2] > 1.5 * widths[0]


@pytest.mark.parametrize("trust", [0.0, 0.49])
def test_a_meter_gives_counts_alone_below_the_least_trust(trust) -> None:
    meter = SeriesMeter(SeriesConfig(), FOIL, iron())
    (low, high), known = (
        (rows_of(meter, shen({"loop_111": 4}), trust=one)["all"] for one in (trust, 0.51)),
        math.nan,
    )
    assert low.n == high.n == 4
    assert math.isnan(low.density_per_m3)
    assert math.isnan(low.size_nm)
    assert high.density_per_m3 > 0
    assert rows_of(meter, shen({"loop_111": 4}), trust=known)["all"].density_per_m3 == high.density_per_m3
