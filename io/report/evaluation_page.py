"""The page of an evaluation: what it shows, ready for its template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from insitrack.io.report.evaluation_plots import (
    heywood_histogram,
    iou_figure,
    parity_figure,
    size_histogram,
    splits_figure,
)
from insitrack.io.report.page import Note, Picture, Plot, render

Row = Mapping[str, Any]
MOST_MAPS = 6
"""Maps shown in the page: the worst and the best images."""

_NAMES = (
    ("find F1", "find_f1"),
    ("precision", "find_precision"),
    ("recall", "find_recall"),
    ("type F1, of the pairs", "type_f1_pairs"),
    ("type F1, strict", "type_f1_strict"),
    ("class accuracy of the pairs", "class_accuracy"),
    ("AP, IoU 0.50 to 0.95", "ap"),
    ("AP, IoU 0.50", "ap50"),
    ("number found against true", "n_error"),
    ("area found against true", "area_error"),
)

_PUBLISHED = (
    ("find F1 at IoU 0.3", "find_f1", "about 0.8"),
    (
        "type F1 of the pairs",
        "type_f1_pairs",
        "0.77 to 0.82 on random splits, 0.55 to 0.69 on groups left out",
    ),
    ("size error, mean over classes", "size_error_by_class", "7.3 ± 3.8 %"),
    ("density error, mean over classes", "density_error_by_class", "12.7 ± 5.3 %"),
    ("hardening, linear: mean absolute error, MPa", "hardening_linear_mae_mpa", "16.05 (12.9 %)"),
    ("hardening, quadrature: mean absolute error, MPa", "hardening_quadrature_mae_mpa", "11.05 (13.7 %)"),
)
"""Jacobs et al. 2022, doi 10.1016/j.xcrp.2022.100876, on their own images."""

_CLASS_KEYS = (
    *("defect_class", "n_true", "n_found", "n_matched", "find_recall"),
    *("type_precision_pairs", "type_recall_pairs", "type_f1_pairs", "type_f1_pairs_people"),
    *("type_f1_strict", "type_f1_strict_people", "ap"),
)
_PICTURE_KEYS = (
    *("picture", "split", "n_true", "n_found", "n_matched", "find_precision", "find_recall", "find_f1"),
    *("find_f1_people", "type_f1_pairs", "size_error", "density_error", "area_error", "field_share"),
)
_SPLIT_KEYS = (
    *("split", "n_train_pictures", "n_train_defects", "n_test_pictures", "n_test_defects"),
    *("find_f1", "find_f1_people", "type_f1_pairs", "type_f1_pairs_people", "type_f1_strict", "ap"),
)
_SPLIT_CLASS_KEYS = ("n_train_", "n_test_", "type_f1_pairs_", "type_f1_strict_")
_ERROR_KEYS = ("one_point_is", "only", "n_points", "r2", "mae", "rmse", "mape")
_PIXEL_KEYS = (
    *("defect_class", "n_pictures_labelled"),
    *(f"pixel_{name}_{of}" for name in ("accuracy", "precision", "recall", "iu") for of in ("mean", "sd")),
)
_PEOPLE_KEYS = (
    *("first", "second", "n_pictures", "defect_class", "n_first", "n_second", "find_f1"),
    *("type_f1_pairs", "type_f1_strict", "n_difference", "density_difference", "size_difference"),
)


def page_of(facts: Mapping[str, Any], maps: Mapping[str, Path]) -> str:
    """Make the page.

    Parameters
    ----------
    facts : mapping
        As `write_evaluation` takes them.
    maps : mapping of str to Path
        PNG of each image with right and wrong pixels.
    """
    tables, pooled = facts["tables"], facts["tables"]["pooled"][0]
    full = "confusion" in tables
    title = "Scores against IoU" if full else "Recall against IoU"
    return render(
        "evaluation.html",
        title=f"{facts['title']} - insitrack evaluation",
        heading=facts["title"],
        key_facts=_key_facts(facts),
        warnings=facts["warnings"],
        curve=Plot("curve", title, iou_figure(tables["curve"])),
        scores=[
            (words, _cell(pooled[key], key), _cell(pooled.get(f"{key}_people"), key))
            for words, key in _NAMES
            if pooled.get(key) is not None
        ],
        people=_table(tables["annotators"], _PEOPLE_KEYS) if tables.get("annotators") else None,
        published=[(words, _cell(pooled.get(key), key), mark) for words, key, mark in _PUBLISHED]
        if full
        else [],
        splits=_splits(facts) if full and tables.get("splits") else None,
        details=_details(facts, maps) if full else None,
        classes=_table(tables["classes"], _CLASS_KEYS),
        pictures=_table(tables["pictures"], _PICTURE_KEYS),
        settings=list(facts["settings"].items()),
    )


def _key_facts(facts: Mapping[str, Any]) -> list[str]:
    pooled, settings = facts["tables"]["pooled"][0], facts["settings"]
    words = [
        str(settings["found_by"]),
        f"{len(facts['tables']['pictures'])} images",
        f"{pooled['n_true']} labelled defects",
    ]
    words += [f"{pooled['n_found']} found"] if "n_found" in pooled else []
    return [*words, f"{settings['overlap']} IoU {settings['least_iou']:g}, {settings['matching']} matching"]


def _details(facts: Mapping[str, Any], maps: Mapping[str, Path]) -> dict[str, Any]:
    """Collect what only an evaluation of complete labels has."""
    tables, unit = facts["tables"], facts["unit"]
    errors = (
        *("defect_class", f"size_true_{unit}", f"size_found_{unit}", "size_error", "size_mape"),
        *("pair_size_error", "heywood_error", "density_error", "density_mape", "area_error"),
    )
    return {
        "unit": unit,
        "parity": _parity(tables, unit),
        "errors": _table(tables["classes"], errors),
        "averages": _averages(tables["parity"]),
        "pixels": _table(tables["pixels"], _PIXEL_KEYS),
        "confusion": _confusion(tables["confusion"]),
        "histograms": _histograms(tables["defects"], tables["classes"], unit),
        "maps": _maps(tables["pictures"], maps),
    }


def _cell(value: Any, key: str = "") -> dict[str, str]:
    """Print one cell; shares are shown in percent."""
    if value is None or isinstance(value, str):
        text = "" if value is None else value
    elif key.endswith(("_by_class", "_mape")) or key == "mape":  # a mean of absolute values: without a sign
        text = f"{100 * value:.1f} %"
    elif key.endswith(("_error", "_difference")):
        text = f"{100 * value:+.1f} %"
    else:
        text = f"{value:d}" if isinstance(value, int) else f"{value:.3g}"
    return {"text": text, "kind": "number", "style": ""}


def _table(rows: Sequence[Row], keys: Sequence[str]) -> dict[str, Any]:
    """Heads and cells of those columns that hold anything; words stand left, numbers right."""
    keys = [key for key in keys if any(row.get(key) is not None for row in rows)]
    worded = {key for key in keys if any(isinstance(row.get(key), str) for row in rows)}
    return {
        "heads": [{"text": key.replace("_", " "), "kind": "" if key in worded else "number"} for key in keys],
        "rows": [
            [
                {**_cell(row.get(key), key), **({"kind": ""} if isinstance(row.get(key), str) else {})}
                for key in keys
            ]
            for row in rows
        ],
    }


def _splits(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Scores of each split, and what they rest on."""
    tables, learning = facts["tables"], bool(facts["settings"].get("model_per_split"))
    words = (
        "Each split's own model on its test images."
        if learning
        else "One model on the test images of each split; nothing was trained here."
    )
    title = "Learning curve" if learning else "Scores by split"
    return {
        "words": words,
        "plot": Plot("splits", title, splits_figure(tables["splits"], learning=learning)),
        "summary": _table(tables["split_summary"], ("score", "mean", "sd", "range")),
        "table": _table(tables["splits"], _SPLIT_KEYS),
        "classes": _table(tables["splits"], _split_class_keys(tables["splits"][0])),
    }


