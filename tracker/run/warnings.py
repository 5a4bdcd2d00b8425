"""What the user of a run should know before using its numbers, one line each."""

from __future__ import annotations

from collections.abc import Sequence

from insitrack.io.frames import Source
from insitrack.segment.base import Segmenter
from insitrack.tracker.run.config import RunConfig
from insitrack.tracker.run.tally import Tally
from insitrack.tracker.series.diagnostics import DOSE_UNKNOWN

_UNRELATED = 0.5
"""Above this share of frames that cannot be registered the source is no movie of one place."""


def of_micrographs(source: Source, config: RunConfig) -> bool:
    """Whether what is read is no movie: separate micrographs, or a single one."""
    return config.source.stills or source.n_frames == 1


def run_warnings(
    source: Source, segmenter: Segmenter, config: RunConfig, tally: Tally, others: Sequence[str]
) -> list[str]:
    """Collect the warnings of a run: those of the source, `others`, then those that the counts tell."""
    no_movie = of_micrographs(source, config)
    lines = [*source.warnings, *others]
    if (
        not no_movie
        and source.time_origin.startswith("assumed")
        and not any("--frame-interval-s" in line for line in lines)
    ):
        lines.append(f"time is {source.time_origin}; give the true interval with --frame-interval-s")
    if no_movie:  # micrographs have no time axis on which a dose would run
        lines = [line for line in lines if line != DOSE_UNKNOWN]
    if tally.over_cap:
        lines.append(
            f"{tally.over_cap} detections were thrown away by segment.max_detections ="
            f" {config.segment.max_detections}; raise it"
        )
    if tally.blank:
        lines.append(
            f"{tally.blank} frame{'s' * (tally.blank != 1)} without specimen (the beam off, or no structure): numbers"
            " stay empty there; see field.blank_share"
        )
    if tally.processed > 2 and not no_movie and tally.unregistered > _UNRELATED * (tally.processed - 1):
        lines.append(
            f"{tally.unregistered} of {tally.processed} frames do not fit the frames before them: if these are"
            " separate micrographs and no movie, births, deaths and tracks mean nothing; run again with --stills"
        )
    misfits = segmenter.describe().get("view", {}).get("frames_misfit", 0)
    if misfits:
        lines.append(
            f"{misfits} frames are much brighter, darker or paler than the grey levels that were fixed for the"
            " run, and defects may be missed in them; let each frame have its own: --set segment.levels=frame"
        )
    if not tally.processed:
        why = "all that were asked for are damaged" if tally.damaged else "check --start, --end and --every"
        lines.append(f"no frame was processed: {why}")
    return lines
