"""What microscope software burns into an image: a scale bar of the right length, text and black borders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

BAR_LENGTHS_NM = (2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


@dataclass(frozen=True, slots=True)
class Overlay:
    """Pixels that replace the image.

    Parameters
    ----------
    covered : ndarray of bool, shape (H, W)
        Where the specimen is not to be seen.
    grey : ndarray of uint8, shape (H, W)
        What is there instead.
    bar_px, bar_nm : float
        Length of the scale bar; 0 where there is none.
    """

    covered: NDArray[np.bool_]
    grey: NDArray[np.uint8]
    bar_px: float = 0.0
    bar_nm: float = 0.0

    def burn(self, image: NDArray[np.uint8]) -> None:
        """Replace the covered pixels, in place."""
        np.copyto(image, self.grey, where=self.covered)


def bar_length_nm(width_px: int, nm_per_px: float) -> int:
    """Round length of a scale bar about a fifth of the image wide, nm.

    Examples
    --------
    >>> bar_length_nm(512, 0.4)
    50
    """
    return max((n for n in BAR_LENGTHS_NM if n <= 0.27 * width_px * nm_per_px), default=BAR_LENGTHS_NM[0])


def make_overlay(
    rng: np.random.Generator,
    shape: tuple[int, int],
    nm_per_px: float,
    config: dict[str, Any],
    *,
    plain: bool = False,
) -> Overlay:
    """Draw an overlay from the ranges of section ``overlay``.

    `plain` gives always a scale bar and never a border.
    """
    height, width = shape
    grey, covered = np.zeros(shape, np.uint8), np.zeros(shape, bool)
    if not plain and rng.random() < config["border_share"]:
        _border(rng, covered)
    length_nm = bar_length_nm(width, nm_per_px)
    bar_px = 0
    if plain or rng.random() < config["text_share"]:
        bar_px = round(length_nm / nm_per_px)
        ink = 255 if plain or rng.random() < 0.7 else 0
        left = 0 if plain or rng.random() < 0.7 else max(0, width - bar_px - 40)
        x, y = left + 16, height - 14 - (0 if plain else int(rng.integers(0, 30)))
        thick = max(3, height // 120)
        if not plain and rng.random() < 0.25:
            _paint(
                grey, covered, 255 - ink, (x - 8, y - int(0.09 * height) - 8), (x + bar_px + 8, y + thick + 6)
            )
        _paint(grey, covered, 255 - ink, (x - 1, y - 1), (x + bar_px + 1, y + thick + 1))
        _paint(grey, covered, ink, (x, y), (x + bar_px, y + thick))
        _write(
            grey,
            covered,
            f"{length_nm} nm",
            (x + 4, y - 8),
            height / 520 * (1.0 if plain else rng.uniform(0.7, 1.8)),
            ink,
        )
    if not plain and rng.random() < config["corner_label_share"]:
        text = str(
            rng.choice(
                [
                    f"{rng.uniform(0, 5):.1f}-{rng.uniform(5, 9):.1f}",
                    f"t = {rng.integers(999)} s",
                    f"{rng.uniform(0, 9):.2f} dpa",
                    "g = 200",
                    "BF",
                    "500 C",
                ]
            )
        )
        corner = (int(rng.uniform(0.02, 0.7) * width), int(rng.choice([0.08, 0.97]) * height))
        _write(grey, covered, text, corner, height / 520 * rng.uniform(0.6, 1.8), int(rng.choice([0, 255])))
    if not plain and rng.random() < config["pointer_share"]:
        _point(rng, grey, covered)
    return Overlay(covered, grey, float(bar_px), float(length_nm) if bar_px else 0.0)


def _point(rng: np.random.Generator, grey: NDArray[np.uint8], covered: NDArray[np.bool_]) -> None:
    """Draw the pointer of the mouse, white with a black rim, or an arrow that someone drew at a feature."""
    tip = rng.uniform((0, 0), grey.shape[::-1])
    size = grey.shape[0] / 40 * rng.uniform(0.6, 1.8)
    if rng.random() < 0.5:
        outline = np.array(
            [[0, 0], [0, 1], [0.24, 0.78], [0.4, 1.15], [0.56, 1.08], [0.4, 0.72], [0.72, 0.72]]
        )
        corners = [np.round(tip + size * outline).astype(np.int32)]
        layers = [(0, 3), (255, 0)]
    else:
        angle, ink = rng.uniform(0, 2 * np.pi), int(rng.choice([0, 255]))
        outline = np.array(
            [[0, 0], [-1, 0.45], [-1, 0.14], [-3, 0.14], [-3, -0.14], [-1, -0.14], [-1, -0.45]]
        )
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        corners = [np.round(tip + size * outline @ turn).astype(np.int32)]
        layers = [(ink, 0)]
    for ink, rim in layers:
        layer = np.zeros(grey.shape, np.uint8)
        cv2.fillPoly(layer, corners, 255)
        if rim:
            layer = cv2.dilate(layer, np.ones((rim, rim), np.uint8))
        grey[layer > 0] = ink
        covered |= layer > 0


def _border(rng: np.random.Generator, covered: NDArray[np.bool_]) -> None:
    """Black margins, on one to three sides."""
    for side in rng.choice(4, int(rng.integers(1, 4)), replace=False):
        depth = int(rng.integers(2, max(3, covered.shape[side % 2] // 12)))
        view = covered if side % 2 == 0 else covered.T
        if side < 2:
            view[:depth] = True
        else:
            view[-depth:] = True


def _paint(
    grey: NDArray[np.uint8], covered: NDArray[np.bool_], ink: int, low: tuple[int, int], high: tuple[int, int]
) -> None:
    """Fill a rectangle given by its corners (x, y), the high one exclusive."""
    rows, columns = slice(max(0, low[1]), max(0, high[1])), slice(max(0, low[0]), max(0, high[0]))
    grey[rows, columns] = ink
    covered[rows, columns] = True


def _write(
    grey: NDArray[np.uint8],
    covered: NDArray[np.bool_],
    text: str,
    corner: tuple[int, int],
    scale: float,
    ink: int,
) -> None:
    """Write text with an outline of the opposite grey."""
    thick = max(1, round(1.6 * scale))
    for colour, width in ((255 - ink, thick + 2), (ink, thick)):
        layer = np.zeros(grey.shape, np.uint8)
        cv2.putText(layer, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, width, cv2.LINE_8)
        grey[layer > 0] = colour
        covered |= layer > 0
