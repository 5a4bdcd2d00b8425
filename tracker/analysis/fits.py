"""Kinetics of a run from its tables: averages, size distributions, saturation, growth, nucleation, lifetimes."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from insitrack.io.arrays import Floats
from insitrack.io.intervals import poisson_interval
from insitrack.io.results import NAN, TrackSummary
from insitrack.io.tables import columns as tables
from insitrack.io.tables.frame_views import frame_scales, view_numbers
from insitrack.io.units import round_step
from insitrack.tracker.analysis.event_rates import births_row, merge_times, mergers_row, rate_rows
from insitrack.tracker.analysis.recompute import Recomputed
from insitrack.tracker.analysis.table_run import TableRun
from insitrack.tracker.analysis.watched_run import WatchedRun
from insitrack.tracker.hardening.materials import VOLUME_CLASSES
from insitrack.tracker.kinetics import estimators
from insitrack.tracker.kinetics.lives import Lives
from insitrack.tracker.kinetics.rates import growth_rows, kinetics_row, lifetime_rows
from insitrack.tracker.kinetics.saturation import best_saturations, saturation
from insitrack.tracker.series.conditions import SEVERAL
from insitrack.tracker.trust.frames import Trusted

_BINS, _REPLICATES, _MIN_TRACKS = 40, 300, 20
_GROWTH_TRACKS = 5000
_FAR = 60  # looks after an end that was seen
_RISES = 0.5  # a density that begins above this share of its end has no zero to rise from


def fits_and_rates(run: TableRun, out: Recomputed) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Rows of ``fits.csv``, in the columns of ``kinetics.csv``, and of ``rates.csv``.

    Both are empty where no frame is trusted, rates also where the run shows several views.
    """
    some, merges = _summaries(run, out), merge_times(run)
    lives = WatchedRun.of(run, some, merges)
    trusted = Trusted.of(run.frames, run.config.series.least_trust)
    fits = trusted.kinetics(_fit_rows(run, out, some, merges, lives))
    if trusted.all_refused or len(np.unique(view_numbers(run.frames))) > 1:
        return fits, []
    return fits, list(rate_rows(some, merges, run, out, _frame_nm(run), lives))


def _fit_rows(
    run: TableRun,
    out: Recomputed,
    some: list[TrackSummary],
    merges: dict[int, float] | None,
    lives: WatchedRun | None,
) -> list[dict[str, object]]:
    looked = run.frames.loc[run.frames["status"] == "processed", "t_s"].to_numpy(np.float64)
    interval = float(np.median(np.diff(looked))) if len(looked) > 1 else NAN
    frame_nm = _frame_nm(run)
    rows: list[dict[str, object]] = []
    present = [name for name in run.class_names if any(one.defect_class == name for one in some)]
    for label in (*present, "all") if present else ():
        mine = [one for one in some if label in (one.defect_class, "all")]
        if lives is None:
            rows += lifetime_rows(label, _lives(mine, interval), interval)
            rows.append(births_row(label, mine, out, frame_nm))
        else:
            rows += lives.rows(label)
        rows += growth_rows(label, mine)
        gone = [merges[one.track_id] for one in mine if one.track_id in merges] if merges else []
        rows.append(mergers_row(label, None if merges is None else np.array(gone), out))
        rows += _per_dose(rows, label, out)
        rows += _saturation_rows(run, out, label)
    return rows


def _frame_nm(run: TableRun) -> tuple[float, float]:
    """Width and height of the frames, nm."""
    frames, nm_per_px = run.counting_frames(), run.calibration.nm_per_px or NAN
    return float(frames["width_px"].mean()) * nm_per_px, float(frames["height_px"].mean()) * nm_per_px


def _lives(some: list[TrackSummary], interval_s: float) -> Lives:
    """Lives as summaries tell them: an end was seen, or could not be."""
    looks = np.round(np.array([one.lifetime_s for one in some]) / interval_s)
    n_seen = np.array([one.n_observed for one in some], np.int64)
    censored = np.array([one.right_censored for one in some], bool)
    began = ~np.array([one.left_censored for one in some], bool)
    size = np.array([one.size_nm for one in some])
    horizon = np.where(censored, 0, _FAR)
    return Lives(np.maximum(looks, n_seen - 1.0), n_seen, horizon, began, size, np.ones(len(some)))


