"""Train the shipped network further on a laboratory's own labels, and export what comes out with its card.

Labelled images are mixed with drawn ones, so that the network does not forget what the labels do not show;
whole movies or series are held out to judge by, after each epoch and, against the network it started from, at
the end.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from insitrack.io.detections import Detections
from insitrack.io.errors import SettingsError
from insitrack.segment.finetune.begin import TRAINING_RECORD, Beginning, begin
from insitrack.segment.finetune.data import (
    copies_for,
    seen,
    with_outlines,
    write_data_yaml,
    write_synthetic,
    write_tiles,
)
from insitrack.segment.finetune.judge import IOUS, Judge
from insitrack.segment.finetune.label_view import view_of_labels
from insitrack.segment.finetune.outcome import CANDIDATE, Finetuned, is_worse, scores_mean
from insitrack.segment.finetune.settings import FinetuneSettings
from insitrack.segment.finetune.starting_point import find_base, in_memory
from insitrack.segment.labels.reader import LabelledPicture
from insitrack.segment.prepare.view import View
from insitrack.segment.scores.evaluate import Example, evaluate
from insitrack.segment.training.export import export, load_checkpoint, save_checkpoint
from insitrack.segment.training.model_card import write_card
from insitrack.segment.training.yolo import TrainingFinishedError, TrainSettings, train

VIEWS = "views.json"
"""Scale of each series that is trained on, in the folder of the data."""
_BOX_CONFIDENCE = 0.05


def finetune(
    data: Path,
    folder: Path,
    chosen: FinetuneSettings | None = None,
    *,
    classes: Mapping[str, str] | None = None,
    resume: bool = False,
    say: Callable[[str], None] = print,
    begun: Beginning | None = None,
) -> Finetuned:
    """Train on labelled images and export the model.

    Parameters
    ----------
    data : Path
        Labels in any form that `read_labelled` takes.
    folder : Path
        Receives the model ``NAME.onnx`` with its card and checkpoint, ``epochs.csv``, ``epochs/``, and what
        is needed to go on.
    chosen : FinetuneSettings, optional
        How to train; of a resumed training only `threads`, `device` and `minutes` count, the rest is as it
        was.
    classes : mapping of str to str, optional
        What the laboratory's class names mean.
    resume : bool
        Go on with a training in `folder` that was stopped.
    say : callable
        Takes lines for the user.
    begun : Beginning, optional
        What `begin` made of the same, where it was asked before.

    Returns
    -------
    Finetuned

    Raises
    ------
    SourceError, SettingsError
        If the labels cannot be used.
    ModelError
        If there is no such base, or the training is finished already.
    OutputError
        If `folder` holds something and `resume` was not asked for, or the reverse.
    """
    chosen = chosen or FinetuneSettings()
    begun = begun or begin(data, folder, chosen, classes, resume=resume)
    job = _Job(data, folder, begun, say)
    if not (folder / "data" / "data.yaml").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"data": str(data), "classes": dict(begun.classes), "settings": asdict(begun.chosen)}
        (folder / TRAINING_RECORD).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        job.prepare()
    job.train()
    return job.finish()


class _Job:
    """One training: labels, split, base and output folder; all known to be good before anything is written."""

    def __init__(self, data: Path, folder: Path, begun: Beginning, say: Callable[[str], None]) -> None:
        self.folder, self.chosen, self.say = folder, begun.chosen, say
        self.name = data.resolve().stem
        self.labels, self.split = begun.labels, begun.split
        self.base = find_base(self.chosen.base)
        self.warnings = [self.split.warning] if self.split.warning else []
        meant = {name for name in self.labels.classes.values() if name != "ignore"}
        unseen = sorted(meant - set(self.base.classes))
        if meant and not meant & set(self.base.classes):
            raise SettingsError(
                f"{data}: labels of {', '.join(unseen)} only; --base {self.base.name} knows"
                f" {', '.join(self.base.classes)}"
            )
        if unseen:
            self.warnings.append(
                f"labels of {', '.join(unseen)} are left out: the base model does not know that class"
            )
        counts = f"{len(self.split.train)} to train on, {len(self.split.val)} to judge by"
        say(f"{data}: {self.labels.kind} labels of {len(self.labels)} images, {counts}")
        if self.base.checkpoint:
            say(f"base {self.base.name}: checkpoint SHA-256 {self.base.checkpoint.sha256}")
        for warning in self.warnings:
            say(f"warning: {warning}")
        self._held: list[Example] | None = None

    @property
    def data(self) -> Path:
        """The data set that the trainer reads."""
        return self.folder / "data"

    def held_out(self) -> list[Example]:
        """Images to judge by, with their labels."""
        if self._held is None:
            outlines = self.base.segmenter(self.chosen.segment_config(confidence=_BOX_CONFIDENCE))
            kept = with_outlines(self.labels.chosen(self.split.val), outlines)
            self._held = [(picture.frame, _known(truth, self.base.classes)) for picture, truth in kept]
        return self._held

    def prepare(self) -> None:
        """Write the tiles and draw the synthetic images.

        ``data.yaml`` comes last and says that all is there.
        """
        chosen, classes = self.chosen, self.base.classes
        for part, rows in (("train", self.split.train), ("val", self.split.val)):
            pictures = list(self.labels.chosen(rows))
            views = self._views(pictures)
            if part == "train":
                self.data.mkdir(parents=True, exist_ok=True)
                scales = {group: view.scale for group, view in views.items()}
                (self.data / VIEWS).write_text(json.dumps(scales) + "\n", encoding="utf-8")
            outlines = self.base.segmenter(chosen.segment_config(confidence=_BOX_CONFIDENCE))
            ready = [
                (picture.name, *seen(picture, truth, views[picture.group]))
                for picture, truth in with_outlines(pictures, outlines)
            ]
            n_labels = sum(len(truth) for _, _, truth in ready)
            if part == "train" and not n_labels:
                raise SettingsError(
                    f"{self.labels.source}: no labelled defect in the {len(ready)} images to train on; name"
                    " others with --val"
                )
            copies = copies_for(ready, chosen.image_px) if part == "train" else 1
            n_tiles = write_tiles(self.data, part, ready, classes, chosen.image_px, copies)
            self.say(
                f"{part}: {n_labels} defects, {n_tiles} tiles of {chosen.image_px} px; {_described(views)}"
            )
        if chosen.synthetic_share:
            self.say(f"drawing {chosen.synthetic_pictures} synthetic images")
            write_synthetic(self.data, chosen.synthetic_pictures, chosen.image_px, classes)
        write_data_yaml(self.data, classes, bool(chosen.synthetic_share and chosen.synthetic_pictures))

    def _views(self, pictures: Sequence[LabelledPicture]) -> dict[str, View]:
        """How the images of each group are shown to the network."""
        chosen, out = self.chosen, {}
        for group in dict.fromkeys(picture.group for picture in pictures):
            mates = [picture for picture in pictures if picture.group == group]
            out[group] = view_of_labels(self.base, mates, chosen.scale, chosen.contrast)
        return out

    def _running_facts(self) -> dict[str, Any]:
        """Return what the card of the new model says of how it is run: threshold of masks, scale of its training."""
        path = self.data / VIEWS
        scales = set(json.loads(path.read_text(encoding="utf-8")).values()) if path.is_file() else set()
        facts = {key: value for key, value in self.base.facts.items() if key == "mask_logit"}
        return facts | ({"usual_scale": scales.pop()} if len(scales) == 1 else {})

    def train(self) -> None:
        """Train, or go on where it stopped."""
        logging.getLogger("ultralytics").setLevel(logging.ERROR)
        n_tiles = len(list((self.data / "images" / "train").iterdir()))
        settings = self.settings = self.chosen.training(n_tiles, self.base.checkpoint is None)
        torch.set_num_threads(settings.threads)
        judge = Judge(
            self.folder,
            self.held_out(),
            self.chosen.segment_config(),
            self._running_facts(),
            self.say,
            self.chosen.minutes,
        )
        run = self.folder / "run"
        stopped = (run / "weights" / "last.pt").is_file()
        start = replace(settings, network=TrainSettings().network)
        try:
            train(
                self.data / "data.yaml", run, start, resume=stopped, start=self.base.checkpoint, watcher=judge
            )
        except TrainingFinishedError:
            if (self.folder / f"{self.name}.onnx").is_file():
                raise

    def finish(self) -> Finetuned:
        """Export the best network, or the base where that is better on the held-out images.

        The card has the scores of both.
        """
        best = load_checkpoint(self.folder / "run" / "weights" / "best.pt")
        running = {"mask_logit": 0.0, **self._running_facts()}
        held, config = self.held_out(), self.chosen.segment_config()
        base = self.base.segmenter(config)
        before = {} if base is None else evaluate(base, held, IOUS)
        after = evaluate(in_memory(best, running, config), held, IOUS)
        worse = is_worse(before, after)
        if worse and self.base.checkpoint is not None:
            self.warnings.append(
                f"the training was worse than its start on the held-out images: the model is {self.base.name}"
                " as it was; label more images, or train longer"
            )
            best, running = self.base.checkpoint, {"mask_logit": 0.0, **self.base.facts}
        else:
            candidates = in_memory(best, running, self.chosen.segment_config(confidence=CANDIDATE))
            start = self.base.facts.get("calibration") or {}
            running["calibration"] = scores_mean(candidates, held, start, self.labels.source.name)
        model = export(best, self.folder / f"{self.name}.onnx")
        save_checkpoint(best, model.with_suffix(".pt"))
        methods = {**({f"before ({self.base.name})": before} if before else {}), "after": after}
        facts = self._facts() | running | {"kept_start": worse, "known_failures": self.warnings}
        facts["metrics"] = {f"{self.name}, held out": methods}
        if worse:
            facts["about"] = (
                f"The weights of {self.base.name}, unchanged: training on {self.labels.source.name} made them worse."
            )
        write_card(model, classes=self.base.classes, recipe=asdict(self.settings), facts=facts)
        return Finetuned(model, before, after, tuple(self.warnings), worse)

    def _facts(self) -> dict[str, Any]:
        """Write what the card says of the training."""
        names = [self.labels.names[row] for row in self.split.val]
        checkpoint = self.base.checkpoint
        start = (
            f"{self.base.name} (checkpoint SHA-256 {checkpoint.sha256})" if checkpoint else "random weights"
        )
        share = f"{100 * self.chosen.synthetic_share:.0f} % of what it saw were synthetic images"
        return {
            "about": f"Trained on the labels of {self.labels.source.name}, starting from {start}.",
            "trained_on": (
                f"{len(self.split.train)} images of {self.labels.source.name} with {self.labels.kind}"
                f" labels; {share}"
            ),
            "base": {"name": self.base.name, "sha256": checkpoint.sha256 if checkpoint else None},
            "labels": {"kind": self.labels.kind, "classes": dict(self.labels.classes), "held_out": names},
            "settings": asdict(self.chosen),
            "metrics_note": (
                "Counts pooled over the images that were held out; the epoch was chosen on them too, which"
                " flatters the new model."
            ),
        }


def _known(truth: Detections, classes: Sequence[str]) -> Detections:
    """Labels of classes that the network knows."""
    return truth.take(np.array([name in classes for name in truth.names()], bool))


def _described(views: Mapping[str, View]) -> str:
    """How the network sees the images."""
    kinds = sorted(
        {f"scale {view.scale:g}, {'bright' if view.inverted else 'dark'} defects" for view in views.values()}
    )
    return "seen at " + "; ".join(kinds)
