"""The image of one defect: contrast profile and the outline that a person would draw, in a small crop."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Floats32
from insitrack.io.synth.cavity import Optics, depth_px, intensity


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a defect looks at one moment; lengths in px, angles in rad from x towards y.

    Parameters
    ----------
    form : str
        ``dot open_ellipse edge_on double_ring blob comma streak bean fresnel facet lath
        needle``.
    size_px : float
        Full length of the major axis of the outer contour.
    ratio : float
        Minor over major axis.
    angle : float
        Direction of the major axis.
    edge_px : float
        Softness of the edges.
    width_px : float
        Thickness of a ring or a bar.
    fill : float
        Darkness of the inside of a ring relative to the ring; of a facetted cavity how flat its middle is; of
        a lath how many stripes run along it.
    lean, lean_angle : float
        How much darker the ring is on one side, and which.
    wobble : tuple of (int, float, float)
        Order, amplitude and phase of the harmonics by which the contour departs from an ellipse.
    tail, tail_angle : float
        Contrast of a fainter companion relative to the defect, and in which direction it lies.
    lobes : float
        Two-fold variation of the contrast around a ring: positive where it runs along the long axis, negative
        at the tips.
    taper : float
        How much a bar narrows towards its ends: 0 not at all, 1 to points.
    inner : float
        Size of the inner ring over that of the outer one.
    strain : float
        Contrast of the strain lobes of a particle relative to its own, one dark and one bright; 0 for none.
    sides : int
        Corners of a facetted particle; 0 for an ellipse.
    moire_px : float
        Period of moire fringes; 0 for none.
    sign : float
        1 dark, -1 bright.
    optics : Optics
        Defocus and material, of cavities.
    """

    form: str
    size_px: float
    ratio: float = 1.0
    angle: float = 0.0
    edge_px: float = 1.0
    width_px: float = 3.0
    fill: float = 0.0
    lean: float = 0.0
    lean_angle: float = 0.0
    wobble: tuple[tuple[int, float, float], ...] = ()
    tail: float = 0.0
    tail_angle: float = 0.0
    lobes: float = 0.0
    taper: float = 0.0
    inner: float = 0.5
    strain: float = 0.0
    sides: int = 0
    moire_px: float = 0.0
    sign: float = 1.0
    optics: Optics = field(default_factory=Optics)

    def outline_px(self) -> tuple[float, float]:
        """Axes of the outline that a person would draw, px.

        It lies a little outside the half maximum of a soft edge, and includes the tail.
        """
        soft = (
            0.3 * self.edge_px if self.form in ("dot", "blob", "comma", "streak", "bean", "edge_on") else 0.0
        )
        minor = self.width_px if self.form == "edge_on" else self.size_px * self.ratio
        tail = 0.5 * self.size_px if self.tail > 0.5 else 0.0
        return self.size_px + soft + tail, minor + soft

    def reach_px(self) -> float:
        """Distance from the centre beyond which nothing is drawn."""
        slack = sum(abs(amplitude) for _, amplitude, _ in self.wobble)
        beyond = 0.9 * self.size_px if self.tail > 0 else 0.5 * self.size_px if self.strain > 0 else 0.0
        if self.form == "fresnel":
            beyond = self.optics.fringe_px
        elif self.form == "needle":
            beyond = 0.9 * self.size_px
        corner = math.hypot(1.0, self.ratio) if self.form == "lath" else 1.05
        return self.size_px / 2 * (corner + slack) + 2.5 * self.edge_px + beyond + 2


