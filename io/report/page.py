"""What every HTML page is made of.

One style, plots, pictures and tables; a page is one file that opens without a network.
"""

from __future__ import annotations

import base64
import html
from typing import Any

import cv2
import numpy as np

_WIDEST_PX, _LARGEST_BYTES = 1400, 230_000
_PLOT = {"displaylogo": False, "responsive": True, "modeBarButtons": [["toImage", "resetScale2d"]]}

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; color: #222; background: #fff;
       max-width: 1200px; margin: 0 auto; padding: 24px 20px 60px; }
h1 { font-size: 25px; line-height: 1.25; margin: 0 0 2px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 34px 0 8px; border-bottom: 1px solid #ddd; padding-bottom: 4px; }
h3 { font-size: 15px; margin: 0 0 2px; }
.facts { color: #555; margin: 0 0 14px; }
.facts span + span::before { content: " · "; color: #aaa; }
.methods { background: #f6f7f9; padding: 10px 14px; border-radius: 4px; user-select: all; }
.choices td { padding-top: 1px; padding-bottom: 1px; vertical-align: top; }
.choices td:first-child { padding-right: 9px; text-align: right; }
.choices td:nth-child(2) { white-space: nowrap; padding-right: 14px; }
.choices td:last-child { white-space: nowrap; }
.choices { font-size: 13px; line-height: 1.35; }
.warnings { background: #fff8e6; border-left: 4px solid #e69f00; font-size: 13.5px; margin: 12px 0; padding: 6px 12px 6px 10px; }
.warnings ul { margin: 0; padding-left: 18px; }
.failed { border-color: #d55e00; background: #fdefe7; }
.two { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 18px 22px; }
@media (max-width: 800px) { .two { grid-template-columns: minmax(0, 1fr); } }
figure { margin: 0; break-inside: avoid; min-width: 0; }
figure img { width: 100%; display: block; border-radius: 3px; cursor: zoom-in; }
figure.large { grid-column: 1 / -1; }
figure.large img { cursor: zoom-out; }
figcaption { font-size: 13.5px; color: #555; margin: 4px 0; }
.note { background: #f5f6f8; color: #555; border-radius: 4px; padding: 14px 16px; font-size: 14px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 3px 14px 3px 0; border-bottom: 1px solid #eee; vertical-align: top; }
th { color: #555; font-weight: 600; }
td.number, th.number { text-align: right; white-space: nowrap; padding-right: 0; }
th[colspan] { white-space: normal; }
th.number, td.number { padding-left: 9px; }
th.first, td.first { padding-left: 16px; }
.values { font-size: 12.5px; }
td.name { white-space: nowrap; }
td.value { overflow-wrap: anywhere; }
.interval { color: #888; }
.swatch { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 6px; }
code { font-size: 13px; }
details { margin: 10px 0; }
summary { cursor: pointer; font-weight: 600; }
@media print { body { max-width: none; padding: 0; } .two { grid-template-columns: 1fr 1fr; } .modebar { display: none !important; } }
"""


def head(title: str) -> str:
    """Everything up to the first heading."""
    from plotly.offline import get_plotlyjs

    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport"'
        ' content="width=device-width, initial-scale=1">\n'
        f"<title>{safe(title)}</title><style>{_STYLE}</style><script>{get_plotlyjs()}</script></head><body>"
    )


def safe(value: object) -> str:
    """Return text that is not taken for markup."""
    return html.escape(str(value))


def picture_block(png: bytes, description: str, words: str) -> str:
    """Embed a picture with its caption; a click enlarges it."""
    kind, data = _small_picture(png)
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    click = "this.parentNode.classList.toggle('large')"
    caption = f"<figcaption>{words}; click to enlarge</figcaption>"
    return f'<figure><img alt="{safe(description)}" onclick="{click}" src="{source}">{caption}</figure>'


def _small_picture(png: bytes) -> tuple[str, bytes]:
    """Shrink to what a page needs; noise does not compress without loss, so a large picture becomes JPEG."""
    picture = np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR))
    height, width = picture.shape[:2]
    if width <= _WIDEST_PX and len(png) <= _LARGEST_BYTES:
        return "png", png
    factor, data = min(1.0, _WIDEST_PX / width), b""
    full_colour = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    for quality in (90, 80, 70, 60, 50, 40, 30):
        small = cv2.resize(
            picture, (round(width * factor), round(height * factor)), interpolation=cv2.INTER_AREA
        )
        data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality, *full_colour])[1].tobytes()
        if len(data) <= _LARGEST_BYTES:
            break
        factor *= 0.9
    return "jpeg", data


def plot(name: str, title: str, figure: Any) -> str:
    """Embed a plotly figure."""
    drawn = figure.to_html(full_html=False, include_plotlyjs=False, config=_PLOT, div_id=name)
    return f"<figure><h3>{title}</h3>{drawn}</figure>"


def note(title: str, text: str) -> str:
    """Say why there is no plot."""
    return f'<figure><h3>{title}</h3><p class="note">{text}</p></figure>'
