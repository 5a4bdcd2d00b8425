"""A live run of a camera that is not there, with its page, and what a viewer does with it."""

import contextlib
import json
import threading
import time
import urllib.error
import urllib.request

import pytest

import insitrack
from insitrack.io.sources import replay
from insitrack.tracker.run.config import load_config

TOLD = ["output.video=false", "segment.scale=1.0", "segment.contrast=dark", "live.give_up_s=1"]
GIVEN = ["source.nm_per_px=0.4", "specimen.thickness_nm=100", "specimen.material=fecral"]


class LiveRun:
    """A run of a camera that is not there, with its view."""

    def __init__(self, folder, fps=12.0, settings=(), frames=900):
        self.folder, self.lines, self.stop = folder, [], threading.Event()
        self.camera = replay(f"synth:two_beam?frames={frames}&size=192&seed=3&start=0.5", fps=fps)
        self.config = load_config(assignments=[*TOLD, *GIVEN, *settings])

    def __enter__(self):
        self.camera.__enter__()
        self.work = threading.Thread(target=self._run, daemon=True)
        self.work.start()
        self.address = self.until(
            lambda: next((line.split()[-1] for line in self.lines if "watch it at" in line), None)
        )
        self.until(lambda: self.status()["processed"] > 5)
        return self

    def _run(self):
        self.run = insitrack.track(
            self.camera.address, self.folder, config=self.config, alarm=self.lines.append, stop=self.stop
        )

    def __exit__(self, *_):
        self.stop.set()
        self.work.join(timeout=20)
        self.camera.__exit__()
        assert not self.work.is_alive()

    @staticmethod
    def until(condition, timeout_s=30.0):
        end = time.monotonic() + timeout_s
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < end, "it did not come"
            time.sleep(0.05)

    def get(self, path, headers=None):
        base, _, query = self.address.partition("?")
        request = urllib.request.Request(
            f"{base}{path}{'&' if '?' in path else '?'}{query}", headers=headers or {}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read(), dict(answer.headers)

    def message(self):
        base, _, query = self.address.partition("?")
        with urllib.request.urlopen(f"{base}events?{query}", timeout=10) as answer:
            return json.loads(answer.readline()[6:])

    def status(self):
        return self.message()["status"]

    def control(self, body, headers=None):
        base, _, query = self.address.partition("?")
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{base}control?{query}", data=data, headers={"X-Insitrack": "1", **(headers or {})}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"{}")


def place_of(live):
    host, _, port = live.address.removeprefix("http://").rstrip("/").partition(":")
    return host, int(port)


@contextlib.contextmanager
def refused_with(status):
    """Expect an HTTP status; the answer is closed, else its socket would stay open until it is collected."""
    with pytest.raises(urllib.error.HTTPError) as error:
        yield
    error.value.close()
    assert error.value.code == status
