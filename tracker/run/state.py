"""A run that was cut off goes on.

State on disk about once a second, tables cut back to it, the rest as if nothing had happened.
"""

from __future__ import annotations

import importlib
import io as stdlib_io
import json
import os
import pickle
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insitrack.io.draw.movie_writer import join_movies
from insitrack.io.errors import OutputError, SettingsError, TableError
from insitrack.io.results import TrackedFrame
from insitrack.io.tables.columns import KINETICS, TABLES
from insitrack.io.tables.run_folder import CAUSAL, MANIFEST, MOVIE, MOVIE_BEFORE, STATE, Run

if TYPE_CHECKING:
    from insitrack.io.levels import Levels
    from insitrack.segment.base import SegmentConfig
    from insitrack.tracker.run.config import RunConfig
    from insitrack.tracker.run.loop import Tally

_ALLOWED = ("insitrack.", "numpy.", "numpy", "collections", "pathlib")
_BUILTINS = {"set", "frozenset", "slice", "range", "complex", "bytearray"}


@dataclass(frozen=True, slots=True)
class State:
    """Everything that a run needs to go on after a frame.

    Parameters
    ----------
    next_index : int
        Number of the frame that follows.
    last_s : float
        Time of the last frame, s.
    wall_s : float
        Clock when it was written, s since 1970: a live source goes on by it.
    offsets : dict of str to int
        Length of every table, bytes.
    uri, view, looked, followed, tally, first, pictures
        Source; how the network sees the frames; states of field and drift, of linker and meter; counts; first
        frame; pictures in the movie.
    levels
        Of a live source, how values become grey levels.
    """

    next_index: int
    last_s: float
    wall_s: float
    offsets: dict[str, int]
    uri: str
    view: dict[str, Any]
    looked: bytes
    followed: bytes
    tally: dict[str, float]
    first: TrackedFrame | None
    pictures: int
    levels: Levels | None


