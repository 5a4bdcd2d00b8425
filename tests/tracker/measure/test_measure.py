"""Position, size and orientation from masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.errors import SettingsError
from insitrack.io.frames import Calibration
from insitrack.tracker.measure.measure import MeasureConfig, measure, sizes_px

LABEL = {name: i + 1 for i, name in enumerate(DEFECT_CLASSES)}
UNIT = Calibration(nm_per_px=1.0)
SHAPE = (200, 320)
crops = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.booleans())


def found(masks: Masks, label="loop_111", shape=SHAPE) -> Detections:
    n = len(masks)
    return Detections(0, 0.0, shape, masks.boxes(), np.full(n, LABEL[label]), np.ones(n, np.float32), masks)


def ellipse(major, minor, angle_deg, x, y, shape=SHAPE):
    """Pixels whose centre lies inside the ellipse, as a dense mask."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    turn = np.radians(angle_deg)
    along = (columns - x) * np.cos(turn) + (rows - y) * np.sin(turn)
    across = (rows - y) * np.cos(turn) - (columns - x) * np.sin(turn)
    return (along / major) ** 2 + (across / minor) ** 2 <= 0.25


def sizes(definition, masks, label="loop_111"):
    return measure(found(masks, label), UNIT, MeasureConfig(size_definition={label: definition})).size_nm


