"""Frames as they are taken: cameras, streams, watched folders, their waiting room, the page that shows them.

No files that are complete (`files`), and no analysis: a run asks for frames and hands results to a sink.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.io.live.camera import LiveSource as LiveSource
    from insitrack.io.live.page.request import ViewerRequest as ViewerRequest
    from insitrack.io.live.settings import LeftOff as LeftOff
    from insitrack.io.live.settings import LiveConfig as LiveConfig
    from insitrack.io.live.status import LiveStatus as LiveStatus
    from insitrack.io.live.view import LiveView as LiveView

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "camera": ["LiveSource"],
        "settings": ["LeftOff", "LiveConfig"],
        "status": ["LiveStatus"],
        "view": ["LiveView"],
        "page.request": ["ViewerRequest"],
    },
)
