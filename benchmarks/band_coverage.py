"""Do the 95 % bands hold the truth in 95 % of the frames? Seeded movies with exact detections.

Wrong thickness and scale within their errors.

    python benchmarks/band_coverage.py

Defects come and go at random in a field larger than the frame; the frame shows what lies in it. Every movie
is given a foil thickness that is wrong by 10 % (one standard deviation) and a scale wrong by 1 %; the true
barrier strengths lie about the stated ones by 25 %, the true modulus by 5 %. The truth is the density, mean
size and hardening that the defects are drawn from.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import replace

import numpy as np
import record

from insitrack.io.frames import Calibration
from insitrack.tracker.hardening.models import Barrier, Material
from insitrack.tracker.hardening.superposition import linear, quadrature
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.series.observations import observe
from insitrack.tracker.series.settings import SeriesConfig

SIDE_PX, NM_PER_PX, THICKNESS_NM = 1000.0, 0.5, 100.0
CLASSES = {  # defects in view, mean size in nm, width of the log-normal, true barrier strength
    "black_dot": (150.0, 8.0, 0.3, 0.2),
    "loop_111": (60.0, 20.0, 0.45, 0.3),
    "void": (40.0, 5.0, 0.35, 0.5),
}
MARGIN_PX, TURNOVER = 160.0, 0.05
QUANTITIES = (
    "density_per_m2",
    "density_per_m3",
    "size_nm",
    "hardening_linear_mpa",
    "hardening_quadrature_mpa",
    "volume_fraction",
)


def material_of(strengths: dict[str, float]) -> Material:
    """Iron with given barrier strengths, each known to 25 %."""
    barriers = {name: Barrier(constant=alpha, constant_sd=0.25 * alpha) for name, alpha in strengths.items()}
    return Material(shear_modulus_gpa=82.0, shear_modulus_sd_gpa=4.0, burgers_nm=0.248, barriers=barriers)


def truth(seed: int) -> dict[str, dict[str, float]]:
    """Return the true value of every quantity, by class and for all.

    Strengths and shear modulus are drawn about those that the material states.
    """
    area_m2 = (SIDE_PX * NM_PER_PX * 1e-9) ** 2
    random = np.random.default_rng([seed, 1])
    answer: dict[str, dict[str, float]] = {name: {} for name in (*CLASSES, "all")}
    stated, stresses = material_of({name: row[3] for name, row in CLASSES.items()}), []
    true = {
        name: min(1.0, max(1e-3, row[3] * (1 + 0.25 * random.standard_normal())))
        for name, row in CLASSES.items()
    }
    material = replace(
        stated,
        barriers=material_of(true).barriers,
        shear_modulus_gpa=stated.shear_modulus_gpa + 4.0 * random.standard_normal(),
    )
    for name, (n, size, width, _) in CLASSES.items():
        per_m2 = n / area_m2
        stress = float(material.barriers[name].stress(per_m2 / (THICKNESS_NM * 1e-9), size, material))
        stresses.append(stress)
        cube = size**3 * np.exp(3 * width**2)
        answer[name] = {
            "density_per_m2": per_m2,
            "density_per_m3": per_m2 / (THICKNESS_NM * 1e-9),
            "size_nm": size,
            "hardening_linear_mpa": stress,
            "hardening_quadrature_mpa": stress,
            "volume_fraction": per_m2 * 1e-18 * np.pi / 6 * cube / THICKNESS_NM if name == "void" else np.nan,
        }
    total = sum(row[0] for row in CLASSES.values()) / area_m2
    answer["all"] = {
        "density_per_m2": total,
        "density_per_m3": total / (THICKNESS_NM * 1e-9),
        "size_nm": sum(row[0] * row[1] for row in CLASSES.values()) / sum(row[0] for row in CLASSES.values()),
        "hardening_linear_mpa": float(linear(stresses)),
        "hardening_quadrature_mpa": float(quadrature(stresses)),
        "volume_fraction": np.nan,
    }
    return answer


def movie(seed: int, n_frames: int) -> dict[str, np.ndarray]:
    """Series of one movie: columns of shape (frames, classes + 1)."""
    random = np.random.default_rng(seed)
    wide = SIDE_PX + 2 * MARGIN_PX
    rows: list[np.ndarray] = []
    for label, (n, size, width, _) in enumerate(CLASSES.values(), 1):
        expected = n * (wide / SIDE_PX) ** 2
        alive = np.zeros((0, 3))
        for frame in range(n_frames):
            fresh = random.poisson(expected * (TURNOVER if frame else 1.0))
            sizes = size / np.exp(width**2 / 2) * random.lognormal(0.0, width, fresh)
            alive = alive[random.random(len(alive)) > TURNOVER]
            alive = np.vstack(
                [alive, np.column_stack([random.uniform(-MARGIN_PX, SIDE_PX + MARGIN_PX, (fresh, 2)), sizes])]
            )
            radius = alive[:, 2] / NM_PER_PX / 2
            nearest = np.clip(alive[:, :2], 0, SIDE_PX)
            seen = np.linalg.norm(alive[:, :2] - nearest, axis=1) < radius
            rows.append(
                np.column_stack([np.full(seen.sum(), frame), np.full(seen.sum(), label), alive[seen]])
            )
    table = np.vstack(rows)
    table = table[np.argsort(table[:, 0], kind="stable")]
    frame, labels, centres = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:4]
    radius = table[:, 4] / NM_PER_PX / 2
    boxes = np.column_stack([centres - radius[:, None], centres + radius[:, None]])
    on_edge = (boxes[:, :2] <= 0).any(axis=1) | (boxes[:, 2:] >= SIDE_PX).any(axis=1)
    excluded = (boxes[:, 0] <= 0) | (boxes[:, 3] >= SIDE_PX)
    scale = NM_PER_PX * (1 + 0.01 * random.standard_normal())
    thickness = THICKNESS_NM * (1 + 0.1 * random.standard_normal())
    given = material_of({name: row[3] for name, row in CLASSES.items()})
    calibration = Calibration(
        nm_per_px=scale, nm_per_px_sd=0.01 * scale, thickness_nm=thickness, thickness_sd_nm=0.1 * thickness
    )
    meter = SeriesMeter(SeriesConfig(), calibration, given, class_names=tuple(CLASSES))
    frame_px = np.full((n_frames, 2), SIDE_PX)
    observations = observe(
        meter.config,
        frame=frame,
        labels=labels,
        size_nm=table[:, 4] * scale / NM_PER_PX,
        line_length_nm=np.full(len(frame), np.nan),
        on_edge=on_edge,
        on_exclusion_edge=excluded,
        observed=np.ones(len(frame), bool),
        boxes=np.clip(boxes, 0, SIDE_PX),
        centres=centres,
        frame_px=frame_px,
    )
    nothing = np.zeros((n_frames, len(CLASSES)), np.int64)
    return meter.table(
        np.arange(n_frames, dtype=float),
        np.full(n_frames, (SIDE_PX * scale) ** 2),
        observations,
        nothing,
        nothing,
        frame_px=frame_px,
    )


def coverage(n_movies: int, n_frames: int) -> dict[str, dict[str, dict[str, float]]]:
    """Share of the frames whose band holds the truth, and the mean relative error, by quantity and class."""
    series = [movie(seed, n_frames) for seed in range(n_movies)]
    truths = [truth(seed) for seed in range(n_movies)]
    answer: dict[str, dict[str, dict[str, float]]] = {}
    for quantity in QUANTITIES:
        low, high = (
            f"{quantity}_{end}" if quantity != "size_nm" else f"size_{end}_nm" for end in ("lo", "hi")
        )
        for k, name in enumerate((*CLASSES, "all")):
            values = [true[name][quantity] for true in truths]
            if np.isfinite(values).all():
                pairs = list(zip(series, values, strict=True))
                held = [
                    ((one[low][:, k] <= value) & (value <= one[high][:, k])).mean() for one, value in pairs
                ]
                error = np.mean([one[quantity][:, k].mean() for one in series]) / np.mean(values) - 1
                answer.setdefault(quantity, {})[name] = {
                    "held": float(np.mean(held)),
                    "mean_error": float(error),
                }
    return answer


def main() -> None:
    """Measure and write the page."""
    given = record.options(__doc__).parse_args()
    n_movies, n_frames = (3, 4) if given.smoke else (1000, 20)
    rows = coverage(n_movies, n_frames)
    machine = (
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, numpy"
        f" {np.__version__}"
    )
    facts = {
        "machine": machine,
        "command": "python benchmarks/band_coverage.py",
        "movies": n_movies,
        "frames": n_frames,
        "coverage": rows,
    }
    names = (*CLASSES, "all")
    lines = [
        "# Coverage of the 95 % bands",
        "",
        (
            f"`python benchmarks/band_coverage.py`: {n_movies} seeded movies of {n_frames} frames with exact"
            " detections, thickness (10 %), scale (1 %), modulus (5 %) and barrier strengths (25 %) off by"
            " their errors. Share of the frames whose band holds the truth, and, in brackets, the mean error"
            " of the value over all movies."
        ),
        "",
        f"| quantity | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    for quantity, part in rows.items():
        cells = [
            f"{part[name]['held']:.1%} ({part[name]['mean_error']:+.1%})" if name in part else ""
            for name in names
        ]
        lines.append(f"| `{quantity}` | {' | '.join(cells)} |")
    lines += ["", f"Machine: {machine}.", ""]
    record.keep(__file__, facts, "\n".join(lines), given.results)


if __name__ == "__main__":
    sys.exit(main())
