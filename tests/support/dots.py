"""Drawn dots that move, blink and vanish, and what the linker makes of them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from insitrack.io.detections import Detections, Masks
from insitrack.io.results import Measures
from insitrack.tracker.link.linked import Linked
from insitrack.tracker.link.linker import Linker
from insitrack.tracker.link.settings import LinkConfig

SHAPE = (400, 600)
NM = 0.5
DT = 1 / 7
SHORT = LinkConfig(patience_frames=3.0, shown_share=1.0)


@dataclass(frozen=True)
class Dot:
    """A round defect in one frame; `truth` is its number, -1 for a false detection."""

    x: float
    y: float
    diameter: float = 12.0
    label: int = 1
    score: float = 0.9
    truth: int = -1
    on_edge: bool = False


def frame(
    index: int, dots: Sequence[Dot], *, t_s: float | None = None, nm: float = NM
) -> tuple[Detections, Measures]:
    crops, corners = [], []
    for dot in dots:
        side = int(np.ceil(dot.diameter)) | 1
        crops.append(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)).astype(bool))
        corners.append((round(dot.y - side / 2), round(dot.x - side / 2)))
    masks = Masks.from_crops(crops, corners)
    x, y, d = (np.array([getattr(dot, name) for dot in dots], float) for name in ("x", "y", "diameter"))
    boxes = np.stack([x - d / 2, y - d / 2, x + d / 2, y + d / 2], axis=1).astype(np.float32)
    labels, scores = (
        np.array([dot.label for dot in dots], np.int64),
        np.array([dot.score for dot in dots], np.float32),
    )
    found = Detections(index, index * DT if t_s is None else t_s, SHAPE, boxes, labels, scores, masks)
    area = masks.area_px().astype(float)
    edge = np.array([dot.on_edge for dot in dots], bool)
    return found, Measures(x, y, area, d, d, np.zeros(len(d)), edge, d * nm, area * nm**2)


def run(
    movie: Sequence[Sequence[Dot]],
    config: LinkConfig | None = None,
    shifts: Sequence[tuple[float, float]] | None = None,
) -> list[Linked]:
    linker = Linker(config)
    return [
        linker.update(*frame(i, dots), (0.0, 0.0) if shifts is None else shifts[i])
        for i, dots in enumerate(movie)
    ]


def switches(movie: Sequence[Sequence[Dot]], linked: Sequence[Linked]) -> int:
    """Times a true defect gets another id than in its observation before."""
    ids: dict[int, list[int]] = defaultdict(list)
    for dots, answer in zip(movie, linked, strict=True):
        for dot, name in zip(dots, answer.track_ids.tolist(), strict=True):
            if dot.truth >= 0:
                ids[dot.truth].append(name)
    return sum(a != b for names in ids.values() for a, b in itertools.pairwise(names))


def field_of_dots(n: int, seed: int, apart: float = 30.0) -> list[Dot]:
    rng = np.random.default_rng(seed)
    dots: list[Dot] = []
    while len(dots) < n:
        x, y = rng.uniform(40, SHAPE[1] - 40), rng.uniform(40, SHAPE[0] - 40)
        if all(np.hypot(x - dot.x, y - dot.y) > apart for dot in dots):
            dots.append(Dot(x, y, rng.uniform(8, 20), int(rng.integers(1, 4)), truth=len(dots)))
    return dots


def noisy_movie(
    seed: int,
    n_frames: int = 25,
    *,
    miss: float = 0.1,
    false: float = 3.0,
    drift: tuple[float, float] = (0, 0),
) -> list[list[Dot]]:
    """Dots on a drifting specimen that jitter, are missed, change class and size, among false detections."""
    rng = np.random.default_rng(seed)
    dots = field_of_dots(50, seed)
    movie = []
    for i in range(n_frames):
        seen = []
        for dot in dots:
            if rng.random() < miss:
                continue
            dx, dy = rng.normal(0, 0.08 * dot.diameter, 2)
            label = dot.label if rng.random() > 0.1 else int(rng.integers(1, 4))
            x, y = dot.x + dx + drift[0] * i, dot.y + dy + drift[1] * i
            seen.append(
                replace(
                    dot,
                    x=x,
                    y=y,
                    label=label,
                    diameter=dot.diameter * np.exp(rng.normal(0, 0.08)),
                    score=rng.uniform(0.4, 1),
                )
            )
        seen += [
            Dot(rng.uniform(0, SHAPE[1]), rng.uniform(0, SHAPE[0]), 10.0, score=0.4)
            for _ in range(rng.poisson(false))
        ]
        movie.append([seen[k] for k in rng.permutation(len(seen))])
    return movie


def plain(answer: Linked) -> Any:
    """Everything a linker says, in a form that compares."""
    rest = answer.coasting
    late = (
        rest.track_ids.tolist(),
        rest.detections.boxes.tolist(),
        rest.measures.x_px.tolist(),
        rest.detections.masks.pixels.tolist(),
    )
    return (
        answer.track_ids.tolist(),
        answer.track_labels.tolist(),
        late,
        answer.events,
        repr(answer.finished),
        answer.births_by_class,
    )
