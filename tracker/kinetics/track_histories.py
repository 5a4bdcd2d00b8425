"""What becomes of each track: its beginning, its end, and the rates that follow.

Births, deaths, gaps, merges and splits, the summary of each life, and the kinetics of all.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.io.results import NAN, Event, EventKind, TrackSummary
from insitrack.io.tables.frame_views import frame_scales, view_numbers
from insitrack.tracker.kinetics import estimators
from insitrack.tracker.kinetics.motion import diffusion

_SIDE_SIGHTS = 4
"""Frames on either side of an encounter over which sizes are averaged."""
_TOOK_OVER = 0.4
"""Share of the area of the one that vanished that the other must gain, so that a merge is told from a
death beside it."""
_REACH = 1.2
"""Two merge if their centres lie within this many mean radii of both."""
_GROWTH_POINTS = 60
"""Longer tracks are averaged down to this many points: the slopes between all pairs grow with the square
of their number."""
_MIN_FOR_GROWTH = 10
"""Sights that a track must have to count in the median growth."""


@dataclass(frozen=True, slots=True)
class TrackHistories:
    """What the tracks of a run went through.

    Parameters
    ----------
    events : tuple of Event
        In the order of time.
    summaries : tuple of TrackSummary
        One per track, by id.
    births, deaths : dict of int to Counter
        Number of tracks by class that begin in a frame, and that are gone in it for the first time.
    """

    events: tuple[Event, ...]
    summaries: tuple[TrackSummary, ...]
    births: dict[int, Counter[str]] = field(default_factory=dict)
    deaths: dict[int, Counter[str]] = field(default_factory=dict)


def track_histories(rows: pd.DataFrame, looked: pd.DataFrame, *, nm_per_px: float = NAN) -> TrackHistories:
    """Tell what became of every track.

    Parameters
    ----------
    rows : DataFrame
        Tracks as `refine` makes them.
    looked : DataFrame
        Rows of ``frames.csv`` in which somebody looked, in order.
    nm_per_px : float
        Scale, nm; NaN where unknown.

    Returns
    -------
    TrackHistories
    """
    numbers, times = looked["frame"].to_numpy(np.int64), looked["t_s"].to_numpy(np.float64)
    views, scales = view_numbers(looked), frame_scales(looked, nm_per_px)
    opens, closes = np.diff(views, prepend=-1) != 0, np.diff(views, append=-1) != 0
    stills = bool((views > 0).all())  # separate micrographs have no view 0
    tracks = _Tracks(rows, numbers, opens, closes)
    merged, split = tracks.encounters(forwards=True), tracks.encounters(forwards=False)
    events = [
        Event(int(numbers[place]), float(times[place]), "view", -1)
        for place in np.flatnonzero(opens)[1:].tolist()
    ]
    summaries = []
    births: dict[int, Counter[str]] = {}
    deaths: dict[int, Counter[str]] = {}
    for k, (name, part) in enumerate(tracks):
        first, last = int(part["place"].iloc[0]), int(part["place"].iloc[-1])
        observed = part["observed"].to_numpy() == 1
        label = str(part["defect_class"].iloc[0])
        if (first == 0 and not stills) or not opens[
            first
        ]:  # what is there when a later view begins was not born then
            kind: EventKind = "split" if split[k] >= 0 else "birth"
            events.append(Event(int(numbers[first]), float(times[first]), kind, name, int(split[k])))
            births.setdefault(int(numbers[first]), Counter())[label] += 1
        again = np.flatnonzero(observed[1:] & ~observed[:-1]) + 1
        events += [
            Event(int(numbers[p]), float(times[p]), "gap", name)
            for p in part["place"].to_numpy()[again].tolist()
        ]
        to_the_end = bool(closes[last])
        if not to_the_end:
            events.append(
                Event(
                    int(numbers[last]),
                    float(times[last]),
                    "merge" if merged[k] >= 0 else "death",
                    name,
                    int(merged[k]),
                )
            )
            deaths.setdefault(int(numbers[last + 1]), Counter())[label] += 1
        edge = part["on_edge"].to_numpy()
        left, right = bool(opens[first] or edge[0]), to_the_end or bool(edge[-1]) or merged[k] >= 0
        summaries.append(_summary(name, label, part, observed, left, right, float(scales[first])))
    events.sort(key=lambda event: (event.frame, event.track_id, event.kind))
    return TrackHistories(tuple(events), tuple(summaries), births, deaths)


class _Tracks:
    """Rows grouped by track, and the means at either end that encounters are told by."""

    def __init__(self, rows: pd.DataFrame, numbers: Ints, opens: Bools, closes: Bools) -> None:
        rows = rows.assign(place=np.searchsorted(numbers, rows["frame"].to_numpy())).sort_values(
            ["track_id", "place"], kind="stable"
        )
        self.rows, self.n_frames, self.opens, self.closes = rows, len(numbers), opens, closes
        ids = rows["track_id"].to_numpy(np.int64)
        self.starts = (
            np.flatnonzero(np.append(True, ids[1:] != ids[:-1])) if len(ids) else np.zeros(0, np.int64)
        )
        self.ends = np.append(self.starts[1:], len(ids)) if len(ids) else self.starts
        self.ids = ids[self.starts]
        self.place = rows["place"].to_numpy(np.int64)
        box = rows[["x1_px", "y1_px", "x2_px", "y2_px"]].to_numpy(np.float64)
        self.centre, self.sides = (box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]
        area = rows["area_px"].to_numpy(np.float64)
        self.area = np.where(np.isfinite(area), area, np.pi / 4 * self.sides.prod(axis=1))

    def __iter__(self) -> Iterator[tuple[int, pd.DataFrame]]:
        for name, start, end in zip(self.ids.tolist(), self.starts.tolist(), self.ends.tolist(), strict=True):
            yield name, self.rows.iloc[start:end]

    def encounters(self, *, forwards: bool) -> Ints:
        """For each track the one that it went into (forwards), or came out of, -1 for none."""
        answer = np.full(len(self.ids), -1, np.int64)
        by_place = np.argsort(self.place, kind="stable")
        edges = np.searchsorted(self.place[by_place], np.arange(self.n_frames + 1))
        track_of = np.repeat(np.arange(len(self.ids)), self.ends - self.starts)
        for k, (start, end) in enumerate(zip(self.starts.tolist(), self.ends.tolist(), strict=True)):
            row = end - 1 if forwards else start
            place = int(self.place[row])
            outside = self.closes[place] if forwards else self.opens[place]
            if outside or end - start < 3:
                continue
            here = by_place[edges[place] : edges[place + 1]]
            radii = (self.sides[here].mean(axis=1) + self.sides[row].mean()) / 2
            near = here[np.linalg.norm(self.centre[here] - self.centre[row], axis=1) < _REACH * radii]
            own = float(
                self.area[max(start, end - _SIDE_SIGHTS) : end].mean()
                if forwards
                else self.area[start : start + _SIDE_SIGHTS].mean()
            )
            best = _TOOK_OVER * own
            for other in near.tolist():
                j = int(track_of[other])
                if j == k:
                    continue
                low, high = int(self.starts[j]), int(self.ends[j])
                # the frame of the encounter itself belongs to the time in which both are there
                both = (
                    self.area[max(low, other - _SIDE_SIGHTS + 1) : other + 1]
                    if forwards
                    else self.area[other : min(high, other + _SIDE_SIGHTS)]
                )
                alone = (
                    self.area[other + 1 : min(high, other + 1 + _SIDE_SIGHTS)]
                    if forwards
                    else self.area[max(low, other - _SIDE_SIGHTS) : other]
                )
                if len(alone) and alone.mean() - both.mean() > best:
                    best, answer[k] = float(alone.mean() - both.mean()), self.ids[j]
        return answer


def _summary(
    name: int, label: str, part: pd.DataFrame, observed: np.ndarray, left: bool, right: bool, nm_per_px: float
) -> TrackSummary:
    t, sizes = part["t_s"].to_numpy(np.float64), part["size_nm"].to_numpy(np.float64)
    raw = part["raw_size_nm"].to_numpy(np.float64)
    known = np.isfinite(raw) & (part["on_edge"].to_numpy() == 0)
    growth = estimators.growth_rate(*_thinned(t[known], raw[known]))
    x, y = part["specimen_x_px"].to_numpy(np.float64), part["specimen_y_px"].to_numpy(np.float64)
    score = part["score"].fillna(0.0).to_numpy(np.float64)
    agrees = (part["seen_class"] == label).to_numpy() if "seen_class" in part else np.ones(len(part), bool)
    return TrackSummary(
        track_id=name,
        defect_class=label,
        t_first_s=float(t[0]),
        t_last_s=float(t[-1]),
        lifetime_s=float(t[-1] - t[0]),
        left_censored=left,
        right_censored=bool(right),
        n_observed=int(np.count_nonzero(observed)),
        size_nm=float(np.nanmean(sizes)) if np.isfinite(sizes).any() else NAN,
        growth_nm_per_s=growth.value,
        net_displacement_nm=float(math.hypot(x[-1] - x[0], y[-1] - y[0]) * nm_per_px),
        growth_lo_nm_per_s=growth.lo,
        growth_hi_nm_per_s=growth.hi,
        class_probability=float(score[agrees].sum() / score.sum()) if score.sum() > 0 else NAN,
    )


def _thinned(t_s: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Mean of neighbours where there are more points than the slopes of all pairs allow."""
    if len(t_s) <= _GROWTH_POINTS:
        return t_s, values
    group = np.arange(len(t_s)) * _GROWTH_POINTS // len(t_s)
    n = np.bincount(group)
    return np.bincount(group, t_s) / n, np.bincount(group, values) / n


