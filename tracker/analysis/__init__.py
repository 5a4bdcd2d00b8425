"""Runs from tables: `track series`, detections made elsewhere, corrections by hand; pooled, fitted, compared.

Nothing here reads a movie, detects or plots.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.tracker.analysis.fits import average_rows as average_rows
    from insitrack.tracker.analysis.fits import fits_and_rates as fits_and_rates
    from insitrack.tracker.analysis.fits import size_rows as size_rows
    from insitrack.tracker.analysis.recompute import Recompute as Recompute
    from insitrack.tracker.analysis.recompute import Recomputed as Recomputed
    from insitrack.tracker.analysis.table_run import TableRun as TableRun
    from insitrack.tracker.analysis.table_run import open_run as open_run
    from insitrack.tracker.analysis.time_bins import TimeBins as TimeBins

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "fits": ["average_rows", "fits_and_rates", "size_rows"],
        "recompute": ["Recompute", "Recomputed"],
        "table_run": ["TableRun", "open_run"],
        "time_bins": ["TimeBins"],
    },
)
