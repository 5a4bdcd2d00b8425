"""Several people's labels of the same images: how far they agree is the most that a model can be asked for.

The labels of one person take the place of detections, and those of another that of the truth; everything else
is as for a model: the same overlap, matching, definitions of size and field of view.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np

from insitrack.io.arrays import Bools
from insitrack.io.detections import Detections
from insitrack.io.errors import SettingsError
from insitrack.segment.labels.reader import LabelledPicture, Labels, read_labelled
from insitrack.segment.scores.confusion import Confusion, classes_of, confusion
from insitrack.tracker.evaluation.evaluation import EvalSettings, Evaluation, PreparedPicture, told_apart
from insitrack.tracker.evaluation.parity import NAN, Picture, Row, Unit, properties

Take = Callable[[Evaluation, PreparedPicture], None]
CEILINGS = ("find_f1", "type_f1_pairs", "type_f1_strict")


@dataclass(slots=True)
class Annotators:
    """Whoever else labelled the images.

    Parameters
    ----------
    settings : EvalSettings
        How labels are compared.
    names : tuple of str
        Name of each set of labels; the first is the one that the model is scored on.
    others : tuple of Labels
        The other sets, in that order.
    shared : frozenset of str
        Names of the images that everybody labelled.
    people : dict of (str, str) to Evaluation
        Every pair of people: the first in place of the truth, the second in place of the detections.
    model : dict of str to Evaluation
        The model against each of the others.
    """

    settings: EvalSettings
    names: tuple[str, ...]
    others: tuple[Labels, ...]
    shared: frozenset[str]
    people: dict[tuple[str, str], Evaluation] = field(default_factory=dict)
    model: dict[str, Evaluation] = field(default_factory=dict)
    _labels: dict[str, list[tuple[Detections, Bools]]] = field(default_factory=dict)

    def rows_of(self, labels: Labels) -> list[int]:
        """Rows of the images that everybody labelled."""
        return [i for i, name in enumerate(labels.names) if name in self.shared]

    def compare_people(self, looked: Iterable[PreparedPicture], take: Take) -> None:
        """Compare everybody with everybody, before the model is asked.

        Parameters
        ----------
        looked : iterable of PreparedPicture
            Images of the first set that everybody labelled, with the part that shows the specimen.
        take : callable
            Compares one image in an evaluation.

        Raises
        ------
        InsitrackError
            If labels are damaged or of another image.
        """
        for labels in self.others:
            for picture in labels.chosen(self.rows_of(labels)):
                self._labels.setdefault(picture.name, []).append((picture.truth, picture.outlined))
        self.people = {pair: Evaluation(self.settings) for pair in combinations(self.names, 2)}
        self.model = {name: Evaluation(self.settings) for name in self.names[1:]}
        for picture, area, _ in looked:
            drawn = dict(zip(self.names, self._of(picture), strict=True))
            for (first, second), evaluation in self.people.items():
                take(evaluation, (drawn[first], area, drawn[second].truth))

    def take_model(self, looked: PreparedPicture, take: Take) -> None:
        """Compare what the model found in an image with the labels of the others."""
        picture, area, found = looked
        if picture.name in self.shared:
            for name, other in zip(self.names[1:], self._of(picture)[1:], strict=True):
                take(self.model[name], (other, area, found))

    def _of(self, picture: LabelledPicture) -> list[LabelledPicture]:
        """Return the image with the labels of each person."""
        out = [picture]
        for labels, (truth, outlined) in zip(self.others, self._labels[picture.name], strict=True):
            if truth.shape != picture.truth.shape:
                raise SettingsError(
                    f"--also {labels.source}: its image {picture.name} has {truth.shape[1]} x"
                    f" {truth.shape[0]} px, that of the labels {picture.truth.shape[1]} x"
                    f" {picture.truth.shape[0]}; expected labels of the same images"
                )
            out.append(dataclasses.replace(picture, truth=truth, outlined=outlined))
        return out

    def ceiling(
        self, names: Iterable[str] | None = None, least_iou: float | None = None, ending: str = "_people"
    ) -> Row:
        """F1 scores between people: the mean over all pairs of them.

        Parameters
        ----------
        names : iterable of str, optional
            Images that count; all by default.
        least_iou : float, optional
            Overlap from which a pair of outlines counts; by default that of the settings.
        ending : str
            Put behind the name of each score.

        Returns
        -------
        dict of str to float
            `find_f1_people`, `type_f1_pairs_people`, `type_f1_strict_people`; NaN where nobody labelled
            anything.
        """
        scores = [counts.scores() for counts in self._counts(names, least_iou)]
        return {f"{key}{ending}": _mean([one[key] for one in scores]) for key in CEILINGS}

    def class_ceiling(
        self, defect_class: str, names: Iterable[str] | None = None, ending: str = "_people"
    ) -> Row:
        """F1 of one class between people, the mean over all pairs of them; see `ceiling`."""
        counts = [one for one in self._counts(names, None) if defect_class in one.classes]
        return {
            f"type_f1_{words}{ending}": _mean(
                [one.of_class(defect_class, strict=strict)[2] for one in counts]
            )
            for words, strict in (("pairs", False), ("strict", True))
        }

    def _counts(self, names: Iterable[str] | None, least_iou: float | None) -> list[Confusion]:
        chosen = None if names is None else set(names)
        iou = self.settings.least_iou if least_iou is None else least_iou
        parts = [
            [one.compared for one in evaluation.pictures if chosen is None or one.name in chosen]
            for evaluation in self.people.values()
        ]
        return [confusion(part, iou, self.settings.matching) for part in parts]

    def rows(self, evaluation: Evaluation, unit: Unit) -> list[Row]:
        """Compare everybody, the model too, with everybody, class by class, on the images that all labelled.

        Parameters
        ----------
        evaluation : Evaluation
            The model against the first set of labels.
        unit : {"nm", "px"}
            Unit of lengths.

        Returns
        -------
        list of dict
            `first` and `second`, whether both are `people`, and for each class and ``all`` what both have:
            numbers, F1, densities and mean sizes. A `..._difference` is that of the second from the first in
            parts of the mean of both, so that neither is taken for the truth.
        """
        sets = [(*pair, 1, one.pictures) for pair, one in self.people.items()]
        both = {self.names[0]: evaluation, **self.model}
        sets += [(name, "model", 0, one.pictures) for name, one in both.items()]
        out: list[Row] = []
        for first, second, people, pictures in sets:
            shared = [picture for picture in pictures if picture.name in self.shared]
            start: Row = {"first": first, "second": second, "people": people, "n_pictures": len(shared)}
            for name in ("all", *classes_of([one.compared for one in shared])):
                out.append(start | {"defect_class": name} | _pair_row(shared, name, self.settings, unit))
        return out


def _pair_row(pictures: Sequence[Picture], name: str, settings: EvalSettings, unit: Unit) -> Row:
    counts = confusion([one.compared for one in pictures], settings.least_iou, settings.matching)
    row = properties(pictures, None if name == "all" else name, unit)
    out: Row = {"n_first": row["n_true"], "n_second": row["n_found"]}
    if name == "all":
        out |= {key: counts.scores()[key] for key in ("n_matched", *CEILINGS)}
    else:
        for words, strict in (("pairs", False), ("strict", True)):
            out[f"type_f1_{words}"] = counts.of_class(name, strict=strict)[2]
    units = {"n": "", "density": "_per_m2" if unit == "nm" else "_per_px2", "size": f"_{unit}"}
    for key, ending in units.items():
        first, second = row[f"{key}_true"], row[f"{key}_found"]
        if ending:
            out |= {f"{key}_first{ending}": first, f"{key}_second{ending}": second}
        out[f"{key}_difference"] = difference(first, second)
    return out


def difference(first: float, second: float) -> float:
    """Difference in parts of the mean of both; NaN where both are 0 or one is not known.

    Examples
    --------
    >>> difference(90.0, 110.0), difference(110.0, 90.0), difference(0.0, 0.0)
    (0.2, -0.2, nan)
    """
    return 2 * (second - first) / (first + second) if first + second else NAN


def read_annotators(
    others: Sequence[str], labels: Labels, classes: Mapping[str, str], settings: EvalSettings
) -> Annotators | None:
    """Read the other sets of labels; None where there are none.

    Raises
    ------
    InsitrackError
        If a set cannot be used, or no image is in all of them.
    """
    if not others:
        return None
    if settings.recall_only:
        raise SettingsError(
            "--also with --recall-only: agreement between people needs complete labels; expected one of them"
        )
    sets = tuple(
        told_apart(read_labelled(Path(path), classes, absent_too=True), by_name=True) for path in others
    )
    shared = set(labels.names)
    for path, one in zip(others, sets, strict=True):
        shared &= set(one.names)
        if not shared:
            raise SettingsError(
                f"--also {path}: no image named as in the labels ({', '.join(labels.names[:3])}, ...), its own"
                f" are {', '.join(one.names[:3])}; expected other labels of the same images"
            )
    names = _named_apart([labels.source, *(one.source for one in sets)])
    return Annotators(settings, names, sets, frozenset(shared))


def _named_apart(paths: Sequence[Path]) -> tuple[str, ...]:
    """Short names of the sets: the stem, with its folder or a number where that is not enough."""
    short = [path.resolve().stem for path in paths]
    if max(Counter(short).values()) > 1:
        short = [f"{path.resolve().parent.name}/{path.resolve().stem}" for path in paths]
    if max(Counter(short).values()) > 1 or "model" in short:
        short = [f"{name} ({i})" for i, name in enumerate(short, start=1)]
    return tuple(short)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else NAN
