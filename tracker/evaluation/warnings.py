"""What the reader of an evaluation should know before using its scores, one line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from insitrack.tracker.evaluation.evaluation import EvalSettings, Evaluation
from insitrack.tracker.evaluation.people import Annotators


def evaluation_warnings(
    evaluation: Evaluation,
    tables: Mapping[str, Any],
    settings: EvalSettings,
    annotators: Annotators | None = None,
) -> list[str]:
    """Collect what a reader of the scores should know, one line each."""
    lines = []
    true, found = (
        {name for part in evaluation.pictures for name in getattr(part.compared, side).names()}
        for side in ("true", "found")
    )
    if true and found and not true & found and not settings.recall_only:
        lines.append(
            f"no class is both labelled ({', '.join(sorted(true))}) and found"
            f" ({', '.join(sorted(found))}); give --merge to compare types"
        )
    if len(true | found) == 1 and not settings.recall_only:
        lines.append(f"there is one class only, {', '.join(true | found)}: type scores say nothing")
    if evaluation.n_boxes and settings.overlap == "mask":
        lines.append(
            f"{evaluation.n_boxes} of {evaluation.n_labels} labels are boxes without outlines; compare"
            " boxes with --overlap box"
        )
    if tables["pooled"][0]["n_true"] == 0:
        lines.append("nothing is labelled in these images, so nothing can be found or missed")
    if settings.recall_only:
        return lines
    if not all(picture.nm_per_px == picture.nm_per_px for picture in evaluation.pictures):
        lines.append(
            "scale unknown for some images: lengths are in px; give --nm-per-px, or a column nm_per_px"
            " in --table"
        )
    elif tables["pooled"][0]["hardening_linear_true_mpa"] != tables["pooled"][0]["hardening_linear_true_mpa"]:
        lines.append(
            "hardening stays empty; it needs --thickness-nm and --material with strengths for the"
            " labelled classes"
        )
    names = {picture.name for picture in evaluation.pictures}
    if annotators is not None and names != annotators.shared:
        lines.append(
            f"{len(names & annotators.shared)} of the {len(names)} images were labelled by everybody;"
            " agreement between people is that of these"
        )
    if evaluation.over_cap:
        lines.append(f"{evaluation.over_cap} detections were thrown away by segment.max_detections; raise it")
    return lines
