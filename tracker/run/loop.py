"""The loop: source, segmenter, drift, linker, meter, sinks. Batch and live are the same code."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import cv2

from insitrack.io.arrays import BoolImage
from insitrack.io.detections import Detections
from insitrack.io.files.pixels import PixelHash
from insitrack.io.frames import Calibration, Frame, MissingFrame, Source
from insitrack.io.results import TrackedFrame, TrackSummary
from insitrack.io.tables.sink import Sink
from insitrack.segment.base import Segmenter
from insitrack.segment.prepare.field import FieldConfig, FieldFinder, FieldSnapshot
from insitrack.tracker.existence.live import ExistenceSnapshot, LiveExistence
from insitrack.tracker.link.drift import Drift, DriftEstimator, DriftSnapshot
from insitrack.tracker.link.linker import Linker
from insitrack.tracker.link.state import LinkerSnapshot
from insitrack.tracker.link.view_scale import ViewScale, ViewScaleSnapshot
from insitrack.tracker.measure.measure import MeasureConfig
from insitrack.tracker.run.follow import PreparedFrame, follow
from insitrack.tracker.run.job.snapshot import MeterSnapshot, snapshot_of
from insitrack.tracker.run.tally import Tally
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.trust.live import LiveTrust, TrustSnapshot

Progress = Callable[["Tally"], None]
KeepState = Callable[["Moment"], None]
STATE_EVERY_S = 1.0
_TICK_S = 0.2
_LIVE_END_S = 0.3  # for the frame in hand of a live source that was asked to end
_READ_AHEAD = 6  # frames decoded before they are asked for: enough to ride out a slow one, little memory


@dataclass(frozen=True, slots=True)
class Moment:
    """What a run that is cut off can go on from, as it is when the rows of a frame have been written.

    Parameters
    ----------
    next_index : int
        Number of the next frame.
    last_s : float
        Time of the last frame, s.
    fields, drift, linker, meter, existence, trust, scale
        What each remembers: `FieldSnapshot`, `DriftSnapshot`, `LinkerSnapshot`, `MeterSnapshot`,
        `ExistenceSnapshot`, `TrustSnapshot`, `ViewScaleSnapshot`.
    tally : Tally
        Counts so far.
    """

    next_index: int
    last_s: float
    fields: FieldSnapshot
    drift: DriftSnapshot
    linker: LinkerSnapshot
    meter: MeterSnapshot
    existence: ExistenceSnapshot
    trust: TrustSnapshot
    scale: ViewScaleSnapshot
    tally: Tally


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a run that was cut off goes on.

    Parameters
    ----------
    next_index : int
        First frame to look at.
    fields : FieldFinder
        As it was after the frame before.
    tally : Tally
        Counts so far.
    """

    next_index: int
    fields: FieldFinder
    tally: Tally


