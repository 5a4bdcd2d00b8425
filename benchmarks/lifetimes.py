"""Kinetics from tracks against the truth of drawn scenes: bias and coverage over seeds.

``python benchmarks/lifetimes.py``.

Writes lifetimes.json and lifetimes.md. Defects nucleate everywhere at a constant rate, grow, wander and die at a
constant rate, on a specimen that drifts; detections are drawn from them without images: noise of position and size,
missed and false ones. The truth is what the scene was drawn with, not what an estimator makes of it. Each scene is
estimated twice: with the identities known, which tests the estimators, and as linked and refined, which is what a
run tells. About 20 minutes of one core; with ``--parts`` and ``--minutes`` it goes on where it stopped.
"""

from __future__ import annotations

import itertools
import json
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import record
from scipy import stats

from insitrack.io.intervals import poisson_interval
from insitrack.io.tables.detection_table import DetectionTable
from insitrack.io.write import write_text
from insitrack.tracker.hindsight.refine import on_specimen, refine
from insitrack.tracker.hindsight.settings import RefineConfig
from insitrack.tracker.kinetics.rates import kinetics_rows
from insitrack.tracker.kinetics.track_histories import track_histories
from insitrack.tracker.link.linker import Linker
from insitrack.tracker.link.settings import LinkConfig
from insitrack.tracker.measure.from_table import measured_frames

SIDE, NM, DT, IN_VIEW = 512, 0.5, 0.5, 60
GROWTH, DIFFUSION, NOISE_PX = 0.01, 0.02, 0.5  # nm/s, nm^2/s, px
NOISE_NM = NOISE_PX * NM
TRUE_NAMES = (
    "lifetime_mean_s",
    "lifetime_median_s",
    "nucleation_per_m2_s",
    "growth_nm_per_s",
    "diffusion_nm2_per_s",
    "localisation_nm",
)
DRAWN = "drawn_mean_s"
"""Mean life of what was drawn, itself: the scatter that no estimator can be without."""


def scene(
    seed: int, tau: float, size: float, drift: float, missed: float, false: float, frames: int
) -> tuple[pd.DataFrame, pd.DataFrame, float, tuple[float, int]]:
    """Draw detections, one row each, with the number of the true defect; frames; the births, 1/(m^2 s); and lives.

    The last ones are all the time, in looks, that defects lay wholly in view, and how many died meanwhile.
    """
    rng = np.random.default_rng(
        [seed, int(10 * tau), int(size), int(10 * drift), int(100 * missed), int(100 * false)]
    )
    shift = drift * np.arange(frames)[:, None] * np.array([[1.0, 0.0]])
    low, high = np.array([-shift[-1, 0] - size, -size]), np.array([SIDE + size, SIDE + size])
    area = float(np.prod(high - low))
    rate = IN_VIEW / SIDE**2 / tau  # births per px^2 and look, so that as many are there as die
    n_old, n_new = rng.poisson(rate * tau * area), rng.poisson(rate * (frames - 1) * area)
    born = np.concatenate([np.full(n_old, -1e-9), rng.uniform(0, frames - 1, n_new)])
    dies = born + rng.exponential(tau, len(born))
    place = rng.uniform(low, high, (len(born), 2))
    parts = []
    for name, (b, d) in enumerate(zip(born.tolist(), dies.tolist(), strict=True)):
        f = np.arange(max(0, math.ceil(b)), min(frames - 1, math.floor(d)) + 1)
        if not len(f):
            continue
        steps = rng.normal(0, math.sqrt(2 * DIFFUSION * DT) / NM, (len(f), 2))
        path = place[name] + np.cumsum(steps, axis=0) + shift[f]
        s = size + GROWTH * DT / NM * (f - f[0])
        parts.append(np.column_stack([f, path, s, np.full(len(f), name)]))
    rows = np.concatenate(parts)
    rows = rows[rng.random(len(rows)) >= missed]
    n_false = rng.poisson(false * IN_VIEW * frames)
    noise = np.column_stack(
        [
            rng.integers(0, frames, n_false),
            rng.uniform(0, SIDE, (n_false, 2)),
            size * rng.lognormal(0, 0.2, n_false),
        ]
    )
    noise = np.column_stack([noise, -1 - np.arange(n_false)])
    rows = np.concatenate([rows, noise])
    rows[:, 1:3] += rng.normal(0, NOISE_PX, (len(rows), 2))
    rows[:, 3] *= rng.lognormal(0, 0.03, len(rows))
    # what the border cuts is seen as far as it is in view
    low, high = rows[:, 1:3] - rows[:, 3:4] / 2, rows[:, 1:3] + rows[:, 3:4] / 2
    kept = ((high > 2) & (low < SIDE - 2)).all(axis=1)
    table = pd.DataFrame(rows[kept], columns=["frame", "x", "y", "size", "truth"])
    table["frame"] = table["frame"].astype(int)
    table[["x1_px", "y1_px"]] = low[kept].clip(0, SIDE)
    table[["x2_px", "y2_px"]] = high[kept].clip(0, SIDE)
    times = pd.DataFrame(
        {
            "frame": np.arange(frames),
            "t_s": np.arange(frames) * DT,
            "status": "processed",
            "shift_x_px": shift[:, 0],
            "shift_y_px": shift[:, 1],
            "field_px": float(SIDE**2),
            "width_px": float(SIDE),
            "height_px": float(SIDE),
        }
    )
    lives = _drawn_lives(born, dies, place, size, drift, frames)
    return table.sort_values("frame", kind="stable"), times, rate / (NM * 1e-9) ** 2 / DT, lives


