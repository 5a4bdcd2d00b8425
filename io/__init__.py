"""The nouns that pass between the floors, where frames come from and where results go.

No network runs here, nothing is linked or measured: `segment` finds defects, `tracker` follows them.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.io.detections import DEFECT_CLASSES as DEFECT_CLASSES
    from insitrack.io.detections import Detections as Detections
    from insitrack.io.detections import Masks as Masks
    from insitrack.io.errors import InsitrackError as InsitrackError
    from insitrack.io.errors import ModelError as ModelError
    from insitrack.io.errors import OutputError as OutputError
    from insitrack.io.errors import RunError as RunError
    from insitrack.io.errors import SettingsError as SettingsError
    from insitrack.io.errors import SourceError as SourceError
    from insitrack.io.errors import TableError as TableError
    from insitrack.io.frames import Calibration as Calibration
    from insitrack.io.frames import Frame as Frame
    from insitrack.io.frames import MissingFrame as MissingFrame
    from insitrack.io.frames import Source as Source
    from insitrack.io.levels import Levels as Levels
    from insitrack.io.manifest import RunManifest as RunManifest
    from insitrack.io.results import Event as Event
    from insitrack.io.results import Measures as Measures
    from insitrack.io.results import SeriesRow as SeriesRow
    from insitrack.io.results import TrackedFrame as TrackedFrame
    from insitrack.io.results import TrackSummary as TrackSummary
    from insitrack.io.sources import open_source as open_source
    from insitrack.io.sources import replay as replay
    from insitrack.io.tables.run_folder import Run as Run
    from insitrack.io.tables.sink import Sink as Sink
    from insitrack.io.tables.sink import TableSink as TableSink
    from insitrack.io.timeline import SelectedSource as SelectedSource
    from insitrack.io.timeline import Selection as Selection

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "detections": ["DEFECT_CLASSES", "Detections", "Masks"],
        "errors": [
            "InsitrackError",
            "ModelError",
            "OutputError",
            "RunError",
            "SettingsError",
            "SourceError",
            "TableError",
        ],
        "frames": ["Calibration", "Frame", "MissingFrame", "Source"],
        "levels": ["Levels"],
        "manifest": ["RunManifest"],
        "results": ["Event", "Measures", "SeriesRow", "TrackedFrame", "TrackSummary"],
        "sources": ["open_source", "replay"],
        "tables.run_folder": ["Run"],
        "tables.sink": ["Sink", "TableSink"],
        "timeline": ["SelectedSource", "Selection"],
    },
)