def _summaries(run: TableRun, out: Recomputed) -> list[TrackSummary]:
    """Summaries of the tracks: as ``summary.csv`` tells them, or from the table of tracks alone."""
    path = run.tracks.parent / tables.SUMMARY.file
    if run.spans is None and path.is_file():
        table = tables.SUMMARY.read(path)
        t = run.frames["t_s"]
        table = table[(table["t_last_s"] >= t.min()) & (table["t_first_s"] <= t.max())]
        for name in (
            "growth_nm_per_s",
            "growth_lo_nm_per_s",
            "growth_hi_nm_per_s",
            "size_nm",
            "net_displacement_nm",
        ):
            table[name] = table[name] * (run.scale if math.isfinite(run.scale) else NAN)
        table["left_censored"] |= table["t_first_s"] <= t.min()
        table["right_censored"] |= table["t_last_s"] >= t.max()
        return [TrackSummary(**row) for row in table.to_dict("records")]
    return list(_from_pool(run, out))


def _from_pool(run: TableRun, out: Recomputed) -> Iterator[TrackSummary]:
    assert run.spans is not None
    t_s = dict(zip(run.frames["frame"].tolist(), run.frames["t_s"].tolist(), strict=True))
    begin, end = run.frames["frame"].iloc[0], run.frames["frame"].iloc[-1]
    pool = out.pool.assign(
        t_s=out.t_s[out.pool["time_bin"].to_numpy(np.int64)],
        mean=out.pool["size"] / out.pool["whole"].where(out.pool["whole"] > 0),
    )
    for done, (name, part) in enumerate(pool.groupby("track")):
        first, label, entered = run.spans.first[int(name)]
        last, left = run.spans.last[int(name)]
        if first not in t_s or last not in t_s:
            continue
        growth = (
            estimators.growth_rate(part["t_s"], part["mean"]).value
            if done < _GROWTH_TRACKS and len(part) > 2
            else NAN
        )
        lived = t_s[last] - t_s[first]
        yield TrackSummary(
            int(name),
            label,
            t_s[first],
            t_s[last],
            lived,
            first == begin or entered,
            last == end or left,
            int(part["observed"].sum()),
            NAN,
            growth,
            NAN,
        )


def _per_dose(rows: list[dict[str, object]], label: str, out: Recomputed) -> list[dict[str, object]]:
    """Growth and nucleation per dose, where the dose rose at one rate."""
    dose, t = out.time_bins["dose_dpa"].to_numpy(np.float64), out.time_bins["t_s"].to_numpy(np.float64)
    known = np.isfinite(dose) & np.isfinite(t)
    if np.count_nonzero(known) < 2 or not np.ptp(t[known]) > 0:
        return []
    rate = float(np.ptp(dose[known]) / np.ptp(t[known]))
    names = {
        "growth_nm_per_s": "growth_nm_per_dpa",
        "nucleation_per_m2_s": "nucleation_per_m2_dpa",
        "coalescence_per_m2_s": "coalescence_per_m2_dpa",
    }
    if not rate > 0:
        return []
    return [
        kinetics_row(
            label,
            names[str(row["quantity"])],
            estimators.Estimate(
                float(str(row["value"])) / rate,
                float(str(row["lo"])) / rate,
                float(str(row["hi"])) / rate,
                int(str(row["n"])),
            ),
            f"{row['method']}; over the mean dose rate of {rate:.4g} dpa/s",
            str(row["why"]),
        )
        for row in rows
        if row["defect_class"] == label and row["quantity"] in names
    ]


