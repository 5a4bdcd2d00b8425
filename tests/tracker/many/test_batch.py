"""Many movies: each as alone, whatever becomes of workers; the same command does what is left; bad input starts nothing."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import pytest

import insitrack
from insitrack.io.tables.columns import TABLES
from insitrack.tracker.cli import main
from insitrack.tracker.many.batch import Batch
from insitrack.tracker.many.movies import Movie
from insitrack.tracker.many.status import STATUS, MovieStatus, overview, read_rows_of
from insitrack.tracker.run.config import load_config

pytest.importorskip("distributed")
MOVIE = "synth:loops?seed={}&frames={}&size=96"
TABLE = """path,label,nm_per_px,thickness_nm,temperature_c,no_video
synth:loops?seed=1&frames=8&size=96,cold,0.4,100,300,yes
synth:loops?seed=2&frames=8&size=96,hot,0.4,100,400,yes
broken.mp4,broken,0.4,,500,yes
"""


@pytest.fixture(scope="module")
def batch(client: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder with a table and the batch of it: two movies and one that is none."""
    folder = tmp_path_factory.mktemp("batch")
    (folder / "movies.csv").write_text(TABLE, encoding="utf-8")
    (folder / "broken.mp4").write_bytes(b"this is no movie" * 99)
    with patch("insitrack.tracker.many.cluster.connected", lambda *_: nullcontext(client)):
        assert main(command(folder)) == 1
        yield folder


def command(folder: Path) -> list[str]:
    words = ["batch", str(folder / "movies.csv"), "--out", str(folder / "out"), "--workers", "1"]
    return [*words, "--view", "none", "--against", "temperature_c"]


def tables_of(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in (*TABLES, "kinetics.csv", "masks.parquet")}


def test_a_movie_of_a_batch_has_the_tables_of_a_run_alone_byte_for_byte(batch: Path, tmp_path: Path) -> None:
    alone = insitrack.track(
        MOVIE.format(2, 8), tmp_path / "hot", nm_per_px=0.4, thickness_nm=100.0, video=False
    )
    assert tables_of(batch / "out" / "hot") == tables_of(alone.folder)


def test_a_failed_movie_does_not_stop_the_rest_and_says_why(batch: Path) -> None:
    rows = {row["movie"]: row for row in read_rows_of(batch / "out" / STATUS.file)}
    assert [rows[name]["status"] for name in ("cold", "hot", "broken")] == ["done", "done", "failed"]
    assert "broken.mp4" in rows["broken"]["why"]


def test_what_comes_out_together_has_a_row_a_movie_a_tidy_table_and_a_page(batch: Path) -> None:
    table = pd.read_csv(batch / "out" / "batch.csv").set_index("movie")
    assert table["temperature_c"].tolist() == [300, 400, 500]
    assert table.loc["hot", "processed"] == 8
    assert table.loc["hot", "n_lo"] <= table.loc["hot", "n"] <= table.loc["hot", "n_hi"]
    assert pd.isna(table.loc["broken", "n"])
    tidy = pd.read_parquet(batch / "out" / "batch_series.parquet")
    assert tidy.groupby("movie")["frame"].nunique().to_dict() == {"cold": 8, "hot": 8}
    page = (batch / "out" / "batch.html").read_text(encoding="utf-8")
    assert "hot/report.html" in page
    assert "broken: failed: " in page


