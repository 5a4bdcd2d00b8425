"""The report: true to the tables, honest about gaps and unknowns, self-contained, small."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.draw.palette import CLASS_COLOURS, hex_colour
from insitrack.io.errors import OutputError, TableError
from insitrack.io.manifest import RunManifest
from insitrack.io.report.curves import Curves, load_curves
from insitrack.io.report.headline import headlines
from insitrack.io.report.run_plots import density_figure, hardening_figure, size_figure
from insitrack.io.report.run_report import write_report
from insitrack.io.report.track_plots import size_histogram
from insitrack.io.results import SeriesRow
from insitrack.io.tables.columns import EVENTS, FRAMES, SERIES, SUMMARY, TRACKS

QUANTITIES = ("density_per_m2", "density_per_m3", "hardening_linear_mpa", "hardening_quadrature_mpa")


def row(
    frame: int, t_s: float, name: str, n: float, *, known: bool = True, dose: float = math.nan
) -> SeriesRow:
    values = dict.fromkeys(SeriesRow.__slots__, math.nan)
    values |= {
        "frame": frame,
        "t_s": t_s,
        "dose_dpa": dose,
        "defect_class": name,
        "n": n,
        "n_lo": 0.8 * n,
        "n_hi": 1.2 * n,
    }
    if known:
        values |= {"size_nm": 10.0 + n, "size_lo_nm": 9.0 + n, "size_hi_nm": 11.0 + n}
        for quantity in QUANTITIES:
            values |= {quantity: n * 1e14, f"{quantity}_lo": n * 8e13, f"{quantity}_hi": n * 1.2e14}
    return SeriesRow(**values)


def write_run(
    folder: Path,
    statuses: Iterable[str] = ("processed",) * 5,
    *,
    known: bool = True,
    dose_rate: float = math.nan,
    classes: tuple[str, ...] = ("black_dot", "loop_111"),
    step_s: float = 0.5,
    n_tracks: int = 30,
) -> Path:
    """Tables of a run in which class k has frame + k defects."""
    rows, frames = [], []
    for frame, status in enumerate(statuses):
        frames.append(f"{frame},{frame * step_s:.6f},{status},,,\n")
        if status == "processed":
            counts = {name: float(frame + place) for place, name in enumerate(classes)}
            counts["all"] = sum(counts.values())
            rows += [
                row(frame, frame * step_s, name, n, known=known, dose=frame * step_s * dose_rate)
                for name, n in counts.items()
            ]
    size = "8.0" if known else ""
    tracks = [
        f"{i},{classes[i % len(classes)]},0,{i},{i},{i % 3 == 0:d},0,{i + 1},{size},,\n"
        for i in range(n_tracks)
    ]
    for table, text in (
        (SERIES, SERIES.format_records(rows)),
        (FRAMES, "".join(frames)),
        (SUMMARY, "".join(tracks)),
        (TRACKS, ""),
        (EVENTS, ""),
    ):
        (folder / table.file).write_text(table.header() + text, encoding="utf-8")
    return folder


def manifest(**changes: object) -> RunManifest:
    values: dict[str, object] = {
        "command": ["track", "movie.mp4"],
        "source": {"path": "/data/movie.mp4"},
        "model": {"name": "fe"},
        "calibration": {"nm_per_px": 0.4, "thickness_nm": 100.0},
        "settings": {"link": {"max_gap_s": 2.0}},
        "material": {"alpha": 0.2},
        "status": "done",
    }
    return RunManifest(**(values | changes))  # type: ignore[arg-type]


def png(height: int = 60, width: int = 80) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)
    return bytes(cv2.imencode(".png", noise)[1].tobytes())


def page_of(
    folder: Path,
    facts: RunManifest | dict[str, object] | None = None,
    pictures: dict[str, bytes] | None = None,
) -> str:
    """The page without scripts and images' data."""
    path = write_report(
        folder,
        {"first": png(), "last": png()} if pictures is None else pictures,
        manifest() if facts is None else facts,
    )
    return re.sub(
        r"<script.*?</script>|base64,[A-Za-z0-9+/=]*", "", path.read_text(encoding="utf-8"), flags=re.DOTALL
    )


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 400), most=st.integers(2, 50))
def test_a_thinned_series_keeps_true_values_and_both_ends(
    tmp_path_factory: pytest.TempPathFactory, n: int, most: int
) -> None:
    folder = write_run(tmp_path_factory.mktemp("run"), ["processed"] * n, n_tracks=0)
    curves = load_curves(folder, most)
    assert len(curves.t_s) <= most + 1
    frames = curves.t_s[np.isfinite(curves.t_s)] / 0.5
    assert (frames[0], frames[-1]) == (0, n - 1)
    assert np.array_equal(curves.get("loop_111", "n")[np.isfinite(curves.t_s)], frames + 1)


