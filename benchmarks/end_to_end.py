"""Density, size and hardening of synthetic movies against the truth.

Once end to end with the shipped model, and once from exact detections.

    python benchmarks/end_to_end.py

Movies of seeds that no training saw. The truth is every defect from the first to the last frame in which it
can be seen, with the size from which it was drawn. Numbers are means over a movie. `corrected` multiplies
densities by precision over recall, which were measured on other seeds of the same scene
(`series.detector_precision`, `series.detector_recall`).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import record

import insitrack
from insitrack.io.frames import Calibration
from insitrack.io.results import Measures
from insitrack.io.synth.source import SynthSource
from insitrack.io.tables.read_detections import read_detections
from insitrack.segment.scores.matching import pairs
from insitrack.tracker.analysis.link_table import link
from insitrack.tracker.hardening.materials import load_material
from insitrack.tracker.run.config import load_config
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.series.settings import SeriesConfig

SCENE = "synth:{kind}?seed={seed}&frames={frames}&size={side}&fps=4&start=0.6&jumps=0&faults=0"
KINDS = ("loops", "two_beam", "voids")
SEEDS, OTHER_SEEDS = range(61_000, 61_006), range(62_000, 62_004)
SIDE, FRAMES = 512, 40
SMALL = {
    "KINDS": ("loops",),
    "SEEDS": range(61_000, 61_001),
    "OTHER_SEEDS": range(62_000, 62_001),
    "SIDE": 128,
    "FRAMES": 6,
}
THICKNESS_NM = 100.0
QUANTITIES = ("density_per_m2", "size_nm", "hardening_linear_mpa", "hardening_quadrature_mpa")


def there(movie: SynthSource) -> list[np.ndarray]:
    """For every frame which defects count as there.

    Those between the first and the last frame in which they can be seen.
    """
    states = [movie.truth_state(i) for i in range(movie.n_frames or 0)]
    seen: dict[int, list[int]] = {}
    for i, state in enumerate(states):
        for name in state.track_ids[state.visible].tolist():
            seen.setdefault(name, []).append(i)
    return [
        np.array(
            [name in seen and seen[name][0] <= i <= seen[name][-1] for name in state.track_ids.tolist()], bool
        )
        for i, state in enumerate(states)
    ]


def truth_rows(movie: SynthSource) -> pd.DataFrame:
    """Rows of the series of what is there."""
    states = [movie.truth_state(i) for i in range(movie.n_frames or 0)]
    calibration = Calibration(nm_per_px=movie.nm_per_px, thickness_nm=THICKNESS_NM)
    classes = states[0].detections.class_names
    meter = SeriesMeter(SeriesConfig(), calibration, load_material("fecral"), class_names=classes)
    height, width = movie.shape
    rows = []
    for i, (state, alive) in enumerate(zip(states, there(movie), strict=True)):
        found = state.detections.take(np.flatnonzero(alive))
        box, blank = found.boxes.astype(float), np.zeros(len(found))
        edge = (box[:, 0] <= 0) | (box[:, 1] <= 0) | (box[:, 2] >= width) | (box[:, 3] >= height)
        out = (box[:, 0] <= 0) | (box[:, 3] >= height)
        centre = (state.x_px[alive], state.y_px[alive])
        measures = Measures(
            *centre, blank, blank, blank, blank, edge, state.size_nm[alive], blank, on_exclusion_edge=out
        )
        rows += meter.rows(i, found.t_s, found, measures, np.ones(len(found), bool))
    return pd.DataFrame(
        [{name: getattr(row, name) for name in ("defect_class", *QUANTITIES)} for row in rows]
    )


def scores(run: insitrack.Run, movie: SynthSource) -> tuple[int, int, int]:
    """Defects found, true, and found that are true, by the boxes of every frame."""
    found, n_found, n_true, n_pairs = run.tracks, 0, 0, 0
    for i, alive in enumerate(there(movie)):
        state = movie.truth_state(i)
        box = state.detections.boxes[alive].astype(float)
        mine = found.loc[found["frame"] == i, ["x1_px", "y1_px", "x2_px", "y2_px"]].to_numpy(float)
        n_found, n_true = n_found + len(mine), n_true + len(box)
        if len(mine) and len(box):
            low, high = (
                np.maximum(mine[:, None, :2], box[None, :, :2]),
                np.minimum(mine[:, None, 2:], box[None, :, 2:]),
            )
            both = np.clip(high - low, 0, None).prod(axis=2)
            area = [np.prod(part[:, 2:] - part[:, :2], axis=1) for part in (mine, box)]
            n_pairs += len(pairs(both / (area[0][:, None] + area[1][None] - both), 0.3, "hungarian")[0])
    return n_found, n_true, n_pairs


def exact(movie: SynthSource, folder: Path) -> pd.DataFrame:
    """Series of what is there, given to `track link` as detections."""
    rows = []
    for i, (alive, state) in enumerate(
        zip(there(movie), (movie.truth_state(i) for i in range(movie.n_frames or 0)), strict=True)
    ):
        box = state.detections.boxes.astype(float)
        columns = {
            "frame": i,
            "t_s": state.detections.t_s,
            "x_px": state.x_px,
            "y_px": state.y_px,
            "size_px": state.size_nm / movie.nm_per_px,
        }
        columns |= {
            "defect_class": state.detections.names(),
            "score": 1.0,
            **{f"{n}_px": box[:, k] for k, n in enumerate(("x1", "y1", "x2", "y2"))},
        }
        rows.append(pd.DataFrame(columns)[alive])
    path = folder / "detections.csv"
    pd.concat(rows).to_csv(path, index=False)
    table, _ = read_detections(path, nm_per_px=movie.nm_per_px, frame_interval_s=None, shape=movie.shape)
    return link(table, folder / "linked", settings()).series


def settings(
    precision: float = 0.0, recall: float = 0.0, labels: int = 0
) -> insitrack.tracker.run.config.RunConfig:
    """Make the settings of a run, with or without the correction for the detector."""
    extra = [
        f"series.detector_precision={{all={precision}}}",
        f"series.detector_recall={{all={recall}}}",
        f"series.detector_labels={labels}",
    ]
    chosen = [f"specimen.thickness_nm={THICKNESS_NM}", "specimen.material=fecral", "output.video=false"]
    return load_config(assignments=chosen + (extra if labels else []))


def errors(kind: str) -> dict[str, dict[str, float]]:
    """Errors of one scene: mean over movies of the error, and of its absolute value."""
    totals = np.zeros(3)
    for seed in OTHER_SEEDS:
        uri = SCENE.format(kind=kind, seed=seed, side=SIDE, frames=FRAMES)
        with tempfile.TemporaryDirectory() as folder:
            totals += scores(
                insitrack.track(uri, folder, config=settings(), overwrite=True), SynthSource(uri)
            )
    precision, recall = totals[2] / totals[0], totals[2] / totals[1]
    cases = {"as found": settings(), "corrected": settings(precision, recall, int(totals[1] / 40))}
    pooled: dict[str, list[dict[str, float]]] = {name: [] for name in (*cases, "exact detections")}
    for seed in SEEDS:
        uri = SCENE.format(kind=kind, seed=seed, side=SIDE, frames=FRAMES)
        true = truth_rows(SynthSource(uri)).groupby("defect_class")[list(QUANTITIES)].mean()
        for name in pooled:
            with tempfile.TemporaryDirectory() as folder:
                if name == "exact detections":
                    series = exact(SynthSource(uri), Path(folder))
                else:
                    series = insitrack.track(uri, folder, config=cases[name], overwrite=True).series
            mine = series.groupby("defect_class")[list(QUANTITIES)].mean()
            row = {f"{key} true": float(true.loc["all", key]) for key in QUANTITIES}
            pooled[name].append(row | {key: float(mine.loc["all", key]) for key in QUANTITIES})
    answer: dict[str, dict[str, float]] = {}
    for name, rows in pooled.items():
        table = pd.DataFrame(rows)
        for key in QUANTITIES:
            share = table[key] / table[f"{key} true"] - 1
            answer[f"{name}, {key}"] = {
                "mean_error": float(table[key].sum() / table[f"{key} true"].sum() - 1),
                "mean_absolute_error": float(share.abs().mean()),
                "true": float(table[f"{key} true"].mean()),
                "found": float(table[key].mean()),
            }
    return answer | {"detector": {"precision": precision, "recall": recall}}


def main() -> None:
    """Measure and write the page."""
    given = record.options(__doc__).parse_args()
    if given.smoke:
        globals().update(SMALL)
    results = {}
    for kind in KINDS:
        results[kind] = errors(kind)
        print(kind, json.dumps(results[kind], indent=1), flush=True)
    machine = record.machine()
    lines = [
        "# Density, size and hardening end to end",
        "",
        (
            f"`python benchmarks/end_to_end.py`: {len(SEEDS)} movies of each scene, 40 frames of 512 x 512,"
            " seeds that no training saw, shipped model `loops`, refined tables, means over a movie. Error"
            " of the mean of all movies, and in brackets the mean absolute error of a movie."
        ),
        "",
        (
            "| scene | densities | density | size | hardening, linear | hardening, quadrature | precision,"
            " recall of the other seeds |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    for kind, part in results.items():
        for name in ("as found", "corrected", "exact detections"):
            cells = [
                f"{part[f'{name}, {key}']['mean_error']:+.1%}"
                f" ({part[f'{name}, {key}']['mean_absolute_error']:.1%})"
                for key in QUANTITIES
            ]
            lines.append(
                f"| {kind} | {name} | {' | '.join(cells)} | {part['detector']['precision']:.2f},"
                f" {part['detector']['recall']:.2f} |"
            )
    lines += ["", f"Machine: {machine}.", ""]
    facts = {"machine": machine, "movies": len(SEEDS), **results}
    record.keep(__file__, facts, "\n".join(lines), given.results)


if __name__ == "__main__":
    main()
