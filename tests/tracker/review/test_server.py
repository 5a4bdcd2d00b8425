"""The server of a review: what it gives, to whom, and what it refuses."""

import gzip
import json
import shutil
import socket
import urllib.error
import urllib.request

import cv2
import numpy as np
import pytest

from insitrack.io.tables.columns import FRAMES
from insitrack.tracker.cli import main
from insitrack.tracker.review.open import reviewing


class Asked:
    """What a browser would ask."""

    def __init__(self, server):
        self.address, _, self.query = server.address.partition("?")

    def get(self, path, headers=None, query=None):
        join = "&" if "?" in path else "?"
        address = f"{self.address}{path}{join}{self.query if query is None else query}"
        request = urllib.request.Request(address, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, self.plain(answer), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, self.plain(error), dict(error.headers)

    def post(self, what, body=None, headers=None):
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        own = {"X-Insitrack": "1"} if headers is None else headers
        request = urllib.request.Request(f"{self.address}{what}?{self.query}", data=data, headers=own)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(self.plain(answer))
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(self.plain(error))

    @staticmethod
    def plain(answer):
        data = answer.read()
        return gzip.decompress(data) if answer.headers.get("Content-Encoding") == "gzip" else data

    def json(self, path):
        return json.loads(self.get(path)[1])


@pytest.fixture(scope="module")
def asked(finished, tmp_path_factory):
    run = shutil.copytree(finished, tmp_path_factory.mktemp("served") / "run")
    with reviewing(run) as server:
        yield Asked(server)


def test_the_page_is_files_of_ours_alone_under_a_policy_without_inline_scripts(asked):
    status, page, headers = asked.get("")
    assert status == 200
    assert "script-src 'self';" in headers["content-security-policy"]
    assert "unsafe-eval" not in headers["content-security-policy"]
    assert b"<script>" not in page
    for name in (
        "review.js",
        "viewer.js",
        "draw.js",
        "frames.js",
        "rle.js",
        "keys.js",
        "page.css",
        "plotly.js",
    ):
        status, code, headers = asked.get(name)
        assert status == 200
        assert headers["content-type"].startswith(("text/javascript", "text/css"))
        assert name == "plotly.js" or (
            b"https://" not in code and b"http://" not in code.replace(b"http://www.w3.org", b"")
        )


def test_frames_come_in_any_order_as_the_frames_of_the_movie(asked, finished):
    shape = tuple(FRAMES.read(finished / FRAMES.file)[["height_px", "width_px"]].iloc[0].astype(int))
    pictures = []
    for place in (11, 0, 6, 5):
        status, data, headers = asked.get(f"frame?place={place}")
        assert (status, headers["content-type"]) == (200, "image/jpeg")
        pictures.append(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
        assert pictures[-1].shape == shape
    assert len({picture.tobytes() for picture in pictures}) == 4


def test_a_snapshot_is_the_part_of_the_frame_that_was_asked_for(asked):
    data = asked.get("frame?place=3")[1]
    frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    data = asked.get("snapshot?place=3&x=96&y=80&side=64")[1]
    shot = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    part = cv2.resize(frame[48:112, 64:128], shot.shape[::-1], interpolation=cv2.INTER_CUBIC)
    assert np.abs(shot.astype(int) - part).mean() < 3
    beyond = asked.get("snapshot?place=3&x=-40&y=5000&side=64")
    assert beyond[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "frame?place=12",
        "frame?place=-1",
        "frame?place=x",
        "frame?place=../../etc/passwd",
        "outlines?place=%00",
        "outlines",
        "snapshot?place=1&x=1&y=1&side=9999999",
        "snapshot?place=1&x=99999999999&y=1&side=64",
        "snapshot?place=1",
    ],
)
def test_what_the_run_does_not_have_is_refused_in_one_line(asked, path):
    status, data, _ = asked.get(path)
    assert status == 400
    assert "expected" in json.loads(data)["error"]
    assert b"\n" not in data


@pytest.mark.parametrize(
    "path",
    [
        "review.html",
        "server.py",
        "../server.py",
        "%2e%2e/server.py",
        "tracks.csv",
        "page/review.js",
        "run.json",
    ],
)
def test_no_address_reaches_another_file(asked, path):
    assert asked.get(path)[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"3",
        b'{"action": ["delete"]}',
        b'{"action": null}',
        b"{" * 2000,
        b'{"action": "delete"}',
        b"\xff",
    ],
)
def test_an_edit_that_means_nothing_is_refused_in_one_line_and_changes_nothing(asked, body):
    before = asked.json("state")
    status, told = asked.post("edit", body)
    assert status == 400
    assert "expected" in told["error"]
    assert "\n" not in told["error"]
    assert asked.json("state") == before


