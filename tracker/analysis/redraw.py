"""A finished run is drawn again: from its tables, its outlines and the movie that it was made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from insitrack.io.draw.annotate import AnnotationStyle
from insitrack.io.draw.final import FinalFrames, draw_frames
from insitrack.io.draw.gif import GifSink
from insitrack.io.draw.sinks import AnnotatedMovieSink, PictureSink
from insitrack.io.errors import OutputError, SettingsError, nearest
from insitrack.io.frames import Frame, MissingFrame
from insitrack.io.tables.columns import FRAMES
from insitrack.io.tables.run_folder import MOVIE
from insitrack.tracker.run.job.finished import check_outlines, manifest_of, source_of


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Redrawing:
    """What is drawn of a run, and how.

    Parameters
    ----------
    style : AnnotationStyle
        Lines, colours, ids.
    only : tuple of str
        Classes; empty: all.
    start_s, end_s : float or None
        First and last time, s.
    every : int
        Every N-th frame.
    width_px : int
        Width of a GIF, px.
    """

    style: AnnotationStyle = dataclasses.field(default_factory=AnnotationStyle)
    only: tuple[str, ...] = ()
    start_s: float | None = None
    end_s: float | None = None
    every: int = 1
    width_px: int = 640

    def frames(self, items: Iterator[Frame | MissingFrame]) -> Iterator[Frame | MissingFrame]:
        """Frames that are drawn."""
        for item in items:
            if self.end_s is not None and item.t_s > self.end_s:
                return
            if isinstance(item, MissingFrame) and item.status == "skipped":
                continue
            if (self.start_s is None or item.t_s >= self.start_s) and item.index % self.every == 0:
                yield item


def annotate(run: Path, movie: Path | None, out: Path, how: Redrawing) -> int:
    """Draw a finished run again, as MP4 or GIF.

    Parameters
    ----------
    run : Path
        Output folder of a run, with ``masks.parquet``.
    movie : Path or None
        Where its movie is now; None: where it was.
    out : Path
        File to write, ``.mp4`` or ``.gif``.
    how : Redrawing
        What is drawn.

    Returns
    -------
    int
        Frames that were drawn.

    Raises
    ------
    InsitrackError
        If the run, its movie or a choice cannot be used; nothing is written then.
    """
    manifest = manifest_of(run)
    check_outlines(run)
    if out.suffix.lower() not in (".mp4", ".gif"):
        raise SettingsError(f"--out {out}: expected a name that ends in .mp4 or .gif")
    final = FinalFrames(run, (manifest.get("model") or {}).get("classes") or (), only=how.only)
    for name in (*how.only, *how.style.colours):
        if name not in final.class_names:
            near = nearest(name, final.class_names)
            hint = f"did you mean {near}? " if near else ""
            raise SettingsError(
                f"{name}: no such class in {run}; {hint}It has {', '.join(final.class_names)}"
            )
    nm_per_px = (manifest.get("calibration") or {}).get("nm_per_px")
    n_frames = int(FRAMES.read(run / FRAMES.file, ("frame",))["frame"].max()) + 1
    source = source_of(run, manifest, movie)
    try:
        sink: AnnotatedMovieSink | GifSink
        if out.suffix.lower() == ".gif":
            sink = GifSink(out, how.style, nm_per_px=nm_per_px, width_px=how.width_px)
        else:
            sink = AnnotatedMovieSink(out, nm_per_px=nm_per_px, style=how.style)
        with sink:
            n_drawn = draw_frames(how.frames(iter(source)), final, [sink], n_frames=n_frames)
    finally:
        source.close()
    if not out.exists():
        raise OutputError(f"{out}: no frame of the run lies between these times; choose others")
    return n_drawn


def draw_edited(run: Path, out: Path, manifest: Mapping[str, Any], movie: Path | None) -> dict[str, bytes]:
    """Draw movie and frames of an edited run from its own tables and the movie of the run that was edited.

    Returns
    -------
    dict of str to bytes
        PNG files `first` and `last`, for the report.
    """
    nm_per_px = (manifest.get("calibration") or {}).get("nm_per_px")
    n_frames = int(np.max(FRAMES.read(out / FRAMES.file, ("frame",))["frame"])) + 1
    final = FinalFrames(out, (manifest.get("model") or {}).get("classes") or ())
    source = source_of(run, manifest, movie)
    pictures = PictureSink(nm_per_px=nm_per_px)
    try:
        with AnnotatedMovieSink(out / MOVIE, nm_per_px=nm_per_px) as drawn:
            draw_frames(source, final, [drawn, pictures], n_frames=n_frames)
    finally:
        source.close()
    return pictures.pictures()
