"""The exact truth of a frame of a synthetic movie, and what of it a person could see."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from insitrack.io.arrays import Bools, Floats, Floats32, Ints
from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.synth.render import Look, picture
from insitrack.io.synth.scenery import Scenery
from insitrack.io.synth.settings import ranges

SOLID_FORMS = ("dot", "blob", "comma", "streak", "bean", "edge_on")
_CLUTTER_SIZES_PX = (
    8.0,
    16.0,
    32.0,
    64.0,
)  # sizes of defects for which the background's own variation is judged


@dataclass(frozen=True, slots=True)
class Truth:
    """What is really there in one frame, row by row; hidden defects included.

    Parameters
    ----------
    detections : Detections
        Outlines as a person would draw them, classes, scores 1.
    track_ids : ndarray of int64, shape (N,)
        Number of each defect, the same in every frame.
    visible : ndarray of bool, shape (N,)
        False where a person could not see it: too faint, blinked out, covered or mostly outside.
    x_px, y_px : ndarray of float64, shape (N,)
        True centres in the frame, px.
    major_px, minor_px, angle_deg : ndarray of float64, shape (N,)
        True axes of the outline, px, and direction of the major one, degrees in [0, 180), clockwise from x on
        the screen.
    size_nm : ndarray of float64, shape (N,)
        True size, nm: the major axis of a loop, the geometric mean of the axes of a dot, void or precipitate.
    contrast : ndarray of float64, shape (N,)
        True contrast, fraction of the mean brightness.
    """

    detections: Detections
    track_ids: Ints
    visible: Bools
    x_px: Floats
    y_px: Floats
    major_px: Floats
    minor_px: Floats
    angle_deg: Floats
    size_nm: Floats
    contrast: Floats


class Visibility:
    """Judges defects by the background and the camera of a movie.

    Parameters
    ----------
    scenery : Scenery
        The movie.
    """

    def __init__(self, scenery: Scenery) -> None:
        self._scenery = scenery

    @cached_property
    def clutter(self) -> list[Floats32]:
        """Local standard deviation of the background within bands of size, on a grid of 4 px.

        It is what hides a faint defect of that size.
        """
        level = cv2.resize(
            self._scenery.specimen.canvas, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA
        )
        out = []
        for size_px in _CLUTTER_SIZES_PX:
            band = cv2.GaussianBlur(level, (0, 0), size_px / 16) - cv2.GaussianBlur(
                level, (0, 0), size_px / 4
            )
            reach = 2 * round(size_px / 4) + 7
            out.append(np.asarray(np.sqrt(np.maximum(cv2.blur(band * band, (reach, reach)), 0)), np.float32))
        return out

    def sees(self, signal: Floats32, look: Look, x: float, y: float, area: int) -> bool:
        """Return whether a person would outline it.

        It needs enough contrast over the mottle of its own size around it, and over the noise.
        """
        rule = ranges()["visibility"]
        cavity = look.form == "fresnel"
        if area < rule["cavity_area_px" if cavity else "area_px"]:
            return False
        if cavity:  # far fringes do not count
            signal = np.where(np.abs(signal) > 0.25 * np.abs(signal).max(), signal, np.float32(0))
        ring = look.form in ("open_ellipse", "double_ring") and look.fill < 0.4
        thin = ring or cavity
        minor_px = look.width_px if look.form == "edge_on" or ring else look.size_px * look.ratio
        band = int(np.argmin([abs(np.log(minor_px / size)) for size in _CLUTTER_SIZES_PX]))
        place = self._scenery.at(x, y, self.clutter[band].shape, 4)
        # mottle finer than the defect distracts the eye too
        clutter = float(np.hypot(self.clutter[band][place], 0.7 * self.clutter[max(0, band - 1)][place]))
        over = rule["ring_over_mottle" if thin else "over_mottle"] * clutter
        least = rule["ring_contrast" if thin else "contrast"]
        energy = float((signal * signal).sum())
        # contrast of the parts that matter: the darkest spot of an uneven ring does not make the ring visible
        typical = energy / max(float(np.abs(signal).sum()), 1e-9)
        # what the point spread leaves of the contrast in the middle of something this thin
        left = 1 - np.exp(-(minor_px**2) / (8 * max(self._scenery.camera.psf_px, 0.1) ** 2))
        return bool(
            typical * left >= max(least, over)
            and energy**0.5 / self._scenery.camera.grain() * left
            >= rule["cavity_over_noise" if cavity else "over_noise"]
        )

    def clutter_at(self, x: float, y: float) -> float:
        """Local standard deviation of the background around a place of the specimen, px, all bands together."""
        place = self._scenery.at(x, y, self.clutter[0].shape, 4)
        return float(np.sqrt(sum(float(band[place]) ** 2 for band in self.clutter)))


@dataclass(slots=True)
class _Rows:
    """Rows of a truth while they are collected: outlines, and the columns of `Truth` row by row."""

    crops: list[Bools]
    corners: list[tuple[int, int]]
    facts: list[tuple[Any, ...]]
    solid: list[bool]


def truth_of(scenery: Scenery, visibility: Visibility, index: int) -> Truth:
    """Everything that is there in frame `index`, seen or not: defects in order of birth, then lines."""
    t_s = index / scenery.fps
    shift = scenery.stage.shift_px(t_s)
    rows = _Rows([], [], [], [])
    _add_defects(rows, scenery, visibility, t_s, shift)
    _add_lines(rows, scenery, visibility, t_s, shift)
    columns = list(zip(*rows.facts, strict=True)) if rows.facts else [()] * 10
    masks = Masks.from_crops(rows.crops, rows.corners)
    detections = Detections(
        index,
        t_s,
        scenery.shape,
        masks.boxes(),
        np.array(columns[1], np.int64),
        np.ones(len(rows.facts), np.float32),
        masks,
        DEFECT_CLASSES,
    )
    floats = [np.array(column, np.float64) for column in columns[3:]]
    visible = np.array(columns[2], bool)
    solid = np.flatnonzero(visible[: len(rows.solid)] & np.array(rows.solid, bool))
    visible[_merged(masks, solid, floats[-1], ranges()["visibility"]["merged_share"])] = False
    return Truth(detections, np.array(columns[0], np.int64), visible, *floats)


def _add_defects(
    rows: _Rows, scenery: Scenery, visibility: Visibility, t_s: float, shift: tuple[float, float]
) -> None:
    least = ranges()["visibility"]["part_in_view"]
    for defect in scenery.living(t_s):
        x, y = (a + b for a, b in zip(defect.position_px(t_s), shift, strict=True))
        look = defect.look_at(t_s)
        drawn = picture(look, x, y, scenery.shape)
        if drawn is None or not drawn[1].any():
            continue
        profile, mask, y0, x0 = drawn
        contrast = scenery.contrast(defect, t_s)
        crop, top, left, kept = _uncovered(mask, scenery.overlay.covered, y0, x0)
        major, minor = look.outline_px()
        whole = major * minor * (1.0 if look.form == "edge_on" else np.pi / 4)
        visible = kept >= least * whole and visibility.sees(
            contrast * profile, look, x - shift[0], y - shift[1], kept
        )
        name = defect.class_at(t_s)
        size_nm = (major if name.startswith("loop") else (major * minor) ** 0.5) * scenery.nm_per_px
        angle = np.degrees(look.angle) % 180
        rows.crops.append(crop)
        rows.corners.append((top, left))
        label = DEFECT_CLASSES.index(name) + 1
        rows.facts.append((defect.track_id, label, visible, x, y, major, minor, angle, size_nm, contrast))
        rows.solid.append(look.form in SOLID_FORMS)


def _add_lines(
    rows: _Rows, scenery: Scenery, visibility: Visibility, t_s: float, shift: tuple[float, float]
) -> None:
    label = DEFECT_CLASSES.index("dislocation") + 1
    for crop, corner, line, seen in scenery.lines.outlines(
        t_s, shift, ~scenery.overlay.covered, visibility.clutter_at
    ):
        rows.crops.append(crop)
        rows.corners.append(corner)
        facts = (
            *seen.middle_px,
            seen.length_px,
            2 * line.half_width_px,
            seen.angle_deg,
            seen.length_px * scenery.nm_per_px,
        )
        rows.facts.append((line.track_id, label, seen.visible, *facts, float(line.contrast.mean())))


def _uncovered(mask: Bools, covered: Bools, y0: int, x0: int) -> tuple[Bools, int, int, int]:
    """Mask without what the overlay covers, cut to its box, with its corner and area."""
    clear = mask & ~covered[y0 : y0 + mask.shape[0], x0 : x0 + mask.shape[1]]
    kept = int(np.count_nonzero(clear))
    shown = clear if kept else mask
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    crop = shown[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return crop, y0 + int(rows[0]), x0 + int(columns[0]), kept


def _merged(masks: Masks, rows: Ints, contrast: Floats, most_shared: float) -> list[int]:
    """Rows of the solid defects that lie mostly within larger solid ones no fainter than they are.

    Nobody could distinguish the two.
    """
    area = masks.area_px()
    low, high = masks.corners[rows], (masks.corners + masks.sizes)[rows]
    near = (np.minimum(high[:, None], high[None]) > np.maximum(low[:, None], low[None])).all(axis=2)
    out = []
    for row, others in zip(rows.tolist(), near, strict=True):
        hosts = [j for j in rows[others].tolist() if area[j] > area[row] and contrast[j] >= contrast[row]]
        if any(masks.overlap_px(row, masks, j) > most_shared * area[row] for j in hosts):
            out.append(row)
    return out
