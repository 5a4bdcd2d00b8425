"""How the shipped network for line dislocations was made and scored.

Data, training, export, thresholds, card.

``python -m insitrack.segment.training.semantic_data FOLDER`` draws the training images,
``python -m insitrack.segment.training.semantic FOLDER --out RUN`` trains,
``python benchmarks/lines_model.py card FOLDER RUN/last.pt TARGET.onnx`` exports, scores and writes the card
and ``benchmarks/lines_model.md``; ``python benchmarks/lines_model.py look PICTURES... OUT.png`` draws what
the model says of images.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import record

from insitrack.io.detections import Detections
from insitrack.io.frames import Frame
from insitrack.io.synth.source import SynthSource
from insitrack.segment.base import SegmentConfig
from insitrack.segment.lines.length import chain_length
from insitrack.segment.lines.trace import LineSettings, line_length_px, line_masks, line_width_px, trace_lines
from insitrack.segment.models import load_segmenter
from insitrack.segment.networks.semantic import (
    CentrelineThresholds,
    SemanticSegmenter,
    connected_parts,
    trace_centrelines,
)
from insitrack.segment.prepare.grey import stretch_to_8_bit
from insitrack.segment.scores.lines import NOTHING, LineScore, line_score, pixel_table
from insitrack.segment.scores.pixels import covered
from insitrack.segment.training.semantic_data import CHANNELS, SemanticDataSettings, class_map, scenes

CLASSES = CHANNELS[:3]
TEST_SCENES = {"lines": 10, "pileup": 6}
FIRST_TEST_SEED = 500_000
THRESHOLDS = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)
SURE = (0.4, 0.6, 0.75)
MEANS = (0.0, 0.4, 0.5, 0.6)
PUBLISHED = {
    "dislocation": (91.60, 55.13, 69.10, 44.34),
    "precipitate": (93.39, 72.06, 78.38, 59.85),
    "void": (98.85, 89.17, 90.17, 81.19),
}
PUBLISHED["overall"] = (94.61, 72.12, 79.22, 61.79)

Example = tuple[Frame, Detections, list[np.ndarray[Any, Any]]]


def example(uri: str, index: int) -> Example:
    """Image, visible outlines and visible centrelines of one frame."""
    movie = SynthSource(uri)
    lines = [np.concatenate(line.pieces) for line in movie.line_truth(index) if line.visible]
    return movie.frame(index), movie.truth(index), lines


def test_addresses() -> dict[str, list[tuple[str, int]]]:
    """Movies whose seeds no training has seen, and a frame of each."""
    return {
        kind: [
            (f"synth:{kind}?seed={FIRST_TEST_SEED + k}&size=512&frames=40&fps=2&overlay=2&jumps=2", 30)
            for k in range(count)
        ]
        for kind, count in TEST_SCENES.items()
    }


@lru_cache(maxsize=1)
def validation_set(count: int = 8) -> list[Example]:
    """Images of movies that the training data keep for validation, to choose thresholds on."""
    held = [uri for uri, held_out in scenes(SemanticDataSettings()) if held_out][:count]
    return [example(uri, 31) for uri in held]


def centrelines(found: Detections) -> tuple[list[np.ndarray[Any, Any]], list[float]]:
    """Middle of each dislocation found, px (x, y), and its length."""
    lines, lengths = [], []
    for row, name in enumerate(found.names()):
        if name != "dislocation":
            continue
        crop = found.masks.crop(row)
        chains = trace_lines(crop, LineSettings(spur=1.5, least_length_px=0.0))
        if chains:
            lines.append(np.concatenate(chains)[:, ::-1] + 0.5 + found.masks.corners[row, ::-1])
            lengths.append(line_length_px(crop))
    return lines, lengths


def score_lines(pairs: Sequence[tuple[Detections, Example]]) -> LineScore:
    """Length-aware score over all images."""
    total = NOTHING
    for found, (_, _, true) in pairs:
        lines, lengths = centrelines(found)
        total = total + line_score(lines, true, found_lengths=lengths)
    return total


def threshold_baseline(frame: Frame) -> Detections:
    """Smooth, subtract the background, threshold.

    Long thin dark parts are dislocations, solid dark ones precipitates, bright ones voids.
    """
    grey = stretch_to_8_bit(frame.image).astype(np.float32)
    rough = cv2.GaussianBlur(grey, (0, 0), 1.5) - cv2.GaussianBlur(grey, (0, 0), 14)
    parts = {
        "dark": connected_parts(rough < -1.5 * rough.std()),
        "bright": connected_parts(rough > 2 * rough.std()),
    }
    found = Detections.empty(frame.index, frame.t_s, frame.shape, CLASSES)
    for tone, masks in parts.items():
        masks = masks.take(masks.area_px() >= 40)
        width = np.array([line_width_px(masks.crop(i)) for i in range(len(masks))])
        solid = masks.area_px() < 4 * width * width
        for name, rows in (
            ("dislocation", ~solid & (tone == "dark")),
            ("precipitate", solid & (tone == "dark")),
            ("void", solid & (tone == "bright")),
        ):
            some = masks.take(rows)
            if name == "dislocation" and len(some):
                whole = some.dense(frame.shape).any(axis=0)
                some = line_masks(trace_lines(whole), whole)
            label = np.full(len(some), CLASSES.index(name) + 1, np.int64)
            found = found.then(
                Detections(
                    0, 0.0, frame.shape, some.boxes(), label, np.ones(len(some), np.float32), some, CLASSES
                )
            )
    return found


def choose_thresholds(segmenter: SemanticSegmenter) -> dict[str, Any]:
    """Thresholds that are best on the validation images.

    They are chosen for each class by its IoU, and for the centrelines by the quality of the lines.
    """
    examples = [(segmenter.maps(frame), true, lines) for frame, true, lines in validation_set()]
    pixels = {name: max(THRESHOLDS, key=lambda t, name=name: pixel_iu(examples, name, t)) for name in CLASSES}
    best = max(
        (
            CentrelineThresholds(threshold=low, sure=sure, mean=mean)
            for low in THRESHOLDS[:6]
            for sure in SURE
            if sure > low
            for mean in MEANS
        ),
        key=lambda chosen: centreline_quality(examples, chosen, pixels["dislocation"]),
    )
    print(pixels, best, flush=True)
    return {
        "pixel_thresholds": pixels,
        **{f"centreline_{name}": value for name, value in asdict(best).items()},
    }


def pixel_iu(examples: Sequence[Any], name: str, threshold: float) -> float:
    """Intersection over union of the pixels of a class over all images."""
    both = either = 0
    for maps, true, _ in examples:
        mask, real = maps[name] >= 255 * threshold, covered(true, name)
        both, either = both + np.count_nonzero(mask & real), either + np.count_nonzero(mask | real)
    return both / max(1, either)


def centreline_quality(examples: Sequence[Any], chosen: CentrelineThresholds, threshold: float) -> float:
    """Quality of the length and share of lines recovered, added."""
    total = NOTHING
    for maps, _, lines in examples:
        width = line_width_px(maps["dislocation"] >= 255 * threshold)
        chains = trace_centrelines(maps["centreline"], chosen, width) if width else []
        total = total + line_score(
            [chain[:, ::-1] + 0.5 for chain in chains],
            lines,
            found_lengths=[chain_length(chain) for chain in chains],
        )
    return total.quality + total.recovered


def learned_classes(segmenter: SemanticSegmenter, least_iu: float = 0.1) -> list[str]:
    """Classes that the network finds at all in the validation images.

    One that it has not learned has no count, not a count of 0.
    """
    table = pixel_table([(segmenter(frame), true) for frame, true, _ in validation_set()], CLASSES)
    return [name for name in CLASSES if table[name]["pixel_iu"] >= least_iu]


def evaluate(segment: Callable[[Frame], Detections], sets: dict[str, list[Example]]) -> dict[str, Any]:
    """Pixel table over all images and line scores by kind of scene."""
    pairs = {
        kind: [(segment(example[0]), example) for example in examples] for kind, examples in sets.items()
    }
    everything = [pair for some in pairs.values() for pair in some]
    lines = {kind: score_lines(some).facts() for kind, some in (*pairs.items(), ("all", everything))}
    table = pixel_table([(found, true) for found, (_, true, _) in everything], CLASSES)
    return {
        "pixels": {
            name: {column: round(100 * value, 2) for column, value in row.items()}
            for name, row in table.items()
        },
        "lines": lines,
    }


def ceiling(sets: dict[str, list[Example]]) -> dict[str, float]:
    """Line scores of tracing alone, from the true maps: what no network could better."""
    total = NOTHING
    for kind, examples in sets.items():
        for (_, _, true), (uri, index) in zip(examples, test_addresses()[kind], strict=True):
            found = class_map(SynthSource(uri), index)
            mask, core = (found & 1) > 0, (found & 8) > 0
            gap = 3 * max(1.0, line_width_px(mask) / max(1e-9, line_width_px(core)))
            masks = (
                line_masks(trace_lines(core, LineSettings(gap=gap)), mask)
                if core.any()
                else connected_parts(core)
            )
            label = np.ones(len(masks), np.int64)
            lines, lengths = centrelines(
                Detections(
                    0, 0.0, mask.shape, masks.boxes(), label, np.ones(len(masks), np.float32), masks, CLASSES
                )
            )
            total = total + line_score(lines, true, found_lengths=lengths)
    return total.facts()


def page(results: dict[str, Any]) -> str:
    """Results as a page: DefectNet's table, then the lines."""
    lines = [
        "## Pixels",
        "",
        (
            "Synthetic test pictures of 512 px; in brackets DefectNet on its own micrographs (doi"
            " 10.1038/s41598-019-49105-0)."
        ),
        "",
    ]
    lines += [
        "| class | method | pixel accuracy % | precision % | recall % | IU % |",
        "|---|---|---|---|---|---|",
    ]
    for method in ("network", "smooth and threshold"):
        for name, row in results[method]["pixels"].items():
            cells = [
                f"{value:.2f}" + (f" ({PUBLISHED[name][k]:.2f})" if method == "network" else "")
                for k, value in enumerate(row.values())
            ]
            lines.append(f"| {name} | {method} | " + " | ".join(cells) + " |")
    columns = list(results["tracing of the true maps"])
    lines += [
        "",
        "## Lines",
        "",
        (
            "Centrelines within 3 px; a line is recovered where one found line, and it alone, follows it over"
            " 80 % of both."
        ),
        "",
    ]
    lines += ["| scene | method | " + " | ".join(columns) + " |", "|" + "---|" * (2 + len(columns))]
    for method in ("network", "smooth and threshold"):
        for kind, row in results[method]["lines"].items():
            lines.append(
                f"| {kind} | {method} | " + " | ".join(f"{row[column]:.3g}" for column in columns) + " |"
            )
    lines.append(
        "| all | tracing of the true maps | "
        + " | ".join(f"{results['tracing of the true maps'][column]:.3g}" for column in columns)
        + " |"
    )
    return "\n".join(lines) + "\n"


