"""Probability that a defect is there: from its score, the scores of the whole movie and its track.

Arrays in, arrays out; nothing here reads or writes a file. `live` knows only the past, `judge` the whole movie.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.tracker.existence.believed import Believed as Believed
    from insitrack.tracker.existence.believed import believe as believe
    from insitrack.tracker.existence.evidence import Evidence as Evidence
    from insitrack.tracker.existence.judge import Judge as Judge
    from insitrack.tracker.existence.live import LiveExistence as LiveExistence
    from insitrack.tracker.existence.settings import ExistenceConfig as ExistenceConfig

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "believed": ["Believed", "believe"],
        "evidence": ["Evidence"],
        "judge": ["Judge"],
        "live": ["LiveExistence"],
        "settings": ["ExistenceConfig"],
    },
)
