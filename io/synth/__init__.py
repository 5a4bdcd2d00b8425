"""Seeded movies of drawn defects with their exact truth: scenes, appearance, background, camera faults.

Nothing here uses real data or knows a segmenter.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.io.synth.files import write_synth as write_synth
    from insitrack.io.synth.settings import SynthSettings as SynthSettings
    from insitrack.io.synth.source import SynthSource as SynthSource

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "files": ["write_synth"],
        "settings": ["SynthSettings"],
        "source": ["SynthSource"],
    },
)