def kinetics_rows(
    told: TrackHistories, rows: pd.DataFrame, looked: pd.DataFrame, *, nm_per_px: float = NAN
) -> list[dict[str, object]]:
    """Rows of ``kinetics.csv``: lifetimes, growth, rates and diffusion, by class and for all.

    Lifetimes count from births that were seen: the age of what was there in the first frame, or came in at
    the border, is not known. The mean lifetime takes those in too, for the time that they were watched,
    which is right if death does not depend on age.
    """
    answer = []
    present = sorted({one.defect_class for one in told.summaries})
    for label in (*present, "all") if present else ():
        some = [one for one in told.summaries if label in (one.defect_class, "all")]
        answer += list(_of_class(label, some, told.events, rows, looked, nm_per_px))
    return answer


def _of_class(
    label: str,
    some: list[TrackSummary],
    events: Iterable[Event],
    rows: pd.DataFrame,
    looked: pd.DataFrame,
    nm_per_px: float,
) -> Iterator[dict[str, object]]:
    times = looked["t_s"].to_numpy(np.float64)
    interval = float(np.median(np.diff(times))) if len(times) > 1 else NAN
    names = {one.track_id for one in some}
    merges = sum(event.kind == "merge" and event.track_id in names for event in events)
    area = float(looked["field_px"].mean()) * nm_per_px**2 if "field_px" in looked else NAN
    duration = float(times[-1] - times[0]) if len(times) > 1 else NAN
    frame_nm = (NAN, NAN)
    if "width_px" in looked:
        frame_nm = (
            float(looked["width_px"].mean()) * nm_per_px,
            float(looked["height_px"].mean()) * nm_per_px,
        )
    yield from rate_rows(
        label,
        some,
        interval_s=interval,
        area_nm2=area,
        duration_s=duration,
        frame_nm=frame_nm,
        n_merges=merges,
    )
    if math.isfinite(nm_per_px) and math.isfinite(interval):
        yield from _wandering(label, rows[rows["track_id"].isin(names)], interval, nm_per_px)


