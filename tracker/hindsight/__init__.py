"""Refinement when all frames are known: tracks cut, joined, filled, smoothed, and their tables written.

Everything here goes from tables to tables: nothing looks at a frame or runs while a movie is read.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.tracker.hindsight.refine import Refined as Refined
    from insitrack.tracker.hindsight.refine import refine as refine
    from insitrack.tracker.hindsight.rewrite import refine_run as refine_run
    from insitrack.tracker.hindsight.rewrite import write_tables as write_tables
    from insitrack.tracker.hindsight.settings import RefineConfig as RefineConfig

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "refine": ["Refined", "refine"],
        "rewrite": ["refine_run", "write_tables"],
        "settings": ["RefineConfig"],
    },
)
