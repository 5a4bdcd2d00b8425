"""What an export needs of a finished run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.errors import TableError
from insitrack.io.tables.columns import EVENTS, FRAMES
from insitrack.io.tables.outlines.masks import MASKS, FrameMasks, classes_in, masks_by_frame
from insitrack.io.tables.run_folder import MANIFEST, Run

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class RunParts(Run):
    """Tables, outlines and facts of a run, read when they are first asked for.

    Parameters
    ----------
    folder : Path
        Output folder.
    """

    @cached_property
    def events(self) -> pd.DataFrame:
        """Rows of ``events.csv``; none where the run has no such table."""
        import pandas as pd

        path = self.folder / EVENTS.file
        return EVENTS.read(path) if path.is_file() else pd.DataFrame(columns=list(EVENTS.names))

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """`run.json`, empty where there is none."""
        path = self.folder / MANIFEST
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        except (OSError, ValueError, RecursionError) as error:
            raise TableError(f"{path}: cannot be read ({error}); restore it") from error
        return found

    @property
    def nm_per_px(self) -> float | None:
        """Width of a pixel, nm; None where unknown, or not the same in all views: those formats have one scale."""
        value = (self.manifest.get("calibration") or {}).get("nm_per_px")
        later = self.frames[(self.frames["view"] > 0) & (self.frames["status"] == "processed")]
        if not value or not np.isclose(later["nm_per_px"], float(value), rtol=1e-5).all():
            return None
        return float(value)

    @property
    def interval_s(self) -> float:
        """Usual time between frames, s."""
        step = self.frames["t_s"].diff().median()
        return float(step) if step > 0 else 1.0

    @property
    def n_frames(self) -> int:
        """Frames of the source, from number 0 to the last."""
        return int(self.frames["frame"].max()) + 1 if len(self.frames) else 0

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the frames, px.

        Raises
        ------
        TableError
            If no frame was processed, or they are of several sizes.
        """
        sizes = self.frames[["height_px", "width_px"]].dropna().drop_duplicates()
        if len(sizes) != 1:
            raise TableError(
                f"{self.folder / FRAMES.file}: frames of {len(sizes)} sizes; expected one, as this format wants"
            )
        height, width = sizes.iloc[0]
        return int(height), int(width)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Classes: those of the model, then those that only the tables have."""
        known = tuple((self.manifest.get("model") or {}).get("classes") or DEFECT_CLASSES)
        return (*known, *sorted(classes_in(self.masks_file) - set(known)))

    @property
    def masks_file(self) -> Path:
        """`masks.parquet`.

        Raises
        ------
        TableError
            If the run has none.
        """
        path = self.folder / MASKS.file
        if not path.is_file():
            raise TableError(
                f"{path}: no such file; this format needs the outlines, which `track MOVIE` keeps"
            )
        return path

    def masks(self) -> Iterator[FrameMasks]:
        """Outlines, frame by frame."""
        yield from masks_by_frame(self.masks_file)

    @cached_property
    def row_of(self) -> dict[tuple[int, int], int]:
        """Number of the row of ``tracks.csv`` of a frame and a track."""
        keys = zip(self.tracks["frame"].tolist(), self.tracks["track_id"].tolist(), strict=True)
        return {key: i for i, key in enumerate(keys)}
