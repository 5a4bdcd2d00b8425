"""Train the pixel-wise network of line dislocations further on a laboratory's own labels.

`track train LABELS --base lines`: the same split, mix with drawn images and rule as for other models, that nothing
is exported which is worse than the start on the held-out images.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from insitrack.io.arrays import Bytes
from insitrack.io.detections import Detections
from insitrack.io.errors import SettingsError
from insitrack.io.write import write_json
from insitrack.segment.base import SegmentConfig, Segmenter
from insitrack.segment.card import ModelCard
from insitrack.segment.finetune.begin import PIXELWISE, TRAINING_RECORD, Beginning, begin
from insitrack.segment.finetune.boxes import outline_boxes
from insitrack.segment.finetune.outcome import Finetuned, is_worse
from insitrack.segment.finetune.settings import FinetuneSettings
from insitrack.segment.labels.reader import LabelledPicture, Labels
from insitrack.segment.lines.graph import thin
from insitrack.segment.models import find_model, load_segmenter
from insitrack.segment.prepare.field import field_of
from insitrack.segment.prepare.grey import stretch_to_8_bit
from insitrack.segment.scores.evaluate import Example, score
from insitrack.segment.scores.lines import TOLERANCE_PX
from insitrack.segment.training import semantic
from insitrack.segment.training.model_card import write_card
from insitrack.segment.training.semantic_data import (
    CENTRELINE_PX,
    CHANNELS,
    IGNORE_BIT,
    SemanticDataSettings,
    examples,
    scenes,
)
from insitrack.segment.training.semantic_network import SemanticTrainSettings

LINE = "dislocation"
_CARRIED = ("channels", "pixel_thresholds", "centreline_threshold", "centreline_sure", "centreline_mean")
_SEED = 80_000  # apart from the seeds of the shipped model's images
_USUAL_MINUTES = 15.0
_LEARNING_RATE = 5e-4
_CROP_PX = 256
_IOU = 0.3


def finetune_lines(
    data: Path,
    folder: Path,
    chosen: FinetuneSettings,
    *,
    classes: Mapping[str, str] | None = None,
    resume: bool = False,
    say: Callable[[str], None] = print,
    begun: Beginning | None = None,
) -> Finetuned:
    """Train a pixel-wise model further and export it, or the start where that is better.

    Parameters
    ----------
    data, folder, classes, resume, say, begun
        As in `finetune`.
    chosen : FinetuneSettings
        Of these `base minutes threads val val_share leave_out synthetic_share synthetic_pictures contrast seed`
        count; 15 min are trained unless they say otherwise.

    Raises
    ------
    InsitrackError
        If labels, base or folder cannot be used.
    """
    job = _LinesJob(data, folder, begun or begin(data, folder, chosen, classes, resume=resume), say)
    if not resume:
        job.prepare()
    job.train(resume=(folder / "run" / semantic.CHECKPOINT).is_file())
    return job.finish()


@dataclass(slots=True)
class _Split:
    train: Labels
    val: Labels
    warning: str


class _LinesJob:
    """One training; what it needs is known to be good before anything is written."""

    def __init__(self, data: Path, folder: Path, begun: Beginning, say: Callable[[str], None]) -> None:
        self.folder, self.chosen, self.say, self.classes = folder, begun.chosen, say, dict(begun.classes)
        self.name = data.resolve().stem
        self.base: ModelCard = find_model(self.chosen.base)
        labels, split = begun.labels, begun.split
        self.split = _Split(labels.chosen(split.train), labels.chosen(split.val), split.warning)
        self.labels = labels
        self.warnings = [split.warning] if split.warning else []
        meant = {name for name in labels.classes.values() if name != "ignore"}
        if meant and not meant & set(self.base.classes):
            raise SettingsError(
                f"{data}: labels of {', '.join(sorted(meant))} only; --base {self.chosen.base} knows"
                f" {', '.join(self.base.classes)}"
            )
        if unseen := sorted(meant - set(self.base.classes)):
            self.warnings.append(
                f"labels of {', '.join(unseen)} are left out: the base model does not know that class"
            )
        say(
            f"{data}: {labels.kind} labels of {len(labels)} images, {len(split.train)} to train on, {len(split.val)} to judge by"
        )
        for warning in self.warnings:
            say(f"warning: {warning}")

    @property
    def data(self) -> Path:
        """Images and maps that are trained on."""
        return self.folder / "data"

    def prepare(self) -> None:
        """Write images with their maps, labelled and drawn."""
        for part in ("images/train", "images/val", "maps/train", "maps/val"):
            (self.data / part).mkdir(parents=True, exist_ok=True)
        n_labels = 0
        for part, labels in (("train", self.split.train), ("val", self.split.val)):
            for number, picture in enumerate(labels):
                truth = self._truth(picture)
                n_labels += len(truth) if part == "train" else 0
                self._write(part, f"{number:04d}_{picture.name}", self._seen(picture), map_of(truth))
        if not n_labels:
            raise SettingsError(
                f"{self.labels.source}: no labelled line or particle to train on; name others with --val"
            )
        self._draw(len(self.split.train))
        facts = {"data": str(self.labels.source), "classes": self.classes, "settings": asdict(self.chosen)}
        write_json(self.folder / TRAINING_RECORD, facts)  # last: it says that all is there

    def _draw(self, n_real: int) -> None:
        """Draw images, and repeat the labelled ones until both have their shares."""
        share, most = self.chosen.synthetic_share, self.chosen.synthetic_pictures
        if not share or not most:
            return
        settings = SemanticDataSettings(
            scenes=-(-most // 2), frames_per_scene=2, first_seed=_SEED, held_out=0.0
        )
        self.say(f"drawing {most} synthetic images")
        drawn = (one for uri, _ in scenes(settings) for one in examples(uri, settings.frames_per_scene))
        for (name, image, found), _ in zip(drawn, range(most), strict=False):
            self._write("train", f"synth_{name}", image, found)
        copies = max(1, round(most * (1 - share) / share / max(1, n_real)))
        for path in sorted((self.data / "images" / "train").glob("[0-9]*.png")):
            for copy in range(1, copies):
                for part in ("images", "maps"):
                    source = self.data / part / "train" / path.name
                    shutil.copyfile(source, source.with_name(f"{path.stem}_copy{copy}.png"))

    def _write(self, part: str, name: str, image: Bytes, found: Bytes) -> None:
        below, right = (max(0, _CROP_PX - side) for side in image.shape)  # the trainer cuts crops of one size
        if below or right:
            image = np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REFLECT), np.uint8)
            found = np.pad(found, ((0, below), (0, right)), constant_values=IGNORE_BIT)
        cv2.imwrite(str(self.data / "maps" / part / f"{name}.png"), found)
        cv2.imwrite(str(self.data / "images" / part / f"{name}.png"), image)

    def _seen(self, picture: LabelledPicture) -> Bytes:
        image = stretch_to_8_bit(picture.image, field_of(picture.frame))
        return np.asarray(255 - image if self.chosen.contrast == "bright" else image, np.uint8)

    def _truth(self, picture: LabelledPicture) -> Detections:
        whole = outline_boxes(picture.frame, picture.truth, picture.outlined, None)
        return whole.take(np.array([name in self.base.classes for name in whole.names()], bool))

    def train(self, *, resume: bool) -> None:
        """Train, or go on where it stopped."""
        chosen = self.chosen
        recipe = dict(self.base.facts.get("recipe") or {})
        self.settings = SemanticTrainSettings(
            encoder=str(recipe.get("encoder", SemanticTrainSettings().encoder)),
            decoder=tuple(recipe.get("decoder", SemanticTrainSettings().decoder)),
            hours=(chosen.minutes or _USUAL_MINUTES) / 60,
            image_px=_CROP_PX,
            batch=chosen.batch,
            learning_rate=_LEARNING_RATE,
            average=0.99,
            inverted=0.0,
            threads=chosen.n_threads,
            steps_per_round=10,
            seed=chosen.seed,
        )
        self.say(f"training for {60 * self.settings.hours:g} min")
        minutes = 60 * self.settings.hours
        semantic.train(
            self.data,
            self.folder / "run",
            self.settings,
            resume=resume,
            start=self.base.weights,
            told=lambda facts: self.say(
                f"{facts['minutes']:.1f} of {minutes:g} min, loss {facts['loss']:.2f}"
            ),
        )

    def finish(self) -> Finetuned:
        """Export the new network, or copy the start where that is better on the held-out images."""
        model = semantic.export(self.folder / "run" / semantic.CHECKPOINT, self.folder / f"{self.name}.onnx")
        facts = self._facts()
        write_card(model, classes=self.base.classes, recipe=asdict(self.settings), facts=facts)
        held = [(picture.frame, self._truth(picture)) for picture in self.split.val]
        config = SegmentConfig(contrast=self.chosen.contrast, threads=self.chosen.threads)
        before = line_scores(load_segmenter(self.chosen.base, config), held)
        after = line_scores(load_segmenter(str(model), config), held)
        worse = is_worse(before, after)
        if worse:
            self.warnings.append(
                f"the training was worse than its start on the held-out images: the model is {self.base.name} as it"
                " was; label more images, or train longer"
            )
            shutil.copyfile(self.base.weights, model)
            facts["about"] = (
                f"The weights of {self.base.name}, unchanged: training on {self.labels.source.name} made them worse."
            )
        facts |= {
            "kept_start": worse,
            "known_failures": self.warnings,
            "scores": {"before": before, "after": after},
        }
        write_card(model, classes=self.base.classes, recipe=asdict(self.settings), facts=facts)
        return Finetuned(model, before, after, tuple(self.warnings), worse)

    def _facts(self) -> dict[str, Any]:
        carried = {key: self.base.facts[key] for key in _CARRIED if key in self.base.facts}
        return {
            "kind": PIXELWISE,
            **carried,
            "stride": semantic.STRIDE,
            "about": f"Trained on the labels of {self.labels.source.name}, starting from {self.base.name}.",
            "trained_on": (
                f"{len(self.split.train)} images of {self.labels.source.name} with {self.labels.kind} labels;"
                f" {100 * self.chosen.synthetic_share:.0f} % of what it saw were synthetic images"
            ),
            "base": {"name": self.base.name, "sha256": self.base.sha256},
            "labels": {
                "kind": self.labels.kind,
                "classes": dict(self.labels.classes),
                "held_out": list(self.split.val.names),
            },
        }


def map_of(truth: Detections) -> Bytes:
    """Map of classes and centrelines of an image: bit k set where channel k of `CHANNELS` is."""
    out = np.zeros(truth.shape, np.uint8)
    core = np.zeros(truth.shape, np.uint8)
    for row, name in enumerate(truth.names()):
        if name not in CHANNELS:
            continue
        (y, x), crop = truth.masks.corners[row].tolist(), truth.masks.crop(row)
        window = (slice(y, y + crop.shape[0]), slice(x, x + crop.shape[1]))
        out[window] |= crop * np.uint8(1 << CHANNELS.index(name))
        if name == LINE:
            core[window] |= thin(np.ascontiguousarray(crop)).astype(np.uint8)
    wide = cv2.dilate(core, np.ones((CENTRELINE_PX, CENTRELINE_PX), np.uint8))
    return np.asarray(out | wide << np.uint8(CHANNELS.index("centreline")), np.uint8)


def line_scores(segment: Segmenter, held: Sequence[Example]) -> dict[str, dict[str, float]]:
    """F1 of the length of lines and of particles, whichever the held-out images have.

    A pixel of a centreline counts as found where one of the other side lies within `TOLERANCE_PX`; particles are
    paired at a mask IoU of 0.3.

    Returns
    -------
    dict
        ``lines`` and ``iou_0.3``, each with its `f1`.
    """
    found = [(segment(frame, field_of(frame)), true) for frame, true in held]
    out: dict[str, dict[str, float]] = {}
    if any(LINE in true.names() for _, true in found):
        counts = np.sum([_near(one, true) for one, true in found], axis=0)
        (n_found, found_near, n_true, true_near) = counts.tolist()
        precision, recall = found_near / max(n_found, 1), true_near / max(n_true, 1)
        out["lines"] = {
            "f1": round(2 * precision * recall / max(precision + recall, 1e-12), 4),
            "precision": round(precision, 4),
            "recall": round(recall, 4),
        }
    particles = [(_without_lines(one), _without_lines(true)) for one, true in found]
    if any(len(true) for _, true in particles):
        out["iou_0.3"] = score(particles, _IOU).facts()
    return out or {"iou_0.3": score(particles, _IOU).facts()}


def _without_lines(some: Detections) -> Detections:
    return some.take(np.array([name != LINE for name in some.names()], bool))


def _near(found: Detections, true: Detections) -> tuple[int, int, int, int]:
    """Pixels of the centrelines of both sides, and those of them that are near the other."""
    cores = [_core(one) for one in (found, true)]
    near = [cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, 5) <= TOLERANCE_PX for core in cores]
    return (
        int(cores[0].sum()),
        int((cores[0] & near[1]).sum()) if cores[1].any() else 0,
        int(cores[1].sum()),
        int((cores[1] & near[0]).sum()) if cores[0].any() else 0,
    )


def _core(some: Detections) -> np.ndarray[Any, np.dtype[np.bool_]]:
    core = np.zeros(some.shape, bool)
    for row, name in enumerate(some.names()):
        if name == LINE:
            (y, x), crop = some.masks.corners[row].tolist(), some.masks.crop(row)
            core[y : y + crop.shape[0], x : x + crop.shape[1]] |= thin(np.ascontiguousarray(crop))
    return core
