"""What every HTML page is made of: one style, plots, images and tables, filled into templates.

A page is one file that opens without a network.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_WIDEST_PX, _LARGEST_BYTES = 1400, 230_000
_PLOT = {"displaylogo": False, "responsive": True, "modeBarButtons": [["toImage", "resetScale2d"]]}
_TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, **facts: Any) -> str:
    """Fill a template; whatever is not `Markup` is escaped, and what it lacks is an error.

    Parameters
    ----------
    template : str
        Name of a file in ``templates``.
    **facts
        `title`, `heading`, `key_facts` and what else the template shows.
    """
    from plotly.offline import get_plotlyjs

    pages = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return pages.get_template(template).render(plotly=Markup(get_plotlyjs()), **facts)


@dataclass(frozen=True, slots=True)
class Plot:
    """A plotly figure under a title; `name` is unique in its page."""

    kind: ClassVar[str] = "plot"
    name: str
    title: str
    figure: Any

    def drawn(self) -> Markup:
        """Return the figure as markup; the page brings the script."""
        as_svg = {"toImageButtonOptions": {"format": "svg", "filename": self.name}}
        return Markup(
            self.figure.to_html(
                full_html=False, include_plotlyjs=False, config=_PLOT | as_svg, div_id=self.name
            )
        )


@dataclass(frozen=True, slots=True)
class Note:
    """Why there is no plot."""

    kind: ClassVar[str] = "note"
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """An image with its caption; a click enlarges it."""

    kind: ClassVar[str] = "picture"
    png: bytes
    description: str
    words: str

    def source(self) -> str:
        """Return the image as an address that holds it."""
        form, data = _small_picture(self.png)
        return f"data:image/{form};base64,{base64.b64encode(data).decode()}"


def _small_picture(png: bytes) -> tuple[str, bytes]:
    """Shrink to what a page needs; noise does not compress without loss, so a large image becomes JPEG."""
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