@given(st.lists(st.tuples(crops, st.integers(0, 100), st.integers(0, 100)), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_any_masks_holes_and_pieces_included_measure_as_pixel_by_pixel_arithmetic_says(pieces):
    masks = Masks.from_crops([crop for crop, _, _ in pieces], [(y, x) for _, y, x in pieces])
    measures, feret = measure(found(masks), UNIT, MeasureConfig()), sizes("feret_max", masks)
    for i, (crop, y, x) in enumerate(pieces):
        rows, columns = np.nonzero(crop)
        assert measures.area_px[i] == len(rows)
        if not len(rows):
            continue
        assert measures.x_px[i] == pytest.approx(columns.mean() + x + 0.5)
        assert measures.y_px[i] == pytest.approx(rows.mean() + y + 0.5)
        spread = np.linalg.eigvalsh(np.cov(columns, rows, bias=True).reshape(2, 2) + np.eye(2) / 12)
        assert [measures.minor_px[i], measures.major_px[i]] == pytest.approx(4 * np.sqrt(spread), abs=1e-6)
        longest = np.hypot(columns[:, None] - columns, rows[:, None] - rows).max() + 0.5
        assert longest * 0.998 <= feret[i] + 1e-6
        assert feret[i] <= longest + 1e-4


@given(st.floats(0.05, 5), crops)
@settings(max_examples=30, deadline=None)
def test_doubling_the_scale_doubles_sizes_and_quadruples_areas(scale, crop):
    one, two = (
        measure(found(Masks.from_crops([crop], [(3, 4)])), Calibration(nm_per_px=s), MeasureConfig())
        for s in (scale, 2 * scale)
    )
    assert two.size_nm == pytest.approx(2 * one.size_nm, nan_ok=True)
    assert two.area_nm2 == pytest.approx(4 * one.area_nm2)
    assert two.major_px == pytest.approx(one.major_px, nan_ok=True)


@pytest.mark.parametrize("diameter", [6, 8, 10, 20, 40])
def test_discs_measure_their_diameter_by_every_definition(diameter):
    centres = np.random.default_rng(diameter).uniform(50, 51, (60, 2))
    masks = Masks.from_dense(np.array([ellipse(diameter, diameter, 0, *centre) for centre in centres]))
    assert sizes("ecd", masks).mean() == pytest.approx(diameter, rel=0.01)
    assert sizes("feret_max", masks).mean() == pytest.approx(diameter, rel=0.03)
    assert sizes("ellipse_geo", masks).mean() == pytest.approx(diameter, rel=0.02)
    assert sizes("ellipse_major", masks).mean() == pytest.approx(diameter, rel=0.05)


@pytest.mark.parametrize(("major", "minor"), [(40, 23.1), (80, 46.2), (40, 8), (12, 6.9)])
def test_a_tilted_loop_measures_its_longest_extent_not_its_area(major, minor):
    turns = np.random.default_rng(1).uniform(0, 180, 40)
    masks = Masks.from_dense(np.array([ellipse(major, minor, turn, 100.3, 100.6) for turn in turns]))
    assert sizes("feret_max", masks).mean() == pytest.approx(major, rel=0.03)
    assert sizes("ellipse_major", masks).mean() == pytest.approx(major, rel=0.02)
    assert sizes("ecd", masks).mean() == pytest.approx(np.sqrt(major * minor), rel=0.01)


def test_an_open_ring_and_a_solid_loop_of_one_outline_have_the_same_longest_extent():
    solid = ellipse(40, 24, 30, 100, 80)
    ring = solid & ~ellipse(34, 18, 30, 100, 80)
    assert np.ptp(sizes("feret_max", Masks.from_dense(np.array([solid, ring])))) == 0


@pytest.mark.parametrize("angle", [0, 30, 90, 135, 179])
def test_angle_runs_clockwise_on_the_screen_from_x(angle):
    measured = measure(
        found(Masks.from_dense(ellipse(40, 10, angle, 100, 90)[None])), UNIT, MeasureConfig()
    ).angle_deg[0]
    assert (measured - angle + 90) % 180 - 90 == pytest.approx(0, abs=1.5)
    assert 0 <= measured < 180


def test_each_class_takes_its_own_size_definition():
    masks = Masks.from_dense(np.array([ellipse(40, 20, 0, 100, 90)] * len(DEFECT_CLASSES)))
    labels = np.arange(1, len(DEFECT_CLASSES) + 1)
    every = Detections(0, 0.0, SHAPE, masks.boxes(), labels, np.ones(len(labels), np.float32), masks)
    size = dict(zip(DEFECT_CLASSES, measure(every, UNIT, MeasureConfig()).size_nm, strict=True))
    long = {name for name, value in size.items() if value > 35}
    assert long == {"loop_111", "loop_100", "dislocation", "loop", "defect"}
    assert size["black_dot"] == pytest.approx(np.sqrt(800), rel=0.01)


def test_a_class_of_ones_own_is_measured_by_its_area():
    masks = Masks.from_dense(ellipse(40, 20, 0, 100, 90)[None])
    own = Detections(0, 0.0, SHAPE, masks.boxes(), np.array([1]), np.ones(1, np.float32), masks, ("bubble",))
    assert measure(own, UNIT, MeasureConfig()).size_nm == pytest.approx([np.sqrt(800)], rel=0.01)


def test_unknown_scale_leaves_every_nm_figure_empty_and_every_px_figure_filled():
    measures = measure(
        found(Masks.from_dense(ellipse(20, 10, 0, 100, 90)[None])), Calibration(), MeasureConfig()
    )
    assert np.isnan([measures.size_nm[0], measures.area_nm2[0]]).all()
    assert np.isfinite(
        [measures.x_px[0], measures.area_px[0], measures.major_px[0], measures.angle_deg[0]]
    ).all()


def test_an_empty_mask_lies_at_the_centre_of_its_box_and_has_no_size():
    masks = Masks.from_crops([np.zeros((1, 1), bool), np.ones((2, 2), bool)], [(0, 0), (10, 10)])
    pair = Detections(
        0,
        0.0,
        SHAPE,
        np.array([[4, 6, 8, 12], [10, 10, 12, 12]], np.float32),
        np.array([2, 2]),
        np.ones(2, np.float32),
        masks,
    )
    measures = measure(pair, UNIT, MeasureConfig())
    assert (measures.x_px[0], measures.y_px[0], measures.area_px[0]) == (6.0, 9.0, 0.0)
    assert np.isnan([measures.size_nm[0], measures.major_px[0]]).all()
    assert not measures.on_edge[0]
    assert measures.area_px[1] == 4


def test_a_crop_without_extent_is_an_empty_mask():
    masks = Masks.from_crops(
        [np.zeros((3, 0), bool), np.ones((2, 5), bool), np.zeros((0, 4), bool)], [(0, 0), (20, 30), (5, 5)]
    )
    measures = measure(found(masks), UNIT, MeasureConfig())
    assert measures.area_px.tolist() == [0, 10, 0]
    assert (measures.x_px[1], measures.y_px[1]) == (32.5, 21.0)


def test_no_detections_give_no_measures():
    measures = measure(Detections.empty(0, 0.0, SHAPE), UNIT, MeasureConfig())
    assert len(measures) == 0
    assert measures.on_edge.dtype == bool


def test_a_single_pixel_measures_like_a_unit_square():
    measures = measure(found(Masks.from_crops([np.ones((1, 1), bool)], [(3, 7)])), UNIT, MeasureConfig())
    assert (measures.x_px[0], measures.y_px[0]) == (7.5, 3.5)
    assert measures.major_px[0] == pytest.approx(4 / np.sqrt(12))


@pytest.mark.parametrize(
    ("y", "x", "touches"),
    [
        (1, 1, False),
        (0, 1, True),
        (1, 0, True),
        (196, 1, False),
        (197, 1, True),
        (1, 315, False),
        (1, 316, True),
        (-1, 5, True),
    ],
)
def test_a_mask_on_the_border_of_a_non_square_frame_is_marked(y, x, touches):
    masks = Masks.from_crops([np.ones((3, 4), bool)], [(y, x)])
    assert measure(found(masks), UNIT, MeasureConfig()).on_edge.tolist() == [touches]


def test_only_the_pixels_of_a_mask_touch_the_border_not_the_margin_of_its_crop():
    crop = np.zeros((5, 5), bool)
    crop[2, 2] = True
    assert not measure(found(Masks.from_crops([crop], [(0, 0)])), UNIT, MeasureConfig()).on_edge[0]


@pytest.mark.parametrize(("x", "touches"), [(100, True), (97, True), (96, False), (120, True), (121, False)])
def test_a_mask_beside_the_invalid_part_of_the_field_is_marked(x, touches):
    field = np.ones(SHAPE, bool)
    field[:, 100:120] = False
    masks = Masks.from_crops([np.ones((3, 3), bool)], [(50, x)])
    assert measure(
        found(masks), Calibration(nm_per_px=1.0, field=field), MeasureConfig()
    ).on_edge.tolist() == [touches]


def test_a_field_of_another_shape_than_the_frame_is_refused():
    with pytest.raises(SettingsError, match=r"\(200, 320\)"):
        measure(Detections.empty(0, 0.0, SHAPE), Calibration(field=np.ones((4, 6), bool)), MeasureConfig())


def test_unknown_class_or_definition_is_refused_with_the_known_ones():
    with pytest.raises(SettingsError, match="known are black_dot"):
        MeasureConfig(size_definition={"loop111": "ecd"})
    with pytest.raises(SettingsError, match="expected one of feret_max, ecd"):
        MeasureConfig(size_definition={"loop_111": "radius"})


@pytest.mark.parametrize(
    ("major", "minor", "r_max", "between", "feret", "ecd", "round_"),
    [
        (6.0, 6.0, 6.00, 5.46, 5.66, 6.01, 1.043),
        (10.0, 10.0, 11.11, 9.37, 9.71, 10.00, 1.023),
        (40.0, 40.0, 42.94, 39.58, 39.89, 40.00, 1.005),
        (40.0, 23.1, 41.39, 30.15, 39.50, 30.39, 1.064),
        (80.0, 46.2, 82.69, 60.61, 79.61, 60.77, 1.060),
        (40.0, 8.0, 40.98, 18.90, 39.02, 17.88, 1.522),
    ],
)
def test_every_definition_has_the_published_bias_of_digitising(
    major, minor, r_max, between, feret, ecd, round_
):
    random = np.random.default_rng(0)
    crops, side = [], int(major) + 6
    y, x = np.mgrid[:side, :side] + 0.5
    for _ in range(300):
        dx, dy = x - side / 2 - random.uniform(-0.5, 0.5), y - side / 2 - random.uniform(-0.5, 0.5)
        angle = random.uniform(0, np.pi)
        along, across = dx * np.cos(angle) + dy * np.sin(angle), -dx * np.sin(angle) + dy * np.cos(angle)
        crops.append((2 * along / major) ** 2 + (2 * across / minor) ** 2 <= 1)
    masks = Masks.from_crops(crops, [(100, 100)] * 300)
    shape = (300, 300)

    def sizes(name, definition):
        found = Detections(
            0, 0.0, shape, masks.boxes(), np.ones(300, np.int64), np.ones(300, np.float32), masks, (name,)
        )
        return measure(found, Calibration(nm_per_px=1.0), MeasureConfig(size_definition={name: definition}))

    assert sizes("loop_111", "jacobs").size_nm.mean() == pytest.approx(r_max, rel=0.012)
    assert sizes("black_dot", "jacobs").size_nm.mean() == pytest.approx(between, rel=0.012)
    assert sizes("void", "jacobs_cavity").size_nm.mean() == pytest.approx(between, rel=0.012)
    assert sizes("void", "ecd").size_nm.mean() == pytest.approx(ecd, rel=0.01)
    measured = sizes("loop_111", "feret_max")
    assert measured.size_nm.mean() - 0.5 == pytest.approx(
        feret, abs=0.08
    )  # this definition adds half a pixel to the extent of the centres
    assert measured.heywood.mean() == pytest.approx(round_, abs=0.006)
    if minor == major:
        assert abs(measured.size_nm.mean() / major - 1) < 0.03


def test_a_loop_measured_to_the_middle_of_its_ring_is_one_image_width_smaller():
    loop, void = (
        sized(name, MeasureConfig(loop_edge="midline", loop_image_width_nm=4.0))
        for name in ("loop_111", "void")
    )
    assert loop == pytest.approx(sized("loop_111", MeasureConfig()) - 4.0)
    assert void == pytest.approx(sized("void", MeasureConfig()))
    with pytest.raises(SettingsError, match=r"needs measure\.loop_image_width_nm"):
        MeasureConfig(loop_edge="midline")
    with pytest.raises(SettingsError, match="expected a positive number of nm"):
        MeasureConfig(loop_image_width_nm=0.0)


def sized(name, config):
    mask = np.zeros((1, 60, 60), bool)
    mask[0, 20:40, 15:45] = True
    masks = Masks.from_dense(mask)
    found = Detections(
        0, 0.0, (60, 60), masks.boxes(), np.ones(1, np.int64), np.ones(1, np.float32), masks, (name,)
    )
    return float(measure(found, Calibration(nm_per_px=0.5), config).size_nm[0])


def test_sizes_of_a_paper_are_taken_for_every_class_that_is_not_set_itself():
    config = MeasureConfig(sizes_of="shen", size_definition={"loop_100": "ecd"})
    assert [config.size_definition[name] for name in ("loop_111", "loop_100", "black_dot", "void")] == [
        "ellipse_major",
        "ecd",
        "ellipse_geo",
        "ecd",
    ]
    assert MeasureConfig(sizes_of="jacobs").size_definition["void"] == "jacobs_cavity"
    with pytest.raises(SettingsError, match="expected one of field, jacobs, shen"):
        MeasureConfig(sizes_of="nobody")


def test_what_a_row_of_the_table_tells_gives_the_size_by_every_definition():
    mask = np.zeros((1, 60, 60), bool)
    mask[0, 20:40, 15:45] = True
    masks = Masks.from_dense(mask)
    found = Detections(
        0, 0.0, (60, 60), masks.boxes(), np.ones(1, np.int64), np.ones(1, np.float32), masks, ("loop_111",)
    )
    for definition in ("feret_max", "ecd", "ellipse_major", "ellipse_geo", "jacobs", "jacobs_cavity"):
        config = MeasureConfig(size_definition={"loop_111": definition})
        one = measure(found, Calibration(nm_per_px=0.5), config)
        again = sizes_px(
            np.array(["loop_111"]),
            config,
            one.area_px,
            one.major_px,
            one.minor_px,
            one.feret_px,
            one.r_min_px,
            one.r_max_px,
        )
        assert again * 0.5 == pytest.approx(one.size_nm)
