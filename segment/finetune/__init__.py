"""`track train`: a model of your own from labelled images, starting from a shipped one; needs the extra `train`.

How shipped models are made is in `training`.
"""

from typing import TYPE_CHECKING

import lazy_loader

from insitrack.io.extras import require_training

if TYPE_CHECKING:
    from insitrack.segment.finetune.outcome import Finetuned as Finetuned
    from insitrack.segment.finetune.settings import FinetuneSettings as FinetuneSettings
    from insitrack.segment.finetune.split import split_groups as split_groups

require_training("insitrack.segment.finetune")

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "outcome": ["Finetuned"],
        "settings": ["FinetuneSettings"],
        "split": ["split_groups"],
    },
)
