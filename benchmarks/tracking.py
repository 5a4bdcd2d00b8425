"""Scoreboard of trackers: the same noisy detections of drawn scenes to this tracker and to all that one would use instead.

``python benchmarks/tracking.py tune`` picks, for every peer and every scene, the settings with the best HOTA
on two seeds that are not reported, and writes tracking_tuned.json. ``python benchmarks/tracking.py`` runs
everything on ten other seeds and writes tracking.json, tracking.md and docs/tracking.md; ours runs with its
defaults in every scene. Needs ``pip install -e ".[benchmark]"``.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import record
import tracking_peers as peers
import tracking_scenes as ts

from insitrack.tracker.evaluation.track_scores import BoxTable, score_tracks
from insitrack.tracker.kinetics.estimators import event_rate, growth_rate, kaplan_meier

HERE = Path(__file__).parent
TUNED = HERE / "tracking_tuned.json"
TUNE_SEEDS, SEEDS = (100, 101), tuple(range(10))
BORDER_PX = 12.0
"""Tracks that begin or end this close to the border have come in or gone out there."""


def published(table: BoxTable, side: int) -> dict[str, float]:
    """Work out what a user publishes from tracks.

    Median lifetime, s, median growth, nm/s, nucleation rate, 1/(m^2 s); the same code for all.
    """
    lifetimes, died, births, slopes = [], [], 0, []
    order = np.lexsort((table.frame, table.track_id))
    frame, boxes = table.frame[order], table.boxes[order]
    for rows in np.split(np.arange(len(order)), np.flatnonzero(np.diff(table.track_id[order])) + 1):
        if not len(rows):
            continue
        t, b = frame[rows] * ts.INTERVAL_S, boxes[rows]
        centre = (b[:, :2] + b[:, 2:]) / 2
        near = ((centre < BORDER_PX) | (centre > side - BORDER_PX)).any(axis=1)
        begun, ended = frame[rows[0]] > 0 and not near[0], frame[rows[-1]] < ts.FRAMES - 1 and not near[-1]
        births += begun
        if begun:  # those there from the start have an unknown age
            lifetimes.append(t[-1] - t[0] + ts.INTERVAL_S)
            died.append(ended)
        if len(rows) >= 20:
            slopes.append(growth_rate(t, np.sqrt((b[:, 2:] - b[:, :2]).prod(axis=1)) * ts.NM_PER_PX).value)
    curve = kaplan_meier(lifetimes, died) if lifetimes else None
    return {
        "lifetime_s": curve.median().value if curve else math.nan,
        "growth_nm_per_s": float(np.median(slopes)) if slopes else math.nan,
        "nucleation": event_rate(births, (side * ts.NM_PER_PX) ** 2, ts.FRAMES * ts.INTERVAL_S).value,
    }


def judge(scene: ts.Scene, table: BoxTable, seconds: float) -> dict[str, float]:
    """Scores of one tracker on one scene."""
    scores = score_tracks(scene.truth, table)
    true, found = published(scene.truth, scene.side), published(table, scene.side)
    names = (
        "hota",
        "deta",
        "assa",
        "loca",
        "mota",
        "idf1",
        "id_switches",
        "fragmentations",
        "mostly_tracked",
    )
    return {
        **{name: float(getattr(scores, name)) for name in names},
        **{f"true_{name}": value for name, value in true.items()},
        **{f"found_{name}": value for name, value in found.items()},
        "ms_per_frame": 1e3 * seconds / ts.FRAMES,
    }


def attempt(
    track: Callable[[ts.Scene, dict[str, Any]], BoxTable], setting: dict[str, Any], scenes: list[ts.Scene]
) -> float:
    """Mean HOTA of one setting; 0 where the tracker gives up."""
    try:
        return float(np.mean([score_tracks(one.truth, track(one, setting)).hota for one in scenes]))
    except (ValueError, RuntimeError) as error:
        print("gave up:", setting, str(error)[:80], flush=True)
        return 0.0


def tune() -> None:
    """Pick the best setting of every peer for every scene, by HOTA on the seeds to tune on."""
    chosen: dict[str, dict[str, Any]] = (
        json.loads(TUNED.read_text(encoding="utf-8")) if TUNED.exists() else {}
    )
    for name in ts.SCENES:
        scenes = [ts.make(name, seed) for seed in (TUNE_SEEDS[:1] if name == "dense" else TUNE_SEEDS)]
        for peer, (track, grid) in peers.PEERS.items():
            if peer in chosen.setdefault(name, {}):
                continue
            results = [(attempt(track, setting, scenes), setting) for setting in grid]
            hota, best = max(results, key=lambda pair: pair[0])
            chosen[name][peer] = {"setting": best, "hota": round(hota, 4), "tried": len(grid)}
            TUNED.write_text(json.dumps(chosen, indent=1) + "\n", encoding="utf-8")
            print(name, peer, round(hota, 4), best, flush=True)


def contestants(name: str, tuned: dict[str, Any]) -> dict[str, Callable[[ts.Scene], BoxTable]]:
    """Everything that takes part in a scene, by the name in the table."""
    import tracking_ours as ours

    answer: dict[str, Callable[[ts.Scene], BoxTable]] = {
        "insitrack, refined": ours.refined,
        "insitrack, causal": ours.causal,
        "perfect identities, raw boxes": ours.perfect,
    }
    for peer, (track, _) in peers.PEERS.items():
        answer[f"{peer}, tuned"] = lambda scene, track=track, peer=peer: track(
            scene, tuned[name][peer]["setting"]
        )
        answer[f"{peer}, default"] = lambda scene, track=track, peer=peer: track(scene, peers.DEFAULTS[peer])
    return answer


def one_scene(name: str, seeds: tuple[int, ...], only: str | None) -> dict[str, Any]:
    """Run every contestant on one scene and every seed."""
    tuned = json.loads(TUNED.read_text(encoding="utf-8"))
    results = {}
    with peers.quiet():
        for label, track in contestants(name, tuned).items():
            if only and only not in label:
                continue
            rows = []
            for seed in seeds:
                scene = ts.make(name, seed)
                start = time.process_time()
                table = track(scene)
                rows.append(judge(scene, table, time.process_time() - start))
            results[label] = rows
            print(f"{name:11s} {label:32s} HOTA {np.mean([r['hota'] for r in rows]):.3f}", flush=True)
    return results


def run(seeds: tuple[int, ...], only: str | None, jobs: int) -> dict[str, Any]:
    """Run every scene, the largest first."""
    if jobs == 1:
        return {name: one_scene(name, seeds, only) for name in ts.SCENES}
    names = sorted(ts.SCENES, key=lambda name: name != "dense")
    with ProcessPoolExecutor(jobs) as pool:
        done = {name: pool.submit(one_scene, name, seeds, only) for name in names}
        return {name: done[name].result() for name in ts.SCENES}


def main() -> None:
    parser = record.options(__doc__)
    parser.add_argument("what", nargs="?", choices=("tune", "run", "page"), default="run")
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    parser.add_argument(
        "--only", help="only contestants whose name contains this; the others keep their last results"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, help="scenes at a time; more than one disturbs the times"
    )
    given = parser.parse_args()
    import tracking_page

    if given.smoke:
        given.seeds, ts.SCENES, tracking_page.PEERS = 1, ("calm",), ("trackpy",)
        peers.PEERS = {"trackpy": peers.PEERS["trackpy"]}
    if given.what == "page":
        found = json.loads((given.results / "tracking.json").read_text(encoding="utf-8"))
        tracking_page.write(found, len(next(iter(found[ts.SCENES[0]].values()))), given.results)
        return
    with peers.quiet():
        if given.what == "tune":
            tune()
            return
        results = run(SEEDS[: given.seeds], given.only, given.jobs)
    file = given.results / "tracking.json"
    if given.only:  # the others keep their last results
        before = json.loads(file.read_text(encoding="utf-8"))
        results = {name: {**before[name], **results[name]} for name in ts.SCENES}
    tracking_page.write(results, given.seeds, given.results)


if __name__ == "__main__":
    main()
