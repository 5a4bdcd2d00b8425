"""Settings of the series: everything on which the literature disagrees, and what is assumed where unknown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.errors import SettingsError
from insitrack.tracker.hardening.laws import LineIncrement
from insitrack.tracker.series.counting import BorderRule, Imaging
from insitrack.tracker.series.foil import FoilCorrection

Superposition = Literal["none", "weighted", "power", "odette_lucas"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesConfig:
    """How counts become densities, swelling and hardening.

    The formulas and their sources are in ``docs/physics.md``.

    Parameters
    ----------
    thickness_sd_relative : float
        Relative standard deviation of the foil thickness where the user gave none. 0.10 is optimistic for the
        EELS log-ratio method, whose absolute accuracy is +-20 % (Malis, Cheng and Egerton 1988, doi
        10.1002/jemt.1060080206).
    size_sd_relative : float
        Relative spread of sizes within a class of which fewer than five defects were measured; enters
        intervals only.
    overlap_warning : float
        Fraction of defects lost behind others above which a warning is given.
    border : {"gundersen", "inside", "centroid", "all"}
        Which defects count, see `insitrack.tracker.series.counting.counted`.
    border_guard_px : float or None
        Width of the guard that `centroid` needs, px: the largest radius.
    foil : {"none", "abercrombie", "denuded"}
        Correction for the surfaces of the foil, see `insitrack.tracker.series.foil.foil_depth_nm`.
    smallest_cap_nm : float
        Smallest cap of a cut defect that is seen, nm, for `abercrombie`.
    denuded_zone_nm : float or None
        Depth without defects below each surface, nm, for `denuded`.
    imaging : str
        Diffraction condition, for the share of defects that g.b = 0 hides: `as_seen` (no correction),
        `two_beam_110`, `two_beam_200`, `two_beam_211`, `on_zone_001`, `on_zone_001_edge_on`.
    visibility_by_class : mapping of str to float
        Factors in place of those of `imaging`, 1 or more.
    visibility_reason : str
        Why, for the record.
    detector_precision, detector_recall : mapping of str to float
        Scores of the model on pictures like these, by class, or `all`: densities are multiplied by precision
        over recall. Empty: not corrected.
    detector_labels : int
        Labelled defects that these scores rest on, for their error.
    bands : {"detector", "counting"}
        Whether the intervals hold what the detector misses and finds by mistake, or the error of counting alone.
    detector_log_bias, detector_log_sd : mapping of str to float
        Mean and standard deviation of ln(true / found) between experiments, by class, or `all`. Empty: those of
        the model's card, if it has any.
    detector_type_log_sd : float
        Further standard deviation of one class alone, for defects taken for another class.
    size_log_sd : float
        Relative standard deviation of mean sizes between experiments, by outlines that are too wide or narrow.
    line_four_over_pi : bool
        Multiply the line density by 4/pi, for lines of all directions in space; without it for lines in the
        plane of the foil.
    unirradiated_line_density_per_m2 : float or None
        Line density before the experiment, m^-2; None leaves the hardening by lines out.
    line_increment : {"roots", "difference"}
        Taylor's law with the difference of the roots, or the root of the difference.
    black_dots_as : mapping of str to float
        Shares of the black dots that harden like other classes, in all 1; empty: a class of their own.
    superposition : {"none", "weighted", "power", "odette_lucas"}
        Rule of the third total, beside linear and quadrature.
    superposition_value : float or None
        Weight of the linear sum, 0..1, or the power, 1..2.
    swelling_denominator : {"solid", "foil"}
        Whether cavities swell the volume of the solid alone, or of the foil with its cavities.
    least_trust : float
        Densities, sizes and hardening of frames with less `trust` are empty, 0..1; 0: of none.

    Raises
    ------
    SettingsError
        If a value is out of its range, or one that another needs is missing.
    """

    thickness_sd_relative: float = 0.10
    size_sd_relative: float = 0.40
    overlap_warning: float = 0.10
    border: BorderRule = "gundersen"
    border_guard_px: float | None = None
    foil: FoilCorrection = "none"
    smallest_cap_nm: float = 0.0
    denuded_zone_nm: float | None = None
    imaging: Imaging = "as_seen"
    visibility_by_class: Mapping[str, float] = field(default_factory=dict)
    visibility_reason: str = ""
    detector_precision: Mapping[str, float] = field(default_factory=dict)
    detector_recall: Mapping[str, float] = field(default_factory=dict)
    detector_labels: int = 0
    bands: Literal["detector", "counting"] = "detector"
    detector_log_bias: Mapping[str, float] = field(default_factory=dict)
    detector_log_sd: Mapping[str, float] = field(default_factory=dict)
    detector_type_log_sd: float = 0.0
    size_log_sd: float = 0.0
    line_four_over_pi: bool = True
    unirradiated_line_density_per_m2: float | None = None
    line_increment: LineIncrement = "roots"
    black_dots_as: Mapping[str, float] = field(default_factory=dict)
    superposition: Superposition = "none"
    superposition_value: float | None = None
    swelling_denominator: Literal["solid", "foil"] = "solid"
    least_trust: float = 0.5

    def __post_init__(self) -> None:
        for name in (
            "thickness_sd_relative",
            "size_sd_relative",
            "overlap_warning",
            "smallest_cap_nm",
            "detector_labels",
            "detector_type_log_sd",
            "size_log_sd",
        ):
            self._check(name, getattr(self, name), 0.0, math.inf, "zero or a positive number")
        for name, known in (
            ("border", BorderRule),
            ("foil", FoilCorrection),
            ("imaging", Imaging),
            ("superposition", Superposition),
        ):
            if getattr(self, name) not in get_args(known):
                raise SettingsError(
                    f"series.{name} {getattr(self, name)!r}: expected one of {', '.join(get_args(known))}"
                )
        self._check_needed("border", "centroid", "border_guard_px", "the largest radius, px")
        self._check_needed(
            "foil", "denuded", "denuded_zone_nm", "the depth without defects below each surface, nm"
        )
        for name in ("border_guard_px", "denuded_zone_nm", "unirradiated_line_density_per_m2"):
            if getattr(self, name) is not None:
                self._check(name, getattr(self, name), 0.0, math.inf, "zero or a positive number")
        self._check("least_trust", self.least_trust, 0.0, 1.0, "a probability from 0 to 1")
        self._check_classes("visibility_by_class", 1.0, math.inf, "1 or more", whole=False)
        for name in ("detector_precision", "detector_recall"):
            self._check_classes(name, 1e-9, 1.0, "a share above 0 and up to 1", whole=True)
        self._check_classes("detector_log_bias", -5.0, 5.0, "a number from -5 to 5", whole=True)
        self._check_classes("detector_log_sd", 0.0, 5.0, "a number from 0 to 5", whole=True)
        if self.bands not in ("detector", "counting"):
            raise SettingsError(f"series.bands {self.bands!r}: expected detector or counting")
        if bool(self.detector_precision) != bool(self.detector_recall):
            raise SettingsError(
                "series.detector_precision and series.detector_recall: give both or neither, such as {all ="
                " 0.8}"
            )
        self._check_classes("black_dots_as", 0.0, 1.0, "a share from 0 to 1", whole=False)
        if self.black_dots_as and abs(sum(self.black_dots_as.values()) - 1) > 1e-6:
            raise SettingsError(
                f"series.black_dots_as {dict(self.black_dots_as)}: expected shares that sum to 1"
            )
        self._check_superposition()

    @property
    def outline_log_sd(self) -> float:
        """Relative standard deviation of mean sizes by the outlines, as far as intervals hold it."""
        return self.size_log_sd if self.bands == "detector" else 0.0

    def _check_superposition(self) -> None:
        ranges = {
            "weighted": (0.0, 1.0, "the weight of the linear sum, 0..1"),
            "power": (1.0, 2.0, "the power, 1 (linear) to 2 (quadrature)"),
        }
        if self.superposition in ranges:
            low, high, words = ranges[self.superposition]
            if self.superposition_value is None:
                raise SettingsError(
                    f"series.superposition {self.superposition!r}: needs series.superposition_value, {words}"
                )
            self._check("superposition_value", self.superposition_value, low, high, words)
        elif self.superposition_value is not None:
            raise SettingsError(
                f"series.superposition_value {self.superposition_value}: means nothing with superposition"
                f" {self.superposition!r}"
            )

    def _check_needed(self, name: str, choice: str, other: str, words: str) -> None:
        if getattr(self, name) == choice and getattr(self, other) is None:
            raise SettingsError(f"series.{name} {choice!r}: needs series.{other}, {words}")

    def _check_classes(self, setting: str, low: float, high: float, words: str, *, whole: bool) -> None:
        for name, value in getattr(self, setting).items():
            if name not in DEFECT_CLASSES and not (whole and name == "all"):
                raise SettingsError(
                    f"series.{setting} of {name!r}: unknown class; known are {', '.join(DEFECT_CLASSES)}"
                )
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise SettingsError(f"series.{setting} of {name} {value!r}: expected {words}")
            self._check(f"{setting} of {name}", value, low, high, words)

    def _check(self, name: str, value: float, low: float, high: float, words: str) -> None:
        if not (math.isfinite(value) and low <= value <= high):
            raise SettingsError(f"series.{name} {value}: expected {words}")
