"""From a map of dislocation pixels to single lines and their lengths.

The skeleton becomes a graph, whose crossings and gaps are resolved by direction and curvature.

A line is a chain of pixels, int32 (K, 2), row and column, each an 8-neighbour of the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import BoolImage, Floats
from insitrack.io.detections import Masks
from insitrack.segment.lines.graph import Arm, pruned, skeleton_graph, thin
from insitrack.segment.lines.length import Chain, LengthMethod, chain_length

_FIT_PX = 20  # pixels of an arm that give its direction and curvature at the crossing
_NEARLY_ALONG = 0.8  # cosine of the angle, at most, between lines that begin to coincide


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSettings:
    """How lines are put together; lengths in widths of the lines of the map that is traced.

    Parameters
    ----------
    spur : float
        A side branch shorter than this is a bump of the outline and is pruned.
    bridge : float
        Two crossings closer than this along the skeleton are one crossing, whose middle both lines share.
    overlap : float
        So are two forks up to this far apart whose arms all run nearly along the stretch between them: two
        lines that coincide there.
    gap : float
        Free ends closer than this may belong to one line whose contrast vanished between them.
    most_turn_deg : float
        Two arms are one line only where joining them turns by less than this, in all.
    least_length_px : float
        Shorter lines are dropped.
    """

    spur: float = 1.0
    bridge: float = 4.0
    overlap: float = 20.0
    gap: float = 3.0
    most_turn_deg: float = 75.0
    least_length_px: float = 12.0


@dataclass(frozen=True, slots=True)
class _End:
    """One end of an arm: where it is, where it points (away from the arm), how that turns per px.

    It also says at which crossing it is.
    """

    arm: int
    side: int
    place: Floats
    heading: Floats
    bend: Floats
    node: int

    def carried_on(self, distance_px: float) -> tuple[Floats, Floats]:
        """Place and heading of the arm, carried on by a distance with the curvature that it has."""
        s = min(distance_px, float(_FIT_PX))
        heading = self.heading + self.bend * s
        place = self.place + self.heading * s + self.bend * s * s / 2
        return place + heading * (distance_px - s), heading / (np.hypot(*heading) + 1e-9)


def _end(arms: Sequence[Arm], arm: int, side: int, node: int) -> _End:
    """Direction and curvature at the end of an arm, by a quadratic through its last pixels."""
    points = arms[arm].chain if side == 1 else arms[arm].chain[::-1]
    near = points[-_FIT_PX:].astype(np.float64)
    place = points[-1].astype(np.float64)
    if len(near) < 2:
        return _End(arm, side, place, np.zeros(2), np.zeros(2), node)
    s = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(near, axis=0), axis=1))])
    s -= s[-1]
    # the last pixels lean towards the other line's skeleton: they count less
    weight = np.clip(-s / 4, 0.15, 1)
    terms = np.polynomial.polynomial.polyfit(s, near, 2 if len(near) >= 12 else 1, w=weight)
    bend = 2 * terms[2] if len(terms) > 2 else np.zeros(2)
    return _End(arm, side, place, terms[1] / (np.hypot(*terms[1]) + 1e-9), bend, node)


def _turn(a: _End, b: _End) -> float:
    """How badly two arms fit as one line, rad.

    Both are carried on to the middle between them, and miss each other there by an angle.

    To the angle between their headings comes the one under which they see their distance.
    """
    if not a.heading.any() or not b.heading.any():
        return np.pi
    half = float(np.hypot(*(b.place - a.place))) / 2
    (place_a, heading_a), (place_b, heading_b) = a.carried_on(half), b.carried_on(half)
    angle = float(np.arccos(np.clip(-(heading_a @ heading_b), -1, 1)))
    return angle + float(np.arctan2(np.hypot(*(place_a - place_b)), max(half, 6.0)))


def _merged_nodes(arms: list[Arm], bridge_px: float, overlap_px: float) -> tuple[list[Arm], dict[int, int]]:
    """Join crossings that belong to one; give the arms that are left, and the joint number of each crossing."""
    parent: dict[int, int] = {node: node for arm in arms for node in arm.nodes if node > 0}

    def root(node: int) -> int:
        while parent[node] != node:
            node = parent[node]
        return node

    def join(arm: Arm) -> None:
        parent[root(arm.nodes[0])] = root(arm.nodes[1])

    short = [arm for arm in arms if min(arm.nodes) > 0 and len(arm.chain) - 2 < bridge_px]
    for arm in short:
        join(arm)
    kept = [arm for arm in arms if not any(arm is other for other in short)]
    at: dict[int, list[tuple[int, int]]] = {}
    for i, arm in enumerate(kept):
        for side in (0, 1):
            if arm.nodes[side] > 0:
                at.setdefault(root(arm.nodes[side]), []).append((i, side))
    shared = [
        arm
        for i, arm in enumerate(kept)
        if min(arm.nodes) > 0
        and len(arm.chain) < overlap_px
        and root(arm.nodes[0]) != root(arm.nodes[1])
        and all(_runs_into(kept, i, side, at[root(arm.nodes[side])]) for side in (0, 1))
    ]
    for arm in shared:
        join(arm)
    return [arm for arm in kept if not any(arm is other for other in shared)], {
        node: root(node) for node in parent
    }


def _runs_into(arms: Sequence[Arm], stretch: int, side: int, there: Sequence[tuple[int, int]]) -> bool:
    """Check whether at this side of a stretch two arms go on, both of them nearly straight ahead."""
    others = [end for end in there if end != (stretch, side)]
    if len(others) != 2:
        return False
    ahead = _end(arms, stretch, side, 0).heading
    return all(float(-(ahead @ _end(arms, i, k, 0).heading)) > _NEARLY_ALONG for i, k in others)


def _pairs(
    ends: Sequence[_End], settings: LineSettings, width_px: float
) -> dict[tuple[int, int], tuple[int, int]]:
    """Find the ends that belong together, straightest first: at one crossing, or free ends across a gap."""
    limit = np.radians(settings.most_turn_deg)
    offers = []
    for i, a in enumerate(ends):
        for j in range(i + 1, len(ends)):
            b = ends[j]
            if a.node != b.node or (a.arm == b.arm and a.node < 0):
                continue
            distance = float(np.hypot(*(a.place - b.place)))
            if a.node < 0 and distance > settings.gap * width_px:
                continue
            turn = _turn(a, b)
            # a gap must be earned: the farther, the straighter
            allowed = limit if a.node > 0 else 0.7 * limit
            if turn < allowed:
                offers.append((turn + (0.0 if a.node > 0 else np.pi + distance), i, j))
    out: dict[tuple[int, int], tuple[int, int]] = {}
    for _, i, j in sorted(offers):
        one, other = (ends[i].arm, ends[i].side), (ends[j].arm, ends[j].side)
        if one not in out and other not in out:
            out[one], out[other] = other, one
    return out


def _straight(a: NDArray[np.int32], b: NDArray[np.int32]) -> Chain:
    """Pixels of the straight line between two pixels, both left out."""
    n = int(np.abs(b - a).max())
    if n < 2:
        return np.zeros((0, 2), np.int32)
    t = np.arange(1, n)[:, None] / n
    return np.asarray(np.floor(a + t * (b - a) + 0.5), np.int32)


def _walk(
    arms: Sequence[Arm], pairs: dict[tuple[int, int], tuple[int, int]], start: tuple[int, int]
) -> tuple[Chain, set[int]]:
    """Follow a line from one end of an arm through every pair to its other end."""
    chain: list[Chain] = []
    used: set[int] = set()
    here: tuple[int, int] | None = start
    while here is not None and here[0] not in used:
        arm, side = here
        used.add(arm)
        points = arms[arm].chain if side == 0 else arms[arm].chain[::-1]
        if chain:
            chain.append(_straight(chain[-1][-1], points[0]))
            chain = [part for part in chain if len(part)]
        chain.append(points)
        here = pairs.get((arm, 1 - side))
    joined = np.concatenate(chain)
    return joined[np.concatenate([[True], (np.diff(joined, axis=0) != 0).any(axis=1)])], used


def trace_lines(mask: BoolImage, settings: LineSettings | None = None) -> list[Chain]:
    """Cut a map of dislocation pixels, or of their centrelines, into single lines; two that cross stay two.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W)
        True on the lines.
    settings : LineSettings, optional
        How lines are put together.

    Returns
    -------
    list of ndarray of int32, shape (K, 2)
        Row and column of the pixels of each centreline, the longest line first.

    Examples
    --------
    >>> cross = np.zeros((61, 61), bool)
    >>> cross[29:32, 3:58] = cross[3:58, 29:32] = True
    >>> [len(line) > 50 for line in trace_lines(cross)]
    [True, True]
    """
    settings = settings or LineSettings()
    width_px = line_width_px(mask)
    skeleton = pruned(thin(mask), max(3.0, settings.spur * width_px))
    arms, _ = skeleton_graph(skeleton)
    arms, joint = _merged_nodes(arms, settings.bridge * width_px, settings.overlap * width_px)
    ends = [
        _end(arms, i, side, joint.get(arm.nodes[side], -1))
        for i, arm in enumerate(arms)
        for side in (0, 1)
        if not _closed(arm.chain)
    ]
    pairs = _pairs(ends, settings, width_px)
    free = [(i, side) for i in range(len(arms)) for side in (0, 1) if (i, side) not in pairs]
    lines, done = [], set[int]()
    for start in [*free, *((i, 0) for i in range(len(arms)))]:  # the second time round: closed curves
        if start[0] not in done:
            line, used = _walk(arms, pairs, start)
            done |= used
            lines.append(line)
    return sorted(
        (line for line in lines if chain_length(line) >= settings.least_length_px), key=len, reverse=True
    )


def _closed(chain: Chain) -> bool:
    return len(chain) > 3 and bool((chain[0] == chain[-1]).all())


def line_masks(chains: Sequence[Chain], mask: BoolImage) -> Masks:
    """Outline of each line: the pixels of the class map that are nearest to it.

    Pixels of a crossing belong to both lines.

    Parameters
    ----------
    chains : sequence of ndarray of int32, shape (K, 2)
        Row and column of the pixels of each centreline.
    mask : ndarray of bool, shape (H, W)
        Map of dislocation pixels.

    Returns
    -------
    Masks
        One per line, in their order.
    """
    if not len(chains):
        return Masks.empty()
    width = line_width_px(mask)
    pixels = np.concatenate(chains)
    raster = np.ones(mask.shape, np.uint8)
    raster[pixels[:, 0], pixels[:, 1]] = 0
    distance, labels = cv2.distanceTransformWithLabels(raster, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    owner = np.zeros(int(labels.max()) + 1, np.int64)
    for k in range(
        len(chains) - 1, -1, -1
    ):  # a shared pixel counts as the longest line's; the others get theirs below
        owner[labels[chains[k][:, 0], chains[k][:, 1]]] = k
    near = mask & (distance <= 1.5 * width)
    crops, corners = [], []
    reach = int(2 * width) + 2
    for k, chain in enumerate(chains):
        low = np.maximum(chain.min(axis=0) - reach, 0)
        high = np.minimum(chain.max(axis=0) + reach + 1, mask.shape)
        window = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])))
        own = near[window] & (owner[labels[window]] == k)
        alone = np.ones(own.shape, np.uint8)
        alone[chain[:, 0] - low[0], chain[:, 1] - low[1]] = 0
        half = max(1.0, np.count_nonzero(own) / len(chain) / 2)
        crops.append(
            own | (alone == 0) | (mask[window] & (cv2.distanceTransform(alone, cv2.DIST_L2, 5) <= half))
        )
        corners.append((int(low[0]), int(low[1])))
    dense = [_tight(crop, corner) for crop, corner in zip(crops, corners, strict=True)]
    return Masks.from_crops([crop for crop, _ in dense], [corner for _, corner in dense])


def _tight(crop: BoolImage, corner: tuple[int, int]) -> tuple[BoolImage, tuple[int, int]]:
    rows, columns = np.flatnonzero(crop.any(axis=1)), np.flatnonzero(crop.any(axis=0))
    return crop[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], (
        corner[0] + int(rows[0]),
        corner[1] + int(columns[0]),
    )


def line_width_px(mask: BoolImage) -> float:
    """Mean width of the lines of a map, px: their area over the length of their skeleton; 0 for an empty map."""
    skeleton = thin(mask)
    n = np.count_nonzero(skeleton)
    # a step along a skeleton is 1.11 px long on average over all directions
    return np.count_nonzero(mask) / (1.11 * n) if n else 0.0


def line_length_px(mask: BoolImage, method: LengthMethod = "vossepoel_smeulders") -> float:
    """Length of one line dislocation from its mask, px.

    The skeleton ends up to half a line width before the line does: each end is carried on, the way it points,
    to the border of the mask.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W)
        Its outline, in one or more pieces.
    method : {"vossepoel_smeulders", "kulpa", "freeman"}
        Estimator of the length of the skeleton.

    Returns
    -------
    float
        0 for an empty mask.

    Examples
    --------
    >>> bar = np.zeros((20, 130), bool)
    >>> bar[8:13, 10:110] = True
    >>> bool(abs(line_length_px(bar) - 100) < 2)
    True
    """
    width = line_width_px(mask)
    if not width:
        return 0.0
    chains = trace_lines(mask, LineSettings(spur=1.5, least_length_px=0.0))
    if not chains or len(chains[0]) < 2:
        return float(max(mask.any(axis=0).sum(), mask.any(axis=1).sum()))  # a round speck has no direction
    whole = chains[0]
    # what is left beside the longest line counts where it is another piece of it, not a bump of the outline
    counted = [chain for chain in chains if chain is whole or len(chain) > 3 * width]
    return sum(
        chain_length(chain, method) + (0.0 if _closed(chain) else _beyond(chain, mask, 4 * width))
        for chain in counted
    )


def _beyond(chain: Chain, mask: BoolImage, most_px: float) -> float:
    """Distance from each end of a chain to the border of the mask along the direction of that end, px.

    It is at most `most_px`.
    """
    total = 0.0
    for side in (0, 1):
        end = _end([Arm(chain, [-1, -1])], 0, side, -1)
        for step in np.arange(0.25, most_px, 0.25):
            y, x = np.floor(end.place + 0.5 + step * end.heading).astype(int).tolist()
            if not (0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x]):
                break
            total += 0.25
    return total
