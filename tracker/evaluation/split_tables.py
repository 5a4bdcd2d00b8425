"""The scores of each split and of each class in it, and how they scatter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from insitrack.segment.scores.confusion import classes_of, confusion
from insitrack.segment.scores.splits import DataSplit
from insitrack.tracker.evaluation.errors import parity_rows
from insitrack.tracker.evaluation.evaluation import EvalSettings, Evaluation
from insitrack.tracker.evaluation.parity import NAN, Picture, Row, unit_of
from insitrack.tracker.evaluation.people import Annotators
from insitrack.tracker.evaluation.tables import Tables, pooled_row
from insitrack.tracker.hardening.models import Material

SPLIT_SCORES = (
    "find_f1",
    "type_f1_pairs",
    "type_f1_strict",
    "ap",
    "size_error_by_class",
    "density_error_by_class",
    "type_f1_pairs_",
    "type_f1_strict_",
)
"""Columns whose scatter is summarised; those that end in `_` once for each class."""


def split_tables(
    evaluation: Evaluation,
    material: Material | None,
    splits: Sequence[DataSplit],
    names: Sequence[str],
    labelled: Sequence[Counter[str]],
    annotators: Annotators | None = None,
) -> Tables:
    """Make the tables of the splits.

    Parameters
    ----------
    evaluation : Evaluation
        The images compared.
    material : Material or None
        Constants of the hardening model.
    splits : sequence of DataSplit
        Which images are which.
    names : sequence of str
        Names of all labelled images.
    labelled : sequence of Counter
        Labels of each class in each of them.
    annotators : Annotators, optional
        Other people's labels, whose agreement stands beside every F1.

    Returns
    -------
    dict of str to list of dict
        `splits`, one row per split; `split_summary`; `split_parity`, the errors of each split as in `parity`;
        `split_pictures`, the part in which each image is.
    """
    classes = classes_of([picture.compared for picture in evaluation.pictures])
    rows, parity = [], []
    for split in splits:
        tested = {names[i] for i in split.test}
        own = [picture for picture in evaluation.pictures if picture.split == split.name]
        chosen = own or [picture for picture in evaluation.pictures if picture.name in tested]
        row = _part("train", split.train, labelled, classes) | _part("test", split.test, labelled, classes)
        row = {"split": split.name} | row | pooled_row(chosen, evaluation.settings, unit_of(chosen), material)
        row |= _by_class(chosen, evaluation.settings, classes)
        if annotators is not None:
            row |= annotators.ceiling(tested)
            for name in classes:
                row |= annotators.class_ceiling(name, tested, f"_{name}_people")
        rows.append(row)
        parity += parity_rows(chosen, unit_of(chosen), material, split=split.name)
    return {
        "splits": rows,
        "split_summary": split_summary(rows),
        "split_parity": parity,
        "split_pictures": [
            {"split": split.name, "part": part, "picture": names[i]}
            for split in splits
            for part in ("train", "test")
            for i in getattr(split, part)
        ],
    }


def _part(part: str, chosen: Sequence[int], labelled: Sequence[Counter[str]], classes: Sequence[str]) -> Row:
    """Images and labels of one part, all together and by class."""
    counts = sum((labelled[i] for i in chosen), Counter[str]())
    row: Row = {f"n_{part}_pictures": len(chosen), f"n_{part}_defects": counts.total()}
    return row | {f"n_{part}_{name}": counts[name] for name in classes}


def _by_class(pictures: Sequence[Picture], settings: EvalSettings, classes: tuple[str, ...]) -> Row:
    """Count each class, and score it."""
    counts = confusion(
        [picture.compared for picture in pictures], settings.least_iou, settings.matching, classes
    )
    row: Row = {}
    for i, name in enumerate(classes):
        row |= {
            f"n_true_{name}": int(counts.counts[i].sum()),
            f"n_found_{name}": int(counts.counts[:, i].sum()),
        }
        row[f"n_matched_{name}"] = int(counts.counts[i, :-1].sum())
        for words, strict in (("pairs", False), ("strict", True)):
            row[f"type_f1_{words}_{name}"] = counts.of_class(name, strict=strict)[2]
    return row


def split_summary(rows: Sequence[Mapping[str, str | float]]) -> list[Row]:
    """Mean, standard deviation (n - 1) and range of the scores over the splits in which they are known."""
    out: list[Row] = []
    keys = dict.fromkeys(key for row in rows for key in row)
    for start in SPLIT_SCORES:
        by_class = [key for key in keys if key.startswith(start) and not key.endswith("_people")]
        for key in by_class if start.endswith("_") else [start]:
            values = np.array([row[key] for row in rows], np.float64)
            values = values[np.isfinite(values)]
            out.append(
                {
                    "score": key,
                    "n_splits": int(values.size),
                    "mean": float(values.mean()) if values.size else NAN,
                    "sd": float(values.std(ddof=1)) if values.size > 1 else NAN,
                    "range": float(np.ptp(values)) if values.size else NAN,
                }
            )
    return out
