"""One movie on workers: the bytes of one machine, workers lost in the middle, memory in bounds, refusals at once."""

import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import insitrack
from insitrack.io.detections import Detections, Masks
from insitrack.io.errors import ModelError, RunError, SettingsError
from insitrack.io.frames import Frame
from insitrack.io.tables.columns import TABLES
from insitrack.segment.base import SegmentConfig
from insitrack.tracker.many import far_network, stretches
from insitrack.tracker.many.crew import Crew
from insitrack.tracker.many.stretches import SpreadSegmenter

MOVIE = "synth:loops?seed=5&frames=40&size=96"


def spread_by(client: Any, told: list[str] | None = None) -> Any:
    tell = (told if told is not None else []).append
    return lambda local, config, model: SpreadSegmenter(
        local, config, model, client, Crew(client, None, tell), tell
    )


def tables_of(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in (*TABLES, "kinetics.csv", "masks.parquet")}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return tables_of(
        insitrack.track(MOVIE, tmp_path_factory.mktemp("alone"), nm_per_px=0.4, video=False).folder
    )


def test_the_tables_are_those_of_one_machine_also_if_the_worker_is_killed(
    client: Any, alone: dict[str, bytes], tmp_path: Path
) -> None:
    told: list[str] = []
    killed = False

    def kill(tally: Any, _: int | None) -> None:
        nonlocal killed
        if tally.frames == 10 and not killed:
            killed = True
            for process in client.run(os.getpid).values():
                os.kill(process, signal.SIGKILL)

    spread = spread_by(client, told)
    run = insitrack.track(MOVIE, tmp_path, nm_per_px=0.4, video=False, spread=spread, progress=kill)
    assert tables_of(run.folder) == alone
    assert any("is gone" in line for line in told)
    assert run.manifest["model"]["workers"]


@pytest.mark.parametrize(("words", "expected"), [({"stills": True}, "--stills")])
def test_what_cannot_be_spread_is_refused(words: dict[str, Any], expected: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=expected):
        insitrack.track(MOVIE, tmp_path / "out", spread=spread_by(None), **words)
    assert not (tmp_path / "out").exists()


class Brightest:
    """Finds the brightest pixel; the scale is settled on the first frames that are not black."""

    class_names = ("loop",)

    def __init__(self) -> None:
        self.looked = 0
        self.seen: list[int] = []

    def stream(self, items: Iterable[Any]) -> Iterator[Any]:
        for frame, field, tag in items:
            if frame is None:
                yield None, tag
                continue
            self.seen.append(frame.index)
            self.looked += bool(frame.image.any())
            y, x = np.unravel_index(
                int((frame.image * (1 if field is None else field)).argmax()), frame.shape
            )
            masks = Masks.from_crops([np.ones((2, 3), bool)], [(int(y), int(x))])
            one = np.ones(1, np.float32)
            found = Detections(
                frame.index,
                frame.t_s,
                frame.shape,
                masks.boxes(),
                np.ones(1, np.int64),
                one,
                masks,
                ("loop",),
            )
            yield found, tag

    def describe(self) -> dict[str, Any]:
        return {"sha256": "a", "view": {"frames_looked_at": self.looked, "scale": 1.0, "contrast": "dark"}}

    def for_live(self) -> None: ...


class Future:
    def __init__(self, status: str, result: Any = None, error: Exception | None = None) -> None:
        self.status, self._result, self._error = status, result, error

    def result(self) -> Any:
        return self._result

    def exception(self) -> Exception | None:
        return self._error

    def cancel(self, force: bool = False) -> None: ...


