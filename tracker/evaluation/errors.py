"""Errors of found against true, and what they were averaged over: the numbers behind every parity plot.

The same images give several "errors in size". Averaged over images and classes (Jacobs et al. 2022, doi
10.1016/j.xcrp.2022.100876, figure 5) an error is larger than after pooling, where errors of opposite sign
cancel. Each row therefore says what one of its points stands for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from insitrack.io.arrays import Floats
from insitrack.segment.scores.confusion import classes_of
from insitrack.tracker.evaluation.parity import (
    NAN,
    SIDES,
    Picture,
    Row,
    Unit,
    hardening,
    properties,
    relative,
)
from insitrack.tracker.hardening.models import Material

BY_PICTURE_AND_CLASS = "picture and class"
BY_PICTURE = "picture, classes together"
BY_CLASS = "class, pictures pooled"
POOLED = "everything pooled"
QUANTITIES = ("size", "heywood", "density", "n")
DENSE_PER_M2 = 1e15
"""True density up to which Jacobs et al. 2022 state density errors a second time, without crowded images."""


def agreement(true: Floats, found: Floats) -> dict[str, float]:
    """Say how far found values lie from true ones.

    Parameters
    ----------
    true, found : ndarray of float64, shape (N,)
        Values; points of which either is NaN are left out.

    Returns
    -------
    dict of str to float
        `n_points`; `r2`, the coefficient of determination about the line found = true (1 is perfect, 0 no
        better than the mean of the true values; NaN for fewer than two different true values); `mae`, mean
        absolute, `rmse`, root mean square, and `mape`, mean absolute relative difference; mean and standard
        deviation (n - 1) of both.

    Examples
    --------
    >>> values = agreement(np.array([10.0, 20.0]), np.array([11.0, 17.0]))
    >>> [round(values[name], 3) for name in ("r2", "mae", "rmse", "mape")]
    [0.8, 2.0, 2.236, 0.125]
    """
    both = np.isfinite(true) & np.isfinite(found)
    true, found = true[both], found[both]
    difference = found - true
    shares = np.array([abs(relative(b, a)) for a, b in zip(true.tolist(), found.tolist(), strict=True)])
    shares = shares[np.isfinite(shares)]
    spread = float(((true - true.mean()) ** 2).sum()) if true.size > 1 else 0.0
    return {
        "n_points": int(true.size),
        "r2": 1 - float((difference**2).sum()) / spread if spread > 0 else NAN,
        "mae": _mean(abs(difference)),
        "rmse": math.sqrt(_mean(difference**2)),
        "mape": _mean(shares),
        "mean_true": _mean(true),
        "sd_true": _sd(true),
        "mean_found": _mean(found),
        "sd_found": _sd(found),
    }


def error_summary(rows: Sequence[Mapping[str, float]], name: str, words: str = "") -> dict[str, float]:
    """Errors of one property, averaged over rows.

    Parameters
    ----------
    rows : sequence of mapping
        One per image, or per image and class, with `NAME_true` and `NAME_found` (or `NAME_true_mpa`, ...).
    name : str
        Property.
    words : str
        What stands after the name, such as ``by_picture``.

    Returns
    -------
    dict of str to float
        `NAME_r2`, `NAME_mae`, `NAME_rmse`, `NAME_mape`, over the rows in which both are known; see `agreement`.

    Examples
    --------
    >>> error_summary([{"n_true": 10, "n_found": 11}, {"n_true": 20, "n_found": 17}], "n", "by_picture")["n_by_picture_mae"]
    2.0
    """
    found = agreement(*_columns(rows, name))
    start = f"{name}_{words}" if words else name
    return {f"{start}_{key}": found[key] for key in ("r2", "mae", "rmse", "mape")}


def parity_rows(
    pictures: Sequence[Picture], unit: Unit, material: Material | None, **named: str
) -> list[Row]:
    """Make the table behind the parity plots.

    Parameters
    ----------
    pictures : sequence of Picture
        Compared images.
    unit : {"nm", "px"}
        Unit of lengths.
    material : Material or None
        Constants of the hardening model.
    **named : str
        Columns that come first, such as the split.

    Returns
    -------
    list of dict
        `quantity`, `unit`, `one_point_is` (`BY_PICTURE_AND_CLASS`, `BY_PICTURE`, `BY_CLASS`, `POOLED`),
        `defect_class` (or ``all``), `only` (which points, where not all) and what `agreement` gives.
    """
    classes = classes_of([picture.compared for picture in pictures])
    by_class = {name: [properties([picture], name, unit) for picture in pictures] for name in classes}
    each = [row for rows in by_class.values() for row in _present(rows)]
    by_picture = [properties([picture], None, unit) for picture in pictures]
    pooled = [properties(pictures, name, unit) for name in classes]
    whole = [properties(pictures, None, unit)] if pictures else []
    units = {"size": unit, "heywood": "1", "n": "1", "density": "per_m2" if unit == "nm" else "per_px2"}
    out: list[Row] = []
    for name in QUANTITIES:
        groups = [(BY_PICTURE_AND_CLASS, "all", "", each)]
        groups += [(BY_PICTURE_AND_CLASS, one, "", _present(by_class[one])) for one in classes]
        if name == "density" and unit == "nm":
            few = [row for row in each if row["density_true"] < DENSE_PER_M2]
            groups.append((BY_PICTURE_AND_CLASS, "all", f"true below {DENSE_PER_M2:g} per m2", few))
        groups += [(BY_PICTURE, "all", "", by_picture), (BY_CLASS, "all", "", pooled)]
        groups.append((POOLED, "all", "", whole))
        out += [
            {**named, "quantity": name, "unit": units[name], **_words(*group[:3])}
            | dict(agreement(*_columns(group[3], name)))
            for group in groups
        ]
    stresses = [hardening([picture], material) for picture in pictures]
    for rule in ("hardening_linear", "hardening_quadrature"):
        values = agreement(*_columns(stresses, rule))
        out.append({**named, "quantity": rule, "unit": "mpa", **_words(BY_PICTURE, "all", "")} | dict(values))
    return out


def _words(point: str, defect_class: str, only: str) -> Row:
    return {"one_point_is": point, "defect_class": defect_class, "only": only}


def _present(rows: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """Leave out images in which a class is neither labelled nor found."""
    return [row for row in rows if row["n_true"] or row["n_found"]]


def _columns(rows: Sequence[Mapping[str, float]], name: str) -> tuple[Floats, Floats]:
    suffix = "_mpa" if rows and f"{name}_true_mpa" in rows[0] else ""
    true, found = (np.array([row[f"{name}_{side}{suffix}"] for row in rows], np.float64) for side in SIDES)
    return true, found


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else NAN


def _sd(values: Floats) -> float:
    return float(values.std(ddof=1)) if values.size > 1 else NAN
