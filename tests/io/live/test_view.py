"""The browser view of a live run: by its address, and in a real browser where there is one."""

import contextlib
import gzip
import json
import re
import socket
import struct
import time
import urllib.request

import cv2
import numpy as np
import pytest

from insitrack.io.errors import SettingsError
from insitrack.io.live.page.request import parse_request
from insitrack.io.live.page.server import MOST_CLIENTS
from insitrack.tests.support.browser import BROWSER, Browser
from insitrack.tests.support.live_run import LiveRun, place_of, refused_with

# event streams are left in the middle, which urllib complains of
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with LiveRun(tmp_path_factory.mktemp("live") / "run") as run:
        yield run


def test_the_page_asks_for_nothing_elsewhere(live):
    page, headers = live.get("")
    code, _ = live.get("plots.js")
    assert b"<!doctype html>" in page
    for text in (page, code):
        assert b"http://" not in text
        assert b"https://" not in text
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "unsafe-eval" not in headers["content-security-policy"]


def test_no_script_runs_that_the_page_did_not_bring_this_time(live):
    seen = set()
    for _ in range(2):
        page, headers = live.get("")
        scripts = next(one for one in headers["content-security-policy"].split("; ") if "script-src" in one)
        assert "unsafe-inline" not in scripts
        signs = re.findall(rb'<script nonce="([^"]+)">', page)
        assert page.count(b"<script") == len(signs) == 1
        assert f"'nonce-{signs[0].decode()}'" in scripts
        seen |= set(signs)
    assert len(seen) == 2
    assert "nonce" not in live.get("plots.js")[1]["content-security-policy"]


def test_the_library_of_the_plots_is_that_of_the_installed_package_and_comes_packed_where_asked(live):
    from plotly.offline import get_plotlyjs

    plain, headers = live.get("plotly.js")
    assert plain.decode("utf-8") == get_plotlyjs()
    assert headers["content-type"].startswith("text/javascript")
    packed, headers = live.get("plotly.js", {"Accept-Encoding": "gzip"})
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain) / 2


def test_the_picture_is_the_newest_frame_with_or_without_outlines(live):
    pictures = [
        cv2.imdecode(
            np.frombuffer(live.get(f"picture?outlines={on}&ids={on}")[0], np.uint8), cv2.IMREAD_COLOR
        )
        for on in (1, 0)
    ]
    assert pictures[0].shape[1] == 192
    colour = [
        int((picture[:192].max(axis=2).astype(int) - picture[:192].min(axis=2) > 60).sum())
        for picture in pictures
    ]
    assert colour[0] > 10 * max(1, colour[1])


def newest(live, name):
    """Last value that is known, if any."""
    return live.message()["last"].get(name, {"value": [None]})["value"][0]


def noted(live):
    """Marks, and what was done last."""
    return json.loads(live.get("notes")[0])


def times(live):
    """Times of the points of the whole run, s."""
    data = live.get("curves?span=whole")[0]
    size = struct.unpack("<I", data[:4])[0]
    t_s = np.frombuffer(data, "<f8", json.loads(data[4 : 4 + size])["points"], 4 + size)
    return t_s[np.isfinite(t_s)].tolist()  # gaps are NaN


