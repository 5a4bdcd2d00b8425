"""What is done to a frame before a network sees it: grey levels, field of view, scale, polarity, tiles, scale bar.

No network runs here, and nothing is detected.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.segment.prepare.field import FieldConfig as FieldConfig
    from insitrack.segment.prepare.field import FieldFinder as FieldFinder
    from insitrack.segment.prepare.field import field_of as field_of
    from insitrack.segment.prepare.find_view import ViewFinder as ViewFinder
    from insitrack.segment.prepare.grey import Stretch as Stretch
    from insitrack.segment.prepare.grey import grey_range as grey_range
    from insitrack.segment.prepare.grey import stretch_to_8_bit as stretch_to_8_bit
    from insitrack.segment.prepare.tiles import Tile as Tile
    from insitrack.segment.prepare.tiles import stitch as stitch
    from insitrack.segment.prepare.view import View as View

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "field": ["FieldConfig", "FieldFinder", "field_of"],
        "find_view": ["ViewFinder"],
        "grey": ["Stretch", "grey_range", "stretch_to_8_bit"],
        "tiles": ["Tile", "stitch"],
        "view": ["View"],
    },
)
