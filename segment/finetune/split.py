"""Which labelled images are trained on and which judge, whole movies or series at a time."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insitrack.io.errors import SettingsError
from insitrack.segment.labels.reader import Labels


@dataclass(frozen=True, slots=True)
class PictureSplit:
    """Which images are trained on and which judge.

    Parameters
    ----------
    train, val : tuple of int
        Rows of the labels.
    warning : str
        What is to be said about it; empty where nothing is.
    """

    train: tuple[int, ...]
    val: tuple[int, ...]
    warning: str = ""


def split_groups(
    labels: Labels, patterns: Sequence[str] = (), share: float = 0.2, seed: int = 0
) -> PictureSplit:
    """Hold out images to judge by, whole movies or series at a time.

    Parameters
    ----------
    labels : Labels
        The images.
    patterns : sequence of str
        Names of images or groups to hold out, ``*`` and ``?`` allowed; none: groups drawn at random.
    share : float
        Share of the images to hold out, where they are drawn.
    seed : int
        Of the draw.

    Raises
    ------
    SettingsError
        If nothing is left to train on or to judge by.
    """
    n = len(labels)
    if n < 2:
        raise SettingsError(
            f"{labels.source}: {n} labelled image; expected at least two, one to train on and one to judge by"
        )
    if patterns:
        hit = named(labels, patterns)
        if hit.all() or not hit.any():
            some = ", ".join(labels.names[:3])
            raise SettingsError(
                f"--val {' '.join(patterns)}: takes {hit.sum()} of {n} images; expected some, not all, of"
                f" names such as {some}"
            )
        return PictureSplit(*_rows(hit))
    if not 0 < share < 1:
        raise SettingsError(f"--val-share {share:g}: expected more than 0 and less than 1")
    groups = sorted(set(labels.groups))
    if len(groups) == 1:
        held = np.arange(n) >= n - max(1, round(share * n))
        warning = (
            "all images seem to be frames of one movie: the last ones judge, and the scores flatter; name"
            " others with --val"
        )
        return PictureSplit(*_rows(held), warning)
    order = [groups[i] for i in np.random.default_rng([seed, 3]).permutation(len(groups))]
    counts = [labels.groups.count(group) for group in order]
    # groups are held out while that brings their share nearer to what was asked for; one at least
    n_held = 1
    while n_held < len(order) - 1 and sum(counts[: n_held + 1]) <= share * n:
        n_held += 1
    return PictureSplit(*_rows(np.isin(labels.groups, order[:n_held])))


def named(labels: Labels, patterns: Sequence[str]) -> NDArray[np.bool_]:
    """Find which images have a name, or a group, that fits one of the patterns."""
    return np.array(
        [
            any(fnmatch.fnmatch(t, p) for p in patterns for t in pair)
            for pair in zip(labels.names, labels.groups, strict=True)
        ],
        bool,
    )


def _rows(held: NDArray[np.bool_]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(np.flatnonzero(~held).tolist()), tuple(np.flatnonzero(held).tolist())
