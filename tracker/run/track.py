"""One whole job: settings and a source in, an output folder out; the command and Python both come here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from insitrack.io.detections import Detections
from insitrack.io.errors import OutputError, SettingsError, SourceError, nearest
from insitrack.io.extras import check_memory
from insitrack.io.frames import Source
from insitrack.io.sources import open_source
from insitrack.io.tables.run_folder import OUTPUTS, check_folder, default_folder
from insitrack.tracker.link.given import IdGiver
from insitrack.tracker.run.config import RunConfig
from insitrack.tracker.run.job.finished import Run
from insitrack.tracker.run.job.opening import check_spread, check_start
from insitrack.tracker.run.job.running import Given, Job, Spread
from insitrack.tracker.run.lock import RunLock, refuse_if_held
from insitrack.tracker.run.tally import Tally
from insitrack.tracker.run.validation import build_settings

_Section = Mapping[str, Any]


class Options(TypedDict, total=False):
    """Single settings that `track` takes by name, and whole sections of a TOML file; None: the default."""

    nm_per_px: float | None
    nm_per_px_sd: float | None
    view_nm_per_px: Sequence[float] | None
    frame_interval_s: float | None
    start_s: float | None
    end_s: float | None
    every: int | None
    stills: bool | None
    thickness_nm: float | None
    thickness_sd_nm: float | None
    dose_rate_dpa_per_s: float | None
    material: str | None
    confidence: float | None
    classes: Sequence[str] | None
    video: bool | None
    model: str | None
    source: _Section
    live: _Section
    specimen: _Section
    field: _Section
    segment: _Section
    existence: _Section
    drift: _Section
    link: _Section
    refine: _Section
    measure: _Section
    series: _Section
    output: _Section


def track(
    uri: str | Path,
    out: str | Path | None = None,
    *,
    config: RunConfig | None = None,
    overwrite: bool = False,
    progress: Callable[[Tally, int | None], None] | None = None,
    stop: threading.Event | None = None,
    command: Sequence[str] | None = None,
    alarm: Callable[[str], None] | None = None,
    spread: Spread | None = None,
    segmenter: Callable[..., Detections] | None = None,
    linker: IdGiver | str | None = None,
    on_trigger: Callable[[dict[str, Any]], None] | None = None,
    **options: Unpack[Options],
) -> Run:
    """Find, follow and measure the defects of a movie; write tables, annotated movie, report and manifest.

    Parameters
    ----------
    uri : str or Path
        Movie, folder or glob of images, TIFF stack, microscope file, live source, `synth:loops?seed=7`.
    out : str or Path, optional
        Output folder; by default named after the source, in the current directory.
    config, overwrite : RunConfig, bool
        Settings, by default those of `configs/default.toml`; whether an earlier run there is replaced.
    progress, stop : callable, threading.Event, optional
        Called with the running counts and the number of frames (None if unknown) after every source frame and
        every one that is drawn, with `drawn` above 0; set it to end the run after the frame in hand.
    command, spread : sequence of str, callable, optional
        Command line for the manifest; puts the network elsewhere, see `insitrack.tracker.many.stretches.spread_over`.
    alarm, on_trigger : callable, optional
        Get what goes wrong with a live source, and what fired of `live.triggers`; from other threads, must not wait.
    segmenter, linker : callable, object or str, optional
        What finds and what follows the defects in place of ours, see `GivenSegmenter` and `linker_of`; such a run
        cannot be resumed.
    **options
        Single settings on top of `config`: `nm_per_px`, `thickness_nm`, `dose_rate_dpa_per_s`, `material`,
        `model`, `confidence`, `classes`, `start_s`, `end_s`, `every`, `stills`, `video`.

    Returns
    -------
    Run
        The folder and its tables.

    Raises
    ------
    InsitrackError
        If the source, a setting, the model or the output folder is not usable; nothing is written then.

    Examples
    --------
    >>> import insitrack, tempfile
    >>> run = insitrack.track("synth:loops?seed=1&frames=3&size=128", tempfile.mkdtemp(), video=False)
    >>> len(run.frames)
    3
    """
    config = _with_options(config or RunConfig(), options)
    uri, folder = str(uri), Path(out) if out is not None else default_folder(str(uri))
    _check_out(folder, uri, overwrite)
    source = _opened(uri, config, alarm)
    try:
        _refuse_source(source, config, spread, stop)
        call, given = list(command or [f"insitrack.track({uri!r})"]), Given(segmenter, linker)
        job = Job(uri, source, config, folder, call, alarm, spread, given, on_trigger)
        _check_out(folder, uri, overwrite)  # another run may have begun while the model was loaded
        with RunLock(folder):
            return job.execute(progress, stop)
    finally:
        source.close()


def _check_out(folder: Path, uri: str, overwrite: bool) -> None:
    """Refuse an output folder that is in use, holds an earlier run, or the source itself; and too little memory."""
    check_memory()
    refuse_if_held(folder)
    check_folder(folder, overwrite)
    if Path(uri).resolve() in [(folder / name).resolve() for name in OUTPUTS]:
        raise OutputError(f"--out {folder}: {uri} lies there and would be overwritten; choose another folder")


def _opened(uri: str, config: RunConfig, alarm: Callable[[str], None] | None) -> Source:
    """Open the source; one that shows no specimen is refused."""
    source = open_source(uri, **config.source.reading(), live=config.live, alarm=alarm)
    if source.refused:
        source.close()
        raise SourceError(source.refused)
    return source


def _refuse_source(
    source: Source, config: RunConfig, spread: Spread | None, stop: threading.Event | None
) -> None:
    """Refuse what cannot be run as it is asked for."""
    _refuse_slivers(source)
    check_spread(source, config, spread)
    check_start(source, config.source.start_s, stop)


def _refuse_slivers(source: Source) -> None:
    """Refuse frames that are no micrographs: a line of pixels holds no defect."""
    first = next(source.samples(), None)
    if first is not None and min(first.image.shape) < _SMALLEST_SIDE_PX:
        height, width = first.image.shape
        raise SourceError(
            f"{source.name}: frames of {width}x{height} px; expected at least {_SMALLEST_SIDE_PX} px on each"
            " side"
        )


_SMALLEST_SIDE_PX = 16
_SHORT = {
    "nm_per_px": "source",
    "nm_per_px_sd": "source",
    "view_nm_per_px": "source",
    "frame_interval_s": "source",
    "start_s": "source",
    "end_s": "source",
    "every": "source",
    "stills": "source",
    "thickness_nm": "specimen",
    "thickness_sd_nm": "specimen",
    "dose_rate_dpa_per_s": "specimen",
    "material": "specimen",
    "confidence": "segment",
    "classes": "segment",
    "video": "output",
}


def _with_options(config: RunConfig, options: Mapping[str, object]) -> RunConfig:
    """Put single options over a configuration, through the same checks as a TOML file.

    None takes the default.
    """
    tree = config.plain()
    for name, value in options.items():
        if name not in Options.__annotations__:
            near = nearest(name, [*Options.__annotations__, *track.__annotations__])
            hint = (
                f"did you mean {near}?" if near else f"expected some of {', '.join(Options.__annotations__)}"
            )
            raise SettingsError(f"track has no option {name}; {hint}")
        section = tree[_SHORT[name]] if name in _SHORT else tree
        section[name] = value
        if value is None:
            del section[name]
    return build_settings(RunConfig, tree)
