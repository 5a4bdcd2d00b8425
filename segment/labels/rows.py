"""Labels as rows of numbers (YOLO polygons and boxes, ``y0 x0 y1 x1``) and as images of masks."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from insitrack.io.errors import SourceError
from insitrack.segment.labels.files import check_count, read_text, reading, shown
from insitrack.segment.labels.outlines import UNNAMED, Drawn, Shape, Sheet
from insitrack.segment.labels.pictures import PICTURE_SUFFIXES, PictureFinder, mask_stem, names_masks

_ROWS = (
    "expected rows of class x y x y ... (YOLO polygon), class x y width height (YOLO box), or y0 x0 y1 x1"
    " (box, px)"
)

_MOST_NUMBER = 65_535  # in a mask; larger ones are renumbered
_MOST_YAML = 100_000  # characters of a file of class names


def row_sheets(paths: Sequence[Path], names: Mapping[int, str], find: PictureFinder) -> Iterator[Sheet]:
    """Read text files of rows, one file for each image and named like it.

    An empty file is an image that holds nothing.

    Parameters
    ----------
    paths : sequence of Path
        Text files.
    names : mapping of int to str
        What the class numbers stand for; a number without a name is its own name.
    find : PictureFinder
        Where the images are.

    Raises
    ------
    SourceError
        If a row is of no known form, or the image is missing.
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
    """Rows of one file; what YOLO wrote is in shares of the image, boxes without a class are in px."""
    out: list[Drawn] = []
    with reading(path, _ROWS) as place:
        for number, line in enumerate(read_text(path).splitlines(), start=1):
            words = line.replace(",", " ").split()
            if not words:
                continue
            place.at = f"line {number}"
            check_count(len(out) + 1)
            try:
                out.append(_row(np.array(words, np.float64), names))
            except ValueError as error:
                raise ValueError(f"{shown(line, 40)!r} is no label") from error
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
        raise ValueError("shares of the image above 1")
    if len(values) == 5:
        x, y, width, height = values[1:].tolist()
        # kept in shares until the size of the image is known, as an outline of two corners
        return Drawn(name, (np.array([[x - width / 2, y - height / 2], [x + width / 2, y + height / 2]]),))
    return Drawn(name, (values[1:].reshape(-1, 2),))


def _in_px(drawn: Sequence[Drawn], shape: Shape) -> list[Drawn]:
    """Shares of the image to px."""
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
    """Rows of one file, px, for an image of a known height and width."""
    return _in_px(row_labels(path, names), shape)


def yolo_names(path: Path) -> dict[int, str]:
    """Class names of a ``data.yaml`` or of a text file with one name a line.

    Raises
    ------
    SourceError
        If the file names no classes.
    """
    text = read_text(path)
    if path.suffix.lower() == ".txt" or path.suffix.lower() == ".names":
        return dict(enumerate(line.strip() for line in text.splitlines() if line.strip()))
    return dict(_yaml_names(path, text))


