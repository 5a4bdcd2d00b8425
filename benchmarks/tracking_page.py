"""The page of the tracking scoreboard.

Tables and an image from tracking.json, into tracking.md and docs/tracking.md.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import record
import tracking_scenes as ts

HERE = Path(__file__).parent
PEERS = ("ByteTrack", "BoT-SORT", "SORT", "trackpy", "laptrack")
OURS = ("insitrack, refined", "insitrack, causal")
BEGIN, END = "<!-- scoreboard -->", "<!-- end of the scoreboard -->"


def mean(rows: list[dict[str, float]], name: str) -> float:
    values = [row[name] for row in rows if not np.isnan(row[name])]
    return float(np.mean(values)) if values else float("nan")


def bias(rows: list[dict[str, float]], name: str) -> float:
    """Relative error over the seeds in which both are known, percent."""
    known = [
        (row[f"true_{name}"], row[f"found_{name}"])
        for row in rows
        if np.isfinite(row[f"true_{name}"] + row[f"found_{name}"])
    ]
    true, found = (sum(values) for values in zip(*known, strict=True)) if known else (0.0, 0.0)
    return 100 * (found / true - 1) if true else float("nan")


def line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def grid(results: dict[str, Any], labels: list[str], value: Any, pattern: str) -> list[str]:
    """One line per contestant, one column per scene, and the mean of all."""
    out = [line(["", *ts.SCENES, "mean"]), line(["---"] * (len(ts.SCENES) + 2))]
    for label in labels:
        values = [value(results[name][label]) for name in ts.SCENES]
        known = [v for v in values if not np.isnan(v)]
        average = f"**{pattern.format(float(np.mean(known)))}**" if known else ""
        out.append(line([label, *("" if np.isnan(v) else pattern.format(v) for v in values), average]))
    return out


def body(results: dict[str, Any], n_seeds: int) -> list[str]:
    labels = [
        *OURS,
        "perfect identities, raw boxes",
        *(f"{peer}, tuned" for peer in PEERS),
        *(f"{peer}, default" for peer in PEERS),
    ]
    tuned = [f"{peer}, tuned" for peer in PEERS]
    hota = {label: [mean(results[name][label], "hota") for name in ts.SCENES] for label in labels}
    best = max(tuned, key=lambda label: np.mean(hota[label]))
    ahead = [100 * (hota[OURS[0]][i] - max(hota[label][i] for label in tuned)) for i in range(len(ts.SCENES))]
    live = [100 * (hota[OURS[1]][i] - max(hota[label][i] for label in tuned)) for i in range(len(ts.SCENES))]
    switches = {
        label: float(np.mean([mean(results[name][label], "id_switches") for name in ts.SCENES]))
        for label in labels
    }
    fewest = min(tuned, key=lambda label: switches[label])
    processor = next(
        (
            row.split(":")[1].strip()
            for row in Path("/proc/cpuinfo").read_text().splitlines()
            if row.startswith("model name")
        ),
        "",
    )
    out = [
        (
            f"{n_seeds} seeds a scene, two others to tune on; every peer is tuned for every scene separately,"
            f" ours runs with its defaults. {processor or platform.processor()}, {os.cpu_count()} cores."
        ),
        "",
        (
            f"Refined tables lie {np.mean(ahead):.1f} points of HOTA above the best tuned peer of each scene"
            f" on average (least {min(ahead):.1f}, {ts.SCENES[int(np.argmin(ahead))]}), causal tracks"
            f" {np.mean(live):.1f} (least {min(live):.1f}, {ts.SCENES[int(np.argmin(live))]}). The best peer"
            f" over all scenes is {best}. Changes of identity a movie: refined {switches[OURS[0]]:.1f},"
            f" causal {switches[OURS[1]]:.1f}, fewest of a tuned peer {switches[fewest]:.1f} ({fewest})."
        ),
    ]
    for title, value, pattern in (
        ("HOTA", lambda rows: mean(rows, "hota"), "{:.3f}"),
        ("Association (AssA)", lambda rows: mean(rows, "assa"), "{:.3f}"),
        ("MOTA", lambda rows: mean(rows, "mota"), "{:.3f}"),
        ("IDF1", lambda rows: mean(rows, "idf1"), "{:.3f}"),
        ("Changes of identity a movie", lambda rows: mean(rows, "id_switches"), "{:.1f}"),
        ("Fragmentations a movie", lambda rows: mean(rows, "fragmentations"), "{:.1f}"),
        ("Mostly tracked", lambda rows: mean(rows, "mostly_tracked"), "{:.2f}"),
        (
            "Bias of the median lifetime, percent; of all tracks, those of one frame too",
            lambda rows: bias(rows, "lifetime_s"),
            "{:+.0f}",
        ),
        ("Bias of the median growth rate, percent", lambda rows: bias(rows, "growth_nm_per_s"), "{:+.0f}"),
        (
            "Bias of the nucleation rate, percent; of all tracks, those of one frame too",
            lambda rows: bias(rows, "nucleation"),
            "{:+.0f}",
        ),
        (
            "Processor time, ms a frame (peers, measured earlier: by the clock)",
            lambda rows: mean(rows, "ms_per_frame"),
            "{:.1f}",
        ),
    ):
        out += ["", f"### {title}", "", *grid(results, labels, value, pattern)]
    return out


def write(results: dict[str, Any], n_seeds: int, folder: Path) -> None:
    """Write the page, and beside the scripts also that of the documentation."""
    text = body(results, n_seeds)
    head = [
        "# Scoreboard of trackers",
        "",
        (
            "`python benchmarks/tracking.py` (after `python benchmarks/tracking.py tune`). What it means:"
            " docs/tracking.md."
        ),
        "",
    ]
    record.keep("tracking.py", results, "\n".join([*head, *text]), folder)
    if folder != HERE:
        return
    page = HERE.parent / "docs" / "tracking.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n" + "\n".join(text) + f"\n\n{END}{after}", encoding="utf-8")