def _drawn_lives(
    born: np.ndarray, dies: np.ndarray, place: np.ndarray, size: float, drift: float, frames: int
) -> tuple[float, int]:
    """Time that defects, as large and where they were born, lay wholly in view, looks, and deaths meanwhile."""
    half = size / 2
    x, y = place.T
    across = (x >= half) & (x <= SIDE - half)
    enter, leave = np.where(across, -np.inf, np.inf), np.where(across, np.inf, -np.inf)
    if drift:
        enter, leave = (half - x) / drift, (SIDE - half - x) / drift
    begin, end = np.maximum(np.maximum(enter, born), 0.0), np.minimum(np.minimum(leave, dies), frames - 1.0)
    there = (y >= half) & (y <= SIDE - half) & (end > begin)
    return float((end - begin)[there].sum()), int(np.count_nonzero(there & (dies <= end)))


def with_true_ids(table: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """Rows as in ``tracks.csv`` with the true identities; false finds are tracks of one observation."""
    edge = (table["x1_px"] <= 0) | (table["y1_px"] <= 0) | (table["x2_px"] >= SIDE) | (table["y2_px"] >= SIDE)
    shift = times[["shift_x_px", "shift_y_px"]].to_numpy()[table["frame"]]
    ids = np.unique(table["truth"], return_inverse=True)[1] + 1
    rows = table.assign(
        track_id=ids, defect_class="black_dot", t_s=table["frame"] * DT, score=0.9, observed=1
    )
    centre = (table[["x1_px", "y1_px"]].to_numpy() + table[["x2_px", "y2_px"]].to_numpy()) / 2
    rows["x_px"], rows["y_px"] = centre.T
    rows["raw_x_px"], rows["raw_y_px"] = (centre - shift).T
    rows["specimen_x_px"], rows["specimen_y_px"] = (centre - shift).T
    rows["size_nm"] = rows["raw_size_nm"] = table["size"] * NM
    rows["area_px"] = np.pi / 4 * table["size"] ** 2
    rows = rows.assign(on_edge=edge.astype(int), probability=math.nan)
    n = rows.groupby("track_id")["frame"].transform("size")
    return rows[n >= 3].sort_values(["frame", "track_id"], kind="stable")  # as doubtful ones are dropped


def linked(table: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """Return the same from the linker and the refinement, as ``track link`` does it."""
    boxes = table[["x1_px", "y1_px", "x2_px", "y2_px"]].to_numpy()
    detections = DetectionTable(
        frame=table["frame"].to_numpy(),
        t_s=table["frame"].to_numpy() * DT,
        x_px=boxes[:, [0, 2]].mean(axis=1),
        y_px=boxes[:, [1, 3]].mean(axis=1),
        size_px=np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1)),
        boxes=boxes,
        label=np.ones(len(table), np.int64),
        score=np.full(len(table), 0.9),
        class_names=("black_dot",),
        shape=(SIDE, SIDE),
        nm_per_px=NM,
        times=times["t_s"].to_numpy(),
    )
    linker, ids, edges = Linker(LinkConfig()), [], []
    for (found, measures), shift in zip(
        measured_frames(detections), times[["shift_x_px", "shift_y_px"]].to_numpy().tolist(), strict=True
    ):
        ids.append(linker.update(found, measures, tuple(shift)).track_ids)
        edges.append(measures.on_edge)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    rows = table.assign(
        track_id=np.concatenate(ids),
        t_s=table["frame"] * DT,
        defect_class="black_dot",
        score=0.9,
        observed=1,
        x_px=centre[:, 0],
        y_px=centre[:, 1],
        size_nm=table["size"] * NM,
        area_px=np.pi / 4 * table["size"] ** 2,
        on_edge=np.concatenate(edges).astype(int),
    )
    refined = refine(
        rows[rows["track_id"] > 0].reset_index(drop=True), times, RefineConfig(), nm_per_px=NM
    ).tracks
    return on_specimen(refined, times)


