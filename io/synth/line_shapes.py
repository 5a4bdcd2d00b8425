"""How the line dislocations of a synthetic movie run: smooth curves and pile-ups, drawn from ranges."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline

from insitrack.io.arrays import Floats
from insitrack.io.synth.distractors import draw
from insitrack.io.synth.lines import Dislocation

_NODE_PX = 8.0  # distance between the nodes of the spline
_STEP_PX = 1.0  # distance between the points of a centreline


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """What all lines of a movie share.

    Parameters
    ----------
    config : dict
        Section ``dislocation`` of ``synth.toml``.
    nm_per_px : float
        Width of a pixel, nm.
    box : tuple of float
        x0, y0, x1, y1 of the part of the specimen that comes into view, px.
    duration_s : float
        Length of the movie, s.
    """

    config: dict[str, Any]
    nm_per_px: float
    box: tuple[float, float, float, float]
    duration_s: float

    def px(self, rng: np.random.Generator, name: str) -> float:
        """Draw a length from its range in nm, spread evenly over its logarithm; px."""
        return float(np.exp(rng.uniform(*np.log(self.config[name])))) / self.nm_per_px

    def place(self, rng: np.random.Generator) -> Floats:
        """Draw a point of the box, px (x, y)."""
        x0, y0, x1, y1 = self.box
        return np.array([rng.uniform(x0, x1), rng.uniform(y0, y1)])


def draw_lines(
    rng: np.random.Generator, scene: dict[str, Any], ranges: Ranges, *, in_view: float, first_id: int
) -> list[Dislocation]:
    """Draw the line dislocations of a movie.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the numbers.
    scene : dict
        Table ``scene.KIND`` of ``synth.toml``; without ``dislocations`` in it there are none.
    ranges : Ranges
        What the lines share.
    in_view : float
        Number of single lines; -1 draws it from the scene.
    first_id : int
        Number of the first line.

    Returns
    -------
    list of Dislocation
    """
    if "dislocations" not in scene:
        return []
    x0, y0, x1, y1 = ranges.box
    share = math.sqrt((x1 - x0) * (y1 - y0)) / 512
    count = int(in_view) if in_view >= 0 else round(draw(rng, scene["dislocations"]) * share)
    strength = rng.uniform(0.6, 1.3)
    width = ranges.px(rng, "width_nm")
    out = [_single(rng, ranges, first_id + i, strength, width) for i in range(count)]
    for _ in range(int(rng.integers(scene["pile_ups"][0], scene["pile_ups"][1] + 1)) if in_view < 0 else 0):
        out += _pile_up(rng, ranges, first_id + len(out), strength, width)
    return out


def _single(
    rng: np.random.Generator, ranges: Ranges, track_id: int, strength: float, width_px: float
) -> Dislocation:
    """Draw one line that wanders or bows."""
    length, persistence = ranges.px(rng, "length_nm"), ranges.px(rng, "persistence_nm")
    bow = rng.normal(0, 1.2) / length if rng.random() < ranges.config["bowed_share"] else 0.0
    points = wandering(rng, length, persistence, bow)
    points += ranges.place(rng) - points[rng.integers(len(points))]
    return _dressed(rng, ranges, track_id, points, strength, width_px, {})


def wandering(
    rng: np.random.Generator, length_px: float, persistence_px: float, bow_per_px: float = 0.0
) -> Floats:
    r"""Points about 1 px apart on a smooth curve of a given persistence length.

    The heading does a random walk with variance ds / P per step ds, so that its correlation falls as
    :math:`\exp(-s / 2P)`, that of a worm-like chain in the plane; a cubic spline runs through nodes 8 px
    apart.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the numbers.
    length_px : float
        Length, px, at least 24.
    persistence_px : float
        Persistence length P, px.
    bow_per_px : float
        Mean curvature, rad/px.

    Returns
    -------
    ndarray of float64, shape (K, 2)
        px (x, y), beginning at the origin.

    Examples
    --------
    >>> line = wandering(np.random.default_rng(0), 100.0, 1e9)
    >>> bool(abs(np.hypot(*(line[-1] - line[0])) - 100) < 1)
    True
    """
    steps = max(3, round(length_px / _NODE_PX))
    ds = max(length_px, 24.0) / steps
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(
        rng.normal(bow_per_px * ds, math.sqrt(ds / persistence_px), steps)
    )
    nodes = np.concatenate(
        [np.zeros((1, 2)), np.cumsum(ds * np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0)]
    )
    return _spline(nodes)


def _spline(nodes: Floats) -> Floats:
    """Cubic spline through nodes, sampled evenly along its length."""
    chord = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(nodes, axis=0), axis=1))])
    curve = CubicSpline(chord, nodes)
    fine = curve(np.linspace(0, chord[-1], max(8, int(4 * chord[-1]))))
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(fine, axis=0), axis=1))])
    even = np.linspace(0, along[-1], max(4, round(along[-1] / _STEP_PX) + 1))
    return np.stack([np.interp(even, along, fine[:, 0]), np.interp(even, along, fine[:, 1])], axis=1)


def _pile_up(
    rng: np.random.Generator, ranges: Ranges, first_id: int, strength: float, width_px: float
) -> list[Dislocation]:
    """Draw parallel bowed lines that end on two slip traces, their spacing growing away from the obstacle."""
    config = ranges.config
    count = int(rng.integers(config["pile_up"][0], config["pile_up"][1] + 1))
    chord = ranges.px(rng, "pile_up_chord_nm")
    spacing = (
        width_px
        * draw(rng, config["pile_up_spacing_widths"])
        * np.arange(1, count) ** draw(rng, config["pile_up_growth"])
    )
    away = np.concatenate([[0.0], np.cumsum(spacing)])
    bow, shear, angle = rng.uniform(-0.3, 0.3) * chord, rng.uniform(-0.7, 0.7), rng.uniform(0, 2 * np.pi)
    u = np.linspace(-1, 1, max(5, round(chord / _NODE_PX)))
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    centre = ranges.place(rng) - (np.array([away.mean() * shear, away.mean()]) @ turn)
    # inclined slip plane: the depth, and with it the contrast, changes in step along all lines
    common = {
        "period": ranges.px(rng, "period_nm"),
        "phase": rng.uniform(0, 6.3),
        "depth": draw(rng, config["depth"]),
        "double": 0.0,
        "sway": 0.0,
    }
    lines = []
    for i, distance in enumerate(away.tolist()):
        wobble = np.convolve(rng.normal(0, 0.35 * width_px, len(u) + 4), np.ones(5) / 5, "valid")
        nodes = (
            np.stack([u * chord / 2 + distance * shear, distance + bow * (1 - u * u) + wobble], axis=1) @ turn
            + centre
        )
        lines.append(_dressed(rng, ranges, first_id + i, _spline(nodes), strength, width_px, common))
    return lines


def _dressed(
    rng: np.random.Generator,
    ranges: Ranges,
    track_id: int,
    points: Floats,
    strength: float,
    width_px: float,
    common: dict[str, float],
) -> Dislocation:
    """Draw contrast, width and motion of a line."""
    config = ranges.config
    width = float(np.clip(width_px * rng.uniform(0.85, 1.2), *config["width_px"]))
    depth = common.get("depth", draw(rng, config["depth"]))
    period = common.get("period", ranges.px(rng, "period_nm"))
    phase = 2 * np.pi * np.arange(len(points)) * _STEP_PX / max(period, 3 * width) + common.get(
        "phase", rng.uniform(0, 6.3)
    )
    level = strength * draw(rng, config["contrast"]) * (1 + depth * np.cos(phase)) / (1 + depth)
    fades = rng.random(2) < config["fading_end_share"]
    ramp = np.clip(np.arange(len(points)) / max(1.0, 0.25 * len(points)), 0.35, 1)
    level = level * (ramp if fades[0] else 1) * (ramp[::-1] if fades[1] else 1)
    sway = common.get(
        "sway", draw(rng, config["sway_widths"]) * width * float(rng.random() < config["sway_share"])
    )
    double = common.get(
        "double",
        draw(rng, config["double_widths"])
        * width
        * float(width < 6 and rng.random() < config["double_share"]),
    )
    velocity, starts = (0.0, 0.0), 0.0
    if rng.random() < config["mobile_share"]:
        chord = points[-1] - points[0]
        normal = np.array([-chord[1], chord[0]]) / (np.hypot(*chord) + 1e-9)
        vx, vy = normal * draw(rng, config["glide_nm_per_s"]) / ranges.nm_per_px * rng.choice([-1, 1])
        velocity, starts = (float(vx), float(vy)), rng.uniform(0, 0.7) * ranges.duration_s
    return Dislocation(
        track_id, points, np.minimum(level, 0.92), sway * np.sin(phase), width, double, velocity, starts
    )
