"""From the defects of a frame to density, size, swelling, hardening and their intervals against time and dose.

Counts and adds up what it is given: nothing here follows defects or reads images.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.tracker.series.calibration import recorded_calibration as recorded_calibration
    from insitrack.tracker.series.calibration import resolve_calibration as resolve_calibration
    from insitrack.tracker.series.counting import counted as counted
    from insitrack.tracker.series.counting import visibility_factor as visibility_factor
    from insitrack.tracker.series.counting import whole_weight as whole_weight
    from insitrack.tracker.series.density import Densities as Densities
    from insitrack.tracker.series.density import Ranged as Ranged
    from insitrack.tracker.series.dose import Exposure as Exposure
    from insitrack.tracker.series.dose import read_log as read_log
    from insitrack.tracker.series.foil import foil_depth_nm as foil_depth_nm
    from insitrack.tracker.series.foil import line_density_per_m2 as line_density_per_m2
    from insitrack.tracker.series.foil import volume_fraction_to_swelling as volume_fraction_to_swelling
    from insitrack.tracker.series.meter import SeriesMeter as SeriesMeter
    from insitrack.tracker.series.settings import SeriesConfig as SeriesConfig

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "calibration": ["recorded_calibration", "resolve_calibration"],
        "counting": ["counted", "visibility_factor", "whole_weight"],
        "density": ["Densities", "Ranged"],
        "dose": ["Exposure", "read_log"],
        "foil": ["foil_depth_nm", "line_density_per_m2", "volume_fraction_to_swelling"],
        "meter": ["SeriesMeter"],
        "settings": ["SeriesConfig"],
    },
)
