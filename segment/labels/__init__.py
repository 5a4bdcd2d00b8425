"""Labels and predictions in every usual form, read within limits into detections.

Nothing here scores, trains or writes tables.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.segment.labels.classes import parse_classes as parse_classes
    from insitrack.segment.labels.outlines import Drawn as Drawn
    from insitrack.segment.labels.predictions import read_predictions as read_predictions
    from insitrack.segment.labels.reader import LabelledPicture as LabelledPicture
    from insitrack.segment.labels.reader import Labels as Labels
    from insitrack.segment.labels.reader import read_labelled as read_labelled
    from insitrack.segment.labels.yolo import TRAINED_CLASSES as TRAINED_CLASSES
    from insitrack.segment.labels.yolo import label_lines as label_lines
    from insitrack.segment.labels.yolo import polygons as polygons
    from insitrack.segment.labels.yolo import read_labels as read_labels

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "classes": ["parse_classes"],
        "outlines": ["Drawn"],
        "predictions": ["read_predictions"],
        "reader": ["LabelledPicture", "Labels", "read_labelled"],
        "yolo": ["TRAINED_CLASSES", "label_lines", "polygons", "read_labels"],
    },
)
