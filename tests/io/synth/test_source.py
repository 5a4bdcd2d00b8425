import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.errors import SourceError
from insitrack.io.frames import Frame, MissingFrame, Source
from insitrack.io.synth import source as source_module
from insitrack.io.synth.background import coloured_noise
from insitrack.io.synth.files import write_synth
from insitrack.io.synth.render import Look, picture
from insitrack.io.synth.settings import ranges
from insitrack.io.synth.source import SynthSource
from insitrack.io.tables.columns import TRACKS

KINDS = tuple(ranges()["scene"])
CLEAN = "noise=0.01&mottle=0.01&overlay=0&polarity=dark&blink=0"


def one(look: Look, x_px: float = 40.0, y_px: float = 40.0) -> tuple[np.ndarray, np.ndarray, int, int]:
    drawn = picture(look, x_px, y_px, (80, 80))
    assert drawn is not None
    return drawn


@settings(max_examples=6, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 99), order=st.permutations([0, 1, 2, 3]))
def test_a_frame_depends_on_the_address_alone(kind: str, seed: int, order: list[int]) -> None:
    uri = f"synth:{kind}?seed={seed}&frames=4&size=128x96&overlay=2"
    in_order = list(SynthSource(uri))
    movie = SynthSource(uri)
    for index in order:
        asked = movie.frame(index)
        assert asked.t_s == in_order[index].t_s
        assert np.array_equal(asked.image, in_order[index].image)
        assert movie.truth_track_ids(index).tolist() == SynthSource(uri).truth_track_ids(index).tolist()


def test_another_seed_is_another_movie() -> None:
    a, b = (SynthSource(f"synth:loops?seed={seed}&frames=1&size=96").frame(0).image for seed in (1, 2))
    assert not np.array_equal(a, b)


def test_it_keeps_the_protocol_of_a_source() -> None:
    movie = SynthSource("synth:loops?frames=2&size=96&fps=4&nm_per_px=0.5&thickness_nm=80")
    assert isinstance(movie, Source)
    assert [(frame.index, frame.t_s) for frame in movie] == [(0, 0.0), (1, 0.25)]
    assert (movie.calibration.nm_per_px, movie.calibration.thickness_nm, movie.calibration.origin) == (
        0.5,
        80.0,
        "synthetic",
    )
    json.dumps(movie.describe())
    movie.close()
    movie.close()


@pytest.mark.parametrize("kind", KINDS)
def test_truth_and_picture_have_the_same_shape_and_classes(kind: str) -> None:
    movie = SynthSource(f"synth:{kind}?seed=3&frames=2&size=200x120&n=40")
    truth = movie.truth(1)
    assert movie.frame(1).shape == truth.shape == (120, 200)
    assert len(truth) == len(movie.truth_track_ids(1)) > 0
    assert set(truth.names()) <= set(DEFECT_CLASSES)
    assert (truth.boxes >= 0).all()
    assert (truth.boxes <= [200, 120, 200, 120]).all()
    assert (truth.masks.area_px() > 0).all()


@pytest.mark.parametrize(("polarity", "sign"), [("dark", -1), ("bright", 1)])
def test_dots_are_darker_than_their_surroundings_or_brighter_where_asked(polarity: str, sign: int) -> None:
    movie = SynthSource(
        f"synth:dense?seed=5&frames=1&size=256&n=40&noise=0.01&mottle=0.01&overlay=0&polarity={polarity}"
    )
    image, truth = movie.frame(0).image.astype(float), movie.truth(0)
    masks = truth.masks.dense(truth.shape)
    ring = cv2.dilate(masks.any(axis=0).astype(np.uint8), np.ones((9, 9))) > 0
    differences = [image[mask].mean() - image[~ring].mean() for mask in masks]
    assert np.mean(np.sign(differences) == sign) > 0.9


def test_drift_moves_picture_and_truth_together() -> None:
    movie = SynthSource(
        f"synth:loops?seed=4&frames=2&size=256&fps=1&drift=6&jumps=0&nm_per_px=0.5&start=1&{CLEAN}"
    )
    truth = [movie.truth_state(k) for k in (0, 1)]
    both, first, second = np.intersect1d(truth[0].track_ids, truth[1].track_ids, return_indices=True)
    moved = [
        np.median(truth[1].x_px[second] - truth[0].x_px[first]),
        np.median(truth[1].y_px[second] - truth[0].y_px[first]),
    ]
    assert len(both) > 10
    assert np.hypot(*moved) == pytest.approx(12)
    before, after = (cv2.GaussianBlur(movie.frame(k).image, (0, 0), 1) for k in (0, 1))
    carried = cv2.warpAffine(before, np.array([[1, 0, moved[0]], [0, 1, moved[1]]]), (256, 256))
    inner = (slice(20, -20), slice(20, -20))
    alike = [np.corrcoef(picture[inner].ravel(), after[inner].ravel())[0, 1] for picture in (before, carried)]
    assert alike[1] > 0.9
    assert alike[1] > alike[0] + 0.2


