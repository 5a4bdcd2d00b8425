"""One evaluation: labelled images and a model, or detections made elsewhere, in; a folder of scores out."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from insitrack import __version__
from insitrack.io.detections import Detections
from insitrack.io.draw.side_by_side import side_by_side
from insitrack.io.errors import OutputError, SettingsError
from insitrack.io.report.evaluation_report import MAPS, OUTLINES, write_evaluation, write_map, write_outlines
from insitrack.io.tables.run_folder import check_folder
from insitrack.io.write import write_json
from insitrack.segment.labels.classes import parse_classes
from insitrack.segment.labels.predictions import coco_facts, read_predictions
from insitrack.segment.labels.reader import LabelledPicture, Labels, read_labelled
from insitrack.segment.models import load_segmenter
from insitrack.segment.scores.pixels import comparison_map
from insitrack.segment.scores.splits import DataSplit, leave_out_groups, read_table, splits_from
from insitrack.tracker.evaluation.evaluation import (
    Comparison,
    EvalSettings,
    Evaluation,
    PreparedPicture,
    from_model,
    from_predictions,
    in_view,
    merged,
    told_apart,
    value_of,
)
from insitrack.tracker.evaluation.parity import unit_of
from insitrack.tracker.evaluation.people import read_annotators
from insitrack.tracker.evaluation.split_tables import split_tables
from insitrack.tracker.evaluation.tables import make_tables, plain
from insitrack.tracker.evaluation.warnings import evaluation_warnings
from insitrack.tracker.hardening.materials import load_material
from insitrack.tracker.run.config import RunConfig

_OUTPUTS = (
    "pooled",
    "classes",
    "pictures",
    "picture_classes",
    "parity",
    "pixels",
    "annotators",
    "curve",
    "confusion",
    "defects",
    "splits",
    "split_summary",
    "split_parity",
    "split_pictures",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalRequest:
    """What is asked for.

    Parameters
    ----------
    labels : Path
        Folder of images and labels, or the label file.
    classes : str
        What the classes of the labels mean, THEIRS=OURS between commas.
    also : list of str
        Labels of the same images by other people.
    predictions : str
        Detections to score in place of the model of the settings; may hold ``{split}``; empty: the model.
    confidence : float or None
        Least score of these detections.
    folder : Path
        Output folder.
    overwrite : bool
        Replace an earlier evaluation in it.
    table : str
        CSV of facts of the images; empty: none.
    split : str
        Kind of split; empty: none.
    seed : int
        Of random splits.
    splits_only : bool
        Only the splits are wanted.
    command : list of str
        Command line, for the record.
    """

    labels: Path
    folder: Path
    classes: str = ""
    also: list[str] = field(default_factory=list)
    predictions: str = ""
    confidence: float | None = None
    overwrite: bool = False
    table: str = ""
    split: str = ""
    seed: int = 0
    splits_only: bool = False
    command: list[str] = field(default_factory=list)


class EvaluationJob:
    """One evaluation; everything is checked before an image is read or a file written.

    Parameters
    ----------
    request : EvalRequest
        What is asked for.
    settings : EvalSettings
        What counts as found.
    config : RunConfig
        Settings of the model, and scale, thickness and material of the specimen.
    show : callable, optional
        Passes images on and shows how far it is.

    Raises
    ------
    InsitrackError
        If labels, classes, table, material, splits or the output folder cannot be used.

    Attributes
    ----------
    warnings : list of str
        What a reader of the scores should know.
    """

    def __init__(
        self,
        request: EvalRequest,
        settings: EvalSettings,
        config: RunConfig,
        show: Callable[[Labels, str], Iterable[Any]] | None = None,
    ) -> None:
        self.request, self.settings, self.config, self.warnings = request, settings, config, list[str]()
        self._show = show or (lambda labels, split: labels)
        material = config.specimen.material
        self.material = None if material is None else load_material(material)
        self.folder = request.folder
        check_folder(self.folder, request.overwrite)
        classes = parse_classes(request.classes)
        labels = read_labelled(request.labels, classes, absent_too=bool(request.also))
        by_name = bool(request.table or request.predictions or request.also)
        self.labels: Labels = told_apart(labels, by_name=by_name)
        self.annotators = read_annotators(request.also, self.labels, classes, settings)
        self.table = read_table(Path(request.table)) if request.table else {}
        self.found_by = request.predictions or config.model
        self.per_split = "{split}" in self.found_by
        self.splits: list[DataSplit] = []
        if request.split == "group":
            self.splits = leave_out_groups(self.labels.groups)
        elif request.split:
            self.splits = splits_from(request.split, self.labels.names, self.table, request.seed)
        if (self.per_split or request.splits_only) and not self.splits:
            raise SettingsError("{split} and --splits-only need --split, for example --split folds:5")

    def make_folder(self) -> None:
        """Make the output folder and clear what an earlier evaluation left in it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            names = [f"{name}.csv" for name in _OUTPUTS] + ["eval.json", "eval.html", "splits.json"]
            pictures = [*(self.folder / MAPS).glob("*.png"), *(self.folder / OUTLINES).glob("*.jpg")]
            for path in [*(self.folder / name for name in names), *pictures]:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"--out {self.folder}: cannot be written ({error.strerror}); choose another folder"
            ) from error

    def write_splits(self) -> None:
        """Write which images are which."""
        files = [str(sheet.picture) for sheet in self.labels.sheets]
        parts = {
            split.name: {"train": [files[i] for i in split.train], "test": [files[i] for i in split.test]}
            for split in self.splits
        }
        write_json(self.folder / "splits.json", parts, indent=1)

    def execute(self) -> dict[str, Any]:
        """Compare every image, write everything; return the pooled scores.

        Raises
        ------
        InsitrackError
            If the model, the predictions or an image cannot be used, or the folder cannot be written.
        """
        evaluation, maps = Evaluation(self.settings), dict[str, Path]()
        rounds = (
            [(split.name, self.labels.chosen(split.test)) for split in self.splits]
            if self.per_split
            else [("", self.labels)]
        )
        first = self._prepared(
            rounds[0][1], rounds[0][0]
        )  # a model that does not load leaves an earlier evaluation as it was
        if self.annotators is not None:  # and so do damaged labels
            shared = self.labels.chosen(self.annotators.rows_of(self.labels))
            self.annotators.compare_people(in_view(shared, self.config.field), self._take)
        self.make_folder()

        for i, (split, labels) in enumerate(rounds):
            for looked in first if i == 0 else self._prepared(labels, split):
                self._take(evaluation, looked, split, partial(_draw, self.folder, maps, split))
                if self.annotators is not None:
                    self.annotators.take_model(looked, partial(self._take, split=split))
        tables = make_tables(evaluation, self.material, self.annotators)
        if self.splits and not self.settings.recall_only:
            tables |= split_tables(
                evaluation, self.material, self.splits, self.labels.names, self._labelled, self.annotators
            )
            self.write_splits()
        self.warnings += evaluation_warnings(evaluation, tables, self.settings, self.annotators)
        facts = {
            "title": f"{Path(self.found_by).name} on {Path(self.request.labels).name}",
            "command": self.request.command,
            "unit": unit_of(evaluation.pictures),
            "warnings": self.warnings,
            "settings": self._facts(),
            "tables": tables,
        }
        whole: dict[str, Any] = plain(facts)
        write_evaluation(self.folder, whole, maps)
        pooled: dict[str, Any] = whole["tables"]["pooled"][0]
        return pooled

    def _prepared(self, labels: Labels, split: str) -> Iterator[PreparedPicture]:
        """Open the images with what was found in each."""
        name = self.found_by.replace("{split}", split)
        pictures = self._show(labels, split)
        if not self.request.predictions:
            return from_model(load_segmenter(name, self.config.segment), pictures, self.config.field)
        shapes = {picture.name: picture.truth.shape for picture in labels}
        told = (
            coco_facts({sheet.labels for sheet in self.labels.sheets}) if self.labels.kind == "COCO" else {}
        )
        predictions = read_predictions(Path(name), shapes, told)
        if self.request.confidence is not None:
            predictions = {
                key: found.take(found.scores >= self.request.confidence) for key, found in predictions.items()
            }
        return from_predictions(predictions, pictures, self.config.field)

    def _take(
        self,
        evaluation: Evaluation,
        looked: PreparedPicture,
        split: str = "",
        draw: Comparison | None = None,
    ) -> None:
        name = looked[0].name
        row: Mapping[str, str] = self.table.get(name, {})
        thickness, scale = value_of(row, "thickness_nm", name), value_of(row, "nm_per_px", name)
        evaluation.take(
            looked,
            sizes=self.config.measure,
            thickness_nm=thickness if thickness is not None else self.config.specimen.thickness_nm,
            nm_per_px=scale if scale is not None else self.config.source.nm_per_px,
            split=split,
            draw=draw,
        )

    @cached_property
    def _labelled(self) -> list[Counter[str]]:
        """Labels of each class in each image."""
        return [Counter(merged(picture.truth, self.settings.merge).names()) for picture in self.labels]

    def _facts(self) -> dict[str, Any]:
        """Say what was compared with what, for the manifest."""
        facts = {
            "labels": str(self.request.labels),
            "label_form": self.labels.kind,
            "also": list(self.request.also),
            "found_by": self.found_by,
            "model_per_split": self.per_split,
        }
        facts |= {
            "split": self.request.split or "",
            "seed": self.request.seed,
            "table": self.request.table or "",
        }
        if not self.request.predictions:
            facts["confidence"] = self.config.segment.least_score
        sizes = (
            dict(self.config.measure.size_definition)
            if self.settings.sizes == "track"
            else "as in Jacobs et al. 2022"
        )
        return {
            **facts,
            **dataclasses.asdict(self.settings),
            "size_definition": sizes,
            "material": self.config.specimen.material,
            "insitrack": __version__,
        }


def _draw(
    folder: Path,
    maps: dict[str, Path],
    split: str,
    picture: LabelledPicture,
    found: Detections,
    true: Detections,
) -> None:
    """Write the map of right and wrong pixels, and the outlines of both sides by class."""
    key = f"{split}_{picture.name}" if split else picture.name
    maps[key] = write_map(folder, key, comparison_map(found, true))
    write_outlines(folder, key, side_by_side(picture.image, true, found))
