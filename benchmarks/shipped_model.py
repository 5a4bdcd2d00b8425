"""How the shipped network was made and scored: data, training, export, calibration, card.

``python benchmarks/shipped_model.py data FOLDER`` draws the training pictures, ``python -m insitrack.segment.train FOLDER/data.yaml
--out RUN --hours 1.5`` trains, ``python benchmarks/shipped_model.py card FOLDER CHECKPOINT TARGET.onnx`` exports and scores.
Real pictures are read from ``../shared/data`` beside the repository and left out where they are absent.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from insitrack.io.detections import Detections
from insitrack.io.frames import Frame
from insitrack.io.synth import SynthSource
from insitrack.segment.base import SegmentConfig, load_segmenter
from insitrack.segment.dataset import (
    TRAINED_CLASSES,
    DatasetSettings,
    jittered,
    read_labels,
    tiles,
    write_example,
    write_synth_dataset,
)
from insitrack.segment.evaluate import Example, evaluate, labelled_pictures, score, threshold_baseline
from insitrack.segment.labels import read_labelled
from insitrack.segment.preprocess import stretch_to_8_bit

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"
MAIN = DatasetSettings()
MORE = DatasetSettings(scenes=450, first_seed=20_000, held_out=0.01, shares={"diffuse": 0.75, "two_beam": 0.25})
TEST_SCENES = {"two_beam": 14, "loops": 10, "mixed": 6, "voids": 4, "precipitates": 3, "dense": 3}
LOOPS = ("loop",)

Picture = tuple[str, np.ndarray[Any, np.dtype[np.uint8]], Detections]


def crops_316l() -> Iterator[tuple[int, Picture]]:
    """Sixteen labelled crops of 316L under in-situ irradiation, by number."""
    for picture in read_labelled(REAL / "creme-316L" / "clean.json", {"hcloop": "loop"}):
        yield int(picture.name), (f"316l_{picture.name}", np.asarray(picture.image, np.uint8), picture.truth)


def frames_ti() -> list[Picture]:
    """Eighteen labelled frames of neutron-irradiated Ti, in order of time."""
    out = []
    for path in sorted((REAL / "ti-anneal" / "images").iterdir()):
        image = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)
        label = REAL / "ti-anneal" / "annotation_new" / f"{path.stem}.txt"
        out.append((path.stem, image, read_labels(label, (image.shape[0], image.shape[1]), LOOPS * 3)))
    return out


def write_data(folder: Path) -> None:
    """Draw the training pictures and add tiles of the real pictures that may be trained on."""
    write_synth_dataset(folder, MORE)
    write_synth_dataset(folder, MAIN)
    if not REAL.is_dir():
        return
    real = [(picture, 320, 192, 4) for number, picture in crops_316l() if number <= 9]
    real += [(picture, 320, 432, 1) for picture in frames_ti()[:9]]
    for (name, image, truth), side, stride, copies in real:
        for copy in range(copies):
            for y, x, part, found in tiles(image, truth, side, stride):
                rng = np.random.default_rng([copy, y, x])
                write_example(folder, "train", f"{name}_{copy}_{y}_{x}", jittered(stretch_to_8_bit(part), rng), found)


def test_sets() -> dict[str, list[Example]]:
    """Pictures that no training has seen, with their labels."""
    sets: dict[str, list[Example]] = {"synthetic, all kinds": [], "synthetic, two-beam": []}
    for kind, count in TEST_SCENES.items():
        for seed in range(50_000, 50_000 + count):
            movie = SynthSource(f"synth:{kind}?seed={seed}&size=512&frames=40&fps=4&overlay=2&start=.4&jumps=2")
            sets["synthetic, all kinds"].append((movie.frame(35), movie.truth(35)))
            if kind == "two_beam":
                sets["synthetic, two-beam"].append(sets["synthetic, all kinds"][-1])
    if REAL.is_dir():
        sets["real, 316L crops 10-16"] = [(Frame(n, 0.0, image), truth) for n, (_, image, truth) in crops_316l() if n >= 10]
        middle = [next(iter(tiles(image[512:], _moved(truth, 512), 1024, 1024))) for _, image, truth in frames_ti()[9:]]
        sets["real, Ti frames 10-18"] = [(Frame(i, 0.0, np.ascontiguousarray(part)), truth) for i, (_, _, part, truth) in enumerate(middle)]
    return sets


def _moved(truth: Detections, up: int) -> Detections:
    masks = truth.masks.shifted(-up, 0)
    return Detections(
        truth.frame_index, truth.t_s, (truth.shape[0] - up, truth.shape[1]), masks.boxes(), truth.labels, truth.scores, masks, truth.class_names
    )


def calibrate(target: Path, facts: dict[str, Any], folder: Path, write: Any) -> float:
    """Mask threshold at which the sizes of the held-out synthetic movies of the training set come out without bias."""
    pictures = [(frame, true) for frame, true in labelled_pictures(folder) if len(true)]
    for logit in np.arange(0, 2.01, 0.1):
        write({**facts, "mask_logit": round(float(logit), 1)})
        segment = load_segmenter(str(target))
        bias = score([(segment(frame), true) for frame, true in pictures], 0.5).size_bias
        if bias <= 0.003:
            break
    return round(float(logit), 1)


def write_final_card(folder: Path, checkpoint: Path, target: Path) -> None:
    """Export, calibrate on the validation pictures, score on the test pictures, write the card."""
    from insitrack.segment.export import export, write_card
    from insitrack.segment.train import TrainSettings

    export(checkpoint, target)
    facts = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))

    def write(more: dict[str, Any]) -> None:
        write_card(target, classes=TRAINED_CLASSES, recipe=asdict(TrainSettings(**more.pop("settings", {}))), facts=more)

    facts["mask_logit"] = calibrate(target, facts, folder, lambda more: write(dict(more)))
    write(dict(facts))
    segment = load_segmenter(str(target), SegmentConfig())
    metrics: dict[str, dict[str, Any]] = {}
    for name, examples in test_sets().items():
        metrics[name] = {"network": evaluate(segment, examples), "smooth and threshold": evaluate(threshold_baseline, examples)}
    write({**facts, "metrics": metrics})


if __name__ == "__main__":
    if sys.argv[1] == "data":
        write_data(Path(sys.argv[2]))
    else:
        write_final_card(*(Path(argument) for argument in sys.argv[2:5]))
