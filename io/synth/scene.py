"""Which defects exist in a synthetic movie and how they evolve.

They nucleate, grow, glide, coalesce and blink, while the stage drifts.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from insitrack.io.arrays import Floats
from insitrack.io.synth.distractors import Curve, draw
from insitrack.io.synth.looks import Manner, look
from insitrack.io.synth.render import Look

ALWAYS = float("-inf")
NEVER = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One defect from birth to death, as functions of time; positions are on the specimen.

    Parameters
    ----------
    track_id : int
        Its number, from 1, never used twice.
    defect_class : str
        Class once it is resolved.
    look : Look
        How it looks at its final size.
    x_px, y_px : float
        Where it was born, px on the specimen.
    contrast : float
        Fraction of the mean brightness.
    born_s, dies_s, fade_s : float
        Life, and how long it takes to appear and to vanish, s.
    start_ratio, growth_s : float
        Size at birth over final size, and time constant of the growth, s.
    resolved_px : float
        Size below which it looks like a black dot.
    jump_s, jump_px : tuple of float
        When it jumps, and where it is then, px along `glide`.
    glide : float
        Glide direction, rad.
    blink : tuple of float
        Depth, period (s) and phase of its blinking.
    swells : tuple of (float, float)
        Times, s, and areas, px^2, that it takes over from defects that join it.
    """

    track_id: int
    defect_class: str
    look: Look
    x_px: float
    y_px: float
    contrast: float
    born_s: float
    dies_s: float
    fade_s: float
    start_ratio: float
    growth_s: float
    resolved_px: float
    jump_s: tuple[float, ...] = ()
    jump_px: tuple[float, ...] = ()
    glide: float = 0.0
    blink: tuple[float, float, float] = (0.0, 1.0, 0.0)
    swells: tuple[tuple[float, float], ...] = ()

    def alive(self, t_s: float) -> bool:
        """Return whether it exists at this time."""
        return self.born_s <= t_s < self.dies_s

    def position_px(self, t_s: float) -> tuple[float, float]:
        """Centre on the specimen, px (x, y)."""
        passed = bisect_right(self.jump_s, t_s)
        away = self.jump_px[passed - 1] if passed else 0.0
        return self.x_px + away * math.cos(self.glide), self.y_px + away * math.sin(self.glide)

    def size_px(self, t_s: float) -> float:
        """Length of the major axis, px; joining conserves area."""
        grown = 1.0
        if self.born_s != ALWAYS:
            grown = 1 - (1 - self.start_ratio) * math.exp(-max(0.0, t_s - self.born_s) / self.growth_s)
        square = (self.look.size_px * grown) ** 2
        for when, extra in self.swells:
            if t_s >= when:
                square += extra * (1 - math.exp(-(t_s - when) / self.fade_s))
        return math.sqrt(square)

    def class_at(self, t_s: float) -> str:
        """Class that a person would give it at this time."""
        return "black_dot" if self.size_px(t_s) < self.resolved_px else self.defect_class

    def contrast_at(self, t_s: float) -> float:
        """Contrast, with appearing, vanishing and blinking."""
        fade = min(1.0, (t_s - self.born_s) / self.fade_s + 0.3, (self.dies_s - t_s) / self.fade_s + 0.3)
        depth, period, phase = self.blink
        if depth > 0:
            # a rocking curve: long in contrast, then briefly out of it
            fade *= 1 - depth * math.exp(-(((t_s / period + phase) % 1.0 - 0.5) ** 2) / 0.02)
        return self.contrast * max(0.0, fade)

    def look_at(self, t_s: float) -> Look:
        """How it looks at this time."""
        return replace(self.look, size_px=self.size_px(t_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """How the specimen moves on the image.

    Parameters
    ----------
    velocity_px_per_s : tuple of float
        Slow drift (x, y).
    wander_px, wander_s : float
        Amplitude and period of a slow wandering.
    jump_s : tuple of float
        Times of stage jumps, s.
    jumps_px : tuple of (float, float)
        Their lengths (x, y), px.
    limit_px : float
        The operator never lets the specimen go farther than this: the motion is reflected there.
    """

    velocity_px_per_s: tuple[float, float]
    wander_px: float
    wander_s: float
    jump_s: tuple[float, ...]
    jumps_px: tuple[tuple[float, float], ...]
    limit_px: float

    def shift_px(self, t_s: float) -> tuple[float, float]:
        """Displacement of the specimen on the image since time 0, px (x, y)."""
        passed = bisect_right(self.jump_s, t_s)
        out = []
        for axis in (0, 1):
            swing = 2 * math.pi * t_s / self.wander_s
            wander = self.wander_px * (math.sin(swing) if axis == 0 else math.cos(swing * 0.73) - 1)
            out.append(
                _folded(
                    self.velocity_px_per_s[axis] * t_s
                    + wander
                    + sum(jump[axis] for jump in self.jumps_px[:passed]),
                    self.limit_px,
                )
            )
        return out[0], out[1]


def _folded(value: float, limit: float) -> float:
    """Reflect a coordinate at +-limit."""
    if limit <= 0:
        return 0.0
    turn = (value + limit) % (4 * limit)
    return (turn if turn <= 2 * limit else 4 * limit - turn) - limit


def make_stage(
    rng: np.random.Generator,
    config: dict[str, Any],
    *,
    duration_s: float,
    nm_per_px: float,
    drift: float,
    jumps: float,
) -> Stage:
    """Draw the motion of the stage.

    `drift` is in nm/s; if negative, it is drawn from the seed and a slow wandering is added.
    """
    speed = (drift if drift >= 0 else draw(rng, config["drift_nm_per_s"])) / nm_per_px
    heading = rng.uniform(0, 2 * np.pi)
    still = drift == 0 and jumps == 0
    times = tuple(sorted(rng.uniform(0, duration_s, int(rng.poisson(jumps))).tolist()))
    lengths = [(draw(rng, config["jump_nm"]) / nm_per_px, rng.uniform(0, 2 * np.pi)) for _ in times]
    return Stage(
        velocity_px_per_s=(speed * math.cos(heading), speed * math.sin(heading)),
        wander_px=0.0 if drift >= 0 else draw(rng, config["wander_nm"]) / nm_per_px,
        wander_s=max(duration_s, 1e-6) * rng.uniform(0.3, 1.5),
        jump_s=times,
        jumps_px=tuple((length * math.cos(a), length * math.sin(a)) for length, a in lengths),
        limit_px=0.0 if still else float(config["largest_shift_px"]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all defects of a movie share.

    Parameters
    ----------
    kind : str
        Kind of scene, a table ``scene.KIND`` of ``synth.toml``.
    duration_s : float
        Length of the movie, s.
    nm_per_px, magnified : float
        Width of a pixel, nm, and pixels per resolved pixel.
    zone : str
        Zone axis along the beam, ``001``, ``011`` or ``111``.
    turn : float
        Rotation of the crystal in the image, rad: direction of a projected <110>.
    box : tuple of float
        x0, y0, x1, y1 of the part of the specimen that comes into view, px.
    n : float
        Expected number of defects inside `box` when the movie ends.
    crowding : float
        Share of the area that the defects may cover, those on top of each other counted twice; lowers `n`. 0
        for no limit.
    start, blink : float
        Shares of the defects there from the start, and of those that blink.
    curves : tuple of Curve
        Lines on which defects may gather.
    """

    kind: str
    duration_s: float
    nm_per_px: float
    magnified: float
    zone: str
    turn: float
    box: tuple[float, float, float, float]
    n: float
    crowding: float
    start: float
    blink: float
    curves: tuple[Curve, ...] = ()


def populate(rng: np.random.Generator, config: dict[str, Any], setting: Setting) -> list[Defect]:
    """Draw every defect that ever lives, in the order of birth, coalescence applied."""
    shares = config["scene"][setting.kind]["forms"]
    names = list(shares)
    weights = np.array([shares[name] for name in names]) * rng.uniform(0.5, 1.5, len(names))
    weights /= weights.sum()
    medians = {name: draw(rng, config["form"][name]["median_nm"]) for name in names}
    spreads = {name: draw(rng, config["form"][name]["spread"]) for name in names}
    manner = Manner.drawn(
        rng,
        config["manner"],
        nm_per_px=setting.nm_per_px,
        magnified=setting.magnified,
        zone=setting.zone,
        turn=setting.turn,
    )
    largest_px = config["growth"]["largest_px"]
    footprint = sum(
        weight * min(medians[name] / setting.nm_per_px, largest_px) ** 2
        for name, weight in zip(names, weights, strict=True)
    )
    births = _births(rng, config["growth"], setting, footprint)
    places = _places(rng, config["gathering"], setting, len(births), 0.6 * math.sqrt(footprint))
    defects = []
    for track_id, (born_s, place) in enumerate(zip(births, places, strict=True), 1):
        name = names[int(rng.choice(len(names), p=weights))]
        form = config["form"][name]
        size_nm = float(
            np.clip(medians[name] * np.exp(spreads[name] * rng.standard_normal()), *form["clip_nm"])
        )
        looks = look(rng, name, form, size_nm, manner, largest_px)
        defects.append(_defect(rng, config, setting, track_id, born_s, place, looks, form, manner.strength))
    return _coalesced(defects, config["glide"], setting)


def _births(
    rng: np.random.Generator, growth: dict[str, Any], setting: Setting, footprint_px2: float
) -> list[float]:
    """Draw the times of birth.

    Some defects exist before the movie; the others follow a nucleation rate that falls off as the number
    saturates.
    """
    x0, y0, x1, y1 = setting.box
    most = setting.crowding * (x1 - x0) * (y1 - y0) / footprint_px2 if setting.crowding else math.inf
    count = int(rng.poisson(min(setting.n, most)))
    early = int(rng.binomial(count, setting.start))
    constant = growth["nucleation_share"] * max(setting.duration_s, 1e-6)
    u = rng.random(count - early)
    later = -constant * np.log(1 - u * (1 - np.exp(-setting.duration_s / constant)))
    return [ALWAYS] * early + sorted(later.tolist())


def _places(
    rng: np.random.Generator, gathering: dict[str, Any], setting: Setting, n: int, near_px: float
) -> Floats:
    """Draw where the defects lie, px (x, y).

    Anywhere, on lines, or in rafts and clusters beside one that is there already.
    """
    x0, y0, x1, y1 = setting.box
    places = rng.uniform((x0, y0), (x1, y1), (n, 2))
    if rng.random() < gathering["line_share"] and setting.curves:
        points = np.concatenate([curve.points for curve in setting.curves[: int(rng.integers(1, 4))]])
        on_line = rng.random(n) < draw(rng, gathering["on_line"])
        places[on_line] = points[rng.integers(0, len(points), int(on_line.sum()))] + rng.normal(
            0, 0.3 * near_px, (int(on_line.sum()), 2)
        )
    if rng.random() < gathering["raft_share"]:
        follows = rng.random(n) < draw(rng, gathering["in_raft"])
        row = setting.turn + np.pi / 4 * int(rng.integers(4)) if rng.random() < 0.4 else None
        for i in np.flatnonzero(follows).tolist():
            if i:
                # an earlier one, mostly one of the last few, so that groups of some members form
                other = (
                    max(0, i - 1 - int(rng.geometric(0.3))) if rng.random() < 0.8 else int(rng.integers(i))
                )
                away = near_px * rng.uniform(0.8, 2.0)
                angle = row if row is not None else rng.uniform(0, 2 * np.pi)
                beside = away * np.array([math.cos(angle), math.sin(angle)])
                places[i] = places[other] + beside * rng.choice([-1, 1])
    return np.asarray(places, np.float64)


def _defect(
    rng: np.random.Generator,
    config: dict[str, Any],
    setting: Setting,
    track_id: int,
    born_s: float,
    place: Floats,
    looks: Look,
    form: dict[str, Any],
    strength: float,
) -> Defect:
    """Draw where a defect lies, how it grows, moves, blinks and dies."""
    growth, duration = config["growth"], max(setting.duration_s, 1e-6)
    resolved_px = draw(rng, growth["resolved_px"]) * setting.magnified
    resolved = str(form["class"])
    if resolved == "by_size":
        # in a two-beam image a small solid roundish blob is a black dot, anything larger or with structure
        # a loop
        resolved = "loop"
        if looks.tail < 0.5 and looks.ratio > 0.7:
            resolved_px = growth["solid_px"] * setting.magnified * rng.uniform(0.9, 1.1)
    elif resolved not in ("loop_111", "loop_100"):
        resolved_px = 0.0
    dies_s = NEVER
    if rng.random() < growth["mortal_share"]:
        dies_s = max(born_s, 0.0) + rng.exponential(0.5) * duration
    contrast = draw(rng, form["contrast"]) * strength
    blinks = rng.random() < setting.blink
    defect = Defect(
        track_id=track_id,
        defect_class=resolved,
        look=looks,
        x_px=float(place[0]),
        y_px=float(place[1]),
        contrast=min(0.92, contrast),
        born_s=born_s,
        dies_s=dies_s,
        fade_s=growth["fade_s"],
        start_ratio=draw(rng, growth["start_ratio"]),
        growth_s=draw(rng, growth["time_share"]) * duration,
        resolved_px=resolved_px,
        blink=(
            (rng.uniform(0.5, 1.0), duration * rng.uniform(0.15, 0.8), rng.random())
            if blinks
            else (0.0, 1.0, 0.0)
        ),
    )
    mobile = rng.random() < config["glide"]["mobile_share"]
    return (
        _gliding(rng, config["glide"], setting, defect)
        if mobile and looks.form not in ("fresnel", "facet", "lath", "needle")
        else defect
    )


def _gliding(rng: np.random.Generator, glide: dict[str, Any], setting: Setting, defect: Defect) -> Defect:
    """One-dimensional jumps along a projected <110>, back and forth, with exponential waiting times."""
    wait = draw(rng, glide["wait_share"]) * max(setting.duration_s, 1e-6)
    times: list[float] = []
    places: list[float] = []
    t, place = max(defect.born_s, 0.0), 0.0
    while len(times) < 200:
        t += rng.exponential(wait)
        if t >= setting.duration_s:
            break
        place += rng.choice([-1, 1]) * draw(rng, glide["jump_nm"]) / setting.nm_per_px
        times.append(t)
        places.append(place)
    direction = setting.turn + int(rng.integers(2)) * np.pi / 2
    return replace(defect, jump_s=tuple(times), jump_px=tuple(places), glide=float(direction))


def _coalesced(defects: list[Defect], glide: dict[str, Any], setting: Setting) -> list[Defect]:
    """Let defects that come close join: the larger takes over the area, the smaller dies."""
    out = {defect.track_id: defect for defect in defects}
    moments = np.linspace(0, setting.duration_s, 60) if setting.duration_s > 0 else np.zeros(1)
    for t in moments.tolist():
        living = [defect for defect in out.values() if defect.alive(t)]
        if len(living) < 2:
            continue
        places = np.array([defect.position_px(t) for defect in living])
        sizes = np.array([defect.size_px(t) for defect in living])
        for i, j in _close_pairs(places, sizes, glide["merge_reach"]):
            big, small = (living[i], living[j]) if sizes[i] >= sizes[j] else (living[j], living[i])
            big, small = out[big.track_id], out[small.track_id]
            if not (big.alive(t) and small.alive(t)) or big.swells:
                continue
            if t == 0.0:
                # never apart in this movie: there was only ever one of them
                out[small.track_id] = replace(small, born_s=NEVER, dies_s=NEVER)
                continue
            area = small.size_px(t) ** 2
            out[small.track_id] = replace(small, dies_s=t)
            out[big.track_id] = replace(big, swells=(*big.swells, (t, area)))
    return [defect for defect in out.values() if defect.born_s != NEVER]


def _close_pairs(places: Floats, sizes: Floats, reach: float) -> list[tuple[int, int]]:
    """Pairs whose distance is less than `reach` times the sum of their radii."""
    gap2 = ((places[:, None] - places[None]) ** 2).sum(axis=2)
    near = np.triu(gap2 < (reach * (sizes[:, None] + sizes[None]) / 2) ** 2, k=1)
    return [(int(i), int(j)) for i, j in zip(*np.nonzero(near), strict=True)]
