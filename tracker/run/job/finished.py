"""A finished run in Python: its tables, its outlines, its frames, and what a notebook shows of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.draw.final import final_frame
from insitrack.io.draw.kept import KeptFrames
from insitrack.io.errors import SettingsError, SourceError, TableError
from insitrack.io.frames import Frame, MissingFrame, Source
from insitrack.io.results import TrackedFrame
from insitrack.io.sources import open_source
from insitrack.io.tables import run_folder
from insitrack.io.tables.columns import FRAMES
from insitrack.io.tables.outlines.masks import MASKS, STREAM, FrameMasks, masks_by_frame, stream_by_frame
from insitrack.io.tables.run_folder import MANIFEST, RAW
from insitrack.tracker.run.job.layers import painted, tracks_layer
from insitrack.tracker.run.meters import config_of

_MOST_BYTES = 4 << 30
_NEAR_S = 1e-6


def open_run(path: str | Path) -> Run:
    """Open the output folder of a run.

    Parameters
    ----------
    path : str or Path
        Folder that `track` wrote.

    Raises
    ------
    TableError
        If it is none.

    Examples
    --------
    >>> import insitrack, tempfile
    >>> made = insitrack.track("synth:loops?seed=1&frames=2&size=128", tempfile.mkdtemp(), video=False)
    >>> run = insitrack.open_run(made.folder)
    >>> run.frame(1).frame.image.shape
    (128, 128)
    """
    manifest_of(Path(path))
    return Run(Path(path))


def manifest_of(run: Path) -> dict[str, Any]:
    """Read ``run.json`` of a finished run.

    Raises
    ------
    TableError
        If it is missing or damaged.
    """
    path = run / MANIFEST
    if not path.is_file():
        raise TableError(f"{run}: no {MANIFEST}; expected the output folder of a run")
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TableError(f"{path}: cannot be read ({error}); restore it") from error
    return manifest


def check_outlines(run: Path) -> None:
    """Refuse a run that has no outlines.

    Raises
    ------
    TableError
        Saying how it gets them.
    """
    if not (run / MASKS.file).is_file():
        cut_off = (run / STREAM.file).is_file()
        advice = f"cut off; first: track resume {run}" if cut_off else "of an earlier version; run it again"
        raise TableError(f"{run}: no {MASKS.file}, the run is {advice}")


class Run(run_folder.Run):
    """A finished run: its tables as DataFrames, its outlines and its frames; a notebook shows its results.

    Parameters
    ----------
    folder : Path
        Output folder.
    """

    def masks(self, first: int = 0, last: int | None = None) -> Iterator[FrameMasks]:
        """Outlines with ids and classes, frame by frame.

        Parameters
        ----------
        first, last : int
            Numbers of the frames, both included; by default all.

        Raises
        ------
        TableError
            If the run has none, or the file is damaged.
        """
        path, stream = self.folder / MASKS.file, self.folder / STREAM.file
        end = np.iinfo(np.int64).max if last is None else last
        if path.is_file():
            yield from masks_by_frame(path, (first, end))
        elif stream.is_file():  # it goes on, or was cut off
            yield from (found for found in stream_by_frame(stream) if first <= found.frame <= end)
        else:
            raise TableError(f"{path}: no such file; runs of `track MOVIE` have it since version 0.2.0")

    def frame(self, index: int, movie: str | Path | None = None) -> TrackedFrame:
        """Return one frame: its image, outlines, ids and classes.

        Parameters
        ----------
        index : int
            Number of the frame in its source.
        movie : str or Path, optional
            Where the movie is now; by default where it was.

        Raises
        ------
        SettingsError
            If the run has no such frame, or it was not processed.
        SourceError
            If the movie is not there.
        """
        row = self.frames[self.frames["frame"] == index]
        if not len(row) or row["status"].iloc[0] != "processed":
            status = row["status"].iloc[0] if len(row) else f"the run has {len(self.frames)}"
            raise SettingsError(f"frame {index}: no image ({status}); expected a frame that was processed")
        t_s = float(row["t_s"].iloc[0])
        found = next((item for item in self._between(t_s, t_s, movie) if item.index == index), None)
        if found is None:
            raise SourceError(f"frame {index}: the movie does not have it; give the movie of the run")
        return final_frame(self.folder, found, self._classes)

    def to_napari(
        self, movie: str | Path | None = None, *, start_s: float | None = None, end_s: float | None = None
    ) -> list[tuple[Any, dict[str, Any], str]]:
        """Frames, outlines and tracks as layers of napari.

        Parameters
        ----------
        movie : str or Path, optional
            Where the movie is now; by default where it was.
        start_s, end_s : float, optional
            First and last time, s.

        Returns
        -------
        list of (data, options, kind)
            An image, labels that hold the id of the track, and tracks with their classes and sizes: each is
            shown by ``viewer.add_layer(napari.layers.Layer.create(*layer))``.

        Raises
        ------
        SettingsError
            If these are more frames than fit into memory.
        SourceError
            If the movie is not there.
        """
        images, numbers = self._stack(movie, start_s, end_s)
        labels = np.zeros(images.shape, np.uint32)
        place = {number: i for i, number in enumerate(numbers)}
        for found in self.masks(numbers[0], numbers[-1]):
            if found.frame in place:
                labels[place[found.frame]] = painted(found, (int(images.shape[1]), int(images.shape[2])))
        name = self.folder.resolve().name
        return [
            (images, {"name": name, "colormap": "gray"}, "image"),
            (labels, {"name": f"{name} outlines", "opacity": 0.5}, "labels"),
            tracks_layer(self.tracks, place, name),
        ]

    def to_hyperspy(
        self, movie: str | Path | None = None, *, start_s: float | None = None, end_s: float | None = None
    ) -> Any:
        """Frames as a signal of HyperSpy, axes in s and nm, with the tables in its metadata.

        Raises
        ------
        SettingsError
            If HyperSpy is not installed, or these are more frames than fit into memory.
        SourceError
            If the movie is not there.
        """
        try:
            from hyperspy.signals import Signal2D
        except ImportError:
            raise SettingsError("to_hyperspy: needs HyperSpy; pip install hyperspy") from None
        images, numbers = self._stack(movie, start_s, end_s)
        t_s = self.frames.set_index("frame")["t_s"].loc[numbers].to_numpy(np.float64)
        signal = Signal2D(images)
        scale = (self.manifest.get("calibration") or {}).get("nm_per_px")
        time, (x, y) = signal.axes_manager.navigation_axes[0], signal.axes_manager.signal_axes
        time.name, time.units, x.name, y.name = "time", "s", "x", "y"
        time.offset, time.scale = float(t_s[0]), float(np.median(np.diff(t_s))) if len(t_s) > 1 else 1.0
        for axis in (y, x):
            axis.scale, axis.units = (float(scale), "nm") if scale else (1.0, "px")
        signal.metadata.General.title = self.folder.resolve().name
        signal.original_metadata.add_dictionary({"insitrack": self.manifest})
        return signal

    def _repr_html_(self) -> str:
        """Return results and their curves, as a notebook shows them."""
        from insitrack.io.report.notebook import run_html

        return run_html(self.folder, self.manifest)

    @property
    def _classes(self) -> tuple[str, ...]:
        return tuple((self.manifest.get("model") or {}).get("classes") or ())

    def _between(
        self, start_s: float | None, end_s: float | None, movie: str | Path | None
    ) -> Iterator[Frame]:
        """Give the processed frames of a time."""
        low = None if start_s is None else start_s - _NEAR_S
        high = None if end_s is None else end_s + _NEAR_S
        source = source_of(self.folder, self.manifest, None if movie is None else Path(movie), (low, high))
        try:
            processed = set(self.frames.loc[self.frames["status"] == "processed", "frame"].tolist())
            for item in source:
                if high is not None and item.t_s > high:
                    return
                if isinstance(item, Frame) and item.index in processed and (low is None or item.t_s >= low):
                    yield item
        finally:
            source.close()

    def _stack(
        self, movie: str | Path | None, start_s: float | None, end_s: float | None
    ) -> tuple[NDArray[Any], list[int]]:
        """Frames of a time as one array, and their numbers."""
        images: list[NDArray[Any]] = []
        numbers: list[int] = []
        n_bytes = 0
        for item in self._between(start_s, end_s, movie):
            n_bytes += item.image.nbytes
            if n_bytes > _MOST_BYTES:
                raise SettingsError(
                    f"{self.folder}: more than {_MOST_BYTES >> 30} GB of frames; give start_s and end_s"
                )
            if images and item.image.shape != images[0].shape:
                raise SettingsError(
                    f"{self.folder}: frame {item.index} has another size than those before; give end_s"
                    f" = {item.t_s:g} or less"
                )
            images.append(item.image)
            numbers.append(item.index)
        if not images:
            raise SettingsError(f"{self.folder}: no frame lies between these times; choose others")
        return np.stack(images), numbers


def source_of(
    run: Path,
    manifest: Mapping[str, Any],
    movie: Path | None = None,
    times: tuple[float | None, float | None] = (None, None),
) -> Source:
    """Open the frames that a run was made of.

    Parameters
    ----------
    run : Path
        Output folder.
    manifest : mapping
        Its ``run.json``.
    movie : Path, optional
        Where the movie is now; by default where it was, or the kept frames of a camera.
    times : tuple of float or None
        First and last time that is wanted, s: frames outside need not be decoded.

    Raises
    ------
    SourceError
        If it is not there, or its frames are of another size than those of the run.
    """
    facts = dict(manifest.get("source") or {})
    if movie is None and (run / RAW).is_dir():
        return KeptFrames(run)
    if movie is None and facts.get("kind") == "live":
        raise SourceError(
            f"{run}: a live run whose frames were not kept; give the movie, or set output.raw = true next time"
        )
    uri = str(movie) if movie is not None else str(facts.get("path") or facts.get("uri") or "")
    if movie is None and not uri.startswith("synth:") and not _there(uri):
        beside = run.resolve().parent / uri
        if not _there(str(beside)):
            raise SourceError(f"{run}: its movie {uri} is not there any more; give the place where it is now")
        uri = str(beside)
    chosen = config_of(dict(manifest)).source.reading()
    for name, choose, time in (("start_s", max, times[0]), ("end_s", min, times[1])):
        known = [value for value in (chosen[name], time) if value is not None]
        chosen[name] = max(0.0, choose(known)) if known else None
    source = open_source(uri, **chosen)
    try:
        _check_size(run, source)
    except SourceError:
        source.close()
        raise
    return source


def _there(uri: str) -> bool:
    return bool(uri) and (Path(uri).exists() or any(mark in uri for mark in "*?["))


def _check_size(run: Path, source: Source) -> None:
    """Refuse frames of another size than those that the run saw."""
    frames = FRAMES.read(run / FRAMES.file, ("status", "width_px", "height_px"))
    seen = frames[frames["status"] == "processed"]
    first: Frame | MissingFrame | None = next((item for item in source if isinstance(item, Frame)), None)
    if not isinstance(first, Frame) or not len(seen):
        return
    sizes = seen[["height_px", "width_px"]].drop_duplicates()
    expected = {(int(height), int(width)) for height, width in sizes.itertuples(index=False)}
    if first.shape not in expected:
        (height, width), (h, w) = first.shape, next(iter(expected))
        raise SourceError(
            f"{source.name}: frames of {width}x{height} px, those of {run} had {w}x{h}; give the movie of the run"
        )
