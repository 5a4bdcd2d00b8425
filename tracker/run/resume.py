"""A run that was cut off goes on: tables cut back to its state, the rest as if nothing had happened."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from insitrack.io.errors import InsitrackError, OutputError
from insitrack.io.extras import check_memory
from insitrack.io.files.pixels import PixelHash
from insitrack.io.frames import Frame
from insitrack.io.live.settings import LeftOff
from insitrack.io.manifest import WHOLE
from insitrack.io.sources import open_source
from insitrack.io.tables.run_folder import MANIFEST, STATE
from insitrack.segment.base import SegmentConfig
from insitrack.tracker.run.config import RunConfig
from insitrack.tracker.run.job.finished import Run
from insitrack.tracker.run.job.opening import camera_of, check_spread
from insitrack.tracker.run.job.running import Job, Spread
from insitrack.tracker.run.lock import RunLock
from insitrack.tracker.run.meters import config_of
from insitrack.tracker.run.state import RunFacts, State, address_of, check_tables, read_state
from insitrack.tracker.run.tally import Tally


def resume(
    folder: Path,
    *,
    progress: Callable[[Tally, int | None], None] | None = None,
    stop: threading.Event | None = None,
    alarm: Callable[[str], None] | None = None,
    spread: Spread | None = None,
    on_trigger: Callable[[dict[str, Any]], None] | None = None,
) -> Run:
    """Go on with a run that was cut off: by a crash, a full disk, a power cut.

    Of a file the tables come out as if it had never been cut off, byte for byte. A live source is connected
    again; ids go on, and what was missed is a gap. Of the annotated movie at most the last 30 frames before
    the cut are lost.

    Parameters
    ----------
    folder : Path
        Output folder.
    progress, stop, alarm, spread, on_trigger
        As in `insitrack.track`.

    Raises
    ------
    InsitrackError
        If the folder, its state, its source or the model cannot be used, or the run is alive; nothing is
        changed then.
    """
    check_memory()
    if not folder.is_dir():
        raise OutputError(f"{folder}: no such folder; expected the output folder of a run that was cut off")
    with RunLock(folder):
        state = read_state(folder)
        check_tables(folder, state.facts.offsets)
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            config = config_of(manifest)
            config = replace(config, segment=as_found(config.segment, json.loads(state.facts.view)))
        except InsitrackError as error:
            raise OutputError(f"{folder / MANIFEST}: {error}; start a new run") from error
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise OutputError(f"{folder / MANIFEST}: cannot be read ({error}); start a new run") from error
        return _go_on(folder, state, config, manifest, progress, stop, alarm, spread, on_trigger)


def as_found(config: SegmentConfig, view: Mapping[str, Any]) -> SegmentConfig:
    """Make the settings show the frames as they were shown so far; what was not found out stays as it is."""
    known = view.get("frames_looked_at", 1) > 0
    if config.scale == "each":  # nothing was found out that holds for the next micrograph
        known = False
    found: dict[str, Any] = {
        name: view[name] for name in ("contrast", "levels") if name in view and (known or name == "levels")
    }
    if known and isinstance(view.get("scale"), float):  # in words where a checkpoint has a rule of its own
        found["scale"] = view["scale"]
    if "looks" in view:
        found["looks"] = view["looks"]
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
    spread: Spread | None,
    on_trigger: Callable[[dict[str, Any]], None] | None,
) -> Run:
    """Open the source where it was left, and run the rest."""
    facts = state.facts
    left_off = LeftOff(facts.next_index, facts.last_s + max(0.0, time.time() - facts.wall_s), facts.levels)
    uri = address_of(folder, facts.uri)
    source = open_source(uri, **config.source.reading(), live=config.live, alarm=alarm, left_off=left_off)
    try:
        check_spread(source, config, spread)
        words = [*manifest.get("command", []), "(resumed)"]
        job = Job(uri, source, config, folder, words, alarm, spread, on_trigger=on_trigger)
        for what, before in facts.identity.items():
            if job.identity.get(what) != before:
                raise OutputError(
                    f"{folder / STATE}: the {what} is another one than the run began with"
                    f" ({facts.uri if what == 'source' else what}); put that one back, or start a new run"
                )
        if camera_of(source) is None and job.manifest.source.get("sha256_of", WHOLE) != WHOLE:
            _check_frames(folder, job, facts)
        job.manifest.started = manifest.get("started", job.manifest.started)
        return job.execute(progress, stop, state)
    finally:
        source.close()


def _check_frames(folder: Path, job: Job, facts: RunFacts) -> None:
    """Make sure that the frames before the cut are those that were read, where no hash of a file says so.

    Raises
    ------
    OutputError
        If they are others.
    """
    read = PixelHash()
    for item in job.source:
        if item.index >= facts.next_index:
            break
        if isinstance(item, Frame):
            read.update(item.image)
    if read.value != facts.read_sha256:
        raise OutputError(
            f"{folder / STATE}: the frames of {facts.uri} before frame {facts.next_index} are not those that were"
            " read; put them back, or start a new run"
        )
