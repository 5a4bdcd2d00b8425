"""Where the image is that a label file speaks of."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from insitrack.io.arrays import GreyImage
from insitrack.io.errors import SourceError
from insitrack.io.files.folder import IMAGE_SUFFIXES, VENDOR_SUFFIXES, natural_order
from insitrack.io.frames import Frame
from insitrack.segment.labels.files import shown

PICTURE_SUFFIXES = frozenset(IMAGE_SUFFIXES + VENDOR_SUFFIXES)
_NOT_PICTURES = ("mask", "label", "annot", "segment", "overlay", "predict", ".")
_LIKE_PICTURES = ("im", "pic", "frame", "micrograph", "photo", "raw", "scan")
_MASK_ENDINGS = ("_mask", "_masks", "-mask", "_label", "_labels", "_instances", "_cp_masks", "_seg")


def names_masks(folder: Path) -> bool:
    """Whether a folder holds labels, by its name."""
    return folder.name.lower().startswith(_NOT_PICTURES)


def mask_stem(path: Path) -> str | None:
    """Name of the image that a mask file beside it belongs to; None where the file is no mask by its name."""
    for ending in sorted(_MASK_ENDINGS, key=len, reverse=True):
        if path.stem.lower().endswith(ending):
            return path.stem[: -len(ending)]
    return None


class PictureFinder:
    """Finds images by name in a folder and the folders in it, or else beside it.

    Folders and files of masks are passed over.

    Parameters
    ----------
    folder : Path
        Where the labels are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: list[dict[str, list[Path]]] = []

    def pictures(self) -> list[Path]:
        """All images, in natural order."""
        return sorted({path for paths in self._index(0)[1].values() for path in paths}, key=natural_order)

    def __call__(self, name: str, labels: Path) -> Path:
        """Find an image by the name that stands in a label file.

        Raises
        ------
        SourceError
            If there is none, or more than one.
        """
        wanted = Path(name.replace("\\", "/"))
        outside = False
        for base in (labels.parent, self.folder):
            path = Path(os.path.normpath(base.absolute() / wanted))
            if not _is_file(path):
                continue
            if any(path.is_relative_to(root) for root in (_absolute(self.folder), *self._beside())):
                return base / wanted
            outside = True
        if outside and not any(self._index(0)[0].get(wanted.name.lower(), [])):
            raise SourceError(
                f"{labels}: names the image {shown(name)}, which is outside {self.folder}; it was not opened;"
                " put it beside the labels"
            )
        return self.of_stem((wanted.name, wanted.stem), labels)

    def of_stem(self, names: Sequence[str], labels: Path) -> Path:
        """Find an image by name, with or without its ending.

        The only image there is is meant whatever its name.

        Raises
        ------
        SourceError
            If there is none, or more than one.
        """
        for depth in (0, 1):
            for name in names:
                for index in self._index(depth):
                    found = index.get(name.lower(), [])
                    if len(found) > 1:
                        near = [
                            path
                            for path in found
                            if labels.parent.parent in path.parents and _alike(path, labels)
                        ]
                        found = near if len(near) == 1 else found
                    if len(found) > 1:
                        raise SourceError(
                            f"{labels}: {shown(name)} may be {found[0]} or {found[1]}; give a folder that holds one"
                            " of them, or give them different names"
                        )
                    if found:
                        return found[0]
        everything = self.pictures()
        if len(everything) == 1 and labels.suffix.lower() in (".roi", ".zip"):
            return everything[0]
        raise SourceError(
            f"{labels}: no image {shown(names[0])}; expected it in {self.folder} or a folder beside, such as"
            " images"
        )

    def _index(self, depth: int) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
        """Images by whole name and by stem, in the folder or, deeper, in folders of images beside it."""
        while len(self._known) < 2 * (depth + 1):
            whole: defaultdict[str, list[Path]] = defaultdict(list)
            stems: defaultdict[str, list[Path]] = defaultdict(list)
            for path in self._pictures_beside() if self._known else _pictures_below(self.folder, 8):
                whole[path.name.lower()].append(path)
                stems[path.stem.lower()].append(path)
            self._known += [whole, stems]
        return self._known[2 * depth], self._known[2 * depth + 1]

    def _beside(self) -> list[Path]:
        """Folders beside this one that are named like folders of images."""
        own = _absolute(self.folder)
        return [
            path
            for path in sorted(own.parent.iterdir())
            if path != own and path.name.lower().startswith(_LIKE_PICTURES) and path.is_dir()
        ]

    def _pictures_beside(self) -> list[Path]:
        """Images in folders beside this one; in the folder that both lie in only if this one holds masks."""
        around = _absolute(self.folder).parent
        own = _pictures_below(around, 0) if names_masks(self.folder) else []
        return [*own, *(path for folder in self._beside() for path in _pictures_below(folder, 1))]


def _absolute(folder: Path) -> Path:
    return Path(os.path.normpath(folder.absolute()))


def _is_file(path: Path) -> bool:
    """Whether a name out of a file is that of a file; it may be no name at all."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _alike(picture: Path, labels: Path) -> bool:
    """Whether the folders of both differ in one name only, as ``images/val`` and ``labels/val`` do."""
    ours, theirs = picture.parent.parts, labels.parent.parts
    return len(ours) == len(theirs) and sum(a != b for a, b in zip(ours, theirs, strict=True)) == 1


def _pictures_below(folder: Path, depth: int) -> list[Path]:
    out: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.is_dir() and depth and not names_masks(path):
            out += _pictures_below(path, depth - 1)
        elif (
            path.suffix.lower() in PICTURE_SUFFIXES
            and mask_stem(path) is None
            and not path.name.startswith(".")
        ):
            out.append(path)
    return out


def read_picture(path: Path, frame: int = 0) -> tuple[GreyImage, float | None]:
    """Read one frame of an image, stack or microscope file, and its pixel width where the file has it, nm.

    Raises
    ------
    SourceError
        If it cannot be read or has no such frame.
    """
    from insitrack.io.files.stacks import StackSource

    source = StackSource(path)
    try:
        for item in source:
            if item.index == frame:
                if not isinstance(item, Frame):
                    raise SourceError(f"{path}: frame {frame} cannot be read; copy the file again")
                return item.image, source.calibration.nm_per_px
    finally:
        source.close()
    raise SourceError(
        f"{path}: labelled in frame {frame}, which it does not have; give the stack that was labelled"
    )


def group_of(picture: Path, root: Path, stacked: bool = False) -> str:
    """Movie or series of an image.

    Its folder and its name without the number at the end, copies counted as one; a stack is a group by
    itself.

    Parameters
    ----------
    picture : Path
        The file.
    root : Path
        Folder that was given; what lies above it does not count.
    stacked : bool
        Whether the file holds several labelled images.

    Examples
    --------
    >>> group_of(Path("data/fe_300C_0012.png"), Path("data")), group_of(Path("data/run2/0012.png"), Path("data"))
    ('fe_300C', 'run2/')
    """
    folder = (
        picture.parent.relative_to(root).as_posix() if picture.is_relative_to(root) else picture.parent.name
    )
    stem = picture.stem if stacked else re.sub(r"(?i)([-_ ]*(\d+|\(\d+\)|copy))+$", "", picture.stem)
    return stem if folder in (".", "images", "imgs") else f"{folder}/{stem}"