def write_final_card(folder: Path, checkpoint: Path, target: Path) -> None:
    """Export, choose thresholds on validation movies, score on test movies, write card and page."""
    import torch

    from insitrack.segment.training.model_card import write_card
    from insitrack.segment.training.semantic import STRIDE, export

    export(checkpoint, target)
    recipe = torch.load(checkpoint, map_location="cpu", weights_only=True)
    known = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    facts = {
        "kind": "semantic",
        "channels": list(CHANNELS),
        "stride": STRIDE,
        "input_scaling": (
            "grey levels stretched from the percentiles 0.5 and 99.5 to 0..255, one channel, divided by 255"
        ),
        "steps": recipe["step"],
        "data": json.loads((folder / "settings.json").read_text(encoding="utf-8")),
        **known["facts"],
    }

    def written(classes: Sequence[str], more: dict[str, Any]) -> SemanticSegmenter:
        write_card(target, classes=classes, recipe=recipe["settings"], facts={**facts, **more})
        segmenter = load_segmenter(str(target), SegmentConfig())
        assert isinstance(segmenter, SemanticSegmenter)
        return segmenter

    thresholds = choose_thresholds(written(CLASSES, {}))
    classes = learned_classes(written(CLASSES, thresholds))
    segmenter = written(classes, thresholds)
    sets = {kind: [example(uri, index) for uri, index in some] for kind, some in test_addresses().items()}
    results = {
        "network": evaluate(segmenter, sets),
        "smooth and threshold": evaluate(threshold_baseline, sets),
        "tracing of the true maps": ceiling(sets),
    }
    written(classes, {**thresholds, "scores": results})
    text = page(results)
    with target.with_suffix(".md").open("a", encoding="utf-8") as card:
        card.write("\n" + text)
    Path(__file__).with_suffix(".md").write_text("# The model `lines`\n\n" + text, encoding="utf-8")
    known["results"] = results | {"thresholds": thresholds}
    Path(__file__).with_suffix(".json").write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    print(text)


