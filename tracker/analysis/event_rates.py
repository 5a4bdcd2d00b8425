"""Rates of nucleation and coalescence of a run, as a whole and against dose."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from insitrack.io.arrays import Floats
from insitrack.io.results import NAN, TrackSummary
from insitrack.io.tables import columns as tables
from insitrack.tracker.analysis.recompute import Recomputed
from insitrack.tracker.analysis.table_run import TableRun
from insitrack.tracker.analysis.watched_run import WatchedRun
from insitrack.tracker.kinetics import estimators
from insitrack.tracker.kinetics.rates import kinetics_row

RATE_COLUMNS = (
    "defect_class",
    "quantity",
    "t_from_s",
    "t_to_s",
    "dose_from_dpa",
    "dose_to_dpa",
    "n",
    "per_m2_s",
    "per_m2_s_lo",
    "per_m2_s_hi",
    "per_m2_dpa",
    "per_m2_dpa_lo",
    "per_m2_dpa_hi",
    "why",
)
"""Columns of ``rates.csv`` after `run`."""
_MOST_BINS, _EVENTS_A_BIN = 8, 10
"""Parts of the run in which rates are told, and events that each should have on average."""


def births_row(
    label: str, some: list[TrackSummary], out: Recomputed, frame_nm: tuple[float, float]
) -> dict[str, object]:
    """Row of the births of a table alone, over area and time; what is never confirmed is not allowed for."""
    births = [one for one in some if not one.left_censored]
    share = whole_share(births or some, frame_nm)
    rate = estimators.event_rate(len(births), out.area_nm2 * share, out.duration_s)
    how = (
        f"births wholly inside the field over time and the {share:.0%} of its area where they can be; kinetics.csv"
        " of a run allows for short lives too"
    )
    why = "" if math.isfinite(rate.value) else "the scale or the field is not known"
    return kinetics_row(label, "nucleation_per_m2_s", rate, how, why)


def mergers_row(label: str, merges_s: Floats | None, out: Recomputed) -> dict[str, object]:
    """Row of the mergers over area and time; empty where there is no table of events."""
    if merges_s is None:
        nothing, why = (
            estimators.Estimate(NAN, NAN, NAN, 0),
            "a table of tracks alone does not tell who merged",
        )
        return kinetics_row(label, "coalescence_per_m2_s", nothing, "", why)
    rate = estimators.event_rate(len(merges_s), out.area_nm2, out.duration_s)
    why = "" if math.isfinite(rate.value) else "the scale or the field is not known"
    return kinetics_row(label, "coalescence_per_m2_s", rate, "merges over area and time; exact interval", why)


def merge_times(run: TableRun) -> dict[int, float] | None:
    """Time at which each track went into another, s; None where the run has no table of events."""
    path = run.tracks.parent / tables.EVENTS.file
    if run.spans is not None or not path.is_file():
        return None
    table = tables.EVENTS.read(path)
    t = run.frames["t_s"]
    table = table[(table["kind"] == "merge") & (table["t_s"] >= t.min()) & (table["t_s"] <= t.max())]
    return dict(zip(table["track_id"].tolist(), table["t_s"].tolist(), strict=True))


def rate_rows(
    some: list[TrackSummary],
    merges: dict[int, float] | None,
    run: TableRun,
    out: Recomputed,
    frame_nm: tuple[float, float],
    lives: WatchedRun | None = None,
) -> Iterator[dict[str, object]]:
    """Rows of ``rates.csv``: births and mergers in parts of the run of equal dose, or of equal time.

    Parameters
    ----------
    some : list of TrackSummary
        Tracks of the run.
    merges : dict of int to float or None
        See `merge_times`.
    run, out : TableRun, Recomputed
        The run and what came out of it.
    frame_nm : tuple of float
        Width and height of the frame, nm.
    lives : WatchedRun, optional
        Lives of the tracks; left out, as of a table alone: births are counted as they are.
    """
    t_s, dose = _dose_in_time(run, out)
    if not (np.ptp(t_s) > 0 and math.isfinite(out.area_nm2)):
        return
    for label in (*[n for n in run.class_names if any(one.defect_class == n for one in some)], "all"):
        mine = [one for one in some if label in (one.defect_class, "all")]
        born = np.array([one.t_first_s for one in mine if not one.left_censored])
        gone = np.array([merges[one.track_id] for one in mine if one.track_id in merges]) if merges else None
        n = max(len(born), 0 if gone is None else len(gone))
        bins = int(np.clip(n // _EVENTS_A_BIN, 1, _MOST_BINS))
        against = dose if np.isfinite(dose).all() and np.ptp(dose) > 0 else t_s
        edges = np.interp(np.linspace(against[0], against[-1], bins + 1), against, t_s)
        parts = _parts(edges, np.interp(edges, t_s, dose))
        if lives is not None:
            for i, part in enumerate(parts):
                row = lives.nucleation(label, part[0], part[1], last=i == bins - 1)
                yield _row(label, "nucleation", part, row)
        else:
            births = [one for one in mine if not one.left_censored]
            area_nm2 = out.area_nm2 * whole_share(births or mine, frame_nm)
            yield from _counted(label, "nucleation", born, parts, area_nm2)
        if merges is not None:
            when = np.zeros(0) if gone is None else gone
            yield from _counted(label, "coalescence", when, parts, out.area_nm2)


def _parts(edges: Floats, dose: Floats) -> list[tuple[float, float, float, float]]:
    """Begin and end of each part of the run, in time, s, and in dose, dpa."""
    t, x = edges.tolist(), dose.tolist()
    return [(t[i], t[i + 1], x[i], x[i + 1]) for i in range(len(t) - 1)]


def _row(
    label: str, what: str, part: tuple[float, float, float, float], found: dict[str, object]
) -> dict[str, object]:
    """Row of ``rates.csv`` from one of ``kinetics.csv`` of that part alone."""
    seconds, step = part[1] - part[0], part[3] - part[2]
    rates = [float(str(found[name])) for name in ("value", "lo", "hi")]
    each = seconds / step if step > 0 else NAN
    cells = (label, what, *part, found["n"], *rates, *(each * one for one in rates), found["why"])
    return dict(zip(RATE_COLUMNS, cells, strict=True))


def _counted(
    label: str, what: str, when: Floats, parts: list[tuple[float, float, float, float]], area_nm2: float
) -> Iterator[dict[str, object]]:
    """Rows of one quantity by the number of events; one at the very end belongs to the last part."""
    counts = np.histogram(when, [parts[0][0], *(part[1] for part in parts)])[0]
    for part, n in zip(parts, counts.tolist(), strict=True):
        rate = estimators.event_rate(n, area_nm2, part[1] - part[0])
        yield _row(label, what, part, kinetics_row(label, what, rate, ""))


def _dose_in_time(run: TableRun, out: Recomputed) -> tuple[Floats, Floats]:
    """Return times from the first to the last frame, s, and the dose at each; NaN where it is not known."""
    table = out.time_bins[out.time_bins["defect_class"] == "all"].sort_values("t_s")
    t = table["t_s"].to_numpy(np.float64)
    dose = table["dose_dpa"].to_numpy(np.float64)
    first, last = float(run.frames["t_s"].min()), float(run.frames["t_s"].max())
    if len(t) < 2:
        return np.array([first, last]), np.full(2, NAN)
    rates = np.diff(dose) / np.diff(t)
    ends = dose[0] - rates[0] * (t[0] - first), dose[-1] + rates[-1] * (last - t[-1])
    return np.array([first, *t, last]), np.array([max(ends[0], 0.0), *dose, ends[1]])


def whole_share(some: list[TrackSummary], frame_nm: tuple[float, float]) -> float:
    """Share of the field in which defects lie wholly inside it, harmonic mean over their sizes.

    A defect of d within W by H is whole where its centre lies in (W - d) (H - d).
    """
    width, height = frame_nm
    size = np.array([one.size_nm for one in some])
    size = size[np.isfinite(size)]
    if not (len(size) and math.isfinite(width) and math.isfinite(height)):
        return 1.0
    share = np.maximum(1 - size / width, 1e-3) * np.maximum(1 - size / height, 1e-3)
    return float(len(share) / (1 / share).sum())
