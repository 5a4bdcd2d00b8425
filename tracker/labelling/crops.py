"""The crops that are labelled: where each comes from, and its image, without loss."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from insitrack.io.arrays import GreyImage
from insitrack.io.errors import OutputError, SourceError
from insitrack.io.write import write_bytes, write_text

TABLE = "crops.csv"
IMAGES = "images"
_ADVICE = "choose another folder with --out"


@dataclass(frozen=True, slots=True)
class Crop:
    """One row of ``crops.csv``.

    Parameters
    ----------
    name : str
        Name of its image, without the ending.
    source : str
        File that the frame is from.
    source_sha256 : str
        Its SHA-256, see `fingerprint`.
    frame : int
        Number of the frame in the source that was given, from 0.
    t_s : float
        Its time, s.
    x_px, y_px, width_px, height_px : int
        Left, top, width and height of the crop in the frame, px.
    nm_per_px : float
        Width of a pixel, nm; NaN where unknown.
    doubt : float
        Of the model whose outlines are the start, see `insitrack.tracker.labelling.choose.doubt`.
    """

    name: str
    source: str
    source_sha256: str
    frame: int
    t_s: float
    x_px: int
    y_px: int
    width_px: int
    height_px: int
    nm_per_px: float
    doubt: float

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.height_px, self.width_px


def write_crops(folder: Path, crops: Sequence[Crop]) -> None:
    """Write ``crops.csv`` as a whole."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([one.name for one in fields(Crop)])
    for crop in crops:
        table.writerow([_cell(getattr(crop, one.name)) for one in fields(Crop)])
    write_text(folder / TABLE, text.getvalue(), advice=_ADVICE)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.9g}"
    return str(value)


def read_crops(folder: Path) -> list[Crop]:
    """Read ``crops.csv``; no crops where there is none.

    Raises
    ------
    SourceError
        If it is damaged, or an image is missing.
    """
    path = folder / TABLE
    if not path.is_file():
        return []
    kinds: dict[str, Callable[[str], Any]] = {
        "int": int,
        "float": lambda text: float(text) if text else math.nan,
        "str": str,
    }
    crops = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for row in csv.DictReader(stream):
                crops.append(Crop(**{one.name: kinds[str(one.type)](row[one.name]) for one in fields(Crop)}))
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise SourceError(
            f"{path}: row {len(crops) + 1} cannot be read ({error}); take the file back from a copy, or choose"
            " another --out"
        ) from error
    names = [crop.name for crop in crops]
    for crop in crops:
        if names.count(crop.name) > 1 or Path(crop.name).name != crop.name or crop.name.startswith("."):
            raise SourceError(
                f"{path}: image name {crop.name[:60]!r} is doubled or no name; choose another --out"
            )
        if not image_path(folder, crop.name).is_file():
            raise SourceError(
                f"{image_path(folder, crop.name)}: no such image, but {TABLE} names it; put it back, or choose"
                " another --out"
            )
    return crops


def image_path(folder: Path, name: str) -> Path:
    """Where the image of a crop lies."""
    return folder / IMAGES / f"{name}.png"


def write_image(folder: Path, name: str, image: GreyImage) -> None:
    """Write a crop at its native depth, without loss.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    try:
        (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"--out {folder}: cannot be written ({error.strerror}); choose another folder"
        ) from error
    done, data = cv2.imencode(".png", np.ascontiguousarray(image))
    if not done:
        raise OutputError(f"{name}.png: an image of {image.shape} {image.dtype} cannot be written")
    write_bytes(image_path(folder, name), data.tobytes(), advice=_ADVICE)


def read_image(folder: Path, name: str) -> GreyImage:
    """Read the image of a crop.

    Raises
    ------
    SourceError
        If it is damaged.
    """
    image = cv2.imread(str(image_path(folder, name)), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 2:
        raise SourceError(
            f"{image_path(folder, name)}: cannot be read as a grey image; take it back from a copy"
        )
    grey: GreyImage = image
    return grey


def new_names(stem: str, frames: Iterable[int], known: Iterable[str]) -> list[str]:
    """Names of crops: the movie and the frame, so that those of one movie are known as such.

    Examples
    --------
    >>> new_names("anneal", [7, 12, 7], ["anneal_000012"])
    ['anneal_000007', 'anneal_000012_2', 'anneal_000007_2']
    """
    used, names = set(known), []
    for frame in frames:
        name = first = f"{stem}_{frame:06d}"
        number = 2
        while name in used:
            name, number = f"{first}_{number}", number + 1
        used.add(name)
        names.append(name)
    return names
