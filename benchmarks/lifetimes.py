"""Lifetimes from tracks with 10 % missed and 5 % false detections, against the truth.

``python benchmarks/lifetimes.py``.

Writes lifetimes.json and lifetimes.md. Twenty scenes in which every defect dies, half of them within 4 to 5
s, in a movie of 25 s; the same estimator for truth and tracks.
"""

from __future__ import annotations

import numpy as np
import record
import tracking_ours as ours
import tracking_scenes as ts
from tracking import published


def main() -> None:
    given = record.options(__doc__).parse_args()
    rows = []
    for seed in range(1 if given.smoke else 20):
        scene = ts.make("mortal", seed)
        true = published(scene.truth, scene.side)
        found = {
            name: published(track(scene), scene.side)
            for name, track in (("refined", ours.refined), ("causal", ours.causal))
        }
        rows.append({"true": true, **found})
    facts = {}
    for name in ("refined", "causal"):
        for key in ("lifetime_s", "nucleation"):
            pairs = np.array([(row["true"][key], row[name][key]) for row in rows])
            each = pairs[:, 1] / pairs[:, 0] - 1
            facts[f"{name}, {key}"] = {
                "bias_percent": 100 * float(each.mean()),
                "standard_error": 100 * float(each.std() / np.sqrt(len(each))),
            }
    lines = [
        "# Lifetimes and nucleation from tracks",
        "",
        "`python benchmarks/lifetimes.py`. Twenty scenes, 10 % missed, 5 % false.",
        "",
    ]
    lines += ["| tables, quantity | bias, % | standard error |", "|---|---|---|"]
    lines += [
        f"| {name} | {one['bias_percent']:+.1f} | {one['standard_error']:.1f} |"
        for name, one in facts.items()
    ]
    record.keep(__file__, facts, "\n".join(lines), given.results)


if __name__ == "__main__":
    main()