def test_a_short_series_is_the_table_itself(tmp_path: Path) -> None:
    curves = load_curves(write_run(tmp_path, ["processed"] * 7))
    table = SERIES.read(tmp_path / SERIES.file)
    for name, part in table.groupby("defect_class"):
        for column in SERIES.names[4:]:
            assert np.array_equal(curves.get(str(name), column), part[column].to_numpy(), equal_nan=True)
    assert curves.classes == ["black_dot", "loop_111", "all"]


@pytest.mark.parametrize("status", ["damaged", "gap"])
def test_a_frame_that_is_missing_interrupts_the_curves(tmp_path: Path, status: str) -> None:
    curves = load_curves(write_run(tmp_path, ["processed", "processed", status, "processed"]))
    assert np.isnan(curves.get("all", "n")).tolist() == [False, False, True, False]
    assert np.isnan(curves.t_s).tolist() == [False, False, True, False]


def test_frames_left_out_on_purpose_do_not_interrupt_the_curves_but_a_long_pause_does(tmp_path: Path) -> None:
    regular = load_curves(write_run(tmp_path, ["processed", "skipped", "dropped"] * 5))
    assert np.isfinite(regular.t_s).all()
    paused = load_curves(write_run(tmp_path, ["processed"] * 4 + ["dropped"] * 9 + ["processed"] * 4))
    assert np.flatnonzero(np.isnan(paused.t_s)).tolist() == [4]


def test_intervals_are_shaded_only_where_they_are_known(tmp_path: Path) -> None:
    curves = load_curves(
        write_run(tmp_path, ["processed"] * 3 + ["gap"] + ["processed"] * 2, classes=("void",))
    )
    band, line = density_figure(curves, "n", "Defects").data
    assert np.count_nonzero(np.isnan(band.x)) == 2  # two stretches, each closed
    assert np.nanmax(band.y) == pytest.approx(1.2 * 5)
    assert line.line.color == hex_colour(CLASS_COLOURS["void"])


def test_a_class_that_was_never_there_has_neither_curve_nor_band() -> None:
    x = np.arange(4.0)
    columns = {("void", "n"): x + 1, ("precipitate", "n"): 0 * x, ("all", "n"): x + 1}
    columns |= {
        (name, f"n_{end}"): 3.7 + 0 * x for name in ("void", "precipitate", "all") for end in ("lo", "hi")
    }
    figure = density_figure(Curves(x, x * np.nan, columns), "n", "Defects")
    assert {trace.name for trace in figure.data if trace.name} == {"void"}


def test_doses_are_marked_where_they_were_reached(tmp_path: Path) -> None:
    curves = load_curves(write_run(tmp_path, ["processed"] * 101, dose_rate=0.02))
    axis = size_figure(curves).layout.xaxis2
    assert [float(text.split()[0]) / 0.02 for text in axis.ticktext] == pytest.approx(axis.tickvals)
    assert axis.ticktext == ("0 dpa", "0.2 dpa", "0.4 dpa", "0.6 dpa", "0.8 dpa", "1 dpa")


def test_hardening_shows_both_sums_and_the_share_of_each_class(tmp_path: Path) -> None:
    names = [trace.name for trace in hardening_figure(load_curves(write_run(tmp_path))).data if trace.name]
    assert names == ["linear sum", "quadrature sum", "black dot", "loop 111"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=60))
