"""Makes track_scores.json: drawn tracks with the scores that TrackEval finds for them.

``pip install trackeval`` and run it again only to change the case; the numbers in the file are those of
TrackEval 1.3.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from trackeval.metrics import CLEAR, HOTA, Identity

from insitrack.io.boxes import box_iou

FRAMES = 30


def tables(seed: int) -> tuple[list[list[float]], list[list[float]]]:
    """True and found rows (frame, id, x1, y1, x2, y2).

    Misses, false boxes, swaps, broken tracks, empty frames, boxes that crowd.
    """
    rng = np.random.default_rng(seed)
    true, found, names = [], [], {}
    next_name = 1
    starts = {
        i: (rng.uniform(5, 60, 2), rng.normal(0, 0.8, 2), rng.integers(0, 12), rng.integers(15, FRAMES + 5))
        for i in range(1, 15)
    }
    for t in range(FRAMES):
        for i, (place, speed, first, last) in starts.items():
            if not first <= t < last or t == 11:
                continue
            x, y = place + speed * (t - first)
            side = 4 + i % 5
            true.append([t, i, *np.round([x, y, x + side, y + side], 2).tolist()])
            if rng.random() < 0.12 or t == 17:
                continue
            if i not in names or rng.random() < 0.06:
                names[i], next_name = next_name, next_name + 1
            dx, dy = rng.normal(0, 0.6, 2)
            found.append(
                [
                    t,
                    names[i],
                    *np.round(
                        [x + dx, y + dy, x + dx + side * rng.uniform(0.8, 1.2), y + dy + side], 2
                    ).tolist(),
                ]
            )
        if t % 9 == 4:
            a, b = rng.choice(list(names), 2, replace=False).tolist()
            names[a], names[b] = names[b], names[a]
        for _ in range(int(rng.poisson(1.0))):
            x, y = rng.uniform(0, 70, 2)
            found.append([t, next_name, *np.round([x, y, x + 5, y + 5], 2).tolist()])
            next_name += 1
    return true, found


def judged(true: list[list[float]], found: list[list[float]]) -> dict[str, float]:
    """Scores by TrackEval's own classes."""
    a, b = np.array(true), np.array(found)
    places = [np.unique(table[:, 1], return_inverse=True)[1] for table in (a, b)]
    data: dict[str, object] = {"gt_ids": [], "tracker_ids": [], "similarity_scores": []}
    for t in range(FRAMES):
        rows = [np.flatnonzero(table[:, 0] == t) for table in (a, b)]
        data["gt_ids"].append(places[0][rows[0]])
        data["tracker_ids"].append(places[1][rows[1]])
        data["similarity_scores"].append(box_iou(a[rows[0], 2:], b[rows[1], 2:]))
    data |= {"num_gt_dets": len(a), "num_tracker_dets": len(b), "num_timesteps": FRAMES}
    data |= {"num_gt_ids": len(np.unique(a[:, 1])), "num_tracker_ids": len(np.unique(b[:, 1]))}
    quiet = {"PRINT_CONFIG": False}
    hota, clear, identity = (
        HOTA().eval_sequence(data),
        CLEAR(quiet).eval_sequence(data),
        Identity(quiet).eval_sequence(data),
    )
    return {
        **{name.lower(): float(np.mean(hota[name])) for name in ("HOTA", "DetA", "AssA", "LocA")},
        "mota": float(clear["MOTA"]),
        "idf1": float(identity["IDF1"]),
        "id_switches": int(clear["IDSW"]),
        "fragmentations": int(clear["Frag"]),
        "mostly_tracked": float(clear["MT"]) / int(data["num_gt_ids"]),
        "false_positives": int(clear["CLR_FP"]),
        "misses": int(clear["CLR_FN"]),
    }


def main() -> None:
    cases = []
    for seed in (3, 4):
        true, found = tables(seed)
        cases.append({"true": true, "found": found, "trackeval": judged(true, found)})
    Path(__file__).with_name("track_scores.json").write_text(json.dumps(cases) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
