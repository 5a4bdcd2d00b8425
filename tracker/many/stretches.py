"""One movie on many machines: stretches of frames go to workers, their finds come back in order.

The process that was started reads the movie, finds overlays and drift, links, measures and writes: all that
depends on the frames before. The network, which is nearly all of the cost and looks at each frame by itself,
runs elsewhere. Scale, polarity and grey levels are settled here, on the first frames, and given to the workers.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from insitrack.io.arrays import BoolImage
from insitrack.io.detections import Detections
from insitrack.io.errors import InsitrackError, RunError
from insitrack.io.frames import Frame
from insitrack.io.write import plain_facts
from insitrack.segment.base import SegmentConfig, Segmenter
from insitrack.segment.prepare.find_view import LOOK_FRAMES
from insitrack.tracker.many.cluster import MOST_JOBS, ClusterChoice, connected
from insitrack.tracker.many.crew import Crew
from insitrack.tracker.many.far_network import Item, find_in_stretch, packed, unpacked
from insitrack.tracker.run.resume import as_found

Tag = TypeVar("Tag")
LENGTH = 8
"""Frames of a stretch."""
_AT_ONCE = 2  # stretches at a worker: one that runs, and the next
_MOST_FLYING = 4  # stretches for each worker that are on their way or wait for an earlier one: memory is flat
_LOOK_EVERY_S, _TICK_S, _NO_WORKER_S = 0.5, 0.002, 600.0
_MOST_DEATHS = 5


@dataclass(slots=True, eq=False)
class _Stretch:
    """Frames that go to a worker together, with what waits between them."""

    items: list[Item] = field(default_factory=list)
    future: Any = None
    worker: str = ""
    deaths: int = 0

    @property
    def n_frames(self) -> int:
        return sum(frame is not None for frame, _, _ in self.items)


class SpreadSegmenter:
    """A segmenter whose network runs on workers; the detections are those of the one that it stands for.

    Parameters
    ----------
    local : Segmenter
        Sees the first frames, on which scale, polarity and grey levels are settled.
    config : SegmentConfig
        Its settings.
    model : str
        Its name, as workers find it.
    client : distributed.Client
        The workers; they may come and go.
    crew : Crew
        Which of them can be used.
    tell : callable
        Gets one line where a worker is lost.
    """

    def __init__(
        self,
        local: Segmenter,
        config: SegmentConfig,
        model: str,
        client: Any,
        crew: Crew,
        tell: Callable[[str], None],
    ) -> None:
        self._local, self._config, self._model = local, config, model
        self._client, self._crew, self._tell = client, crew, tell
        self.class_names = local.class_names
        self._order: dict[str, Any] = {}
        self._flying: deque[_Stretch] = deque()
        self._waiting: deque[_Stretch] = deque()
        self._stretches: Iterator[_Stretch] = iter(())
        self._looked_s = self._idle_s = 0.0
        self._misfits = 0
        self._runtimes: dict[str, str] = {}

    def __call__(self, frame: Frame, field: BoolImage | None = None) -> Detections:
        """Return what is in one frame, found here."""
        return self._local(frame, field)

    def for_live(self) -> None:
        """Do nothing: a camera is never spread."""

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest: those of the network here, and which others took part."""
        facts = self._local.describe()
        view = dict(facts.get("view") or {})
        if self._misfits:
            view["frames_misfit"] = int(view.get("frames_misfit", 0)) + self._misfits
        return {**facts, "view": view, **({"workers": self._runtimes} if self._runtimes else {})}

    def stream(
        self, items: Iterable[tuple[Frame | None, BoolImage | None, Tag]]
    ) -> Iterator[tuple[Any, Tag]]:
        """Run over many frames in order: the first here, the rest wherever a worker is free."""
        rest = _Ahead(iter(items))
        yield from self._local.stream(self._head(rest))
        if rest.over:
            return
        seen = as_found(self._config, self._local.describe().get("view", {}))
        self._order = {
            "model": self._model,
            "sha256": self._local.describe().get("sha256"),
            "config": plain_facts(dataclasses.asdict(seen)),
        }
        self._crew.look()
        self._stretches = _stretches(rest)
        try:
            while True:
                self._fill()
                if not self._flying:
                    return
                yield from self._next()
        finally:  # whoever asks for no more leaves nothing running
            for one in self._flying:
                if one.future is not None:
                    one.future.cancel(force=True)
            self._flying.clear()

    def _head(self, rest: _Ahead) -> Iterator[Item]:
        """Give the first frames, until it is settled how to show the others, and never leave one or two."""
        n = 0
        for item in rest:
            n += item[0] is not None
            yield item
            view = self._local.describe().get("view", {})
            settled = n >= LOOK_FRAMES and view.get("frames_looked_at", 1) != 0
            if (settled or _given(self._config)) and rest.holds(LOOK_FRAMES):
                return

    def _fill(self) -> None:
        """Give out as many stretches as the workers can have at hand; what has come early waits here, within bounds."""
        self._watch()
        busy = dict.fromkeys(self._crew.usable, 0)
        for one in self._flying:
            if one.worker in busy and one.future.status != "finished":
                busy[one.worker] += 1
        for address, n in sorted(busy.items(), key=lambda pair: pair[1]):
            for _ in range(_AT_ONCE - n):
                again = self._waiting.popleft() if self._waiting else None
                if again is None and len(self._flying) >= _MOST_FLYING * len(busy):
                    return
                chosen = again or next(self._stretches, None)
                if chosen is None:
                    return
                if again is None:
                    self._flying.append(chosen)
                self._send(chosen, address)

    def _send(self, one: _Stretch, address: str) -> None:
        order = {**self._order, "threads": self._crew.threads[address]}
        try:
            data = self._client.scatter([packed(one.items)], workers=[address], direct=True, hash=False)[0]
        except (OSError, TimeoutError, KeyError, ValueError):  # it is gone, and nobody has noticed yet
            self._looked_s = -_LOOK_EVERY_S
            self._waiting.append(one)
            return
        one.worker = address
        one.future = self._client.submit(find_in_stretch, order, data, workers=[address], pure=False)

    def _watch(self) -> None:
        """See which workers are there; take back what those had that are gone."""
        now = time.monotonic()
        lost = [
            one
            for one in self._flying
            if one.future is not None and one.future.status in ("error", "lost", "cancelled")
        ]
        if now - self._looked_s < _LOOK_EVERY_S and not lost:
            return
        self._looked_s = now
        self._crew.look()
        for one in self._flying:
            if one.future is None or one.future.status == "finished":
                continue
            if one in lost or one.worker not in self._crew.threads:
                self._take_back(one)
        if self._crew.usable:
            self._idle_s = now
        elif now - (self._idle_s or now) > _NO_WORKER_S:
            raise RunError(f"no worker came back within {_NO_WORKER_S / 60:.0f} min; track resume goes on")
        self._idle_s = self._idle_s or now

    def _take_back(self, one: _Stretch) -> None:
        """Put a stretch whose worker is gone back; what is wrong with the work itself ends the run."""
        if one.future.status == "error" and isinstance(error := one.future.exception(), InsitrackError):
            raise error
        one.future.cancel(force=True)
        one.deaths += 1
        first = next(frame.index for frame, _, _ in one.items if frame is not None)
        if one.deaths >= _MOST_DEATHS:
            raise RunError(
                f"{one.deaths} workers died over frame {first} and those after it; track resume goes on"
            )
        self._tell(f"the worker of frame {first} is gone; another one does it")
        one.future, one.worker = None, ""
        self._waiting.append(one)

    def _next(self) -> Iterator[tuple[Any, Any]]:
        """Give the finds of the oldest stretch, when they have come."""
        one = self._flying[0]
        while one.future is None or one.future.status != "finished":
            self._fill()
            time.sleep(_TICK_S)
        try:
            result = one.future.result()
        except Exception:  # its worker died with the result
            one.future.cancel(force=True)
            one.future, one.worker = None, ""
            self._waiting.append(one)
            return
        self._flying.popleft()
        self._misfits += result["misfits"]
        self._note(result["runtime"])
        found = iter(result["found"])
        for frame, _, tag in one.items:
            yield (None if frame is None else unpacked(next(found))), tag

    def _note(self, runtime: dict[str, str]) -> None:
        """Keep what network a worker ran; one of another kind may differ in the last digits, and that is said."""
        here = {name: str(self._local.describe().get(name)) for name in runtime}
        host = runtime["host"]
        words = ", ".join(f"{name} {value}" for name, value in runtime.items() if name != "host")
        if host not in self._runtimes:
            self._runtimes[host] = words
            differ = [name for name, value in runtime.items() if name != "host" and value != here[name]]
            if differ:
                self._tell(
                    f"{host} has another {' and '.join(differ)} than this machine: its finds may differ in the last"
                    " digits from those of one machine"
                )


