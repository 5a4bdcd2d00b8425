"""A laboratory's own labels, in whatever form it has them: images with the defects that somebody outlined.

``read_labelled(path)`` finds out the form from what is there: COCO, VGG Image Annotator (VIA 2), LabelMe,
YOLO polygons and boxes, ``y0 x0 y1 x1`` rows, ImageJ regions, and images of masks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from insitrack.io.arrays import GreyImage
from insitrack.io.detections import Detections
from insitrack.io.errors import SourceError
from insitrack.io.frames import Frame
from insitrack.segment.labels.classes import LEFT_OUT, known_classes
from insitrack.segment.labels.coco import coco_sheets
from insitrack.segment.labels.files import json_kind, read_json, reading
from insitrack.segment.labels.fill import filled
from insitrack.segment.labels.imagej import imagej_sheets
from insitrack.segment.labels.labelme import labelme_sheet
from insitrack.segment.labels.outlines import Sheet
from insitrack.segment.labels.pictures import PictureFinder, group_of, read_picture
from insitrack.segment.labels.rows import mask_files, mask_sheets, row_sheets, yolo_names
from insitrack.segment.labels.via import via_sheets

_NAME_FILES = ("data.yaml", "data.yml", "dataset.yaml", "classes.txt", "obj.names")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPicture:
    """One image and what somebody labelled in it.

    Parameters
    ----------
    name : str
        File name without its ending, and the number of the frame in a stack.
    group : str
        Movie or series that it belongs to, see `group_of`; images of one group are never split.
    image : ndarray of uint8 or uint16, shape (H, W)
        The image at native depth.
    truth : Detections
        The labelled defects, classes as in `DEFECT_CLASSES`, scores 1.
    outlined : ndarray of bool, shape (N,)
        False where the label was nothing but a box; the mask is the whole box then.
    nm_per_px : float, optional
        Width of a pixel where the file states it, nm.
    """

    name: str
    group: str
    image: GreyImage
    truth: Detections
    outlined: np.ndarray[tuple[int], np.dtype[np.bool_]]
    nm_per_px: float | None = None

    @property
    def frame(self) -> Frame:
        """The image as a segmenter takes it."""
        return Frame(0, 0.0, self.image)


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Labelled images, read one at a time.

    Parameters
    ----------
    source : Path
        What was given.
    kind : str
        Form of the labels.
    sheets : tuple of Sheet
        One per image, in natural order.
    names, groups : tuple of str
        Name and group of each image.
    classes : mapping of str to str
        The laboratory's names and ours, or `LEFT_OUT`.
    """

    source: Path
    kind: str
    sheets: tuple[Sheet, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...]
    classes: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.sheets)

    def __iter__(self) -> Iterator[LabelledPicture]:
        for sheet, name, group in zip(self.sheets, self.names, self.groups, strict=True):
            yield self._read(sheet, name, group)

    def chosen(self, rows: Iterable[int]) -> Labels:
        """Return some of the images only."""
        kept = list(rows)
        sheets = tuple(self.sheets[row] for row in kept)
        return replace(
            self,
            sheets=sheets,
            names=tuple(self.names[row] for row in kept),
            groups=tuple(self.groups[row] for row in kept),
        )

    def _read(self, sheet: Sheet, name: str, group: str) -> LabelledPicture:
        image, nm_per_px = read_picture(sheet.picture, sheet.frame)
        if sheet.shape is not None and sheet.shape != image.shape:
            raise SourceError(
                f"{sheet.labels}: the labels are for an image of {sheet.shape[1]} x {sheet.shape[0]} px,"
                f" {sheet.picture.name} has {image.shape[1]} x {image.shape[0]}; give the image that was"
                " labelled"
            )
        shape = (int(image.shape[0]), int(image.shape[1]))
        with reading(sheet.labels, "expected labels of this image; export them again"):
            drawn = [replace(one, name=self.classes[one.name]) for one in sheet.draw(shape)]
            truth, outlined = filled([one for one in drawn if one.name != LEFT_OUT], shape)
        return LabelledPicture(name, group, image, truth, outlined, nm_per_px)


