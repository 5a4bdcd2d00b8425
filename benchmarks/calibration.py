"""Fits a model's calibration to what it answers on pictures that it has not seen; used by `real_pictures.py`.

What a score means: a logistic curve of its logit, every real experiment with the same weight and the drawn scenes
together with that of one. How far a count may be off: mean and standard deviation of ln(true / found) between
experiments, for loops and dots, for cavities and for particles.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from insitrack.io.intervals import Z_95, poisson_interval
from insitrack.segment.scores.matching import pairs
from insitrack.tracker.existence.evidence import Evidence, histogram, logit
from insitrack.tracker.existence.settings import ExistenceConfig
from insitrack.tracker.series.detector import DetectorError
from insitrack.tracker.series.settings import SeriesConfig

Floats = NDArray[np.float64]
CLASSES = {
    "loops": ("black_dot", "loop_111", "loop_100", "loop"),
    "cavities": ("void",),
    "particles": ("precipitate",),
}
NAMES = tuple(name for names in CLASSES.values() for name in names)
HELD = 0.95  # of the pictures of experiments that were left out
SHARES = tuple(i / 20 for i in range(6, 20))
LEAST_EXPERIMENTS = 4
MOST_LOG_SD = 1.0
"""Beyond a factor of seven either way an interval says nothing."""
LEAST_FOR_TYPE, LEAST_FOR_SIZE = 8, 5
"""Defects of a class, and of a picture, of which a ratio is worth something."""


@cache
def _evidence(counts: bytes, config: ExistenceConfig) -> Evidence:
    return Evidence.of(np.frombuffer(counts), config)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What a model answered on one picture, and what people, or the drawing, say is there.

    Parameters
    ----------
    experiment : str
        Pictures of one experiment are left out together.
    group : str
        One of `CLASSES`, where all that is there is of one; else empty.
    scores, found : ndarray, shape (N,)
        Scores and class names of what was found, from the least score of a candidate on.
    true : ndarray of str, shape (M,)
        Class names of what is there.
    iou : ndarray of float64, shape (N, M)
        Overlap by which the two are compared.
    either : ndarray of bool, shape (N,)
        Outlined by somebody, in this round of labels or in another.
    found_px, true_px : ndarray of float64
        Roots of the areas, px; empty where only boxes are known.
    """

    experiment: str
    group: str
    scores: Floats
    found: NDArray[np.str_]
    true: NDArray[np.str_]
    iou: Floats
    either: NDArray[np.bool_]
    found_px: Floats
    true_px: Floats

    @property
    def drawn(self) -> bool:
        """Whether it is no real picture."""
        return self.experiment.startswith(("drawn", "computed"))

    def probability(self, config: ExistenceConfig) -> Floats:
        """Probability of what was found, of a single micrograph."""
        evidence = _evidence(histogram(self.scores).tobytes(), config)
        return np.asarray(1 / (1 + np.exp(-evidence.log_odds(self.scores))))

    def kept(self, config: ExistenceConfig) -> NDArray[np.bool_]:
        """Whether the default command keeps each."""
        return np.asarray(self.probability(config) >= config.keep)


def calibration_error(probability: Floats, right: NDArray[np.bool_]) -> float:
    """Return the expected calibration error, ten bins."""
    bins = np.minimum((10 * probability).astype(int), 9)
    off = sum(abs(probability[bins == k].sum() - right[bins == k].sum()) for k in range(10))
    return float(off / max(1, len(right)))


def fit_scores(pictures: Iterable[Picture]) -> dict[str, float]:
    """Even score and rise of the log odds; pictures where nothing is there take no part."""
    parts: dict[str, list[Picture]] = defaultdict(list)
    for one in pictures:
        if len(one.true):
            parts["drawn" if one.drawn else one.experiment].append(one)
    x = [np.concatenate([logit(one.scores) for one in part]) for part in parts.values()]
    y = [np.concatenate([one.either for one in part]) for part in parts.values()]
    weight = np.concatenate([np.full(len(part), 1000 / max(1, len(part))) for part in x])
    columns = np.column_stack([np.ones(len(weight)), np.concatenate(x)])
    right, line = np.concatenate(y).astype(np.float64), np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-columns @ line))
        slope = columns.T @ (weight * (p - right)) + 1e-3 * line
        curve = (columns * (weight * p * (1 - p))[:, None]).T @ columns + 1e-3 * np.eye(2)
        line = line - np.linalg.solve(curve, slope)
    even = 1 / (1 + np.exp(line[0] / line[1]))
    return {"even_score": round(float(even), 3), "odds_per_logit": round(float(line[1]), 2)}