def look(paths: list[Path], out: Path, model: str = "lines", most_px: int = 512) -> None:
    """Draw images, their maps and the single lines in colours of their own."""
    segmenter = load_segmenter(model)
    assert isinstance(segmenter, SemanticSegmenter)
    rows = []
    for path in paths:
        image = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)[:most_px, :most_px]
        frame = Frame(0, 0.0, np.ascontiguousarray(image))
        maps, found = segmenter.maps(frame), segmenter(frame)
        grey = cv2.cvtColor(stretch_to_8_bit(image), cv2.COLOR_GRAY2BGR)
        classes, single = grey // 2, grey.copy()
        for name, colour in (
            ("dislocation", (0, 0, 220)),
            ("precipitate", (230, 110, 0)),
            ("void", (0, 200, 0)),
        ):
            classes[maps[name] > 127] = colour
        rng = np.random.default_rng(1)
        for line in centrelines(found)[0]:
            for y, x in np.floor(line[:, ::-1]).astype(int).tolist():
                cv2.circle(single, (x, y), 1, (0, 0, 0), -1)
            colour = rng.integers(80, 256, 3).tolist()
            for y, x in np.floor(line[:, ::-1]).astype(int).tolist():
                single[y, x] = colour
        rows.append(np.hstack([grey, classes, single]))
    cv2.imwrite(str(out), np.vstack(rows))


