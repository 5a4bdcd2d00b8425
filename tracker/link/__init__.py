"""From detections to tracks, frame by frame, and the drift of the specimen.

Knows only the past: what needs the whole movie is in `hindsight`; nothing here reads or writes a file.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.tracker.link.drift import Drift as Drift
    from insitrack.tracker.link.drift import DriftEstimator as DriftEstimator
    from insitrack.tracker.link.linked import Coasting as Coasting
    from insitrack.tracker.link.linked import Linked as Linked
    from insitrack.tracker.link.linked import LiveTracks as LiveTracks
    from insitrack.tracker.link.linker import Linker as Linker
    from insitrack.tracker.link.settings import DriftConfig as DriftConfig
    from insitrack.tracker.link.settings import LinkConfig as LinkConfig

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "drift": ["Drift", "DriftEstimator"],
        "linked": ["Coasting", "Linked", "LiveTracks"],
        "linker": ["Linker"],
        "settings": ["DriftConfig", "LinkConfig"],
    },
)
