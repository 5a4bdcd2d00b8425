"""Barrier strength of defects that may be one thing or another: of black dots, and where the class cannot be told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from insitrack.io.detections import UNTYPED
from insitrack.io.errors import SettingsError
from insitrack.tracker.hardening.materials import LINE_CLASSES
from insitrack.tracker.hardening.models import Barrier


def black_dots_like_others(
    shares: Mapping[str, float], barriers: Mapping[str, Barrier], material: str
) -> Barrier:
    """Strength of black dots that harden like other classes: squares by their shares, as in quadrature.

    Parameters
    ----------
    shares : mapping of str to float
        Share of each class.
    barriers : mapping of str to Barrier
        Of the material.
    material : str
        Its name.

    Raises
    ------
    SettingsError
        If a class has no dispersed-barrier strength.
    """
    for name in shares:
        if name not in barriers or barriers[name].model != "dbh":
            raise SettingsError(
                f"series.black_dots_as: {material} has no dispersed-barrier alpha of {name}; add alpha.{name}"
                " or leave it out"
            )
    parts = [(share, barriers[name]) for name, share in shares.items()]
    alpha = math.sqrt(sum(share * barrier.constant**2 for share, barrier in parts))
    relative = max((barrier.constant_sd / barrier.constant for _, barrier in parts), default=0.0)
    words = ", ".join(f"{share:g} {name}" for name, share in shares.items())
    return replace(
        parts[0][1],
        constant=alpha,
        constant_sd=relative * alpha,
        source=f"series.black_dots_as: {words}",
        evidence="user",
    )


def untyped_barrier(barriers: Mapping[str, Barrier], class_names: tuple[str, ...]) -> dict[str, Barrier]:
    r"""Strength of defects whose class cannot be told.

    They may be any of the classes of the run that are dispersed barriers, each as likely:
    :math:`\alpha^2 = \langle \alpha_k^2 \rangle`, as if equal numbers of each added in quadrature. The standard
    deviation holds the spread of the strengths and their own errors.

    Parameters
    ----------
    barriers : mapping of str to Barrier
        Of the material.
    class_names : tuple of str
        Classes of the run.

    Returns
    -------
    dict of str to Barrier
        Under the name `defect`; empty where no class of the run is a dispersed barrier.

    Examples
    --------
    >>> some = {name: Barrier(constant=alpha, constant_sd=0.05) for name, alpha in (("black_dot", 0.2), ("loop", 0.3))}
    >>> mixed = untyped_barrier(some, ("black_dot", "loop", "defect"))["defect"]
    >>> round(mixed.constant, 3), round(mixed.constant_sd, 3)
    (0.255, 0.071)
    """
    parts = [
        barriers[name]
        for name in class_names
        if name in barriers and name not in (*LINE_CLASSES, UNTYPED) and barriers[name].model == "dbh"
    ]
    if not parts:
        return {}
    alpha = np.array([barrier.constant for barrier in parts])
    own = np.array([barrier.constant_sd for barrier in parts])
    mean = math.sqrt(float((alpha**2).mean()))
    spread = math.sqrt(float(((alpha - alpha.mean()) ** 2).mean() + (own**2).mean()))
    words = "any class of the run, each as likely"
    return {UNTYPED: replace(parts[0], constant=mean, constant_sd=spread, source=words, evidence="P")}
