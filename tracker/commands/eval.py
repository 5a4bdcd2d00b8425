"""`track eval`: score a model, or detections made elsewhere, on labelled pictures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insitrack.io.errors import SettingsError

if TYPE_CHECKING:
    from insitrack.segment.labels.reader import Labels
    from insitrack.segment.scores.splits import DataSplit
    from insitrack.tracker.evaluation.evaluation import EvalSettings, Evaluation, PreparedPicture
    from insitrack.tracker.run.config import RunConfig

DESCRIPTION = """\
Score a model, or detections made elsewhere, on labelled pictures: F1 against IoU, types, sizes, shapes, densities, hardening.

  track eval LABELS --model loops                            LABELS: pictures with COCO, VIA, LabelMe, YOLO, ImageJ or mask labels
  track eval LABELS --predictions found.json                 COCO results, or a folder of Mask R-CNN predictions NAME.npz
  track eval LABELS --overlap box --matching greedy --sizes jacobs    the rules of the script behind Jacobs et al. 2022
  track eval LABELS --recall-only --overlap box              not everything is labelled: recall only
  track eval RUN --truth tracks.csv                          tracks of a run against true ones: HOTA, MOTA, IDF1
  track eval LABELS --split group:alloy --table table.csv    scores of one model, group by group
"""

EPILOG = """\
Splits only say which pictures are which: nothing is trained here. With one model, its scores on the test pictures of each split
tell how they scatter; they are those of unseen pictures only if the model saw none of them. To cross-validate, write the
splits with --splits-only, train one model for each on its `train` pictures, and come back with {split} in --model or
--predictions, for example --model "runs/{split}/model.onnx": each picture is then scored by the model of the split that left it
out, and the learning curve is drawn. From Python: insitrack.segment.scores.splits.cross_validate(pictures, splits, train, test).
Written to the output folder: eval.html eval.json pooled.csv classes.csv pictures.csv picture_classes.csv curve.csv
confusion.csv defects.csv, with splits also splits.csv split_summary.csv splits.json, and maps/ of right and wrong pixels.
"""

_OUTPUTS = (
    "pooled",
    "classes",
    "pictures",
    "picture_classes",
    "curve",
    "confusion",
    "defects",
    "splits",
    "split_summary",
)


def make_parser(kind: type[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Arguments of `track eval`."""
    parser = kind(
        prog="track eval",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("labels", metavar="LABELS", help="folder of pictures and labels, or the label file")
    add(
        "--classes",
        default="",
        metavar="THEIRS=OURS,...",
        help="what the classes of the labels mean; `ignore` leaves one out, `*` is all others",
    )
    add(
        "--truth",
        metavar="CSV",
        help="LABELS is the folder of a run: score its tracks against these true ones (HOTA, MOTA, IDF1)",
    )
    add("--model", metavar="NAME", help="model to score (default: loops); may hold {split}")
    add("--predictions", metavar="FILE", help="score these detections in place of a model; may hold {split}")
    add("--out", metavar="DIR", help="output folder (default: named after the labels, here)")
    add("--overwrite", action="store_true", help="replace an earlier evaluation in the same folder")
    add(
        "--iou",
        type=float,
        default=0.3,
        metavar="0..1",
        help="overlap from which a pair counts (default: 0.3)",
    )
    add("--overlap", choices=("mask", "box"), default="mask", help="whose overlap (default: mask)")
    add(
        "--matching",
        choices=("hungarian", "greedy"),
        default="hungarian",
        help="how pairs are made (default: hungarian)",
    )
    add(
        "--sizes",
        choices=("track", "jacobs"),
        default="track",
        help="definitions of size: of track, or the published ones with border defects",
    )
    add(
        "--merge",
        default="",
        metavar="OLD=NEW,...",
        help="rename classes on both sides, for example loop_111=loop,loop_100=loop",
    )
    add(
        "--recall-only",
        action="store_true",
        help="the labels are not complete: give recall, and how many detections it took",
    )
    add(
        "--nm-per-px",
        type=float,
        metavar="NM",
        help="width of a pixel (default: column nm_per_px of --table, or what the file says)",
    )
    add(
        "--thickness-nm",
        type=float,
        metavar="NM",
        help="foil thickness, for hardening (or column thickness_nm of --table)",
    )
    add("--material", metavar="NAME", help="material constants, for hardening")
    add(
        "--conf",
        type=float,
        metavar="0..1",
        help="least confidence of a detection; AP counts only what lies above, so lower it for AP",
    )
    add(
        "--table",
        metavar="CSV",
        help="facts of the pictures: column file, and alloy, microscope, nm_per_px, thickness_nm, ...",
    )
    add(
        "--split",
        metavar="KIND",
        help=(
            "random:5, folds:5, percent:10,50,90, learning:5, group:COLUMN of --table, or group (series by"
            " file name)"
        ),
    )
    add("--seed", type=int, default=0, help="seed of random splits")
    add("--splits-only", action="store_true", help="write splits.json and stop")
    add("--config", metavar="FILE", help="settings in TOML, as for track")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting, as for track; may be repeated",
    )
    return parser


