"""Position, size and orientation of every detection, from its mask, all detections of a frame at once.

Masks are read as runs of pixels along their rows; area, moments, extents and calipers follow from the ends of
the runs, so that each pixel is looked at only once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import BoolImage, Bools, Floats, Ints
from insitrack.io.detections import DEFECT_CLASSES, UNTYPED, Detections
from insitrack.io.errors import SettingsError
from insitrack.io.frames import Calibration
from insitrack.io.results import Measures
from insitrack.segment.lines.length import LengthMethod
from insitrack.segment.lines.trace import line_length_px
from insitrack.tracker.hardening.materials import LINE_CLASSES
from insitrack.tracker.measure.shape import Runs, first_of_each, hull_shape, runs_of

SizeDefinition = Literal["feret_max", "ecd", "ellipse_major", "ellipse_geo", "jacobs", "jacobs_cavity"]
SizePreset = Literal["field", "jacobs", "shen"]

DEFAULT_SIZES: dict[str, SizeDefinition] = {
    "black_dot": "ecd",
    "loop_111": "feret_max",
    "loop_100": "feret_max",
    "dislocation": "feret_max",
    "precipitate": "ecd",
    "void": "ecd",
    "loop": "feret_max",
    UNTYPED: "feret_max",
}
"""A tilted circular loop projects to an ellipse whose longest extent is the loop's true diameter; dots and
voids are round, for which every definition says the same."""

PRESETS: dict[str, dict[str, SizeDefinition]] = {
    "field": DEFAULT_SIZES,
    "jacobs": {**dict.fromkeys(DEFAULT_SIZES, "jacobs"), "void": "jacobs_cavity"},
    "shen": {
        **DEFAULT_SIZES,
        "black_dot": "ellipse_geo",
        "loop_111": "ellipse_major",
        "loop_100": "ellipse_major",
        "loop": "ellipse_major",
        UNTYPED: "ellipse_major",
    },
}
"""Usual practice of the field; Jacobs et al. 2022 and, for cavities, 2023; Shen et al. 2021."""

LOOPS = ("loop_111", "loop_100", "loop")
"""Classes whose outline is a ring, which has an outer edge and a mid-line."""

JACOBS_LOOPS = ("loop_111", "loop_100", "loop", "dislocation")
"""Classes of which `jacobs` takes the largest radius alone; of all others it takes the geometric mean of
the smallest and largest."""

OTHER_CLASS: SizeDefinition = "ecd"
"""Size of a class that only a model of one's own knows."""

N_DIRECTIONS = 36
"""Directions, 5 degrees apart, in which the caliper is laid; the longest lies at most 2.5 degrees off, 0.1
% short."""

