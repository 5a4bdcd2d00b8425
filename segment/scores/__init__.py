"""Detections held against labels: matching, F1, average precision, pixels, lines, splits.

No physics, no network, and no page: what is shown of a score is in `io.report`.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.segment.scores.confusion import Compared as Compared
    from insitrack.segment.scores.confusion import Confusion as Confusion
    from insitrack.segment.scores.confusion import compare as compare
    from insitrack.segment.scores.confusion import curve as curve
    from insitrack.segment.scores.evaluate import Score as Score
    from insitrack.segment.scores.evaluate import labelled_pictures as labelled_pictures
    from insitrack.segment.scores.evaluate import score as score
    from insitrack.segment.scores.matching import overlaps as overlaps
    from insitrack.segment.scores.matching import pairs as pairs
    from insitrack.segment.scores.splits import DataSplit as DataSplit
    from insitrack.segment.scores.splits import cross_validate as cross_validate

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "confusion": ["Compared", "Confusion", "compare", "curve"],
        "evaluate": ["Score", "labelled_pictures", "score"],
        "matching": ["overlaps", "pairs"],
        "splits": ["DataSplit", "cross_validate"],
    },
)