class _Ahead:
    """Items that can be looked at before they are taken.

    Parameters
    ----------
    items : iterator of (Frame or None, field, tag)
        The items.
    """

    def __init__(self, items: Iterator[Item]) -> None:
        self._items, self._held = items, deque[Item]()

    def __iter__(self) -> Iterator[Item]:
        while self._held or self._pull():
            yield self._held.popleft()

    def _pull(self) -> bool:
        for item in itertools.islice(self._items, 1):
            self._held.append(item)
            return True
        return False

    def holds(self, n: int) -> bool:
        """Whether so many frames are still to come."""
        while sum(frame is not None for frame, _, _ in self._held) < n:
            if not self._pull():
                return False
        return True

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return not self._held and not self._pull()


def _stretches(rest: _Ahead) -> Iterator[_Stretch]:
    """Cut what is left into stretches, none of fewer frames than make a movie."""
    one = _Stretch()
    for item in rest:
        one.items.append(item)
        if one.n_frames >= LENGTH and rest.holds(LOOK_FRAMES):
            yield one
            one = _Stretch()
    if one.n_frames:
        yield one


def _given(config: SegmentConfig) -> bool:
    return not isinstance(config.scale, str) and config.contrast != "auto"


@contextmanager
def spread_over(
    choice: ClusterChoice, tell: Callable[[str], None]
) -> Iterator[Callable[[Segmenter, SegmentConfig, str], Segmenter]]:
    """Give what puts the network of a run on workers; at the end those that were started for it are ended.

    Parameters
    ----------
    choice : ClusterChoice
        Where; `insitrack.tracker.many.cluster.check_cluster` has looked at it.
    tell : callable
        Gets one line where something happens to a worker.

    Yields
    ------
    callable
        Takes a segmenter, its settings and the name of its model, and returns the one to use in its place.
    """
    with connected(choice, choice.workers or MOST_JOBS) as client:

        def spread(local: Segmenter, config: SegmentConfig, model: str) -> Segmenter:
            found = str(Path(model).resolve()) if Path(model).is_file() else model
            return SpreadSegmenter(local, config, found, client, Crew(client, None, tell), tell)

        yield spread