def test_every_track_is_in_one_bin_of_each_histogram(values: list[float]) -> None:
    n = len(values)
    tracks = pd.DataFrame(
        {
            "defect_class": ["void", "loop"] * n,
            "lifetime_s": values * 2,
            "left_censored": [0, 1] * n,
            "right_censored": 0,
            "size_nm": values * 2,
        }
    )
    figure = size_histogram(tracks)
    assert sum(int(np.sum(bar.y)) for bar in figure.data) == 2 * n
    assert all(
        np.isfinite(np.asarray(bar.error_y.array, float)[np.asarray(bar.y) > 0]).all() for bar in figure.data
    )
    assert [words.text for words in figure.layout.annotations] == [
        f"{name}, {n} track{'s' * (n > 1)}" for name in ("void", "loop")
    ]


def test_the_page_shows_methods_and_every_choice(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    choice = {
        "number": 10,
        "topic": "defects at the border",
        "setting": "series.border",
        "value": "gundersen",
        "effect": "11 %",
    }
    facts = manifest(choices=[choice], methods="Defects were counted (Gundersen 1977).")
    text = write_report(folder, {}, facts).read_text(encoding="utf-8")
    assert "Methods, ready to paste" in text
    assert "Defects were counted (Gundersen 1977)." in text
    assert "<code>series.border</code>" in text


def test_the_page_loads_nothing_from_elsewhere_and_stays_small(tmp_path: Path) -> None:
    classes = ("black_dot", "loop_111", "loop_100", "dislocation", "precipitate", "void", "loop")
    folder = write_run(tmp_path, ["processed"] * 2000, classes=classes, dose_rate=1e-3, n_tracks=500)
    large = png(1200, 1600)
    page = page_of(folder, pictures={"first": large, "last": large})
    assert (folder / "report.html").stat().st_size < 6_000_000
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//|@import|url\(|<link|<iframe""", page)
    links = set(re.findall(r'href="([^"]+)"', page))
    places = {link for link in links if link.startswith("#")}
    assert places
    assert all(f'id="{place[1:]}"' in page for place in places)
    assert links - places == {
        "tracks.csv",
        "series.csv",
        "summary.csv",
        "events.csv",
        "frames.csv",
    }


def test_what_the_user_named_cannot_become_markup(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>&"
    folder = write_run(tmp_path, classes=(evil.replace("/", ""), "loop_111"))
    facts = manifest(
        source={"path": f"/data/{evil}.mp4", "note": evil},
        warnings=[evil],
        command=["track", evil],
        settings={evil: evil},
    )
    path = write_report(folder, {}, facts)
    text = path.read_text(encoding="utf-8")
    assert "<img src=x" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;&amp;.mp4</h1>" in text


def test_warnings_stand_before_the_pictures_and_a_run_that_failed_says_so(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path), manifest(warnings=["time is assumed"], status="failed"))
    assert page.index("not finished: failed") < page.index("time is assumed") < page.index("<img")


def test_unknown_scale_gives_counts_and_says_what_is_lacking(tmp_path: Path) -> None:
    page = page_of(
        write_run(tmp_path, known=False),
        manifest(calibration={"nm_per_px": None, "thickness_nm": None}, material={}),
    )
    assert "Number of defects" in page
    for option in ("--nm-per-px", "--thickness-nm", "--material"):
        assert option in page
    assert "nan" not in re.sub(r"<style.*?</style>", "", page, flags=re.DOTALL).lower().replace(
        "nanometre", ""
    )


def test_the_first_and_the_last_values_stand_in_the_table_with_their_intervals(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path, ["processed"] * 11))
    line = next(part for part in page.split("<tr>") if ">black_dot</td>" in part)
    assert [float(cell) for cell in re.findall(r'<td class="number[^"]*">([\d.]+)<br>', line)][:4] == [
        0,
        10,
        0,
        1,
    ]
    assert "8 to 12" in line
    assert "Per area, 10<sup>15</sup> m<sup>-2</sup>" in page


