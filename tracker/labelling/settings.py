"""What `track label` may be told."""

from __future__ import annotations

import re
from dataclasses import dataclass

from insitrack.io.errors import SettingsError


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSettings:
    """How images are chosen to be labelled.

    Parameters
    ----------
    frames : int
        How many crops are labelled, one a frame as long as there are enough frames.
    crop_px : int
        Side of the crops, px; a frame that is hardly larger is taken whole.
    model : str
        Whose outlines are the start.
    annotator : str
        Who labels; each name has a file of its own. Empty: one file without a name.

    Raises
    ------
    SettingsError
        If a value lies outside its range.
    """

    frames: int = 16
    crop_px: int = 512
    model: str = "loops"
    annotator: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.frames <= 1000:
            raise SettingsError(f"--frames {self.frames}: expected 1 to 1000 images to label; 16 are a start")
        if not 64 <= self.crop_px <= 4096:
            raise SettingsError(f"--crop-px {self.crop_px}: expected 64 to 4096 px")
        if self.annotator and not re.fullmatch(r"[^\W_][\w.-]{0,39}", self.annotator):
            raise SettingsError(
                f"--as {self.annotator[:60]}: becomes the name of a file; expected up to 40 letters, digits, - and _"
            )
