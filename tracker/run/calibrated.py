"""Settings that a model brings with it: what its scores mean, and how far its counts may be off."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from insitrack.io.errors import ModelError, SettingsError
from insitrack.tracker.run.config import RunConfig, known_settings
from insitrack.tracker.run.validation import build_settings

_PLACES = {
    "even_score": "existence",
    "odds_per_logit": "existence",
    "detector_log_bias": "series",
    "detector_log_sd": "series",
    "detector_type_log_sd": "series",
    "size_log_sd": "series",
}
"""Settings under `calibration` of a model's card, and their sections."""


def calibrated(config: RunConfig, model: Mapping[str, Any]) -> RunConfig:
    """Fill in what the card of a model says where the user gave nothing.

    Parameters
    ----------
    config : RunConfig
        Settings as they were asked for.
    model : mapping
        What the segmenter says of itself, `calibration` among it where that is known: of the scores of frames
        that are shown in three scales, and under `one_look` in one.

    Raises
    ------
    ModelError
        If the card holds a value out of range.

    Examples
    --------
    >>> calibrated(RunConfig(), {"calibration": {"even_score": 0.2}}).existence.even_score
    0.2
    >>> once = {"view": {"looks": 1}, "calibration": {"even_score": 0.2, "one_look": {"even_score": 0.15}}}
    >>> calibrated(RunConfig(), once).existence.even_score
    0.15
    """
    tree = known_settings(config.plain())
    untouched = known_settings(RunConfig().plain())
    known = dict(model.get("calibration") or {})
    if (model.get("view") or {}).get("looks") == 1:
        known.update(known.get("one_look") or {})
    for name, value in known.items():
        section = _PLACES.get(name)
        if section is not None and tree[section].get(name) == untouched[section].get(name):
            tree[section][name] = value
    try:
        filled = build_settings(RunConfig, tree)
    except SettingsError as error:
        raise ModelError(f"{model.get('name')}: its card has an impossible calibration: {error}") from error
    return dataclasses.replace(config, existence=filled.existence, series=filled.series)