class Reader:
    """Decodes frames, finds their field and their drift, in a thread of its own, a few frames ahead.

    Parameters
    ----------
    source : Source
        Frames.
    fields : FieldConfig
        How overlays and borders are found.
    drift : DriftEstimator
        Follows the stage.
    live : bool
        Frames come when they come: none is read ahead, so that the queue of the source knows how many wait.
    stop : threading.Event, optional
        Ends the reading also while no frame comes.
    state_every_s : float or None
        Time between two states of field and drift that go with the frames, s; None: none.
    goes_on : ResumePoint, optional
        Where a run that was cut off goes on.
    """

    def __init__(
        self,
        source: Source,
        fields: FieldConfig,
        drift: DriftEstimator,
        *,
        live: bool = False,
        stop: threading.Event | None = None,
        state_every_s: float | None = None,
        goes_on: ResumePoint | None = None,
    ) -> None:
        self._source, self._drift = source, drift
        self._fields = FieldFinder(fields) if goes_on is None else goes_on.fields
        self._from = 0 if goes_on is None else goes_on.next_index
        self._read = PixelHash("" if goes_on is None else goes_on.tally.read_sha256)
        self._state_every_s, self._state_s = state_every_s, time.monotonic()
        self._queue: queue.Queue[PreparedFrame | BaseException | None] = queue.Queue(
            1 if live else _READ_AHEAD
        )
        self._stop, self._asked, self._live = threading.Event(), stop, live
        self._lock = threading.Lock()
        self._waiting: list[tuple[Frame | MissingFrame, BoolImage | None, str]] = []
        """Frames of which it is not known yet in which view they lie, and the missing ones among them."""
        self._thread = threading.Thread(target=self._work, name="insitrack-reader", daemon=True)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        end_s = time.monotonic() + (_LIVE_END_S if self._live else math.inf)
        while self._thread.is_alive() and time.monotonic() < end_s:  # it may be waiting for room
            try:
                self._queue.get(timeout=0.05)
            except queue.Empty:
                continue
        # of a live source that is silent the thread waits for a picture, and ends when the source is closed

    @property
    def idle(self) -> bool:
        """Whether no frame waits."""
        return self._queue.empty()

    def __iter__(self) -> Iterator[PreparedFrame]:
        while True:
            try:
                looked = self._queue.get(timeout=_TICK_S)
            except queue.Empty:
                if self._asked is not None and self._asked.is_set():
                    yield from self._rest()
                    return
                continue
            if looked is None:
                return
            if isinstance(looked, BaseException):
                raise looked
            yield looked

    def _work(self) -> None:
        try:
            for item in self._source:
                if self._stop.is_set():
                    break
                if item.index >= self._from:
                    for looked in self._look(item):
                        self._queue.put(looked)
            for looked in self._rest():
                self._queue.put(looked)
            self._queue.put(None)
        except BaseException as error:  # handed to the thread that waits for frames, which raises it
            self._queue.put(error)

    def _look(self, item: Frame | MissingFrame) -> list[PreparedFrame]:
        """Find field and drift of a frame; return it with those that waited for it, or nothing if it waits."""
        with self._lock:
            if isinstance(item, MissingFrame):
                self._waiting.append((item, None, self._read.value))
                return self._released(())
            area = self._fields.update(item.image)
            drifts = self._drift.update(item, area)
            self._waiting.append((item, area, self._read.update(item.image)))
            return self._released(drifts)

    def _rest(self) -> list[PreparedFrame]:
        """Return the frames that still wait when the source ends, or is asked to."""
        with self._lock:
            return self._released(self._drift.finish())

    def _released(self, drifts: tuple[Drift, ...]) -> list[PreparedFrame]:
        """Put the frames that waited together with their drifts; of later ones nothing is known yet."""
        ready, left = [], list(drifts)
        while self._waiting and (left or isinstance(self._waiting[0][0], MissingFrame)):
            item, area, read = self._waiting.pop(0)
            if isinstance(item, MissingFrame):
                ready.append(PreparedFrame(item, None, (math.nan, math.nan), read_sha256=read))
            else:
                ready.append(PreparedFrame(item, area, *left.pop(0), read))
        return self._with_state(ready)

    def _with_state(self, ready: list[PreparedFrame]) -> list[PreparedFrame]:
        """Add field and drift as they are after the last frame, if it is time and no other one waits."""
        now = time.monotonic()
        if (
            self._state_every_s is None
            or now - self._state_s < self._state_every_s
            or self._waiting
            or not ready
        ):
            return ready
        self._state_s = now
        return [*ready[:-1], replace(ready[-1], state=(self._fields.snapshot(), self._drift.snapshot()))]