def _split_class_keys(row: Row) -> list[str]:
    """Columns of single classes in the table of the splits: Table 1 and figure 9B of Jacobs et al. 2022."""
    whole = ("_pictures", "_defects", "_people")
    return [
        "split",
        *(key for key in row if key.startswith(_SPLIT_CLASS_KEYS) and not key.endswith(whole)),
    ]


def _averages(rows: Sequence[Row]) -> dict[str, Any]:
    """Errors of all classes together, by what one point of the average stands for."""
    whole = [row for row in rows if row["defect_class"] == "all" and row["n_points"]]
    named = [{**row, "quantity": f"{row['quantity']} ({row['unit']})"} for row in whole]
    return _table(named, ("quantity", *_ERROR_KEYS))


def _errors_in_words(rows: Sequence[Row], quantity: str, unit: str, start: str = "") -> str:
    """R2, MAE and RMSE of the points of a parity plot, from the row of the table that holds them."""
    row = next(row for row in rows if row["quantity"] == quantity and row["defect_class"] == "all")
    if not row["n_points"]:
        return ""
    known = [
        f"{name} {row[key]:.3g}{of}"
        for name, key, of in (("R²", "r2", ""), ("MAE", "mae", f" {unit}"), ("RMSE", "rmse", f" {unit}"))
        if row[key] is not None
    ]
    return f"{start}{', '.join(known)} ({row['n_points']} points)"