def fit_counts(pictures: list[Picture], config: ExistenceConfig) -> dict[str, Any]:
    """Bias and spread of counts by class, of one class among others, and of mean sizes.

    One picture that is missed nearly whole makes a normal spread so wide that the bands of all others say nothing.
    The spread of counts is therefore made smaller as far as bands that are fitted without an experiment still hold
    95 % of the pictures of it, over all experiments.
    """
    counts = _fitted(pictures, config)
    experiments = {one.experiment for one in pictures if len(one.true)}
    if len(experiments) < LEAST_EXPERIMENTS:
        return counts
    apart = [
        (
            [one for one in pictures if one.experiment == name and len(one.true)],
            _fitted([one for one in pictures if one.experiment != name], config),
        )
        for name in sorted(experiments)
    ]
    n = sum(len(part) for part, _ in apart)
    for share in SHARES:
        if sum(held(part, config, _narrowed(other, share)) for part, other in apart) >= HELD * n:
            return _narrowed(counts, share)
    return counts


def _narrowed(counts: dict[str, Any], share: float) -> dict[str, Any]:
    spread = {name: round(share * sd, 2) for name, sd in counts["detector_log_sd"].items()}
    return {**counts, "detector_log_sd": spread}


def _fitted(pictures: list[Picture], config: ExistenceConfig) -> dict[str, Any]:
    """Bias and spread, the latter that of a normal distribution.

    It is that of a new experiment: between experiments and within them, with Student's factor for how few
    experiments there are; the bias is the median of the experiments.
    """
    ratios: dict[str, dict[str, list[float]]] = {group: defaultdict(list) for group in CLASSES}
    types, sizes = [], defaultdict(list)
    for one in pictures:
        kept = one.kept(config)
        total = np.log((len(one.true) + 0.5) / (kept.sum() + 0.5))
        if one.group and len(one.true):
            ratios[one.group][one.experiment].append(float(total))
        names = np.unique(one.true)
        for name in names if len(names) > 1 else []:
            n, there = int((one.found[kept] == name).sum()), int((one.true == name).sum())
            if there >= LEAST_FOR_TYPE:  # less what counting alone scatters, which intervals hold already
                off = float(np.log((there + 0.5) / (n + 0.5)) - total)
                types.append(off**2 - 1 / (n + 0.5))
        rows, columns = pairs(one.iou[kept], 0.3)
        if len(one.true_px) and len(rows) >= LEAST_FOR_SIZE:
            ratio = np.log(one.found_px[kept][rows] / one.true_px[columns])
            sizes[one.experiment].append(float(ratio.mean()))
    bias, spread = {}, {}
    for group, found in ratios.items():
        if len(found) < 2:
            continue
        middle, sd = _new_experiment(list(found.values()))
        for name in CLASSES[group]:
            bias[name], spread[name] = round(middle, 2), round(min(sd, MOST_LOG_SD), 2)
    mean_sizes = [float(np.mean(part)) for part in sizes.values()]
    return {
        "detector_log_bias": bias,
        "detector_log_sd": spread,
        "detector_type_log_sd": round(float(np.sqrt(np.clip(np.mean(types or [0.0]), 0, MOST_LOG_SD))), 2),
        "size_log_sd": round(float(np.sqrt(np.mean(np.square(mean_sizes)))), 3) if mean_sizes else 0.0,
    }


def _new_experiment(parts: list[list[float]]) -> tuple[float, float]:
    """Median of the experiments, and standard deviation of a picture of a new one."""
    middles = [float(np.mean(part)) for part in parts]
    within = [float(np.var(part, ddof=1)) for part in parts if len(part) > 1] or [0.0]
    n = len(middles)
    variance = (float(np.var(middles, ddof=1)) + float(np.mean(within))) * (1 + 1 / n)
    few = float(student.ppf(0.975, n - 1)) / Z_95
    return float(np.median(middles)), float(np.sqrt(variance)) * few


def band(one: Picture, config: ExistenceConfig, counts: dict[str, Any]) -> tuple[float, float, float]:
    """Count of the default command on a picture, and its 95 % band."""
    names = one.found[one.kept(config)]
    n = np.array([[float((names == name).sum()) for name in NAMES]])
    n = np.column_stack([n, n.sum(axis=1)])
    low, high = DetectorError.of(SeriesConfig(**counts), NAMES).widened(n, *poisson_interval(n))
    return float(n[0, -1]), float(low[0, -1]), float(high[0, -1])


def held(pictures: list[Picture], config: ExistenceConfig, counts: dict[str, Any]) -> int:
    """In how many pictures the band holds the number that is there."""
    ends = [band(one, config, counts)[1:] for one in pictures]
    return sum(low <= len(one.true) <= high for one, (low, high) in zip(pictures, ends, strict=True))
