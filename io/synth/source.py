"""Seeded movies of evolving crystal defects with exact truth.

They serve as a source, as the demonstration, and as test and training data.

``synth:KIND?key=value&...`` names one; every frame depends on the address alone, whatever the order of
asking.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from insitrack.io.arrays import Floats32, GreyImage, Ints
from insitrack.io.detections import Detections
from insitrack.io.frames import Calibration, Frame, MissingFrame
from insitrack.io.levels import Levels
from insitrack.io.synth.lines import LineTruth
from insitrack.io.synth.overlay import Overlay
from insitrack.io.synth.render import picture
from insitrack.io.synth.scenery import Scenery
from insitrack.io.synth.settings import SynthSettings
from insitrack.io.synth.truth import Truth, Visibility, truth_of

_KEPT_BYTES = 64 << 20
"""Frames that are kept for a second reading, bytes: a run reads its source again when it draws its movie."""


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
        self.name = f"{self.settings.kind}_{self.settings.values['seed']}"
        self.scenery = scenery = Scenery(self.settings)
        self.shape, self.fps, self.nm_per_px = scenery.shape, scenery.fps, scenery.nm_per_px
        self.n_frames: int | None = scenery.n_frames
        self.stage, self.defects, self.lines = scenery.stage, scenery.defects, scenery.lines
        self._visibility = Visibility(scenery)
        self._kept: dict[int, GreyImage] = {}

    @property
    def overlay(self) -> Overlay:
        """Scale bar, text and border burnt into every frame."""
        return self.scenery.overlay

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
            if faults and self.scenery.rng("faults", index).random() < faults:
                yield MissingFrame(index, index / self.fps, "damaged", "drawn so: faults in the address")
            else:
                yield self._frame_again(index)

    def _frame_again(self, index: int) -> Frame:
        """Draw a frame, or take it as it was drawn before, where it was kept."""
        kept = self._kept.get(index)
        if kept is not None:
            return Frame(index, index / self.fps, kept.copy())
        frame = self.frame(index)
        if len(self._kept) * frame.image.nbytes < _KEPT_BYTES:
            self._kept[index] = frame.image.copy()
        return frame

    def describe(self) -> dict[str, Any]:
        """Address and every resolved setting."""
        return {"uri": self.uri, "kind": "synthetic", "scene": self.settings.kind, **self.settings.values} | {
            "nm_per_px": self.nm_per_px,
            "magnified": round(self.scenery.magnified, 3),
            "zone": self.scenery.zone,
            "mottle": self.scenery.mottle,
            "n_defects_ever": len(self.defects),
        }

    def samples(self) -> Iterator[Frame]:
        """Give none: its frames have 8 bits as drawn."""
        return iter(())

    def close(self) -> None:
        """Nothing to release."""

    def frame(self, index: int) -> Frame:
        """Image number `index`; the same whatever was asked for before."""
        t_s = index / self.fps
        shift = self.stage.shift_px(t_s)
        image = self._background(shift)
        self.lines.paint(image, t_s, shift)
        for defect in self.scenery.living(t_s):
            x, y = defect.position_px(t_s)
            drawn = picture(defect.look_at(t_s), x + shift[0], y + shift[1], self.shape)
            if drawn is not None:
                profile, _, y0, x0 = drawn
                image[y0 : y0 + profile.shape[0], x0 : x0 + profile.shape[1]] *= (
                    1 - np.float32(self.scenery.contrast(defect, t_s)) * profile
                )
        grey = self.scenery.camera.expose(image, self.scenery.fixed, self.scenery.rng("noise", index))
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
        return truth_of(self.scenery, self._visibility, index)

    def line_truth(self, index: int) -> tuple[LineTruth, ...]:
        """Centrelines of the line dislocations in view in frame `index`, visible or not, ordered by number."""
        t_s = index / self.fps
        return self.lines.truth(
            t_s, self.stage.shift_px(t_s), ~self.overlay.covered, self._visibility.clutter_at
        )

    def _background(self, shift: tuple[float, float]) -> Floats32:
        """Background as the stage has moved it, a fresh array."""
        left, top, _, _ = self.scenery.margins
        x, y = left - shift[0], top - shift[1]
        # beyond the sampled reach of the stage the border is repeated
        move = np.array([[1, 0, x], [0, 1, y]], np.float32)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return np.asarray(
            cv2.warpAffine(
                self.scenery.specimen.canvas,
                move,
                self.shape[::-1],
                flags=flags,
                borderMode=cv2.BORDER_REFLECT_101,
            ),
            np.float32,
        )
