"""Find, follow and measure crystal defects in in-situ electron-microscope movies.

The door to everything that a user of the library needs; what is imported here is loaded when it is first
asked for.

Examples
--------
>>> import insitrack
>>> callable(insitrack.track)
True
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.io.sources import open_source as open_source
    from insitrack.segment.models import load_segmenter as load_segmenter
    from insitrack.tracker.link.linker import Linker as Linker
    from insitrack.tracker.run.job.finished import Run as Run
    from insitrack.tracker.run.job.finished import open_run as open_run
    from insitrack.tracker.run.track import track as track

__version__ = "0.2.0"

__getattr__, _, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "io.sources": ["open_source"],
        "segment.models": ["load_segmenter"],
        "tracker.link.linker": ["Linker"],
        "tracker.run.job.finished": ["Run", "open_run"],
        "tracker.run.track": ["track"],
    },
)
__all__ = ["Linker", "Run", "__version__", "load_segmenter", "open_run", "open_source", "track"]


def __dir__() -> list[str]:
    """List the door."""
    return sorted(__all__)
