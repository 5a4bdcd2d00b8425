"""Follows a training: scores and images after each epoch, a line now and then on how far it is."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from insitrack.segment.base import SegmentConfig
from insitrack.segment.finetune.data import middle_of
from insitrack.segment.finetune.preview import write_preview
from insitrack.segment.finetune.starting_point import in_memory
from insitrack.segment.prepare.field import field_of
from insitrack.segment.scores.evaluate import Example, score
from insitrack.segment.training.export import Checkpoint

IOUS = (0.3, 0.5)
_LINE_EVERY_S = 10.0
_JUDGED_PICTURES = 12  # after each epoch, the middle 1024 px of each; at the end all of all
_JUDGED_PX = 1024


class Judge:
    """Scores the network after each epoch on held-out images, draws what it finds, reports progress.

    Parameters
    ----------
    folder : Path
        Receives ``epochs.csv`` and ``epochs/epoch_001.png``.
    examples : sequence of (Frame, Detections)
        Images that are not trained on.
    config : SegmentConfig
        Settings of the segmenter.
    facts : mapping
        What the card of the network will say of how it is run.
    say : callable
        Takes a line for the user.
    minutes : float, optional
        Time to train, min: where it is given the lines count to it, else to the last epoch.
    """

    def __init__(
        self,
        folder: Path,
        examples: Sequence[Example],
        config: SegmentConfig,
        facts: Mapping[str, Any],
        say: Callable[[str], None],
        minutes: float | None = None,
    ) -> None:
        # one look at the scale of the training: which epoch is best needs no search for the scale in every image
        usual = facts.get("usual_scale", config.scale)
        self.config = replace(config, scale=usual if config.scale == "auto" else config.scale, looks=1)
        self.folder, self.facts, self.say = folder, facts, say
        self.minutes = minutes
        self.examples = [middle_of(frame, true, _JUDGED_PX) for frame, true in examples[:_JUDGED_PICTURES]]
        self._began = self._told = time.monotonic()
        self._first: float | None = None

    def batch_done(self, epochs: float, of: int, loss: float) -> None:
        """Say now and then how far it is."""
        now = time.monotonic()
        if self._first is None:  # time counts from the first batch: a resumed training begins in the middle
            self._first, self._began = epochs, now
        if now - self._told < _LINE_EVERY_S or epochs <= self._first:
            return
        self._told = now
        self.say(self._how_far(epochs, of, loss, now - self._began, epochs - self._first))

    def _how_far(self, epochs: float, of: int, loss: float, spent_s: float, since_first: float) -> str:
        """Count to the minutes that were given, else to the last epoch."""
        if self.minutes is not None:
            spent = min(spent_s / 60, self.minutes)
            return (
                f"{spent:.1f} of {self.minutes:g} min, epoch {int(epochs) + 1}, loss {loss:.2f}, about"
                f" {self.minutes - spent:.1f} min left"
            )
        left_s = spent_s * max(0.0, of - epochs) / since_first
        return (
            f"epoch {int(epochs) + 1} of {of}, {100 * (epochs % 1):.0f} %, loss {loss:.2f}, about"
            f" {left_s / 60:.1f} min left"
        )

    def epoch_done(self, checkpoint: Checkpoint, epoch: int) -> float:
        """Score, draw and write down.

        The fitness is the mean F1 at IoU 0.3 and 0.5, of which the first epoch with the best is kept.
        """
        segment = in_memory(checkpoint, self.facts, self.config)
        shown = [(frame, segment(frame, field_of(frame)), true) for frame, true in self.examples]
        scores = [score([(found, true) for _, found, true in shown], iou) for iou in IOUS]
        f1 = [0.0 if np.isnan(one.confusion.f1) else one.confusion.f1 for one in scores]
        title = f"after epoch {epoch}: " + ", ".join(
            f"F1 {value:.2f} at IoU {iou:g}" for value, iou in zip(f1, IOUS, strict=True)
        )
        write_preview(self.folder / "epochs" / f"epoch_{epoch:03d}.png", shown, title)
        self._write_row(
            {"epoch": epoch, **{f"f1_{iou:g}": round(value, 4) for value, iou in zip(f1, IOUS, strict=True)}}
        )
        self.say(f"{title} on {len(shown)} held-out images")
        return float(np.mean(f1))

    def _write_row(self, row: dict[str, float]) -> None:
        path = self.folder / "epochs.csv"
        new = not path.is_file()
        with path.open("a", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(row))
            if new:
                table.writeheader()
            table.writerow(row)
