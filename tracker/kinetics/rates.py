"""Rows of ``kinetics.csv``: each a number with its interval, or empty with the reason why."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.io.results import NAN, TrackSummary
from insitrack.io.tables.frame_views import frame_scales, look_interval_s
from insitrack.tracker.kinetics import estimators
from insitrack.tracker.kinetics.bounds import Version, between, expected, extremes
from insitrack.tracker.kinetics.estimators import Estimate
from insitrack.tracker.kinetics.identities import identities
from insitrack.tracker.kinetics.lives import (
    CONFIRMED,
    Lives,
    confirmed_share,
    enough_is_seen,
    expected_number,
    exponential_mean,
    survival,
    weibull,
)
from insitrack.tracker.kinetics.motion_rows import Places, motion_rows, msd_rows
from insitrack.tracker.kinetics.track_histories import TrackHistories
from insitrack.tracker.kinetics.watched import Watched, watch

_MIN_FOR_GROWTH = 10
"""Observations that a track must have to count in the median growth."""


def kinetics_rows(
    told: TrackHistories,
    rows: pd.DataFrame,
    looked: pd.DataFrame,
    *,
    nm_per_px: float = NAN,
    weigh: bool = False,
) -> list[dict[str, object]]:
    """Rows of ``kinetics.csv``: lifetimes, growth, rates and diffusion, by class and for all.

    Parameters
    ----------
    told : TrackHistories
        What the tracks went through.
    rows, looked : DataFrame
        Rows of ``tracks.csv`` with places on the specimen, and of ``frames.csv`` in which somebody looked.
    nm_per_px : float
        Scale, nm; NaN where unknown.
    weigh : bool
        Tracks count with their probability, see `insitrack.tracker.kinetics.watched.watch`.
    """
    if not told.summaries:
        return []
    merged = frozenset(event.track_id for event in told.events if event.kind == "merge")
    interval, scales = look_interval_s(looked), frame_scales(looked, nm_per_px)
    scaled = math.isfinite(nm_per_px) and math.isfinite(interval)
    seen, found = watch(rows, looked, merged, weigh=weigh), identities(rows, looked)
    doubt = found.why_not()
    ends = extremes(rows, looked, merged, found, weigh=weigh) if doubt else ()
    likely = (
        Version(seen, seen.track_id) if doubt else expected(seen, rows, looked, merged, found, weigh=weigh)
    )
    places = Places.of(rows, looked, scales, found.stranger) if scaled else None
    labels = {one.track_id: one.defect_class for one in told.summaries}
    answer: list[dict[str, object]] = []
    present = sorted(set(labels.values()))

    def lives_and_births(label: str, watched: Watched, owner: Ints) -> list[dict[str, object]]:
        mine = np.array([label in (labels[int(name)], "all") for name in owner], np.bool_)
        return life_rows(label, watched, mine, interval, scales)

    for label in (*present, "all"):
        some = [one for one in told.summaries if label in (one.defect_class, "all")]
        mine = np.array([label in (labels[int(name)], "all") for name in seen.track_id], np.bool_)
        rates = lives_and_births(label, *likely)
        if doubt:
            rates = between(rates, [lives_and_births(label, *one) for one in ends], doubt)
        answer += rates[:-1]
        answer += detection_rows(label, seen.lives.take(mine))
        answer += growth_rows(label, some)
        answer += rates[-1:]
        answer.append(_coalescence(label, {one.track_id for one in some} & merged, looked, interval, scales))
        if places is not None:
            moved = motion_rows(places.of_tracks({one.track_id for one in some}), interval)
            answer += [kinetics_row(label, *one) for one in moved]
    return answer


def msd_of(
    told: TrackHistories, rows: pd.DataFrame, looked: pd.DataFrame, *, nm_per_px: float = NAN
) -> list[dict[str, float | int | str]]:
    """Rows of ``msd.csv``, of the same tables; none where the scale is not known."""
    interval, scales = look_interval_s(looked), frame_scales(looked, nm_per_px)
    if not told.summaries or not (math.isfinite(nm_per_px) and math.isfinite(interval)):
        return []
    classes = {one.track_id: one.defect_class for one in told.summaries}
    return list(msd_rows(Places.of(rows, looked, scales), classes, interval))


def kinetics_row(
    label: str, quantity: str, estimate: Estimate, method: str, why: str = ""
) -> dict[str, object]:
    """Make a row of ``kinetics.csv``; `why` says why it is empty, where it is.

    A value of which nobody can say how sure it is, such as that of a single track, is none.
    """
    if math.isfinite(estimate.value) and not (math.isfinite(estimate.lo) or math.isfinite(estimate.hi)):
        estimate, why = Estimate.unknown(estimate.n), why or "too few tracks to take an interval from"
    values = {"value": estimate.value, "lo": estimate.lo, "hi": estimate.hi, "n": estimate.n}
    # a comma would end the cell
    texts = {"method": method.replace(",", ";"), "why": why.replace(",", ";")}
    return {"quantity": quantity, "defect_class": label, **values, **texts}


def life_rows(
    label: str, seen: Watched, mine: Bools, interval_s: float, scales: Floats
) -> list[dict[str, object]]:
    """Rows of the lifetimes and, the last one, of the births; parameters as of `nucleation_row`."""
    lives = lifetime_rows(label, seen.lives.take(mine), interval_s)
    return [*lives, nucleation_row(label, seen, mine, interval_s, scales)]


def lifetime_rows(label: str, lives: Lives, interval_s: float) -> list[dict[str, object]]:
    """Rows of the lifetimes: mean at a constant rate, median after Kaplan and Meier, Weibull's law.

    Parameters
    ----------
    label : str
        Class of these tracks, or ``all``.
    lives : Lives
        The tracks.
    interval_s : float
        Time between looks, s; NaN where unknown.
    """
    if not math.isfinite(interval_s):
        return []
    mean = exponential_mean(lives, interval_s)
    missed = lives.miss_share()
    how = (
        f"maximum likelihood at a constant rate; from the {CONFIRMED}rd observation on; {missed:.0%} of looks missed;"
        " profile interval"
    )
    why = (
        ""
        if math.isfinite(mean.value)
        else f"no end of a track with {CONFIRMED} observations counts as a death"
    )
    rows = [kinetics_row(label, "lifetime_mean_s", mean, how, why)]
    curve, share = survival(lives, interval_s, mean.value)
    median, why = curve.median(), ""
    if not math.isfinite(mean.value):
        why = "no death was seen"
    elif not enough_is_seen(share):
        why = f"only {share:.0%} live long enough to be seen {CONFIRMED} times: see lifetime_mean_s"
    elif not (math.isfinite(median.value) and math.isfinite(median.hi)):
        why = "too few deaths, or too short a movie, to bound the time that half of them live"
    how = f"Kaplan-Meier of births that were seen; left truncation at the {CONFIRMED}rd observation; Brookmeyer and Crowley"
    rows.append(
        kinetics_row(label, "lifetime_median_s", Estimate.unknown(median.n) if why else median, how, why)
    )
    if math.isfinite(mean.value):
        how = "Weibull; maximum likelihood with truncation and censoring; 1 is a constant rate"
        for name, one in zip(("shape", "scale_s"), weibull(lives, interval_s, mean.value), strict=True):
            why = "" if math.isfinite(one.value) else "fewer than five deaths of defects whose birth was seen"
            rows.append(kinetics_row(label, f"lifetime_weibull_{name}", one, how, why))
    return rows


def detection_rows(label: str, lives: Lives) -> list[dict[str, object]]:
    """Rows of the chance that a defect which is there is seen in a look: of all, and of thirds by size.

    Parameters
    ----------
    label : str
        Class of these tracks, or ``all``.
    lives : Lives
        The tracks.
    """
    how = "looks between the first and the last observation of a track; scatter between tracks"
    whole, why = lives.seen_share(), ""
    if not math.isfinite(whole.value):
        why = f"no two tracks with {CONFIRMED} observations"
    rows = [kinetics_row(label, "detection_probability", whole, how, why)]
    for name, part in zip(("smallest", "middle", "largest"), lives.by_size(), strict=False):
        sizes = f"{part.size_nm.min():.3g} to {part.size_nm.max():.3g} nm"
        rows.append(
            kinetics_row(label, f"detection_probability_{name}", part.seen_share(), f"{sizes}; {how}")
        )
    return rows


def growth_rows(label: str, some: Sequence[TrackSummary]) -> list[dict[str, object]]:
    """Row of the growth: the mean of the population, each track with its own error."""
    known = [one for one in some if one.n_observed >= _MIN_FOR_GROWTH and math.isfinite(one.growth_nm_per_s)]
    slopes = np.array([one.growth_nm_per_s for one in known])
    errors = np.array([(one.growth_hi_nm_per_s - one.growth_lo_nm_per_s) / (2 * 1.96) for one in known])
    mean, between = estimators.population_mean(slopes, errors)
    how = "mean over tracks of the Theil-Sen slope; weights by its error and the spread between tracks"
    if math.isfinite(between):
        how += f" ({between:.3g} nm/s)"
    why = "" if math.isfinite(mean.value) else f"no track with {_MIN_FOR_GROWTH} observations and a size"
    return [kinetics_row(label, "growth_nm_per_s", mean, how, why)]


def nucleation_row(
    label: str, seen: Watched, mine: Bools, interval_s: float, scales: Floats
) -> dict[str, object]:
    """Row of the births over area and time, for what is never seen often enough too.

    Parameters
    ----------
    label : str
        Class of these tracks, or ``all``.
    seen : Watched
        All tracks.
    mine : ndarray of bool, shape (N,)
        Those of the class.
    interval_s : float
        Time between looks, s.
    scales : ndarray of float64, shape (F,)
        Scale of every look, nm; NaN where unknown.
    """
    lives, counted = seen.lives.take(mine), seen.countable & mine
    n = expected_number(seen.lives.weight[counted])
    mean = exponential_mean(lives, 1.0)
    known = scales[np.isfinite(scales)]
    one_scale = len(known) == len(scales) and len(known) > 0 and np.ptp(known) == 0
    how = "births wholly in view; each over the area and time in which it could have been seen"
    why = ""
    if not one_scale:
        why = "the scale is not known" if not len(known) else "the movie shows several scales"
    elif (
        not np.isfinite(seen.exposure_px2_looks[mine]).all() or not (seen.exposure_px2_looks[mine] > 0).any()
    ):
        why = "the field is not known, or the movie too short for a birth to be confirmed"
    if why:
        return kinetics_row(label, "nucleation_per_m2_s", Estimate.unknown(n), how, why)
    scale_m = float(known[0]) * 1e-9
    tau = mean.value if math.isfinite(mean.value) else math.inf
    missed = seen.lives.missed()

    def share_at(tau: float) -> Floats:
        return confirmed_share(min(max(tau, 1e-2), 1e7), missed)

    shares = share_at(tau)
    area = seen.exposure_px2_looks * scale_m**2 * interval_s
    weight = seen.lives.weight[counted]
    exposure = (
        float(np.median(area[mine])) if n == 0 else weight.sum() / float((weight / area[counted]).sum())
    )
    total = float((weight / (area * shares)[counted]).sum())
    share = float(np.mean(shares[counted if n else mine]))
    if not exposure * share > 0:  # no birth of most of these tracks could have been seen often enough
        why = "the movie is too short for a birth to be confirmed"
        return kinetics_row(label, "nucleation_per_m2_s", Estimate.unknown(n), how, why)
    unit = estimators.event_rate(n, 1e18, 1.0)  # a count, with its Poisson ends
    ends = [
        float(np.mean(share_at(end)[counted if n else mine])) if math.isfinite(end) else 1.0
        for end in (mean.lo, mean.hi)
    ]
    value = total if n else 0.0
    counts = max(n, 1)
    rate = value or 1 / (exposure * share)
    below = math.hypot(1 - unit.lo / counts, 1 - share / ends[1] if ends[1] > 0 else 0.0)
    above = math.hypot(unit.hi / counts - (1 if n else 0), share / ends[0] - 1 if ends[0] > 0 else 0.0)
    lo = rate * max(0.0, 1 - below) if n else 0.0
    hi = rate * ((1 if n else 0) + above)
    how += f"; {share:.0%} of births are ever seen {CONFIRMED} times"
    return kinetics_row(label, "nucleation_per_m2_s", Estimate(value, lo, hi, n), how)


def _coalescence(
    label: str, merged: set[int], looked: pd.DataFrame, interval_s: float, scales: Floats
) -> dict[str, object]:
    """Row of the mergers over area and time."""
    area = looked["field_px"].to_numpy(np.float64) * scales**2 if "field_px" in looked else np.full(1, NAN)
    known = np.isfinite(area)
    exposure = float(area[known].sum()) * interval_s if known.any() and math.isfinite(interval_s) else NAN
    rate = estimators.event_rate(len(merged), exposure, 1.0)
    why = "" if math.isfinite(rate.value) else "the scale or the field is not known"
    return kinetics_row(label, "coalescence_per_m2_s", rate, "merges over area and time; exact interval", why)
