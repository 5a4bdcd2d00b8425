"""The movies of a batch: what each is, and how it is known again."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from insitrack.io.frames import Calibration
from insitrack.io.write import plain_facts
from insitrack.segment.models import find_model
from insitrack.tracker.run.config import RunConfig
from insitrack.tracker.run.meters import meter_for


@dataclass(frozen=True)
class Movie:
    """One movie of a batch.

    Parameters
    ----------
    name : str
        What it is called; the name of its folder.
    uri : str
        Source, with its whole path.
    folder : Path
        Output folder of its run.
    settings : RunConfig
        Everything that was asked for.
    cells : mapping of str to str
        Its row of the table.
    where : str
        Where it was asked for.
    """

    name: str
    uri: str
    folder: Path
    settings: RunConfig
    cells: Mapping[str, str] = field(default_factory=dict)
    where: str = ""

    @cached_property
    def key(self) -> str:
        """Hash of the row and of the files that it names: the same key asks for the same run.

        Of a file name, length and time of the last change count; hashing a night of movies would take as long
        as reading them.
        """
        specimen = self.settings.specimen
        named = [self.uri, self.settings.model, specimen.log, specimen.material]
        facts = {
            "source": self.uri,
            "settings": plain_facts(self.settings.plain()),
            "files": [_files(name) for name in named if name],
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode("utf-8", "replace")).hexdigest()


def _files(name: str) -> list[tuple[str, int, int]]:
    """Name, length and time of change of every file that a name stands for."""
    path = Path(name)
    if path.is_dir():
        paths = sorted(one for one in path.rglob("*") if one.is_file())
    elif path.exists():
        paths = [path, *(one for one in [path.with_suffix(".onnx")] if one != path and one.is_file())]
    elif set("*?[") & set(name):
        paths = [Path(one) for one in sorted(glob.glob(name))]  # noqa: PTH207 a pattern may be absolute
    else:
        return []
    return [(str(one), one.stat().st_size, one.stat().st_mtime_ns) for one in paths]


def with_whole_paths(settings: RunConfig, places: Sequence[Path]) -> RunConfig:
    """Give the files that settings name their whole paths: workers stand in other folders.

    Parameters
    ----------
    settings : RunConfig
        As they were asked for.
    places : sequence of Path
        Folders from which a name is looked up, the first first.
    """

    def whole(name: str | None) -> str | None:
        if not name or not Path(name).suffix:  # a shipped model or material
            return name
        found = (place / name for place in places if (place / name).is_file())
        return next((str(path.resolve()) for path in found), name)

    specimen = dataclasses.replace(
        settings.specimen, log=whole(settings.specimen.log), material=whole(settings.specimen.material)
    )
    return dataclasses.replace(settings, specimen=specimen, model=whole(settings.model) or settings.model)


def check_settings(settings: RunConfig) -> None:
    """Find now what a run would find before its first frame: model, material and log.

    Raises
    ------
    InsitrackError
        If one of them is missing or cannot be used.
    """
    meter_for(settings, Calibration(), _classes(settings.model))


@cache
def _classes(model: str) -> tuple[str, ...]:
    return find_model(model).classes
