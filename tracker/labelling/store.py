"""What one person made of the crops: a COCO file that is whole at any time, with where everything comes from.

Crops that are done are images of the file, and every outline that was accepted, changed or drawn is one of its
annotations: `track train`, `track eval` and any COCO program read them. Crops that were begun wait under
``insitrack``, where no COCO program looks, with what was refused; so a crop half done teaches nobody that the rest
of it is empty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.errors import OutputError, SettingsError, SourceError
from insitrack.io.tables.outlines import rle
from insitrack.io.write import json_text, write_text
from insitrack.segment.labels.files import read_json, reading
from insitrack.tracker.labelling.crops import IMAGES, Crop
from insitrack.tracker.labelling.outlines import KEPT, PROPOSED, Outline, checked, masks_of

_ADVICE = "make room, or copy the folder of labels elsewhere"


def file_of(folder: Path, annotator: str) -> Path:
    """File of one person."""
    return folder / (f"labels_{annotator}.json" if annotator else "labels.json")


@dataclass(slots=True)
class Sheet:
    """What one person made of one crop.

    Parameters
    ----------
    outlines : list of Outline
        All of them, refused ones too.
    done : bool
        Whether everything in the crop is labelled.
    changed_at : str
        When it was last changed, UTC; empty where it was not looked at.
    revision : int
        Goes up with each change, so that two windows of a browser do not overwrite each other.
    """

    outlines: list[Outline]
    done: bool = False
    changed_at: str = ""
    revision: int = 0


@dataclass(slots=True)
class LabelStore:
    """The labels of one person.

    Parameters
    ----------
    path : Path
        COCO file; read where it is there, written as a whole after every change.
    crops : sequence of Crop
        The crops, in order.
    start : mapping of str to sequence of Outline
        The model's outlines of each crop.
    models : mapping of str to mapping
        Name, hash and version of that model, by crop: crops that are added later may have another.
    annotator : str
        Who labels.

    Raises
    ------
    SourceError
        If the file is there but damaged, or is not one of ours.
    """

    path: Path
    crops: Sequence[Crop]
    start: Mapping[str, Sequence[Outline]]
    models: Mapping[str, Mapping[str, Any]]
    annotator: str = ""
    sheets: dict[str, Sheet] = field(default_factory=dict)
    _stamp: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self.sheets = {crop.name: Sheet(list(self.start.get(crop.name, []))) for crop in self.crops}
        if self.path.is_file():
            self._stamp = _stamp(self.path)
            self._read()

    @property
    def n_done(self) -> int:
        """Crops that are done."""
        return sum(sheet.done for sheet in self.sheets.values())

    def save(self, name: str, outlines: Any, done: bool, revision: int) -> Sheet:
        """Take what was made of a crop, and write the file.

        Parameters
        ----------
        name : str
            The crop.
        outlines : object
            See `checked`.
        done : bool
            Whether everything in it is labelled.
        revision : int
            Of the crop when the page last had it.

        Raises
        ------
        SettingsError
            If there is no such crop, the outlines are none, it was changed elsewhere meanwhile, or it is called done
            while proposals wait.
        OutputError
            If the file cannot be written; the crop is as it was then.
        """
        crop = next((one for one in self.crops if one.name == name), None)
        if crop is None:
            raise SettingsError(f"{name[:60]}: no such image")
        before = self.sheets[name]
        if revision != before.revision:
            raise SettingsError(f"{name}: was changed in another window; reload this one")
        taken = self._as_told(crop, checked(outlines, crop.shape))
        waiting = sum(one.state == PROPOSED for one in taken)
        if done and waiting:
            raise SettingsError(f"{name}: {waiting} proposals wait; accept or refuse them first")
        self.sheets[name] = Sheet(taken, done, _now(), revision + 1)
        try:
            self.write()
        except BaseException:
            self.sheets[name] = before
            raise
        return self.sheets[name]

    def _as_told(self, crop: Crop, outlines: list[Outline]) -> list[Outline]:
        """Refuse what would falsify where outlines come from: a proposal keeps its number and its probability."""
        start = {one.id: one for one in self.start.get(crop.name, [])}
        seen = {one.id for one in outlines}
        lost = [number for number in start if number not in seen]
        if lost:
            raise SettingsError(
                f"{crop.name}: proposal {lost[0]} is missing; refuse it instead of leaving it out"
            )
        for one in outlines:
            old = start.get(one.id)
            same = old is not None and (one.counts, one.x_px, one.y_px, one.defect_class) == (
                old.counts, old.x_px, old.y_px, old.defect_class
            )  # fmt: skip
            if (one.state == "drawn") == (old is not None) or (
                one.state in (PROPOSED, "accepted") and not same
            ):
                raise SettingsError(f"{crop.name}: outline {one.id} is not {one.state}; reload the page")
        return outlines

    def write(self) -> None:
        """Write the file as a whole.

        Raises
        ------
        OutputError
            If it cannot be written, or is no longer the one that was read or written last.
        """
        if _stamp(self.path) != self._stamp:
            raise OutputError(
                f"{self.path}: was changed by another program; stop this one and start it again to take that up"
            )
        write_text(self.path, json_text(self._facts(), indent=1), advice=_ADVICE)
        self._stamp = _stamp(self.path)

    def _facts(self) -> dict[str, Any]:
        from insitrack import __version__

        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        done = [(crop, sheet) for crop in self.crops if (sheet := self.sheets[crop.name]).done]
        for number, (crop, sheet) in enumerate(done, 1):
            images.append(self._image(number, crop, sheet))
            kept = [one for one in sheet.outlines if one.state in KEPT]
            for one, mask_facts in zip(kept, _segmentations(kept, crop.shape), strict=True):
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": DEFECT_CLASSES.index(one.defect_class) + 1,
                        **mask_facts,
                        "iscrowd": 0,
                        "score": one.probability,
                        "state": one.state,
                        "outline_id": one.id,
                    }
                )
        return {
            "info": {
                "description": "labels made with insitrack: track label",
                "version": __version__,
                "contributor": self.annotator,
                "date_created": _now(),
            },
            "licenses": [],
            "categories": [{"id": i, "name": name} for i, name in enumerate(DEFECT_CLASSES, 1)],
            "images": images,
            "annotations": annotations,
            "insitrack": {
                "sheets": {name: _sheet_facts(one) for name, one in self.sheets.items() if one.revision}
            },
        }

    def _image(self, number: int, crop: Crop, sheet: Sheet) -> dict[str, Any]:
        source = {"file": crop.source, "sha256": crop.source_sha256, "frame": crop.frame, "t_s": crop.t_s}
        return {
            "id": number,
            "file_name": f"{IMAGES}/{crop.name}.png",
            "width": crop.width_px,
            "height": crop.height_px,
            "nm_per_px": None if math.isnan(crop.nm_per_px) else crop.nm_per_px,
            "date_captured": "",
            "labelled_at": sheet.changed_at,
            "starting_outlines": dict(self.models.get(crop.name, {})),
            "source": {**source, "x_px": crop.x_px, "y_px": crop.y_px},
        }

    def _read(self) -> None:
        """Take up what was saved."""
        data = read_json(self.path)
        with reading(
            self.path, "take the file back from a copy, or label under another name with --as"
        ) as place:
            if not isinstance(data, dict) or not isinstance(data.get("insitrack"), dict):
                raise SourceError(
                    f"{self.path}: not written by track label; give another --out, or another name with --as"
                )
            for name, sheet in data["insitrack"]["sheets"].items():
                place.at = f"image {name}"
                crop = next((one for one in self.crops if one.name == name), None)
                if crop is None:
                    raise ValueError("is not among the crops")
                try:
                    outlines = checked(sheet["outlines"], crop.shape)
                except SettingsError as error:
                    raise ValueError(str(error)) from error
                self.sheets[name] = Sheet(
                    outlines, bool(sheet["done"]), str(sheet["changed_at"]), int(sheet["revision"])
                )


def _sheet_facts(sheet: Sheet) -> dict[str, Any]:
    return {
        "done": sheet.done,
        "changed_at": sheet.changed_at,
        "revision": sheet.revision,
        "outlines": [one.plain() for one in sheet.outlines],
    }


def _segmentations(outlines: Sequence[Outline], shape: tuple[int, int]) -> list[dict[str, Any]]:
    """Run lengths over the whole crop, area and box of each outline."""
    masks, out = masks_of(outlines), []
    for i in range(len(outlines)):
        line, area, box = rle.over_frame(masks, i, shape)
        out.append({"segmentation": {"size": list(shape), "counts": line}, "area": area, "bbox": box})
    return out


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what shows that a file is another one; None where there is none."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_mtime_ns, facts.st_size


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
