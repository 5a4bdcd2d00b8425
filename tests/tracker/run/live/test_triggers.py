"""Triggers of a live run: marked, told, and handed to what was named at the start."""

import http.server
import json
import stat
import sys
import threading

import pandas as pd
import pytest

import insitrack
from insitrack.io.errors import SettingsError
from insitrack.io.live.replay import parse_fault
from insitrack.io.sources import replay
from insitrack.tracker.cli import main
from insitrack.tracker.run.config import load_config
from insitrack.tracker.run.live.callers import Callers

PLAIN = [
    "output.video=false",
    "segment.scale=1.0",
    "segment.contrast=dark",
    "live.give_up_s=0.5",
    "output.view=",
]


def test_a_firing_is_a_mark_an_alarm_and_a_call_also_while_the_source_is_silent(tmp_path):
    conditions = 'live.triggers=["n > 0", "silent_s > 1", "n < 0", "disk_gb < 1e6"]'
    lines, fired = [], []
    with replay(
        "synth:loops?frames=12&size=96&seed=3&n=4", fps=20, faults=[parse_fault("stall@8:2.5")]
    ) as camera:
        insitrack.track(
            camera.address,
            tmp_path / "run",
            config=load_config(assignments=[*PLAIN, conditions]),
            alarm=lines.append,
            on_trigger=fired.append,
        )
    marks = pd.read_csv(tmp_path / "run" / "marks.csv")
    assert set(marks["by"]) == {"trigger"}
    began = sorted(text.split(":")[0] for text in marks["mark"])
    assert began == ["disk_gb < 1e6", "n > 0", "silent_s > 1"]
    assert sorted(one["trigger"] for one in fired) == began
    assert next(one["value"] for one in fired if one["trigger"] == "n > 0") > 0
    assert sum("trigger silent_s > 1" in line for line in lines) == 1


class Answer(http.server.BaseHTTPRequestHandler):
    """Keeps what is sent to it."""

    def do_POST(self):
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(302 if self.path == "/away" else 200)
        self.send_header("Location", "http://192.0.2.1/")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def listener():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.got = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_url_and_a_program_get_the_facts_and_no_shell_sees_them(listener, tmp_path):
    program, kept, lines = tmp_path / "told.py", tmp_path / "kept.txt", []
    program.write_text(
        f"#!{sys.executable}\nimport sys\nopen({str(kept)!r}, 'a').write(sys.argv[1] + sys.stdin.read() + chr(10))\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    address = f"http://127.0.0.1:{listener.server_port}"
    callers = Callers([f"{address}/away?x=1", str(program)], lines.append)
    callers({"trigger": "n > 5; touch x", "value": 6.0, "t_s": None})
    callers.finish(20)
    assert [one["value"] for one in listener.got] == [6.0]
    assert kept.read_text().startswith('n > 5; touch x{"trigger": "n > 5; touch x", "value": 6.0')
    assert lines == []


def test_a_call_that_fails_is_one_line_and_the_next_is_made(listener):
    lines = []
    callers = Callers(["http://127.0.0.1:1/x", f"http://127.0.0.1:{listener.server_port}/"], lines.append)
    callers({"trigger": "n > 5", "value": 6.0})
    callers.finish(20)
    assert len(lines) == len(listener.got) == 1
    assert "the call failed" in lines[0]


@pytest.mark.parametrize(
    "target",
    [
        "http://example.org/x",
        "https://127.0.0.1/x",
        "http://[::1",
        "ftp://127.0.0.1/",
        "no_such_program_here",
    ],
)
def test_what_is_not_of_this_computer_is_refused_before_anything_starts(target):
    with pytest.raises(SettingsError, match="expected"):
        Callers([target], print)


def test_a_wrong_condition_is_one_line_before_the_source_is_opened(tmp_path, capsys):
    assert main(["http://127.0.0.1:1/x", "--trigger", "density rises", "--out", str(tmp_path / "run")]) == 2
    assert "expected QUANTITY > VALUE" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_what_is_called_stands_in_no_file_of_a_run(tmp_path):
    from insitrack.tracker.run.config import RunConfig

    assert "on_trigger" not in json.dumps(RunConfig().plain())
