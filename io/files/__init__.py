"""Frames from files: movies, folders of images, TIFF stacks, files of microscopes.

No cameras (`live`), no drawn movies (`synth`), and nothing is written.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.io.files.movie import MovieSource as MovieSource
    from insitrack.io.files.stack import Stack as Stack
    from insitrack.io.files.stacks import StackSource as StackSource
    from insitrack.io.files.stacks import open_stack as open_stack

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "movie": ["MovieSource"],
        "stack": ["Stack"],
        "stacks": ["StackSource", "open_stack"],
    },
)
