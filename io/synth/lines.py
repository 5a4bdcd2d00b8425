"""Line dislocations of a synthetic movie.

Their contrast along and across, and their exact truth; how they run is drawn in `line_shapes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from insitrack.io.arrays import Floats, Floats32

_LEAST_HALF_WIDTH_PX = 1.2  # a person's outline of a thin line is never thinner


@dataclass(frozen=True)
class Dislocation:
    """One line dislocation; positions are on the specimen, px.

    Parameters
    ----------
    track_id : int
        Its number.
    points : ndarray of float64, shape (K, 2)
        Centreline, px (x, y), about 1 px from point to point.
    contrast : ndarray of float64, shape (K,)
        Contrast along it, fraction of the mean brightness.
    sway_px : ndarray of float64, shape (K,)
        How far the image lies beside the line, px: it changes sides with the depth.
    width_px : float
        Full width at half maximum of the image, px.
    double_px : float
        Distance of the two images of a line that shows double; 0 for one.
    glide_px_per_s : tuple of float
        Velocity (x, y), px/s, from `starts_s` on.
    starts_s : float
        When it begins to glide, s.
    """

    track_id: int
    points: Floats
    contrast: Floats
    sway_px: Floats
    width_px: float
    double_px: float = 0.0
    glide_px_per_s: tuple[float, float] = (0.0, 0.0)
    starts_s: float = 0.0

    def offset_px(self, t_s: float) -> Floats:
        """How far it has glided, px (x, y)."""
        return np.array(self.glide_px_per_s) * max(0.0, t_s - self.starts_s)

    @property
    def half_width_px(self) -> float:
        """Half the width of the outline that a person would draw, px."""
        return max(_LEAST_HALF_WIDTH_PX, self.width_px / 2) + self.double_px / 2

    @cached_property
    def _band(
        self,
    ) -> tuple[
        NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], Floats32, Floats32, Floats32, Floats32
    ]:
        """Pixels near the line at rest.

        Row, column, nearest point, distance along and across, and the normal there.
        """
        reach = self.half_width_px + 1.3 * self.width_px + float(np.abs(self.sway_px).max()) + 2
        tree = cKDTree(self.points)
        x, y = _pixels_near(self.points, reach)
        distance, nearest = tree.query(np.stack([x + 0.5, y + 0.5], axis=1), distance_upper_bound=reach)
        near = np.isfinite(distance)
        x, y, nearest = x[near], y[near], nearest[near]
        tangent = np.gradient(self.points, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-12
        tx, ty = tangent[nearest].T
        dx, dy = x + 0.5 - self.points[nearest, 0], y + 0.5 - self.points[nearest, 1]
        return (
            y.astype(np.int32),
            x.astype(np.int32),
            nearest.astype(np.int32),
            (dx * tx + dy * ty).astype(np.float32),
            (dy * tx - dx * ty).astype(np.float32),
            (-ty).astype(np.float32),
            tx.astype(np.float32),
        )

    def drawn(
        self, shift: Floats, shape: tuple[int, int]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats32, NDArray[np.bool_]]:
        """Return what it does to the image when the specimen and the line itself have moved by `shift` px (x, y).

        Parameters
        ----------
        shift : ndarray of float64, shape (2,)
            Displacement, px (x, y).
        shape : tuple of int
            Height and width of the frame, px.

        Returns
        -------
        y, x : ndarray of int64, shape (N,)
            Pixels of the frame near the line, each once.
        loss : ndarray of float32, shape (N,)
            Fraction of the brightness that it takes away there.
        inside : ndarray of bool, shape (N,)
            Whether the pixel lies inside the outline.
        """
        row, column, nearest, along, across, nx, ny = self._band
        whole = np.round(shift)
        rest = shift - whole
        y, x = row + int(whole[1]), column + int(whole[0])
        seen = (y >= 0) & (x >= 0) & (y < shape[0]) & (x < shape[1])
        y, x, nearest = y[seen], x[seen], nearest[seen]
        # the line moved by less than a pixel against the grid: exact for a straight line, and lines bend
        # little within a pixel
        v = across[seen] - np.float32(rest[0]) * nx[seen] - np.float32(rest[1]) * ny[seen]
        u = along[seen] - np.float32(rest[0]) * ny[seen] + np.float32(rest[1]) * nx[seen]
        beyond = np.where(nearest == 0, -u, np.where(nearest == len(self.points) - 1, u, -np.float32(1e3)))
        end = 1 / (1 + np.exp(np.clip(beyond / 0.6, -30, 30)))
        two_variances = np.float32(2 * (self.width_px / 2.355) ** 2)
        w = v - self.sway_px[nearest].astype(np.float32)
        half = np.float32(self.double_px / 2)
        profile = np.exp(-((w - half) ** 2) / two_variances)
        if self.double_px:
            profile = np.maximum(profile, 0.85 * np.exp(-((w + half) ** 2) / two_variances))
        loss = profile * end * self.contrast[nearest]
        return (
            y.astype(np.int64),
            x.astype(np.int64),
            loss.astype(np.float32),
            (np.abs(v) <= self.half_width_px) & (beyond <= 0),
        )


@dataclass(frozen=True, slots=True)
class LineTruth:
    """The centreline of one line dislocation, as far as it is in view.

    Parameters
    ----------
    track_id : int
        Its number.
    pieces : tuple of ndarray of float64, shape (K, 2)
        Points in the frame, px (x, y); more than one piece where it leaves the view and comes back.
    visible : bool
        Whether a person could see it.
    """

    track_id: int
    pieces: tuple[Floats, ...]
    visible: bool

    @property
    def length_px(self) -> float:
        """Length in view, px."""
        return sum(float(np.linalg.norm(np.diff(piece, axis=0), axis=1).sum()) for piece in self.pieces)

    @property
    def middle_px(self) -> tuple[float, float]:
        """Mean of its points in view, px (x, y)."""
        x, y = np.concatenate(self.pieces).mean(axis=0).tolist()
        return x, y

    @property
    def angle_deg(self) -> float:
        """Direction from its first to its last point in view, degrees, 0 to less than 180, clockwise from x."""
        (x0, y0), (x1, y1) = self.pieces[0][0].tolist(), self.pieces[-1][-1].tolist()
        return math.degrees(math.atan2(y1 - y0, x1 - x0)) % 180


@dataclass(frozen=True, slots=True)
class LineScene:
    """All line dislocations of a movie.

    Parameters
    ----------
    lines : tuple of Dislocation
        In the order of their numbers.
    rule : dict
        Section ``visibility`` of ``synth.toml``.
    """

    lines: tuple[Dislocation, ...]
    rule: dict[str, Any]

    def paint(self, image: Floats32, t_s: float, shift: tuple[float, float]) -> None:
        """Darken `image` where the lines lie at time `t_s`, the specimen having moved by `shift` px (x, y)."""
        for line in self.lines:
            y, x, loss, _ = line.drawn(line.offset_px(t_s) + shift, (image.shape[0], image.shape[1]))
            image[y, x] *= 1 - loss

    def truth(
        self,
        t_s: float,
        shift: tuple[float, float],
        clear: NDArray[np.bool_],
        clutter_at: Callable[[float, float], float],
    ) -> tuple[LineTruth, ...]:
        """Centrelines at time `t_s`.

        Parameters
        ----------
        t_s : float
            Time, s.
        shift : tuple of float
            Displacement of the specimen, px (x, y).
        clear : ndarray of bool, shape (H, W)
            Where the frame shows the specimen.
        clutter_at : callable
            Local standard deviation of the background at a place (x, y) of the specimen.
        """
        return tuple(self._seen(line, t_s, shift, clear, clutter_at) for line in self.lines)

    def outlines(
        self,
        t_s: float,
        shift: tuple[float, float],
        clear: NDArray[np.bool_],
        clutter_at: Callable[[float, float], float],
    ) -> Iterator[tuple[NDArray[np.bool_], tuple[int, int], Dislocation, LineTruth]]:
        """Yield mask, its corner (y, x), the line and its centreline, for every line in view at time `t_s`.

        The arguments are those of `truth`.
        """
        for line, seen in zip(self.lines, self.truth(t_s, shift, clear, clutter_at), strict=True):
            y, x, _, inside = line.drawn(line.offset_px(t_s) + shift, (clear.shape[0], clear.shape[1]))
            kept = inside & clear[y, x]
            y, x = y[kept], x[kept]
            if not seen.pieces or not len(y):
                continue
            y0, x0 = int(y.min()), int(x.min())
            crop = np.zeros((int(y.max()) - y0 + 1, int(x.max()) - x0 + 1), bool)
            crop[y - y0, x - x0] = True
            yield crop, (y0, x0), line, seen

    def _seen(
        self,
        line: Dislocation,
        t_s: float,
        shift: tuple[float, float],
        clear: NDArray[np.bool_],
        clutter_at: Callable[[float, float], float],
    ) -> LineTruth:
        """Part of a line in view, and whether a person could see it."""
        seen = LineTruth(
            line.track_id, pieces_in_view(line.points + line.offset_px(t_s) + shift, clear), False
        )
        if seen.length_px < self.rule["line_length_px"]:
            return seen
        x, y = seen.middle_px
        least = max(
            self.rule["line_contrast"], self.rule["line_over_mottle"] * clutter_at(x - shift[0], y - shift[1])
        )
        return LineTruth(line.track_id, seen.pieces, bool(line.contrast.mean() >= least))


def pieces_in_view(points: Floats, clear: NDArray[np.bool_]) -> tuple[Floats, ...]:
    """Cut a centreline to the pixels where `clear` is True.

    Parameters
    ----------
    points : ndarray of float64, shape (K, 2)
        Points in the frame, px (x, y).
    clear : ndarray of bool, shape (H, W)
        Where the frame shows the specimen.

    Returns
    -------
    tuple of ndarray of float64, shape (k, 2)
        Pieces of at least two points.
    """
    height, width = clear.shape
    column, row = np.floor(points).astype(np.int64).T
    seen = (row >= 0) & (column >= 0) & (row < height) & (column < width)
    seen[seen] = clear[row[seen], column[seen]]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], seen, [False]]).astype(np.int8)))
    return tuple(points[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= 2)


def _pixels_near(points: Floats, reach: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Columns and rows of every pixel that can lie within `reach` px of the points.

    They are those of squares around every few of the points, each pixel once.
    """
    r = math.ceil(reach) + 2
    some = np.unique(
        np.floor(np.concatenate([points[:: max(1, r // 2)], points[-1:]])).astype(np.int64), axis=0
    )
    x0, y0 = some.min(axis=0) - 2 * r
    width, height = some.max(axis=0) + 2 * r + 1 - (x0, y0)
    seen = np.zeros((height, width), bool)
    for x, y in some.tolist():
        seen[y - y0 - r : y - y0 + r + 1, x - x0 - r : x - x0 + r + 1] = True
    row, column = np.nonzero(seen)
    return column + x0, row + y0