def picture(
    look: Look, x_px: float, y_px: float, shape: tuple[int, int]
) -> tuple[Floats32, NDArray[np.bool_], int, int] | None:
    """Contrast profile and outline of a defect, cut at the border of the frame.

    Parameters
    ----------
    look : Look
        The defect.
    x_px, y_px : float
        Its centre in the frame, px; pixel (0, 0) covers [0, 1) x [0, 1).
    shape : tuple of int
        Height and width of the frame, px.

    Returns
    -------
    profile : ndarray of float32, shape (h, w)
        Contrast relative to the defect's own, about 0..1; negative where it is brighter than the matrix.
    mask : ndarray of bool, shape (h, w)
        Filled outer contour.
    y0, x0 : int
        First row and column of the crop.

        None where the defect lies outside the frame.
    """
    reach = look.reach_px()
    y0, y1 = max(0, math.floor(y_px - reach)), min(shape[0], math.ceil(y_px + reach))
    x0, x1 = max(0, math.floor(x_px - reach)), min(shape[1], math.ceil(x_px + reach))
    if y1 <= y0 or x1 <= x0:
        return None
    x = np.arange(x0, x1, dtype=np.float32)[None, :] + np.float32(0.5 - x_px)
    y = np.arange(y0, y1, dtype=np.float32)[:, None] + np.float32(0.5 - y_px)
    profile, mask = _FORMS[look.form](look, x, y)
    return np.asarray(profile * np.float32(look.sign), np.float32), mask, y0, x0


def _turned(look: Look, x: Floats32, y: Floats32) -> tuple[Floats32, Floats32]:
    c, s = np.float32(math.cos(look.angle)), np.float32(math.sin(look.angle))
    return x * c + y * s, y * c - x * s


def _distance(look: Look, u: Floats32, v: Floats32) -> Floats32:
    """Signed distance from the contour, px, negative inside.

    It is exact on the contour and of first order in the distance elsewhere.
    """
    a, b = look.size_px / 2, look.size_px / 2 * look.ratio
    ua, vb = u / np.float32(a), v / np.float32(b)
    rho = np.sqrt(ua * ua + vb * vb) + np.float32(1e-3)
    slope = np.sqrt((ua / np.float32(a)) ** 2 + (vb / np.float32(b)) ** 2) / rho + np.float32(1e-3)
    if look.wobble or look.sides:
        theta = np.arctan2(vb, ua)
        bulge = np.float32(1)
        for order, amplitude, phase in look.wobble:
            bulge = bulge + np.float32(amplitude) * np.cos(order * theta + np.float32(phase))
        if look.sides:
            sector = np.float32(2 * math.pi / look.sides)
            corners = np.float32(math.cos(math.pi / look.sides) ** 0.5) / np.cos(
                (theta % sector) - sector / 2
            )
            # the sides of a loop meet in rounded corners
            bulge = bulge * (corners ** np.float32(0.65) if look.form == "double_ring" else corners)
        rho = rho / bulge
    return np.asarray((rho - 1) / slope, np.float32)


def _solid(d: Floats32, edge_px: float) -> Floats32:
    """1 inside, 1/2 on the contour, 0 outside."""
    return np.asarray(0.5 - 0.5 * np.tanh(d / np.float32(edge_px)), np.float32)


def _band(d: Floats32, width_px: float, edge_px: float) -> Floats32:
    """Draw a ring just inside the contour, with its outer half maximum about on the contour."""
    sd = np.float32(0.42 * math.hypot(width_px, edge_px))
    return np.asarray(np.exp(-(((d + np.float32(width_px / 2)) / sd) ** 2) / 2), np.float32)


def _side(look: Look, x: Floats32, y: Floats32) -> Floats32 | np.float32:
    """Factor that makes some parts of a ring darker than others; its largest value is about 1."""
    if look.lean == 0 and look.lobes == 0:
        return np.float32(1)
    direction = np.arctan2(y, x)
    strength: Floats32 = np.asarray(
        1 + np.float32(look.lean) * np.cos(direction - np.float32(look.lean_angle)), np.float32
    )
    if look.lobes:
        strength -= np.float32(look.lobes) * np.cos(2 * (direction - np.float32(look.angle)))
    return np.asarray(np.maximum(strength, 0) / np.float32(1 + look.lean + 0.7 * abs(look.lobes)), np.float32)


def _dot(look: Look, x: Floats32, y: Floats32) -> tuple[Floats32, NDArray[np.bool_]]:
    d = _distance(look, *_turned(look, x, y))
    return _solid(d, look.edge_px), d <= 0.15 * look.edge_px


