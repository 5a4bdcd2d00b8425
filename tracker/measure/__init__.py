"""From masks to places, sizes, shapes and lengths of defects, one frame at a time.

Nothing here knows tracks, densities or files.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.tracker.measure.by_class import lengths_of_lines as lengths_of_lines
    from insitrack.tracker.measure.measure import MeasureConfig as MeasureConfig
    from insitrack.tracker.measure.measure import measure as measure
    from insitrack.tracker.measure.measure import sizes_px as sizes_px
    from insitrack.tracker.measure.shape import hull_shape as hull_shape

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "by_class": ["lengths_of_lines"],
        "measure": ["MeasureConfig", "measure", "sizes_px"],
        "shape": ["hull_shape"],
    },
)
