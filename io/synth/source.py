"""Seeded movies of evolving crystal defects with exact truth.

Source, demonstration, test and training data at once.

``synth:KIND?key=value&...`` names one; every frame depends on the address alone, whatever the order of
asking.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Bools, Floats, Floats32, Ints
from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.frames import Calibration, Frame, MissingFrame
from insitrack.io.levels import Levels
from insitrack.io.synth.background import Specimen, paint
from insitrack.io.synth.camera import Camera
from insitrack.io.synth.distractors import Curve, curves, draw, draw_log
from insitrack.io.synth.lines import LineScene, LineTruth, Ranges, draw_lines
from insitrack.io.synth.overlay import Overlay, make_overlay
from insitrack.io.synth.render import Look, picture
from insitrack.io.synth.scene import Defect, Setting, Stage, make_stage, populate
from insitrack.io.synth.settings import SynthSettings, ranges

_STREAMS = {
    "movie": 0,
    "background": 1,
    "scene": 2,
    "stage": 3,
    "overlay": 4,
    "camera": 5,
    "noise": 6,
    "faults": 7,
    "lines": 8,
    "curves": 9,
}
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


class SynthSource:
    """A synthetic movie.

    Parameters
    ----------
    uri : str
        ``synth:KIND?key=value&...``; kinds and keys are those of ``configs/synth.toml``.

    Raises
    ------
    SourceError
        If the address is wrong.

    Examples
    --------
    >>> movie = SynthSource("synth:loops?seed=7&frames=3&size=128")
    >>> [frame.shape for frame in movie]
    [(128, 128), (128, 128), (128, 128)]
    >>> len(movie.truth(0)) == len(movie.truth_track_ids(0))
    True
    """

    time_origin = "synthetic"
    refused = ""
    levels: Levels | None = None

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.warnings: list[str] = []
        self.settings = SynthSettings.parse(uri)
        values = self.settings.values
        config = ranges()
        self.name = f"{self.settings.kind}_{values['seed']}"
        self.shape = (self.settings.height, self.settings.width)
        self.n_frames: int | None = int(values["frames"])
        self.fps = float(values["fps"])
        # a kind of scene may have its own ranges for anything of the movie and its background
        scene = config["scene"][self.settings.kind]
        own, self._background = (
            {**config[part], **{key: scene[key] for key in scene if key in config[part]}}
            for part in ("movie", "background")
        )
        rng = self._rng("movie")
        magnified = draw(rng, own["magnified"]) if rng.random() < own["magnified_share"] else 1.0
        drawn_scale = max(draw_log(rng, own["nm_per_px"]) / magnified, own["least_nm_per_px"])
        self.nm_per_px = float(values["nm_per_px"]) or round(drawn_scale, 4)
        self._magnified = magnified
        self._camera = Camera.drawn(rng, own, values, magnified)
        self._mottle = (
            float(values["mottle"]) if values["mottle"] >= 0 else draw_log(rng, self._background["mottle"])
        )
        duration = self.n_frames / self.fps
        self.stage: Stage = make_stage(
            self._rng("stage"),
            config["movie"],
            duration_s=duration,
            nm_per_px=self.nm_per_px,
            drift=values["drift"],
            jumps=values["jumps"],
        )
        self._margins = self._reach()
        self._curves: list[Curve] = self._draw_curves(scene)
        self.defects: list[Defect] = self._populate(rng, config, duration)
        self.lines = self._draw_lines(config, duration)

    @property
    def calibration(self) -> Calibration:
        """The true scale, thickness and field of view."""
        field = None if not self.overlay.covered.any() else ~self.overlay.covered
        return Calibration(
            nm_per_px=self.nm_per_px,
            thickness_nm=float(self.settings.values["thickness_nm"]),
            field=field,
            origin="synthetic",
        )

    def __iter__(self) -> Iterator[Frame | MissingFrame]:
        faults = float(self.settings.values["faults"])
        for index in range(self.n_frames or 0):
            if faults and self._rng("faults", index).random() < faults:
                yield MissingFrame(index, index / self.fps, "damaged", "drawn so: faults in the address")
            else:
                yield self.frame(index)

    def describe(self) -> dict[str, Any]:
        """Address and every resolved setting."""
        return {"uri": self.uri, "kind": "synthetic", "scene": self.settings.kind, **self.settings.values} | {
            "nm_per_px": self.nm_per_px,
            "magnified": round(self._magnified, 3),
            "zone": self._zone,
            "mottle": self._mottle,
            "n_defects_ever": len(self.defects),
        }

    def samples(self) -> Iterator[Frame]:
        """Give none: its frames have 8 bits as drawn."""
        return iter(())

    def close(self) -> None:
        """Nothing to release."""

    def frame(self, index: int) -> Frame:
        """Picture number `index`; the same whatever was asked for before."""
        t_s = index / self.fps
        shift = self.stage.shift_px(t_s)
        image = self._moved(shift)
        self.lines.paint(image, t_s, shift)
        for defect in self._living(t_s):
            x, y = defect.position_px(t_s)
            drawn = picture(defect.look_at(t_s), x + shift[0], y + shift[1], self.shape)
            if drawn is not None:
                profile, _, y0, x0 = drawn
                image[y0 : y0 + profile.shape[0], x0 : x0 + profile.shape[1]] *= (
                    1 - np.float32(self._contrast(defect, t_s)) * profile
                )
        grey = self._camera.expose(image, self._fixed, self._rng("noise", index))
        self.overlay.burn(grey)
        return Frame(index, t_s, grey)

    def truth(self, index: int) -> Detections:
        """Outlines of the defects that a person can see in frame `index`, scores 1."""
        state = self.truth_state(index)
        return state.detections.take(state.visible)

    def truth_track_ids(self, index: int) -> Ints:
        """Numbers of the defects, parallel to the rows of `truth`."""
        state = self.truth_state(index)
        return state.track_ids[state.visible]

    def truth_state(self, index: int) -> Truth:
        """Everything that is there in frame `index`, seen or not."""
        t_s = index / self.fps
        shift = self.stage.shift_px(t_s)
        rule = ranges()["visibility"]
        crops, corners, rows, solid = [], [], [], []
        for defect in self._living(t_s):
            x, y = (a + b for a, b in zip(defect.position_px(t_s), shift, strict=True))
            look = defect.look_at(t_s)
            drawn = picture(look, x, y, self.shape)
            if drawn is None or not drawn[1].any():
                continue
            profile, mask, y0, x0 = drawn
            contrast = self._contrast(defect, t_s)
            crop, top, left, kept = self._uncovered(mask, y0, x0)
            major, minor = look.outline_px()
            whole = major * minor * (1.0 if look.form == "edge_on" else np.pi / 4)
            visible = kept >= rule["part_in_view"] * whole and self._visible(
                contrast * profile, look, x - shift[0], y - shift[1], kept
            )
            crops.append(crop)
            corners.append((top, left))
            name = defect.class_at(t_s)
            size_nm = (major if name.startswith("loop") else (major * minor) ** 0.5) * self.nm_per_px
            angle = np.degrees(look.angle) % 180
            rows.append(
                (
                    defect.track_id,
                    DEFECT_CLASSES.index(name) + 1,
                    visible,
                    x,
                    y,
                    major,
                    minor,
                    angle,
                    size_nm,
                    contrast,
                )
            )
            solid.append(look.form in SOLID_FORMS)
        for crop, corner, line, seen in self.lines.outlines(
            t_s, shift, ~self.overlay.covered, self._clutter_at
        ):
            crops.append(crop)
            corners.append(corner)
            facts = (
                *seen.middle_px,
                seen.length_px,
                2 * line.half_width_px,
                seen.angle_deg,
                seen.length_px * self.nm_per_px,
            )
            rows.append(
                (
                    line.track_id,
                    DEFECT_CLASSES.index("dislocation") + 1,
                    seen.visible,
                    *facts,
                    float(line.contrast.mean()),
                )
            )
        columns = list(zip(*rows, strict=True)) if rows else [()] * 10
        masks = Masks.from_crops(crops, corners)
        detections = Detections(
            index,
            t_s,
            self.shape,
            masks.boxes(),
            np.array(columns[1], np.int64),
            np.ones(len(rows), np.float32),
            masks,
            DEFECT_CLASSES,
        )
        floats = [np.array(column, np.float64) for column in columns[3:]]
        visible = np.array(columns[2], bool)
        rows_solid = np.flatnonzero(visible[: len(solid)] & np.array(solid, bool))
        visible[_merged(masks, rows_solid, floats[-1], rule["merged_share"])] = False
        return Truth(detections, np.array(columns[0], np.int64), visible, *floats)

    def line_truth(self, index: int) -> tuple[LineTruth, ...]:
        """Centrelines of the line dislocations in view in frame `index`, seen or not.

        In the order of their numbers.
        """
        t_s = index / self.fps
        return self.lines.truth(t_s, self.stage.shift_px(t_s), ~self.overlay.covered, self._clutter_at)

    @cached_property
    def overlay(self) -> Overlay:
        """Scale bar, text and border burnt into every frame."""
        if self.settings.values["overlay"] == 0:
            return Overlay(np.zeros(self.shape, bool), np.zeros(self.shape, np.uint8))
        plain = self.settings.values["overlay"] == 1
        return make_overlay(
            self._rng("overlay"), self.shape, self.nm_per_px, ranges()["overlay"], plain=plain
        )

    @property
    def _canvas_shape(self) -> tuple[int, int]:
        left, top, right, bottom = self._margins
        return self.shape[0] + top + bottom, self.shape[1] + left + right

    @cached_property
    def _specimen(self) -> Specimen:
        """The specimen without its defects, larger than the frame by the reach of the stage."""
        rng, config = self._rng("background"), self._background
        return paint(
            rng,
            self._canvas_shape,
            config,
            strength=self._mottle,
            lines=self._curves,
            magnified=self._magnified,
        )

    @cached_property
    def _clutter(self) -> list[Floats32]:
        """Local standard deviation of the background within bands of size, a grid of 4 px.

        What hides a faint defect of that size.
        """
        level = cv2.resize(self._specimen.canvas, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        out = []
        for size_px in _CLUTTER_SIZES_PX:
            band = cv2.GaussianBlur(level, (0, 0), size_px / 16) - cv2.GaussianBlur(
                level, (0, 0), size_px / 4
            )
            reach = 2 * round(size_px / 4) + 7
            out.append(np.asarray(np.sqrt(np.maximum(cv2.blur(band * band, (reach, reach)), 0)), np.float32))
        return out

    @cached_property
    def _fixed(self) -> Floats32:
        return self._camera.fixed(self._rng("camera"), self.shape, ranges()["movie"])

    def _rng(self, stream: str, index: int = 0) -> np.random.Generator:
        """Numbers that depend on seed, stream and frame alone."""
        return np.random.default_rng([int(self.settings.values["seed"]), _STREAMS[stream], index])

    def _reach(self) -> tuple[int, int, int, int]:
        """How far the specimen ever moves left, up, right and down, px."""
        moments = np.linspace(0, (self.n_frames or 1) / self.fps, min(self.n_frames or 1, 4000) + 1)
        shifts = np.array([self.stage.shift_px(t) for t in moments.tolist()])
        high, low = np.ceil(shifts.max(axis=0)).astype(int) + 2, np.floor(shifts.min(axis=0)).astype(int) - 2
        return int(max(2, high[0])), int(max(2, high[1])), int(max(2, -low[0])), int(max(2, -low[1]))

    def _draw_curves(self, scene: dict[str, Any]) -> list[Curve]:
        """Lines and arcs behind the defects."""
        rng, shape = self._rng("curves"), self._canvas_shape
        # a picture of fewer nm shows fewer lines
        closer = min(1.0, self.nm_per_px / 0.4)
        lines, arcs = (
            draw(rng, scene["lines"]) * closer,
            draw(rng, scene["arcs"]) * closer**2 * shape[0] * shape[1] / 512**2,
        )
        return curves(
            rng, shape, self._background, lines=round(lines), arcs=round(arcs), nm_per_px=self.nm_per_px
        )

    def _populate(self, rng: np.random.Generator, config: dict[str, Any], duration: float) -> list[Defect]:
        left, top, right, bottom = self._margins
        values, kind = self.settings.values, self.settings.kind
        height, width = self.shape
        box = (-left - 20.0, -top - 20.0, width + right + 20.0, height + bottom + 20.0)
        drawn = values["n"] < 0
        in_view = (
            draw(rng, config["scene"][kind]["n"]) * (height * width / 512**2) ** 0.7 if drawn else values["n"]
        )
        zones = config["movie"]["zones"]
        self._zone = str(rng.choice(list(zones), p=np.array(list(zones.values())) / sum(zones.values())))
        setting = Setting(
            kind=kind,
            duration_s=duration,
            nm_per_px=self.nm_per_px,
            magnified=self._magnified,
            zone=self._zone,
            turn=rng.uniform(0, np.pi / 2),
            box=box,
            n=in_view * (box[2] - box[0]) * (box[3] - box[1]) / (height * width),
            crowding=draw(rng, config["movie"]["crowding"]) if drawn else 0.0,
            start=values["start"],
            blink=values["blink"],
            curves=tuple(replace(curve, points=curve.points - (left, top)) for curve in self._curves),
        )
        return populate(self._rng("scene"), config, setting)

    def _draw_lines(self, config: dict[str, Any], duration: float) -> LineScene:
        left, top, right, bottom = self._margins
        box = (-float(left), -float(top), float(self.shape[1] + right), float(self.shape[0] + bottom))
        shared = Ranges(config=config["dislocation"], nm_per_px=self.nm_per_px, box=box, duration_s=duration)
        first = 1 + max((defect.track_id for defect in self.defects), default=0)
        wanted = float(self.settings.values["lines"])
        lines = draw_lines(
            self._rng("lines"), config["scene"][self.settings.kind], shared, in_view=wanted, first_id=first
        )
        return LineScene(tuple(lines), config["visibility"])

    def _living(self, t_s: float) -> list[Defect]:
        return [defect for defect in self.defects if defect.alive(t_s)]

    def _moved(self, shift: tuple[float, float]) -> Floats32:
        """Background as the stage has moved it, a fresh array."""
        left, top, _, _ = self._margins
        x, y = left - shift[0], top - shift[1]
        # beyond the sampled reach of the stage the border is repeated
        move = np.array([[1, 0, x], [0, 1, y]], np.float32)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return np.asarray(
            cv2.warpAffine(
                self._specimen.canvas, move, self.shape[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT_101
            ),
            np.float32,
        )

    def _uncovered(
        self, mask: NDArray[np.bool_], y0: int, x0: int
    ) -> tuple[NDArray[np.bool_], int, int, int]:
        """Mask without what the overlay covers, cut to its box, with its corner and area."""
        clear = mask & ~self.overlay.covered[y0 : y0 + mask.shape[0], x0 : x0 + mask.shape[1]]
        kept = int(np.count_nonzero(clear))
        shown = clear if kept else mask
        rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
        crop = shown[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return crop, y0 + int(rows[0]), x0 + int(columns[0]), kept

    def _contrast(self, defect: Defect, t_s: float) -> float:
        """Contrast of a defect, less of it where the specimen veils it."""
        veil = self._specimen.veil
        contrast = defect.contrast_at(t_s)
        if veil is None:
            return contrast
        x, y = defect.position_px(t_s)
        row, column = self._at(x, y, veil.shape, 1)
        return contrast * float(veil[row, column])

    def _at(self, x: float, y: float, shape: tuple[int, ...], step: int) -> tuple[int, int]:
        """Row and column of a place on the specimen in a grid of the canvas, px apart `step`."""
        left, top, _, _ = self._margins
        return min(max(int((y + top) / step), 0), shape[0] - 1), min(
            max(int((x + left) / step), 0), shape[1] - 1
        )

    def _visible(self, signal: Floats32, look: Look, x: float, y: float, area: int) -> bool:
        """Return whether a person would outline it.

        Enough contrast over the mottle of its own size around it, and over the noise.
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
        place = self._at(x, y, self._clutter[band].shape, 4)
        # mottle finer than the defect distracts the eye too
        clutter = float(np.hypot(self._clutter[band][place], 0.7 * self._clutter[max(0, band - 1)][place]))
        over = rule["ring_over_mottle" if thin else "over_mottle"] * clutter
        least = rule["ring_contrast" if thin else "contrast"]
        energy = float((signal * signal).sum())
        # contrast of the parts that matter: the darkest spot of an uneven ring does not make the ring visible
        typical = energy / max(float(np.abs(signal).sum()), 1e-9)
        # what the point spread leaves of the contrast in the middle of something this thin
        left = 1 - np.exp(-(minor_px**2) / (8 * max(self._camera.psf_px, 0.1) ** 2))
        return bool(
            typical * left >= max(least, over)
            and energy**0.5 / self._camera.grain() * left
            >= rule["cavity_over_noise" if cavity else "over_noise"]
        )

    def _clutter_at(self, x: float, y: float) -> float:
        """Local standard deviation of the background around a place of the specimen, px, all bands together."""
        place = self._at(x, y, self._clutter[0].shape, 4)
        return float(np.sqrt(sum(float(band[place]) ** 2 for band in self._clutter)))


def _merged(masks: Masks, rows: Ints, contrast: Floats, most_shared: float) -> list[int]:
    """Rows of the solid defects that lie mostly within larger solid ones no fainter than they are.

    Nobody could tell the two apart.
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