def figures(rows: pd.DataFrame, times: pd.DataFrame, truth: dict[str, float]) -> dict[str, list[float]]:
    """Value, lower and upper end of every quantity of one scene, and the truth."""
    told = track_histories(rows, times, nm_per_px=NM)
    found = {
        str(row["quantity"]): row
        for row in kinetics_rows(told, rows, times, nm_per_px=NM)
        if row["defect_class"] == "all"
    }
    answer = {}
    for name, true in truth.items():
        values = [float(str(found[name][key])) for key in ("value", "lo", "hi")] if name in found else []
        answer[name] = [*(values or [math.nan] * 3), true]
    return answer


def try_seed(seed: int, what: dict[str, float], *, link: bool) -> dict[str, list[float]]:
    """Draw a scene, and estimate with the identities known, or as linked and refined."""
    frames = int(min(400, max(60, 6 * what["tau"])))
    table, times, births, (watched, deaths) = scene(seed, **what, frames=frames)
    tau_s = what["tau"] * DT
    truth = dict(
        zip(TRUE_NAMES, (tau_s, tau_s * math.log(2), births, GROWTH, DIFFUSION, NOISE_NM), strict=True)
    )
    found = figures((linked if link else with_true_ids)(table, times), times, truth)
    fewest, most = (float(end) for end in poisson_interval(deaths))
    drawn = [watched * DT / n if n else math.inf for n in (deaths, most, fewest)]
    return {**found, DRAWN: [*drawn, tau_s]}


def summed_up(each: list[dict[str, list[float]]]) -> dict[str, dict[str, float]]:
    """Bias, %, of the mean over seeds, and the share of intervals that hold the truth, of those that are told."""
    answer = {}
    for name in (DRAWN, *TRUE_NAMES):
        values = np.array([one[name] for one in each if math.isfinite(one[name][0])])
        told = len(values) / max(len(each), 1)
        if told < 0.5 or len(values) < 2:
            answer[name] = {"told": told}
            continue
        value, lo, hi, true = values.T
        answer[name] = {
            "bias_percent": 100 * float(value.mean() / true[0] - 1),
            "error": 100 * float(value.std(ddof=1) / true[0] / math.sqrt(len(value))),
            "held": float(np.mean((lo <= true) & (true <= hi))),
            "told": told,
        }
    return answer