def read_labelled(
    path: Path | str, classes: Mapping[str, str] | None = None, *, absent_too: bool = False
) -> Labels:
    """Find the labels in a folder or file, whatever their form.

    Where a folder holds several forms, outlines come before boxes: COCO, VIA, LabelMe, rows (YOLO), ImageJ,
    masks; the file or the folder of the one that is meant can be given instead.

    Parameters
    ----------
    path : Path or str
        Folder of images and labels, or the label file.
    classes : mapping of str to str, optional
        What the laboratory's names mean, see `parse_classes`.
    absent_too : bool
        Whether `classes` may name some that do not occur, as where several people labelled the same images.

    Returns
    -------
    Labels
        The images; each is read and its outlines are filled as it is reached.

    Raises
    ------
    SourceError
        If there are no labels, they are damaged, or an image is missing.
    SettingsError
        If a class is not known.
    """
    source = Path(path)
    if not source.exists():
        raise SourceError(
            f"{source}: no such folder or label file; expected images with COCO, VIA, LabelMe, YOLO, ImageJ"
            " or mask labels"
        )
    kind, sheets = _find_folder(source) if source.is_dir() else _find_file(source)
    if not sheets:
        raise SourceError(
            f"{source}: no labels; expected beside the images a COCO, VIA or LabelMe .json, a VIA .csv,"
            " YOLO or box .txt files, ImageJ .roi or .zip, or a folder masks"
        )
    seen: dict[tuple[Path, int], Path] = {}
    for sheet in sheets:
        key = (sheet.picture.resolve(), sheet.frame)
        if key in seen:
            raise SourceError(
                f"{sheet.picture}: labelled in {seen[key]} and in {sheet.labels}; give the folder or file"
                " that is meant"
            )
        seen[key] = sheet.labels
    ordered = sorted(sheets, key=lambda sheet: (_natural(str(sheet.picture)), sheet.frame))
    root = source if source.is_dir() else source.parent
    frames = Counter(sheet.picture for sheet in ordered)
    names = tuple(
        f"{sheet.picture.stem}_{sheet.frame:04d}" if frames[sheet.picture] > 1 else sheet.picture.stem
        for sheet in ordered
    )
    groups = tuple(group_of(sheet.picture, root, stacked=frames[sheet.picture] > 1) for sheet in ordered)
    known = known_classes(source, ordered, classes or {}, absent_too=absent_too)
    return Labels(source, kind, tuple(ordered), names, groups, known)


def _natural(text: str) -> list[tuple[int, int, str]]:
    return [
        (1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.split(r"(\d+)", text.lower())
    ]


def _find_file(path: Path) -> tuple[str, list[Sheet]]:
    find = PictureFinder(path.parent)
    match path.suffix.lower():
        case ".json":
            data = read_json(path)
            match json_kind(data):
                case "COCO":
                    return "COCO", list(coco_sheets(path, data, find))
                case "LabelMe":
                    return "LabelMe", [labelme_sheet(path, data, find)]
                case "VIA":
                    return "VIA", list(via_sheets(path, find))
            raise SourceError(
                f"{path}: JSON, but not of COCO, VIA 2 or LabelMe; export the labels in one of these forms"
            )
        case ".csv":
            return "VIA", list(via_sheets(path, find))
        case ".yaml" | ".yml":
            return _find_rows(path.parent, find, yolo_names(path))
        case ".roi" | ".zip":
            return "ImageJ", list(imagej_sheets([path], find))
        case ".txt":
            return "rows", list(row_sheets([path], {}, find))
    raise SourceError(
        f"{path}: not a label file; expected .json, .csv, .yaml, .txt, .roi or .zip, or the folder of"
        " images and labels"
    )


def _find_folder(folder: Path) -> tuple[str, list[Sheet]]:
    find = PictureFinder(folder)
    by_kind: dict[str, list[tuple[Path, Any]]] = {}
    for path in _files(folder, ".json"):
        data = read_json(path)
        by_kind.setdefault(json_kind(data), []).append((path, data))
    if "COCO" in by_kind:
        return "COCO", [sheet for path, data in by_kind["COCO"] for sheet in coco_sheets(path, data, find)]
    tables = [path for path in _files(folder, ".csv") if b"region_shape_attributes" in _beginning(path)]
    if "VIA" in by_kind or tables:
        paths = [path for path, _ in by_kind.get("VIA", [])] or tables
        return "VIA", [sheet for path in paths for sheet in via_sheets(path, find)]
    if "LabelMe" in by_kind:
        return "LabelMe", [labelme_sheet(path, data, find) for path, data in by_kind["LabelMe"]]
    listed = [
        path for name in _NAME_FILES for path in (folder / name, folder.parent / name) if path.is_file()
    ]
    kind, sheets = _find_rows(folder, find, yolo_names(listed[0]) if listed else {})
    if sheets:
        return kind, sheets
    regions = _files(folder, ".roi") + _files(folder, ".zip")
    if regions:
        return "ImageJ", list(imagej_sheets(regions, find))
    return "masks", list(mask_sheets(mask_files(folder), find))


def _find_rows(folder: Path, find: PictureFinder, names: Mapping[int, str]) -> tuple[str, list[Sheet]]:
    """Text files of rows.

    A file that is named like no image is something else, unless it lies in a folder of labels.
    """
    stems = {path.stem for path in find.pictures()}
    inside = [path for path in _files(folder, ".txt") if path.name not in _NAME_FILES]
    paths = (
        [path for path in inside if path.stem in stems or "labels" in path.parts[len(folder.parts) :]]
        if stems
        else inside
    )
    return "rows", list(row_sheets(paths, names, find))


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4000)


def _files(folder: Path, suffix: str) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() == suffix and path.is_file() and not path.name.startswith(".")
    )