def _comma(look: Look, x: Floats32, y: Floats32) -> tuple[Floats32, NDArray[np.bool_]]:
    """Draw a dark head with a fainter companion that a person outlines only where it is clearly darker."""
    d = _distance(look, *_turned(look, x, y))
    head = _solid(d, look.edge_px)
    if look.tail <= 0:
        return head, d <= 0.15 * look.edge_px
    c, s = math.cos(look.tail_angle), math.sin(look.tail_angle)
    away = np.float32(0.52 * look.size_px)
    along, across = x * np.float32(c) + y * np.float32(s) - away, y * np.float32(c) - x * np.float32(s)
    rho = np.sqrt(
        (along / np.float32(0.5 * look.size_px)) ** 2 + (across / np.float32(0.26 * look.size_px)) ** 2
    )
    companion = np.float32(look.tail) * _solid(
        (rho - 1) * np.float32(0.35 * look.size_px), 1.4 * look.edge_px
    )
    outline = d <= 0.15 * look.edge_px
    if look.tail > 0.5:
        outline = outline | (rho <= 1)
    return np.maximum(head, companion), outline


def _bean(look: Look, x: Floats32, y: Floats32) -> tuple[Floats32, NDArray[np.bool_]]:
    """Draw two lobes either side of a line of no contrast."""
    u, v = _turned(look, x, y)
    d = _distance(look, u, v)
    gap = 1 - np.float32(look.fill) * np.exp(-((u / np.float32(0.16 * look.size_px)) ** 2))
    return np.asarray(_solid(d, look.edge_px) * gap * _side(look, x, y), np.float32), d <= 0.15 * look.edge_px


def _open_ellipse(look: Look, x: Floats32, y: Floats32) -> tuple[Floats32, NDArray[np.bool_]]:
    d = _distance(look, *_turned(look, x, y))
    ring = _band(d, look.width_px, look.edge_px) * _side(look, x, y)
    inside = np.float32(look.fill) * _solid(d + np.float32(look.width_px / 2), look.edge_px)
    return np.maximum(ring, inside), d <= 0


def _double_ring(look: Look, x: Floats32, y: Floats32) -> tuple[Floats32, NDArray[np.bool_]]:
    """Draw two concentric rings, round or with four rounded corners, sometimes with a dark middle."""
    d = _distance(look, *_turned(look, x, y))
    gap = max(1.9 * look.width_px, (1 - look.inner) * 0.5 * look.size_px * look.ratio)
    inner = _band(d + np.float32(gap), look.width_px, look.edge_px)
    ring = np.maximum(_band(d, look.width_px, look.edge_px), np.float32(0.75) * inner) * _side(look, x, y)
    inside = np.float32(look.fill) * _solid(d + np.float32(look.width_px / 2), look.edge_px)
    return np.maximum(ring, inside).astype(np.float32), d <= 0


def _edge_on(look: Look, x: Floats32, y: Floats32) -> tuple[Floats32, NDArray[np.bool_]]:
    """Draw a bar; one that tapers is thickest in the middle, as a loop a little off edge-on is."""
    u, v = _turned(look, x, y)
    half = np.float32(max(0.0, (look.size_px - look.width_px) / 2))
    if look.taper > 0:
        across = np.sqrt(np.maximum(1 - (u / np.float32(look.size_px / 2)) ** 2, 0))
        v = v / np.maximum(1 - np.float32(look.taper) * (1 - across), np.float32(0.15))
    d = np.hypot(np.maximum(np.abs(u) - half, 0), v) - np.float32(look.width_px / 2)
    return _solid(d, look.edge_px), d <= 0.15 * look.edge_px


def _fresnel(look: Look, x: Floats32, y: Floats32) -> tuple[Floats32, NDArray[np.bool_]]:
    """Draw a cavity out of focus; its outline is its edge, inside the dark fringe of underfocus."""
    reach = look.reach_px()
    # a cavity cut by the border of the frame is imaged whole: the fringes need all of it
    rows, columns = (_whole(part, reach) for part in (y[:, 0], x[0]))
    d = _distance(look, *_turned(look, columns[None, :], rows[:, None]))
    radius = look.size_px / 2 * look.ratio**0.5
    image = intensity(depth_px(d, radius, flat=look.fill if look.sides else None), look.optics)
    profile = (1 - image) / max(float(np.abs(1 - image).max()), 1e-6)
    fading = np.clip((reach - np.hypot(columns[None, :], rows[:, None])) / np.float32(0.15 * reach), 0, 1)
    top, left = round(float(y[0, 0] - rows[0])), round(float(x[0, 0] - columns[0]))
    cut = np.s_[top : top + len(y), left : left + x.shape[1]]
    return np.asarray((profile * fading)[cut], np.float32), np.asarray(d[cut] <= 0)


