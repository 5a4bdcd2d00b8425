"""`track train`: a model of one's own from one's own labels."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from insitrack.io.errors import SettingsError
from insitrack.io.extras import require_training
from insitrack.tracker.commands.arguments.options import add_classes_option
from insitrack.tracker.commands.arguments.parser import number, whole

if TYPE_CHECKING:
    from insitrack.segment.finetune.outcome import Finetuned

DESCRIPTION = """\
Train the shipped model further on your own labels, and export it.

  track train LABELS                                   from the shipped model, into LABELS_train/
  track train LABELS --classes "hcloop=loop,bubble=void,*=ignore"
  track train LABELS --val "sampleB*"                  judge by these images or series, never trained on
  track train LABELS --base lines --minutes 15         line dislocations, from their outlines
  track train LABELS --resume                          continue where it was stopped
  track movie.mp4 --model LABELS_train/LABELS.onnx     use what came out

LABELS is a folder of images and labels, or the label file: COCO, VGG Image Annotator, LabelMe, YOLO polygons
or boxes, rows of y0 x0 y1 x1, ImageJ regions, images of masks.
"""

EPILOG = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `track train`."""
    add = parser.add_argument
    add("data", metavar="LABELS", help="folder of images and labels, or the label file")
    add(
        "--base",
        metavar="NAME",
        help="what to start from: a shipped model, a .pt file, or scratch (default: loops)",
    )
    add("--out", metavar="DIR", help="output folder (default: LABELS_train, here)")
    add_classes_option(parser)
    add("--epochs", type=whole, metavar="N", help="passes over the images (default: 24)")
    add("--minutes", type=number, metavar="MIN", help="time to train, in place of --epochs")
    add("--val", nargs="+", metavar="NAME", help="images or series to judge by; * and ? allowed")
    add(
        "--val-share",
        type=number,
        metavar="0..1",
        help="share of the images to judge by, whole series at a time (default: 0.2)",
    )
    add(
        "--leave-out",
        nargs="+",
        metavar="NAME",
        help="images or series not to use at all, to test on afterwards",
    )
    add(
        "--synth-share",
        type=number,
        metavar="0..1",
        help="share of synthetic images, against forgetting (default: 0.5)",
    )
    add("--synth-pictures", type=whole, metavar="N", help="how many are drawn, once (default: 300)")
    add("--scale", metavar="auto|FACTOR", help="show the network the images resampled (default: auto)")
    add(
        "--contrast",
        choices=("auto", "dark", "bright"),
        help="defects dark on bright, or the reverse (default: auto)",
    )
    add("--learning-rate", type=number, metavar="RATE", help="the highest (default: 4e-4)")
    add(
        "--image-px",
        type=whole,
        metavar="PX",
        help="side of the tiles trained on, a multiple of 32 (default: 320)",
    )
    add("--threads", type=whole, metavar="N", help="processor threads (default: all)")
    add("--device", metavar="auto|cpu|N", help="cpu or the number of a GPU (default: auto)")
    add("--seed", type=whole, metavar="N", help="of everything random (default: 0)")
    add("--resume", action="store_true", help="continue a training that was stopped")


def run(options: argparse.Namespace, given: list[str]) -> int:
    """Train as the options say; return the exit status."""
    require_training("track train")
    from insitrack.segment.finetune.begin import begin, is_pixelwise
    from insitrack.segment.finetune.outcome import shown_gain
    from insitrack.segment.finetune.settings import FinetuneSettings
    from insitrack.segment.labels.classes import parse_classes

    classes = parse_classes(options.classes)
    data = Path(options.data)
    folder = Path(options.out) if options.out else Path(f"{data.resolve().stem}_train")
    names = {"synth_share": "synthetic_share", "synth_pictures": "synthetic_pictures"}
    chosen = {
        key: value
        for key, value in vars(options).items()
        if value is not None and key not in ("data", "out", "classes", "resume")
    }
    told = {names.get(key, key): value for key, value in chosen.items()}
    told |= {
        "val": tuple(options.val or ()),
        "leave_out": tuple(options.leave_out or ()),
        "scale": _scale(options.scale),
    }
    lines = is_pixelwise(told.get("base", ""))
    for name in ("epochs", "scale", "learning_rate", "image_px") if lines else ():
        if getattr(options, name) is not None:
            raise SettingsError(
                f"--{name.replace('_', '-')} {getattr(options, name)}: is not for --base {options.base}, which is"
                " trained by time and at the scale of the images; use --minutes"
            )
    settings = FinetuneSettings(**told)
    begun = begin(data, folder, settings, classes, resume=options.resume)
    train = _trainer(lines)  # with the libraries of networks, and not before
    result = train(data, folder, settings, classes=classes, resume=options.resume, say=_say, begun=begun)
    for warning in result.warnings:
        _say(f"warning: {warning}")
    kept = "the start was better and is kept: " if result.kept_start else ""
    print(
        f"done: {kept}{shown_gain(result)} on images not trained on; track movie.mp4 --model {result.model}"
    )
    return 0


def _trainer(lines: bool) -> Callable[..., Finetuned]:
    """Return what trains a network of lines, or one of outlines."""
    if lines:
        from insitrack.segment.finetune.lines import finetune_lines

        return finetune_lines
    from insitrack.segment.finetune.finetune import finetune

    return finetune


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _scale(text: str | None) -> float | str:
    if text in (None, "auto"):
        return "auto"
    try:
        return float(str(text))
    except ValueError:
        raise SettingsError(
            f"--scale {text}: expected auto, or a number like 0.5 to show the network half the size"
        ) from None