def test_without_drift_and_jumps_nothing_moves() -> None:
    movie = SynthSource("synth:voids?seed=1&frames=9&size=96&drift=0&jumps=0")
    assert {movie.stage.shift_px(t) for t in (0.0, 0.4, 0.8)} == {(0.0, 0.0)}


def test_defects_keep_their_number_and_are_born_once() -> None:
    movie = SynthSource("synth:loops?seed=9&frames=30&size=200&drift=0&jumps=0&start=0.3&n=40")
    seen = [set(movie.truth_state(k).track_ids.tolist()) for k in range(30)]
    assert len(seen[-1]) > len(seen[0]) > 0
    for track_id in set.union(*seen):
        alive = np.flatnonzero([track_id in ids for ids in seen])
        # a gliding defect may leave the frame and come back; all others live in one piece
        if not movie.defects[[d.track_id for d in movie.defects].index(track_id)].jump_s:
            assert np.ptp(alive) + 1 == len(alive)


def test_defects_that_join_conserve_their_area() -> None:
    for seed in range(40):
        movie = SynthSource(f"synth:dense?seed={seed}&frames=60&size=128&n=150&start=0.2")
        joined = [defect for defect in movie.defects if defect.swells]
        if joined:
            break
    when, extra = joined[0].swells[0]
    swollen, without = joined[0].size_px(when + 1e3), joined[0].look.size_px
    assert swollen**2 == pytest.approx(without**2 + extra, rel=1e-3)
    assert any(defect.dies_s == when for defect in movie.defects)


@settings(max_examples=20, deadline=None)
@given(
    size=st.floats(8, 60),
    ratio=st.floats(0.5, 1.0),
    angle=st.floats(0, 3.1),
    form=st.sampled_from(["dot", "open_ellipse", "fresnel", "double_ring"]),
)
def test_the_outline_has_the_area_of_the_true_axes(
    size: float, ratio: float, angle: float, form: str
) -> None:
    look = Look(form=form, size_px=size, ratio=ratio, angle=angle, edge_px=1.0, width_px=2.0)
    major, minor = look.outline_px()
    # an ellipse that lies evenly on the grid gains or loses whole rows of pixels at once: mean over places
    # within a pixel
    drawn = [
        picture(look, 50 + dx, 50 + dy, (100, 100))
        for dx in (0.1, 0.35, 0.6, 0.85)
        for dy in (0.05, 0.3, 0.55, 0.8)
    ]
    areas = [int(one_of_them[1].sum()) for one_of_them in drawn if one_of_them is not None]
    assert len(areas) == 16
    assert np.mean(areas) == pytest.approx(np.pi / 4 * major * minor, rel=0.06, abs=2)


def test_size_in_nm_is_size_in_px_times_the_scale() -> None:
    truth = {
        scale: (
            SynthSource(
                f"synth:loops?seed=2&frames=1&size=128&nm_per_px={scale}&drift=0&jumps=0"
            ).truth_state(0)
        )
        for scale in (0.25, 0.5)
    }
    for scale, state in truth.items():
        loops = np.array([name.startswith("loop") for name in state.detections.names()])
        assert state.size_nm[loops] == pytest.approx(state.major_px[loops] * scale)


@pytest.mark.parametrize(
    "form",
    [
        "dot",
        "open_ellipse",
        "edge_on",
        "double_ring",
        "blob",
        "comma",
        "bean",
        "fresnel",
        "facet",
        "lath",
        "needle",
    ],
)
def test_a_defect_at_the_border_is_cut_and_one_outside_is_not_drawn(form: str) -> None:
    look = Look(form=form, size_px=12.0, tail=0.6 if form == "comma" else 0.0)
    profile, mask, y0, x0 = one(look, 0.0, 79.0)
    assert profile.shape == mask.shape
    assert (x0, y0 + mask.shape[0]) == (0, 80)
    assert picture(look, -100.0, 20.0, (80, 80)) is None


def test_a_void_is_bright_inside_its_outline_and_its_dark_fringe_lies_outside_under_focus() -> None:
    profile, mask, _, _ = one(Look(form="fresnel", size_px=20.0))
    centre = np.array(profile.shape) // 2
    assert profile[tuple(centre)] < -0.2
    assert profile[mask].mean() < -0.2
    assert profile[~mask].max() > max(0.25, profile[mask].max())


