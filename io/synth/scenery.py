"""Everything about a synthetic movie that its address fixes, whatever frame is asked for."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from insitrack.io.arrays import Floats32
from insitrack.io.synth.background import Specimen, paint
from insitrack.io.synth.camera import Camera
from insitrack.io.synth.distractors import Curve, curves, draw, draw_log
from insitrack.io.synth.line_shapes import Ranges, draw_lines
from insitrack.io.synth.lines import LineScene
from insitrack.io.synth.overlay import Overlay, make_overlay
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


class Scenery:
    """Stage, specimen, defects, lines, overlay and camera of a synthetic movie.

    Parameters
    ----------
    settings : SynthSettings
        What the address asks for. Every draw depends on its seed alone.
    """

    def __init__(self, settings: SynthSettings) -> None:
        self.settings = settings
        values = settings.values
        config = ranges()
        self.shape = (settings.height, settings.width)
        self.n_frames = int(values["frames"])
        self.fps = float(values["fps"])
        # a kind of scene may have its own ranges for anything of the movie and its background
        scene = config["scene"][settings.kind]
        own, self._background = (
            {**config[part], **{key: scene[key] for key in scene if key in config[part]}}
            for part in ("movie", "background")
        )
        rng = self.rng("movie")
        magnified = draw(rng, own["magnified"]) if rng.random() < own["magnified_share"] else 1.0
        drawn_scale = max(draw_log(rng, own["nm_per_px"]) / magnified, own["least_nm_per_px"])
        self.nm_per_px = float(values["nm_per_px"]) or round(drawn_scale, 4)
        self.magnified = magnified
        self.camera = Camera.drawn(rng, own, values, magnified)
        self.mottle = (
            float(values["mottle"]) if values["mottle"] >= 0 else draw_log(rng, self._background["mottle"])
        )
        duration = self.n_frames / self.fps
        self.stage: Stage = make_stage(
            self.rng("stage"),
            config["movie"],
            duration_s=duration,
            nm_per_px=self.nm_per_px,
            drift=values["drift"],
            jumps=values["jumps"],
        )
        self.margins = self._reach()
        self.curves: list[Curve] = self._draw_curves(scene)
        self.defects: list[Defect] = self._populate(rng, config, duration)
        self.lines = self._draw_lines(config, duration)

    @cached_property
    def overlay(self) -> Overlay:
        """Scale bar, text and border burnt into every frame."""
        if self.settings.values["overlay"] == 0:
            return Overlay(np.zeros(self.shape, bool), np.zeros(self.shape, np.uint8))
        plain = self.settings.values["overlay"] == 1
        return make_overlay(self.rng("overlay"), self.shape, self.nm_per_px, ranges()["overlay"], plain=plain)

    @property
    def canvas_shape(self) -> tuple[int, int]:
        """Height and width of the specimen, px: that of the frame and the reach of the stage."""
        left, top, right, bottom = self.margins
        return self.shape[0] + top + bottom, self.shape[1] + left + right

    @cached_property
    def specimen(self) -> Specimen:
        """The specimen without its defects, larger than the frame by the reach of the stage."""
        rng, config = self.rng("background"), self._background
        return paint(
            rng,
            self.canvas_shape,
            config,
            strength=self.mottle,
            lines=self.curves,
            magnified=self.magnified,
        )

    @cached_property
    def fixed(self) -> Floats32:
        """What the camera adds to every frame alike."""
        return self.camera.fixed(self.rng("camera"), self.shape, ranges()["movie"])

    def rng(self, stream: str, index: int = 0) -> np.random.Generator:
        """Numbers that depend on seed, stream and frame alone."""
        return np.random.default_rng([int(self.settings.values["seed"]), _STREAMS[stream], index])

    def living(self, t_s: float) -> list[Defect]:
        """Defects that exist at a time."""
        return [defect for defect in self.defects if defect.alive(t_s)]

    def contrast(self, defect: Defect, t_s: float) -> float:
        """Contrast of a defect, less of it where the specimen veils it."""
        veil = self.specimen.veil
        contrast = defect.contrast_at(t_s)
        if veil is None:
            return contrast
        x, y = defect.position_px(t_s)
        row, column = self.at(x, y, veil.shape, 1)
        return contrast * float(veil[row, column])

    def at(self, x: float, y: float, shape: tuple[int, ...], step: int) -> tuple[int, int]:
        """Row and column of a place on the specimen in a grid of the canvas, px apart `step`."""
        left, top, _, _ = self.margins
        return min(max(int((y + top) / step), 0), shape[0] - 1), min(
            max(int((x + left) / step), 0), shape[1] - 1
        )

    def _reach(self) -> tuple[int, int, int, int]:
        """How far the specimen ever moves left, up, right and down, px."""
        moments = np.linspace(0, self.n_frames / self.fps, min(self.n_frames, 4000) + 1)
        shifts = np.array([self.stage.shift_px(t) for t in moments.tolist()])
        high, low = np.ceil(shifts.max(axis=0)).astype(int) + 2, np.floor(shifts.min(axis=0)).astype(int) - 2
        return int(max(2, high[0])), int(max(2, high[1])), int(max(2, -low[0])), int(max(2, -low[1]))

    def _draw_curves(self, scene: dict[str, Any]) -> list[Curve]:
        """Lines and arcs behind the defects."""
        rng, shape = self.rng("curves"), self.canvas_shape
        # an image of fewer nm shows fewer lines
        closer = min(1.0, self.nm_per_px / 0.4)
        lines, arcs = (
            draw(rng, scene["lines"]) * closer,
            draw(rng, scene["arcs"]) * closer**2 * shape[0] * shape[1] / 512**2,
        )
        return curves(
            rng, shape, self._background, lines=round(lines), arcs=round(arcs), nm_per_px=self.nm_per_px
        )

    def _populate(self, rng: np.random.Generator, config: dict[str, Any], duration: float) -> list[Defect]:
        left, top, right, bottom = self.margins
        values, kind = self.settings.values, self.settings.kind
        height, width = self.shape
        box = (-left - 20.0, -top - 20.0, width + right + 20.0, height + bottom + 20.0)
        drawn = values["n"] < 0
        in_view = (
            draw(rng, config["scene"][kind]["n"]) * (height * width / 512**2) ** 0.7 if drawn else values["n"]
        )
        zones = config["movie"]["zones"]
        self.zone = str(rng.choice(list(zones), p=np.array(list(zones.values())) / sum(zones.values())))
        setting = Setting(
            kind=kind,
            duration_s=duration,
            nm_per_px=self.nm_per_px,
            magnified=self.magnified,
            zone=self.zone,
            turn=rng.uniform(0, np.pi / 2),
            box=box,
            n=in_view * (box[2] - box[0]) * (box[3] - box[1]) / (height * width),
            crowding=draw(rng, config["movie"]["crowding"]) if drawn else 0.0,
            start=values["start"],
            blink=values["blink"],
            curves=tuple(replace(curve, points=curve.points - (left, top)) for curve in self.curves),
        )
        return populate(self.rng("scene"), config, setting)

    def _draw_lines(self, config: dict[str, Any], duration: float) -> LineScene:
        left, top, right, bottom = self.margins
        box = (-float(left), -float(top), float(self.shape[1] + right), float(self.shape[0] + bottom))
        shared = Ranges(config=config["dislocation"], nm_per_px=self.nm_per_px, box=box, duration_s=duration)
        first = 1 + max((defect.track_id for defect in self.defects), default=0)
        wanted = float(self.settings.values["lines"])
        lines = draw_lines(
            self.rng("lines"), config["scene"][self.settings.kind], shared, in_view=wanted, first_id=first
        )
        return LineScene(tuple(lines), config["visibility"])
