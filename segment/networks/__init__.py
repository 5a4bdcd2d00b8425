"""Networks run on a frame, tile by tile, and their raw output made detections.

How a frame is prepared is in `prepare`, how a network is trained in `training`.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.segment.networks.checkpoint import CheckpointSettings as CheckpointSettings
    from insitrack.segment.networks.checkpoint import checkpoint_card as checkpoint_card
    from insitrack.segment.networks.maskrcnn import TorchvisionSegmenter as TorchvisionSegmenter
    from insitrack.segment.networks.runtime import Network as Network
    from insitrack.segment.networks.runtime import load_network as load_network
    from insitrack.segment.networks.semantic import SemanticSegmenter as SemanticSegmenter
    from insitrack.segment.networks.yolo import YoloSegmenter as YoloSegmenter

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "checkpoint": ["CheckpointSettings", "checkpoint_card"],
        "maskrcnn": ["TorchvisionSegmenter"],
        "runtime": ["Network", "load_network"],
        "semantic": ["SemanticSegmenter"],
        "yolo": ["YoloSegmenter"],
    },
)