def test_changes_are_taken_from_our_own_page_alone(asked):
    edit = {"action": "delete", "track_id": "1"}
    assert asked.post("edit", edit, {})[0] == 403
    assert asked.post("undo", {}, {"X-Insitrack": "1", "Origin": "http://evil.example"})[0] == 403
    assert asked.post("edit", edit, {"X-Insitrack": "1", "Host": "evil.example"})[0] == 403
    assert asked.post("edit", b"x" * ((1 << 20) + 9))[0] == 413
    assert asked.get("edit")[0] == 405
    assert asked.json("state")["edits"] == []


def test_elsewhere_nothing_is_answered_without_the_token_and_the_page_hands_it_on_by_a_cookie(run):
    with reviewing(run, view="0.0.0.0:0", token="secret-word") as server:
        asked = Asked(server)
        asked.address = asked.address.replace("0.0.0.0", "127.0.0.1")
        for path in (
            "",
            "run",
            "frame?place=0",
            "outlines?place=0",
            "review.js",
            "plotly.js",
            "curves",
            "tracks",
        ):
            assert asked.get(path, query="")[0] == 403
            assert asked.get(path, query="token=other")[0] == 403
        status, _, headers = asked.get("")
        assert status == 200
        cookie = headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert asked.get("run", {"Cookie": cookie.split(";")[0]}, query="")[0] == 200


def test_a_second_review_of_one_run_is_refused_in_one_line(run, capsys):
    with reviewing(run):
        assert main(["review", str(run), "--no-browser"]) == 2
        told = capsys.readouterr().err
    assert "is open in another track review" in told
    assert told.count("\n") == 1
    with reviewing(run):  # and the first one leaves nothing behind
        pass
    assert not (run / "review.lock").exists()


def test_a_run_without_its_movie_is_shown_on_black_and_says_so(run):
    manifest = json.loads((run / "run.json").read_text())
    manifest["source"] = {"kind": "movie", "path": str(run / "gone.mp4")}
    (run / "run.json").write_text(json.dumps(manifest))
    told = []
    with reviewing(run, warn=told.append) as server:
        asked = Asked(server)
        assert "gone.mp4 is not there any more" in asked.json("run")["no_frames"]
        assert asked.get("frame?place=0")[0] == 204
        assert asked.json("outlines?place=0")["rows"]
    assert len(told) == 1


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda run: shutil.rmtree(run), "no run.json; expected the output folder of a run"),
        (lambda run: (run / "masks.parquet").unlink(), "no masks.parquet"),
        (lambda run: (run / "tracks.csv").write_text("frame\n"), "lacks the column"),
        (lambda run: (run / "run.json").write_text("{"), "run.json: cannot be read"),
        (lambda run: (run / "causal" / "masks.parquet").write_bytes(b"PAR1"), "masks.parquet"),
    ],
)
def test_a_folder_that_is_no_finished_run_is_told_in_one_line(run, capsys, spoil, words):
    spoil(run)
    assert main(["review", str(run), "--no-browser"]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_a_port_that_is_taken_or_none_is_told_in_one_line(run, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        view = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main(["review", str(run), "--no-browser", "--view", view]) == 2
    assert main(["review", str(run), "--no-browser", "--view", "here"]) == 2
    told = capsys.readouterr().err
    assert f"--view {view}: cannot be used" in told
    assert "--view here: expected HOST:PORT" in told
    assert told.count("\n") == 2
