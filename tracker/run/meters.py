"""How a meter is made: from settings, or, for a finished run, from its `run.json`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.frames import Calibration
from insitrack.tracker.hardening.materials import load_material, with_constants
from insitrack.tracker.run.config import RunConfig, SpecimenConfig, known_settings
from insitrack.tracker.run.validation import build_settings
from insitrack.tracker.series.calibration import recorded_calibration
from insitrack.tracker.series.dose import Exposure, read_log
from insitrack.tracker.series.meter import SeriesMeter


def config_of(manifest: dict[str, Any]) -> RunConfig:
    """Read the settings of a run; those that are unknown stay out.

    Raises
    ------
    SettingsError
        If the manifest holds a setting that this version does not know.
    """
    return build_settings(RunConfig, known_settings(manifest["settings"]))


def meter_for(config: RunConfig, calibration: Calibration, class_names: tuple[str, ...]) -> SeriesMeter:
    """Make the meter that the settings ask for.

    Raises
    ------
    InsitrackError
        If the material or the log cannot be used.
    """
    specimen = config.specimen
    material = with_constants(
        None if specimen.material is None else load_material(specimen.material),
        alpha=specimen.alpha,
        shear_modulus_gpa=specimen.shear_modulus_gpa,
        burgers_nm=specimen.burgers_nm,
        taylor_factor=specimen.taylor_factor,
    )
    return SeriesMeter(config.series, calibration, material, _exposure(specimen), class_names=class_names)


def _exposure(specimen: SpecimenConfig) -> Exposure:
    if specimen.log is None:
        rate = math.nan if specimen.dose_rate_dpa_per_s is None else specimen.dose_rate_dpa_per_s
        return Exposure(rate, specimen.beam_off_s)
    return read_log(
        Path(specimen.log),
        log_start=specimen.log_start,
        log_dates=specimen.log_dates,
        dose_rate_dpa_per_s=specimen.dose_rate_dpa_per_s,
        nominal_current_a=specimen.nominal_current_a,
    )


def meter_of(manifest: dict[str, Any], config: RunConfig | None = None) -> SeriesMeter:
    """Make the meter of a run anew, with its own settings or with others."""
    names = tuple(manifest["model"].get("classes") or DEFECT_CLASSES)
    return meter_for(config or config_of(manifest), recorded_calibration(manifest["calibration"]), names)
