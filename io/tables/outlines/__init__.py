"""The outline of every defect in every frame: run lengths, and the table that keeps them."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.io.tables.outlines.masks import MASKS as MASKS
    from insitrack.io.tables.outlines.masks import FrameMasks as FrameMasks
    from insitrack.io.tables.outlines.masks import masks_by_frame as masks_by_frame

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"masks": ["MASKS", "FrameMasks", "masks_by_frame"]}
)
