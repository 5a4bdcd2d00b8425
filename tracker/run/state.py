"""What a run that is cut off goes on from: its state on disk, renewed about once a second.

The file is a line with the hash of the next one, a line of JSON that lists the parts with their lengths and
SHA-256, and the parts: npz archives without objects. Every bit is covered by a hash, and nothing in it can
name a program.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from insitrack.io.errors import OutputError, TableError
from insitrack.io.levels import Levels
from insitrack.io.manifest import without_password
from insitrack.io.results import TrackedFrame
from insitrack.io.tables.columns import KINETICS, MSD, STREAMED, TABLES
from insitrack.io.tables.outlines.masks import MASKS, STREAM
from insitrack.io.tables.records import SETTINGS, whole_lines
from insitrack.io.tables.run_folder import CAUSAL, SECRET, STATE
from insitrack.io.write import replacing
from insitrack.segment.prepare.field import FieldSnapshot
from insitrack.tracker.existence.live import ExistenceSnapshot
from insitrack.tracker.link.drift import DriftSnapshot
from insitrack.tracker.link.state import LinkerSnapshot
from insitrack.tracker.link.view_scale import ViewScaleSnapshot
from insitrack.tracker.run.job.snapshot import MeterSnapshot
from insitrack.tracker.run.loop import Moment
from insitrack.tracker.run.pack import PackError, pack, unpack
from insitrack.tracker.run.tally import Tally
from insitrack.tracker.trust.live import TrustSnapshot

_MAGIC = b"insitrack state 5 "


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Where a run is, and what it is a run of.

    Parameters
    ----------
    next_index : int
        Number of the frame that follows.
    last_s : float
        Time of the last frame, s.
    wall_s : float
        Clock when it was written, s since 1970: a live source goes on by it.
    offsets : dict of str to int
        Length of every table, bytes.
    settings_bytes, settings_sha256 : int, str
        Length of ``settings.csv``, and its SHA-256.
    read_sha256 : str
        Hash of all frames so far, see `insitrack.io.files.pixels.PixelHash`.
    uri : str
        Source.
    view : str
        How the network sees the frames, JSON.
    identity : dict of str to str
        Hashes of source, model and material, and the reason where there is none.
    tally : dict of str to float
        Counts, and the time of the last frame.
    pictures : int
        Pictures in the annotated movie.
    levels : Levels or None
        Of a live source, how values become grey levels.
    """

    next_index: int
    last_s: float
    wall_s: float
    offsets: dict[str, int]
    settings_bytes: int
    settings_sha256: str
    read_sha256: str
    uri: str
    view: str
    identity: dict[str, str]
    tally: dict[str, float]
    pictures: int
    levels: Levels | None


@dataclass(frozen=True, slots=True)
class FirstFrame:
    """The first processed frame, for the report; None where there was none yet."""

    tracked: TrackedFrame | None


@dataclass(frozen=True, slots=True)
class State:
    """Everything that a run needs to go on after a frame; each part is a part of the file."""

    facts: RunFacts
    fields: FieldSnapshot
    drift: DriftSnapshot
    linker: LinkerSnapshot
    meter: MeterSnapshot
    existence: ExistenceSnapshot
    scale: ViewScaleSnapshot
    trust: TrustSnapshot
    first: FirstFrame

    @property
    def tally(self) -> Tally:
        """The counts so far, with a clock that starts now."""
        kinds = {"int": int, "float": float, "bool": bool}
        stored = {one.name: kinds[str(one.type)] for one in fields(Tally) if one.name in self.facts.tally}
        counts = {name: kind(self.facts.tally[name]) for name, kind in stored.items()}
        return Tally(**counts, read_sha256=self.facts.read_sha256)


_PARTS: dict[str, type[Any]] = {
    "facts": RunFacts,
    "fields": FieldSnapshot,
    "drift": DriftSnapshot,
    "linker": LinkerSnapshot,
    "meter": MeterSnapshot,
    "existence": ExistenceSnapshot,
    "scale": ViewScaleSnapshot,
    "trust": TrustSnapshot,
    "first": FirstFrame,
}