def test_curves_go_on_and_every_viewer_sees_the_same(live):
    one = live.until(lambda: times(live) if len(times(live)) > 3 else None)
    assert times(live)[: len(one) // 2] == one[: len(one) // 2]
    live.until(lambda: max(times(live)) > max(one))
    message = live.message()
    assert message["classes"]
    assert {"n", "d2", "d3", "s", "hl", "hq", "t"} <= set(message["last"])
    with refused_with(400):
        live.get("curves?span=yesterday")


def test_what_viewers_set_reaches_the_tables_and_is_written_down(live):
    assert newest(live, "dose") is None
    assert live.control({"action": "dose_rate", "value": 1e-3})[0] == 200
    assert live.control({"action": "mark", "text": 'beam "on", <b>'})[0] == 200
    live.until(lambda: newest(live, "dose"))
    before = live.until(lambda: newest(live, "d3"))
    assert live.control({"action": "thickness", "value": 50})[0] == 200
    live.until(lambda: newest(live, "d3") > 1.5 * before)
    assert 'beam "on", <b>' in [mark["text"] for mark in noted(live)["marks"]]
    import pandas as pd

    assert pd.read_csv(live.folder / "marks.csv")["mark"].tolist()[:1] == ['beam "on", <b>']
    settings = pd.read_csv(live.folder / "settings.csv", dtype=str).query("by == 'page'")
    assert settings["to"].tolist()[:2] == ["0.001", "50"]
    assert live.message()["held"]["thickness_nm"] == "50"


def test_a_mark_that_a_spreadsheet_would_run_is_written_as_text(live):
    assert live.control({"action": "mark", "text": '=HYPERLINK("http://evil.example")'})[0] == 200
    assert "\n=" not in (live.folder / "marks.csv").read_text().replace(',"=', "\n=").replace(",=", "\n=")


def test_pause_and_going_on(live):
    assert live.control({"action": "pause"})[0] == 200
    live.until(lambda: live.status()["skipped"] > 2)
    assert live.control({"action": "resume"})[0] == 200
    n = live.status()["processed"]
    live.until(lambda: live.status()["processed"] > n + 3)


def test_what_does_not_come_from_the_page_is_refused(live):
    assert live.control({"action": "mark", "text": "x"}, {"X-Insitrack": "0"})[0] == 403
    assert live.control(b"x" * 5000)[0] == 413
    assert live.control(b"not json")[0] == 400
    assert live.control({"action": "delete"})[0] == 400
    assert live.control({"action": "thickness", "value": -1})[0] == 400
    for path in ("tracks.csv", "../run.json", "%2e%2e/run.json", "picture/../../run.json"):
        with refused_with(404):
            live.get(path)
    with refused_with(403):
        live.get("", {"Host": "evil.example:80"})


def test_viewers_who_do_not_listen_and_too_many_of_them_harm_nobody(live):
    host, _, port = live.address.removeprefix("http://").rstrip("/").partition(":")
    stuck = []
    for _ in range(MOST_CLIENTS + 4):
        connection = socket.create_connection((host, int(port)))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        stuck.append(connection)
    time.sleep(1.0)
    for connection in stuck:
        connection.close()
    n = live.until(lambda: live.status()["processed"])
    assert live.until(lambda: live.status()["processed"] > n + 5)


def test_any_other_address_needs_the_token(tmp_path):
    with LiveRun(tmp_path / "run", settings=["output.view=0.0.0.0:0"]) as run:
        assert "?token=" in run.address
        base = run.address.split("?")[0]
        for path in (
            "",
            "events",
            "picture",
            "notes",
            "live.js",
            "curves?span=whole",
            "plotly.js",
            "plots.js",
            "?token=wrong",
        ):
            with refused_with(403):
                urllib.request.urlopen(base + path, timeout=10)
        assert b"insitrack" in run.get("")[0]


def test_stop_in_the_browser_completes_the_run(tmp_path):
    with LiveRun(tmp_path / "run") as run, contextlib.ExitStack() as silent:
        for _ in range(200):
            silent.enter_context(socket.create_connection(place_of(run), timeout=20))
        assert run.control({"action": "stop"})[0] == 200
        run.work.join(timeout=30)
    assert run.run.manifest["status"] == "done"
    assert (tmp_path / "run" / "report.html").is_file()
    assert run.run.manifest["results"]["live"]["changes"][-1]["what"] == "stop"


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'{"action": 3}',
        b'{"action": "mark"}',
        b'{"action": "mark", "text": "a\\u0000"}',
        b'{"action": "dose_rate", "value": true}',
    ],
)
def test_wishes_that_mean_nothing_are_refused(body):
    with pytest.raises(SettingsError, match="expected"):
        parse_request(body)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_in_a_real_browser_curves_move_buttons_work_and_a_second_viewer_sees_the_same(tmp_path):
    with LiveRun(tmp_path / "run") as run:
        pages = [Browser(tmp_path / "one", run.address), Browser(tmp_path / "two", run.address, 400, 800)]
        try:
            for page in pages:
                LiveRun.until(
                    lambda page=page: page.value(
                        "plots.drawn && plots.data.t.length > 5 && document.getElementById('picture').naturalWidth > 0"
                    )
                )
            line = "document.querySelector('#density .js-line').getAttribute('d')"
            before = [page.value(line) for page in pages]
            for page, old in zip(pages, before, strict=True):
                assert old.count(",") > 3
                LiveRun.until(lambda page=page, old=old: page.value(line) != old)
            assert pages[0].value("document.getElementById('d-age').textContent") != ""
            pages[0].value(
                "document.getElementById('text').value = 'beam on'; document.getElementById('mark').click()"
            )
            LiveRun.until(lambda: pages[1].value("marks.all.length") == 1)
            pages[1].value(
                "document.getElementById('rate').value = '0.002'; document.getElementById('setrate').click()"
            )
            LiveRun.until(lambda: pages[0].value("plots.data.dose.some(Number.isFinite)"))
            pages[0].value("document.getElementById('pause').click()")
            LiveRun.until(lambda: pages[1].value("document.getElementById('state').textContent") == "paused")
            pages[1].value("document.getElementById('pause').click()")
            LiveRun.until(lambda: pages[0].value("document.getElementById('state').textContent") == "live")
            assert pages[1].value("document.documentElement.scrollWidth <= innerWidth")  # fits a phone
            pages[0].value("document.documentElement.dataset.theme = 'dark'; plots.draw()")
            dark = pages[0].screenshot()
            pages[0].value("document.documentElement.dataset.theme = 'light'; plots.draw()")
            light = pages[0].screenshot()
            assert dark[5, 5].max() < 60 < 200 < light[5, 5].min()
        finally:
            for page in pages:
                page.close()
