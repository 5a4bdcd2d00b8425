"""How the shipped networks are made: data sets, trainers, export, model cards; needs the extra `train`.

Nothing that a run needs; a training on labels of your own is `finetune`.
"""

from typing import TYPE_CHECKING

import lazy_loader

from insitrack.io.extras import require_training

if TYPE_CHECKING:
    from insitrack.segment.training.dataset import DatasetSettings as DatasetSettings
    from insitrack.segment.training.dataset import write_synth_dataset as write_synth_dataset
    from insitrack.segment.training.export import Checkpoint as Checkpoint
    from insitrack.segment.training.export import load_checkpoint as load_checkpoint
    from insitrack.segment.training.export import save_checkpoint as save_checkpoint
    from insitrack.segment.training.model_card import write_card as write_card
    from insitrack.segment.training.yolo import TrainSettings as TrainSettings
    from insitrack.segment.training.yolo import train as train

require_training("insitrack.segment.training")

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "dataset": ["DatasetSettings", "write_synth_dataset"],
        "export": ["Checkpoint", "load_checkpoint", "save_checkpoint"],
        "model_card": ["write_card"],
        "yolo": ["TrainSettings", "train"],
    },
)
