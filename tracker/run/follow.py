"""One source frame after the network: measured, linked, judged, and turned into rows of the series."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import BoolImage, Floats, Ints
from insitrack.io.detections import Detections
from insitrack.io.frames import Frame, MissingFrame
from insitrack.io.results import Doubted, Event, Measures, TrackedFrame
from insitrack.segment.prepare.field import FieldSnapshot
from insitrack.tracker.existence.believed import believe
from insitrack.tracker.existence.live import LiveExistence
from insitrack.tracker.link.drift import DriftSnapshot
from insitrack.tracker.link.linker import Linker
from insitrack.tracker.link.state import SizesOf
from insitrack.tracker.link.view_scale import ViewScale
from insitrack.tracker.measure.by_class import lengths_of_lines, sizes_as
from insitrack.tracker.measure.measure import MeasureConfig, measure
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.trust.live import UNKNOWN, LiveTrust

Shift = tuple[float, float]


@dataclass(frozen=True, slots=True)
class PreparedFrame:
    """A source frame after the first stage: decoded, its field found, its drift known."""

    item: Frame | MissingFrame
    field: BoolImage | None
    shift_px: Shift
    drift_quality: float = math.nan
    view: int = 0
    """Number of the view, and how many times larger it shows the specimen than the one before; see
    `insitrack.tracker.link.drift.Drift`."""
    magnified: float | None = None
    read_sha256: str = ""
    """Hash of all frames up to this one."""
    state: tuple[FieldSnapshot, DriftSnapshot] | None = None
    """Field and drift after this frame, now and then: what a run that was cut off goes on from."""


def follow(
    detections: Detections | None,
    looked: PreparedFrame,
    linker: Linker,
    meter: SeriesMeter,
    existence: LiveExistence,
    scale: ViewScale,
    sizes: MeasureConfig,
    trust: LiveTrust | None = None,
) -> TrackedFrame:
    """Everything after the network for one source frame."""
    item = looked.item
    blind = looked.field is not None and not looked.field.any()
    if detections is None or blind:  # nothing was looked for: neither a count of 0 nor the end of a track
        lost = item if isinstance(item, MissingFrame) else MissingFrame(item.index, item.t_s, "gap")
        nothing = (
            Detections.empty(item.index, item.t_s, (0, 0))
            if detections is None
            else detections.take(np.zeros(0, np.int64))
        )
        series = () if lost.status == "skipped" else meter.missing(lost)
        empty = (measure(nothing, scale.calibration, sizes), np.zeros(0, np.int64), np.zeros(0, bool))
        area = math.nan if detections is None else 0.0
        tracked = TrackedFrame(
            item, nothing, *empty, looked.shift_px, series, drift_quality=looked.drift_quality, field_px=area
        )
        return replace(tracked, view=scale.view, nm_per_px=scale.nm_per_px)
    new_view = scale.enter(looked.view, looked.magnified, detections)
    ended = existence.new_view(linker.new_view()) if new_view else ()
    if trust is not None:
        trust.enter(new_view=new_view, nm_per_px=scale.nm_per_px)
    local = scale.calibration if looked.field is None else replace(scale.calibration, field=looked.field)
    measures = measure(detections, local, sizes)
    meter.set_scale(scale.nm_per_px)

    def sizes_of(names: NDArray[np.str_]) -> Floats:
        return sizes_as(measures, names, scale.nm_per_px, sizes)

    tracked = follow_measured(detections, measures, looked, linker, meter, existence, trust, sizes_of)
    begins = (Event(item.index, item.t_s, "view", -1),) if new_view else ()
    return replace(
        tracked,
        events=(*begins, *tracked.events),
        finished=(*ended, *tracked.finished),
        view=scale.view,
        nm_per_px=scale.nm_per_px,
    )


def follow_measured(
    detections: Detections,
    measures: Measures,
    looked: PreparedFrame,
    linker: Linker,
    meter: SeriesMeter,
    existence: LiveExistence,
    trust: LiveTrust | None = None,
    sizes_of: SizesOf | None = None,
) -> TrackedFrame:
    """Everything after the measuring for one source frame.

    Without a shift in `looked` the drift is estimated from the defects themselves, without `sizes_of` a size is
    what was measured, and without `trust` nobody judges whether the frame is of a known kind.
    """
    item = looked.item
    shift_px = None if math.isnan(looked.shift_px[0]) else looked.shift_px
    linked = linker.update(detections, measures, shift_px, sizes_of)
    if linked.size_nm is not None:
        measures = replace(measures, size_nm=linked.size_nm)
    coasting = linked.coasting
    everything = replace(detections, labels=linked.track_labels).then(coasting.detections)
    sizes_of_all = lengths_of_lines(measures.then(coasting.measures), everything)
    ids = np.concatenate([linked.track_ids, coasting.track_ids])
    observed = np.arange(len(ids)) < len(detections)  # defects that are alive in a gap come last
    scores = detections.scores.astype(np.float64)
    believed = believe(linked, scores, everything.names(), (item.index, item.t_s), existence)
    kept = np.flatnonzero(believed.keep)
    doubted = np.flatnonzero(~believed.keep & observed & (ids > 0))  # 0: too weak to begin a track
    found, sizes = _rows(everything, sizes_of_all, kept)
    verdict = UNKNOWN
    if trust is not None and isinstance(item, Frame):
        fits = looked.drift_quality != 0
        verdict = trust.update(item, looked.field, sizes, observed[kept], registered=fits)
    if verdict.trust < meter.config.least_trust:
        linker.forget_sizes()
        sizes = sizes.without_nm(np.arange(len(kept)))
        sizes_of_all = sizes_of_all.without_nm(np.arange(len(ids)))
    series = meter.rows(
        item.index,
        item.t_s,
        found,
        sizes,
        observed[kept],
        believed.births_by_class,
        believed.deaths_by_class,
        field=looked.field,
        trust=verdict.trust,
    )
    area = float(np.prod(detections.shape) if looked.field is None else np.count_nonzero(looked.field))
    return TrackedFrame(
        item,
        found,
        sizes,
        ids[kept],
        observed[kept],
        linked.shift_px,
        series,
        believed.events,
        believed.finished,
        looked.drift_quality,
        area,
        believed.probability[kept],
        Doubted(
            everything.take(doubted), sizes_of_all.take(doubted), ids[doubted], believed.probability[doubted]
        ),
        trust=verdict.trust,
        distrust=verdict.reasons,
    )


def _rows(found: Detections, sizes: Measures, rows: Ints) -> tuple[Detections, Measures]:
    """Take some rows of both; most often all are wanted, as they are."""
    return (found, sizes) if len(rows) == len(found) else (found.take(rows), sizes.take(rows))