class Workers:
    """Stands in for a client of three workers; each task is done at once unless the test says otherwise."""

    def __init__(self, *first: Future) -> None:
        self._first, self.orders, self.frames = list(first), [], []

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        return {"workers": {f"tcp://a:{i}": {"nthreads": 2} for i in range(3)}}

    def run(self, *_: Any, workers: list[str]) -> dict[str, Any]:
        return {address: {"version": insitrack.__version__, "sees": True} for address in workers}

    def scatter(self, data: list[Any], **_: Any) -> list[Any]:
        return data

    def submit(self, function: Any, order: dict[str, Any], data: Any, **_: Any) -> Future:
        self.orders.append(order)
        self.frames.append([one["index"] for one in data["frames"]])
        return self._first.pop(0) if self._first else Future("finished", function(order, data))


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Brightest:
    """The segmenter of the workers."""
    made = Brightest()
    monkeypatch.setattr(far_network, "_segmenter", lambda order: made)
    return made


def frames(n: int, *, black: int = 0) -> list[Any]:
    rng = np.random.default_rng(1)
    field = np.ones((7, 9), bool)
    field[0] = False
    return [
        (
            None
            if i == 5
            else Frame(i, 0.1 * i, rng.integers(1, 255, (7, 9), np.uint8) * np.uint8(i >= black)),
            None if i % 3 else field,
            i,
        )
        for i in range(n)
    ]


@pytest.mark.parametrize(("n", "black"), [(1, 0), (3, 0), (4, 0), (6, 0), (60, 0), (60, 20), (10, 10)])
def test_finds_come_in_order_and_are_those_of_the_segmenter_itself(
    far: Brightest, n: int, black: int
) -> None:
    items, workers = frames(n, black=black), Workers()
    expected = list(Brightest().stream(items))
    found = list(spread_by(workers)(Brightest(), SegmentConfig(), "loops").stream(items))
    assert [tag for _, tag in found] == list(range(n))
    for (one, _), (other, _) in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert (one.frame_index, one.t_s, one.boxes.tolist()) == (
                other.frame_index,
                other.t_s,
                other.boxes.tolist(),
            )
            assert np.array_equal(one.masks.pixels, other.masks.pixels)
            assert one.boxes.dtype == other.boxes.dtype
    assert min((len(part) for part in workers.frames), default=3) >= 3
    assert len(far.seen) == sum(len(part) for part in workers.frames)


def test_workers_see_the_frames_as_the_first_frames_showed(far: Brightest) -> None:
    workers = Workers()
    list(spread_by(workers)(Brightest(), SegmentConfig(), "loops").stream(frames(40, black=12)))
    assert workers.frames[0][0] > 12
    assert {(order["config"]["scale"], order["config"]["contrast"]) for order in workers.orders} == {
        (1.0, "dark")
    }


def test_no_more_frames_are_taken_than_the_workers_can_have_at_hand(far: Brightest) -> None:
    taken = 0

    def counted() -> Iterator[Any]:
        nonlocal taken
        for item in frames(2000):
            taken += 1
            yield item

    workers = Workers()
    stream = spread_by(workers)(Brightest(), SegmentConfig(), "loops").stream(counted())
    for i, _ in enumerate(stream):
        assert taken - i <= 3 * 4 * (stretches.LENGTH + 1) + 8


def test_a_stretch_whose_worker_died_is_done_again_and_one_that_kills_all_ends_the_run(
    far: Brightest,
) -> None:
    told: list[str] = []
    workers = Workers(Future("error", error=OSError("gone")))
    found = list(spread_by(workers, told)(Brightest(), SegmentConfig(), "loops").stream(frames(30)))
    assert [tag for _, tag in found] == list(range(30))
    assert "another one does it" in told[0]
    deadly = Workers(*[Future("error", error=OSError("gone")) for _ in range(200)])
    with pytest.raises(RunError, match="workers died over frame"):
        list(spread_by(deadly)(Brightest(), SegmentConfig(), "loops").stream(frames(30)))


def test_what_is_wrong_with_the_model_of_a_worker_ends_the_run_with_its_line(far: Brightest) -> None:
    workers = Workers(Future("error", error=ModelError("loops: the one on node7 is another file")))
    with pytest.raises(ModelError, match="node7"):
        list(spread_by(workers)(Brightest(), SegmentConfig(), "loops").stream(frames(30)))
