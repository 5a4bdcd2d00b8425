"""From a frame to its defects: networks, what comes before and after them, their scores and their training.

Nothing is linked or measured here, and no file of results is written: that is `tracker` and `io`.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.segment.base import SegmentConfig as SegmentConfig
    from insitrack.segment.base import Segmenter as Segmenter
    from insitrack.segment.card import ModelCard as ModelCard
    from insitrack.segment.models import find_model as find_model
    from insitrack.segment.models import load_segmenter as load_segmenter
    from insitrack.segment.models import shipped_models as shipped_models

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "base": ["SegmentConfig", "Segmenter"],
        "card": ["ModelCard"],
        "models": ["find_model", "load_segmenter", "shipped_models"],
    },
)
