"""Trust in a frame: how often images of other kinds are refused, and how often known ones are.

    python benchmarks/trust.py [--fit] [--figures FILE.npz]

Each kind and each experiment is judged by a model that was fitted without it; what is only tested on is judged
by the shipped model. The column of the shipped fit judges images that it was fitted on. One look at one image
decides here; in a movie several looks are averaged. ``--fit`` fits the shipped model anew,
``tracker/trust/known.json``: no network takes part, so it holds for any weights. ``--figures`` keeps the figures
of all images in a file, or takes them from it.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import record
from numpy.typing import NDArray
from trust_images_more import MORE
from trust_sets import examples

from insitrack.io.write import write_text
from insitrack.segment.prepare.field import FieldFinder
from insitrack.segment.prepare.texture import NAMES, texture
from insitrack.tracker.trust.known import FARTHEST_FIGURE, KnownImages, load_known

Floats = NDArray[np.float64]
SHIPPED = Path(__file__).resolve().parents[1] / "tracker" / "trust" / "known.json"
RIDGE, SHRINK = 3.0, 0.15
REFUSED = ("refused", "refused_changed", "refused_shipped")
OFFSET = 1.5
"""Added to the log odds: what is given to the program is mostly known. Chosen so that of drawn foils that the fit did not
have about 2 % are refused."""
FALSE_ALARMS, BEYOND = 0.01, 1.3
"""Distance that this share of the known images exceeds, and by how much an image must lie beyond it."""
REASON_OF = {
    **dict.fromkeys(("lattice fringes", "columns of atoms", "nanocrystals", "lamellae"), "lattice"),
    **dict.fromkeys(("porous metal", "thick porous metal", "gold, brittle", "gold, ductile"), "pores"),
    **dict.fromkeys(("fracture surface", "powder", "foam, grains", "fibres", "photographs"), "surface"),
    **dict.fromkeys(("text", "plots", "two grey levels", "diffraction"), "drawing"),
    **dict.fromkeys(("noise", "out of focus"), "noise"),
    **{kind: reason for kind, (reason, _) in MORE.items()},
}
"""Short name of what every kind that is not known is like."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of N images, and what each is."""

    values: Floats
    kind: NDArray[np.str_]
    known: NDArray[np.bool_]
    fitted: NDArray[np.bool_]
    changed: NDArray[np.bool_]
    look_ms: float

    def of(self, rows: NDArray[np.bool_]) -> Figures:
        """Return some of them."""
        parts = (part[rows] for part in (self.values, self.kind, self.known, self.fitted, self.changed))
        return Figures(*parts, self.look_ms)


def measure_all(*, smoke: bool) -> Figures:
    """Work out the figures of every image that shows something."""
    cv2.setNumThreads(1)
    rows: list[tuple[Any, ...]] = []
    times = []
    for one in examples(smoke=smoke):
        field = FieldFinder().update(one.image)
        if field is not None and not field.any():
            continue  # the run has no numbers for it anyway
        start = time.thread_time()
        figures = texture(one.image, field)
        times.append(time.thread_time() - start)
        if figures is not None:
            rows.append((figures, one.kind, one.known, one.fitted, one.changed))
    values, *rest = (np.array(column) for column in zip(*rows, strict=True))
    return Figures(values, *rest, look_ms=round(1e3 * float(np.median(times)), 1))


def fit(data: Figures, like: KnownImages | None = None) -> KnownImages:
    """Fit both judges; every kind weighs the same, and so do known and unknown ones together.

    A fit that is much like another one is found sooner from there.
    """
    start = np.zeros(2 * len(NAMES) + 1)
    if like is not None:
        start = np.concatenate([like.weight, like.square_weight, [like.bias]])
    kinds = [(str(kind), True) for kind in np.unique(data.kind[data.known])]
    kinds += [(str(kind), False) for kind in np.unique(data.kind[~data.known])]
    weight = np.zeros(len(data.values))
    for kind, known in kinds:
        rows = data.kind == kind
        weight[rows] = 1 / rows.sum() / sum(other == known for _, other in kinds)
    of_known = data.values[data.known]
    share = weight[data.known, None]
    mean = (share * of_known).sum(axis=0)
    sd = np.sqrt((share * (of_known - mean) ** 2).sum(axis=0)) + 1e-6
    z = np.clip((data.values - mean) / sd, -FARTHEST_FIGURE, FARTHEST_FIGURE)
    coefficients = _logistic(np.hstack([z, z * z]), data.known.astype(np.float64), 500 * weight, start)
    middles = np.array([z[data.kind == kind].mean(axis=0) for kind, _ in kinds])
    axes = _whitening(
        [z[data.kind == kind] - middle for (kind, _), middle in zip(kinds, middles, strict=True)]
    )
    n = len(NAMES)
    model = KnownImages(
        mean,
        sd,
        coefficients[:n],
        coefficients[n : 2 * n],
        float(coefficients[-1]),
        axes,
        middles @ axes.T,
        np.array([known for _, known in kinds]),
        tuple("" if known else REASON_OF[kind] for kind, known in kinds),
        farthest=np.inf,
    )
    far = np.sqrt(
        ((z[data.known] @ axes.T)[:, None] - model.centres[None, model.known]) ** 2 @ np.ones(n)
    ).min(axis=1)
    farthest = BEYOND * _quantile(far, weight[data.known], 1 - FALSE_ALARMS)
    return replace(model, farthest=farthest, offset=OFFSET)


def _whitening(scattered: list[Floats]) -> Floats:
    """Axes along which kinds scatter by one about their own middles, from figures less those."""
    spread = np.mean([part.T @ part / len(part) for part in scattered if len(part) > 3], axis=0)
    spread = (1 - SHRINK) * spread + SHRINK * np.eye(len(spread)) * np.trace(spread) / len(spread)
    power, direction = np.linalg.eigh(spread)
    return np.asarray((direction / np.sqrt(power)).T)