def _yaml_names(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Names of the classes in YAML; aliases are refused, a few lines of them stand for gigabytes."""
    import yaml

    class WithoutAliases(yaml.SafeLoader):  # type: ignore[misc]  # yaml is not typed
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise ValueError("YAML aliases are not read")
            return super().compose_node(parent, index)

    with reading(path, "expected names: [first, second] as in YOLO's data.yaml") as place:
        if len(text) > _MOST_YAML:
            raise ValueError(f"more than {_MOST_YAML} characters of class names")
        try:
            names = yaml.load(text, WithoutAliases)["names"]  # a safe loader
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place.at = "" if mark is None else f"line {mark.line + 1}"
            raise ValueError("names no classes: not YAML") from error
        except (KeyError, TypeError) as error:
            raise ValueError("names no classes") from error
        for number, name in names.items() if isinstance(names, dict) else enumerate(names):
            place.at = f"class {shown(str(number), 20)}"
            if not isinstance(name, str | int | float):
                raise ValueError("names no classes: a name that is no text")
            yield int(number), str(name)


def mask_files(folder: Path) -> list[Path]:
    """Images and arrays of masks in a folder.

    They lie in folders such as ``masks``, or are named ``..._mask`` beside the image.
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
    """Read masks: a label image, one image of connected areas, or a folder of one image per defect.

    An image with one value beside 0, or nearly so as a JPEG has it, holds the defects as its connected areas,
    corners joined; any other has one value for each defect.

    Raises
    ------
    SourceError
        If the image is missing or a mask is of another size.
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
    return [one for path in files for one in _areas_of(path, shape, alone=len(files) == 1)]


def _areas_of(path: Path, shape: Shape, *, alone: bool) -> list[Drawn]:
    """Defects of one mask, which is that of the image or that of one defect of it."""
    out = []
    with reading(path, "expected a grey png, tif or npy of the size of its image"):
        values = _read_mask(path, shape)
        labels = values
        if not alone or _two_valued(values):
            labels = (values > (0 if len(np.unique(values)) <= 2 else int(values.max()) // 2)).astype(
                np.int64
            )
        if alone and _two_valued(values):
            labels = np.asarray(cv2.connectedComponents(labels.astype(np.uint8), connectivity=8)[1], np.int64)
        if labels.max(initial=0) > _MOST_NUMBER:
            numbers = np.unique(labels[labels > 0])
            labels = np.where(labels > 0, np.searchsorted(numbers, labels) + 1, 0)
        for number, window in enumerate(find_objects(labels), start=1):
            if window is not None:
                out.append(
                    Drawn(UNNAMED, pixels=(labels[window] == number, (window[0].start, window[1].start)))
                )
    return out


def _read_mask(path: Path, shape: Shape) -> NDArray[np.int64]:
    """Read a mask of the size of its image; another is not unpacked."""
    if path.suffix.lower() == ".npy":
        try:
            values = np.load(path, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # the header is parsed as Python, which has errors of its own
            raise ValueError(f"not an array that NumPy reads ({error})") from error
    elif path.suffix.lower() in (".tif", ".tiff"):
        from insitrack.io.files.stacks import open_stack

        stack = open_stack(path)
        try:
            values = stack.read(0)
        finally:
            stack.close()
    else:
        from PIL import Image

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with Image.open(path) as picture:  # opened, not unpacked
                    size = (picture.height, picture.width)
            except Image.DecompressionBombError as error:
                raise ValueError("the mask is larger than its image") from error
            except ImportError as error:  # ultralytics, once imported, tries a reader of HEIF that is absent
                raise ValueError("the mask cannot be read") from error
        _same_size(size, shape)
        _check_parts(path)
        values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim not in (2, 3):
        raise ValueError("the mask cannot be read")
    _same_size((values.shape[0], values.shape[1]), shape)
    flat = values if values.ndim == 2 else values[..., :3].max(axis=2)
    if flat.dtype.kind not in "buif" or (flat.dtype.kind == "f" and not np.isfinite(flat).all()):
        raise ValueError(f"a mask of {flat.dtype}, or with values that are no numbers")
    return np.asarray(flat, np.int64)


def _check_parts(path: Path) -> None:
    """Refuse a PNG with a part longer than the file: the library would ask for that much memory."""
    data = path.read_bytes()
    at = 8
    while data[:4] == b"\x89PNG" and at + 8 <= len(data):
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if at > len(data):
            raise ValueError("a part of the PNG is longer than the file")


def _same_size(found: Shape, shape: Shape) -> None:
    if found != shape:
        raise ValueError(f"the mask is {found[1]} x {found[0]} px, its image {shape[1]} x {shape[0]}")


def _two_valued(values: NDArray[np.int64]) -> bool:
    """Whether an image is black and white, compression and soft edges aside."""
    inside = values[values > 0]
    if not inside.size or len(np.unique(inside)) == 1:
        return True
    white, grey = np.count_nonzero(inside > 235), np.count_nonzero((inside >= 20) & (inside <= 235))
    return bool(inside.max() == 255 and white > 0.5 * inside.size and grey < 0.2 * inside.size)
