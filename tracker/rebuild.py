"""What a finished run needs to be worked out anew from its tables: its settings and its meter, from `run.json`."""

from __future__ import annotations

from typing import Any

from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.frames import Calibration
from insitrack.tracker.config import RunConfig, build_settings
from insitrack.tracker.materials import load_material
from insitrack.tracker.series import SeriesMeter


def config_of(manifest: dict[str, Any]) -> RunConfig:
    """Read the settings of a run; those that are unknown stay out.

    Raises
    ------
    SettingsError
        If the manifest holds a setting that this version does not know.
    """
    return build_settings(RunConfig, _known(manifest["settings"]))


def _known(tree: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is null: those settings have no value."""
    return {key: _known(value) if isinstance(value, dict) else value for key, value in tree.items() if value is not None}


def meter_of(manifest: dict[str, Any]) -> SeriesMeter:
    """Make the meter of a run anew."""
    config, facts = config_of(manifest), manifest["calibration"]
    calibration = Calibration(
        nm_per_px=facts.get("nm_per_px"),
        nm_per_px_sd=facts.get("nm_per_px_sd") or 0.0,
        thickness_nm=facts.get("thickness_nm"),
        thickness_sd_nm=facts.get("thickness_sd_nm") or 0.0,
        origin=str(facts.get("origin", "unknown")),
    )
    material = None if config.specimen.material is None else load_material(config.specimen.material)
    classes = tuple(manifest["model"].get("classes") or DEFECT_CLASSES)
    return SeriesMeter(config.series, calibration, material, config.specimen.dose_rate_dpa_per_s, class_names=classes)
