"""A review in a real browser: edits by mouse and keys move outlines, lists and curves, and all can be taken back."""

import json

import pytest

from insitrack.io.tables.columns import TRACKS
from insitrack.tests.support.browser import BROWSER
from insitrack.tests.support.review_page import KINDS, ReviewPage
from insitrack.tracker.analysis.edit import edit_run
from insitrack.tracker.hindsight.edits import read_edits
from insitrack.tracker.review.open import reviewing
from insitrack.tracker.review.session import Session

pytestmark = [pytest.mark.live, pytest.mark.skipif(BROWSER is None, reason="no Chromium here")]


@pytest.fixture
def page(run):
    with reviewing(run) as server:
        page = ReviewPage(server.address)
        yield page
        page.close()


def rows_of(run):
    rows = Session(run).now.rows
    return TRACKS.header() + TRACKS.format({name: rows[name].to_numpy() for name in TRACKS.names})


def test_edits_of_all_kinds_by_mouse_and_keys_are_kept_written_and_taken_back_to_the_byte(
    page, run, tmp_path
):
    tables = {
        path: path.read_bytes() for path in run.iterdir() if path.suffix in (".csv", ".parquet", ".json")
    }
    density = page.value("JSON.stringify(review.curves.now.classes.all.n)")
    outlines = page.value("JSON.stringify(review.viewer.outlines.map(one => [one.id, ...one.box]))")
    done = []
    for n, kind in enumerate(KINDS):
        page.go_to(3 + n % 3)
        if page.edit(kind, n % 4):
            done.append(kind)
    assert done == list(KINDS)
    assert [edit.action for edit in read_edits(run / "edits.csv")] == [edit["action"] for edit in page.edits]
    assert page.value("JSON.stringify(review.curves.now.classes.all.n)") != density
    page.browser.until("document.querySelectorAll('#density .js-line').length > 0", 60)
    trail = edit_run(run, run / "edits.csv", tmp_path / "new")
    assert len(trail) == page.n_edits
    assert rows_of(run) == (tmp_path / "new" / TRACKS.file).read_text()
    page.undo_all()
    page.go_to(0)
    assert page.value("JSON.stringify(review.viewer.outlines.map(one => [one.id, ...one.box]))") == outlines
    assert page.value("JSON.stringify(review.curves.now.classes.all.n)") == density
    assert rows_of(run) == (run / TRACKS.file).read_text()
    assert tables == {path: path.read_bytes() for path in tables}
    assert not (run / "edits.csv").exists()


def test_the_page_keeps_its_edits_over_a_reload_and_shows_frames_keys_and_reasons(page, run):
    names = page.seen()
    page.select(names[0])
    page.browser.key("x")
    page.settled()
    assert names[0] not in page.seen()
    page.value("document.documentElement.dataset.ready = ''; location.reload()")
    page.browser.until("document.documentElement.dataset.ready === '1'", 40)
    assert page.n_edits == 1
    assert names[0] not in page.seen()
    page.browser.key("ArrowRight")
    page.browser.key("ArrowRight", 8)
    assert page.value("review.place") == 11
    page.browser.until("review.viewer.bitmap !== null")
    page.browser.key("n")
    page.browser.until("document.querySelector('#chosen .reasons') !== null")
    page.browser.until("document.querySelectorAll('#chosen .strip img').length > 0")
    page.browser.key("?")
    sheet = page.value("document.querySelector('dialog[open]').innerText")
    assert all(
        words in sheet for words in ("next frame", "split at this frame", "undo", "restore what was dropped")
    )
    unnamed = page.value(
        "JSON.stringify([...document.querySelectorAll('button, input, select, canvas')].filter(one => !one.innerText?.trim()"
        " && !one.getAttribute('aria-label') && !one.labels?.length && !one.closest('[role=img], #view')).map(one => one.outerHTML))"
    )
    assert json.loads(unnamed) == []
