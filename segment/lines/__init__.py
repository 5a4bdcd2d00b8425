"""From a map of line dislocations to single lines: skeleton graph, tracing, length.

The network is in `networks`; a density per volume needs the foil and is in `tracker.series`.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.segment.lines.length import chain_length as chain_length
    from insitrack.segment.lines.trace import LineSettings as LineSettings
    from insitrack.segment.lines.trace import line_length_px as line_length_px
    from insitrack.segment.lines.trace import line_masks as line_masks
    from insitrack.segment.lines.trace import line_width_px as line_width_px
    from insitrack.segment.lines.trace import trace_lines as trace_lines

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "length": ["chain_length"],
        "trace": ["LineSettings", "line_length_px", "line_masks", "line_width_px", "trace_lines"],
    },
)
