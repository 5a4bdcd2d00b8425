"""Kinetics from tracks against the truth of drawn scenes: bias and coverage over seeds.

``python benchmarks/lifetimes.py``.

Writes lifetimes.json and lifetimes.md. Defects nucleate everywhere at a constant rate, grow, wander and die at a
constant rate, on a specimen that drifts; detections are drawn from them without images: noise of position and size,
missed and false ones. The truth is what the scene was drawn with, not what an estimator makes of it. In the grid
identities are known, which tests the estimators; in the last rows the detections are linked and refined.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import record

from insitrack.io.tables.detection_table import DetectionTable
from insitrack.tracker.hindsight.refine import refine
from insitrack.tracker.hindsight.settings import RefineConfig
from insitrack.tracker.kinetics.rates import kinetics_rows, lifetime_rows, nucleation_row
from insitrack.tracker.kinetics.track_histories import track_histories
from insitrack.tracker.kinetics.watched import watch
from insitrack.tracker.link.linker import Linker
from insitrack.tracker.link.settings import LinkConfig
from insitrack.tracker.measure.from_table import measured_frames

SIDE, NM, DT, IN_VIEW = 512, 0.5, 0.5, 60
GROWTH, DIFFUSION, NOISE_PX = 0.01, 0.02, 0.5  # nm/s, nm^2/s, px
TRUE_NAMES = (
    "lifetime_mean_s",
    "lifetime_median_s",
    "nucleation_per_m2_s",
    "growth_nm_per_s",
    "diffusion_nm2_per_s",
)


def scene(
    seed: int, tau: float, size: float, drift: float, missed: float, false: float, frames: int
) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """Draw detections, one row each, with the number of the true defect; frames; and the births, 1/(m^2 s)."""
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
    return table.sort_values("frame", kind="stable"), times, rate / (NM * 1e-9) ** 2 / DT


def with_true_ids(table: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """Rows as in ``tracks.csv`` with the true identities; false finds are tracks of one sight."""
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
    moved = times[["shift_x_px", "shift_y_px"]].to_numpy()[refined["frame"]]
    return refined.assign(
        specimen_x_px=refined["x_px"] - moved[:, 0], specimen_y_px=refined["y_px"] - moved[:, 1]
    )


def figures(
    seed: int, *, link: bool, moves: bool, **what: float
) -> dict[str, tuple[float, float, float, float]]:
    """Value, lower and upper end of every quantity of one scene, and the truth; `moves`: growth and diffusion too."""
    frames = int(min(400, max(60, 6 * what["tau"])))
    table, times, births = scene(seed, **what, frames=frames)
    rows = linked(table, times) if link else with_true_ids(table, times)
    tau_s = what["tau"] * DT
    true = dict(zip(TRUE_NAMES, (tau_s, tau_s * math.log(2), births, GROWTH, DIFFUSION), strict=True))
    if link or moves:
        told = track_histories(rows, times, nm_per_px=NM)
        found = [
            row for row in kinetics_rows(told, rows, times, nm_per_px=NM) if row["defect_class"] == "all"
        ]
    else:
        seen = watch(rows, times)
        everything, scales = np.ones(len(seen.track_id), bool), np.full(frames, NM)
        found = [*lifetime_rows("all", seen.lives, DT), nucleation_row("all", seen, everything, DT, scales)]
    by_name = {row["quantity"]: row for row in found}
    return {
        name: (*(float(by_name[name][key]) for key in ("value", "lo", "hi")), true[name])
        for name in TRUE_NAMES
        if name in by_name
    }


def summed_up(each: list[dict[str, tuple[float, float, float, float]]]) -> dict[str, dict[str, float]]:
    """Bias, %, of the mean over seeds, and the share of intervals that hold the truth, of those that are told."""
    answer = {}
    for name in TRUE_NAMES:
        values = np.array([one[name] for one in each if name in one and math.isfinite(one[name][0])])
        tried = sum(name in one for one in each)
        if len(values) < max(2, 0.5 * tried):
            answer[name] = {"told": len(values) / max(tried, 1)}
            continue
        value, lo, hi, true = values.T
        error = (
            100 * float(value.std(ddof=1) / true[0] / math.sqrt(len(value))) if len(value) > 1 else math.nan
        )
        held = float(np.mean((lo <= true) & (true <= hi)))
        told = len(values) / tried
        answer[name] = {
            "bias_percent": 100 * float(value.mean() / true[0] - 1),
            "error": error,
            "held": held,
            "told": told,
        }
    return answer


BASE = {"tau": 30.0, "size": 24.0, "drift": 0.0, "missed": 0.1, "false": 0.05}
GRID = {
    "tau": (3.0, 6.0, 30.0, 60.0, 300.0),
    "size": (10.0, 24.0, 50.0),
    "drift": (0.0, 1.5, 6.0),
    "missed": (0.0, 0.1, 0.3),
    "false": (0.0, 0.05),
}


def cases() -> list[dict[str, float]]:
    """Return every lifetime with every share of misses, and the other conditions about the middle one."""
    some = [
        {**BASE, "tau": tau, "missed": missed}
        for tau, missed in itertools.product(GRID["tau"], GRID["missed"])
    ]
    some += [
        {**BASE, "size": size, "drift": drift}
        for size, drift in itertools.product(GRID["size"], GRID["drift"])
    ]
    some += [{**BASE, "false": 0.0}]
    return [dict(pairs) for pairs in dict.fromkeys(tuple(one.items()) for one in some)]


def main() -> None:
    parser = record.options(__doc__)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--moving-seeds", type=int, default=4, help="of these growth and diffusion too")
    parser.add_argument("--linked-seeds", type=int, default=4)
    given = parser.parse_args()
    n = {"seeds": given.seeds, "moving_seeds": given.moving_seeds, "linked_seeds": given.linked_seeds}
    chosen, by_linker = cases(), [BASE, {**BASE, "tau": 6.0}, {**BASE, "size": 10.0, "missed": 0.3}]
    if given.smoke:
        n, chosen, by_linker = dict.fromkeys(n, 1) | {"seeds": 2}, [chosen[0], BASE], [BASE]
    facts: list[dict[str, object]] = []
    for what in chosen:
        # how a defect moves and grows does not hang on how long it lives
        moving = n["moving_seeds"] if what["tau"] == BASE["tau"] else 0
        each = [figures(s, link=False, moves=s < moving, **what) for s in range(n["seeds"])]
        facts.append({**what, "link": False, **summed_up(each)})
    for what in by_linker:
        each = [figures(s, link=True, moves=True, **what) for s in range(n["linked_seeds"])]
        facts.append({**what, "link": True, **summed_up(each)})
    record.keep(__file__, {**n, "cases": facts}, page(facts, n), given.results)


def page(facts: list[dict[str, object]], n: dict[str, int]) -> str:
    """Write the table of the page."""
    short = ("mean life", "median life", "nucleation", "growth", "diffusion")
    lines = [
        "# Kinetics against the truth of drawn scenes",
        "",
        f"`python benchmarks/lifetimes.py`, {n['seeds']} seeds a row ({n['linked_seeds']} where linked,"
        f" {n['moving_seeds']} for growth and diffusion). About {IN_VIEW} defects in {SIDE} x {SIDE} px. Bias of the"
        " mean over seeds with its standard error, %, and the share of 95 % intervals that hold the truth; empty where"
        " less than half of the scenes tell a figure, as the table then says why, or where it was not looked at.",
        "",
        "| life, frames | size, px | drift, px | missed | false | tracks | " + " | ".join(short) + " |",
        "|" + "---|" * (6 + len(short)),
    ]
    for one in facts:
        cells = [
            f"{one['tau']:g}",
            f"{one['size']:g}",
            f"{one['drift']:g}",
            f"{one['missed']:.0%}",
            f"{one['false']:.0%}",
        ]
        cells.append("linked" if one["link"] else "known")
        for name in TRUE_NAMES:
            part = one.get(name, {})
            told = isinstance(part, dict) and "held" in part
            cells.append(
                f"{part['bias_percent']:+.1f} ± {part['error']:.1f}, {part['held']:.0%}" if told else ""
            )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
