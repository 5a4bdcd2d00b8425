"""Training labels for the on-zone FeCrAl images.

The boxes that people drew, and a model's detections sorted by geometry.

People boxed only a0/2<111> loops, and not all of them. Everything else in the images (dots, a0<100> loops)
is found by an earlier model and given the type that its outline, its darkness and the crystal's axes say
(physics: on [001] the <111> loops lie along two perpendicular axes, edge-on <100> loops at 45 degrees to
them, plan-view ones are rings in a ring). These are labels of a program, not of people: they train, they
never judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Bools, Bytes
from insitrack.io.boxes import box_iou
from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.frames import Frame
from insitrack.segment.base import Segmenter

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "fecral-loops-111"
SERIES = (
    "0501_300kx",
    "2501_300kx",
    "5401_300kx",
    "K713",
    "grid1_roi1",
    "grid1_roi2",
    "200kV_500kx",
    "BF X500K",
    "ROI",
    "map",
    "g1_",
    "g2_",
)
WIDTH_PX = 1024
DETECTED_AT = (1.0, 0.6)  # scales at which the earlier model looked


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """One defect: a crop of its mask, where it lies, what says so."""

    mask: Bools
    y: int
    x: int
    score: float = 1.0
    boxed: bool = False
    name: str = ""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """y0, x0, y1, x1, px."""
        return self.y, self.x, self.y + self.mask.shape[0], self.x + self.mask.shape[1]


@dataclass(slots=True)
class OnZonePicture:
    """One image, its people's boxes (y0, x0, y1, x1; px) and what an earlier model found."""

    name: str
    image: Bytes
    boxes: NDArray[np.float64]
    found: list[Outline] = field(default_factory=list)

    @property
    def series(self) -> str:
        """Series of the microscope that the image belongs to.

        Images of one series go to one side of a split.
        """
        return next((series for series in SERIES if series in self.name), "map")

    @property
    def nm_per_px(self) -> float:
        """Width of a pixel of an image 1024 px wide, from the magnification in its name."""
        known = {"500": 0.2832, "300kx": 0.4785, "g1_": 0.2832, "g2_": 0.2832}
        return next((value for key, value in known.items() if key in self.name), 0.8805)


def pictures() -> Iterator[OnZonePicture]:
    """All images, reduced to 1024 px where they are wider."""
    for path in sorted((REAL / "images").iterdir()):
        image = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)
        boxes = np.loadtxt(REAL / "boxes" / f"{path.name.rsplit('.', 1)[0]}.txt").reshape(-1, 4)
        factor = image.shape[1] / WIDTH_PX
        if factor > 1.2:
            size = (round(image.shape[1] / factor), round(image.shape[0] / factor))
            image, boxes = (
                np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8),
                boxes / factor,
            )
        yield OnZonePicture(path.name, image, boxes)


def detect(segment: Segmenter, image: Bytes) -> list[Outline]:
    """Return what a model finds at several scales, the surer of two that overlap."""
    out = []
    for scale in DETECTED_AT:
        seen = (
            image
            if scale == 1
            else np.asarray(
                cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
            )
        )
        found = segment(Frame(0, 0.0, np.ascontiguousarray(seen)))
        for i in range(len(found)):
            mask, (y, x) = found.masks.crop(i), found.masks.corners[i].tolist()
            if scale != 1:
                large = cv2.resize(
                    np.pad(mask, 1).astype(np.float32),
                    None,
                    fx=1 / scale,
                    fy=1 / scale,
                    interpolation=cv2.INTER_LINEAR,
                )
                mask, y, x = large > 0.5, round((y - 1) / scale), round((x - 1) / scale)
            outline = _inside(Outline(mask=mask, y=y, x=x, score=float(found.scores[i])), image.shape)
            if outline is not None:
                out.append(outline)
    return _apart([*bars(image), *sorted(out, key=lambda outline: -outline.score)], 0.4)


