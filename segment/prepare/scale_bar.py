"""A burnt-in scale bar: found and measured.

Its label read where a program for that is installed. A suggestion, never more.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from insitrack.io.arrays import GreyImage
from insitrack.io.units import nm_of

_LABEL = re.compile(r"(\d+(?:[.,]\d+)?)\s*(nm|µm|um|μm|pm|Å|A)\b")
_LEAST_SHARE, _LEAST_ASPECT, _LEAST_FILL = 0.03, 5.0, 0.93
_READER_S = 20


@dataclass(frozen=True, slots=True)
class ScaleBar:
    """A bar as it lies on the image.

    Parameters
    ----------
    x_px, y_px, length_px, height_px : int
        Its upper left corner, length and height, px.
    label : str
        What stands beside it, as far as it could be read.
    length_nm : float or None
        Length that the label states, nm.
    """

    x_px: int
    y_px: int
    length_px: int
    height_px: int
    label: str = ""
    length_nm: float | None = None

    @property
    def nm_per_px(self) -> float | None:
        """Width of a pixel that follows, nm."""
        return None if self.length_nm is None else self.length_nm / self.length_px


def find_scale_bar(image: GreyImage) -> ScaleBar | None:
    """Look for a flat, level bar, wholly black or wholly white, and measure it.

    Parameters
    ----------
    image : ndarray of uint8 or uint16, shape (H, W)
        One frame.

    Returns
    -------
    ScaleBar or None
        The longest one, without its label; None if there is none.

    Examples
    --------
    >>> image = np.random.default_rng(0).integers(60, 180, (200, 300)).astype(np.uint8)
    >>> image[180:184, 20:121] = 255
    >>> found = find_scale_bar(image)
    >>> (found.x_px, found.y_px, found.length_px, found.height_px)
    (20, 180, 101, 4)
    """
    height, width = image.shape
    best: ScaleBar | None = None
    for level in (image.max(), image.min()):
        spread = int(max(1, 0.02 * (float(image.max()) - float(image.min()))))
        near = (np.abs(image.astype(np.int64) - int(level)) <= spread).astype(np.uint8)
        n, _, stats, _ = cv2.connectedComponentsWithStats(near, connectivity=4)
        for x, y, long, high, area in stats[1:n].tolist():
            if (
                long < max(12, _LEAST_SHARE * width)
                or long > 0.9 * width
                or high > 0.06 * height
                or long < _LEAST_ASPECT * high
            ):
                continue
            if area >= _LEAST_FILL * long * high and high >= 2 and (best is None or long > best.length_px):
                best = ScaleBar(x, y, long, high)
    return best


def read_label(image: GreyImage, bar: ScaleBar, program: str | None = None) -> ScaleBar:
    """Read what stands above or below a bar, if Tesseract is installed.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        The frame.
    bar : ScaleBar
        As `find_scale_bar` found it.
    program : str, optional
        Path of the program; by default ``tesseract`` wherever it lies.
    """
    program = program or shutil.which("tesseract")
    if program is None:
        return bar
    height, width = image.shape
    reach = max(40, 8 * bar.height_px)
    rows = slice(max(0, bar.y_px - reach), min(height, bar.y_px + bar.height_px + reach))
    columns = slice(max(0, bar.x_px - reach), min(width, bar.x_px + bar.length_px + 2 * reach))
    part = cv2.normalize(image[rows, columns].astype(np.float32), None, 0, 255, cv2.NORM_MINMAX).astype(
        np.uint8
    )
    if part[: max(1, bar.y_px - rows.start)].mean() < 128:
        part = 255 - part
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "label.png"
        cv2.imwrite(str(path), cv2.resize(part, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC))
        try:
            said = subprocess.run(
                [program, str(path), "-", "--psm", "6"],
                capture_output=True,
                text=True,
                timeout=_READER_S,
                check=False,
            ).stdout
        except (OSError, subprocess.TimeoutExpired):
            return bar
    return labelled(bar, said)


def labelled(bar: ScaleBar, text: str) -> ScaleBar:
    """Add what a reader made of the label.

    Examples
    --------
    >>> labelled(ScaleBar(0, 0, 100, 4), "  50 nm ").nm_per_px
    0.5
    """
    found = _LABEL.search(text)
    if found is None:
        return bar
    value = float(found.group(1).replace(",", "."))
    return ScaleBar(
        bar.x_px, bar.y_px, bar.length_px, bar.height_px, found.group(0), nm_of(value, found.group(2))
    )