FERET_PIXEL_PX = 0.5
"""What is added to the extent of the pixel centres, px.

The outermost pixel centres lie inside the outline. For discs of 6 to 40 px and ellipses down to axis ratio
0.2 half a pixel, in all, leaves less than 3 % of bias; a whole pixel would leave 11 % on a disc of 6 px, none
would lose 6 %.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureConfig:
    """How sizes are defined.

    Parameters
    ----------
    size_definition : mapping of str to str
        For each class `feret_max` (longest caliper extent), `ecd` (diameter of the circle of equal area),
        `ellipse_major` (major axis of the ellipse of equal second moments), `ellipse_geo` (geometric mean of
        both axes), `jacobs` (from the corners of the convex hull, as Jacobs et al. 2022 publish it, see
        `insitrack.tracker.measure.shape`) or `jacobs_cavity` (2 sqrt(r_min r_max) whatever the class).
        Classes left out follow `sizes_of`.
    sizes_of : {"field", "jacobs", "shen"}
        Whose definitions hold for the classes that `size_definition` leaves out: the field's practice, Jacobs
        et al. 2022 (doi 10.1016/j.xcrp.2022.100876) or Shen et al. 2021 (doi
        10.1016/j.commatsci.2021.110576).
    loop_edge : {"outer", "midline"}
        Where a loop ends: at the outer edge of its image, as outlines are drawn, or on the middle of the
        ring, which is where the dislocation lies.
    loop_image_width_nm : float or None
        Width of the ring's image, nm, some nanometres (a third to a fifth of the extinction distance);
        `midline` takes it off.
    line_length : {"vossepoel_smeulders", "kulpa", "freeman"}
        Estimator of the length of line dislocations, see `insitrack.segment.lines.length`.

    Raises
    ------
    SettingsError
        If a class or a definition is unknown, or the width that `midline` needs is missing or negative.

    Examples
    --------
    >>> config = MeasureConfig(size_definition={"loop": "ecd"})
    >>> config.size_definition["loop"], config.size_definition["loop_111"]
    ('ecd', 'feret_max')
    """

    size_definition: Mapping[str, SizeDefinition] = field(default_factory=dict)
    sizes_of: SizePreset = "field"
    loop_edge: Literal["outer", "midline"] = "outer"
    loop_image_width_nm: float | None = None
    line_length: LengthMethod = "vossepoel_smeulders"

    def __post_init__(self) -> None:
        for name, definition in self.size_definition.items():
            if name not in DEFECT_CLASSES:
                raise SettingsError(
                    f"size_definition of {name!r}: unknown class; known are {', '.join(DEFECT_CLASSES)}"
                )
            if definition not in get_args(SizeDefinition):
                raise SettingsError(
                    f"size_definition of {name} {definition!r}: expected one of"
                    f" {', '.join(get_args(SizeDefinition))}"
                )
        if self.sizes_of not in PRESETS:
            raise SettingsError(f"measure.sizes_of {self.sizes_of!r}: expected one of {', '.join(PRESETS)}")
        width = self.loop_image_width_nm
        if width is not None and not width > 0:
            raise SettingsError(
                f"measure.loop_image_width_nm {width}: expected a positive number of nm; leave it out if it"
                " is unknown"
            )
        if self.loop_edge == "midline" and width is None:
            raise SettingsError(
                "measure.loop_edge 'midline': needs measure.loop_image_width_nm, the width of the ring's"
                " image in nm"
            )
        object.__setattr__(self, "size_definition", {**PRESETS[self.sizes_of], **self.size_definition})

    def edge_nm(self, name: str) -> float:
        """Length to take off a size of a class to get from the outer edge to the mid-line of a ring, nm."""
        return (self.loop_image_width_nm or 0.0) if self.loop_edge == "midline" and name in LOOPS else 0.0


def measure(detections: Detections, calibration: Calibration, config: MeasureConfig) -> Measures:
    """Measure every detection of a frame.

    Parameters
    ----------
    detections : Detections
        N rows with their masks.
    calibration : Calibration
        Scale and valid field.
    config : MeasureConfig
        Size definition of each class.

    Returns
    -------
    Measures
        N rows. An empty mask lies at the centre of its box, with area 0 and everything else unknown (NaN).
        Figures in nm are NaN where the scale is unknown.

    Raises
    ------
    SettingsError
        If the valid field has another shape than the frame.

    Notes
    -----
    The ellipse has the mask's second central moments, each pixel being a unit square (hence 1/12 px^2 on
    top): its full axes are four times the roots of the eigenvalues, so that a disc of d px measures d.

    Examples
    --------
    >>> from insitrack.io.detections import Masks
    >>> mask = np.zeros((1, 20, 30), bool)
    >>> mask[0, 5:9, 10:22] = True
    >>> found = Detections(0, 0.0, (20, 30), np.array([[10, 5, 22, 9]], np.float32), np.array([3]), np.ones(1, np.float32), Masks.from_dense(mask))
    >>> measures = measure(found, Calibration(nm_per_px=0.5), MeasureConfig())
    >>> float(measures.x_px[0]), float(measures.y_px[0]), float(measures.area_nm2[0]), bool(measures.on_edge[0])
    (16.0, 7.0, 12.0, False)
    """
    n = len(detections)
    _check_field(calibration.field, detections.shape)
    if n == 0:
        return Measures.nothing()
    masks = detections.masks
    runs = runs_of(masks)
    area, x, y, xx, yy, xy = _moments(runs, n)
    filled, corners, boxes = area > 0, masks.corners.astype(np.float64), detections.boxes.astype(np.float64)
    x_px = np.where(filled, corners[:, 1] + x + 0.5, (boxes[:, 0] + boxes[:, 2]) / 2)
    y_px = np.where(filled, corners[:, 0] + y + 0.5, (boxes[:, 1] + boxes[:, 3]) / 2)
    major, minor, angle = _ellipse(xx, yy, xy)
    feret, (r_min, r_max, round_) = _feret_max(runs, filled), hull_shape(runs, n)
    shape = (area, major, minor, feret, r_min, r_max)
    size_px = _sizes_of(detections.class_names, detections.labels - 1, config, shape)
    nm, (on_edge, excluded) = calibration.nm_per_px or np.nan, _on_edge(runs, detections, calibration.field)
    return Measures(
        x_px=x_px,
        y_px=y_px,
        area_px=area,
        major_px=major,
        minor_px=minor,
        angle_deg=angle,
        on_edge=on_edge,
        size_nm=np.maximum(size_px * nm - _rim_nm(detections, config), 0.0),
        area_nm2=area * nm**2,
        line_length_nm=_line_lengths_px(detections, config.line_length) * nm,
        on_exclusion_edge=excluded,
        feret_px=feret,
        r_min_px=r_min,
        r_max_px=r_max,
        heywood=round_,
    )


def _check_field(field: BoolImage | None, shape: tuple[int, int]) -> None:
    if field is not None and field.shape != shape:
        raise SettingsError(f"valid field of shape {field.shape}: expected the shape of the frame, {shape}")


def _rim_nm(detections: Detections, config: MeasureConfig) -> Floats:
    """Return what is taken off the size of each detection to come to the mid-line of its ring, nm."""
    return np.array([config.edge_nm(name) for name in detections.class_names], np.float64)[
        detections.labels - 1
    ]


def _moments(runs: Runs, n: int) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats]:
    """Area, mean x and y, and the central second moments xx, yy, xy; NaN for an empty mask."""

    def total(values: Floats) -> Floats:
        return np.asarray(np.bincount(runs.owner, weights=values, minlength=n), np.float64)

    length = (runs.right - runs.left + 1).astype(np.float64)
    middle, row = (runs.left + runs.right) / 2, runs.y.astype(np.float64)
    area = total(length)
    count = np.where(area > 0, area, np.nan)
    x, y = total(length * middle) / count, total(length * row) / count
    dx, dy = middle - x[runs.owner], row - y[runs.owner]
    xx = (
        total(length * (dx * dx + (length * length - 1) / 12)) / count
    )  # a run of L pixels has the variance (L^2 - 1) / 12
    return area, x, y, xx, total(length * dy * dy) / count, total(length * dx * dy) / count


def _ellipse(xx: Floats, yy: Floats, xy: Floats) -> tuple[Floats, Floats, Floats]:
    """Full axes, px, and direction of the major one, degrees in [0, 180), from x towards y."""
    mean = (xx + yy) / 2 + 1 / 12
    spread = np.hypot((xx - yy) / 2, xy)
    angle = np.degrees(np.arctan2(2 * xy, xx - yy)) / 2 % 180
    angle[angle >= 180] = 0.0  # a tiny negative angle rounds up to 180
    return 4 * np.sqrt(mean + spread), 4 * np.sqrt(np.maximum(mean - spread, 0)), angle


def sizes_px(
    names: NDArray[np.str_],
    config: MeasureConfig,
    area: Floats,
    major: Floats,
    minor: Floats,
    feret: Floats,
    r_min: Floats,
    r_max: Floats,
) -> Floats:
    """Size of each row by the definition of its class, px, from the columns of a mask or of ``tracks.csv``.

    It is NaN for an empty mask.

    Parameters
    ----------
    names : ndarray of str, shape (N,)
        Class names.
    config : MeasureConfig
        Definitions.
    area, major, minor, feret, r_min, r_max : ndarray of float64, shape (N,)
        Columns of `Measures`, px^2 and px.
    """
    known, code = np.unique(names, return_inverse=True)
    return _sizes_of(known.tolist(), code, config, (area, major, minor, feret, r_min, r_max))


def _sizes_of(
    class_names: Sequence[str], code: Ints, config: MeasureConfig, shape: tuple[Floats, ...]
) -> Floats:
    """Do the same for classes that are given as places in `class_names`; `shape` are the six columns."""
    area, major, minor, feret, r_min, r_max = shape
    size = np.where(area > 0, np.sqrt(4 * np.maximum(area, 0) / np.pi), np.nan)
    wanted: list[str] = [config.size_definition.get(name, OTHER_CLASS) for name in class_names]
    for place, name in enumerate(class_names):
        if wanted[place] == "jacobs":
            wanted[place] = "jacobs_loop" if name in JACOBS_LOOPS else "jacobs_cavity"
    for definition in set(wanted):
        mine = np.array([one == definition for one in wanted])[code]
        if definition == "feret_max":
            size[mine] = feret[mine]
        elif definition == "ellipse_major":
            size[mine] = major[mine]
        elif definition == "ellipse_geo":
            size[mine] = np.sqrt(major[mine] * minor[mine])
        elif definition == "jacobs_loop":
            size[mine] = 2 * r_max[mine]
        elif definition == "jacobs_cavity":
            size[mine] = 2 * np.sqrt(r_min[mine] * r_max[mine])
    return size


def _line_lengths_px(detections: Detections, method: LengthMethod) -> Floats:
    """Length of each detection along its middle, px; NaN where the detector knows no lines.

    Particles have one too: an observation of a line may have been classified as a particle, while the
    track says that it is a line.
    """
    if not set(detections.class_names) & set(LINE_CLASSES):
        return np.full(len(detections), np.nan)
    return np.array(
        [line_length_px(detections.masks.crop(row), method) for row in range(len(detections))], np.float64
    )


def _feret_max(runs: Runs, wanted: Bools) -> Floats:
    """Longest caliper extent of the wanted masks, px; NaN for the others.

    In a direction with cos >= 0 the far point of a run is its last pixel and the near one its first,
    which halves the work.
    """
    answer = np.full(len(wanted), np.nan)
    if not wanted.any():
        return answer
    direction = (np.arange(N_DIRECTIONS) * (180 / N_DIRECTIONS) - 90.0) * (np.pi / 180)
    cos, sin = np.cos(direction).astype(np.float32)[:, None], np.sin(direction).astype(np.float32)[:, None]

    def farthest(x: Ints, y_sign: float) -> NDArray[np.float32]:
        """Farthest projection of the run ends `x` of each mask, shape (directions, masks)."""
        kept = np.flatnonzero(_convex(runs, x) & wanted[runs.owner])
        starts = first_of_each(runs.owner[kept])
        along = cos * x[kept].astype(np.float32) + (y_sign * sin) * runs.y[kept].astype(np.float32)
        return np.asarray(np.maximum.reduceat(along, starts, axis=1), np.float32)

    # the near end is the farthest one of the frame turned by 180 degrees
    extent = farthest(runs.right, 1.0) + farthest(-runs.left, -1.0)
    answer[wanted] = extent.max(axis=0) + FERET_PIXEL_PX
    return answer


def _convex(runs: Runs, ends: Ints) -> Bools:
    """Find the ends of runs that a caliper can touch.

    A point on or behind the line between those of the rows above and below is not one of them.
    """
    keep = np.ones(len(ends), bool)
    between = (
        (runs.owner[:-2] == runs.owner[2:])
        & (runs.y[2:] - runs.y[1:-1] == 1)
        & (runs.y[1:-1] - runs.y[:-2] == 1)
    )
    keep[1:-1] = ~between | (2 * ends[1:-1] > ends[:-2] + ends[2:])
    return keep


def _on_edge(runs: Runs, detections: Detections, field: BoolImage | None) -> tuple[Bools, Bools]:
    """Find which masks touch the border, and which of them its left or lower side.

    Their tight box, one pixel wider, leaves the frame or holds a pixel outside the valid field.
    """
    touching, excluded = np.zeros(len(detections), bool), np.zeros(len(detections), bool)
    if not len(runs.owner):
        return touching, excluded
    starts = first_of_each(runs.owner)
    rows = runs.owner[starts]
    ends = np.append(starts[1:], len(runs.owner)) - 1
    y, x = detections.masks.corners[rows].astype(np.int64).T
    y0, y1 = y + runs.y[starts] - 1, y + runs.y[ends] + 2
    x0, x1 = x + np.minimum.reduceat(runs.left, starts) - 1, x + np.maximum.reduceat(runs.right, starts) + 2
    height, width = detections.shape
    outside = (y0 < 0) | (x0 < 0) | (y1 > height) | (x1 > width)
    out = (x0 < 0) | (y1 > height)
    if field is not None:
        invalid = cv2.integral(
            (~field).view(np.uint8)
        )  # invalid pixels above and to the left of every pixel corner

        def holds(top: Ints, bottom: Ints, left: Ints, right: Ints) -> Bools:
            top, bottom = (np.minimum(np.maximum(end, 0), height) for end in (top, bottom))
            left, right = (np.minimum(np.maximum(end, 0), width) for end in (left, right))
            return np.asarray(
                invalid[bottom, right] - invalid[top, right] - invalid[bottom, left] + invalid[top, left] > 0
            )

        outside |= holds(y0, y1, x0, x1)
        out |= holds(y0 + 1, y1 - 1, x0, x0 + 1) | holds(y1 - 1, y1, x0 + 1, x1 - 1)
    touching[rows], excluded[rows] = outside, out
    return touching, excluded