BASE = {"tau": 30.0, "size": 24.0, "drift": 1.5, "missed": 0.1, "false": 0.05}
GRID = {
    "tau": (3.0, 6.0, 30.0, 60.0, 300.0),
    "size": (10.0, 24.0, 50.0),
    "drift": (0.0, 1.5, 6.0),
    "missed": (0.0, 0.1, 0.3),
    "false": (0.0, 0.05),
}


def cases(*, corners: bool = False) -> list[dict[str, float]]:
    """Return the middle, every condition changed alone, and if asked for the corners of all but false detections."""
    some = [BASE] + [{**BASE, name: value} for name, values in GRID.items() for value in values]
    ends = itertools.product(*((values[0], values[-1]) for name, values in GRID.items() if name != "false"))
    if corners:
        some += [dict(zip(GRID, (*corner, 0.05), strict=True)) for corner in ends]
    return [dict(pairs) for pairs in dict.fromkeys(tuple(one.items()) for one in some)]


def measure(
    chosen: list[dict[str, float]], seeds: int, parts: Path, minutes: float
) -> list[dict[str, object]]:
    """Try what is not in `parts` yet, seed by seed, until the time is up, and sum up what is there."""
    start = time.monotonic()
    done: dict[tuple[bool, int], list[dict[str, list[float]]]] = {}
    for seed, link, i in itertools.product(range(seeds), (False, True), range(len(chosen))):
        name = "_".join(f"{value:g}" for value in chosen[i].values())
        path = parts / f"{'linked' if link else 'known'}_{name}_{seed}.json"
        if not path.exists() and time.monotonic() - start < 60 * minutes:
            write_text(path, json.dumps(try_seed(seed, chosen[i], link=link)))
        if path.exists():
            one = json.loads(path.read_text(encoding="utf-8"))
            done.setdefault((link, i), []).append(one)
    return [
        {**chosen[i], "link": link, "seeds": len(each), **summed_up(each)}
        for (link, i), each in sorted(done.items())
    ]


def main() -> None:
    """Measure what is not measured yet, and write the page of what there is."""
    parser = record.options(__doc__)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--corners", action="store_true", help="also all conditions at their ends at once")
    parser.add_argument(
        "--parts", type=Path, metavar="DIR", help="keep each scene's figures here, and go on with them"
    )
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="stop after so long; go on with --parts"
    )
    given = parser.parse_args()
    chosen, seeds = cases(corners=given.corners), given.seeds
    if given.smoke:
        chosen, seeds = chosen[:1], 2
    with tempfile.TemporaryDirectory() as made:
        parts = given.parts or Path(made)
        parts.mkdir(parents=True, exist_ok=True)
        facts = measure(chosen, seeds, parts, given.minutes)
    record.keep(__file__, {"cases": facts}, page(facts), given.results)


SHORT = {
    DRAWN: "mean life, drawn",
    "lifetime_mean_s": "mean life",
    "lifetime_median_s": "median life",
    "nucleation_per_m2_s": "nucleation",
    "growth_nm_per_s": "growth",
    "diffusion_nm2_per_s": "diffusion",
    "localisation_nm": "position error",
}