def _saturation_rows(run: TableRun, out: Recomputed, label: str) -> Iterator[dict[str, object]]:
    r"""Fit :math:`N_{sat} (1 - e^{-x / x_0})` to the density against dose, or against time.

    Intervals from drawing the tracks anew.

    Frames of one movie show the same defects: only tracks are independent, so that the bootstrap draws whole
    tracks.
    """
    if len(np.unique(view_numbers(run.frames))) > 1:
        why = "not fitted: the movie shows several views; choose one with --start and --end"
        yield kinetics_row(label, "saturation_density", estimators.Estimate(NAN, NAN, NAN, 0), why)
        return
    pool = out.pool if label == "all" else out.pool[out.pool["label"] == run.class_names.index(label) + 1]
    if pool["track"].nunique() < _MIN_TRACKS or len(out.t_s) < 8:
        return
    table = out.time_bins[out.time_bins["defect_class"] == label]
    dose = table["dose_dpa"].to_numpy(np.float64)
    against, x = (
        ("dpa", dose) if np.isfinite(dose).all() and np.ptp(dose) > 0 else ("s", out.t_s - out.t_s[0])
    )
    group = np.arange(len(x)) * min(_BINS, len(x)) // len(x)
    frames = table["n_frames"].to_numpy(np.float64)
    n = np.bincount(group)
    middle = np.bincount(group, x) / n
    codes, tracks = pd.factorize(pool["track"])
    counts, draws = _drawn_counts(
        group[pool["time_bin"].to_numpy(np.int64)],
        codes,
        pool["counted"].to_numpy(np.float64),
        len(tracks),
        len(n),
    )
    looked = np.bincount(group, frames)
    counts, draws = counts / looked, draws / looked
    if not counts.sum() > 0 or not middle.max() > 0:
        return
    tenth = max(1, len(counts) // 10)
    if counts[:tenth].mean() > _RISES * counts[-tenth:].mean():
        why = "not fitted: the density does not rise from near zero; N_sat (1 - exp(-x / x0)) begins at zero"
        yield kinetics_row(label, "saturation_density", estimators.Estimate(NAN, NAN, NAN, len(tracks)), why)
        return
    density = table["density_per_m3"].to_numpy(np.float64)
    name = "density_per_m3" if np.isfinite(density).any() else "density_per_m2"
    seen = table["n_counted"].to_numpy(np.float64)
    unit = (
        np.nanmedian(table[name].to_numpy(np.float64)[seen > 0] / seen[seen > 0]) if (seen > 0).any() else NAN
    )
    best = saturation(middle, counts)
    sat, start = best_saturations(middle, draws)
    how = (
        f"N_sat (1 - exp(-x / x0)) against {'dose' if against == 'dpa' else 'time'}; interval from"
        f" {_REPLICATES} draws of whole tracks"
    )
    if not best.identifiable:
        how += "; x0 lies beyond the data: only the initial rate is told"
    enough = best.identifiable
    yield kinetics_row(
        label, f"saturation_{name}", _spread(best.n_sat.value * unit, sat * unit, len(tracks), enough), how
    )
    yield kinetics_row(
        label, f"saturation_x0_{against}", _spread(best.dose_0.value, start, len(tracks), enough), how
    )
    rate = best.n_sat.value * unit / best.dose_0.value
    yield kinetics_row(
        label, f"initial_rate_{name}_{against}", _spread(rate, sat * unit / start, len(tracks), True), how
    )


def _spread(value: float, draws: Floats, n: int, known: bool) -> estimators.Estimate:
    if not known:
        return estimators.Estimate(NAN, NAN, NAN, n)
    low, high = np.nanquantile(draws, [0.025, 0.975]).tolist() if np.isfinite(draws).any() else (NAN, NAN)
    return estimators.Estimate(value, low, high, n)


def _drawn_counts(
    group: Floats, track: Floats, share: Floats, n_tracks: int, n_groups: int
) -> tuple[Floats, Floats]:
    """Return counts of each group.

    And of as many draws of whole tracks, each as often as a Poisson number of mean one says.
    """
    from scipy.sparse import coo_matrix

    there = coo_matrix((share, (group, track)), shape=(n_groups, n_tracks)).tocsr()
    random = np.random.default_rng(0)
    draws = np.stack([there @ random.poisson(1.0, n_tracks).astype(np.float64) for _ in range(_REPLICATES)])
    return np.asarray(there.sum(axis=1), np.float64).ravel(), draws


def size_rows(run: TableRun, out: Recomputed) -> list[dict[str, object]]:
    """Size distribution of each class, in the first and last time bin and over the whole run.

    With the volume that each bin holds.

    Numbers are those in view at a time; each track enters with its own mean size and the share of the time in
    which it was there, so that volume fractions come from single defects and never from a mean size.
    """
    rows: list[dict[str, object]] = []
    pool = out.pool[out.pool["whole"] > 0]
    if not len(pool):
        return rows
    mean = (pool["size"] / pool["whole"]).to_numpy(np.float64)
    step = round_step(float(np.quantile(mean, 0.99)) / 20 or 1.0)
    frames = out.time_bins.groupby("t_s", sort=True)["n_frames"].first().to_numpy(np.float64)
    last = len(out.t_s) - 1
    meter, area = run.meter(), out.area_nm2
    number = run.trusted_frames()["frame"].to_numpy(np.int64)
    for when, chosen, looked, frame in (
        ("whole run", np.ones(len(pool), bool), frames.sum(), SEVERAL),
        ("first stretch", (pool["time_bin"] == 0).to_numpy(), frames[0], int(number[0])),
        ("last stretch", (pool["time_bin"] == last).to_numpy(), frames[-1], int(number[-1])),
    ):
        part = pool[chosen].groupby(["label", "track"], as_index=False)[["whole", "size", "weight"]].sum()
        for label, mine in part.groupby("label"):
            name = run.class_names[int(label) - 1]
            size = (mine["size"] / mine["whole"]).to_numpy(np.float64)
            weight = mine["weight"].to_numpy(np.float64) / looked
            place = np.floor(size / step).astype(np.int64)
            for k in range(int(place.max()) + 1):
                here = place == k
                n = float(weight[here].sum())
                effective = n**2 / float((weight[here] ** 2).sum()) if n else 0.0
                low, high = (float(end) for end in poisson_interval(effective))
                each = n / effective if effective else 1.0
                depth = meter.specimens.at(frame).densities.depth_nm(size[here])
                volume = (
                    float((np.pi / 6 * size[here] ** 3 / depth * weight[here]).sum()) / area
                    if name in VOLUME_CLASSES
                    else NAN
                )
                rows.append(
                    {
                        **{
                            "when": when,
                            "defect_class": name,
                            "size_from_nm": k * step,
                            "size_to_nm": (k + 1) * step,
                            "n": n,
                        },
                        **{
                            "n_lo": low * each,
                            "n_hi": high * each,
                            "n_tracks": int(here.sum()),
                            "volume_fraction": volume,
                        },
                    }
                )
    return rows


def average_rows(run: TableRun, out: Recomputed) -> list[dict[str, object]]:
    """Means over the whole run, one row per class: what one would write in the abstract."""
    from insitrack.tracker.analysis.time_bins import Pool, TimeBins

    meter = run.meter()
    pool = Pool(meter, TimeBins(np.zeros(out.n_frames, np.int64), 1))
    pool.take(out.pool.assign(time_bin=0))
    k = len(run.class_names)
    looked = run.trusted_frames()
    nothing = np.zeros((len(looked), k), np.int64)
    area = (
        looked["field_px"].to_numpy(np.float64) * frame_scales(looked, run.calibration.nm_per_px or NAN) ** 2
    )
    values = pool.series(
        looked["t_s"].to_numpy(np.float64),
        area,
        looked[["width_px", "height_px"]].to_numpy(np.float64),
        nothing,
        nothing,
        frame=looked["frame"].to_numpy(np.int64),
    )
    columns = {
        name: column[0]
        for name, column in values.items()
        if name not in ("births", "deaths", "t_s", "temperature_c", "beam_current_a")
    }
    tracks = [out.pool.loc[out.pool["label"] == i + 1, "track"].nunique() for i in range(k)]
    return [
        {
            "defect_class": name,
            "n_tracks": tracks[i] if i < k else out.pool["track"].nunique(),
            **{key: float(column[i]) for key, column in columns.items()},
        }
        for i, name in enumerate((*run.class_names, "all"))
    ]
