"""Tracks end to end with the shipped model on synthetic movies of seeds that no training saw.

MOTA, HOTA and IDF1 of the tables against the truth.

``python benchmarks/tracking_model.py``. The truth is every defect that can be seen (`observed` of
``truth.csv``); a defect that hides for a while is still true there for causal and refined tables alike, so
that filling a gap is right. Writes tracking_model.json and .md.
"""

from __future__ import annotations

import tempfile

import numpy as np
import pandas as pd
import record

import insitrack
from insitrack.io.synth.source import SynthSource
from insitrack.tracker.evaluation.track_scores import BoxTable, score_tracks

SIDE, FRAMES = 512, 40
MOVIES = {
    "loops": "synth:loops?seed={seed}&frames={frames}&size={side}&fps=4&start=0.6&jumps=0&faults=0",
    "two_beam": "synth:two_beam?seed={seed}&frames={frames}&size={side}&fps=4&start=0.6&jumps=0&faults=0",
    "voids": "synth:voids?seed={seed}&frames={frames}&size={side}&fps=4&start=0.6&jumps=0&faults=0",
}
SEEDS = range(61_000, 61_004)
SMALL = {"SEEDS": range(61_000, 61_001), "SIDE": 128, "FRAMES": 6}
BOX = ["x1_px", "y1_px", "x2_px", "y2_px"]


def truth(movie: SynthSource) -> BoxTable:
    """Every defect from the first to the last frame in which it can be seen."""
    parts = []
    for index in range(movie.n_frames or 0):
        state = movie.truth_state(index)
        boxes = state.detections.boxes.astype(float)
        parts.append(
            pd.DataFrame(
                {
                    "frame": index,
                    "track_id": state.track_ids,
                    "seen": state.visible,
                    **dict(zip(BOX, boxes.T, strict=True)),
                }
            )
        )
    table = pd.concat(parts)
    seen = table[table["seen"]].groupby("track_id")["frame"].agg(["min", "max"])
    table = table.join(seen, on="track_id", how="inner")
    table = table[(table["frame"] >= table["min"]) & (table["frame"] <= table["max"])]
    return of(table)


def of(table: pd.DataFrame) -> BoxTable:
    return BoxTable(
        table["frame"].to_numpy(np.int64), table["track_id"].to_numpy(np.int64), table[BOX].to_numpy(float)
    )


def main() -> None:
    given = record.options(__doc__).parse_args()
    if given.smoke:
        globals().update(SMALL)
    results: dict[str, dict[str, float]] = {}
    for name, pattern in list(MOVIES.items())[: 1 if given.smoke else None]:
        rows: dict[str, list[dict[str, float]]] = {"refined": [], "causal": []}
        for seed in SEEDS:
            uri = pattern.format(seed=seed, side=SIDE, frames=FRAMES)
            with tempfile.TemporaryDirectory() as folder:
                run = insitrack.track(uri, folder, video=False, overwrite=True)
                true = truth(SynthSource(uri))
                for kind, tables in (("refined", run), ("causal", run.causal)):
                    scores = score_tracks(true, of(tables.tracks))
                    fields = (
                        "mota",
                        "hota",
                        "idf1",
                        "deta",
                        "assa",
                        "id_switches",
                        "misses",
                        "false_positives",
                    )
                    rows[kind].append(
                        {key: float(getattr(scores, key)) for key in fields} | {"true": len(true)}
                    )
        for kind, some in rows.items():
            total = {
                key: float(np.sum([one[key] for one in some]))
                for key in ("id_switches", "misses", "false_positives", "true")
            }
            pooled = 1 - (total["id_switches"] + total["misses"] + total["false_positives"]) / total["true"]
            means = {
                key: float(np.nanmean([one[key] for one in some])) for key in ("hota", "idf1", "deta", "assa")
            }
            results[f"{name}, {kind}"] = {"mota": pooled, **means, **total}
            print(f"{name}, {kind}", results[f"{name}, {kind}"], flush=True)
    lines = [
        "# Tracks end to end with the shipped model",
        "",
        "`python benchmarks/tracking_model.py`. Four movies of 40 frames, 512x512, a line; box IoU.",
        "",
    ]
    lines += [
        "| movies, tables | MOTA | HOTA | IDF1 | DetA | AssA | switches | misses | false | true boxes |",
        "|" + "---|" * 10,
    ]
    for name, one in results.items():
        lines.append(
            f"| {name} | "
            + " | ".join(f"{value:.3f}" if value <= 1 else f"{value:.0f}" for value in one.values())
            + " |"
        )
    record.keep(__file__, results, "\n".join(lines), given.results)


if __name__ == "__main__":
    main()