def _whole(part: Floats32, reach_px: float) -> Floats32:
    """Coordinates of the pixels of a crop along one axis, continued until `reach_px` on both sides."""
    before = max(0, math.ceil(reach_px + float(part[0])))
    after = max(0, math.ceil(reach_px - float(part[-1])))
    return np.asarray(part[0] + np.arange(-before, len(part) + after), np.float32)


def _facet(look: Look, x: Floats32, y: Floats32) -> tuple[Floats32, NDArray[np.bool_]]:
    u, v = _turned(look, x, y)
    d = _distance(look, u, v)
    body = _solid(d, look.edge_px)
    if look.moire_px > 0:
        direction = x * np.float32(math.cos(look.lean_angle)) + y * np.float32(math.sin(look.lean_angle))
        body = body * (
            np.float32(0.7) + np.float32(0.3) * np.cos(np.float32(2 * math.pi / look.moire_px) * direction)
        )
    if look.strain > 0:
        # black-white lobes either side of a misfitting particle, on a line of no contrast
        across = x * np.float32(math.cos(look.tail_angle)) + y * np.float32(math.sin(look.tail_angle))
        radius = np.float32(0.5 * look.size_px)
        lobe = (
            across
            / radius
            * np.exp(-np.maximum(d, 0) / (np.float32(0.45) * radius))
            * (1 - _solid(d, look.edge_px))
        )
        body += np.float32(look.strain) * np.clip(lobe, -1, 1)
    return np.asarray(body, np.float32), d <= 0


def _lath(look: Look, x: Floats32, y: Floats32) -> tuple[Floats32, NDArray[np.bool_]]:
    """Draw a lath or plate seen from its side: straight sides, stripes along it, a bright band on one side."""
    u, v = _turned(look, x, y)
    half, width = np.float32(look.size_px / 2), np.float32(look.size_px * look.ratio)
    d = np.maximum(np.abs(u) - half, np.abs(v) - width / 2)
    phase = np.float32(2 * math.pi * (0.5 + look.fill)) * v / width + np.float32(look.lean_angle)
    body = _solid(d, look.edge_px) * (np.float32(0.55) + np.float32(0.45) * np.cos(phase))
    side = v if look.lean_angle > math.pi else -v
    band = np.exp(-(((side - np.float32(0.9) * width) / (np.float32(0.35) * width + np.float32(0.7))) ** 2))
    bright = band * _solid(np.abs(u) - half, look.edge_px)
    return np.asarray(body - np.float32(look.strain) * bright, np.float32), d <= 0.15 * look.edge_px


def _needle(look: Look, x: Floats32, y: Floats32) -> tuple[Floats32, NDArray[np.bool_]]:
    """Draw a needle seen end-on: a dark spot, bright in the middle if large, and lobes of its strain around it."""
    d = _distance(look, *_turned(look, x, y))
    body = _solid(d, look.edge_px)
    if look.inner > 0.62:
        body -= np.float32(1.3) * _solid(d + np.float32(0.3 * look.size_px), look.edge_px)
    order = 2 if look.lobes > 0 else 1
    lobes = np.cos(order * (np.arctan2(y, x) - np.float32(look.tail_angle)))
    around = np.exp(-np.maximum(d, 0) / np.float32(0.3 * look.size_px)) * (1 - _solid(d, look.edge_px))
    return np.asarray(body + np.float32(look.strain) * lobes * around, np.float32), d <= 0.15 * look.edge_px


_FORMS = {
    "dot": _dot,
    "blob": _comma,
    "comma": _comma,
    "streak": _comma,
    "bean": _bean,
    "open_ellipse": _open_ellipse,
    "double_ring": _double_ring,
    "edge_on": _edge_on,
    "fresnel": _fresnel,
    "facet": _facet,
    "lath": _lath,
    "needle": _needle,
}