def bars(image: Bytes) -> list[Outline]:
    """Very dark, straight, compact streaks.

    Edge-on loops, which a model that has not been shown enough of them leaves out.
    """
    level = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.2)
    ground = cv2.medianBlur(image, 99).astype(np.float32)
    dark = (ground - level) / np.maximum(ground - 0.8 * float(image.min()), 1.0)
    spread = 1.48 * float(np.median(np.abs(dark - np.median(dark))))
    out = []
    for least in (0.24, 0.32, 0.4, 0.5):
        if least < 2.5 * spread:
            continue
        # what goes on beyond the bar more faintly is a line, or a neighbour
        _, wide, areas, _ = cv2.connectedComponentsWithStats(
            (dark > 0.65 * least).astype(np.uint8), connectivity=4
        )
        _, labelled, stats, _ = cv2.connectedComponentsWithStats(
            (dark > least).astype(np.uint8), connectivity=4
        )
        for i in (1 + np.flatnonzero((stats[1:, 4] >= 110) & (stats[1:, 4] <= 3000))).tolist():
            x, y, width, height, area = (int(value) for value in stats[i])
            mask = labelled[y : y + height, x : x + width] == i
            major, minor, _ = _ellipse_of(mask)
            straight = area > 0.87 * _hull(mask).sum() and area > 0.85 * np.pi / 4 * major * minor
            deep = np.quantile(dark[y : y + height, x : x + width][mask], 0.75) > max(1.25 * least, 0.36)
            alone = areas[wide[y : y + height, x : x + width][mask].max(), 4] < 3.6 * area
            if 18 < major < 110 and 6 < minor < min(24.0, 0.5 * major) and straight and deep and alone:
                out.append(Outline(mask=mask, y=y, x=x, score=0.6))
    return _apart(out, 0.2)


def axes(all_pictures: list[OnZonePicture]) -> dict[str, float]:
    """Direction of the <111> loops of each series, degrees from x.

    0 where people's boxes are long, 45 where they are square.
    """
    lengths: dict[str, list[float]] = {}
    for picture in all_pictures:
        sides = picture.boxes[:, 2:] - picture.boxes[:, :2]
        lengths.setdefault(picture.series, []).extend(np.abs(np.log(sides[:, 0] / sides[:, 1])).tolist())
    return {series: 0.0 if np.median(values) > 0.2 else 45.0 for series, values in lengths.items()}


def labels(picture: OnZonePicture, axis_deg: float) -> Detections:
    """Labels of one image: boxed loops and sorted detections."""
    outlines = [outline for outline in _boxed(picture) if outline.mask.sum() >= 12]
    darkness = {id(outline): _darkness(picture.image, outline) for outline in outlines}
    known = [darkness[id(outline)][0] for outline in outlines if outline.boxed]
    typical = float(np.median(known)) if len(known) >= 3 else 0.25
    named = []
    for outline in sorted(outlines, key=lambda outline: (not outline.boxed, -outline.score)):
        name = (
            "loop_111"
            if outline.boxed
            else _type(outline, darkness[id(outline)], typical, axis_deg, picture.image.shape[1])
        )
        if name:
            named.append(replace(_rounded(outline), name=name))
    return _detections(_apart(named, 0.3), picture.image.shape)


def boxed(picture: OnZonePicture) -> Detections:
    """Return what people boxed: <111> loops, an ellipse in each box for a mask."""
    outlines = [_inside(_ellipse(box), picture.image.shape) for box in picture.boxes]
    return _detections(
        [replace(outline, name="loop_111") for outline in outlines if outline is not None],
        picture.image.shape,
    )


