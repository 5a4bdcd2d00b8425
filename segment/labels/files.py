"""Label files read with a limit, and what is wrong in them said in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from insitrack.io.errors import SourceError


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    SourceError
        If it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{path}: not JSON ({str(error).splitlines()[0]}); export the labels again"
        ) from error


def json_kind(data: Any) -> str:
    """Which program wrote a JSON file: ``COCO``, ``LabelMe``, ``VIA``, or nothing that is known here."""
    if not isinstance(data, dict):
        return ""
    if isinstance(data.get("images"), list) and isinstance(data.get("annotations"), list):
        return "COCO"
    if isinstance(data.get("shapes"), list):
        return "LabelMe"
    entries = data.get("_via_img_metadata", data)
    regions = (
        isinstance(entries, dict)
        and entries
        and all(isinstance(entry, dict) and "regions" in entry for entry in entries.values())
    )
    return "VIA" if regions else ""
