"""The tables of an evaluation: pooled, by class, by image, F1 against IoU, confusion, splits, single defects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from insitrack.segment.scores.average_precision import average_precision, mean_average_precision
from insitrack.segment.scores.confusion import Confusion, classes_of, confusion, curve
from insitrack.segment.scores.pixels import PixelCounts, counts_of, pixel_rows
from insitrack.tracker.evaluation.errors import error_summary, parity_rows
from insitrack.tracker.evaluation.evaluation import EvalSettings, Evaluation
from insitrack.tracker.evaluation.parity import (
    NAN,
    Picture,
    Row,
    Unit,
    hardening,
    properties,
    unit_of,
)
from insitrack.tracker.evaluation.people import Annotators
from insitrack.tracker.hardening.models import Material

Tables = dict[str, list[Row]]
SUMMARISED = ("n", "density", "size", "heywood", "area")
"""Properties whose errors are averaged over images."""
_RECALL = (
    "n_true",
    "n_found",
    "n_matched",
    "find_recall",
)  # a recall means little without the number of detections that it took


def make_tables(
    evaluation: Evaluation, material: Material | None, annotators: Annotators | None = None
) -> Tables:
    """Every table of an evaluation, by name, in rows.

    Parameters
    ----------
    evaluation : Evaluation
        The images compared.
    material : Material or None
        Constants of the hardening model.
    annotators : Annotators, optional
        Other people's labels: their agreement stands in columns `..._people` beside every F1.

    Returns
    -------
    dict of str to list of dict
        `pooled` (one row), `classes`, `pictures`, `picture_classes`, `parity`, `pixels`, `curve`,
        `confusion`, `defects` and, where there are other people's labels, `annotators`. Lengths are in nm,
        columns `_nm`, where the scale of every image is known, else in px.
    """
    pictures, settings = evaluation.pictures, evaluation.settings
    compared = [picture.compared for picture in pictures]
    classes, unit = classes_of(compared), unit_of(pictures)
    counts = _confusion(pictures, settings, classes)
    if settings.recall_only:
        return _recall_tables(evaluation, counts)
    tables: Tables = {
        "classes": [_class_row(evaluation, counts, name, unit, material) for name in classes],
        "pictures": [_picture_row(picture, settings, unit, material) for picture in pictures],
        "picture_classes": [
            _named(picture) | {"defect_class": name} | with_unit(_differences(picture, name, unit), unit)
            for picture in pictures
            for name in classes_of([picture.compared])
        ],
        "parity": parity_rows(pictures, unit, material),
        "pixels": list(map(dict, pixel_rows(evaluation.pixels, classes))),
        "curve": list(map(dict, curve(compared, method=settings.matching))),
        "confusion": confusion_rows(counts),
        "defects": [row for picture in pictures for row in _defect_rows(picture, unit)],
    }
    pixels = sum(counts_of(evaluation.pixels, None), PixelCounts())
    tables["pooled"] = [pooled_row(pictures, settings, unit, material) | dict(pixels.scores())]
    if annotators is not None:
        _add_ceilings(tables, annotators)
        tables["annotators"] = annotators.rows(evaluation, unit)
    return tables


def _recall_tables(evaluation: Evaluation, counts: Confusion) -> Tables:
    """Make the tables that mean anything where not every defect is labelled."""
    pictures, settings = evaluation.pictures, evaluation.settings
    compared = [picture.compared for picture in pictures]
    by_picture = [
        _named(picture) | _only(_confusion([picture], settings, counts.classes).scores())
        for picture in pictures
    ]
    recalled = [
        _recall_of(counts, name) for name in counts.classes if counts.counts[counts.classes.index(name)].sum()
    ]
    return {
        "pooled": [_only(counts.scores())],
        "classes": recalled,
        "pictures": by_picture,
        "curve": [_only(row, "iou") for row in curve(compared, method=settings.matching)],
    }


def _add_ceilings(tables: Tables, annotators: Annotators) -> None:
    """Put the agreement between people beside every F1 of the model."""
    for row in tables["pooled"]:
        row |= annotators.ceiling()
    for row in tables["classes"]:
        row |= annotators.class_ceiling(str(row["defect_class"]))
    for row in tables["pictures"]:
        row |= annotators.ceiling([str(row["picture"])])
    for row in tables["curve"]:
        row |= annotators.ceiling(least_iou=float(row["iou"]))


def pooled_row(
    pictures: Sequence[Picture], settings: EvalSettings, unit: Unit, material: Material | None
) -> Row:
    """Scores and errors over all images: pooled, averaged over classes, and averaged over images."""
    classes = classes_of([picture.compared for picture in pictures])
    counts = _confusion(pictures, settings, classes)
    by_class = {
        name: properties(pictures, name, unit)
        for name in classes
        if counts.counts[counts.classes.index(name)].sum()
    }
    row: Row = {"n_pictures": len(pictures), **counts.scores()}
    row |= mean_average_precision([picture.compared.ranked() for picture in pictures])
    row |= with_unit(properties(pictures, None, unit), unit)
    for name in ("size", "density", "heywood", "pair_size"):
        row[f"{name}_error_by_class"] = _mean([abs(values[f"{name}_error"]) for values in by_class.values()])
    by_one = [properties([picture], None, unit) for picture in pictures]
    by_two = [
        properties([picture], name, unit) for picture in pictures for name in classes_of([picture.compared])
    ]
    for name in SUMMARISED:
        row |= with_unit(error_summary(by_one, name, "by_picture"), unit)
        row |= with_unit(error_summary(by_two, name, "by_picture_and_class"), unit)
    row |= hardening(pictures, material)
    by_picture = [hardening([picture], material) for picture in pictures]
    for rule in ("linear", "quadrature"):
        errors = error_summary(by_picture, f"hardening_{rule}")
        row |= {key if key.endswith(("mape", "r2")) else f"{key}_mpa": value for key, value in errors.items()}
    return row


def _class_row(
    evaluation: Evaluation, counts: Confusion, name: str, unit: Unit, material: Material | None
) -> Row:
    pictures = evaluation.pictures
    row: Row = {"defect_class": name}
    for words, strict in (("pairs", False), ("strict", True)):
        precision, recall, f1 = counts.of_class(name, strict=strict)
        row |= {f"type_precision_{words}": precision, f"type_recall_{words}": recall, f"type_f1_{words}": f1}
    row["find_recall"] = _recall_of(counts, name)["find_recall"]
    values = average_precision([picture.compared.ranked() for picture in pictures], name)
    row |= {"ap": float(values.mean()), "ap50": float(values[0]), "ap75": float(values[5])}
    row |= with_unit(properties(pictures, name, unit), unit)
    each = [properties([picture], name, unit) for picture in pictures]
    for key in SUMMARISED:
        row |= with_unit(error_summary(each, key), unit)
    return row | sum(counts_of(evaluation.pixels, name), PixelCounts()).scores()


def _differences(picture: Picture, name: str, unit: Unit) -> dict[str, float]:
    """Properties of one class in one image, and found - true in the unit of each."""
    row = properties([picture], name, unit)
    more = {f"{key}_difference": row[f"{key}_found"] - row[f"{key}_true"] for key in SUMMARISED}
    return row | more


def _picture_row(picture: Picture, settings: EvalSettings, unit: Unit, material: Material | None) -> Row:
    compared = picture.compared
    height, width = compared.true.shape
    row = _named(picture) | {
        "width_px": width,
        "height_px": height,
        "field_share": picture.field_px / (height * width),
    }
    row |= {"nm_per_px": picture.nm_per_px, "thickness_nm": picture.thickness_nm}
    row |= _confusion([picture], settings, classes_of([compared])).scores()
    return row | with_unit(properties([picture], None, unit), unit) | dict(hardening([picture], material))


def confusion_rows(counts: Confusion) -> list[Row]:
    """One row per true class, and one of false detections; the last column holds what was missed."""
    names = (*counts.classes, "false")
    columns = (*counts.classes, "missed")
    return [
        {"true_class": name} | dict(zip(columns, map(int, line), strict=True))
        for name, line in zip(names, counts.counts, strict=True)
    ]


def _defect_rows(picture: Picture, unit: Unit) -> list[Row]:
    """One row per pair, missed defect and false detection."""
    compared, scale = picture.compared, picture.scale(unit)
    n_found, n_true = compared.iou.shape
    pairs = list(zip(picture.rows.tolist(), picture.columns.tolist(), strict=True))
    pairs += [(-1, column) for column in sorted(set(range(n_true)) - set(picture.columns.tolist()))]
    pairs += [(row, -1) for row in sorted(set(range(n_found)) - set(picture.rows.tolist()))]
    out: list[Row] = []
    for row, column in pairs:
        line: Row = _named(picture) | {
            "outcome": "found" if row >= 0 <= column else "missed" if row < 0 else "false"
        }
        side, at = (picture.true, column) if column >= 0 else (picture.found, row)
        line |= {"x_px": float(side.x_px[at]), "y_px": float(side.y_px[at])}
        line |= {
            "iou": float(compared.iou[row, column]) if row >= 0 <= column else NAN,
            "score": float(compared.found.scores[row]) if row >= 0 else NAN,
        }
        for words, part, i in (("true", picture.true, column), ("found", picture.found, row)):
            known = i >= 0
            line |= {
                f"class_{words}": str(part.classes[i]) if known else "",
                f"size_{words}_{unit}": float(part.size_px[i]) * scale if known else NAN,
                f"heywood_{words}": float(part.heywood[i]) if known else NAN,
                f"area_{words}_px": float(part.area_px[i]) if known else NAN,
                f"sized_{words}": int(part.sized[i]) if known else 0,
            }
        out.append(line)
    return out


def with_unit(row: Mapping[str, float], unit: Unit) -> Row:
    """Put the unit into the names of lengths, areas and densities; errors are shares and have none.

    Examples
    --------
    >>> with_unit({"size_true": 8.2, "size_error": 0.1, "density_true": 3e16, "area_mae": 1.0}, "nm")
    {'size_true_nm': 8.2, 'size_error': 0.1, 'density_true_per_m2': 3e+16, 'area_mae_nm2': 1.0}
    """
    units = {"size": unit, "area": f"{unit}2", "density": "per_m2" if unit == "nm" else "per_px2"}
    out: Row = {}
    for key, value in row.items():
        quantity = next((name for name in units if key.startswith((name, f"pair_{name}"))), None)
        bare = quantity is None or key.endswith(("_error", "_mape", "_r2"))
        out[key if bare else f"{key}_{units[quantity or 'size']}"] = value
    return out


def plain(value: Any) -> Any:
    """Return what JSON can hold: NaN becomes null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _confusion(pictures: Sequence[Picture], settings: EvalSettings, classes: tuple[str, ...]) -> Confusion:
    return confusion(
        [picture.compared for picture in pictures], settings.least_iou, settings.matching, classes
    )


def _named(picture: Picture) -> Row:
    row: Row = {"picture": picture.name}
    return row | ({"split": picture.split} if picture.split else {})


def _only(scores: Mapping[str, float], *more: str) -> Row:
    return {name: scores[name] for name in (*more, *_RECALL)}


def _recall_of(counts: Confusion, name: str) -> Row:
    line = counts.counts[counts.classes.index(name)]
    n_true, n_matched = int(line.sum()), int(line[:-1].sum())
    return {
        "defect_class": name,
        "n_true": n_true,
        "n_matched": n_matched,
        "find_recall": n_matched / n_true if n_true else NAN,
    }


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else NAN
