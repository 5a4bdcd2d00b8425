"""Packages that only some commands need: asked for before any work, with the command that installs them."""

from __future__ import annotations

from importlib.util import find_spec

from insitrack.io.errors import InsitrackError


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
