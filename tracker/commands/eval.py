"""`track eval`: score a model, or detections made elsewhere, on labelled images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insitrack.io.errors import SettingsError
from insitrack.tracker.commands.arguments.options import (
    add_classes_option,
    add_output_options,
    add_settings_options,
)
from insitrack.tracker.commands.arguments.parser import number, whole

if TYPE_CHECKING:
    from insitrack.segment.labels.reader import Labels

DESCRIPTION = """\
Score a model, or detections made elsewhere, on labelled images: F1 against IoU, types, sizes, shapes,
densities, hardening.

  track eval LABELS --model loops                            LABELS: images with COCO, VIA, LabelMe, YOLO, ImageJ or mask labels
  track eval LABELS --predictions found.json                 COCO results, or a folder of Mask R-CNN predictions NAME.npz
  track eval LABELS --overlap box --matching greedy --sizes jacobs    the rules of the script behind Jacobs et al. 2022
  track eval LABELS --recall-only --overlap box              not everything is labelled: recall only
  track eval LABELS --also LABELS2                           what two people agree on, beside every F1 of the model
  track eval RUN --truth tracks.csv                          tracks of a run against true ones: HOTA, MOTA, IDF1
  track eval LABELS --split group:alloy --table table.csv    scores of one model, group by group
"""

EPILOG = """\
Splits only say which images are which: nothing is trained here. With one model, its scores on the test images
of each split show how they scatter; they are those of unseen images only if the model saw none of them. To
cross-validate, write the splits with --splits-only, train one model for each on its `train` images, and come
back with {split} in --model or --predictions, for example --model "runs/{split}/model.onnx": each image is
then scored by the model of the split that left it out, and the learning curve is drawn. From Python:
insitrack.segment.scores.splits.cross_validate(pictures, splits, train, test). Written to the output folder:
eval.html eval.json pooled.csv classes.csv pictures.csv picture_classes.csv parity.csv pixels.csv curve.csv
confusion.csv defects.csv, with splits also splits.csv split_summary.csv split_parity.csv split_pictures.csv
splits.json, with --also annotators.csv; maps/ of right and wrong pixels, and outlines/ of labels (left) and
detections (right).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `track eval`."""
    add = parser.add_argument
    add("labels", metavar="LABELS", help="folder of images and labels, or the label file")
    add_classes_option(parser)
    add(
        "--also",
        action="append",
        default=[],
        metavar="LABELS2",
        help=(
            "other people's labels of the same images, known by name: their agreement stands beside every F1"
            " (repeatable)"
        ),
    )
    add(
        "--truth",
        metavar="CSV",
        help="LABELS is the folder of a run: score its tracks against these true ones (HOTA, MOTA, IDF1)",
    )
    add("--model", metavar="NAME", help="model to score (default: loops); may hold {split}")
    add("--predictions", metavar="FILE", help="score these detections in place of a model; may hold {split}")
    add_output_options(parser, default="named after the labels, here", what="evaluation")
    _add_rules(parser)
    _add_facts(parser)
    _add_splits(parser)
    add_settings_options(parser)


def _add_rules(parser: argparse.ArgumentParser) -> None:
    """Add how detections and labels are compared."""
    add = parser.add_argument
    add(
        "--iou",
        type=number,
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


def _add_facts(parser: argparse.ArgumentParser) -> None:
    """Add what is known of the images."""
    add = parser.add_argument
    add(
        "--nm-per-px",
        type=number,
        metavar="NM",
        help="width of a pixel (default: column nm_per_px of --table, or what the file says)",
    )
    add(
        "--thickness-nm",
        type=number,
        metavar="NM",
        help="foil thickness, for hardening (or column thickness_nm of --table)",
    )
    add("--material", metavar="NAME", help="material constants, for hardening")
    add(
        "--conf",
        type=number,
        metavar="0..1",
        help="least confidence of a detection; AP counts only what lies above, so lower it for AP",
    )
    add(
        "--table",
        metavar="CSV",
        help="facts of the images: column file, and alloy, microscope, nm_per_px, thickness_nm, ...",
    )


def _add_splits(parser: argparse.ArgumentParser) -> None:
    """Add which images are which."""
    add = parser.add_argument
    add(
        "--split",
        metavar="KIND",
        help=(
            "random:5, folds:5, percent:10,50,90, learning:5, group:COLUMN of --table, or group (series by"
            " file name)"
        ),
    )
    add("--seed", type=whole, default=0, help="seed of random splits")
    add("--splits-only", action="store_true", help="write splits.json and stop")


def run(options: argparse.Namespace, given: list[str]) -> int:
    """Run the command; return the exit status."""
    if options.truth:
        return _score_tracks(options)
    from insitrack.tracker.evaluation.evaluation import EvalSettings, parse_merge
    from insitrack.tracker.evaluation.job import EvalRequest, EvaluationJob
    from insitrack.tracker.run.config import load_config

    if options.model and options.predictions:
        raise SettingsError("--model and --predictions: expected one of them")
    config = load_config(
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
    settings = EvalSettings(
        least_iou=options.iou,
        overlap=options.overlap,
        matching=options.matching,
        sizes=options.sizes,
        recall_only=options.recall_only,
        merge=parse_merge(options.merge),
    )
    labels = Path(options.labels)
    request = EvalRequest(
        labels=labels,
        folder=Path(options.out or (labels.resolve().stem or "labels") + "_eval"),
        classes=options.classes,
        also=options.also,
        predictions=options.predictions or "",
        confidence=options.conf,
        overwrite=options.overwrite,
        table=options.table or "",
        split=options.split or "",
        seed=options.seed,
        splits_only=options.splits_only,
        command=["track", *given],
    )
    job = EvaluationJob(request, settings, config, _show)
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


def _show(labels: Labels, split: str) -> Iterable[Any]:
    """Pass the images on and say on the terminal how far it is."""
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
