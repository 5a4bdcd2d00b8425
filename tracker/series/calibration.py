"""One rule for scale and thickness: what the user gives goes before what the file or an earlier run says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from insitrack.io.frames import Calibration

SCALE_SD_RELATIVE = 0.02
"""Relative standard deviation of a scale whose error is not told: magnifications of microscopes that are calibrated
now and then, and scale bars that are read to a pixel or two, are good to some 2 %; uncalibrated ones to 5 or 10 %."""


def recorded_calibration(facts: Mapping[str, Any]) -> Calibration:
    """Scale and thickness as ``run.json`` holds them under ``calibration``.

    Examples
    --------
    >>> recorded_calibration({"nm_per_px": 0.37, "thickness_nm": None, "origin": "settings"}).nm_per_px
    0.37
    """
    return Calibration(
        nm_per_px=facts.get("nm_per_px"),
        nm_per_px_sd=facts.get("nm_per_px_sd") or 0.0,
        thickness_nm=facts.get("thickness_nm"),
        thickness_sd_nm=facts.get("thickness_sd_nm") or 0.0,
        origin=str(facts.get("origin", "unknown")),
    )


def resolve_calibration(
    known: Calibration,
    *,
    nm_per_px: float | None = None,
    nm_per_px_sd: float | None = None,
    thickness_nm: float | None = None,
    thickness_sd_nm: float | None = None,
) -> Calibration:
    """Put what the user gives over what is known.

    Parameters
    ----------
    known : Calibration
        From the file, or from an earlier run.
    nm_per_px, nm_per_px_sd, thickness_nm, thickness_sd_nm : float or None
        Given by the user, nm; None (for that of the thickness also 0) where not given. A thickness that is
        given brings its own standard deviation: that of another figure says nothing of it. A scale whose error
        neither the user nor the file tells is known to `SCALE_SD_RELATIVE`.

    Examples
    --------
    >>> file = Calibration(nm_per_px=0.5, thickness_nm=90.0, thickness_sd_nm=5.0, origin="file")
    >>> given = resolve_calibration(file, thickness_nm=120.0)
    >>> given.nm_per_px, given.nm_per_px_sd, given.thickness_nm, given.thickness_sd_nm, given.origin
    (0.5, 0.01, 120.0, 0.0, 'file')
    """
    given = thickness_nm is not None
    scale = nm_per_px or known.nm_per_px
    # that of the file belongs to the scale of the file
    known_sd = known.nm_per_px_sd if not nm_per_px or nm_per_px == known.nm_per_px else 0.0
    if nm_per_px_sd is None:
        nm_per_px_sd = known_sd or SCALE_SD_RELATIVE * (scale or 0.0)
    return known.with_(
        nm_per_px=scale,
        nm_per_px_sd=nm_per_px_sd,
        thickness_nm=thickness_nm if given else known.thickness_nm,
        thickness_sd_nm=(thickness_sd_nm or 0.0) if given else known.thickness_sd_nm,
        origin="settings" if nm_per_px else known.origin,
    )
