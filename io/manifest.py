"""The manifest of a run: `run.json`, every setting and origin needed to understand or repeat it."""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from insitrack.io.errors import OutputError
from insitrack.io.write import json_text, write_in_place, write_json, write_text

PACKAGES = (
    "insitrack",
    "numpy",
    "scipy",
    "pandas",
    "opencv-python",
    "av",
    "tifffile",
    "rosettasciio",
    "pillow",
    "openvino",
    "onnxruntime",
    "torch",
    "torchvision",
)
WHOLE = "the whole file"
HASHED_WHOLE_BYTES = 2 << 30
HASHED_END_BYTES = 64 << 20
_ROOM_BYTES = 8192


_PASSWORD = re.compile(
    r"(?<=://)([^/?#\s]*?):[^/?#\s]*@|\b((?:password|passwd|pwd|passphrase|token)=)[^&#\s'\"]+", re.I
)


def without_password(text: str) -> str:
    """Hide the passwords of addresses in a text: what is written down and shown goes to other people.

    Examples
    --------
    >>> without_password("rtsp://user:secret@host/1"), without_password("srt://host:9?passphrase=secret&x=1")
    ('rtsp://user:***@host/1', 'srt://host:9?passphrase=***&x=1')
    """
    return _PASSWORD.sub(lambda found: f"{found[2]}***" if found[2] else f"{found[1]}:***@", text)


@dataclass(kw_only=True, slots=True)
class RunManifest:
    """What was run, on what, with what, and what came of it.

    Parameters
    ----------
    command : list of str
        The command line, or the call.
    source : dict
        Path, container, codec, hash and frame rate of the source.
    model : dict
        Name, file, SHA-256, classes and runtime of the segmenter.
    calibration : dict
        Scale and thickness with their standard deviations, and where they come from.
    settings : dict
        Every resolved setting.
    material : dict
        Constants of the hardening model, each with its source.
    conditions : list of dict
        Thickness, dose rate and material: `what`, `value`, `by`, and `frame` and `t_s` from which each held.
    choices : list of dict
        How the run decided what the literature disagrees on: `topic`, `setting`, `value`, `effect`.
    methods : str
        Paragraph of methods with its citations.
    status : str
        `running`, `done`, `stopped` (before the source had ended) or `failed`.
    reason : str
        Why it was stopped or has failed, in one line.
    warnings : list of str
        What the user should know before using the numbers.
    results : dict
        Counts and speeds.
    """

    command: list[str]
    source: dict[str, Any]
    model: dict[str, Any]
    calibration: dict[str, Any]
    settings: dict[str, Any]
    material: dict[str, Any] = field(default_factory=dict)
    conditions: list[dict[str, Any]] = field(default_factory=list)
    choices: list[dict[str, Any]] = field(default_factory=list)
    methods: str = ""
    status: str = "running"
    reason: str = ""
    started: str = ""
    finished: str = ""
    warnings: list[str] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)
    tables: str = "causal"
    versions: dict[str, str] = field(default_factory=lambda: installed_versions())

    def write(self, path: Path) -> None:
        """Write as `write_manifest`; how a run ended is also written where the disk is full.

        While a run goes on the file ends with blanks, as room for that.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        text = json_text(asdict(self), sort_keys=True)
        if self.status == "running":
            write_text(path, text + " " * _ROOM_BYTES + "\n")
            return
        try:
            write_text(path, text)
        except OutputError:
            if not write_in_place(path, text):
                raise


def write_manifest(path: Path, facts: Mapping[str, Any]) -> None:
    """Write `run.json`: keys sorted, a number that is not known is null.

    Parameters
    ----------
    path : Path
        The file.
    facts : mapping
        The fields of `RunManifest`, or those of another command that makes a folder of results.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    write_json(path, dict(facts), sort_keys=True)


def installed_versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a number."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hex, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(path: Path) -> dict[str, Any]:
    """Identify a source file: its size and SHA-256.

    Of a file above 2 GB only the first and last 64 MB are hashed, and that is said.

    Returns
    -------
    dict
        `bytes`, `sha256` and `sha256_of`.
    """
    size = path.stat().st_size
    if size <= HASHED_WHOLE_BYTES:
        return {"bytes": size, "sha256": file_sha256(path), "sha256_of": WHOLE}
    with path.open("rb") as stream:
        digest = hashlib.sha256(stream.read(HASHED_END_BYTES))
        stream.seek(-HASHED_END_BYTES, 2)
        digest.update(stream.read(HASHED_END_BYTES))
    return {
        "bytes": size,
        "sha256": digest.hexdigest(),
        "sha256_of": f"the first and last {HASHED_END_BYTES >> 20} MiB",
    }


def listing_fingerprint(paths: Sequence[Path]) -> dict[str, Any]:
    """Identify a source of many files by their names and sizes, in order.

    Reading them all twice would take as long as the run.

    Returns
    -------
    dict
        `bytes`, `sha256` and `sha256_of`.
    """
    sizes = [path.stat().st_size if path.exists() else 0 for path in paths]
    listing = "".join(f"{path.name}\t{size}\n" for path, size in zip(paths, sizes, strict=True))
    digest = hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()
    return {"bytes": sum(sizes), "sha256": digest, "sha256_of": f"the names and sizes of {len(paths)} files"}