def _quantile(values: Floats, weight: Floats, share: float) -> float:
    order = np.argsort(values)
    return float(values[order][np.searchsorted(np.cumsum(weight[order]), share * weight.sum())])


def _logistic(x: Floats, y: Floats, weight: Floats, start: Floats) -> Floats:
    """Coefficients of a ridge-penalised logistic regression, the constant last, by Newton's method."""
    x = np.hstack([x, np.ones((len(x), 1))])
    penalty = np.full(x.shape[1], RIDGE)
    penalty[-1] = 1e-6
    b = start
    for _ in range(60):
        p = 1 / (1 + np.exp(-np.clip(x @ b, -30, 30)))
        slope = x.T @ (weight * (y - p)) - penalty * b
        curve = (x * (weight * p * (1 - p))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(curve, slope)
        b = b + step * min(1.0, 2 / float(np.abs(step).max()))
        if np.abs(step).max() < 1e-5:
            break
    return b


def left_out(data: Figures) -> dict[str, dict[str, Any]]:
    """Refuse or trust each kind by a model that was fitted without it."""
    out = {}
    for kind in sorted(set(data.kind[data.fitted].tolist())):
        mine = data.kind == kind
        # both movies of gold are of one specimen: neither helps with the other
        apart = mine | np.char.startswith(data.kind, "gold") if kind.startswith("gold") else mine
        shipped = _judged(load_known(), data.of(mine))["refused"]
        out[kind] = {
            **_judged(fit(data.of(data.fitted & ~apart), load_known()), data.of(mine)),
            "refused_shipped": shipped,
        }
    return out


def _judged(model: KnownImages, data: Figures) -> dict[str, Any]:
    verdicts = [model.judge(figures) for figures in data.values]
    refused = np.array([odds < 0 for odds, _ in verdicts])
    reasons = [reason for odds, reason in verdicts if odds < 0]
    return {
        "known": bool(data.known[0]),
        "images": int((~data.changed).sum()),
        "refused": round(float(refused[~data.changed].mean()), 4) if (~data.changed).any() else None,
        "refused_changed": round(float(refused[data.changed].mean()), 4) if data.changed.any() else None,
        "commonest_reason": max(set(reasons), key=reasons.count) if reasons else "",
    }


def write_model(model: KnownImages, data: Figures) -> None:
    """Write the shipped model with what it was fitted on."""
    kinds = [
        str(kind)
        for known in (True, False)
        for kind in np.unique(data.kind[data.fitted & (data.known == known)])
    ]
    rows = [
        {
            "kind": kind,
            "known": bool(known),
            "reason": reason,
            "images": int(((data.kind == kind) & data.fitted).sum()),
        }
        for kind, known, reason in zip(kinds, model.known, model.reasons, strict=True)
    ]
    facts: dict[str, Any] = {
        "about": "What images that the shipped networks know look like; fitted by benchmarks/trust.py --fit",
        "kinds": rows,
        "figures": NAMES,
        "bias": round(model.bias, 5),
        "farthest": round(model.farthest, 4),
        "offset": round(model.offset, 4),
    }
    for name in ("mean", "sd", "weight", "square_weight", "axes", "centres"):
        facts[name] = [
            [round(v, 5) for v in row] if isinstance(row, list) else round(row, 6)
            for row in getattr(model, name).tolist()
        ]
    write_text(SHIPPED, json.dumps(facts) + "\n")


def page(results: dict[str, dict[str, Any]], look_ms: float) -> str:
    """Make the page."""
    lines = ["# Trust", "", *(__doc__ or "").split("\n\n")[2].splitlines(), ""]
    for known, heading in ((True, "Known"), (False, "Not known")):
        rows = [
            [
                kind,
                one["images"],
                *("" if one.get(key) is None else f"{one[key]:.1%}" for key in REFUSED),
                one["commonest_reason"],
            ]
            for kind, one in results.items()
            if one["known"] == known
        ]
        if rows:
            heads = [heading, "images", "refused", "changed copies", "shipped fit", "commonest reason"]
            lines += [*record.table(heads, rows), ""]
    lines.append(f"One look takes {look_ms:g} ms of one core (median).")
    return "\n".join(lines)


def main() -> None:
    """Measure, fit if asked to, and write the page."""
    parser = record.options(__doc__)
    parser.add_argument("--fit", action="store_true", help="fit the shipped model anew")
    parser.add_argument("--figures", type=Path, metavar="FILE", help="keep the figures there, or read them")
    given = parser.parse_args()
    if given.figures is not None and given.figures.is_file():
        stored = np.load(given.figures)
        data = Figures(
            *(stored[name] for name in ("values", "kind", "known", "fitted", "changed")),
            float(stored["look_ms"]),
        )
    else:
        data = measure_all(smoke=given.smoke)
        if given.figures is not None:
            np.savez(given.figures, **{name: getattr(data, name) for name in Figures.__slots__})
    if given.fit and not given.smoke:
        write_model(fit(data.of(data.fitted)), data)
        load_known.cache_clear()
    if given.smoke:
        results = {
            kind: _judged(load_known(), data.of(data.kind == kind)) for kind in np.unique(data.kind).tolist()
        }
    else:
        results = left_out(data)
        for kind in sorted(set(data.kind[~data.fitted].tolist())):
            results[kind] = _judged(load_known(), data.of(data.kind == kind))
    facts = {"machine": record.machine(), "look_ms": data.look_ms, **results}
    record.keep(__file__, facts, page(results, data.look_ms), given.results)


if __name__ == "__main__":
    main()