def test_a_run_without_a_single_frame_still_gets_a_page(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path, [], n_tracks=0), pictures={})
    assert "No frame was processed" in page
    assert "0 of 0 frames" in page


def test_one_frame_and_one_track_are_enough(tmp_path: Path) -> None:
    assert "1 of 1 frames" in page_of(
        write_run(tmp_path, ["processed"], n_tracks=1), pictures={"first": png()}
    )


def test_the_manifest_on_disk_does_as_well_as_the_one_in_memory(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    manifest().write(folder / "run.json")
    assert page_of(folder, json.loads((folder / "run.json").read_text())).count("movie.mp4") >= 2


def test_a_missing_table_or_folder_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no such table"):
        write_report(tmp_path, {}, manifest())
    folder = write_run(tmp_path)
    (folder / "report.html").mkdir()
    with pytest.raises(OutputError, match="--out"):
        write_report(folder, {}, manifest())


def test_a_table_in_pieces_is_the_table(tmp_path: Path) -> None:
    path = write_run(tmp_path, ["processed"] * 9) / SERIES.file
    whole = SERIES.read(path, ["frame", "defect_class", "n"])
    pd.testing.assert_frame_equal(
        pd.concat(SERIES.chunks(path, ["frame", "defect_class", "n"], rows=4)), whole
    )


def test_the_result_comes_first_with_its_interval_and_is_that_of_the_table(tmp_path: Path) -> None:
    folder = write_run(tmp_path, ["processed", "damaged", "processed", "processed"])
    page = page_of(folder)
    everything = SERIES.read(folder / SERIES.file).query("defect_class == 'all'")
    head = page[page.index('class="headlines"') : page.index('class="contents"')]
    for column, power in (("density_per_m3", 14), ("size_nm", 0), ("hardening_linear_mpa", 14)):
        first, last = everything[column].iloc[0] / 10**power, everything[column].iloc[-1] / 10**power
        assert f'<div class="now">{last:.3g} <span>' in head
        assert f"at first {first:.3g}" in head
    assert "10<sup>14</sup> m<sup>-3</sup>" in head
    low, high = everything["size_lo_nm"].iloc[-1], everything["size_hi_nm"].iloc[-1]
    assert f"{low:.3g} to {high:.3g}" in head
    assert page.index('class="headlines"') < page.index('id="time"')


def test_what_is_not_known_is_said_in_the_headline_with_what_it_needs(tmp_path: Path) -> None:
    folder = write_run(tmp_path, known=False)
    lines = [one.line() for one in headlines(folder, {"calibration": {"nm_per_px": None}, "material": {}})]
    assert lines[0].startswith("defects in view")
    assert lines[1] == "mean size:                  not known: it needs the scale (--nm-per-px)"
    assert "--thickness-nm" in lines[2]
    assert "--material" in lines[2]


def test_a_beam_that_was_off_all_the_time_is_not_a_run_without_frames(tmp_path: Path) -> None:
    folder = write_run(tmp_path, ["gap"] * 5)
    said = [headlines(folder, {"results": {"processed": n}})[0].line() for n in (5, 0)]
    assert "no frame shows specimen" in said[0]
    assert "no frame was processed" in said[1]


def test_the_movie_is_shown_where_there_is_one_and_only_there(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    assert "<video" not in page_of(folder)
    (folder / "annotated.mp4").write_bytes(b"movie")
    page = page_of(folder)
    assert '<video controls preload="metadata" src="annotated.mp4">' in page
    assert 'href="#movie"' in page


def test_every_plot_can_be_kept_as_svg_and_says_its_unit(tmp_path: Path) -> None:
    path = write_report(write_run(tmp_path), {}, manifest())
    text = path.read_text(encoding="utf-8")
    assert (
        text.count('"toImageButtonOptions": {"format": "svg"') == text.count('class="plotly-graph-div"') > 3
    )
    figure = size_figure(load_curves(tmp_path))
    assert all(one.hovertemplate.endswith(" nm") for one in figure.data if one.hovertemplate)
