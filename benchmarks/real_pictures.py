"""What the shipped `loops` network does on pictures that it has not seen: finds, probabilities, bands.

    python benchmarks/real_pictures.py [--model NAME] [--card FILE] [--answers DIR] [--overlays DIR]

Pictures are those of `left_out_sets.py`: frames, crops, series and materials held back from the training, sintering
particles, clean steel and gold, where everything that is found is false, and drawn scenes of seeds that no training
saw. Settings are those of the default command for one micrograph. Beside the network stands smoothing and
thresholding, and on titanium people against people. Calibration and bands are also fitted without the experiment that
they are judged on. On-zone pictures have boxes of <111> loops only, and not of all: only recall means something, and
they take no part in any fit. ``--card`` writes the calibration that was fitted to all experiments into a model's card,
``--overlays`` pictures to look at (found and right green, found and not outlined red, missed blue).
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import more_pictures
import numpy as np
import record
from calibration import (
    Floats,
    Picture,
    calibration_error,
    fit_counts,
    fit_scores,
    held,
)
from left_out_sets import Test, drawn, test_sets
from threshold_baseline import threshold_baseline

from insitrack.io.frames import Frame
from insitrack.segment.base import SegmentConfig, Segmenter
from insitrack.segment.models import find_model, load_segmenter
from insitrack.segment.scores.evaluate import compare, field_of
from insitrack.segment.scores.matching import pairs
from insitrack.segment.training.model_card import write_calibration
from insitrack.tracker.existence.settings import ExistenceConfig

TI, TI_AGAIN = "Ti, held frames", "Ti, the other round of labels"
ON_ZONE = "on zone, boxed <111>"
GROUPS = {
    "loops": (
        TI,
        TI_AGAIN,
        "316L, held crops",
        *(f"drawn, {k}" for k in ("loops", "two_beam", "dense", "diffuse")),
    ),
    "cavities": ("computed cavities", "drawn, voids", "drawn, bubbles"),
    "particles": (
        "particles of held materials",
        "sintering particles",
        *(f"drawn, {k}" for k in ("precipitates", "laths", "particles")),
    ),
}
MORE_DRAWN = {"diffuse": 3, "voids": 3}
BEFORE = ExistenceConfig(even_score=0.15, odds_per_logit=1.2)
CUTS = (0.05, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)


Seen = dict[str, list[tuple[Picture, Floats]]]
"""Answers on the pictures of every set, with the boxes that were found."""


def look(sets: dict[str, list[Test]], model: str, kept: Path | None, looks: int | str = "auto") -> Seen:
    """Answers on every picture; those of a set that lies in `kept` are taken from there, the others go there."""
    segment = load_segmenter(model, SegmentConfig(confidence=BEFORE.candidate_score, looks=looks))
    mark = find_model(model).sha256[:12] + ("" if looks == "auto" else f"_{looks}")
    out: Seen = {}
    for name, tests in sets.items():
        if name == TI_AGAIN:
            continue
        names = (name, TI_AGAIN) if name == TI else (name,)
        paths = [None if kept is None else kept / f"{mark}_{file_name(one)}.npz" for one in names]
        found = [
            read_answers(path, one) if path and path.is_file() else []
            for path, one in zip(paths, names, strict=True)
        ]
        if not all(found):
            answers = [answer(segment, sets, name, i) for i in range(len(tests))]
            found = [list(part) for part in zip(*answers, strict=True)]
            for path, part in zip(paths, found, strict=True):
                if path is not None:
                    write_answers(path, part)
        out.update(zip(names, found, strict=True))
        print(f"{name}: {len(tests)} pictures", flush=True)
    return out


def file_name(name: str) -> str:
    """Return the name of a set as that of a file."""
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def answer(
    segment: Segmenter, sets: dict[str, list[Test]], name: str, i: int
) -> list[tuple[Picture, Floats]]:
    """Answer on one picture, against every round of its labels."""
    image, truth, overlap = sets[name][i]
    frame = Frame(0, 0.0, np.ascontiguousarray(image))
    found = segment(frame, field_of(frame))
    rounds = [truth, *([sets[TI_AGAIN][i][1]] if name == TI else [])]
    ious = [compare("", found, labels, overlap).iou for labels in rounds]
    either, outlined = np.zeros(len(found), bool), overlap == "mask"
    for iou in ious:
        either[pairs(iou, 0.3)[0]] = True
    return [
        (
            Picture(
                **place_of(name),
                scores=found.scores.astype(np.float64),
                found=np.array(found.names(), np.str_),
                true=np.array(labels.names(), np.str_),
                iou=iou,
                either=either,
                found_px=np.sqrt(found.masks.area_px()) if outlined else np.zeros(0),
                true_px=np.sqrt(labels.masks.area_px()) if outlined else np.zeros(0),
            ),
            found.boxes.astype(np.float64),
        )
        for labels, iou in zip(rounds, ious, strict=True)
    ]


def place_of(name: str) -> dict[str, str]:
    """Experiment and group of a set."""
    group = next((key for key, names in GROUPS.items() if name in names), "")
    return {"experiment": "Ti" if name in (TI, TI_AGAIN) else name, "group": group}


ARRAYS = ("scores", "found", "true", "iou", "either", "found_px", "true_px")


def write_answers(path: Path, part: list[tuple[Picture, Floats]]) -> None:
    """Keep the answers on a set."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"{i}_{key}": getattr(one, key) for i, (one, _) in enumerate(part) for key in ARRAYS}
    np.savez_compressed(path, **arrays, **{f"{i}_boxes": boxes for i, (_, boxes) in enumerate(part)})