def page(facts: list[dict[str, object]]) -> str:
    """Write the tables of the page."""
    few = min((int(str(one["seeds"])) for one in facts), default=0)
    caution = (
        f" So far {few} seeds a row: that shows gross errors, and neither a bias of 5 % nor a coverage; what is not"
        " bold is not thereby within the mark."
    )
    lines = [
        "# Kinetics against the truth of drawn scenes",
        "",
        "`python benchmarks/lifetimes.py`. A middle case, and each condition changed alone (and, with `--corners`, all at"
        f" their ends at once). About {IN_VIEW} defects in"
        f" {SIDE} x {SIDE} px, also of 50 px, which then cover 45 % of it. Bias of the mean over seeds with its"
        " standard error, %, and the share of 95 % intervals that hold the truth. Empty: less than half of the scenes"
        " tell the figure, and `why` says the reason. The mark is a bias within 5 % and 90 to 97 % of intervals; bold"
        " is what misses it by more than chance: a bias of more than 5 % and two standard errors beyond it, or fewer"
        " intervals than 95 of 100 draws would have at 90 %; with ? where so many scenes do not tell 5 %, two standard"
        " errors being more." + (caution if few < 20 else ""),
        "",
        f"*{SHORT[DRAWN]}* is no estimate: all the time that the drawn defects lay wholly in view over those that died"
        " meanwhile, as one would count who sees everything. What it is off is the luck of the draw, in which the"
        " estimates share.",
        "",
    ]
    for link, title in (
        (False, "Identities known: the estimators"),
        (True, "Linked and refined: what a run tells"),
    ):
        heads = ["life, frames", "size, px", "drift, px", "missed", "false", "seeds", *SHORT.values()]
        mine = [one for one in facts if one["link"] == link]
        table = record.table(heads, [_row(one) for one in mine])
        lines += [f"## {title}", "", *table, "", *_against_the_mark(mine), ""]
    return "\n".join(lines)


def _conditions(one: dict[str, object]) -> list[str]:
    return [
        f"{one['tau']:g}",
        f"{one['size']:g}",
        f"{one['drift']:g}",
        f"{one['missed']:.0%}",
        f"{one['false']:.0%}",
    ]


def _beyond_chance(part: dict[str, float], seeds: int) -> bool:
    """Check whether a figure misses the mark by more than chance."""
    least = stats.binom.ppf(0.05, seeds, 0.9) / seeds
    return abs(part["bias_percent"]) > 5 + 2 * part["error"] or part["held"] < least


def _enough_held(part: dict[str, float], seeds: int) -> bool:
    """Check for 90 to 97 % of the intervals, the ends rounded to whole seeds."""
    return math.floor(0.9 * seeds) <= round(part["held"] * seeds) <= math.ceil(0.97 * seeds)


def _open(part: dict[str, float]) -> bool:
    """Check whether the scenes are too few, or too poor, to tell a bias of 5 %."""
    return 2 * part["error"] > 5


def _row(one: dict[str, object]) -> list[str]:
    cells = [*_conditions(one), str(one["seeds"])]
    for name in SHORT:
        part = one[name]
        assert isinstance(part, dict)
        if "held" not in part:
            cells.append("")
            continue
        text = f"{part['bias_percent']:+.1f} ± {part['error']:.1f}, {part['held']:.0%}"
        text += " ?" if _open(part) else ""
        cells.append(f"**{text}**" if _beyond_chance(part, int(str(one["seeds"]))) else text)
    return cells


def _against_the_mark(facts: list[dict[str, object]]) -> list[str]:
    """Say how many figures meet the mark as they stand, and which do not."""
    within, kinds = 0, {"Outside by more than chance": [], "Outside, by no more than chance": [], "Empty": []}
    undecided: list[str] = []
    for one in facts:
        where = "/".join(_conditions(one))
        for name in TRUE_NAMES:
            part = one[name]
            assert isinstance(part, dict)
            if "held" not in part:
                kinds["Empty"].append(f"{SHORT[name]} at {where} (told in {part['told']:.0%} of scenes)")
                continue
            text = f"{SHORT[name]} at {where} ({part['bias_percent']:+.1f} %, {part['held']:.0%})"
            if _beyond_chance(part, int(str(one["seeds"]))):
                kinds["Outside by more than chance"].append(text)
            elif _open(part):
                undecided.append(text)
            elif abs(part["bias_percent"]) <= 5 and _enough_held(part, int(str(one["seeds"]))):
                within += 1
            else:
                kinds["Outside, by no more than chance"].append(text)
    kinds["Not told to 5 % by so many scenes"] = undecided
    lines = [f"Within the mark as they stand (coverage to whole seeds): {within} figures.", ""]
    return lines + [
        f"- {name}: {len(some)}{': ' if some else ''}{'; '.join(some)}." for name, some in kinds.items()
    ]


if __name__ == "__main__":
    main()
