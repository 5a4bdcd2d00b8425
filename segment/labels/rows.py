"""Labels as rows of numbers (YOLO polygons and boxes, ``y0 x0 y1 x1``) and as images of masks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from insitrack.io.errors import SourceError
from insitrack.segment.labels.outlines import UNNAMED, Drawn, Shape, Sheet
from insitrack.segment.labels.pictures import PICTURE_SUFFIXES, PictureFinder, mask_stem, names_masks

_ROWS = (
    "expected rows of class x y x y ... (YOLO polygon), class x y width height (YOLO box), or y0 x0 y1 x1"
    " (box, px)"
)


def row_sheets(paths: Sequence[Path], names: Mapping[int, str], find: PictureFinder) -> Iterator[Sheet]:
    """Read text files of rows, one file for each picture and named like it.

    An empty file is a picture that holds nothing.

    Parameters
    ----------
    paths : sequence of Path
        Text files.
    names : mapping of int to str
        What the class numbers stand for; a number without a name is its own name.
    find : PictureFinder
        Where the pictures are.

    Raises
    ------
    SourceError
        If a row is of no known form, or the picture is missing.
    """
    for path in paths:
        drawn = row_labels(path, names)
        yield Sheet(
            path,
            find.of_stem((path.stem,), path),
            frozenset(one.name for one in drawn),
            partial(_in_px, tuple(drawn)),
        )


def row_labels(path: Path, names: Mapping[int, str]) -> list[Drawn]:
    """Rows of one file; what YOLO wrote is in shares of the picture, boxes without a class are in px."""
    out = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        try:
            values = np.array(words, np.float64)
            out.append(_row(values, names))
        except ValueError as error:
            raise SourceError(f"{path}, line {number}: {line[:40]!r} is no label; {_ROWS}") from error
    return out


def _row(values: NDArray[np.float64], names: Mapping[int, str]) -> Drawn:
    if len(values) == 4:
        y1, x1, y2, x2 = values.tolist()
        if y2 < y1 or x2 < x1:
            raise ValueError("corners in the wrong order")
        return Drawn(UNNAMED, box=(x1, y1, x2, y2))
    number = int(values[0])
    if len(values) % 2 == 0 or len(values) < 5 or number != values[0] or not np.isfinite(values).all():
        raise ValueError("wrong number of values")
    name = names.get(number, str(number))
    if np.abs(values[1:]).max() > 2:
        raise ValueError("shares of the picture above 1")
    if len(values) == 5:
        x, y, width, height = values[1:].tolist()
        # kept in shares until the size of the picture is known, as an outline of two corners
        return Drawn(name, (np.array([[x - width / 2, y - height / 2], [x + width / 2, y + height / 2]]),))
    return Drawn(name, (values[1:].reshape(-1, 2),))


def _in_px(drawn: Sequence[Drawn], shape: Shape) -> list[Drawn]:
    """Shares of the picture to px."""
    out = []
    for one in drawn:
        if one.box is not None:
            out.append(one)
            continue
        points = one.parts[0] * (shape[1], shape[0])
        if len(points) == 2:
            (x1, y1), (x2, y2) = points.tolist()
            out.append(Drawn(one.name, box=(x1, y1, x2, y2)))
        else:
            out.append(Drawn(one.name, (points,)))
    return out


def drawn_rows(path: Path, names: Mapping[int, str], shape: Shape) -> list[Drawn]:
    """Rows of one file, px, for a picture of a known height and width."""
    return _in_px(row_labels(path, names), shape)


def yolo_names(path: Path) -> dict[int, str]:
    """Class names of a ``data.yaml`` or of a text file with one name a line.

    Raises
    ------
    SourceError
        If the file names no classes.
    """
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix.lower() == ".txt" or path.suffix.lower() == ".names":
        return dict(enumerate(line.strip() for line in text.splitlines() if line.strip()))
    import yaml

    try:
        data: Any = yaml.safe_load(text)
        names = data["names"]
        pairs = names.items() if isinstance(names, dict) else enumerate(names)
        return {int(number): str(name) for number, name in pairs}
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f"{path}: names no classes ({type(error).__name__}); expected names: [first, second] as in YOLO's"
            " data.yaml"
        ) from error


def mask_files(folder: Path) -> list[Path]:
    """Images and arrays of masks in a folder.

    In folders such as ``masks``, or named ``..._mask`` beside the picture.
    """
    found = sorted(path for path in folder.rglob("*") if _is_mask(path))
    inside = [
        path
        for path in found
        if any(names_masks(parent) for parent in path.parents[: len(path.parts) - len(folder.parts)])
    ]
    return inside + [path for path in found if mask_stem(path) is not None and path not in inside]


def _is_mask(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES | {".npy"} and not path.name.startswith(".")


def mask_sheets(paths: Sequence[Path], find: PictureFinder) -> Iterator[Sheet]:
    """Read masks: a label image, one image with the defects as its connected areas.

    Or a folder of one image per defect.

    An image with one value beside 0, or nearly so as a JPEG has it, holds the defects as its connected areas,
    corners joined; any other has one value for each defect.

    Raises
    ------
    SourceError
        If the picture is missing or a mask is of another size.
    """
    masks: dict[Path, list[Path]] = {}
    for path in paths:
        stem = mask_stem(path) or path.stem
        try:
            picture = find.of_stem((stem,), path)
            masks.setdefault(picture, []).append(path)
        except SourceError:
            picture = find.of_stem(
                (path.parent.name, re.sub(r"[-_]?(masks?|labels?)$", "", path.parent.name)), path
            )
            masks.setdefault(picture, []).append(path)
    for picture, files in masks.items():
        yield Sheet(files[0], picture, frozenset({UNNAMED}), partial(_areas, tuple(files)))


def _areas(files: Sequence[Path], shape: Shape) -> list[Drawn]:
    out = []
    for path in files:
        values = _read_mask(path)
        if values.shape != shape:
            raise SourceError(
                f"{path}: the mask is {values.shape[1]} x {values.shape[0]} px, its picture {shape[1]} x"
                f" {shape[0]}; expected one size"
            )
        labels = values
        if len(files) > 1 or _two_valued(values):
            labels = (values > (0 if len(np.unique(values)) <= 2 else int(values.max()) // 2)).astype(
                np.int64
            )
        if len(files) == 1 and _two_valued(values):
            labels = np.asarray(cv2.connectedComponents(labels.astype(np.uint8), connectivity=8)[1], np.int64)
        for number, window in enumerate(find_objects(labels), start=1):
            if window is not None:
                out.append(
                    Drawn(UNNAMED, pixels=(labels[window] == number, (window[0].start, window[1].start)))
                )
    return out


def _read_mask(path: Path) -> NDArray[np.int64]:
    if path.suffix.lower() == ".npy":
        values = np.load(path, allow_pickle=False)
    elif path.suffix.lower() in (".tif", ".tiff"):
        from insitrack.io.files.stacks import open_stack

        stack = open_stack(path)
        try:
            values = stack.read(0)
        finally:
            stack.close()
    else:
        values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim not in (2, 3):
        raise SourceError(f"{path}: the mask cannot be read; expected a grey png, tif or npy")
    return np.asarray(values if values.ndim == 2 else values[..., :3].max(axis=2), np.int64)


def _two_valued(values: NDArray[np.int64]) -> bool:
    """Whether an image is black and white, compression and soft edges aside."""
    inside = values[values > 0]
    if not inside.size or len(np.unique(inside)) == 1:
        return True
    white, grey = np.count_nonzero(inside > 235), np.count_nonzero((inside >= 20) & (inside <= 235))
    return bool(inside.max() == 255 and white > 0.5 * inside.size and grey < 0.2 * inside.size)
