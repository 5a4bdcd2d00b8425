"""How long a track may go unseen before it ends."""

from __future__ import annotations

from collections.abc import Collection
from statistics import median

import numpy as np

from insitrack.io.arrays import Floats
from insitrack.tracker.link.settings import LinkConfig
from insitrack.tracker.link.state import Tracks


def patience_s(config: LinkConfig, intervals_s: Collection[float]) -> float:
    """How long a track may go unseen, s; half an interval more where derived, for timestamps jitter.

    Examples
    --------
    >>> patience_s(LinkConfig(patience_frames=3.0), [0.1, 0.1, 0.3]), patience_s(LinkConfig(), [])
    (0.35000000000000003, 0.0)
    """
    if config.patience_s is not None:
        return config.patience_s
    if not intervals_s:
        return 0.0
    return (config.patience_frames + 0.5) * median(intervals_s)


def class_factor(config: LinkConfig, tracks: Tracks, class_names: tuple[str, ...]) -> Floats | float:
    """Patience of each track's class, as a factor."""
    if not config.patience_by_class:
        return 1.0
    factors = np.array([config.patience_by_class.get(name, 1.0) for name in class_names])
    return np.asarray(factors[tracks["label"] - 1], np.float64)
