"""Which defect a synthetic movie shows where.

Habit planes on a zone axis, and how each form is drawn from its ranges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from insitrack.io.synth.cavity import WAVELENGTH_NM, Optics
from insitrack.io.synth.distractors import draw, draw_log
from insitrack.io.synth.render import Look

HABITS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "loop_111": ((1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1)),
    "loop_100": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
}
"""Habit-plane normals of the variants of each family of loops."""

ZONES: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "001": ((0, 0, 1), (1, 1, 0)),
    "011": ((0, 1, 1), (0, 1, -1)),
    "111": ((1, 1, 1), (1, -1, 0)),
}
"""Zone axis and the <110> of the image from which angles count."""

_FACETTED_PX = 14.0  # a smaller cavity looks round


def variants(zone: str, family: str) -> list[tuple[float, float]]:
    """Aspect ratio and direction of the long axis of each variant of a family of pure-edge loops.

    With the beam along the unit vector z, a round loop with habit normal n is an ellipse of axis ratio ``q =
    |n.z|``, its long axis along ``n x z``.

    Parameters
    ----------
    zone : str
        ``001``, ``011`` or ``111``.
    family : str
        ``loop_111`` or ``loop_100``.

    Returns
    -------
    list of (float, float)
        q and the angle from the reference <110> of the zone, rad; q is 0 for a loop seen edge-on and 1 in
        plan view.

    Examples
    --------
    >>> [(round(q, 4), round(math.degrees(angle)) % 180) for q, angle in variants("001", "loop_111")]
    [(0.5774, 90), (0.5774, 0), (0.5774, 0), (0.5774, 90)]
    >>> [(round(q, 4), round(math.degrees(angle)) % 180) for q, angle in variants("001", "loop_100")]
    [(0.0, 45), (0.0, 135), (1.0, 0)]
    """
    axis, reference = (np.array(v, float) / np.linalg.norm(v) for v in ZONES[zone])
    second = np.cross(axis, reference)
    out = []
    for habit in HABITS[family]:
        normal = np.array(habit, float) / np.linalg.norm(habit)
        long_axis = np.cross(normal, axis)
        angle = (
            math.atan2(float(long_axis @ second), float(long_axis @ reference))
            if np.linalg.norm(long_axis) > 1e-9
            else 0.0
        )
        out.append((abs(float(normal @ axis)), angle % math.pi))
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """What the defects of one movie have in common.

    Parameters
    ----------
    nm_per_px : float
        Width of a pixel, nm.
    magnified : float
        Pixels per resolved pixel.
    zone : str
        Zone axis along the beam.
    turn : float
        Direction of the reference <110> in the image, rad.
    tail_angle : float
        Direction of tails and of the elongation of defects out of focus, rad.
    focus, strength : float
        Factors on the softness of edges and on contrasts.
    under : bool
        Underfocus: voids bright inside a dark rim.
    lobes : float
        Two-fold variation of the contrast around a ring, dark where it runs along its long axis; negative: at
        its tips.
    defocus_nm, phase_per_nm, absorption_per_nm : float
        Of cavities: amount of the defocus; phase (rad) and logarithm of the intensity that the material
        takes.
    facetted : float
        Share of the cavities that are facetted.
    bright : bool
        Laths, needles and cuboids are brighter than the matrix.
    """

    nm_per_px: float
    magnified: float
    zone: str
    turn: float
    tail_angle: float
    focus: float
    strength: float
    under: bool
    lobes: float
    defocus_nm: float
    phase_per_nm: float
    absorption_per_nm: float
    facetted: float
    bright: bool

    @classmethod
    def drawn(
        cls,
        rng: np.random.Generator,
        config: dict[str, Any],
        *,
        nm_per_px: float,
        magnified: float,
        zone: str,
        turn: float,
    ) -> Manner:
        """Draw it from section ``manner`` of ``synth.toml``."""
        own = rng.spawn(1)[0]  # what was added later leaves the numbers of older kinds of scene as they were
        return cls(
            nm_per_px=nm_per_px,
            magnified=magnified,
            zone=zone,
            turn=turn,
            tail_angle=rng.uniform(0, 2 * np.pi),
            focus=draw(rng, config["focus"]),
            strength=draw(rng, config["strength"]),
            under=bool(rng.random() < config["underfocus_share"]),
            lobes=draw(rng, config["lobes"]),
            defocus_nm=draw_log(own, config["defocus_nm"]),
            phase_per_nm=draw(own, config["phase_per_nm"]),
            absorption_per_nm=draw_log(own, config["absorption_per_nm"]),
            facetted=float(own.choice(config["facetted"])),
            bright=bool(own.random() < config["bright_share"]),
        )


_DRAWN_AS = {"bubble": "fresnel", "cuboid": "facet"}


def look(
    rng: np.random.Generator,
    name: str,
    form: dict[str, Any],
    size_nm: float,
    manner: Manner,
    largest_px: float,
) -> Look:
    """Draw the final looks of a defect of the form `name`, `size_nm` long."""
    size_px = float(np.clip(size_nm / manner.nm_per_px, 5.0 * manner.magnified**0.5, largest_px))
    ratio, angle = draw(rng, form["ratio"]), rng.uniform(0, np.pi)
    if name in ("open_ellipse", "edge_on", "double_ring"):
        name, ratio, angle = _on_zone(rng, name, ratio, manner)
    elif name == "streak":
        angle = manner.tail_angle + rng.normal(0, 0.3)
    elif name in ("lath", "cuboid"):
        angle = manner.turn + np.pi / 2 * int(rng.integers(2)) + rng.normal(0, 0.05)
    blur = manner.focus * manner.magnified
    edge = draw(rng, form["edge_px"]) * blur
    if name in ("dot", "blob", "comma", "bean"):
        edge += rng.uniform(0, 0.14) * size_px
    elif name == "streak":
        edge += rng.uniform(0.05, 0.3) * size_px * ratio
    # a thick ring has half a free inside left at least
    widest = 0.6 * size_px if name == "edge_on" else 0.3 * size_px * ratio
    width_px = draw(rng, form["width_nm"]) / manner.nm_per_px if "width_nm" in form else 3.0
    least = draw(rng, form["least_width"]) * size_px if "least_width" in form else 1.5
    out = Look(
        form=_DRAWN_AS.get(name, name),
        size_px=size_px,
        ratio=ratio,
        angle=float(angle),
        edge_px=float(min(edge, 0.3 * size_px)),
        width_px=float(min(max(width_px, least, 1.5), widest)),
        fill=draw(rng, form.get("fill", (0.3, 0.95))),
        lean=draw(rng, form.get("lean", (0.0, 0.4))),
        lean_angle=rng.uniform(0, 2 * np.pi),
        lobes=manner.lobes * rng.uniform(0.3, 1.0) if "lean" in form else 0.0,
        taper=draw(rng, form.get("taper", (0.0, 0.0))),
        inner=draw(rng, form.get("inner", (0.5, 0.5))),
        wobble=_wobble(rng, form["wobble"]),
    )
    return _dressed(rng, out, form, manner)


def _wobble(rng: np.random.Generator, strength: float) -> tuple[tuple[int, float, float], ...]:
    """Harmonics by which a contour departs from an ellipse."""
    return (
        tuple((order, float(rng.normal(0, strength / order**0.5)), rng.uniform(0, 6.3)) for order in (2, 3))
        if strength
        else ()
    )


def _on_zone(rng: np.random.Generator, name: str, ratio: float, manner: Manner) -> tuple[str, float, float]:
    """Form, axis ratio and direction of a loop on the zone axis of the movie.

    On [001] the share of each form is the one asked for. On other zones the family is kept, a variant drawn,
    and the form follows: a variant edge-on is a bar, one of <100> seen from above a double ring.
    """
    family = "loop_111" if name == "open_ellipse" else "loop_100"
    chosen = variants(manner.zone, family)
    if manner.zone == "001" and family == "loop_100":
        chosen = [variant for variant in chosen if (variant[0] < 0.2) == (name == "edge_on")]
    q, angle = chosen[int(rng.integers(len(chosen)))]
    angle += manner.turn + rng.normal(0, math.radians(4))
    if q < 0.2:
        # the class of a bar is that of its family: on [011] a bar can be either
        return "edge_on", 1.0, angle
    if q > 0.95:
        angle = rng.uniform(0, np.pi)
        q = ratio if name == "double_ring" else rng.uniform(0.88, 1.0)
    elif manner.zone == "001":
        q = ratio  # rotated towards {110} habits: a range of ratios
    else:
        q = float(np.clip(q + rng.normal(0, 0.04), 0.25, 1.0))
    return ("open_ellipse" if family == "loop_111" else "double_ring"), q, angle


def _dressed(rng: np.random.Generator, out: Look, form: dict[str, Any], manner: Manner) -> Look:
    """Add what only some forms have: tails, the sense of defocus, facets, moire fringes, strain lobes."""
    if out.form == "open_ellipse" and out.size_px < form["solid_px"] * manner.magnified:
        # the ring of a small loop is not resolved from its inside
        out = replace(out, fill=max(out.fill, rng.uniform(0.3, 0.95)))
    if out.form == "double_ring" and rng.random() < form.get("diamond_share", 0.0):
        out = replace(out, sides=4, angle=manner.turn + np.pi / 4 * int(rng.integers(2)))
    if out.form == "comma":
        out = replace(out, tail=draw(rng, form["tail"]), tail_angle=manner.tail_angle + rng.normal(0, 0.3))
    if out.form == "blob" and rng.random() < 0.4:
        out = replace(out, tail=rng.uniform(0.1, 0.4), tail_angle=manner.tail_angle + rng.normal(0, 0.4))
    if out.form == "fresnel":
        out = _cavity(rng.spawn(1)[0], out, manner)
    elif out.form in ("lath", "needle") or "sides" in form:
        out = _particle(rng, out, form, manner)
    elif out.form == "facet":
        out = replace(
            out,
            sides=int(rng.choice([0, 0, 4, 5, 6])),
            sign=-1.0 if rng.random() < form["bright_share"] else 1.0,
        )
        if rng.random() < form["moire_share"]:
            out = replace(out, moire_px=max(3.0, rng.uniform(0.12, 0.35) * out.size_px))
        if rng.random() < form["strain_share"]:
            out = replace(out, strain=draw(rng, form["strain"]), tail_angle=manner.tail_angle)
    return out


def _cavity(rng: np.random.Generator, out: Look, manner: Manner) -> Look:
    """Add defocus, which differs a little with the depth in the foil, and the facets of larger cavities."""
    scale = manner.nm_per_px
    defocus_px2 = WAVELENGTH_NM * (manner.defocus_nm + rng.normal(0, 30)) / scale**2
    optics = Optics(
        defocus_px2=-defocus_px2 if manner.under else defocus_px2,
        phase_per_px=manner.phase_per_nm * scale,
        absorption_per_px=manner.absorption_per_nm * scale,
        blur_px=0.5 * out.edge_px,
    )
    if out.size_px > _FACETTED_PX and rng.random() < manner.facetted:
        # the facets of all cavities of a crystal are parallel
        angle = manner.turn + rng.normal(0, 0.06)
        return replace(out, optics=optics, sides=int(rng.choice([4, 6, 6, 8])), angle=angle)
    return replace(out, optics=optics)


def _particle(rng: np.random.Generator, out: Look, form: dict[str, Any], manner: Manner) -> Look:
    """Add the strain of laths, needles and cuboids, and which of them are brighter than the matrix."""
    out = replace(out, sign=-1.0 if manner.bright else 1.0, lobes=manner.lobes)
    if rng.random() < form["strain_share"]:
        # seen under one diffraction vector the lobes point one way; not all needles obey
        away = rng.normal(0, 0.2) if rng.random() < 0.7 else rng.uniform(0, 2 * np.pi)
        out = replace(out, strain=draw(rng, form["strain"]), tail_angle=manner.tail_angle + away)
    return replace(out, sides=int(form["sides"])) if "sides" in form else out