def _boxed(picture: OnZonePicture) -> list[Outline]:
    """Return the detections; where people drew a box, an ellipse that fills it.

    Turned as the model saw the loop, if it did.
    """
    out = list(picture.found)
    for box in picture.boxes:
        boxes = np.array([outline.box for outline in out], np.float64).reshape(-1, 4)
        y, x = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        around = (boxes[:, 0] <= y) & (y <= boxes[:, 2]) & (boxes[:, 1] <= x) & (x <= boxes[:, 3])
        overlap = np.where(around, box_iou(boxes, box[None])[:, 0], 0.0)
        best = int(overlap.argmax()) if len(overlap) else -1
        seen = best >= 0 and overlap[best] >= 0.2 and not out[best].boxed
        ellipse = _inside(_ellipse(box, _slope(out[best].mask) if seen else 0.0), picture.image.shape)
        if ellipse is not None and seen:
            out[best] = ellipse
        elif ellipse is not None:
            out.append(ellipse)
    return out


def _slope(mask: Bools) -> float:
    """Correlation of x and y over a mask.

    0 for an ellipse along the axes, towards -1 or 1 for a thin one along a diagonal.
    """
    y, x = np.nonzero(mask)
    if len(x) < 12 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.clip(np.corrcoef(x, y)[0, 1], -0.95, 0.95))


def _rounded(outline: Outline) -> Outline:
    """Outline as the ellipse that fills the same box.

    A bar keeps its hull. A network that was trained briefly fills the corners of its boxes.
    """
    major, minor, _ = _ellipse_of(outline.mask)
    if outline.boxed or minor < 0.45 * major:
        return replace(outline, mask=_hull(outline.mask))
    round_one = _ellipse(np.array(outline.box, np.float64), _slope(outline.mask))
    return replace(outline, mask=round_one.mask)


def _type(
    outline: Outline, dark: tuple[float, float, float], typical: float, axis_deg: float, width_px: int
) -> str:
    """Type of a detection that people did not box; empty where it is too doubtful to train on."""
    major, minor, angle = _ellipse_of(outline.mask)
    ratio, (total, rim, core) = minor / major, dark
    off = abs((angle - axis_deg + 45) % 90 - 45)  # 0 along a <111> axis, 45 between them
    solid = outline.mask.sum() / max(1, _hull(outline.mask).sum())
    cut_off = (
        major > 20 and outline.mask.mean() > 0.86 and abs(angle % 90 - 45) > 25
    )  # a mask as square as its box ends at the box
    if outline.score < (0.35 if major < 10 else 0.3) or total < 0.05 or solid < 0.75 or cut_off:
        return ""
    if ratio > 0.78 and major > 20 and total < 0.65 * typical:
        name = "loop_100"  # a faint ring in a ring
    elif core < 0.72 * rim and major > 18:
        name = "loop_111" if ratio < 0.72 and off < 22 else "loop_100"
    elif ratio < 0.65 and major > 11:
        name = "loop_111" if off < 20 and total < 1.15 * typical else "loop_100"
    elif major > 0.055 * width_px:
        name = "loop_100" if total > typical else "loop_111"
    elif ratio < 0.76 and off < 20 and total < 1.1 * typical and major > 14:
        name = "loop_111"
    else:
        name = "black_dot"
    doubtful = major > 30 and name != "black_dot" and outline.score < 0.5 and ratio <= 0.8
    return "" if doubtful else name


def _darkness(image: Bytes, outline: Outline) -> tuple[float, float, float]:
    """Contrast to the surroundings of the whole defect, of its rim and of its core; 1 would be black."""
    reach = max(4, int(0.35 * max(outline.mask.shape)))
    y0, x0, y1, x1 = outline.box
    top, left = max(0, y0 - reach), max(0, x0 - reach)
    part = image[top : y1 + reach, left : x1 + reach].astype(np.float64)
    mask = np.zeros(part.shape, np.uint8)
    mask[y0 - top : y1 - top, x0 - left : x1 - left] = outline.mask
    around = (cv2.dilate(mask, np.ones((2 * reach - 1,) * 2, np.uint8)) > 0) & ~(
        cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0
    )
    ground = float(np.median(part[around])) if around.any() else float(np.median(part))
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    parts = (mask > 0, (mask > 0) & (depth <= 0.4 * depth.max()), depth > 0.55 * depth.max())
    floor = 0.8 * float(image.min())
    total, rim, core = (
        (ground - float(np.median(part[where]))) / max(ground - floor, 1.0) if where.any() else 0.0
        for where in parts
    )
    return total, rim, core


