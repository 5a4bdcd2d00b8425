"""The model card beside exported weights: JSON for the program, Markdown for people."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STRIDE = 32


def write_card(
    weights: Path, *, classes: Sequence[str], recipe: Mapping[str, Any], facts: Mapping[str, Any]
) -> Path:
    """Write the model card beside the weights: JSON for the program, Markdown for people.

    Parameters
    ----------
    weights : Path
        The exported network.
    classes : sequence of str
        In the order of its outputs.
    recipe : mapping
        How it was trained: the settings by name, ``seed`` among them.
    facts : mapping
        What else is to be said: ``trained_on``, ``metrics``, ``known_failures``.

    Returns
    -------
    Path
        The JSON card; the page has the same name with ``.md``.
    """
    card: dict[str, Any] = {
        "name": weights.stem,
        "file": weights.name,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "classes": list(classes),
        "stride": STRIDE,
        "input_scaling": (
            "grey levels stretched from the percentiles 0.5 and 99.5 to 0..255, three equal channels, divided"
            " by 255"
        ),
        "seed": recipe.get("seed", 0),
        "recipe": dict(recipe),
        "licence": "AGPL-3.0-or-later",
        **facts,
    }
    path = weights.with_suffix(".json")
    path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    weights.with_suffix(".md").write_text(_page(card), encoding="utf-8")
    return path


def write_calibration(path: Path, calibration: Mapping[str, Any]) -> None:
    """Put into a card what the scores of its model mean and how far its counts may be off; page and JSON.

    Parameters
    ----------
    path : Path
        The JSON card.
    calibration : mapping
        Settings of the sections `existence` and `series` by name; ``one_look``: those of them that differ where a
        frame is shown in one scale; and ``learnt_on``: the images.
    """
    card = {**json.loads(path.read_text(encoding="utf-8")), "calibration": dict(calibration)}
    path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(_page(card), encoding="utf-8")


def _calibration(calibration: Mapping[str, Any]) -> list[str]:
    """Lines on what the scores mean and how far counts may be off."""
    known = {name: value for name, value in calibration.items() if name != "learnt_on"}
    lines = ["", "## What its scores mean, and how far its counts may be off", ""]
    lines += [f"Learnt on {calibration.get('learnt_on', 'pictures that are not named')}.", ""]
    lines += ["| setting that it brings | value |", "|---|---|"]
    for name, value in known.items():
        shown = (
            ", ".join(f"{k} {v:g}" for k, v in value.items()) if isinstance(value, Mapping) else f"{value:g}"
        )
        lines.append(f"| `{name}` | {shown} |")
    return lines


def _page(card: dict[str, Any]) -> str:
    """Model card as a page: what it is, how good it is on what, where it fails."""
    lines = [f"# Model `{card['name']}`", "", str(card.get("about", "")), "", "| | |", "|---|---|"]
    lines += [
        f"| {key} | {card[key]} |"
        for key in ("file", "sha256", "licence", "trained_on", "input_scaling")
        if key in card
    ]
    lines += [
        f"| classes | {', '.join(card['classes'])} |",
        f"| recipe | {', '.join(f'{k} {v}' for k, v in card['recipe'].items())} |",
        "",
    ]
    columns = ("n_true", "n_found", "precision", "recall", "f1", "class_accuracy", "size_error", "size_bias")
    if card.get("metrics"):
        lines += ["## How good it is", "", str(card.get("metrics_note", "")), ""]
        lines += [
            "| images | method | mask IoU | " + " | ".join(columns) + " |",
            "|" + "---|" * (3 + len(columns)),
        ]
    for pictures, methods in card.get("metrics", {}).items():
        for method, scores in methods.items():
            for iou, facts in scores.items():
                lines.append(
                    f"| {pictures} | {method} | {iou.removeprefix('iou_')} | "
                    + " | ".join(
                        (
                            ""
                            if c not in facts
                            else f"{facts[c]:.0f}"
                            if c.startswith("n_")
                            else f"{facts[c]:.3g}"
                        )
                        for c in columns
                    )
                    + " |"
                )
    if card.get("calibration"):
        lines += _calibration(card["calibration"])
    if card.get("known_failures"):
        lines += ["", "## Where it fails", "", *(f"- {failure}" for failure in card["known_failures"])]
    return "\n".join(lines) + "\n"
