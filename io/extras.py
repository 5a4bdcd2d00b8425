"""Packages that only some commands need: asked for before any work, with the command that installs them."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from insitrack.io.errors import InsitrackError, SettingsError


class MissingExtraError(InsitrackError, ImportError):
    """A command needs packages that the core does not bring."""


def require(extra: str, *packages: str, purpose: str) -> None:
    """Make sure that the packages of an extra are installed; none of them is imported.

    Parameters
    ----------
    extra : str
        Name of the extra in ``pyproject.toml``: ``train``, ``gpu``.
    *packages : str
        Names that are going to be imported.
    purpose : str
        What needs them, first words of the message.

    Raises
    ------
    MissingExtraError
        If one of them is missing.

    Examples
    --------
    >>> require("train", "numpy", purpose="track train")
    >>> require("train", "no_such_package", purpose="track train")
    Traceback (most recent call last):
    ...
    insitrack.io.extras.MissingExtraError: track train: needs no_such_package; install it: pip install "insitrack[train]"
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        it = "it" if len(missing) == 1 else "them"
        raise MissingExtraError(
            f'{purpose}: needs {", ".join(missing)}; install {it}: pip install "insitrack[{extra}]"'
        )


def require_training(purpose: str) -> None:
    """Make sure that what trains and exports a network is installed; see `require`."""
    require("train", "torch", "torchvision", "ultralytics", "onnx", "onnxslim", purpose=purpose)


LEAST_MEMORY_BYTES = 2_000_000_000
"""What a small movie needs, with its network."""
LEAST_FOR_TABLES_BYTES = 1_200_000_000
"""What the libraries of tables need: with less they end in the middle of being loaded."""


def check_memory(least_bytes: int = LEAST_MEMORY_BYTES) -> None:
    """Refuse a limit of memory under which libraries crash or hang instead of saying so.

    Parameters
    ----------
    least_bytes : int
        Address space that is needed, bytes.

    Raises
    ------
    SettingsError
        If less is allowed.
    """
    if sys.platform == "win32":
        return
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < least_bytes:
        raise SettingsError(
            f"only {limit / 1e9:.1f} GB of memory are allowed (ulimit -v); expected at least"
            f" {least_bytes / 1e9:.2g} GB: raise the limit"
        )
