"""The manifest of a run: `run.json`, every setting and origin needed to understand or repeat it."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from insitrack.io.errors import OutputError

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
HASHED_WHOLE_BYTES = 2 << 30
HASHED_END_BYTES = 64 << 20


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
    choices : list of dict
        How the run decided what the literature disagrees on: `topic`, `setting`, `value`, `effect`.
    methods : str
        Paragraph of methods with its citations.
    status : str
        `running`, `done`, `interrupted` or `failed`.
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
    choices: list[dict[str, Any]] = field(default_factory=list)
    methods: str = ""
    status: str = "running"
    started: str = ""
    finished: str = ""
    warnings: list[str] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)
    tables: str = "causal"
    versions: dict[str, str] = field(default_factory=lambda: installed_versions())

    def write(self, path: Path) -> None:
        """Write to a temporary name, then rename, so that a reader never sees half a manifest.

        Raises
        ------
        OutputError
            If the folder cannot be written.
        """
        temporary = path.with_suffix(".json.part")
        try:
            temporary.write_text(
                json.dumps(_plain(asdict(self)), indent=2, sort_keys=True, allow_nan=False) + "\n",
                encoding="utf-8",
            )
            temporary.replace(path)
        except OSError as error:
            raise OutputError(
                f"{path}: cannot be written ({error.strerror}); choose another folder with --out"
            ) from error


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
        return {"bytes": size, "sha256": file_sha256(path), "sha256_of": "the whole file"}
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


def _plain(value: Any) -> Any:
    """Turn numpy scalars, paths and NaN into what JSON can hold; NaN becomes null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
