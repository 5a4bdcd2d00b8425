"""Find, follow and measure crystal defects in in-situ electron-microscope movies.

The door to everything that a user of the library needs; what is imported here is loaded when it is first
asked for.

Examples
--------
>>> import insitrack
>>> callable(insitrack.track)
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from insitrack.io.sources import open_source
    from insitrack.io.tables.run_folder import Run
    from insitrack.segment.models import load_segmenter
    from insitrack.tracker.link.linker import Linker
    from insitrack.tracker.run.track import track

__version__ = "0.1.0"
__all__ = ["Linker", "Run", "__version__", "load_segmenter", "open_source", "track"]

_HOMES = {
    "Linker": "insitrack.tracker.link.linker",
    "Run": "insitrack.io.tables.run_folder",
    "load_segmenter": "insitrack.segment.base",
    "open_source": "insitrack.io.sources",
    "track": "insitrack.tracker.run.track",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its home when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'insitrack' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
