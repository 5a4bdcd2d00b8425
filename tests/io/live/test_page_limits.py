"""The page of a live run against what does not mean well: connections, hosts, origins, numbers, faults."""

import contextlib
import socket
from pathlib import Path

import pytest

import insitrack
from insitrack.io.live.page.curves import Curves
from insitrack.io.live.page.server import ViewServer
from insitrack.io.pages.limits import BACKLOG, MOST_CONNECTIONS
from insitrack.io.sources import replay
from insitrack.tests.support.live_run import GIVEN, TOLD, LiveRun, place_of
from insitrack.tracker.run.config import load_config


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with LiveRun(tmp_path_factory.mktemp("live") / "run") as run:
        yield run


@pytest.mark.parametrize(
    "body",
    [
        b'{"action": "thickness", "value": 1' + b"0" * 400 + b"}",
        b'{"action": ' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"action": "dose_rate", "value": null}',
        b'{"action": "dose_rate", "value": ""}',
        b'{"action": "dose_rate", "value": 1e300}',
        b'{"action": "thickness", "value": 5e-324}',
        b'{"action": "thickness", "value": 0}',
    ],
)
def test_numbers_that_cannot_be_are_refused_in_one_line(live, body):
    status, answer = live.control(body)
    assert status == 400
    assert "expected" in answer["error"]
    assert "\n" not in answer["error"]


def raw(live, text, timeout_s=10):
    """Answer to a request that no library would send."""
    with socket.create_connection(place_of(live), timeout=timeout_s) as connection:
        connection.sendall(text)
        return connection.recv(4096).decode("latin-1")


@pytest.mark.parametrize("host", [b"[::1", b"127.0.0.1:port", b"user@127.0.0.1", b"127.0.0.1/x", b""])
def test_a_host_that_cannot_be_parsed_is_refused(live, host):
    assert raw(live, b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n").startswith("HTTP/1.1 400")


def test_pages_of_other_origins_are_refused_and_ours_is_not(live):
    own = live.address.rstrip("/")
    assert live.control({"action": "mark", "text": "own"}, {"Origin": own})[0] == 200
    for origin in ("http://evil.example", "null", own + "1", "https" + own[4:]):
        assert live.control({"action": "mark", "text": "x"}, {"Origin": origin})[0] == 403
    assert live.get("")[1]["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(("n", "sent"), [(300, b""), (100, b"GET / HTTP/1.1\r\nX-Slow: ")])
def test_silent_and_slow_connections_lock_nobody_out_and_are_ended(live, n, sent):
    n_files = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 0
    silent = []
    for _ in range(n):
        silent.append(socket.create_connection(place_of(live), timeout=20))
        with contextlib.suppress(OSError):  # it was ended already, for one that came later
            silent[-1].sendall(sent)
    if n_files:  # both ends are in this process
        held = len(list(Path("/proc/self/fd").iterdir())) - n_files - n
        assert held <= MOST_CONNECTIONS + BACKLOG
    assert live.control({"action": "mark", "text": "still here"})[0] == 200
    before = live.status()["processed"]
    live.until(lambda: live.status()["processed"] > before + 5)
    for connection in silent:
        with contextlib.suppress(ConnectionError):
            assert connection.recv(1) == b""  # ended by the server, not by a time limit of this test
        connection.close()


def test_a_page_that_fails_does_not_reach_the_run(tmp_path, monkeypatch):
    def fail(*_):
        raise ValueError("no such curve")

    with LiveRun(tmp_path / "run") as run:
        monkeypatch.setattr(Curves, "add", fail)
        before = run.status()["processed"]
        run.until(lambda: run.status()["processed"] > before + 5)
        assert sum("the page is not up to date" in line for line in run.lines) == 1


def test_a_server_that_cannot_begin_is_one_line_and_the_run_goes_on(tmp_path, monkeypatch):
    def fail(self):
        raise OSError("no more files")

    monkeypatch.setattr(ViewServer, "_application", fail)
    config = load_config(assignments=[*TOLD, *GIVEN])
    lines = []
    with replay("synth:two_beam?frames=8&size=96&seed=3") as camera:
        run = insitrack.track(camera.address, tmp_path / "run", config=config, alarm=lines.append)
    assert run.manifest["status"] == "done"
    assert sum("the page of the run ends (OSError: no more files)" in line for line in lines) == 1