def write_scores_of_the_shipped(folder: Path) -> None:
    """Score the shipped network on one test movie of each kind; the figures are no scores."""
    globals().update(
        TEST_SCENES=dict.fromkeys(TEST_SCENES, 1), THRESHOLDS=(0.3, 0.5), SURE=(0.6,), MEANS=(0.4,)
    )
    sets = {kind: [example(uri, index) for uri, index in some] for kind, some in test_addresses().items()}
    segmenter = load_segmenter("lines", SegmentConfig())
    results = {
        "network": evaluate(segmenter, sets),
        "smooth and threshold": evaluate(threshold_baseline, sets),
        "tracing of the true maps": ceiling(sets),
    }
    record.keep(__file__, results, page(results), folder)


def main() -> None:
    parser = record.options(__doc__)
    parser.add_argument("what", nargs="?", choices=("card", "look"))
    parser.add_argument("paths", nargs="*", type=Path)
    given = parser.parse_args()
    if given.smoke:
        write_scores_of_the_shipped(given.results)
    elif given.what == "card" and len(given.paths) == 3:
        write_final_card(*given.paths)
    elif given.what == "look" and len(given.paths) > 1:
        look(given.paths[:-1], given.paths[-1])
    else:
        parser.error("give card FOLDER CHECKPOINT TARGET, or look PICTURES... OUT.png")


if __name__ == "__main__":
    main()