def read_answers(path: Path, name: str) -> list[tuple[Picture, Floats]]:
    """Read them back."""
    with np.load(path) as kept:
        return [
            (Picture(**place_of(name), **{key: kept[f"{i}_{key}"] for key in ARRAYS}), kept[f"{i}_boxes"])
            for i in range(len(kept.files) // (len(ARRAYS) + 1))
        ]


def finds(pictures: list[Picture], kept: list[np.ndarray], least_iou: float = 0.3) -> dict[str, float]:
    """F1, precision, recall, error of the count and share of the types that are right, pooled."""
    found = sum(int(k.sum()) for k in kept)
    true = sum(len(one.true) for one in pictures)
    hits = right = 0
    for one, k in zip(pictures, kept, strict=True):
        rows, columns = pairs(one.iou[k], least_iou)
        hits += len(rows)
        right += int((one.found[k][rows] == one.true[columns]).sum())
    return {
        "found": found,
        "true": true,
        "f1": 2 * hits / max(1, found + true),
        "precision": hits / max(1, found),
        "recall": hits / max(1, true),
        "count": found / max(1, true) - 1,
        "type": right / max(1, hits),
    }


def baseline(tests: list[Test]) -> float:
    """F1 of smoothing and thresholding."""
    hits = found = true = 0
    for image, truth, overlap in tests:
        frame = Frame(0, 0.0, np.ascontiguousarray(image))
        guess = threshold_baseline(frame, field_of(frame))
        hits += len(pairs(compare("", guess, truth, overlap).iou, 0.3)[0])
        found, true = found + len(guess), true + len(truth)
    return 2 * hits / max(1, found + true)


def people(sets: dict[str, list[Test]]) -> dict[str, float]:
    """F1 of one round of outlining the titanium frames against the other."""
    out = {}
    for least in (0.3, 0.5):
        hits = both = 0
        for (_, one, _), (_, other, _) in zip(sets[TI], sets[TI_AGAIN], strict=True):
            hits += len(pairs(compare("", one, other, "mask").iou, least)[0])
            both += len(one) + len(other)
        out[f"people {least:g}"] = round(2 * hits / max(1, both), 3)
    return out


def per_um2(pictures: list[Picture], config: ExistenceConfig, tests: list[Test]) -> float:
    """Count false finds per square micrometre of clean steel."""
    folder = record.DATA / "bf-clean-steel"
    with (folder / "pixel_size.csv").open(encoding="utf-8") as lines:
        scale = {row["image"]: float(row["nm_per_px"]) for row in csv.DictReader(lines)}
    paths = more_pictures.steel(held_out=True)
    area = sum(
        image.size * scale[path.name] ** 2 * 1e-6 for path, (image, _, _) in zip(paths, tests, strict=True)
    )
    return sum(int(one.kept(config).sum()) for one in pictures) / area


COUNTS = ("detector_log_bias", "detector_log_sd", "detector_type_log_sd")


def measure(
    given: dict[str, list[Picture]], config: ExistenceConfig, brought: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Scores, reliability and bands of every set; `brought` is the calibration that the model brings."""
    fitted = [one for name, part in given.items() if name != ON_ZONE for one in part]
    counts = {key: brought[key] for key in COUNTS if key in brought}
    out: dict[str, dict[str, Any]] = {}
    for name, part in given.items():
        kept = [one.kept(config) for one in part]
        facts: dict[str, Any] = {"pictures": len(part), **finds(part, kept)}
        facts["f1 at .5"] = finds(part, kept, 0.5)["f1"]
        cuts = [(finds(part, [one.scores >= c for one in part])["f1"], c) for c in CUTS]
        facts["best f1"], facts["at"] = max(cuts)
        rest = [one for one in fitted if one.experiment != part[0].experiment]
        right = np.concatenate([one.either for one in part])
        apart = ExistenceConfig(**fit_scores(rest))
        for key, calibration in (("before", BEFORE), ("left out", apart), ("shipped", config)):
            p = np.concatenate([one.probability(calibration) for one in part])
            facts[f"calibration error, {key}"] = calibration_error(p, right)
        if name != ON_ZONE:
            facts["held, left out"] = held(part, config, fit_counts(rest, config))
            facts["held"] = held(part, config, counts)
            facts["held, counting"] = held(part, config, {})
        out[name] = {key: round(float(value), 3) for key, value in facts.items()}
    return out


def page(facts: dict[str, Any]) -> str:
    """Write the figures as a page."""
    sets = facts["sets"]
    lines = ["# Real pictures", "", (__doc__ or "").split("\n\n")[2].replace("\n", " ").strip(), ""]
    rows = [
        [name, f"{s['pictures']:.0f}", f"{s['true']:.0f}", f"{s['f1']:.2f}", f"{s['f1 at .5']:.2f}",
         f"{s['precision']:.2f}", f"{s['recall']:.2f}", f"{s['count']:+.0%}", f"{s['type']:.2f}",
         f"{s['best f1']:.2f} at {s['at']:g}", f"{facts['baseline'][name]:.2f}" if name in facts["baseline"] else ""]
        for name, s in sets.items()
        if s["true"]
    ]  # fmt: skip
    heads = ["set", "pictures", "there", "F1 at IoU .3", "at .5", "precision", "recall", "count", "type right",
             "best single confidence", "threshold"]  # fmt: skip
    lines += [*record.table(heads, rows), ""]
    if "people" in facts:
        lines += [f"People against people on the titanium frames: F1 {facts['people']['people 0.3']:.2f} at IoU .3, "
                  f"{facts['people']['people 0.5']:.2f} at .5.", ""]  # fmt: skip
    none = [
        f"{name}: {s['found']:.0f} in {s['pictures']:.0f} pictures"
        for name, s in sets.items()
        if not s["true"]
    ]
    steel = facts.get("per um2")
    if none:
        lines += [
            f"False finds. {'; '.join(none)}" + (f"; {steel:.2f} per um^2 of steel." if steel else "."),
            "",
        ]
    lines += ["## Reliability and bands", "", "Calibration error of ten bins, as before (even at 0.15), by the curve "
              "fitted without this experiment, and by the one that the model brings; and in how many pictures the 95 % "
              "band holds the number that is there: of counting alone, with the detector's error fitted without this "
              "experiment, and with that which the model brings.", ""]  # fmt: skip
    rows = [
        [name, *(f"{s[f'calibration error, {key}']:.2f}" for key in ("before", "left out", "shipped")),
         *(f"{s[key]:.0f} of {s['pictures']:.0f}" if key in s else "" for key in ("held, counting", "held, left out",
           "held"))]
        for name, s in sets.items()
    ]  # fmt: skip
    heads = ["set", "before", "left out", "shipped", "counting alone", "left out", "shipped"]
    lines += [*record.table(heads, rows), "", "All pictures of something that is there: "
              + ", ".join(f"{value:.0%} {key}" for key, value in facts["bands hold"].items()) + ".", ""]  # fmt: skip
    lines += ["Fitted to all: `" + json.dumps(facts["calibration"]) + "`", ""]
    return "\n".join(lines)


def overlays(
    seen: Seen,
    sets: dict[str, list[Test]],
    config: ExistenceConfig,
    folder: Path,
) -> None:
    """Write the first pictures of every set with what was found."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, tests in sets.items():
        for i, (image, truth, _) in enumerate(tests[:3]):
            picture, (one, boxes) = (
                cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_GRAY2BGR),
                seen[name][i],
            )
            kept = one.kept(config)
            rows, columns = pairs(one.iou[kept], 0.3)
            right = np.isin(np.arange(int(kept.sum())), rows)
            missed = np.setdiff1d(np.arange(len(truth)), columns)
            drawn_boxes = [
                (box, (0, 200, 0) if ok else (0, 0, 255)) for box, ok in zip(boxes[kept], right, strict=True)
            ]
            drawn_boxes += [(truth.boxes[k], (255, 100, 0)) for k in missed.tolist()]
            for box, colour in drawn_boxes:
                x0, y0, x1, y1 = (round(float(value)) for value in box)
                cv2.rectangle(picture, (x0, y0), (x1, y1), colour, 1)
            cv2.imwrite(str(folder / f"{file_name(name)}_{i}.png"), picture)


def main() -> None:
    """Measure and write the page."""
    parser = record.options(__doc__)
    parser.add_argument("--model", default="loops")
    parser.add_argument("--card", type=Path, metavar="FILE")
    parser.add_argument(
        "--answers", type=Path, metavar="DIR", help="keep what the model answered, and use it again"
    )
    parser.add_argument("--overlays", type=Path, metavar="DIR")
    given = parser.parse_args()
    small = {"loops": 2, "dense": 1, "voids": 1, "bubbles": 1, "mixed": 1}
    sets = drawn(small) if given.smoke else test_sets() | drawn(MORE_DRAWN)
    seen = look(sets, given.model, given.answers)
    answers = {name: [one for one, _ in part] for name, part in seen.items()}
    there = {name: part for name, part in answers.items() if name != ON_ZONE}
    every = [one for part in there.values() for one in part]
    scores = fit_scores(every)
    config = ExistenceConfig(**scores)
    showing = [one for one in every if len(one.true)]
    kinds = {one.experiment for one in showing}
    n_drawn = sum(kind.startswith("drawn") for kind in kinds)
    learnt_on = (
        f"{len(showing)} pictures that the training had not, of {len(kinds) - n_drawn} experiments and {n_drawn} kinds of"
        " drawn scene: benchmarks/real_pictures.md"
    )
    calibration = {**scores, **fit_counts(every, config), "learnt_on": learnt_on}
    # frames of movies are shown in one look, and its scores mean something else
    single = look(
        {name: tests for name, tests in sets.items() if name != ON_ZONE}, given.model, given.answers, 1
    )
    calibration["one_look"] = fit_scores([one for part in single.values() for one, _ in part])
    if given.card:
        write_calibration(given.card, calibration)
    brought = (
        find_model(given.model).calibration().get("calibration", {}) if given.card is None else calibration
    )
    used = ExistenceConfig(**{key: brought[key] for key in scores if key in brought})
    facts: dict[str, Any] = {"machine": record.machine(), "model": find_model(given.model).sha256[:12]}
    facts |= {"sets": measure(answers, used, brought), "calibration": calibration}
    known = {name: s for name, s in facts["sets"].items() if s["true"] and "held" in s}
    n = sum(s["pictures"] for s in known.values())
    facts["bands hold"] = {
        words: round(sum(s[key] for s in known.values()) / n, 3)
        for words, key in (
            ("counting alone", "held, counting"),
            ("left out", "held, left out"),
            ("shipped", "held"),
        )
    }
    facts["baseline"] = {name: round(baseline(tests), 3) for name, tests in sets.items() if name != TI_AGAIN}
    if TI in sets:
        facts["people"] = people(sets)
        steel = "nothing there: clean steel"
        facts["per um2"] = round(per_um2(answers[steel], used, sets[steel]), 3)
    if given.overlays:
        overlays(seen, sets, used, given.overlays)
    record.keep(__file__, facts, page(facts), given.results)


if __name__ == "__main__":
    main()