def test_a_void_at_the_border_looks_like_the_part_of_a_whole_one() -> None:
    look = Look(form="fresnel", size_px=16.0)
    whole, _, y0, x0 = one(look, 40.3, 40.0)
    part, _, top, left = one(look, 0.3, 40.0)
    assert left == 0
    shown = whole[top - y0 : top - y0 + part.shape[0], 40 - x0 : 40 - x0 + part.shape[1]]
    assert np.abs(shown - part).max() < 0.05


def test_a_faint_defect_is_there_but_not_visible() -> None:
    state = SynthSource("synth:two_beam?seed=1&frames=1&size=256&n=80&mottle=0.3&start=1").truth_state(0)
    assert 0 < state.visible.sum() < len(state.visible)
    assert state.contrast[~state.visible].mean() < state.contrast[state.visible].mean()


def test_the_scale_bar_is_as_long_as_it_says() -> None:
    movie = SynthSource("synth:loops?seed=1&frames=1&size=512x300&nm_per_px=0.4")
    row = movie.overlay.grey == 255
    longest = max(
        np.diff(np.flatnonzero(np.diff(np.concatenate([[0], line, [0]])))).max(initial=0)
        for line in row.astype(int)
    )
    assert (movie.overlay.bar_nm, longest) == (50.0, 125)
    assert longest * 0.4 == movie.overlay.bar_nm
    field = movie.calibration.field
    assert field is not None
    assert field.shape == (300, 512)
    assert not field.all()


def test_coloured_noise_has_unit_variance_and_the_correlation_asked_for() -> None:
    rng = np.random.default_rng(0)
    fine, coarse = (coloured_noise(rng, (96, 130), length, slope=3) for length in (4, 30))
    assert fine.std() == pytest.approx(1, abs=1e-3)
    assert np.abs(np.diff(fine, axis=1)).mean() > 2 * np.abs(np.diff(coarse, axis=1)).mean()


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("synth:loops?sead=7", "seed"),
        ("synth:foam", "two_beam"),
        ("synth:loops?size=big", "1024x710"),
        ("synth:loops?size=1x1", "64"),
        ("synth:loops?frames=0", "at least 1"),
        ("synth:loops?fps=nan", "frames per second"),
        ("synth:loops?seed=x", "expected a value like"),
        ("synth:loops?drift=nan", "nm/s"),
        ("synth:loops?start=2", "0 to 1"),
        ("synth:loops?polarity=blue", "bright"),
    ],
)
def test_a_wrong_address_is_refused_and_told_what_is_known(uri: str, named: str) -> None:
    with pytest.raises(SourceError, match=named):
        SynthSource(uri)


def test_faults_are_accounted_for_frame_by_frame() -> None:
    items = list(SynthSource("synth:loops?seed=3&frames=20&size=64&faults=0.4"))
    assert [item.index for item in items] == list(range(20))
    assert {type(item) for item in items} == {Frame, MissingFrame}


def test_no_defects_at_all_is_a_movie_too() -> None:
    movie = SynthSource("synth:loops?n=0&frames=1&size=64")
    assert len(movie.truth(0)) == 0
    assert movie.frame(0).shape == (64, 64)


def test_what_is_written_can_be_read_back(tmp_path) -> None:
    uri = "synth:two_beam?seed=6&frames=4&size=128x96&fps=5"
    write_synth(uri, tmp_path, coco=True)
    movie, table = SynthSource(uri), TRACKS.read(tmp_path / "truth.csv")
    assert set(table["frame"]) == {0, 1, 2, 3}
    seen = table[(table["frame"] == 2) & (table["observed"] == 1)]
    assert seen["track_id"].tolist() == movie.truth_track_ids(2).tolist()
    assert json.loads((tmp_path / "truth.json").read_text())["scale_bar_nm"] == movie.overlay.bar_nm
    labels = json.loads((tmp_path / "truth_coco.json").read_text())
    assert len(labels["annotations"]) == (table["observed"] == 1).sum()
    assert (tmp_path / "movie.mp4").stat().st_size > 0


def test_a_second_reading_gives_the_same_frames_kept_or_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = [frame.image for frame in SynthSource("synth:loops?seed=7&frames=4&size=128")]
    monkeypatch.setattr(source_module, "_KEPT_BYTES", 2 * 128 * 128)
    movie = SynthSource("synth:loops?seed=7&frames=4&size=128")
    for _ in range(2):
        again = [frame.image for frame in movie]
        assert all((one == other).all() for one, other in zip(first, again, strict=True))
        again[0][:] = 0  # what a reader does to a frame is his own
    assert len(movie._kept) == 2
