"""Units of length and time as files and tables spell them, and round numbers for axes."""

from __future__ import annotations

import math
from pathlib import Path

from insitrack.io.errors import TableError

NM_PER_LENGTH = {
    "pm": 1e-3,
    "å": 0.1,
    "angstrom": 0.1,
    "nm": 1.0,
    "um": 1e3,
    "µm": 1e3,  # micro sign
    "μm": 1e3,  # Greek mu
    "micron": 1e3,
    "microns": 1e3,
    "mm": 1e6,
    "m": 1e9,
}
"""Units of length, in lower case, with their length in nm."""

SECONDS_PER_TIME = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "ms": 1e-3,
    "msec": 1e-3,
    "µs": 1e-6,
    "us": 1e-6,
    "min": 60.0,
    "h": 3600.0,
}
"""Units of time, in lower case, with their length in s."""

UNIT_WORDS = frozenset(NM_PER_LENGTH) | {
    *SECONDS_PER_TIME,
    *("px", "pixel", "pixels", "px^2", "nm^2", "frame", "degree", "deg", "radians", "-", "1", "quality", ""),
}
"""Words that stand below the header of a table where a program puts the units there."""

_IN_SECONDS_BELOW_S = 300.0
_IN_MINUTES_BELOW_S = 18_000.0


def nm_per(unit: str) -> float | None:
    r"""Length of a unit, nm; None where it is not one of length.

    Examples
    --------
    >>> nm_per("A"), nm_per(r"\u00B5m"), nm_per("pixel")
    (0.1, 1000.0, None)
    """
    plain = unit.replace("\\u00B5", "µ").replace("\\u00b5", "µ").strip()
    return NM_PER_LENGTH.get("å" if plain == "A" else plain.lower())


def nm_of(value: float, unit: str) -> float | None:
    """Turn a length into nm; None where the unit is not one of length or the value is not positive.

    Examples
    --------
    >>> nm_of(0.37, "nm"), nm_of(0.5, "µm"), nm_of(1.0, "pixel")
    (0.37, 500.0, None)
    """
    factor = nm_per(unit)
    return float(value) * factor if factor is not None and math.isfinite(value) and value > 0 else None


def seconds_of(value: float, unit: str) -> float | None:
    """Turn a duration into s; None where the unit is not one of time or the value is not positive."""
    factor = SECONDS_PER_TIME.get(unit.strip().lower())
    return float(value) * factor if factor is not None and math.isfinite(value) and value > 0 else None


def length_scale(path: Path, unit: str, nm_per_px: float | None) -> float:
    """Pixels per unit of length of a table of positions.

    Raises
    ------
    TableError
        If the unit is not stated or not known, or a scale is needed and none is given.
    """
    if unit.lower() in ("pixel", "pixels", "px"):
        return 1.0
    if not unit:
        raise TableError(f"{path}: does not say the unit of its positions; give --length-unit px, nm or um")
    factor = nm_per(unit)
    if factor is None:
        raise TableError(
            f"{path}: positions are in {unit!r}; expected pixel, nm, µm or mm, give the right one with"
            " --length-unit"
        )
    if nm_per_px is None:
        raise TableError(f"{path}: positions are in {unit}; give the width of a pixel with --nm-per-px")
    return factor / nm_per_px


def time_scale(path: Path, unit: str) -> float:
    """Seconds per unit of time of a table.

    Raises
    ------
    TableError
        If the unit is not stated or not known.
    """
    factor = SECONDS_PER_TIME.get(unit.strip().lower())
    if factor is None:
        said = f"times are in {unit!r}" if unit.strip() else "does not say the unit of its times"
        raise TableError(f"{path}: {said}; give --frame-interval-s, or --time-unit s, ms, min or h")
    return factor


def is_reciprocal(unit: str) -> bool:
    """Recognise units of diffraction: inverse lengths and angles.

    Examples
    --------
    >>> [is_reciprocal(unit) for unit in ("1/nm", "nm^-1", "mrad", "nm", "")]
    [True, True, True, False, False]
    """
    plain = unit.replace(" ", "").replace("$", "").replace("{", "").replace("}", "").lower()
    return (
        plain.startswith("1/") or plain.endswith(("^-1", "⁻¹", "-1")) or plain in ("mrad", "rad", "deg", "°")
    )


def time_unit(longest_s: float) -> tuple[float, str]:
    """Length in seconds and name of the unit in which a time axis reads best.

    Parameters
    ----------
    longest_s : float
        Largest time on the axis, s.

    Examples
    --------
    >>> time_unit(90.0), time_unit(3000.0), time_unit(86_400.0)
    ((1.0, 's'), (60.0, 'min'), (3600.0, 'h'))
    """
    if longest_s < _IN_SECONDS_BELOW_S:
        return SECONDS_PER_TIME["s"], "s"
    unit = "min" if longest_s < _IN_MINUTES_BELOW_S else "h"
    return SECONDS_PER_TIME[unit], unit


def round_step(rough: float) -> float:
    """Smallest of 1, 2, 5, 10, ... times a power of ten that is not below a positive number.

    Examples
    --------
    >>> [round_step(rough) for rough in (0.3, 1.0, 21.0)]
    [0.5, 1.0, 50.0]
    """
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