def run(options: argparse.Namespace, given: Sequence[str]) -> int:
    """Do it; return the exit status."""
    if options.truth:
        return _score_tracks(options)
    job = _Job(options, list(given))
    if options.splits_only:
        job.make_folder()
        job.write_splits()
        print(f"{len(job.splits)} splits: {job.folder / 'splits.json'}")
        return 0
    pooled = job.execute()
    for line in job.warnings:
        print(f"warning: {line}", file=sys.stderr)
    scores = (
        {"recall": "find_recall"}
        if options.recall_only
        else {"find F1": "find_f1", "type F1": "type_f1_pairs", "AP": "ap"}
    )
    told = ", ".join(f"{words} {pooled[key]:.3f}" for words, key in scores.items() if pooled[key] is not None)
    print(f"done: {pooled['n_true']} labelled defects, {told}; open {job.folder / 'eval.html'}")
    return 0


def _score_tracks(options: argparse.Namespace) -> int:
    """Score the tracks of a run against true ones; everything is read before the folder is made."""
    from insitrack.io.tables.run_folder import check_folder
    from insitrack.tracker.evaluation.run_tracks import score_run, write_track_scores

    run_folder = Path(options.labels)
    folder = Path(options.out or run_folder.resolve().name + "_eval")
    check_folder(folder, options.overwrite)
    rows, warnings = score_run(run_folder, Path(options.truth))
    path = write_track_scores(folder, rows)
    for line in warnings:
        print(f"warning: {line}", file=sys.stderr)
    total = rows[-1]
    scores = ", ".join(f"{name.upper()} {total[name]:.3f}" for name in ("hota", "mota", "idf1"))
    print(f"done: {total['n_true']} true tracks in {total['frames']} frames, {scores}; open {path}")
    return 0


