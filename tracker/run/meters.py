"""How a meter is made: from settings, or, for a finished run, from its `run.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.errors import TableError
from insitrack.io.frames import Calibration
from insitrack.io.tables.records import SETTINGS, harmless
from insitrack.tracker.hardening.materials import load_material, with_constants
from insitrack.tracker.hardening.models import Material
from insitrack.tracker.run.config import RunConfig, SpecimenConfig, known_settings
from insitrack.tracker.run.validation import build_settings
from insitrack.tracker.series.calibration import recorded_calibration
from insitrack.tracker.series.conditions import (
    DOSE_RATE,
    GIVEN,
    LOG,
    MATERIAL,
    THICKNESS,
    THICKNESS_SD,
    Change,
    Conditions,
    exact,
    read_conditions,
)
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

    def material_of(name: str | None) -> Material | None:
        return with_constants(
            None if name is None else load_material(name),
            alpha=specimen.alpha,
            shear_modulus_gpa=specimen.shear_modulus_gpa,
            burgers_nm=specimen.burgers_nm,
            taylor_factor=specimen.taylor_factor,
        )

    material = material_of(specimen.material)
    meter = SeriesMeter(
        config.series,
        calibration,
        material,
        _exposure(specimen),
        class_names=class_names,
        material_of=material_of,
    )
    meter.follow(first_conditions(config, calibration, known=material is not None))
    return meter


def first_conditions(config: RunConfig, calibration: Calibration, *, known: bool) -> Conditions:
    """Return what holds at the beginning of a run, and who says so.

    Parameters
    ----------
    config, calibration
        Settings, and the scale and thickness that follow from them.
    known : bool
        Whether there are constants of a material.
    """
    specimen = config.specimen
    given = "command" if specimen.thickness_nm is not None else "file"
    values = (
        (THICKNESS, exact(calibration.thickness_nm), given),
        (THICKNESS_SD, exact(calibration.thickness_sd_nm or None), given),
        (DOSE_RATE, exact(specimen.dose_rate_dpa_per_s), "command"),
        (MATERIAL, _path(specimen.material or GIVEN) if known else "", "command"),
        (LOG, _path(specimen.log or ""), "log"),
    )
    return Conditions(tuple(Change(0, 0.0, what, value, by) for what, value, by in values if value))


def _path(name: str) -> str:
    """Write a name so that no spreadsheet runs it as a formula: the same file, from the folder in which it lies."""
    return name if harmless(name) == name else f"./{name}"


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


def meter_of(folder: Path, manifest: dict[str, Any]) -> SeriesMeter:
    """Make the meter of a finished run again: its settings, and what changed while it went on."""
    names = tuple(manifest["model"].get("classes") or DEFECT_CLASSES)
    meter = meter_for(config_of(manifest), recorded_calibration(manifest["calibration"]), names)
    meter.follow(recorded_conditions(folder, manifest, meter.conditions))
    return meter


def recorded_conditions(folder: Path, manifest: Mapping[str, Any], first: Conditions) -> Conditions:
    """Return what held during a run: by ``settings.csv``, or `first` where it was kept by an earlier version.

    Raises
    ------
    TableError
        If the table is damaged, or is missing though the run says that something changed.
    """
    path = folder / SETTINGS.file
    if path.is_file():
        return read_conditions(path)
    if any(one.get("frame") for one in manifest.get("conditions") or []):
        raise TableError(
            f"{path}: missing, though run.json lists settings that changed during the run; restore it"
        )
    return first
