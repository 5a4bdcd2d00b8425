"""The strip below an annotated frame: time, dose, scale bar and counts; it hides nothing of the specimen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insitrack.io.draw.canvas import BACKDROP, WHITE, Canvas, text_width
from insitrack.io.results import TrackedFrame


@dataclass(frozen=True, slots=True)
class Footer:
    """The strip below the frame.

    Time, dose and scale bar, then counts by class. Its size does not change during a movie.
    """

    top: int
    bottom: int
    width: int
    scale: float
    row_px: int
    columns: int

    @classmethod
    def fit(cls, class_names: tuple[str, ...], top: int, width: int) -> Footer:
        """Choose the size of the text and the number of rows for the width of the frame, px."""
        scale = 0.5 * min(max(width / 1024, 0.75), 2.0)
        row_px = round(44 * scale)
        slot = (
            row_px + max(text_width(f"{_spoken(name)} 0000", scale) for name in class_names)
            if class_names
            else width
        )
        columns = max(1, width // slot)
        rows = 1 + math.ceil(len(class_names) / columns)
        height = rows * row_px + row_px // 3
        return cls(top, top + height + (top + height) % 2, width, scale, row_px, columns)

    def baseline(self, row: int) -> int:
        """Lower end of the letters of a row, px."""
        return self.top + self.row_px // 6 + (row + 1) * self.row_px - self.row_px // 4

    def paint(
        self,
        canvas: Canvas,
        tracked: TrackedFrame,
        nm_per_px: float | None,
        palette: NDArray[np.uint8],
        *,
        timed: bool = True,
    ) -> None:
        """Write everything; `palette` holds the colour of each class, (K, 3) luma, blue, red difference."""
        margin, y = self.row_px // 3, self.baseline(0)
        if timed:
            canvas.text(f"t = {time_text(tracked.frame.t_s)}", margin, y, self.scale)
        everything = next((row for row in tracked.series if row.defect_class == "all"), None)
        left = 2 * margin + text_width("t = 00 min 00 s", self.scale)
        if everything is not None and math.isfinite(everything.dose_dpa):
            canvas.text(f"{everything.dose_dpa:.3g} dpa", left, y, self.scale)
            left += margin + text_width("0.00e-00 dpa", self.scale)
        if nm_per_px:
            self._scale_bar(canvas, nm_per_px, left)
        self._counts(canvas, tracked, palette)

    def note(self, canvas: Canvas, t_s: float, words: str) -> None:
        """Replace the footer by the time and a note."""
        canvas.luma[self.top :] = BACKDROP
        y = self.baseline(0)
        start = f"t = {time_text(t_s)}: " if math.isfinite(t_s) else ""
        canvas.text(start + words, self.row_px // 3, y, self.scale)

    def _scale_bar(self, canvas: Canvas, nm_per_px: float, left: int) -> None:
        """Draw a bar of round length at the right end, with its length; none where it would cover the time."""
        margin = self.row_px // 3
        length_nm = round_length(0.22 * self.width * nm_per_px)
        words = length_text(length_nm)
        bar, tall = max(1, round(length_nm / nm_per_px)), max(3, self.row_px // 5)
        x = self.width - margin - bar
        start = x - margin // 2 - text_width(words, self.scale) - 2
        if start >= left:
            y = self.baseline(0)
            canvas.luma[y - tall - 1 : y - 1, x : x + bar] = WHITE
            canvas.text(words, start, y, self.scale)

    def _counts(self, canvas: Canvas, tracked: TrackedFrame, palette: NDArray[np.uint8]) -> None:
        names = tracked.detections.class_names
        counts = np.bincount(tracked.detections.labels - 1, minlength=len(names)).tolist()
        seen = {row.defect_class: row.n for row in tracked.series}
        slot, side = self.width // self.columns, 2 * (self.row_px // 5)
        shown = [i for i, name in enumerate(names) if counts[i] or name in seen]
        for place, i in enumerate(shown):
            x, y = self.row_px // 3 + place % self.columns * slot, self.baseline(1 + place // self.columns)
            n = seen.get(names[i], float(counts[i]))
            canvas.block(x & ~1, (y - side) & ~1, side, side, palette[i])
            canvas.text(
                f"{_spoken(names[i])} {'?' if math.isnan(n) else f'{n:g}'}", x + side + 6, y, self.scale
            )


def _spoken(name: str) -> str:
    return name.replace("_", " ").encode("ascii", "replace").decode()


def round_length(longest: float) -> float:
    """Longest of 1, 2, 5, 10, 20, 50, ... that is not above `longest`; below 1 likewise 0.5, 0.2, 0.1, ...

    Examples
    --------
    >>> round_length(180.0), round_length(0.7), round_length(50.0)
    (100.0, 0.5, 50.0)
    """
    power = 10.0 ** math.floor(math.log10(longest) + 1e-12)
    return next(
        step * power for step in (5.0, 2.0, 1.0) if step * power <= longest * (1 + 1e-9) or step == 1.0
    )


def length_text(nm: float) -> str:
    """Write a length for people; the letters of the movie have no micro sign.

    Examples
    --------
    >>> length_text(200.0), length_text(5000.0)
    ('200 nm', '5 um')
    """
    return f"{nm / 1000:g} um" if nm >= 1000 else f"{nm:g} nm"


def time_text(t_s: float) -> str:
    """Write a time for people.

    Examples
    --------
    >>> time_text(1.5), time_text(12.44), time_text(754.0), time_text(7380.0)
    ('1.50 s', '12.4 s', '12 min 34 s', '2 h 03 min')
    """
    if not math.isfinite(t_s):
        return "?"
    if abs(t_s) < 99.95:
        return f"{t_s:.2f} s" if abs(t_s) < 9.995 else f"{t_s:.1f} s"
    sign, seconds = "-" if t_s < 0 else "", round(abs(t_s))
    if seconds < 3600:
        return f"{sign}{seconds // 60} min {seconds % 60:02d} s"
    return f"{sign}{seconds // 3600} h {seconds % 3600 // 60:02d} min"