def kinetics_row(label: str, quantity: str, estimate: estimators.Estimate, method: str) -> dict[str, object]:
    """Make a row of ``kinetics.csv``."""
    values = {"value": estimate.value, "lo": estimate.lo, "hi": estimate.hi, "n": estimate.n}
    return {"quantity": quantity, "defect_class": label, **values, "method": method}


def rate_rows(
    label: str,
    some: Sequence[TrackSummary],
    *,
    interval_s: float,
    area_nm2: float,
    duration_s: float,
    frame_nm: tuple[float, float] = (NAN, NAN),
    n_merges: int | None = None,
) -> Iterator[dict[str, object]]:
    """Rows of ``kinetics.csv`` that follow from the lives of tracks: lifetimes, growth, rates of events.

    Parameters
    ----------
    label : str
        Class of these tracks, or ``all``.
    some : sequence of TrackSummary
        The tracks.
    interval_s : float
        Usual time between frames, s.
    area_nm2, duration_s : float
        Specimen in view, nm^2, and for how long it was watched, s.
    frame_nm : tuple of float
        Width and height of the field, nm; NaN where unknown: births at the border are then not allowed for.
    n_merges : int, optional
        Mergers that were seen; None: not counted.
    """
    # seen k times in a row means alive for about k intervals, not k - 1
    born = [
        (one.lifetime_s + interval_s, not one.right_censored)
        for one in some
        if not one.left_censored and math.isfinite(interval_s)
    ]
    if born:
        curve = estimators.kaplan_meier([age for age, _ in born], [died for _, died in born])
        how = "Kaplan-Meier from births that were seen; interval after Brookmeyer and Crowley"
        yield kinetics_row(label, "lifetime_median_s", curve.median(), how)
        mean = estimators.mean_lifetime(
            [one.lifetime_s + interval_s for one in some], [not one.right_censored for one in some]
        )
        yield kinetics_row(label, "lifetime_mean_s", mean, "time watched over deaths; exact interval")
    slopes = np.array(
        [
            one.growth_nm_per_s
            for one in some
            if one.n_observed >= _MIN_FOR_GROWTH and math.isfinite(one.growth_nm_per_s)
        ]
    )
    if len(slopes):
        low, high = np.quantile(slopes, [0.25, 0.75]).tolist()
        how = (
            "median over tracks of the Theil-Sen slope; exact interval of the median; half of the tracks between"
            f" {low:.3g} and {high:.3g}; long-lived tracks weigh more"
        )
        yield kinetics_row(label, "growth_nm_per_s", estimators.median_over_tracks(slopes), how)
    if math.isfinite(area_nm2) and duration_s > 0:
        births = [one for one in some if not one.left_censored]
        share = _whole_share(np.array([one.size_nm for one in births or some]), frame_nm)
        rate = estimators.event_rate(len(births), area_nm2 * share, duration_s)
        how = (
            f"births wholly inside the field over time and the {share:.0%} of its area where they can be; exact"
            " interval"
        )
        yield kinetics_row(label, "nucleation_per_m2_s", rate, how)
        if n_merges is not None:
            rate = estimators.event_rate(n_merges, area_nm2, duration_s)
            yield kinetics_row(
                label, "coalescence_per_m2_s", rate, "merges over area and time; exact interval"
            )


