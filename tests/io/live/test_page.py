"""The page of a live run in a real browser: marks, classes, zoom, alarms, and how it ends."""

import threading

import cv2
import numpy as np
import pytest

from insitrack.io.live.page.newest import NewestFrame, PictureChoice
from insitrack.tests.support.browser import BROWSER, Browser
from insitrack.tests.support.page_run import PageRun, frame_of


def colourful(data):
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:96].astype(int)
    return int((image.max(axis=2) - image.min(axis=2) > 60).sum())


def test_classes_can_be_taken_off_the_picture_and_names_that_do_not_occur_cost_nothing():
    newest = NewestFrame(None)
    assert newest.picture(PictureChoice(), 0.0) == b""
    newest.take(frame_of(3))
    both, one, none = (
        newest.picture(PictureChoice(ids=False, hidden=frozenset(hidden), lossless=True), 0.0)
        for hidden in ((), ("void",), ("void", "loop"))
    )
    assert colourful(both) > colourful(one) > colourful(none) == 0
    for number in range(100):
        newest.picture(PictureChoice(ids=False, hidden=frozenset({f"x{number}"})), 0.0)
    assert len(newest._drawn) <= 12


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A run and a browser that looks at it."""
    if BROWSER is None:
        pytest.skip("no Chromium here")
    with PageRun(tmp_path_factory.mktemp("run")) as run:
        page = Browser(tmp_path_factory.mktemp("browser"), run.view.address, 1300, 1000)
        page.until("typeof plots !== 'undefined' && plots.drawn && $('picture').naturalWidth > 0", 120)
        yield run, page
        page.close()


def test_marks_are_renamed_moved_deleted_and_shown_in_the_list(shown):
    run, page = shown
    page.value("$('text').value = 'beam on'; $('mark').click()")
    page.until("marks.all.length === 1")
    button = "document.querySelectorAll('#marks button')"
    page.value(f"{button}[1].click(); $('ask-text').value = 'beam <b>really</b> on'; $('ask-yes').click()")
    page.until("marks.all[0].text === 'beam <b>really</b> on'")
    assert page.value("document.querySelector('#marks b')") is None
    page.value(f"{button}[2].click(); $('ask-text').value = '0.25'; $('ask-yes').click()")
    page.until("marks.all[0].t === 0.25")
    page.value(f"{button}[0].click()")
    page.until("$('density').layout.xaxis.range[1] < 40")
    page.value(f"{button}[3].click()")
    page.until("marks.all.length === 0")
    assert run.controls.marks.all() == ()


def test_the_curves_go_against_the_clock_and_the_picture_is_zoomed(shown):
    _, page = shown
    page.value("$('axis').value = 'clock'; $('axis').onchange()")
    page.until("$('density').layout.xaxis.type === 'date'")
    page.value("$('axis').value = 't'; $('axis').onchange(); $('view').scrollIntoView({block: 'center'})")
    place = page.value(
        "(box => [box.x + box.width / 2, box.y + box.height / 2])($('view').getBoundingClientRect())"
    )
    page.call("Input.dispatchMouseEvent", type="mouseWheel", x=place[0], y=place[1], deltaX=0, deltaY=-400)
    page.until("picture.scale > 1 && !$('unzoom').hidden")
    page.value("$('unzoom').click()")
    page.until("picture.scale === 1")
    page.value("document.querySelector('#classes input').click()")
    page.until("picture.hidden.size === 1")


def test_a_trigger_that_fires_is_a_bar_on_the_page_until_it_is_seen(shown):
    run, page = shown
    assert not page.value("$('fired').className")
    run.controls.marks.add(1.5, "n > 5: n is 6", "trigger")
    page.until("$('fired').className === 'on' && $('fired').textContent.includes('n is 6')")
    page.value("$('fired').querySelector('button').click()")
    assert not page.value("$('fired').className")
    assert page.value("document.querySelectorAll('#marks tr').length") == 1
    assert "rename" not in page.value("$('marks').textContent")


def test_a_stop_asks_once_more_and_the_page_keeps_the_report_of_a_run_that_has_ended(shown, tmp_path):
    run, page = shown
    page.value("$('stop').click()")
    assert "cannot be taken back" in page.value("$('stopping').textContent")
    page.value("$('go-on').click()")
    assert "stop" not in run.controls.asked
    page.value("$('stop').click(); $('stop-now').click()")
    page.until("!$('stopping').open")
    (tmp_path / "report.html").write_text("<p>what was found</p>")
    ending = threading.Thread(target=run.end, args=("the run is done", tmp_path / "report.html"))
    ending.start()
    page.until("report !== null && report.href.startsWith('blob:')", 60)
    ending.join(20)
    assert not ending.is_alive()
    assert "stop" in run.controls.asked
    assert page.value("report.dataset.bytes") == str(len("<p>what was found</p>"))
    assert page.value("$('state').textContent") == "the run is done"
