r"""Whether what is seen after a gap is the same defect, or a stranger that came when the first one had gone.

The same one is seen again after g missed frames, at a distance r, with the density P(g) f(r); a stranger turns up
there with the density :math:`\lambda (1 - (1 - e)^{g+1} P(0))`: beginnings per area and frame, times the chance that
the first one has gone by then, or is missed in that very frame. All four are taken from the movie. Where many defects
are born and die, the second is the larger one after a few frames already, and a death and a birth at one place must
not become one long life.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from insitrack.io.arrays import Bools, Floats, Ints

_NUS = np.array([3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 30.0])
"""Degrees of freedom that the distribution of steps may have (Student's, in the plane): few where outlines leap, many
where positions have nothing but noise."""
_TIGHT, _FAR = 2.5, 5.0
"""Steps up to so many scales are the noise of one defect; from so many on they may be strangers."""
_OWN_STEPS = 8
"""Steps to the next frame that a track must have to be given a scale of its own."""
_MOST_GAPS = 60
_LEAPS, _MOST_LEAPS, _LEAP_DIAMETERS, _TIMES_CHANCE = 5e-4, 0.05, 0.7, 10.0
"""Least and largest share of steps that are leaps, of a loop that glides or of an outline that takes in half of it; how
far they go; and how often as many as strangers the long steps must be: exchanges with neighbours are some."""
_JUST_ENDED, _LEAST_ELSEWHERE = 20, 0.05
"""Frames after which nothing is left of a track that has ended, and least share of the area that is elsewhere."""
_UNSEEN_GAPS = 0.5
"""Gaps of any length that are allowed for beside those that were seen."""
_LASTING = 3
"""Tracks of so many observations tell how long one lasts: shorter ones are mostly false detections."""
_OWN_GAPS = 5
"""Gaps up to this many frames have a chance of their own each; longer ones share one."""
_SIDE_OBSERVATIONS = 5
"""Observations on either side from which the velocity of a track is taken."""


@dataclass(frozen=True, slots=True)
class Strangers:
    """What a movie tells of gaps, steps and beginnings.

    Parameters
    ----------
    scale2_px2 : ndarray of float64, shape (N,)
        Square of the scale of a step to the next frame in one direction, of the track of each observation, px^2.
    widening_px2 : float
        What each missed frame adds to it, px^2.
    freedom : float
        Degrees of freedom of the distribution of steps.
    gap_chance : ndarray of float64, shape (G,)
        Chance that a defect that is there is seen again after exactly so many missed frames.
    begin_per_px2 : float
        Beginnings per area and frame, 1/px^2.
    end_chance : float
        Chance that a track ends from one frame to the next.
    leaps : float
        Share of steps that are leaps.
    births_per_px2 : float
        Beginnings of tracks that last, per area and frame, 1/px^2.
    """

    scale2_px2: Floats
    widening_px2: float
    freedom: float
    gap_chance: Floats
    begin_per_px2: float
    end_chance: float
    leaps: float
    births_per_px2: float

    @classmethod
    def of(cls, track: Ints, place: Ints, points: Floats, diameter: Floats, n_looks: int) -> Strangers:
        """Learn from tracks as they were linked.

        Parameters
        ----------
        track, place : ndarray of int64, shape (N,)
            Track and frame (from 0) of each observation, sorted by both.
        points : ndarray of float64, shape (N, 2)
            Places on the specimen, px.
        diameter : ndarray of float64, shape (N,)
            px.
        n_looks : int
            Frames of the movie.
        """
        same = track[1:] == track[:-1]
        gap = (np.diff(place) - 1)[same]
        length2 = leftover(track, place, points)[same] ** 2
        scale2, widening, freedom, own = _scales(track, place, points, length2, gap, same)
        spread = np.maximum(scale2, own[1:][same])
        wide = spread + widening * np.minimum(gap, _MOST_GAPS)
        far = int(np.count_nonzero(length2 > _FAR**2 * wide))
        begin = _begin_per_px2(track, place, points, diameter, n_looks, far)
        n_begin = begin * _room_px2(points) * max(n_looks - 1, 1)
        n_seen = np.unique(track, return_counts=True)[1]
        lasting = n_seen >= _LASTING
        n_end = max(float(np.count_nonzero(lasting) + far), 0.5)
        end = min(n_end / max(int(n_seen[lasting].sum()), 1), 0.9)
        tight = length2 < _TIGHT**2 * wide
        resumed = _resumed(track, place, points, scale2, widening)
        room = math.pi * _TIGHT**2 * (scale2 + widening * np.arange(_MOST_GAPS + 1, dtype=np.float64))
        by_chance = np.asarray(n_begin * begin * room, np.float64)
        chance = _gap_chance(np.concatenate([gap[tight], resumed]), by_chance)
        missed = 1 - (1 - end) * chance[0]
        near, size = gap == 0, diameter[1:][same]
        leaps = _leap_share(length2[near], spread[near], size[near], begin * missed)
        starts = np.flatnonzero(np.append(True, ~same)) if len(track) else np.zeros(0, np.int64)
        births = max(float(np.count_nonzero(lasting & (place[starts] > 0))), 0.5) / (
            _room_px2(points) * max(n_looks - 1, 1)
        )
        return cls(np.maximum(scale2, own), widening, freedom, chance, begin, end, leaps, births)

    def log_ratio(
        self,
        gap: Ints,
        distance_px: Floats,
        diameter_px: Floats,
        scale2_px2: Floats,
        settled: Bools | None = None,
    ) -> Floats:
        """Logarithm of how much likelier one defect is than a stranger.

        Parameters
        ----------
        gap : ndarray of int64, shape (P,)
            Frames missed in between.
        distance_px, diameter_px : ndarray of float64, shape (P,)
            Distance beyond what the motion of the track explains, and diameter of the defect.
        scale2_px2 : ndarray of float64, shape (P,)
            That of the track, as `Strangers.scale2_px2` has it for each observation.
        settled : ndarray of bool, shape (P,), optional
            The one was seen three times and never again, and what follows was seen three times: then the first has
            ended for good, and false detections are no strangers. Left out: nowhere.
        """
        at = np.minimum(np.asarray(gap, np.int64), _MOST_GAPS)
        scale2, nu = scale2_px2 + self.widening_px2 * at, self.freedom
        steps = (1 + distance_px**2 / (nu * scale2)) ** (-1 - nu / 2) / (2 * math.pi * scale2)
        leaps = self.leaps * (distance_px < _LEAP_DIAMETERS * diameter_px) / (math.pi * _LEAP_DIAMETERS**2)
        same = self.gap_chance[at] * np.maximum(steps, leaps / diameter_px**2)
        # the first one has gone, or is missed in that very frame
        seen = np.exp((at + 1) * math.log1p(-self.end_chance)) * self.gap_chance[0]
        stranger = self.begin_per_px2 * (1 - seen)
        if settled is not None:
            ended = -np.expm1((at + 1) * math.log1p(-self.end_chance))
            stranger = np.where(settled, self.births_per_px2 * ended, stranger)
        return np.asarray(np.log(np.maximum(same, 1e-300)) - np.log(stranger))


def leftover(track: Ints, place: Ints, points: Floats) -> Floats:
    """Length of each step that the motion of its track before or after does not explain, px, shape (N - 1,).

    Steps from one track to the next mean nothing.
    """
    step, frames = np.diff(points, axis=0), np.diff(place)
    answer = np.linalg.norm(step, axis=1)
    n = len(track)
    for way in (-1, 1):
        speed, known = np.zeros_like(step), np.zeros(len(step), bool)
        near = np.arange(n - 1) + (way > 0)
        for k in range(_SIDE_OBSERVATIONS, 1, -1):  # the longest stretch of the same track
            far = near + way * k
            inside = ~known & (far >= 0) & (far < n)
            inside[inside] = track[far[inside]] == track[near[inside]]
            time = place[near[inside]] - place[far[inside]]
            speed[inside] = (points[near[inside]] - points[far[inside]]) / np.where(time, time, 1)[:, None]
            known |= inside
        answer = np.minimum(answer, np.linalg.norm(step - speed * frames[:, None], axis=1))
    return np.asarray(answer)


def _leap_share(length2: Floats, scale2: Floats, diameter: Floats, strangers_per_px2: float) -> float:
    """Share of steps to the next frame that are leaps: long ones that are many times as many as strangers."""
    reach2 = (_LEAP_DIAMETERS * diameter) ** 2
    far = int(np.count_nonzero((length2 > _FAR**2 * scale2) & (length2 < reach2)))
    by_chance = strangers_per_px2 * math.pi * float(reach2.sum())
    return float(np.clip((far - _TIMES_CHANCE * by_chance) / max(len(length2), 1), _LEAPS, _MOST_LEAPS))


def _late_chance(tail: Floats, otherwise: float) -> float:
    """Chance of being seen again, frame by frame, from the lengths of long gaps of which the longest are not there.

    Maximum likelihood of a geometric law that is cut off: its mean is that of the gaps.
    """
    n = float(tail.sum())
    if n < 1:
        return otherwise
    length = np.arange(1, 1 + max(int(np.flatnonzero(tail)[-1]) + 1, _JUST_ENDED - _OWN_GAPS))
    mean = float((tail[: len(length)] * length[: len(tail)]).sum() / n)
    chances = np.geomspace(0.005, 0.99, 80)
    law = (1 - chances[:, None]) ** (length - 1)
    return float(chances[np.argmin(np.abs((law * length).sum(axis=1) / law.sum(axis=1) - mean))])


def _room_px2(points: Floats) -> float:
    """Area that was looked at, px^2."""
    return float(np.maximum(np.ptp(points, axis=0), 1.0).prod()) if len(points) else 1.0


def _begin_per_px2(
    track: Ints, place: Ints, points: Floats, diameter: Floats, n_looks: int, far: int
) -> float:
    """Beginnings of strangers per area and frame, 1/px^2; `far` more are hidden in steps that are too long.

    What begins where another track has just ended is mostly the same defect again, and how often strangers do so
    follows from those that begin elsewhere and the share of the area that is elsewhere.
    """
    if not len(track):
        return 0.5 / max(n_looks - 1, 1)
    edge = track[1:] != track[:-1]
    first, last = np.flatnonzero(np.append(True, edge)), np.flatnonzero(np.append(edge, True))
    first, room, looks = first[place[first] > 0], _room_px2(points), max(n_looks - 1, 1)
    if not len(first):
        return max(far, 0.5) / (room * looks)
    reach = _LEAP_DIAMETERS * float(np.median(diameter))
    near = cKDTree(points[first]).sparse_distance_matrix(cKDTree(points[last]), reach, output_type="ndarray")
    gap = place[first[near["i"]]] - place[last[near["j"]]]
    again = np.unique(near["i"][(gap > 0) & (gap <= _JUST_ENDED)])
    elsewhere = math.exp(-len(last) / looks * _JUST_ENDED * math.pi * reach**2 / room)
    if elsewhere < _LEAST_ELSEWHERE:
        return max(len(first) + far, 0.5) / (room * looks)
    return max((len(first) - len(again)) / elsewhere + far, 0.5) / (room * looks)


def _scales(
    track: Ints, place: Ints, points: Floats, length2: Floats, gap: Ints, same: Bools
) -> tuple[float, float, float, Floats]:
    """Square of the scale of a step, px^2, what one missed frame adds, degrees of freedom, and the scale of each track.

    From quantiles, which few strangers do not move; the second from three observations in a row, for what follows a
    gap may be a stranger. The outlines of large defects are less steady than those of small ones, so that the degrees
    of freedom are those of steps in units of their own track.
    """
    near, of = length2[gap == 0], track[1:][same][gap == 0]
    own = np.zeros(len(track))
    if len(near) < 20:
        scale2 = max(float(np.median(near)) / 2, 1e-4) if len(near) >= 5 else 1.0
        return scale2, 0.5 * scale2, float(_NUS[0]), own
    middle = max(float(np.median(near)), 1e-9)  # what stands exactly still has no noise
    order = np.lexsort((near, of))
    names, first, n = np.unique(of[order], return_index=True, return_counts=True)
    medians = np.where(n >= _OWN_STEPS, near[order][first + n // 2], 0.0)
    half, most = np.quantile(near / np.maximum(medians[np.searchsorted(names, of)], middle), [0.5, 0.8])
    halves, mosts = (_NUS * (left ** (-2 / _NUS) - 1) for left in (0.5, 0.2))
    k = int(np.argmin(np.abs(mosts / halves - most / max(half, 1e-9))))
    unit = float(halves[k])  # median of the squared length over the square of the scale
    at = np.minimum(np.searchsorted(names, track), len(names) - 1)
    own = np.where(names[at] == track, medians[at], 0.0) / unit
    row = (track[2:] == track[:-2]) & (place[2:] == place[:-2] + 2)
    one = (np.diff(points, axis=0)[:-1] ** 2).sum(axis=1)[row]
    two = ((points[2:] - points[:-2]) ** 2).sum(axis=1)[row]
    scale2 = max(middle / unit, 1e-4)
    more = float(np.median(two) - np.median(one)) / unit if len(one) >= 20 else scale2
    return scale2, max(more, 0.05 * scale2), float(_NUS[k]), own


def _resumed(track: Ints, place: Ints, points: Floats, scale2: float, widening: float) -> Ints:
    """Missed frames between the end of a track and the beginning of another one at its place, one for each beginning.

    The linker gives up after some frames: longer gaps are found here only.
    """
    edge = track[1:] != track[:-1]
    first, last = np.flatnonzero(np.append(True, edge)), np.flatnonzero(np.append(edge, True))
    if not len(track):
        return first[:0]
    reach = _TIGHT * math.sqrt(scale2 + widening * _JUST_ENDED)
    near = cKDTree(points[first]).sparse_distance_matrix(cKDTree(points[last]), reach, output_type="ndarray")
    missed = place[first[near["i"]]] - place[last[near["j"]]] - 1
    fine = (missed >= 0) & (missed <= _JUST_ENDED)
    fine &= near["v"] ** 2 < _TIGHT**2 * (scale2 + widening * missed)
    begin, missed = near["i"][fine], missed[fine]
    order = np.lexsort((missed, begin))
    return np.asarray(missed[order][np.append(True, np.diff(begin[order]) > 0)[: len(order)]], np.int64)


def _gap_chance(gap: Ints, by_chance: Floats) -> Floats:
    """Chance of every length of gap, from those that were seen, less those that strangers explain."""
    counts = np.bincount(np.minimum(gap, _MOST_GAPS), minlength=_MOST_GAPS + 1).astype(np.float64)
    counts[1:] = np.maximum(counts - by_chance, 0.0)[1:]
    counts[0] += 1.0
    left = np.cumsum(counts[::-1])[::-1]
    seen_again = np.empty(_MOST_GAPS + 1)
    first = counts[0] / left[0]
    tail = counts[_OWN_GAPS + 1 :]
    late = _late_chance(tail, first)
    for g in range(_MOST_GAPS + 1):
        # a gap that few have had is as long as the others are
        seen_again[g] = late if g > _OWN_GAPS else (counts[g] + first) / (left[g] + 1)
    seen_again = np.clip(seen_again, 0.02, 0.999)
    before = np.concatenate([[1.0], np.cumprod(1 - seen_again)[:-1]])
    # that no gap was seen in so many steps does not say that there is none
    return np.maximum(before * seen_again, _UNSEEN_GAPS / (_MOST_GAPS * max(len(gap), 1)))
