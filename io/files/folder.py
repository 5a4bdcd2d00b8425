"""Which files of a folder make the movie, and in which order: numbering, gaps, previews, nested folders."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from insitrack.io.errors import SourceError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
TIFF_SUFFIXES = (".tif", ".tiff")
VENDOR_SUFFIXES = (
    ".dm3",
    ".dm4",
    ".emd",
    ".mrc",
    ".mrcz",
    ".tvips",
    ".ser",
    ".emi",
    ".hspy",
    ".zspy",
    ".blo",
    ".de5",
)
"""Formats of microscopes."""

_FAMILIES = {".tiff": ".tif", ".jpeg": ".jpg"}
_RAWEST_FIRST = (*VENDOR_SUFFIXES, ".tif", ".png", ".bmp", ".jpg")
_TIME_FOLDER = re.compile(r"(hour|hr|minute|min|second|sec)[ _-]?\d+", re.IGNORECASE)
"""Folders into which the cameras of in-situ holders sort their frames: Hour_00/Minute_03/Second_12."""
_UNIT = re.compile(r"(s|sec|ms|min|h|nm|um|dpa|k|c|kv|v|ev|kx|x)(?![a-z])", re.IGNORECASE)
_MOST_MISSING = 0.5
"""Above this share of absent numbers the names are not the count of one series."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a movie in order.

    Parameters
    ----------
    files : list of Path or None
        One entry a frame; None where a number is missing from the series.
    notes : list of str
        What was decided that the user should know, without the name of the folder.
    """

    files: list[Path | None]
    notes: list[str]


def list_folder(folder: Path) -> Listing:
    """List the images of a folder that are frames of one movie.

    Images of one format make a movie. Where a folder holds the same images in several formats, or a few
    of another format lie beside them, the rawest, or the most numerous, are taken and the others are named.
    Folders called by hour, minute and second, as cameras of in-situ holders write them, are one movie.

    Parameters
    ----------
    folder : Path
        An existing folder.

    Returns
    -------
    Listing
        At least one file.

    Raises
    ------
    SourceError
        If it holds no image; the line names subfolders that do.
    """
    found = _pictures(folder.iterdir())
    notes: list[str] = []
    if not found:
        found = _pictures(_in_time_folders(folder))
        if found:
            notes.append("folders named by hour, minute and second are read as one movie")
    if not found:
        raise SourceError(f"{folder}: {_why_none(folder)}")
    chosen, left_out = _one_format(found)
    if left_out:
        notes.append(left_out)
    listing = in_order(chosen)
    return Listing(listing.files, notes + listing.notes)


def in_order(paths: Sequence[Path]) -> Listing:
    """Sort files by the numbers in their names, and leave a place for each number that is missing.

    Parameters
    ----------
    paths : sequence of Path
        Files of one movie, in any order.

    Returns
    -------
    Listing
        Their order, with None for missing numbers.

    Examples
    --------
    >>> names = ["f_9.png", "f_11.png", "f_7.png", "f_8.png", "f_12.png"]
    >>> [path and path.name for path in in_order([Path(name) for name in names]).files]
    ['f_7.png', 'f_8.png', 'f_9.png', None, 'f_11.png', 'f_12.png']
    """
    decimal = _are_decimals(paths)
    ordered = sorted(paths, key=lambda path: natural_order(path, decimal=decimal))
    if decimal:
        return Listing(list(ordered), ["numbers in the names are read with a decimal point"])
    numbers = _counted(ordered)
    if numbers is None:
        return Listing(list(ordered), [])
    steps = [b - a for a, b in pairwise(numbers)]
    step, n_alike = Counter(steps).most_common(1)[0]
    if 2 * n_alike <= len(steps) or any(other % step for other in steps):
        return Listing(list(ordered), [])  # numbers, but not those of frames taken at one rate
    files: list[Path | None] = [ordered[0]]
    for path, jump in zip(ordered[1:], steps, strict=True):
        files += [None] * (jump // step - 1) + [path]
    n_missing = len(files) - len(ordered)
    if n_missing == 0:
        return Listing(files, [])
    if n_missing > _MOST_MISSING * len(files):
        return Listing(list(ordered), ["most numbers between the first and the last name are missing"])
    return Listing(files, [f"numbers missing from the names: {n_missing}; those frames are gaps"])


def natural_order(path: Path, *, decimal: bool = False) -> list[tuple[int, float, str]]:
    """Sort key that counts: frame2 comes before frame10, and with decimals 0.25 before 0.5.

    Examples
    --------
    >>> [str(path) for path in sorted(map(Path, ["f10.png", "f2.png"]), key=natural_order)]
    ['f2.png', 'f10.png']
    """
    parts = re.split(r"(\d+\.\d+|\d+)" if decimal else r"(\d+)", str(path).lower())
    # the parts between separators are numbers; whole numbers stay exact, however long
    keys: list[tuple[int, float, str]] = []
    for place, part in enumerate(parts):
        if place % 2 and part.replace(".", "").isdecimal():
            keys.append((1, float(part) if "." in part else int(part), ""))
        else:
            keys.append((0, 0, part))
    return keys


def _pictures(paths: Iterable[Path]) -> list[Path]:
    known = set(IMAGE_SUFFIXES + VENDOR_SUFFIXES)
    return [
        path
        for path in paths
        if path.suffix.lower() in known
        and not path.name.startswith(".")
        and (path.is_file() or path.suffix.lower() == ".zspy")
    ]


def _in_time_folders(folder: Path) -> list[Path]:
    """Files below folders that are named by hour, minute or second, and by nothing else."""
    inside: list[Path] = []
    for sub in folder.iterdir():
        if sub.is_dir() and _TIME_FOLDER.fullmatch(sub.name):
            inside += [path for path in sub.iterdir() if not path.is_dir()] + _in_time_folders(sub)
    return inside


def _why_none(folder: Path) -> str:
    entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    holders = sorted(sub.name for sub in entries if sub.is_dir() and _pictures(sub.iterdir()))
    if holders:
        named = ", ".join(holders[:3]) + (", ..." if len(holders) > 3 else "")
        return (
            f"holds no image itself, but its folders do ({named}); give one of them, or a pattern such as"
            f" '{folder.name}/*/*.tif' if they are one movie"
        )
    n_files = sum(path.is_file() for path in entries)
    what = f"the folder holds {n_files} files and no image" if n_files else "the folder is empty"
    return f"{what}; expected png, jpg, bmp, tif or microscope files, or the name of one movie"


def _one_format(paths: Sequence[Path]) -> tuple[list[Path], str]:
    """Files of one format, and what is said of the others."""
    groups: dict[str, list[Path]] = {}
    for path in paths:
        suffix = path.suffix.lower()
        groups.setdefault(_FAMILIES.get(suffix, suffix), []).append(path)
    if len(groups) == 1:
        return list(paths), ""
    raw_first = sorted(groups, key=_RAWEST_FIRST.index)
    stems = {name: {path.with_suffix("") for path in members} for name, members in groups.items()}
    # the same images twice: the raw ones; else what most of the files are
    best = next(
        (
            name
            for name in raw_first
            if any(2 * len(stems[name] & stems[k]) >= len(stems[k]) for k in raw_first if k != name)
        ),
        max(raw_first, key=lambda name: len(groups[name])),
    )
    others = ", ".join(f"{len(groups[name])} {name}" for name in raw_first if name != best)
    return groups[
        best
    ], f"of several formats the {len(groups[best])} {best} files are read; left out: {others}"


def _are_decimals(paths: Sequence[Path]) -> bool:
    """Whether a dot between digits is a decimal point: by a unit after it, or by names without the dot."""
    names = [path.stem for path in paths]
    dotted = [match for name in names for match in re.finditer(r"(\d+)\.(\d+)", name)]
    if not dotted:
        return False
    if len(dotted) < len(names) or any(_UNIT.match(match.string[match.end() :]) for match in dotted):
        return True
    # 1.9 before 1.10 counts, 0.5 before 0.75 does not: counts have every number below their largest
    minors: dict[str, set[int]] = {}
    for match in dotted:
        if match[2] != "0" and match[2].startswith("0"):
            return True
        minors.setdefault(match.string[: match.start(2)], set()).add(int(match[2]))
    return not all(max(found) - min(found) < len(found) for found in minors.values())


def _counted(ordered: Sequence[Path]) -> list[int] | None:
    """Take the number of each file where names differ in one rising whole number only; else None."""
    if len(ordered) < 3 or len({path.parent for path in ordered}) > 1:
        return None
    split = [re.split(r"(\d+)", path.name) for path in ordered]
    if len({len(parts) for parts in split}) > 1:
        return None
    varying = [place for place, values in enumerate(zip(*split, strict=True)) if len(set(values)) > 1]
    if len(varying) != 1 or varying[0] % 2 == 0:
        return None
    numbers = [int(parts[varying[0]]) for parts in split]
    return numbers if all(b > a for a, b in pairwise(numbers)) else None
