"""Found against true: number, density, size, shape, area and hardening, image by image and pooled.

"Per image" numbers average the errors of the images; "pooled" ones treat all images as one large image.
They differ, and both are published (Jacobs et al. 2022, doi 10.1016/j.xcrp.2022.100876).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import BoolImage, Bools, Floats, Ints
from insitrack.io.detections import DEFECT_CLASSES, Detections
from insitrack.io.frames import Calibration
from insitrack.segment.scores.confusion import Compared
from insitrack.segment.scores.matching import Method, pairs
from insitrack.tracker.hardening.materials import LINE_CLASSES
from insitrack.tracker.hardening.models import Material
from insitrack.tracker.hardening.superposition import linear, quadrature
from insitrack.tracker.measure.measure import MeasureConfig, measure

NAN = float("nan")
Unit = Literal["nm", "px"]
Sizes = Literal["track", "jacobs"]
Row = dict[str, str | float]
JACOBS = MeasureConfig(size_definition=dict.fromkeys(DEFECT_CLASSES, "jacobs"))
SIDES = ("true", "found")


@dataclass(frozen=True, slots=True)
class Side:
    """What was measured of the true defects, or of the detections, of one image; one entry per defect.

    Parameters
    ----------
    classes : ndarray of str, shape (N,)
        Class names.
    x_px, y_px, size_px, heywood, area_px : ndarray of float64, shape (N,)
        Centre, size by the definition of the class, circularity of the convex hull, area of the mask.
    sized : ndarray of bool, shape (N,)
        Whether its size counts: those cut by the border of the field do not, unless the published rules are
        asked for.
    """

    classes: NDArray[np.str_]
    x_px: Floats
    y_px: Floats
    size_px: Floats
    heywood: Floats
    area_px: Floats
    sized: Bools


def measured(
    detections: Detections, field: BoolImage | None, config: MeasureConfig, *, border_too: bool
) -> Side:
    """Measure detections or labels of one image by the definitions of `track`."""
    measures = measure(detections, Calibration(nm_per_px=1.0, field=field), config)
    sized = np.isfinite(measures.size_nm) & (border_too | ~measures.on_edge)
    classes = np.array(detections.names(), np.str_)
    return Side(
        classes, measures.x_px, measures.y_px, measures.size_nm, measures.heywood, measures.area_px, sized
    )


@dataclass(frozen=True, slots=True)
class Picture:
    """One labelled image, compared and measured.

    Parameters
    ----------
    compared : Compared
        Overlaps of what was found with what is true.
    true, found : Side
        Their measures.
    rows, columns : ndarray of int64
        Detections and true defects that are pairs.
    field_px : float
        Specimen in view, px^2.
    nm_per_px, thickness_nm : float
        Scale and foil thickness, NaN where unknown.
    split : str
        Split in which it was a test image; empty if there was none.
    """

    compared: Compared
    true: Side
    found: Side
    rows: Ints
    columns: Ints
    field_px: float
    nm_per_px: float = NAN
    thickness_nm: float = NAN
    split: str = ""

    @property
    def name(self) -> str:
        """Name of the image."""
        return self.compared.name

    def scale(self, unit: Unit) -> float:
        """Length of a pixel in the unit."""
        return self.nm_per_px if unit == "nm" else 1.0


def look_at(
    compared: Compared,
    *,
    field: BoolImage | None = None,
    least_iou: float = 0.3,
    method: Method = "hungarian",
    sizes: MeasureConfig | None = None,
    published: bool = False,
    nm_per_px: float | None = None,
    thickness_nm: float | None = None,
    split: str = "",
) -> Picture:
    """Measure and pair everything in one image.

    Parameters
    ----------
    compared : Compared
        Overlaps.
    field : ndarray of bool, shape (H, W), optional
        Where the image shows the specimen.
    least_iou : float
        Overlap from which a pair counts.
    method : {"hungarian", "greedy"}
        How pairs are made.
    sizes : MeasureConfig, optional
        Definitions of size; by default those of `track`.
    published : bool
        Take the definitions of Jacobs et al. 2022 instead, and the sizes of defects at the border too.
    nm_per_px, thickness_nm : float, optional
        Scale and foil thickness.
    split : str
        Split in which it was a test image.
    """
    rows, columns = pairs(compared.iou, least_iou, method)
    config = JACOBS if published else sizes or MeasureConfig()
    true, found = (
        measured(part, field, config, border_too=published) for part in (compared.true, compared.found)
    )
    height, width = compared.true.shape
    field_px = float(height * width if field is None else np.count_nonzero(field))
    scale, thickness = (NAN if value is None else value for value in (nm_per_px, thickness_nm))
    return Picture(compared, true, found, rows, columns, field_px, scale, thickness, split)


def unit_of(pictures: Iterable[Picture]) -> Unit:
    """Return nm where the scale of every image is known, else px."""
    known = [math.isfinite(picture.nm_per_px) for picture in pictures]
    return "nm" if known and all(known) else "px"


def properties(pictures: Sequence[Picture], defect_class: str | None, unit: Unit) -> dict[str, float]:
    """Return number, density, size, shape and area of one class, or of all, found and true.

    Relative errors are given too; the images are pooled.

    Parameters
    ----------
    pictures : sequence of Picture
        One of them, or many to pool.
    defect_class : str or None
        Class; None takes all defects, in whose size lines have no part.
    unit : {"nm", "px"}
        Unit of lengths.

    Returns
    -------
    dict of str to float
        `n_true n_found n_error`, and the same for `density`, `size`, `heywood`, `area`, and `pair_size` and
        `pair_heywood` for found pairs only, by the class of the true defect. Errors are (found - true) /
        true; NaN where not known.
    """
    row: dict[str, float] = {}
    field = sum(picture.field_px * picture.scale(unit) ** 2 for picture in pictures)
    area_unit = 1e-18 if unit == "nm" else 1.0
    for side in SIDES:
        n, size, shape, area = _gathered(pictures, side, defect_class, unit)
        row |= {
            f"n_{side}": n,
            f"density_{side}": n / (field * area_unit) if field else NAN,
            f"area_{side}": area,
        }
        row |= {f"size_{side}": _mean(size), f"size_sd_{side}": _sd(size), f"heywood_{side}": _mean(shape)}
    for side, (size, shape) in zip(SIDES, _of_pairs(pictures, defect_class, unit), strict=True):
        row |= {f"pair_size_{side}": _mean(size), f"pair_heywood_{side}": _mean(shape)}
    for name in ("n", "density", "size", "heywood", "area", "pair_size", "pair_heywood"):
        row[f"{name}_error"] = relative(row[f"{name}_found"], row[f"{name}_true"])
    return row


def _gathered(
    pictures: Sequence[Picture], side: str, defect_class: str | None, unit: Unit
) -> tuple[int, Floats, Floats, float]:
    n, area = 0, 0.0
    sizes, shapes = [], []
    for picture in pictures:
        part: Side = getattr(picture, side)
        mine = np.ones(len(part.classes), bool) if defect_class is None else part.classes == defect_class
        sized = mine & part.sized & (defect_class is not None or ~np.isin(part.classes, LINE_CLASSES))
        n += int(mine.sum())
        area += float(part.area_px[mine].sum()) * picture.scale(unit) ** 2
        sizes.append(part.size_px[sized] * picture.scale(unit))
        shapes.append(part.heywood[sized])
    return n, _joined(sizes), _joined(shapes), area


def _of_pairs(
    pictures: Sequence[Picture], defect_class: str | None, unit: Unit
) -> list[tuple[Floats, Floats]]:
    """Sizes and shapes of the pairs whose true defect is of a class, of the true side and of the found one."""
    kept = []
    for picture in pictures:
        good = picture.true.sized[picture.columns] & picture.found.sized[picture.rows]
        kept.append(
            good & (picture.true.classes[picture.columns] == defect_class)
            if defect_class is not None
            else good
        )
    chosen = [
        (picture, picture.columns[good], picture.rows[good])
        for picture, good in zip(pictures, kept, strict=True)
    ]
    true = [(part.true, columns, part.scale(unit)) for part, columns, _ in chosen]
    found = [(part.found, rows, part.scale(unit)) for part, _, rows in chosen]
    return [
        (
            _joined([side.size_px[at] * scale for side, at, scale in sides]),
            _joined([side.heywood[at] for side, at, _ in sides]),
        )
        for sides in (true, found)
    ]


def hardening(pictures: Sequence[Picture], material: Material | None) -> dict[str, float]:
    """Hardening that follows from what is true and from what was found, MPa, images pooled.

    By the model and constant that the material gives each class, from its mean size and volume density, as in
    `track`; classes without one and line dislocations have no part. Every defect counts, also those cut by
    the border, as published.

    Returns
    -------
    dict of str to float
        `hardening_linear_true_mpa`, `..._found_mpa`, `..._error_mpa` (found - true), and the same for
        `quadrature`; NaN where scale, thickness or material is unknown.
    """
    row: dict[str, float] = {}
    volume_m3 = (
        sum(picture.field_px * picture.nm_per_px**2 * picture.thickness_nm for picture in pictures) * 1e-27
    )
    for side in SIDES:
        totals = (
            (NAN, NAN)
            if material is None or not volume_m3 > 0
            else _totals(pictures, side, material, volume_m3)
        )
        row |= dict(
            zip((f"hardening_linear_{side}_mpa", f"hardening_quadrature_{side}_mpa"), totals, strict=True)
        )
    for rule in ("linear", "quadrature"):
        row[f"hardening_{rule}_error_mpa"] = (
            row[f"hardening_{rule}_found_mpa"] - row[f"hardening_{rule}_true_mpa"]
        )
    return row


def _totals(
    pictures: Sequence[Picture], side: str, material: Material, volume_m3: float
) -> tuple[float, float]:
    stresses, n_all, n_known = [], 0, 0
    for name in sorted({name for picture in pictures for name in getattr(picture, side).classes.tolist()}):
        n, size, _, _ = _gathered(pictures, side, name, "nm")
        n_all += n
        if name in material.barriers and name not in LINE_CLASSES:
            barrier = material.barriers[name]
            n_known += n
            stresses.append(barrier.stress(n / volume_m3, _mean(size), material))
    if n_all and not n_known:
        return NAN, NAN
    return float(linear(np.array(stresses))), float(quadrature(np.array(stresses)))


def relative(found: float, true: float) -> float:
    """(found - true) / true; NaN where nothing is true.

    Examples
    --------
    >>> relative(11.0, 10.0), relative(1.0, 0.0)
    (0.1, nan)
    """
    return (found - true) / true if true else NAN


def _joined(parts: Sequence[Floats]) -> Floats:
    return np.concatenate(parts) if parts else np.zeros(0)


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else NAN


def _sd(values: Floats) -> float:
    return float(values.std(ddof=1)) if values.size > 1 else NAN
