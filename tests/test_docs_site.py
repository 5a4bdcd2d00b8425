"""The documentation builds without a warning, and a page of it loads nothing from elsewhere."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from insitrack.tests.support.once import Once
from insitrack.tests.support.scripts import load_script

pytest.importorskip("mkdocs", reason='the documentation needs: python -m pip install ".[docs]"')

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(once: Once) -> Path:
    """The site as `mkdocs build` makes it; the run fails on any warning."""
    return once("site", build_site)


def build_site(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Loaded(HTMLParser):
    """Addresses that a browser fetches when it shows a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in {"script", "img", "iframe", "video", "source"}:
            self.addresses.append(given.get("src") or "")
        if tag == "link" and given.get("rel") in {"stylesheet", "preconnect", "icon", "preload"}:
            self.addresses.append(given.get("href") or "")


@pytest.mark.slow
def test_no_page_loads_anything_from_outside(site: Path) -> None:
    outside = []
    for path in site.rglob("*.html"):
        reader = Loaded()
        reader.feed(path.read_text(encoding="utf-8"))
        outside += [f"{path.name}: {one}" for one in reader.addresses if re.match(r"(https?:)?//", one)]
    assert outside == []
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.search(r"url\(['\"]?(https?:)?//", styles)


@pytest.mark.slow
def test_every_wing_has_a_page(site: Path) -> None:
    made = {path.stem for path in (site / "api").glob("*.html")}
    wings = {
        f"{floor}.{path.parent.name}"
        for floor in ("io", "segment", "tracker")
        for path in (ROOT / floor).glob("*/__init__.py")
    }
    assert wings <= made


@pytest.mark.slow
def test_a_page_of_figures_says_how_old_they_are(site: Path) -> None:
    rows = load_script("measured").figures()
    listed = (site / "benchmarks.html").read_text(encoding="utf-8")
    assert [row.name for row in rows if row.name not in listed] == []
    for row in rows:
        page = site / "benchmarks" / f"{row.name}.html"
        if row.date and page.is_file():
            text = page.read_text(encoding="utf-8")
            assert f"Figures of {row.date}" in text, row.name
            assert ("older than the code" in text) == (row.current is False), row.name
