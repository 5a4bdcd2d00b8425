"""What a live run has more than a file: its state, what viewers may do, its page, and what is watched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from insitrack.io.live.camera import LiveSource
from insitrack.io.live.status import LiveStatus
from insitrack.io.live.view import LiveView
from insitrack.io.tables.sink import Sink
from insitrack.tracker.run.config import RunConfig
from insitrack.tracker.run.live.controls import LiveControls
from insitrack.tracker.run.live.triggers import Fired, LiveTriggers
from insitrack.tracker.run.lock import note_page
from insitrack.tracker.series.meter import SeriesMeter


@dataclass(frozen=True, slots=True)
class LiveParts:
    """The parts of a live run that are asked later; the page may be none."""

    status: LiveStatus
    controls: LiveControls
    view: LiveView | None


def live_parts(
    sinks: list[Sink],
    camera: LiveSource,
    folder: Path,
    config: RunConfig,
    meter: SeriesMeter,
    nm_per_px: float | None,
    stop: threading.Event,
    alarm: Callable[[str], None] | None,
    on_trigger: Callable[[Fired], None] | None,
) -> LiveParts:
    """Make them, and put them behind the tables, which come first: what they see is on disk.

    Parameters
    ----------
    sinks : list of Sink
        Those of the run; they are put behind the first.
    camera, folder, config, meter, nm_per_px, stop, alarm, on_trigger
        Of the run.

    Raises
    ------
    SettingsError
        If the port of the page cannot be used.
    """
    status = LiveStatus(camera, folder, config.series.least_trust)
    controls = LiveControls(camera, meter, folder, stop, config.live.triggers)
    triggers = LiveTriggers(config.live.triggers, camera, status, controls.fired, on_trigger)
    view, (host, _, port) = None, config.output.view.rpartition(":")
    if host:
        view = LiveView(
            status,
            camera.name,
            controls,
            nm_per_px=nm_per_px,
            host=host.strip("[]"),
            port=int(port),
            warn=camera.tell,
        )
        if view.token is None:
            note_page(folder, view.address)
        if alarm is not None:
            alarm(f"watch it at {view.address}")
    sinks[1:1] = [status, controls, triggers, *([] if view is None else [view])]
    return LiveParts(status, controls, view)
