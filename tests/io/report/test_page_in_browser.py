"""Pages in a real browser: tables are sorted by a click, plots follow the page into the dark."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from insitrack.io.report.page import render

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.live, pytest.mark.skipif(BROWSER is None, reason="no Chromium here")]

BODY = """
<table class="sortable"><tr><th>class</th><th>n</th></tr><tr><td>void</td><td>10</td></tr>
<tr><td>black_dot</td><td>9</td></tr><tr><td>loop</td><td>-2.5e1</td></tr></table>
<div id="plot" class="plotly-graph-div"></div>
<script>
Plotly.newPlot("plot", [{y: [1, 2], line: {color: "#3c3c3c"}}], {xaxis: {}, yaxis: {}});
const rows = () => [...document.querySelector("table").rows].slice(1).map(row => row.cells[0].textContent);
addEventListener("load", () => setTimeout(() => {
  const heads = document.querySelectorAll("th"), seen = {};
  heads[1].click(); seen.up = rows();
  heads[1].click(); seen.down = rows();
  heads[0].click(); seen.words = rows();
  const plot = document.getElementById("plot");
  seen.ink = plot.layout.font.color; seen.line = plot.data[0].line.color;
  seen.page = getComputedStyle(document.body).backgroundColor;
  document.title = JSON.stringify(seen);
}, 500));
</script>
"""


def seen_in_browser(folder: Path, *, dark: bool) -> dict[str, object]:
    page = render("page.html", title="a page", heading="a page", key_facts=[])
    (folder / "page.html").write_text(page.replace("</body>", f"{BODY}</body>"), encoding="utf-8")
    command = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=8000",
        f"--user-data-dir={folder / 'profile'}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        "--dump-dom",
        (folder / "page.html").as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r"<title>(\{.*?\})</title>", done.stdout)
    assert found, done.stdout[-500:]
    seen: dict[str, object] = json.loads(found.group(1).replace("&amp;", "&"))
    return seen


def test_a_click_sorts_by_number_and_by_word_and_a_second_one_turns_the_order(tmp_path: Path) -> None:
    seen = seen_in_browser(tmp_path, dark=False)
    assert seen["up"] == ["loop", "black_dot", "void"]
    assert seen["down"] == ["void", "black_dot", "loop"]
    assert seen["words"] == ["black_dot", "loop", "void"]
    assert (seen["ink"], seen["line"], seen["page"]) == ("#222", "#3c3c3c", "rgb(255, 255, 255)")


def test_in_the_dark_page_and_plots_are_dark_and_dark_lines_are_light(tmp_path: Path) -> None:
    seen = seen_in_browser(tmp_path, dark=True)
    assert seen["ink"] == "#ddd"
    assert seen["line"] == "#c8c8c8"
    assert seen["page"] == "rgb(22, 24, 27)"