def _ellipse_of(mask: Bools) -> tuple[float, float, float]:
    """Axes, px, and direction, degrees, of the ellipse with the same second moments."""
    y, x = np.nonzero(mask)
    values, vectors = np.linalg.eigh(np.cov(np.stack([x, y])) if len(x) > 2 else np.eye(2))
    minor, major = 4 * np.sqrt(np.maximum(values, 0.1))
    return float(major), float(minor), float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])) % 180)


def _hull(mask: Bools) -> Bools:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    out = np.zeros(mask.shape, np.uint8)
    cv2.fillPoly(out, [cv2.convexHull(np.vstack(contours))], 1)
    return out.astype(bool)


def _ellipse(box: NDArray[np.float64], slope: float = 0.0) -> Outline:
    """Ellipse that touches all four sides of a box; `slope` is the correlation of x and y over it."""
    y0, x0, y1, x1 = box.tolist()
    rows, columns = np.mgrid[int(np.floor(y0)) : int(np.ceil(y1)), int(np.floor(x0)) : int(np.ceil(x1))]
    v, u = (rows + 0.5 - (y0 + y1) / 2) / (y1 - y0), (columns + 0.5 - (x0 + x1) / 2) / (x1 - x0)
    mask = u * u - 2 * slope * u * v + v * v <= 0.25 * (1 - slope * slope)
    return Outline(mask=mask, y=int(np.floor(y0)), x=int(np.floor(x0)), boxed=True)


def _inside(outline: Outline, shape: tuple[int, ...]) -> Outline | None:
    """Cut at the border of the image; None where nothing is left."""
    y0, x0, y1, x1 = outline.box
    top, left, bottom, right = max(0, y0), max(0, x0), min(shape[0], y1), min(shape[1], x1)
    if bottom <= top or right <= left:
        return None
    mask = outline.mask[top - y0 : bottom - y0, left - x0 : right - x0]
    return replace(outline, mask=mask, y=top, x=left) if mask.sum() >= 12 else None


def _apart(outlines: list[Outline], most_iou: float) -> list[Outline]:
    """Leave out what overlaps with an earlier one, or lies within it and is no small dot."""
    kept: list[Outline] = []
    for outline in outlines:
        boxes = np.array([other.box for other in kept], np.float64).reshape(-1, 4)
        near = np.flatnonzero(box_iou(boxes, np.array([outline.box], np.float64))[:, 0] > 0)
        if not any(_clash(outline, kept[i], most_iou) for i in near.tolist()):
            kept.append(outline)
    return kept


def _clash(outline: Outline, other: Outline, most_iou: float) -> bool:
    y0, x0 = max(outline.y, other.y), max(outline.x, other.x)
    y1, x1 = min(outline.box[2], other.box[2]), min(outline.box[3], other.box[3])
    parts = [o.mask[y0 - o.y : y1 - o.y, x0 - o.x : x1 - o.x] for o in (outline, other)]
    shared, areas = float((parts[0] & parts[1]).sum()), (float(outline.mask.sum()), float(other.mask.sum()))
    within = shared > 0.75 * min(areas) and areas[0] > 0.25 * areas[1]
    return shared > most_iou * (sum(areas) - shared) or (bool(outline.name) and within)


def _detections(outlines: list[Outline], shape: tuple[int, ...]) -> Detections:
    masks = Masks.from_crops(
        [outline.mask for outline in outlines], [(outline.y, outline.x) for outline in outlines]
    )
    numbers = np.array([DEFECT_CLASSES.index(outline.name) + 1 for outline in outlines], np.int64)
    scores = np.ones(len(outlines), np.float32)
    return Detections(0, 0.0, (shape[0], shape[1]), masks.boxes(), numbers, scores, masks, DEFECT_CLASSES)
