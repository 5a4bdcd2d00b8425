"""The tables of a run: columns, writing, reading, streaming.

No physics and no images: a table holds what others computed.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.io.tables.columns import EVENTS as EVENTS
    from insitrack.io.tables.columns import FRAMES as FRAMES
    from insitrack.io.tables.columns import KINETICS as KINETICS
    from insitrack.io.tables.columns import MSD as MSD
    from insitrack.io.tables.columns import SERIES as SERIES
    from insitrack.io.tables.columns import SUMMARY as SUMMARY
    from insitrack.io.tables.columns import TABLES as TABLES
    from insitrack.io.tables.columns import TRACKS as TRACKS
    from insitrack.io.tables.columns import describe_columns as describe_columns
    from insitrack.io.tables.detection_table import DetectionTable as DetectionTable
    from insitrack.io.tables.engine import Column as Column
    from insitrack.io.tables.engine import Table as Table
    from insitrack.io.tables.read_detections import read_detections as read_detections
    from insitrack.io.tables.run_folder import Run as Run
    from insitrack.io.tables.run_folder import check_folder as check_folder
    from insitrack.io.tables.run_folder import default_folder as default_folder
    from insitrack.io.tables.sink import Sink as Sink
    from insitrack.io.tables.sink import TableSink as TableSink

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "columns": [
            "EVENTS",
            "FRAMES",
            "KINETICS",
            "MSD",
            "SERIES",
            "SUMMARY",
            "TABLES",
            "TRACKS",
            "describe_columns",
        ],
        "detection_table": ["DetectionTable"],
        "engine": ["Column", "Table"],
        "read_detections": ["read_detections"],
        "run_folder": ["Run", "check_folder", "default_folder"],
        "sink": ["Sink", "TableSink"],
    },
)