class _Careful(pickle.Unpickler):
    """Loads what a run writes, and nothing else: a folder from somebody else must not run programs."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith(_ALLOWED) or (module == "builtins" and name in _BUILTINS):
            return getattr(importlib.import_module(module), name)
        raise pickle.UnpicklingError(f"{module}.{name} does not belong there")


def load_part(data: bytes) -> Any:
    """Load a part of a state.

    Raises
    ------
    OutputError
        If it holds anything that a run does not write.
    """
    try:
        return _Careful(stdlib_io.BytesIO(data)).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, ValueError) as error:
        raise OutputError(f"{STATE}: cannot be read ({error}); begin the run anew") from error


def read_state(folder: Path) -> State:
    """Read the state of a run.

    Raises
    ------
    OutputError
        If there is none, or it is damaged.
    """
    path = folder / STATE
    if not path.is_file():
        raise OutputError(
            f"{folder}: holds no {STATE}; expected the folder of a run that was cut off; one that ended has"
            " none"
        )
    state = load_part(path.read_bytes())
    if not isinstance(state, State):
        raise OutputError(f"{path}: not the state of a run; begin it anew")
    return state


class StateWriter:
    """Writes the state about once a second, each time to a temporary name first.

    Parameters
    ----------
    folder : Path
        Output folder.
    uri : str
        Source.
    view : callable
        Gives how the network sees the frames.
    first : callable
        Gives the first frame, for the report.
    pictures : callable
        Gives the number of pictures in the annotated movie.
    levels : callable
        Gives how values become grey levels.
    """

    def __init__(
        self,
        folder: Path,
        uri: str,
        view: Callable[[], dict[str, Any]],
        first: Callable[[], TrackedFrame | None],
        pictures: Callable[[], int],
        levels: Callable[[], Levels | None],
    ) -> None:
        self._folder, self._uri, self._view, self._first, self._pictures, self._levels = (
            folder,
            uri,
            view,
            first,
            pictures,
            levels,
        )

    def write(self, next_index: int, last_s: float, looked: bytes, followed: bytes, tally: Tally) -> None:
        """Write the state after frames whose rows are on disk, or before the first."""
        counts = {
            name: getattr(tally, name)
            for name in ("frames", "processed", "damaged", "dropped", "skipped", "gap", "blank", "detections")
        }
        counts |= {name: getattr(tally, name) for name in ("over_cap", "tracks")}
        state = State(
            next_index=next_index,
            last_s=last_s,
            wall_s=time.time(),
            offsets={name: (self._folder / name).stat().st_size for name in TABLES},
            uri=self._uri,
            view=self._view(),
            looked=looked,
            followed=followed,
            tally=counts,
            first=self._first(),
            pictures=self._pictures(),
            levels=self._levels(),
        )
        part = self._folder / f"{STATE}.part"
        try:
            part.write_bytes(pickle.dumps(state, protocol=pickle.HIGHEST_PROTOCOL))
            part.replace(self._folder / STATE)
        except OSError as error:
            raise OutputError(
                f"{part}: cannot be written ({error.strerror}); make room, then: track resume {self._folder}"
            ) from error

    def remove(self) -> None:
        """Remove the state of a run that has ended."""
        for name in (STATE, f"{STATE}.part"):
            (self._folder / name).unlink(missing_ok=True)


def truncate_tables(folder: Path, state: State) -> None:
    """Cut the tables to where the state was written.

    Of a run that was cut off while it was refined, the causal ones.

    Raises
    ------
    TableError
        If a table is shorter than that: it was changed since.
    """
    for name in TABLES:
        if (folder / CAUSAL / name).is_file():
            (folder / CAUSAL / name).replace(folder / name)
            (folder / KINETICS.file).unlink(missing_ok=True)
    for name, length in state.offsets.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size < length:
            raise TableError(
                f"{path}: shorter than when the run was cut off; it was changed since, begin the run anew"
            )
    for name, length in state.offsets.items():
        os.truncate(folder / name, length)


def resume(
    folder: Path,
    *,
    progress: Callable[[Tally, int | None], None] | None = None,
    stop: threading.Event | None = None,
    alarm: Callable[[str], None] | None = None,
) -> Run:
    """Go on with a run that was cut off: by a crash, a full disk, a power cut.

    Of a file the tables come out as if it had never been cut off, byte for byte. A live source is connected
    again; ids go on, and what was missed is a gap. Of the annotated movie at most the last 30 pictures before
    the cut are lost.

    Parameters
    ----------
    folder : Path
        Output folder.
    progress, stop, alarm
        As in `insitrack.track`.

    Raises
    ------
    InsitrackError
        If the folder, its state, its source or the model cannot be used; nothing is changed then.
    """
    from insitrack.tracker.run.meters import config_of

    state = read_state(folder)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(f"{folder / MANIFEST}: cannot be read ({error}); begin the run anew") from error
    config = config_of(manifest)
    try:
        config = replace(config, segment=as_found(config.segment, state.view))
    except SettingsError as error:
        raise OutputError(f"{folder / STATE}: {error}; begin the run anew") from error
    part = folder / f"{MOVIE}.part"
    join_movies(folder / MOVIE_BEFORE, part if part.exists() else folder / MOVIE, most=state.pictures)
    return _go_on(folder, state, config, manifest, progress, stop, alarm)


def as_found(config: SegmentConfig, view: Mapping[str, Any]) -> SegmentConfig:
    """Make the settings show the frames as they were shown so far; what was not found out stays as it is."""
    known = view.get("frames_looked_at", 1) > 0
    found = {
        name: view[name] for name in ("contrast", "levels") if name in view and (known or name == "levels")
    }
    if known and isinstance(view.get("scale"), float):  # in words where a checkpoint has a rule of its own
        found["scale"] = view["scale"]
    if isinstance(found.get("levels"), list):
        found["levels"] = tuple(found["levels"])
    return replace(config, **found)


def _go_on(
    folder: Path,
    state: State,
    config: RunConfig,
    manifest: dict[str, Any],
    progress: Callable[[Tally, int | None], None] | None,
    stop: threading.Event | None,
    alarm: Callable[[str], None] | None,
) -> Run:
    """Open the source where it was left, and run the rest."""
    from insitrack.io.live.camera import LeftOff
    from insitrack.io.sources import open_source
    from insitrack.tracker.run.job import Job

    chosen = asdict(config.source)
    del chosen["nm_per_px_sd"]
    left_off = LeftOff(state.next_index, state.last_s + max(0.0, time.time() - state.wall_s), state.levels)
    source = open_source(state.uri, **chosen, live=config.live, alarm=alarm, left_off=left_off)
    try:
        if manifest["source"].get("sha256") != source.describe().get("sha256"):
            raise OutputError(
                f"{state.uri}: is another file than the one that the run began with; put that one back, or"
                " begin the run anew"
            )
        job = Job(state.uri, source, config, folder, [*manifest["command"], "(resumed)"], alarm)
        job.manifest.started = manifest.get("started", job.manifest.started)
        return job.execute(progress, stop, state)
    finally:
        source.close()