def test_the_same_command_does_only_what_is_left_and_a_changed_row_anew(batch: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    (batch / "out").rename(again / "out")
    changed = TABLE.replace("broken.mp4", MOVIE.format(3, 4)).replace("hot,0.4,100", "hot,0.4,80")
    (again / "movies.csv").write_text(changed, encoding="utf-8")
    before = (again / "out" / "cold" / "run.json").stat().st_mtime_ns
    try:
        assert main(command(again)) == 0
        assert (again / "out" / "cold" / "run.json").stat().st_mtime_ns == before
        assert insitrack.open_run(again / "out" / "hot").manifest["calibration"]["thickness_nm"] == 80
        assert len(insitrack.open_run(again / "out" / "broken").frames) == 4
    finally:
        (again / "out").rename(batch / "out")


@pytest.mark.parametrize(
    ("table", "words", "expected"),
    [
        ("path,nm_per_pixel\na.mp4,1\n", [], ["nm_per_pixel", "did you mean nm_per_px?", "--facts"]),
        ("file\na.mp4\n", [], ["lacks the column path"]),
        ("path\nabsent.mp4\n", [], ["line 2", "absent.mp4"]),
        ("path\na.mp4\nb/a.mp4\n", [], ["line 3", "a", "label"]),
        ("path,label\na.mp4,A\nb/a.mp4,a\n", [], ["line 3", "label"]),
        ("path,label\na.mp4,../x\n", [], ["line 2", "label"]),
        ("path,stills\na.mp4,maybe\n", [], ["maybe", "yes or no"]),
        ("path,nm_per_px\na.mp4,-1\n", [], ["line 2", "-1", "positive"]),
        ("path,material\na.mp4,unobtainium\n", [], ["line 2", "unobtainium", "fecral"]),
        ("path,model\na.mp4,nonesuch\n", [], ["line 2", "nonesuch"]),
        ("path,link.patience\na.mp4,3\n", [], ["line 2", "link.patience"]),
        ("path\ncamera:0\n", [], ["camera:0", "live"]),
        ("path\na.mp4\n", ["--against", "colour"], ["colour"]),
        ("path\na.mp4\n", ["--facts", "colour"], ["colour", "no such column"]),
        ("path\na.mp4\n", ["--workers", "0"], ["--workers"]),
        ("path\na.mp4\n", ["--cluster", "tcp://127.0.0.1:1"], ["tcp://127.0.0.1:1", "no scheduler there"]),
        ("path\na.mp4\n", ["--cluster", "127.0.0.1"], ["tcp://HOST:PORT"]),
        ("path\na.mp4\n", ["--cluster", "slurm"], ["sbatch"]),
        ("path\na.mp4\n", ["--queue", "short"], ["--cluster slurm"]),
        ("path\na.mp4\n", ["--view", "127.0.0.1:99999"], ["--view", "HOST:PORT"]),
        ("path\n", [], ["no movie"]),
    ],
)
def test_bad_input_is_one_line_and_nothing_starts(
    table: str,
    words: list[str],
    expected: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no queue here, whatever this machine has
    for name in ("a.mp4", "b/a.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "m.csv").write_text(table, encoding="utf-8")
    assert main(["batch", str(tmp_path / "m.csv"), "--out", str(tmp_path / "out"), *words]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert all(word in told for word in expected), told
    assert not (tmp_path / "out").exists()


def test_without_its_packages_the_command_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("insitrack.io.extras.find_spec", lambda name: None)
    assert main(["batch", "m.csv", "--out", str(tmp_path / "out")]) == 2
    assert 'pip install "insitrack[cluster]"' in capsys.readouterr().err


def test_a_folder_that_holds_something_else_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "m.csv").write_text(f"path\n{MOVIE.format(1, 2)}\n", encoding="utf-8")
    assert main(["batch", str(tmp_path / "m.csv"), "--out", str(tmp_path / "out")]) == 2
    assert "holds no batch" in capsys.readouterr().err


def test_a_movie_whose_worker_is_killed_goes_on_and_its_tables_are_those_of_an_undisturbed_run(
    client: Any, tmp_path: Path
) -> None:
    uri, settings = MOVIE.format(4, 40), load_config(assignments=["output.video=false"])
    one = MovieStatus(Movie("m", uri, tmp_path / "m", settings))
    batch = Batch(client, [one], tmp_path, threading.Event())
    thread = threading.Thread(target=batch.run)
    thread.start()
    wait_for(lambda: one.frames > 0)
    for process in client.run(os.getpid).values():
        os.kill(process, signal.SIGKILL)
    thread.join(timeout=120)
    assert (one.status, one.starts) == ("done", 2)
    alone = insitrack.track(uri, tmp_path / "alone", video=False)
    assert tables_of(tmp_path / "m") == tables_of(alone.folder)


def wait_for(what: Any, most_s: float = 60.0) -> None:
    end = time.monotonic() + most_s
    while not what() and time.monotonic() < end:
        time.sleep(0.02)
    assert what()


class Future:
    """What a client gives for an order."""

    def __init__(self, status: str = "pending", result: dict[str, Any] | None = None) -> None:
        self.status, self._result = status, result

    def done(self) -> bool:
        return self.status != "pending"

    def result(self) -> Any:
        return self._result

    def cancel(self, force: bool = False) -> None:
        self.status = "cancelled"


class Workers:
    """Stands in for a client whose workers do as the test says."""

    def __init__(self, *futures: Future, version: str = insitrack.__version__, sees: bool = True) -> None:
        self._futures, self._facts = list(futures), {"version": version, "sees": sees}
        self.orders: list[dict[str, Any]] = []
        self.told: list[str] = []

    def subscribe_topic(self, *_: object) -> None: ...

    def unsubscribe_topic(self, *_: object) -> None: ...

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        return {"workers": {"tcp://a:1": {"nthreads": 3}}}

    def run(self, function: Any, *words: str, workers: list[str], **_: object) -> dict[str, Any]:
        self.told.append(function.__name__)
        return dict.fromkeys(workers, self._facts)

    def submit(self, function: Any, order: dict[str, Any], **_: object) -> Future:
        self.orders.append(order)
        return self._futures.pop(0)


def waiting(tmp_path: Path, *names: str) -> list[MovieStatus]:
    settings = load_config()
    return [MovieStatus(Movie(name, MOVIE.format(1, 2), tmp_path / name, settings)) for name in names]


def done(**facts: object) -> Future:
    return Future("finished", {"status": "done", "why": "", "frames": 2, "frames_per_s": 1.0, **facts})


def test_a_movie_that_kills_every_worker_fails_and_the_next_one_is_run(tmp_path: Path) -> None:
    movies = waiting(tmp_path, "deadly", "good")
    Batch(Workers(*[Future("error") for _ in range(5)], done()), movies, tmp_path, threading.Event()).run()
    assert [one.status for one in movies] == ["failed", "done"]
    assert "5 workers died" in movies[0].why


def test_a_movie_that_gets_on_between_deaths_is_never_given_up(tmp_path: Path) -> None:
    movies = waiting(tmp_path, "long")
    workers = Workers(*[Future("error") for _ in range(8)], done())
    batch = Batch(workers, movies, tmp_path, threading.Event())
    give = workers.submit

    def further(function: Any, order: dict[str, Any], **words: object) -> Future:
        movies[0].frames += 1
        return give(function, order, **words)

    workers.submit = further  # type: ignore[method-assign]
    batch.run()
    assert (movies[0].status, movies[0].starts) == ("done", 9)


def test_a_worker_gives_all_its_threads_to_its_movie(tmp_path: Path) -> None:
    workers = Workers(done())
    Batch(workers, waiting(tmp_path, "a"), tmp_path, threading.Event()).run()
    assert workers.orders[0]["threads"] == 3
    assert json.loads(json.dumps(workers.orders[0])) == workers.orders[0]


def test_a_batch_that_is_stopped_reaches_its_workers_and_says_what_is_left(tmp_path: Path) -> None:
    movies, stop = waiting(tmp_path, "a", "b"), threading.Event()
    running = Future()
    workers = Workers(running)
    thread = threading.Thread(target=Batch(workers, movies, tmp_path, stop).run)
    thread.start()
    wait_for(lambda: movies[0].status == "running")
    stop.set()
    wait_for(lambda: "stop_batch" in workers.told)
    running._result = {"status": "stopped", "why": "the same command goes on"}
    running.status = "finished"
    thread.join(timeout=30)
    assert [one.status for one in movies] == ["stopped", "stopped"]
    assert [row["status"] for row in read_rows_of(tmp_path / STATUS.file)] == ["stopped", "stopped"]


@pytest.mark.parametrize(
    ("facts", "words"), [({"version": "0.0.1"}, "insitrack 0.0.1"), ({"sees": False}, "share")]
)
def test_a_worker_that_could_not_do_it_is_not_used(tmp_path: Path, facts: dict[str, Any], words: str) -> None:
    told, stop = [], threading.Event()
    workers = Workers(**facts)

    def tell(line: str) -> None:
        told.append(line)
        stop.set()

    Batch(workers, waiting(tmp_path, "a"), tmp_path, stop, tell).run()
    assert words in told[0]
    assert not workers.orders


def test_the_time_left_counts_movies_that_have_not_begun_like_those_whose_length_is_known(
    tmp_path: Path,
) -> None:
    running, later = waiting(tmp_path, "a", "b")
    running.status, running.frames, running.n_frames = "running", 50, 100
    facts = overview([running, later], time.monotonic() - 10, 0)
    assert facts["frames_per_s"] == pytest.approx(5, rel=0.05)
    assert facts["left_s"] == pytest.approx(30, rel=0.05)
