"""What a run leaves behind: an output folder, and its tables as DataFrames."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insitrack.io.errors import OutputError
from insitrack.io.manifest import without_password
from insitrack.io.tables import columns
from insitrack.io.tables.outlines.masks import DRAWN, MASKS
from insitrack.io.tables.records import MARKS, SETTINGS

if TYPE_CHECKING:
    import pandas as pd

CAUSAL = "causal"
"""Folder of the tables as they were known frame by frame."""
STATE = "resume.state"
SECRET = "source.secret"
"""Address of a source with its password, for its owner alone, until the run has ended."""
MOVIE, REPORT, MANIFEST = "annotated.mp4", "report.html", "run.json"
MOVIE_BEFORE = "annotated_before.mp4"
"""The movie up to where the run was cut off, until it has ended."""
REGISTERED = "registered.mp4"
RAW = "raw"
"""Folder of the frames of a camera, where they are kept."""
OUTPUTS = (
    *columns.STREAMED,
    columns.KINETICS.file,
    columns.MSD.file,
    MASKS.file,
    DRAWN,
    MOVIE,
    MOVIE_BEFORE,
    REGISTERED,
    REPORT,
    MANIFEST,
    MARKS.file,
    columns.MICROGRAPHS.file,
    columns.STATISTICS.file,
    SETTINGS.file,
    STATE,
    SECRET,
)


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, and its tables as DataFrames.

    Parameters
    ----------
    folder : Path
        Output folder.
    """

    folder: Path

    @cached_property
    def tracks(self) -> pd.DataFrame:
        """One row per defect and frame."""
        return columns.TRACKS.read(self.folder / columns.TRACKS.file)

    @cached_property
    def series(self) -> pd.DataFrame:
        """One row per frame and class, and class `all`."""
        return columns.SERIES.read(self.folder / columns.SERIES.file)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per track."""
        return columns.SUMMARY.read(self.folder / columns.SUMMARY.file)

    @cached_property
    def events(self) -> pd.DataFrame:
        """One row per event."""
        return columns.EVENTS.read(self.folder / columns.EVENTS.file)

    @cached_property
    def frames(self) -> pd.DataFrame:
        """One row per source frame."""
        return columns.FRAMES.read(self.folder / columns.FRAMES.file)

    @cached_property
    def kinetics(self) -> pd.DataFrame:
        """One row per quantity and class; only where the tables were refined."""
        return columns.KINETICS.read(self.folder / columns.KINETICS.file)

    @property
    def causal(self) -> Run:
        """The same run as it was known frame by frame, without hindsight."""
        return Run(self.folder / CAUSAL) if (self.folder / CAUSAL / columns.TRACKS.file).exists() else self

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """`run.json`: settings, origins, versions, warnings, results."""
        import json

        manifest: dict[str, Any] = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
        return manifest


def default_folder(uri: str) -> Path:
    """Name the output folder after the source, in the current directory.

    Examples
    --------
    >>> default_folder("movies/anneal.mp4").name, default_folder("synth:loops?seed=7").name, default_folder("frames/*.png").name
    ('anneal_track', 'synth_loops_seed_7_track', 'frames_track')
    """
    uri = without_password(uri)
    stem = Path(uri).stem if "?" not in uri and ":" not in uri else uri
    folder = Path(uri).resolve()
    name = (
        re.sub(r"[^\w.-]+", "_", stem).strip("_")
        or (folder if folder.is_dir() else folder.parent).name
        or "run"
    )
    return Path(name + "_track")


def check_folder(folder: Path, overwrite: bool) -> None:
    """Refuse to write over anything, unless asked to."""
    try:
        folder.exists()
    except OSError as error:
        raise OutputError(f"--out {str(folder)[:60]}...: {error.strerror}; choose a shorter name") from error
    if folder.is_file():
        raise OutputError(f"--out {folder}: is a file; expected a folder, new or empty")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise OutputError(
            f"--out {folder}: exists and is not empty; choose another folder or add --overwrite"
        )
