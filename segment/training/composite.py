"""Drawn defects on real backgrounds.

The texture and the noise of a microscope with outlines and types that are known exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from insitrack.io.arrays import BoolImage, Floats32, GreyImage
from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.synth.render import picture
from insitrack.io.synth.scene import Setting, populate
from insitrack.io.synth.settings import ranges

_LEAST_CONTRAST = 0.12
_OVER_CLUTTER = 2.0  # least contrast over the standard deviation of the background around a defect
_OVER_NOISE = 14.0  # least signal-to-noise ratio of the whole defect under a matched filter
_CAVITY_EASE = 0.75  # times the contrast for a cavity: a ring around a bright middle is found sooner
_LEAST_WIDTHS = 3.0  # least diameter, standard deviations of the point spread
_MOST_SHARED = 0.15  # share of a drawn defect that may lie on one that is there already


def drawn_onto(
    image: GreyImage,
    there: Detections,
    rng: np.random.Generator,
    *,
    kind: str,
    nm_per_px: float,
    turn: float,
    n: float,
    blur_px: float,
    drawing: Mapping[str, Any] | None = None,
) -> tuple[GreyImage, Detections]:
    """Draw defects of a synthetic scene onto a real image, between those that are there.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W)
        Bright-field image: defects are drawn darker than the matrix.
    there : Detections
        What is labelled in it.
    rng : numpy.random.Generator
        Source of the numbers.
    kind : str
        Kind of scene, as in ``synth:KIND``: which forms, how large, how strong.
    nm_per_px : float
        Width of a pixel, nm: from it follow the sizes in px.
    turn : float
        Direction of a projected <110> in the image, rad; drawn loops have the orientation of the real ones.
    n : float
        Expected number of defects to draw.
    blur_px : float
        Standard deviation of the point spread that drawn defects are given, px.
    drawing : mapping, optional
        Ranges of scenes and forms in place of those in ``configs/synth.toml``, laid out as there.

    Returns
    -------
    image : ndarray of uint8, shape (H, W)
        The image with more defects in it.
    detections : Detections
        `there` and the drawn ones that a person can see.
    """
    level = image.astype(np.float32)
    floor = float(np.percentile(level, 0.1)) * 0.8
    clutter, noise = _clutter(level - floor)
    scene = _scene(image.shape, kind, nm_per_px, turn, n, blur_px)
    taken: BoolImage = np.asarray(there.masks.dense(image.shape).any(axis=0), np.bool_)
    left = np.ones(image.shape, np.float32)
    crops, corners, labels = [], [], []
    for defect in populate(rng, dict(drawing or ranges()), scene):
        look, contrast = defect.look_at(1.0), defect.contrast_at(1.0)
        drawn = picture(look, *defect.position_px(1.0), image.shape)
        if drawn is None or drawn[1].sum() < 14:
            continue
        profile, mask, y0, x0 = drawn
        window = np.s_[y0 : y0 + mask.shape[0], x0 : x0 + mask.shape[1]]
        if (
            not _is_seen(contrast, look.form, profile, clutter[window], noise)
            or mask.sum() < (_LEAST_WIDTHS * blur_px) ** 2
            or taken[window][mask].mean() > _MOST_SHARED
        ):
            continue
        left[window] *= 1 - np.float32(contrast) * profile
        taken[window] |= mask
        crops.append(mask)
        corners.append((y0, x0))
        labels.append(DEFECT_CLASSES.index(defect.class_at(1.0)) + 1)
    left = np.asarray(cv2.GaussianBlur(left, (0, 0), blur_px) if blur_px > 0.3 else left)
    out = np.clip((level - floor) * left + floor, 0, 255).astype(np.uint8)
    return out, _joined(there, image.shape, crops, corners, labels)


def _scene(
    shape: tuple[int, int], kind: str, nm_per_px: float, turn: float, n: float, blur_px: float
) -> Setting:
    """Scene whose defects, fully grown at 1 s, lie within the image."""
    height, width = shape
    return Setting(
        kind=kind,
        duration_s=1.0,
        nm_per_px=nm_per_px,
        magnified=max(1.0, blur_px),
        zone="001",
        turn=turn,
        box=(0.0, 0.0, float(width), float(height)),
        n=n,
        crowding=0.0,
        start=1.0,
        blink=0.0,
    )


def _is_seen(contrast: float, form: str, profile: Floats32, clutter: Floats32, noise: float) -> bool:
    """Check whether a person would see a defect of this contrast over the background and through the noise."""
    ease = _CAVITY_EASE if form == "fresnel" else 1.0
    matched = contrast * float(np.sqrt((profile * profile).sum())) / noise
    over_clutter = _OVER_CLUTTER * float(np.median(clutter))
    return contrast >= ease * max(_LEAST_CONTRAST, over_clutter) and matched >= _OVER_NOISE


def _joined(
    there: Detections,
    shape: tuple[int, int],
    crops: list[BoolImage],
    corners: list[tuple[int, int]],
    labels: list[int],
) -> Detections:
    """Put what was drawn behind what was labelled."""
    masks = Masks.from_crops(
        [*(there.masks.crop(i) for i in range(len(there))), *crops],
        [*map(tuple, there.masks.corners.tolist()), *corners],
    )
    all_labels = np.concatenate([there.labels, np.array(labels, np.int64)])
    scores = np.ones(len(all_labels), np.float32)
    return Detections(
        there.frame_index, there.t_s, shape, masks.boxes(), all_labels, scores, masks, DEFECT_CLASSES
    )


def _clutter(level: Floats32) -> tuple[Floats32, float]:
    """Local standard deviation of the slow variation of an image over its local mean, and the noise.

    The noise is multiplied by the root of the area of its grains.
    """
    smooth = cv2.GaussianBlur(level, (0, 0), 3)
    mean = cv2.blur(smooth, (49, 49))
    spread = np.sqrt(np.maximum(cv2.blur(smooth * smooth, (49, 49)) - mean * mean, 0))
    fine = level - cv2.GaussianBlur(level, (0, 0), 3)
    # noise that is correlated over several pixels averages out less: compare its spread before and after a
    # mean over 3 x 3
    grain = 3 * float(cv2.blur(fine, (3, 3)).std()) / max(float(mean.mean()), 1.0)
    return np.asarray(spread / np.maximum(mean, 1), np.float32), max(grain, 1e-6)