class _Job:
    """One evaluation; everything is checked before a picture is read or a file written."""

    def __init__(self, options: argparse.Namespace, given: list[str]) -> None:
        from insitrack.io.tables.run_folder import check_folder
        from insitrack.segment.labels.classes import parse_classes
        from insitrack.segment.labels.reader import read_labelled
        from insitrack.segment.scores.splits import leave_out_groups, read_table, splits_from
        from insitrack.tracker.evaluation.evaluation import EvalSettings, parse_merge, told_apart
        from insitrack.tracker.hardening.materials import load_material

        self.options, self.given, self.warnings = options, given, list[str]()
        if options.model and options.predictions:
            raise SettingsError("--model and --predictions: expected one of them")
        self.config = _config(options)
        self.settings: EvalSettings = EvalSettings(
            least_iou=options.iou,
            overlap=options.overlap,
            matching=options.matching,
            sizes=options.sizes,
            recall_only=options.recall_only,
            merge=parse_merge(options.merge),
        )
        material = self.config.specimen.material
        self.material = None if material is None else load_material(material)
        self.folder = Path(options.out or (Path(options.labels).resolve().stem or "labels") + "_eval")
        check_folder(self.folder, options.overwrite)
        labels = read_labelled(Path(options.labels), parse_classes(options.classes))
        self.labels: Labels = told_apart(labels, by_name=bool(options.table or options.predictions))
        self.table = read_table(Path(options.table)) if options.table else {}
        self.found_by = str(options.predictions or self.config.model)
        self.per_split = "{split}" in self.found_by
        self.splits: list[DataSplit] = []
        if options.split == "group":
            self.splits = leave_out_groups(self.labels.groups)
        elif options.split:
            self.splits = splits_from(options.split, self.labels.names, self.table, options.seed)
        if (self.per_split or options.splits_only) and not self.splits:
            raise SettingsError("{split} and --splits-only need --split, for example --split folds:5")

    def make_folder(self) -> None:
        """Make the output folder and clear what an earlier evaluation left in it."""
        from insitrack.io.errors import OutputError

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            names = [f"{name}.csv" for name in _OUTPUTS] + ["eval.json", "eval.html", "splits.json"]
            for path in [*(self.folder / name for name in names), *(self.folder / "maps").glob("*.png")]:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"--out {self.folder}: cannot be written ({error.strerror}); choose another folder"
            ) from error

    def write_splits(self) -> None:
        """Write which pictures are which."""
        from insitrack.io.write import write_json

        files = [str(sheet.picture) for sheet in self.labels.sheets]
        parts = {
            split.name: {"train": [files[i] for i in split.train], "test": [files[i] for i in split.test]}
            for split in self.splits
        }
        write_json(self.folder / "splits.json", parts, indent=1)

    def execute(self) -> dict[str, Any]:
        """Compare every picture, write everything; return the pooled scores."""
        from insitrack.io.report.evaluation_report import write_evaluation, write_map
        from insitrack.segment.scores.pixels import comparison_map
        from insitrack.tracker.evaluation.evaluation import Evaluation
        from insitrack.tracker.evaluation.parity import unit_of
        from insitrack.tracker.evaluation.tables import make_tables, plain, split_summary

        evaluation, maps = Evaluation(self.settings), dict[str, Path]()
        rounds = (
            [(split.name, self.labels.chosen(split.test)) for split in self.splits]
            if self.per_split
            else [("", self.labels)]
        )
        first = self._looked(
            rounds[0][1], rounds[0][0]
        )  # a model that does not load leaves an earlier evaluation as it was
        self.make_folder()

        for i, (split, labels) in enumerate(rounds):

            def draw(name: str, found: Any, true: Any, split: str = split) -> None:
                key = f"{split}_{name}" if split else name
                maps[key] = write_map(self.folder, key, comparison_map(found, true))

            for looked in first if i == 0 else self._looked(labels, split):
                self._take(evaluation, looked, split, draw)
        tables = make_tables(
            evaluation, self.material, [(split, *self._n_labels(split)) for split in self.splits]
        )
        if "splits" in tables:
            tables["split_summary"] = split_summary(tables["splits"])
            self.write_splits()
        self.warnings += self._warnings(evaluation, tables)
        facts = {
            "title": f"{Path(self.found_by).name} on {Path(self.options.labels).name}",
            "command": ["track", *self.given],
            "unit": unit_of(evaluation.pictures),
            "warnings": self.warnings,
            "settings": self._facts(),
            "tables": tables,
        }
        whole: dict[str, Any] = plain(facts)
        write_evaluation(self.folder, whole, maps)
        pooled: dict[str, Any] = whole["tables"]["pooled"][0]
        return pooled

    def _looked(self, labels: Labels, split: str) -> Iterator[PreparedPicture]:
        from insitrack.segment.labels.predictions import coco_facts, read_predictions
        from insitrack.segment.models import load_segmenter
        from insitrack.tracker.evaluation.evaluation import from_model, from_predictions

        name = self.found_by.replace("{split}", split)
        pictures = _told(labels, split)
        if not self.options.predictions:
            return from_model(load_segmenter(name, self.config.segment), pictures, self.config.field)
        shapes = {picture.name: picture.truth.shape for picture in labels}
        told = (
            coco_facts({sheet.labels for sheet in self.labels.sheets}) if self.labels.kind == "COCO" else {}
        )
        predictions = read_predictions(Path(name), shapes, told)
        if self.options.conf is not None:
            predictions = {
                key: found.take(found.scores >= self.options.conf) for key, found in predictions.items()
            }
        return from_predictions(predictions, pictures, self.config.field)

    def _take(
        self,
        evaluation: Evaluation,
        looked: PreparedPicture,
        split: str,
        draw: Callable[[str, Any, Any], None],
    ) -> None:
        from insitrack.tracker.evaluation.evaluation import value_of

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
    def _counts(self) -> list[int]:
        """Labels in each picture."""
        return [len(picture.truth) for picture in self.labels]

    def _n_labels(self, split: DataSplit) -> tuple[int, int]:
        """Labels among the training and among the test pictures."""
        return sum(self._counts[i] for i in split.train), sum(self._counts[i] for i in split.test)

    def _warnings(self, evaluation: Evaluation, tables: Mapping[str, Any]) -> list[str]:
        lines = []
        true, found = (
            {name for part in evaluation.pictures for name in getattr(part.compared, side).names()}
            for side in ("true", "found")
        )
        if true and found and not true & found and not self.settings.recall_only:
            lines.append(
                f"no class is both labelled ({', '.join(sorted(true))}) and found"
                f" ({', '.join(sorted(found))}); give --merge to compare types"
            )
        if len(true | found) == 1 and not self.settings.recall_only:
            lines.append(f"there is one class only, {', '.join(true | found)}: type scores say nothing")
        if evaluation.n_boxes and self.settings.overlap == "mask":
            lines.append(
                f"{evaluation.n_boxes} of {evaluation.n_labels} labels are boxes without outlines; compare"
                " boxes with --overlap box"
            )
        if tables["pooled"][0]["n_true"] == 0:
            lines.append("nothing is labelled in these pictures, so nothing can be found or missed")
        if self.settings.recall_only:
            return lines
        if not all(picture.nm_per_px == picture.nm_per_px for picture in evaluation.pictures):
            lines.append(
                "scale unknown for some pictures: lengths are in px; give --nm-per-px, or a column nm_per_px"
                " in --table"
            )
        elif (
            tables["pooled"][0]["hardening_linear_true_mpa"]
            != tables["pooled"][0]["hardening_linear_true_mpa"]
        ):
            lines.append(
                "hardening stays empty; it needs --thickness-nm and --material with strengths for the"
                " labelled classes"
            )
        if evaluation.over_cap:
            lines.append(
                f"{evaluation.over_cap} detections were thrown away by segment.max_detections; raise it"
            )
        return lines

    def _facts(self) -> dict[str, Any]:
        import dataclasses

        from insitrack import __version__

        facts = {
            "labels": str(self.options.labels),
            "label_form": self.labels.kind,
            "found_by": self.found_by,
            "model_per_split": self.per_split,
        }
        facts |= {
            "split": self.options.split or "",
            "seed": self.options.seed,
            "table": self.options.table or "",
        }
        if not self.options.predictions:
            facts["confidence"] = self.config.segment.confidence
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


def _config(options: argparse.Namespace) -> RunConfig:
    """Return the settings of `track` that an evaluation shares with it."""
    from insitrack.tracker.run.config import load_config

    return load_config(
        Path(options.config) if options.config else None,
        options.set,
        {
            "source.nm_per_px": options.nm_per_px,
            "specimen.thickness_nm": options.thickness_nm,
            "specimen.material": options.material,
            "segment.confidence": None if options.predictions else options.conf,
            "model": options.model,
        },
    )


def _told(labels: Labels, split: str) -> Iterable[Any]:
    """Pass the pictures on and say on the terminal how far it is."""
    shown = sys.stderr.isatty()
    for i, picture in enumerate(labels, start=1):
        if shown:
            print(
                f"\r{split + ' ' if split else ''}{i}/{len(labels)} {picture.name[:60]:<60}",
                end="",
                file=sys.stderr,
                flush=True,
            )
        yield picture
    if shown:
        print("\r" + " " * 100 + "\r", end="", file=sys.stderr, flush=True)
