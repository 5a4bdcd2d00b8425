"""Runs for other programs, and what comes back from them.

TrackMate, COCO, ImageJ, label images, MOT, napari, GEFF, Parquet. Nothing is computed here: rows and outlines of
a run are written the way others read them.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.io.exchange.formats import FORMATS as FORMATS
    from insitrack.io.exchange.formats import export_run as export_run
    from insitrack.io.exchange.trackmate_file import read_trackmate as read_trackmate

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={"formats": ["FORMATS", "export_run"], "trackmate_file": ["read_trackmate"]},
)