def _parity(tables: Mapping[str, Sequence[Row]], unit: str) -> list[Plot | Note]:
    """Draw found against true, image by image."""
    by_class: dict[str, list[Row]] = {}
    for row in tables["picture_classes"]:
        by_class.setdefault(str(row["defect_class"]), []).append(row)
    area, spoken_area = ("m2", "m<sup>-2</sup>") if unit == "nm" else ("px2", "px<sup>-2</sup>")
    shown = (
        ("size", "Mean size", f"size_true_{unit}", f"size_found_{unit}", "mean size", unit, 0.0),
        (
            "density",
            "Density",
            f"density_true_per_{area}",
            f"density_found_per_{area}",
            "density",
            spoken_area,
            0.0,
        ),
        ("shape", "Mean circularity", "heywood_true", "heywood_found", "Heywood circularity", "1", 1.0),
    )
    quantities = {"size": "size", "density": "density", "shape": "heywood"}
    figures: list[Plot | Note] = []
    for name, title, true, found, words, of, start in shown:
        line = _errors_in_words(tables["parity"], quantities[name], "" if of == "1" else of)
        figure = parity_figure(by_class, true, found, words, of, start, [line] if line else [])
        figures.append(Plot(name, f"{title}, by image and class", figure))
    columns = {
        f"{rule} sum": (f"hardening_{rule}_true_mpa", f"hardening_{rule}_found_mpa")
        for rule in ("linear", "quadrature")
    }
    if not any(row.get(columns["linear sum"][0]) is not None for row in tables["pictures"]):
        needed = "Empty: it needs the scale, the foil thickness and <code>--material</code>."
        return [*figures, Note("Hardening", Markup(needed))]
    groups = {
        words: [
            {"picture": row["picture"], "true": row.get(true), "found": row.get(found)}
            for row in tables["pictures"]
        ]
        for words, (true, found) in columns.items()
    }
    lines = [
        _errors_in_words(tables["parity"], f"hardening_{rule}", "MPa", f"{rule}: ")
        for rule in ("linear", "quadrature")
    ]
    hardening = parity_figure(
        groups, "true", "found", "hardening", "MPa", errors=[line for line in lines if line]
    )
    return [*figures, Plot("hardening", "Hardening, image by image", hardening)]


def _confusion(rows: Sequence[Row]) -> dict[str, Any]:
    """Matrix of classes, each cell shaded by its share of the row."""
    names = [key for key in rows[0] if key != "true_class"]
    lines = []
    for row in rows:
        total = sum(row[name] for name in names) or 1
        shades = [f"background:rgba(0,114,178,{0.5 * row[name] / total:.2f})" for name in names]
        lines.append(
            [
                {"text": row["true_class"], "kind": "", "style": ""},
                *(
                    {"text": row[name], "kind": "number", "style": shade}
                    for name, shade in zip(names, shades, strict=True)
                ),
            ]
        )
    heads = [{"text": "", "kind": ""}, *({"text": name, "kind": "number"} for name in names)]
    return {"heads": heads, "rows": lines}


def _histograms(defects: Sequence[Row], classes: Sequence[Row], unit: str) -> list[Plot]:
    """Draw sizes and circularities of every class, of all defects and of pairs only."""
    out = []
    for row in classes:
        name = str(row["defect_class"])
        spoken = name.replace("_", " ")
        for pairs_only in (False, True):
            words, tag = (", found pairs", "pairs") if pairs_only else ("", "all")
            sizes = size_histogram(defects, name, unit, pairs_only=pairs_only)
            shapes = heywood_histogram(defects, name, pairs_only=pairs_only)
            out += [
                Plot(f"size_{name}_{tag}", f"{spoken}: size{words}", sizes),
                Plot(f"shape_{name}_{tag}", f"{spoken}: circularity{words}", shapes),
            ]
    return out


def _maps(pictures: Sequence[Row], maps: Mapping[str, Path]) -> list[Picture]:
    """Worst and best images by find F1."""
    named = [
        (f"{row['split']}_{row['picture']}" if row.get("split") else str(row["picture"]), row["find_f1"])
        for row in pictures
    ]
    ranked = sorted(
        ((name, f1) for name, f1 in named if name in maps and f1 is not None), key=lambda pair: float(pair[1])
    )
    chosen = ranked if len(ranked) <= MOST_MAPS else ranked[: MOST_MAPS // 2] + ranked[-(MOST_MAPS // 2) :]
    return [
        Picture(maps[name].read_bytes(), f"pixels right and wrong, {name}", f"{name}, F1 {f1:.2f}")
        for name, f1 in chosen
    ]