def _whole_share(size_nm: Floats, frame_nm: tuple[float, float]) -> float:
    """Share of the field in which defects lie wholly inside it, harmonic mean over their sizes.

    A defect of d within W by H is whole where its centre lies in (W - d) (H - d).
    """
    width, height = frame_nm
    size = size_nm[np.isfinite(size_nm)]
    if not (len(size) and math.isfinite(width) and math.isfinite(height)):
        return 1.0
    share = np.maximum(1 - size / width, 1e-3) * np.maximum(1 - size / height, 1e-3)
    return float(len(share) / (1 / share).sum())


def _wandering(
    label: str, rows: pd.DataFrame, interval_s: float, nm_per_px: float
) -> Iterator[dict[str, object]]:
    """Diffusion from the steps between neighbouring frames, positions as they were measured."""
    seen = rows[(rows["observed"] == 1) & (rows["on_edge"] == 0)].sort_values(
        ["track_id", "frame"], kind="stable"
    )
    track, t = seen["track_id"].to_numpy(), seen["t_s"].to_numpy(np.float64)
    points = seen[["raw_x_px", "raw_y_px"]].to_numpy(np.float64) * nm_per_px
    if len(points) < 10:
        return
    good = (track[1:] == track[:-1]) & (np.diff(t) < 1.5 * interval_s)
    steps = np.where(good[:, None], np.diff(points, axis=0), np.nan)
    following = np.vstack([steps[1:], np.full((1, 2), np.nan)])
    found = diffusion(steps[good], interval_s, following[good], track[1:][good])
    kind = f"{found.dimensions}D" + (f" along {found.axis_deg:.0f} degrees" if found.dimensions == 1 else "")
    method = (
        f"{kind}; position error {found.localisation_nm:.3g} nm taken off; chance of isotropy"
        f" {found.p_isotropic:.2g}; interval from the scatter between tracks"
    )
    estimate = estimators.Estimate(found.d_nm2_per_s, found.lo, found.hi, found.n)
    yield kinetics_row(label, "diffusion_nm2_per_s", estimate, method)
