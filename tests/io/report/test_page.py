"""What pages are made of."""

import base64

import cv2
import jinja2
import numpy as np
import pytest

from insitrack.io.report.page import Note, Picture, render

FACTS = {
    "title": "a <b>",
    "heading": "heading",
    "key_facts": ['5 < 6 & "so on"'],
    "warnings": ["<script>alert(1)</script>"],
    "curve": Note("curve", "none"),
    "scores": [],
    "published": [],
    "people": None,
    "splits": None,
    "details": None,
    "classes": {"heads": [], "rows": []},
    "pictures": {"heads": [], "rows": []},
    "settings": [("name", "<i>")],
}


def test_whatever_is_filled_in_is_escaped():
    page = render("evaluation.html", **FACTS)
    assert "<title>a &lt;b&gt;</title>" in page
    assert "<span>5 &lt; 6 &amp; &#34;so on&#34;</span>" in page
    assert "<li>&lt;script&gt;alert(1)&lt;/script&gt;</li>" in page
    assert '<td class="value">&lt;i&gt;</td>' in page


@pytest.mark.parametrize("absent", ["title", "key_facts", "classes", "settings"])
def test_a_page_that_lacks_something_is_an_error(absent):
    with pytest.raises(jinja2.UndefinedError):
        render("evaluation.html", **{name: value for name, value in FACTS.items() if name != absent})


def test_a_small_picture_stays_as_it_is_and_a_large_one_shrinks():
    small = cv2.imencode(".png", np.zeros((20, 30), np.uint8))[1].tobytes()
    noise = np.random.default_rng(0).integers(0, 256, (1200, 2000, 3), np.uint8)
    large = cv2.imencode(".png", noise)[1].tobytes()
    kind, data = Picture(small, "small", "words").source().split(",")
    assert (kind, base64.b64decode(data)) == ("data:image/png;base64", small)
    kind, data = Picture(large, "large", "words").source().split(",")
    assert kind == "data:image/jpeg;base64"
    assert len(base64.b64decode(data)) <= 230_000
