"""Scenes of the tracking scoreboard: true tracks, and the noisy detections that every tracker is given.

All are drawn from a seed. Common to all: 100 frames at 4 per second, round to oval defects of 8 to 24 px, 60
% there from the start, the others nucleating later, a third dying; detections with 0.7 px of noise, 4 % of
noise of size, 10 % missed, 5 % false, 5 % of the wrong class.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Floats
from insitrack.tracker.evaluation.track_scores import BoxTable

FRAMES, INTERVAL_S, NM_PER_PX = 100, 0.25, 0.5
CLASSES = ("black_dot", "loop", "void")
SCENES = ("calm", "drifting", "dense", "blinking", "noisy", "gliding", "coalescing", "voids")


@dataclass(frozen=True)
class Defect:
    """One true defect: its place and diameter in every frame of its life, in specimen coordinates, px."""

    label: int
    first: int
    last: int
    x: Floats
    y: Floats
    size: Floats
    aspect: float


@dataclass(frozen=True)
class Scene:
    """A drawn movie without images.

    Parameters
    ----------
    truth : BoxTable
        True boxes on the image, of what lies in the field.
    truth_size, truth_label : ndarray
        Diameter, px, and class, row by row.
    frame, boxes, label, score, is_true : ndarray
        Detections, row by row: frame, box, class from 1, score, and the true track (-1: false).
    shift : ndarray, shape (FRAMES, 2)
        Drift on the image, px.
    """

    name: str
    seed: int
    side: int
    truth: BoxTable
    truth_size: Floats
    truth_label: NDArray[np.int64]
    frame: NDArray[np.int64]
    boxes: Floats
    label: NDArray[np.int64]
    score: Floats
    is_true: NDArray[np.int64]
    shift: Floats


def make(name: str, seed: int) -> Scene:
    """Draw a scene."""
    rng = np.random.default_rng([(*SCENES, "mortal").index(name), seed])
    side = 640 if name == "dense" else 512
    shift = _drift(rng) if name == "drifting" else np.zeros((FRAMES, 2))
    reach = np.abs(shift).max(axis=0) if name == "drifting" else np.zeros(2)
    n = {"dense": 600, "coalescing": 90, "mortal": 150}.get(name, 70)
    area = (side + 2 * reach).prod() / side**2
    defects = [_defect(rng, name, side, reach) for _ in range(round(n * area * 1.25))]
    if name == "coalescing":
        defects = _coalesce(rng, defects)
    return _seen(rng, name, seed, side, defects, shift)


def _drift(rng: np.random.Generator) -> Floats:
    """5 px a frame in directions that turn slowly, and three jumps of 30 to 100 px."""
    turn = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.25, FRAMES))
    steps = 5.0 * np.column_stack([np.cos(turn), np.sin(turn)])
    steps[0] = 0
    for at in rng.choice(np.arange(10, FRAMES - 10), 3, replace=False):
        angle = rng.uniform(0, 2 * np.pi)
        steps[at] += rng.uniform(30, 100) * np.array([np.cos(angle), np.sin(angle)])
    return np.cumsum(steps, axis=0)


def _defect(rng: np.random.Generator, name: str, side: int, reach: Floats) -> Defect:
    first = 0 if rng.random() < 0.6 else int(rng.integers(1, FRAMES - 5))
    last = FRAMES - 1
    if name == "mortal":  # not in the scoreboard: lifetimes that the movie is long enough to tell
        last = min(last, first + 2 + int(rng.exponential(25)))
    elif rng.random() < 0.33:
        last = min(last, first + 4 + int(rng.exponential(35)))
    ages = np.arange(last - first + 1)
    place = rng.uniform(-reach, side + reach)
    path = place + np.cumsum(rng.normal(0, 0.08, (len(ages), 2)), axis=0)
    size = float(np.clip(rng.lognormal(np.log(13), 0.3), 8, 24))
    sizes = size * (0.8 + 0.2 * np.minimum(1, ages / 30)) if first else np.full(len(ages), size)
    label = 3 if name == "voids" else int(rng.integers(1, 3))
    if name == "voids":
        sizes = size * 0.55 * np.sqrt(1 + ages * rng.uniform(0.05, 0.14))
    if name == "gliding" and rng.random() < 0.5:
        label = 2
        direction = np.pi / 6 + np.pi / 2 * int(rng.integers(2))  # two <110> of one crystal, projected
        jumps = np.where(
            rng.random(len(ages)) < 1 / 8, rng.uniform(8, 36, len(ages)) * rng.choice([-1, 1], len(ages)), 0.0
        )
        jumps[0] = 0
        away = np.cumsum(jumps)
        path = path + np.column_stack([away * np.cos(direction), away * np.sin(direction)])
    return Defect(label, first, last, path[:, 0], path[:, 1], sizes, float(rng.uniform(0.75, 1.0)))


def _coalesce(rng: np.random.Generator, defects: list[Defect]) -> list[Defect]:
    """Let neighbours wander towards each other and become one of the same area; the larger goes on."""
    out, used = list(defects), set()
    for i, one in enumerate(out):
        if i in used:
            continue
        away = [
            np.hypot(one.x[0] - b.x[0], one.y[0] - b.y[0]) if j != i and j not in used else np.inf
            for j, b in enumerate(out)
        ]
        j = int(np.argmin(away))
        big, small = (i, j) if one.size.max() >= out[j].size.max() else (j, i)
        a, b = out[big], out[small]
        start, end = max(a.first, b.first), min(a.last, b.last)
        if away[j] > 45 or end - start < 25:
            continue
        used |= {i, j}
        meet = int(rng.integers(start + 18, end + 1))
        begin = int(rng.integers(start, meet - 12))
        touch = 0.45 * (a.size[meet - a.first] + b.size[meet - b.first])
        gap = np.array(
            [a.x[begin - a.first] - b.x[begin - b.first], a.y[begin - a.first] - b.y[begin - b.first]]
        )
        way = gap * max(0.0, 1 - touch / np.hypot(*gap))
        share = np.clip((np.arange(b.first, b.last + 1) - begin) / (meet - begin), 0, 1)
        x, y = b.x + way[0] * share, b.y + way[1] * share
        keep = meet - b.first
        out[small] = replace(b, last=meet - 1, x=x[:keep], y=y[:keep], size=b.size[:keep])
        size, late = a.size.copy(), np.arange(a.first, a.last + 1) >= meet
        size[late] = np.hypot(size[late], b.size[keep - 1])
        out[big] = replace(a, size=size)
    return out


def _streaks(rng: np.random.Generator, n: int, share: float, length: float) -> NDArray[np.bool_]:
    """Frames that are missed, in streaks of a mean length."""
    missed, out = rng.random() < share, np.zeros(n, bool)
    leave, enter = 1 / length, share / (1 - share) / length
    for k in range(n):
        out[k] = missed
        missed = rng.random() >= leave if missed else rng.random() < enter
    return out


def _seen(
    rng: np.random.Generator, name: str, seed: int, side: int, defects: list[Defect], shift: Floats
) -> Scene:
    """Put the defects on the image and detect them badly."""
    true, found = [], []
    for number, one in enumerate(defects, 1):
        frames = np.arange(one.first, one.last + 1)
        x, y = one.x + shift[frames, 0], one.y + shift[frames, 1]
        inside = (x > 0) & (y > 0) & (x < side) & (y < side)
        w, h = one.size / np.sqrt(one.aspect), one.size * np.sqrt(one.aspect)
        rows = np.column_stack(
            [frames, np.full(len(frames), number), x, y, w, h, one.size, np.full(len(frames), one.label)]
        )[inside]
        true.append(rows)
        missed = _streaks(rng, len(rows), 0.2, 4.0) if name == "blinking" else rng.random(len(rows)) < 0.1
        rows = rows[~missed].copy()
        rows[:, 2:4] += rng.normal(0, 0.7, (len(rows), 2))
        rows[:, 4:6] *= np.exp(rng.normal(0, 0.04, (len(rows), 2)))
        wrong = rng.random(len(rows)) < (0.0 if name == "voids" else 0.05)
        rows[wrong, 7] = 3 - rows[wrong, 7]
        found.append(
            np.column_stack(
                [rows, np.clip(rng.normal(0.75, 0.12, len(rows)), 0.2, 0.99), np.full(len(rows), number)]
            )
        )
    truth, seen = np.concatenate(true), np.concatenate(found)
    n_false = round(len(seen) * (0.1 if name == "noisy" else 0.05))
    places, sizes = rng.uniform(0, side, (n_false, 2)), rng.uniform(8, 18, n_false)
    label = rng.integers(1, 3, n_false) if name != "voids" else np.full(n_false, 3)
    false = [
        rng.integers(0, FRAMES, n_false),
        np.full(n_false, -1),
        *places.T,
        sizes,
        sizes * rng.uniform(0.75, 1, n_false),
        sizes,
        label,
    ]
    false += [np.clip(rng.normal(0.5, 0.15, n_false), 0.15, 0.95), np.full(n_false, -1)]
    seen = np.concatenate([seen, np.column_stack(false)])
    seen = seen[rng.permutation(len(seen))]
    seen = seen[np.argsort(seen[:, 0], kind="stable")]
    table = BoxTable(truth[:, 0].astype(np.int64), truth[:, 1].astype(np.int64), _boxes(truth))
    columns = (
        seen[:, 0].astype(np.int64),
        _boxes(seen),
        seen[:, 7].astype(np.int64),
        seen[:, 8],
        seen[:, 9].astype(np.int64),
    )
    return Scene(name, seed, side, table, truth[:, 6], truth[:, 7].astype(np.int64), *columns, shift)


def _boxes(rows: Floats) -> Floats:
    x, y, w, h = rows[:, 2], rows[:, 3], rows[:, 4], rows[:, 5]
    return np.column_stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2])


def pictures(scene: Scene) -> list[NDArray[np.uint8]]:
    """Draw the frames, for trackers that look at the image.

    Mottle that moves with the specimen, dark defects, noise of the camera.
    """
    rng = np.random.default_rng([7, scene.seed])
    pad = int(np.abs(scene.shift).max()) + 8
    size = scene.side + 2 * pad
    mottle = cv2.GaussianBlur(rng.normal(0, 1, (size, size)).astype(np.float32), (0, 0), 4)
    mottle *= 10 / mottle.std()
    out = []
    for t in range(FRAMES):
        dx, dy = scene.shift[t]
        move = np.array([[1, 0, dx - pad], [0, 1, dy - pad]], np.float32)
        image = 150 + cv2.warpAffine(mottle, move, (scene.side, scene.side))
        for x1, y1, x2, y2 in scene.truth.boxes[scene.truth.frame == t].tolist():
            centre, axes = (
                (round(8 * (x1 + x2) - 8), round(8 * (y1 + y2) - 8)),
                (round(8 * (x2 - x1)), round(8 * (y2 - y1))),
            )
            cv2.ellipse(image, centre, axes, 0, 0, 360, 90.0, -1, cv2.LINE_AA, 4)
        image += rng.normal(0, 6, image.shape)
        out.append(image.clip(0, 255).astype(np.uint8))
    return out
