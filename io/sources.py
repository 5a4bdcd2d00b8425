"""The one door to every kind of source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from insitrack.io.files.folder import IMAGE_SUFFIXES, VENDOR_SUFFIXES
from insitrack.io.frames import Calibration, Source
from insitrack.io.live.feeds import is_live
from insitrack.io.timeline import SelectedSource, Selection, check_interval

if TYPE_CHECKING:
    from insitrack.io.live.replay import Fault, Replay
    from insitrack.io.live.settings import LeftOff, LiveConfig

_WILDCARDS = frozenset("*?[")


def open_source(
    uri: str | Path,
    *,
    nm_per_px: float | None = None,
    frame_interval_s: float | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
    every: int = 1,
    live: LiveConfig | None = None,
    alarm: Callable[[str], None] | None = None,
    left_off: LeftOff | None = None,
) -> Source:
    """Open whatever frames can come from.

    Parameters
    ----------
    uri : str or Path
        A movie file; a folder or glob of images, in natural order; one image; a TIFF stack; a file of a
        microscope (`.dm3 .dm4 .emd .mrc .tvips .ser` and more); `synth:SCENE`, a synthetic movie; or a live
        source: `camera:0`, `rtsp://`, `http://`, `srt://`, `watch:FOLDER`, `screen:LEFT,TOP,WIDTH,HEIGHT`.
    nm_per_px : float, optional
        Width of a pixel, nm; by default that of the metadata, unknown where there are none.
    frame_interval_s : float, optional
        Time between frames, s, in place of the timestamps: frame number times this. Images without times
        get 1 s each, and that is said.
    start_s, end_s, every
        First and last time to process, s from the first frame, both included; and every N-th frame.
    live, alarm, left_off
        Of a live source, see `insitrack.io.live.camera.LiveSource`.

    Returns
    -------
    Source
        It yields every frame; those not asked for come as `MissingFrame` with status `skipped`, not decoded
        where that can be avoided.

    Raises
    ------
    SourceError
        If there is nothing there, or no image in it can be read; `SettingsError` if a scale, time or step
        is impossible.

    Examples
    --------
    >>> source = open_source("synth:loops?seed=7&frames=3&size=128", frame_interval_s=0.5, every=2)
    >>> [(frame.index, frame.t_s, getattr(frame, "status", "")) for frame in source]
    [(0, 0.0, ''), (1, 0.5, 'skipped'), (2, 1.0, '')]
    """
    selection = Selection(start_s=start_s, end_s=end_s, every=every)
    check_interval(frame_interval_s)
    # refuses an impossible scale before anything is opened
    calibration = Calibration(nm_per_px=nm_per_px, origin="command line")
    text = str(uri)
    if text.startswith("synth:"):
        return _drawn(text, selection, frame_interval_s, calibration)
    if is_live(text):
        from insitrack.io.live.camera import LiveSource

        camera = LiveSource(
            text, live, nm_per_px=nm_per_px, usual_s=frame_interval_s, alarm=alarm, left_off=left_off
        )
        whole = selection == Selection() and frame_interval_s is None
        return camera if whole else SelectedSource(camera, selection, frame_interval_s)
    if _is_stack(text):
        from insitrack.io.files.stacks import StackSource

        return StackSource(uri, nm_per_px=nm_per_px, frame_interval_s=frame_interval_s, selection=selection)
    from insitrack.io.files.movie import MovieSource

    return MovieSource(Path(uri), nm_per_px=nm_per_px, frame_interval_s=frame_interval_s, selection=selection)


def _drawn(
    uri: str, selection: Selection, frame_interval_s: float | None, given: Calibration
) -> SelectedSource:
    """Open a synthetic movie; a scale that was given takes the place of its own."""
    from insitrack.io.synth.source import SynthSource

    chosen = SelectedSource(SynthSource(uri), selection, frame_interval_s)
    if given.nm_per_px is not None:
        chosen.calibration = given
    return chosen


def _is_stack(name: str) -> bool:
    """Distinguish folders, patterns, images and files of microscopes from movies."""
    path = Path(name)
    return (
        path.is_dir()
        or path.suffix.lower() in IMAGE_SUFFIXES + VENDOR_SUFFIXES
        or (not path.exists() and bool(_WILDCARDS & set(name)))
    )


def replay(
    uri: str | Path, *, port: int = 0, fps: float | None = None, faults: Sequence[Fault] = (), loops: int = 1
) -> Replay:
    """Play whatever can be opened as a camera on this computer.

    Parameters
    ----------
    uri : str or Path
        Movie, folder of images or synthetic scene.
    port, fps, faults, loops
        As in `insitrack.io.live.replay.Replay`.

    Examples
    --------
    >>> with replay("synth:loops?frames=2&size=64") as camera:
    ...     camera.address.startswith("http://127.0.0.1:")
    True
    """
    from insitrack.io.live.replay import Replay

    return Replay(partial(open_source, uri), port=port, fps=fps, faults=faults, loops=loops)
