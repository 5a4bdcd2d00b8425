"""The page of labels: made by mouse and keys, saved as they are made; who may ask, and for what."""

import contextlib
import json
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from insitrack.segment.labels.reader import read_labelled
from insitrack.tests.support.browser import BROWSER, Browser
from insitrack.tracker.labelling.crops import Crop, write_crops, write_image
from insitrack.tracker.labelling.outlines import checked
from insitrack.tracker.labelling.server import LabelServer
from insitrack.tracker.labelling.store import LabelStore

SIDE = 128


def made(folder: Path) -> LabelStore:
    """Two crops; in the first a square was proposed twice, in the second nothing."""
    crops = [Crop(f"m_{i:06d}", "m.mp4", "ab", i, float(i), 0, 0, SIDE, SIDE, 0.5, 1.0) for i in (2, 7)]
    rng = np.random.default_rng(1)
    for one in crops:
        write_image(folder, one.name, rng.integers(90, 120, (SIDE, SIDE)).astype(np.uint8))
    write_crops(folder, crops)
    box = {"width_px": 2, "height_px": 3, "counts": "06", "defect_class": "loop", "state": "proposed"}
    start = [
        {**box, "id": 1, "x_px": 20, "y_px": 20, "probability": 0.52},
        {**box, "id": 2, "x_px": 90, "y_px": 20, "probability": 0.7},
        {**box, "id": 3, "x_px": 20, "y_px": 90, "probability": 0.9},
    ]
    return LabelStore(folder / "labels.json", crops, {"m_000002": checked(start, (SIDE, SIDE))}, {}, "")


@pytest.fixture
def server(tmp_path):
    served = LabelServer(made(tmp_path))
    served.start()
    yield served
    served.stop()


def asked(address: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(address, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_nothing_but_the_page_and_its_images_can_be_asked_for(server):
    base = server.address
    assert asked(base)[0] == asked(f"{base}label.js")[0] == asked(f"{base}image?place=1")[0] == 200
    for path in ("image?place=2", "image?place=-1", "image?place=../labels.json", "sheet?place=x", "labels.json",
                 "crops.csv", "..%2f..%2fetc%2fpasswd", "images/m_000002.png"):  # fmt: skip
        assert asked(base + path)[0] == 404, path
    assert asked(base, Host="evil.example")[0] == 403
    assert asked(f"{base}summary", Origin="http://evil.example")[0] == 403


def test_labels_are_taken_from_the_page_alone_and_only_as_they_can_be(server):
    address = f"{server.address}save"
    sheet = json.loads(asked(f"{server.address}sheet?place=0")[1])
    good = json.dumps(
        {"name": "m_000002", "outlines": sheet["outlines"], "done": False, "revision": 0}
    ).encode()
    assert asked(address, good)[0] == 403
    own = {"x-insitrack": "1"}
    for body in (b"", b"[]", b"{", b'{"name": 3}', b"[" * 5000):
        assert asked(address, body, **own)[0] == 400, body[:20]
    assert asked(address, b" " * (9 * 2**20), **own)[0] == 413
    assert not server.store.path.exists()
    assert asked(address, good, **own)[0] == 200
    code, words = asked(address, good, **own)
    assert (code, b"another window" in words) == (409, True)


def test_a_name_that_is_no_unicode_is_refused_in_one_line(server):
    body = b'{"name": "\\ud800", "outlines": [], "done": false, "revision": 0}'
    status, answer = asked(f"{server.address}save", body, **{"X-Insitrack": "1"})
    assert (status, "error" in json.loads(answer)) == (400, True)


def test_a_token_is_needed_elsewhere_and_the_page_keeps_it_in_a_cookie(tmp_path):
    served = LabelServer(made(tmp_path), host="0.0.0.0", token="secret")
    served.start()
    try:
        base = f"http://127.0.0.1:{served.port}/"
        assert asked(base)[0] == asked(f"{base}summary")[0] == asked(f"{base}label.js")[0] == 403
        with urllib.request.urlopen(f"{base}?token=secret", timeout=20) as answer:
            cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert asked(f"{base}summary", Cookie=cookie.split(";")[0])[0] == 200
    finally:
        served.stop()


STATES = "JSON.stringify([...document.querySelectorAll('#list li')].map(row => row.className))"
SAVED = "document.getElementById('saved').textContent === 'saved'"


@pytest.mark.live
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_an_image_is_labelled_by_mouse_and_keys_and_all_can_be_taken_back(server, tmp_path):
    def kept() -> list[tuple[str, str]]:
        page.until(SAVED)
        outlines = json.loads(server.store.path.read_text(encoding="utf-8"))["insitrack"]["sheets"][
            "m_000002"
        ]
        return [(one["state"], one["defect_class"]) for one in outlines["outlines"]]

    with contextlib.closing(Browser(tmp_path / "profile", server.address)) as page:
        page.until("document.querySelectorAll('#list li').length === 3")
        pressed = "document.querySelector('#classes [aria-pressed=true]')?.textContent"
        assert page.value(pressed).startswith("loop")  # what is drawn first is what most outlines are
        for key in ("n", "a", "6", "x"):
            page.key(key)
        # the next one that waits was chosen, called a void, then refused: it is not taken for accepted on the way
        assert kept() == [("accepted", "loop"), ("refused", "void"), ("proposed", "loop")]
        page.key("z", 2)
        assert kept()[1] == ("changed", "void")
        left, top, scale = json.loads(
            page.value(
                "(() => { const box = document.getElementById('viewer').getBoundingClientRect();"
                " const side = Math.min(box.width, box.height); return JSON.stringify("
                f"[box.left + (box.width - side) / 2, box.top + (box.height - side) / 2, side / {SIDE}]); }})()"
            )
        )
        page.key("0")
        page.key("d")
        circle = [(80 + 12 * np.cos(a), 80 + 12 * np.sin(a)) for a in np.linspace(0, 6.2, 20)]
        page.drag([(left + scale * x, top + scale * y) for x, y in circle])
        assert kept()[3] == ("drawn", "void")
        page.key("f")
        page.until("document.getElementById('ask').open")
        page.value("document.querySelector('#ask button[value=refused]').click()")
        page.until("location.hash === '#2'")
        assert [state for state, _ in kept()] == ["accepted", "changed", "refused", "drawn"]
        (picture,) = read_labelled(tmp_path)
        assert sorted(picture.truth.names()) == ["loop", "void", "void"]
        assert picture.truth.masks.area_px().max() == pytest.approx(np.pi * 12**2, rel=0.1)
        for _ in range(9):
            page.key("z", 2)
        page.until("document.getElementById('undo').disabled")
        assert kept() == [("proposed", "loop")] * 3
        assert len(json.loads(page.value(STATES))) == 3
        page.call(
            "Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=True
        )
        assert page.until("document.documentElement.scrollWidth") <= 391