def run(
    source: Source,
    segmenter: Segmenter,
    linker: Linker,
    meter: SeriesMeter,
    sinks: Sequence[Sink],
    *,
    existence: LiveExistence | None = None,
    trust: LiveTrust | None = None,
    calibration: Calibration | ViewScale,
    fields: FieldConfig,
    drift: DriftEstimator,
    sizes: MeasureConfig,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    live: bool = False,
    keep_state: KeepState | None = None,
    goes_on: ResumePoint | None = None,
) -> Tally:
    """Process a source to its end, or until `stop` is set; every frame reaches every sink once, in order.

    Parameters
    ----------
    source, segmenter, linker, meter, sinks
        Frames; what finds defects, follows them, makes the rows of the series; where results go.
    existence, trust : LiveExistence, LiveTrust, optional
        Judge which detections are defects and which frames are of a known kind; None: all are, nobody does.
    calibration, fields, drift, sizes
        Scale and thickness, for all views or for each; how overlays and borders are found; what follows the
        stage; definitions of size.
    progress, keep_state : callable, optional
        Called with the running counts after every source frame; gets, at the beginning and about once a
        second, what a run that is cut off can go on from.
    stop : threading.Event, optional
        Set it to end the run after the frame in hand; everything written stays complete.
    live : bool
        The source does not wait: every frame goes through as soon as it comes, instead of several at once.
    goes_on : ResumePoint, optional
        Where a run that was cut off goes on; linker, meter and drift are then as they were.

    Returns
    -------
    Tally
        Counts.
    """
    tally = Tally() if goes_on is None else goes_on.tally
    every_s = None if keep_state is None else STATE_EVERY_S
    existence, scale = existence or LiveExistence(None), _view_scale(calibration)
    with ExitStack() as stack:
        stack.enter_context(_ready(sinks))
        if keep_state is not None and goes_on is None:
            unseen = FieldFinder(fields).snapshot(), drift.snapshot()
            keep_state(_moment((0, 0.0), unseen, linker, meter, (existence, trust), scale, tally))
        reader = stack.enter_context(
            Reader(source, fields, drift, live=live, stop=stop, state_every_s=every_s, goes_on=goes_on)
        )
        for detections, looked in _found(segmenter, reader, live):
            tracked = follow(detections, looked, linker, meter, existence, scale, sizes, trust)
            _write(tracked, sinks)
            tally.count(tracked, 0 if detections is None else detections.n_over_cap)
            tally.read_sha256 = looked.read_sha256
            if keep_state is not None and looked.state is not None:
                at = tracked.frame.index + 1, tracked.frame.t_s
                keep_state(_moment(at, looked.state, linker, meter, (existence, trust), scale, tally))
            if progress is not None:
                progress(tally)
            if stop is not None and stop.is_set():
                break
        _finish(existence.known(linker.finish()), sinks)
    return tally


def _view_scale(calibration: Calibration | ViewScale) -> ViewScale:
    return calibration if isinstance(calibration, ViewScale) else ViewScale(calibration)


@contextmanager
def _ready(sinks: Sequence[Sink]) -> Iterator[None]:
    """Open the sinks, and keep OpenCV to one thread.

    The cores are busy with the network; sharing small frames among them only adds waiting.
    """
    threads = cv2.getNumThreads()
    with ExitStack() as stack:
        stack.callback(cv2.setNumThreads, threads)
        cv2.setNumThreads(1)
        for sink in sinks:
            stack.enter_context(sink)
        yield


def _write(tracked: TrackedFrame, sinks: Sequence[Sink]) -> None:
    for sink in sinks:
        sink.write(tracked)


def _finish(remaining: tuple[TrackSummary, ...], sinks: Sequence[Sink]) -> None:
    for sink in sinks:
        sink.finish(remaining)


def _found(
    segmenter: Segmenter, reader: Reader, live: bool
) -> Iterator[tuple[Detections | None, PreparedFrame]]:
    """Give the frames with what the segmenter finds in them."""
    for detections, looked in segmenter.stream(_items(reader, live)):
        if looked is not None:
            yield detections, looked


def _moment(
    at: tuple[int, float],
    looked_at: tuple[FieldSnapshot, DriftSnapshot],
    linker: Linker,
    meter: SeriesMeter,
    judges: tuple[LiveExistence, LiveTrust | None],
    scale: ViewScale,
    tally: Tally,
) -> Moment:
    existence, trust = judges[0].snapshot(), (judges[1] or LiveTrust()).snapshot()
    linked, measured = linker.snapshot(), snapshot_of(meter)
    return Moment(*at, *looked_at, linked, measured, existence, trust, scale.snapshot(), tally)


def _items(
    reader: Reader, live: bool
) -> Iterator[tuple[Frame | None, BoolImage | None, PreparedFrame | None]]:
    """Give frames to the segmenter; live, an item without a frame follows where none waits, to flush it."""
    for looked in reader:
        yield looked.item if isinstance(looked.item, Frame) else None, looked.field, looked
        if live and reader.idle:
            yield None, None, None
