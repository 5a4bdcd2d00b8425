"""Where an evaluation goes: tables, maps of right and wrong pixels, one page.

And everything in one JSON file.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.report.page import head, note, picture_block, plot, safe
from insitrack.io.write import replacing, write_json, write_text

Row = Mapping[str, Any]
EVAL_JSON, EVAL_PAGE, MAPS = "eval.json", "eval.html", "maps"
MOST_MAPS = 6
"""Maps shown in the page: the worst and the best pictures."""

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
"""Jacobs et al. 2022, doi 10.1016/j.xcrp.2022.100876, on their own pictures."""


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a table; an empty cell means not known.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[_cell(row.get(name)) for name in names] for row in rows])
    write_text(path, stream.getvalue())


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def write_map(folder: Path, name: str, rgb: NDArray[np.uint8]) -> Path:
    """Write one map of right and wrong pixels as PNG.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    path = folder / MAPS / f"{name}.png"
    with replacing(path) as part:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes())
    return path


def write_evaluation(folder: Path, facts: Mapping[str, Any], maps: Mapping[str, Path]) -> Path:
    """Write `eval.json`, one CSV file per table, and `eval.html`.

    Parameters
    ----------
    folder : Path
        Output folder, there already.
    facts : mapping
        `title`, `settings`, `warnings`, `unit`, and `tables`: mapping of table name to rows, as JSON can hold
        them.
    maps : mapping of str to Path
        PNG of each picture with right and wrong pixels.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    for name, rows in facts["tables"].items():
        write_rows(folder / f"{name}.csv", rows)
    write_json(folder / EVAL_JSON, facts, indent=1)
    return write_text(folder / EVAL_PAGE, "\n".join(_page(facts, maps)))


def _page(facts: Mapping[str, Any], maps: Mapping[str, Path]) -> list[str]:
    tables, pooled = facts["tables"], facts["tables"]["pooled"][0]
    full = "confusion" in tables
    return [
        head(f"{facts['title']} - insitrack evaluation"),
        f"<h1>{safe(facts['title'])}</h1>",
        f'<p class="facts">{"".join(f"<span>{safe(fact)}</span>" for fact in _key_facts(facts))}</p>',
        _warnings(facts["warnings"]),
        f'<div class="two">{_curve(tables, full)}{_scores(pooled, full)}</div>',
        *(_details(facts, maps) if full else [_heading("By class"), _class_table(tables["classes"])]),
        _heading("By picture"),
        _picture_table(tables["pictures"]),
        _heading("Settings"),
        _settings(facts["settings"]),
        "</body></html>\n",
    ]


def _details(facts: Mapping[str, Any], maps: Mapping[str, Path]) -> list[str]:
    tables, unit = facts["tables"], facts["unit"]
    return [
        *_splits(facts),
        _heading("Found against true"),
        f'<div class="two">{"".join(_parity(tables, unit))}</div>',
        _heading("By class"),
        _class_table(tables["classes"]),
        _by_class_errors(tables["classes"], unit),
        _confusion(tables["confusion"]),
        _heading("Distributions"),
        f'<p class="facts">True in grey, found in colour; all defects, and below them found pairs only. '
        f"{'Bins as in Jacobs et al. 2022.' if unit == 'nm' else ''}</p>",
        f'<div class="two">{"".join(_histograms(tables["defects"], tables["classes"], unit))}</div>',
        *_maps(tables["pictures"], maps),
    ]


def _spoken(name: str) -> str:
    return safe(name.replace("_", " "))


def _heading(words: str) -> str:
    return f"<h2>{words}</h2>"


def _warnings(lines: Sequence[str]) -> str:
    return (
        f'<div class="warnings"><ul>{"".join(f"<li>{safe(line)}</li>" for line in lines)}</ul></div>'
        if lines
        else ""
    )


def _key_facts(facts: Mapping[str, Any]) -> list[str]:
    pooled, settings = facts["tables"]["pooled"][0], facts["settings"]
    words = [
        str(settings["found_by"]),
        f"{len(facts['tables']['pictures'])} pictures",
        f"{pooled['n_true']} labelled defects",
    ]
    words += [f"{pooled['n_found']} found"] if "n_found" in pooled else []
    return [*words, f"{settings['overlap']} IoU {settings['least_iou']:g}, {settings['matching']} matching"]


def _curve(tables: Mapping[str, Sequence[Row]], full: bool) -> str:
    from insitrack.io.report.evaluation_plots import iou_figure

    return plot("curve", "Scores against IoU" if full else "Recall against IoU", iou_figure(tables["curve"]))


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


def _scores(pooled: Row, full: bool) -> str:
    rows = "".join(
        f"<tr><td>{words}</td>{_number(pooled[key], key)}</tr>"
        for words, key in _NAMES
        if pooled.get(key) is not None
    )
    table = f"<table><tr><th>All pictures pooled</th><th></th></tr>{rows}</table>"
    if full:
        lines = [
            f"<tr><td>{words}</td>{_number(pooled.get(key), key)}<td class='first'>{mark}</td></tr>"
            for words, key, mark in _PUBLISHED
        ]
        table += (
            "<details open><summary>Beside what was published</summary><table><tr><th></th><th"
            " class='number'>here</th><th class='first'>Jacobs et al."
            f" 2022</th></tr>{''.join(lines)}</table><p class='facts'>Their numbers are for their own"
            " pictures: other pictures are harder or easier.</p></details>"
        )
    return f"<figure>{table}</figure>"


def _number(value: Any, key: str = "") -> str:
    """One cell; shares are shown in percent."""
    if value is None or isinstance(value, str):
        return f'<td class="number">{"" if value is None else safe(value)}</td>'
    if key.endswith(("_by_class", "_mape")):  # a mean of absolute values: without a sign
        text = f"{100 * value:.1f} %"
    elif key.endswith("_error"):
        text = f"{100 * value:+.1f} %"
    else:
        text = f"{value:d}" if isinstance(value, int) else f"{value:.3g}"
    return f'<td class="number">{text}</td>'


def _splits(facts: Mapping[str, Any]) -> list[str]:
    splits = facts["tables"].get("splits")
    if not splits:
        return []
    from insitrack.io.report.evaluation_plots import splits_figure

    learning = bool(facts["settings"].get("model_per_split"))
    words = (
        "Each split's own model on its test pictures."
        if learning
        else "One model on the test pictures of each split; nothing was trained here."
    )
    keys = (
        "split",
        "n_train_defects",
        "n_test_pictures",
        "n_test_defects",
        "find_f1",
        "type_f1_pairs",
        "type_f1_strict",
        "ap",
    )
    figure = plot(
        "splits",
        "Learning curve" if learning else "Scores by split",
        splits_figure(splits, learning=learning),
    )
    return [
        _heading("Splits"),
        f'<p class="facts">{words}</p><div class="two">{figure}'
        f"<figure>{_table(facts['tables']['split_summary'], ('score', 'mean', 'sd', 'range'))}</figure></div>{_table(splits, keys)}",
    ]


def _parity(tables: Mapping[str, Sequence[Row]], unit: str) -> list[str]:
    from insitrack.io.report.evaluation_plots import parity_figure

    by_class: dict[str, list[Row]] = {}
    for row in tables["picture_classes"]:
        by_class.setdefault(str(row["defect_class"]), []).append(row)
    density = "per_m2" if unit == "nm" else "per_px2"
    spoken_density = "m<sup>-2</sup>" if unit == "nm" else "px<sup>-2</sup>"
    figures = [
        plot(
            "size",
            "Mean size, picture by picture",
            parity_figure(by_class, f"size_true_{unit}", f"size_found_{unit}", "mean size", unit),
        ),
        plot(
            "density",
            "Density, picture by picture",
            parity_figure(
                by_class, f"density_true_{density}", f"density_found_{density}", "density", spoken_density
            ),
        ),
        plot(
            "shape",
            "Mean circularity, picture by picture",
            parity_figure(by_class, "heywood_true", "heywood_found", "Heywood circularity", "1", start=1.0),
        ),
    ]
    columns = {
        rule: (f"hardening_{rule}_true_mpa", f"hardening_{rule}_found_mpa")
        for rule in ("linear", "quadrature")
    }
    if not any(row.get(columns["linear"][0]) is not None for row in tables["pictures"]):
        return [
            *figures,
            note("Hardening", "Empty: it needs the scale, the foil thickness and <code>--material</code>."),
        ]
    groups = {
        f"{rule} sum": [
            {"picture": row["picture"], "true": row.get(true), "found": row.get(found)}
            for row in tables["pictures"]
        ]
        for rule, (true, found) in columns.items()
    }
    return [
        *figures,
        plot(
            "hardening",
            "Hardening, picture by picture",
            parity_figure(groups, "true", "found", "hardening", "MPa"),
        ),
    ]


def _table(rows: Sequence[Row], keys: Sequence[str]) -> str:
    keys = [key for key in keys if any(row.get(key) is not None for row in rows)]
    cells = "".join(
        "<tr>"
        + "".join(
            f"<td>{safe(row[key])}</td>" if isinstance(row.get(key), str) else _number(row.get(key), key)
            for key in keys
        )
        + "</tr>"
        for row in rows
    )
    names = "".join(f"<th{_right(rows, key)}>{safe(key.replace('_', ' '))}</th>" for key in keys)
    return f'<div class="wide"><table class="values"><tr>{names}</tr>{cells}</table></div>'


def _right(rows: Sequence[Row], key: str) -> str:
    return "" if any(isinstance(row.get(key), str) for row in rows) else ' class="number"'


def _class_table(rows: Sequence[Row]) -> str:
    keys = (
        "defect_class",
        "n_true",
        "n_found",
        "n_matched",
        "find_recall",
        "type_precision_pairs",
        "type_recall_pairs",
        "type_f1_pairs",
    )
    more = ("type_f1_strict", "ap", "pixel_accuracy", "pixel_precision", "pixel_recall", "pixel_iu")
    return _table(rows, (*keys, *more))


def _by_class_errors(rows: Sequence[Row], unit: str) -> str:
    keys = (
        "defect_class",
        f"size_true_{unit}",
        f"size_found_{unit}",
        "size_error",
        "size_mape",
        "pair_size_error",
        "heywood_error",
        "density_error",
    )
    words = (
        "Errors (found - true) / true, pooled; mape: mean of their absolute values over pictures; pair: found"
        " pairs only"
    )
    return f"<p></p><figure><h3>{words}</h3>{_table(rows, (*keys, 'density_mape', 'area_error'))}</figure><p></p>"


def _confusion(rows: Sequence[Row]) -> str:
    """Matrix of classes, each cell shaded by its share of the row."""
    names = [key for key in rows[0] if key != "true_class"]
    lines = ""
    for row in rows:
        total = sum(row[name] for name in names) or 1
        cells = "".join(
            '<td class="number"'
            f' style="background:rgba(0,114,178,{0.5 * row[name] / total:.2f})">{row[name]}</td>'
            for name in names
        )
        lines += f"<tr><td>{safe(row['true_class'])}</td>{cells}</tr>"
    head_ = "".join(f'<th class="number">{safe(name)}</th>' for name in names)
    return (
        '<figure><h3>Confusion matrix: rows true, columns found</h3><div class="wide"><table class="values">'
        f"<tr><th></th>{head_}</tr>{lines}</table></div></figure>"
    )


def _histograms(defects: Sequence[Row], classes: Sequence[Row], unit: str) -> list[str]:
    from insitrack.io.report.evaluation_plots import heywood_histogram, size_histogram

    out = []
    for row in classes:
        name = str(row["defect_class"])
        for pairs_only in (False, True):
            words, tag = (", found pairs", "pairs") if pairs_only else ("", "all")
            out.append(
                plot(
                    f"size_{name}_{tag}",
                    f"{_spoken(name)}: size{words}",
                    size_histogram(defects, name, unit, pairs_only=pairs_only),
                )
            )
            out.append(
                plot(
                    f"shape_{name}_{tag}",
                    f"{_spoken(name)}: circularity{words}",
                    heywood_histogram(defects, name, pairs_only=pairs_only),
                )
            )
    return out


def _maps(pictures: Sequence[Row], maps: Mapping[str, Path]) -> list[str]:
    """Worst and best pictures by find F1."""
    named = [
        (f"{row['split']}_{row['picture']}" if row.get("split") else str(row["picture"]), row["find_f1"])
        for row in pictures
    ]
    ranked = sorted(
        ((name, f1) for name, f1 in named if name in maps and f1 is not None), key=lambda pair: float(pair[1])
    )
    chosen = ranked if len(ranked) <= MOST_MAPS else ranked[: MOST_MAPS // 2] + ranked[-(MOST_MAPS // 2) :]
    if not chosen:
        return []
    words = (
        "turquoise: found and true; black: neither; red: found only; yellow: true only (colours of DefectNet)"
    )
    blocks = [
        picture_block(
            maps[name].read_bytes(), f"pixels right and wrong, {name}", f"{safe(name)}, F1 {f1:.2f}"
        )
        for name, f1 in chosen
    ]
    return [
        _heading("Pixels right and wrong"),
        f'<p class="facts">{words}; all pictures in {MAPS}/</p><div class="two">{"".join(blocks)}</div>',
    ]


def _picture_table(rows: Sequence[Row]) -> str:
    keys = (
        "picture",
        "split",
        "n_true",
        "n_found",
        "n_matched",
        "find_precision",
        "find_recall",
        "find_f1",
        "type_f1_pairs",
        "size_error",
    )
    return (
        f"<details open><summary>{len(rows)}"
        f" pictures</summary>{_table(rows, (*keys, 'density_error', 'area_error', 'field_share'))}</details>"
    )


def _settings(settings: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><td><code>{safe(key)}</code></td><td class="value">{safe(value)}</td></tr>'
        for key, value in settings.items()
    )
    return f"<table>{rows}</table>"