def write_state(state: State, path: Path) -> None:
    """Write a state; an earlier one stays until the new one is whole.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    parts = {name: pack(getattr(state, name)) for name in _PARTS}
    index = json.dumps({name: [len(data), _sha256(data)] for name, data in parts.items()}).encode()
    with replacing(path, advice=f"make room, then: track resume {path.parent}") as part:
        part.write_bytes(b"".join([_MAGIC, _sha256(index).encode(), b"\n", index, b"\n", *parts.values()]))


def read_state(folder: Path) -> State:
    """Read the state of a run, after every hash in it was found right.

    Raises
    ------
    OutputError
        If there is none, or a bit of it is not as it was written.
    """
    path = folder / STATE
    if not path.is_file():
        raise OutputError(
            f"{folder}: holds no {STATE}; expected the folder of a run that was cut off; one that ended has"
            " none"
        )
    try:
        parts = _parts(path.read_bytes())
        return State(**{name: unpack(kind, parts[name]) for name, kind in _PARTS.items()})
    except (PackError, OSError) as error:
        raise OutputError(f"{path}: cannot be read ({error}); start a new run") from error


def _parts(data: bytes) -> dict[str, bytes]:
    """Cut a state into its parts."""
    head, _, rest = data.partition(b"\n")
    index, _, rest = rest.partition(b"\n")
    if not head.startswith(_MAGIC):
        raise PackError("not the state of a run of this version")
    if head[len(_MAGIC) :] != _sha256(index).encode():
        raise PackError("its list of parts is damaged")
    try:
        listed = {
            str(name): (int(length), str(digest)) for name, (length, digest) in json.loads(index).items()
        }
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise PackError("its list of parts is damaged") from error
    if set(listed) != set(_PARTS) or sum(length for length, _ in listed.values()) != len(rest):
        raise PackError("it is not as long as it says")
    parts, at = {}, 0
    for name, (length, digest) in listed.items():
        parts[name] = rest[at : at + length]
        at += length
        if _sha256(parts[name]) != digest:
            raise PackError(f"its part {name!r} is damaged")
    return parts


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class StateWriter:
    """Writes the state about once a second.

    Parameters
    ----------
    folder : Path
        Output folder.
    uri : str
        Source.
    identity : dict of str to str
        As in `RunFacts`.
    view : callable
        Gives how the network sees the frames.
    first : callable
        Gives the first frame, for the report.
    pictures : callable
        Gives the number of pictures in the annotated movie.
    levels : callable
        Gives how values become grey levels.
    """

    def __init__(
        self,
        folder: Path,
        uri: str,
        identity: dict[str, str],
        view: Callable[[], dict[str, Any]],
        first: Callable[[], TrackedFrame | None],
        pictures: Callable[[], int],
        levels: Callable[[], Levels | None],
    ) -> None:
        self._folder, self._uri = folder, without_password(uri)
        self._identity, self._view = identity, view
        if self._uri != uri:
            write_secret(folder / SECRET, uri)
        self._first, self._pictures, self._levels = first, pictures, levels

    def write(self, moment: Moment) -> None:
        """Write the state after frames whose rows are on disk, or before the first.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        try:
            self._write(moment)
        except FileNotFoundError as error:
            raise OutputError(
                f"{self._folder}: {Path(error.filename or '').name} is no longer there: the folder was removed or"
                " renamed while the run wrote into it; start a new run"
            ) from error

    def _write(self, moment: Moment) -> None:
        names = [field.name for field in fields(Tally) if field.name not in ("started", "read_sha256")]
        record = whole_lines((self._folder / SETTINGS.file).read_bytes())
        facts = RunFacts(
            next_index=moment.next_index,
            last_s=moment.last_s,
            wall_s=time.time(),
            offsets={name: (self._folder / name).stat().st_size for name in STREAMED},
            settings_bytes=len(record),
            settings_sha256=_sha256(record),
            read_sha256=moment.tally.read_sha256,
            uri=self._uri,
            view=json.dumps(self._view()),
            identity=self._identity,
            tally={name: float(getattr(moment.tally, name)) for name in names},
            pictures=self._pictures(),
            levels=self._levels(),
        )
        state = State(
            facts,
            moment.fields,
            moment.drift,
            moment.linker,
            moment.meter,
            moment.existence,
            moment.scale,
            moment.trust,
            FirstFrame(self._first()),
        )
        write_state(state, self._folder / STATE)

    def remove(self) -> None:
        """Remove the state of a run that has ended, and the outlines from which it made `masks.parquet`."""
        for name in (STATE, f"{STATE}.part", SECRET, STREAM.file):
            (self._folder / name).unlink(missing_ok=True)


def write_secret(path: Path, uri: str) -> None:
    """Keep an address with its password, readable by its owner alone, for a run that is cut off.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    try:
        path.unlink(missing_ok=True)
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(uri, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another folder") from error


def address_of(folder: Path, uri: str) -> str:
    """Address of the source of a run, with its password where it has one."""
    try:
        secret = (folder / SECRET).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return uri
    return secret if without_password(secret) == uri else uri


def check_tables(folder: Path, offsets: dict[str, int]) -> None:
    """Make sure that the tables of a run reach to where its state was written.

    Raises
    ------
    TableError
        If a table is shorter than that: it was changed since.
    """
    if set(offsets) != set(STREAMED):
        raise TableError(f"{folder / STATE}: lists other tables than a run has; start a new run")
    for name, length in offsets.items():
        path = next((path for path in (folder / CAUSAL / name, folder / name) if path.is_file()), None)
        if path is None or not 0 <= length <= path.stat().st_size:
            raise TableError(
                f"{folder / name}: shorter than when the run was cut off; it was changed since; start a new run"
            )


def truncate_tables(folder: Path, offsets: dict[str, int]) -> None:
    """Cut the tables to where the state was written.

    Of a run that was cut off while it was refined, the causal ones.

    Raises
    ------
    TableError
        If a table is shorter than that; nothing is changed then.
    """
    check_tables(folder, offsets)
    for name in TABLES:
        if (folder / CAUSAL / name).is_file():
            (folder / CAUSAL / name).replace(folder / name)
            for other in (KINETICS.file, MSD.file):
                (folder / other).unlink(missing_ok=True)
    (folder / MASKS.file).unlink(missing_ok=True)
    (folder / CAUSAL / MASKS.file).unlink(missing_ok=True)
    for name, length in offsets.items():
        os.truncate(folder / name, length)
