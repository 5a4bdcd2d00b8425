"""What a reader of the series must know: what is unknown, biased or left out, with the option that mends it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.io.frames import Calibration
from insitrack.tracker.hardening.materials import LINE_CLASSES, VOLUME_CLASSES, material_names
from insitrack.tracker.hardening.models import Material
from insitrack.tracker.series.calibration import SCALE_SD_RELATIVE
from insitrack.tracker.series.counting import overlap_loss
from insitrack.tracker.series.observations import Counts, Moments, Observations
from insitrack.tracker.series.settings import SeriesConfig


@dataclass
class SeriesDiagnostics:
    """What the meter notes by class on its way through the frames.

    Parameters
    ----------
    class_names : tuple of str
        Classes.
    hardens : ndarray of bool, shape (K,)
        Has a part in the hardening.
    seen : ndarray of bool, shape (K,)
        Was there at all.
    overlap : ndarray of float64, shape (K,)
        Largest share of defects behind others.
    unsized, too_dense : ndarray of int64, shape (K,)
        Frames in which no defect of the class had a size; in which a model had no room between them.
    largest_nm : ndarray of float64, shape (K,)
        Largest size of classes with a volume.
    notes : list of str
        Other warnings, as they stand.
    """

    class_names: tuple[str, ...]
    hardens: Bools
    seen: Bools = field(init=False)
    overlap: Floats = field(init=False)
    unsized: Ints = field(init=False)
    too_dense: Ints = field(init=False)
    largest_nm: Floats = field(init=False)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        k = len(self.class_names)
        self.seen, self.overlap, self.largest_nm = np.zeros(k, bool), np.zeros(k), np.zeros(k)
        self.unsized, self.too_dense = np.zeros(k, np.int64), np.zeros(k, np.int64)
        self._dispersed = np.array([name not in LINE_CLASSES for name in self.class_names], bool)
        self._bulky = np.flatnonzero([name in VOLUME_CLASSES for name in self.class_names])

    def note_frames(
        self, observations: Observations, there: Counts, per_m2: Floats, sizes: Moments, *, scaled: Bools
    ) -> None:
        """Note what some frames hold.

        Parameters
        ----------
        observations : Observations
            Defects of these frames.
        there, per_m2, sizes : Counts, ndarray of float64, Moments, of shape (T, K + 1)
            Their number, their density, m^-2, and mean size, nm.
        scaled : ndarray of bool, shape (T,)
            Whether the scale is known.
        """
        n, size_nm = there.n[:, :-1], sizes.mean[:, :-1]
        self.seen |= (n > 0).any(axis=0)
        for i in self._bulky.tolist():
            mine = observations.size_nm[observations.whole & (observations.place == i)]
            self.largest_nm[i] = max(self.largest_nm[i], mine.max(initial=0.0))
        if scaled.any():
            self.unsized += ((n > 0) & np.isnan(size_nm) & scaled[:, None]).sum(axis=0)
            lost = np.where(self._dispersed, overlap_loss(per_m2[:, :-1], size_nm), 0.0)
            self.overlap = np.fmax(self.overlap, np.fmax.reduce(lost, axis=0, initial=0.0))

    def note_hardening(self, density: Floats, size_nm: Floats, hardening_mpa: Floats, hardens: Bools) -> None:
        """Note where a model had no room between obstacles whose density and size are known; shape (T, K)."""
        computable = np.isfinite(density) & np.isfinite(size_nm) & hardens
        self.too_dense += (computable & np.isnan(hardening_mpa[:, : len(hardens)])).sum(axis=0)


DOSE_UNKNOWN = "dose rate unknown: the dose stays empty; give --dose-rate or --log"


def series_warnings(
    config: SeriesConfig,
    calibration: Calibration,
    material: Material | None,
    diagnostics: SeriesDiagnostics,
    *,
    dose_known: bool,
) -> list[str]:
    """Warnings, one line each."""
    lines = [*_calibration(config, calibration, diagnostics, dose_known), *diagnostics.notes]
    dense = [
        f"{100 * loss:.0f} % ({name})"
        for name, loss in zip(diagnostics.class_names, diagnostics.overlap.tolist(), strict=True)
        if loss > config.overlap_warning
    ]
    if dense:
        lines.append(
            f"up to {', '.join(dense)} lie within a diameter of another one, so they are under-counted; use a"
            " thinner or less damaged area, or correct for it (the limit is series.overlap_warning)"
        )
    return [*lines, *_contrast(config, diagnostics), *_hardening(material, diagnostics)]


def _calibration(
    config: SeriesConfig, calibration: Calibration, diagnostics: SeriesDiagnostics, dose_known: bool
) -> list[str]:
    lines = []
    if calibration.nm_per_px is None:
        lines.append("scale unknown: sizes, densities and hardening stay empty; give --nm-per-px")
    elif math.isclose(calibration.nm_per_px_sd, SCALE_SD_RELATIVE * calibration.nm_per_px):
        lines.append(
            f"the scale is taken to be known to {SCALE_SD_RELATIVE:.0%}, so densities to"
            f" {2 * SCALE_SD_RELATIVE:.0%} at best; give its error in nm with source.nm_per_px_sd"
        )
    if calibration.thickness_nm is None:
        lines.append("foil thickness unknown: volume densities and hardening stay empty; give --thickness-nm")
    elif not calibration.thickness_sd_nm:
        share = config.thickness_sd_relative
        lines.append(
            f"error of the foil thickness unknown: {share:.0%} assumed (EELS: 20%); set"
            " series.thickness_sd_relative"
        )
    if not dose_known:
        lines.append(DOSE_UNKNOWN)
    if config.visibility_by_class and not config.visibility_reason:
        lines.append(
            "series.visibility_by_class multiplies densities without saying why; set"
            " series.visibility_reason, it goes into run.json"
        )
    if config.detector_precision and not config.detector_labels:
        lines.append(
            "error of the detector's correction unknown: left out of the intervals; set"
            " series.detector_labels"
        )
    thickness_nm = calibration.thickness_nm
    if thickness_nm is not None:
        lines += [
            f"{name}: the largest measures {largest:.0f} nm, the foil is only {thickness_nm:g} nm thick; "
            "its volume fraction means little: check the scale and the thickness"
            for name, largest in zip(diagnostics.class_names, diagnostics.largest_nm.tolist(), strict=True)
            if name in VOLUME_CLASSES and largest > thickness_nm
        ]
    return lines


def _hardening(material: Material | None, diagnostics: SeriesDiagnostics) -> list[str]:
    if material is None:
        return [
            f"material unknown: hardening stays empty; give --material with {', '.join(material_names())} or"
            " a TOML file of your own"
        ]
    lines, name, names, known = [], material.name, diagnostics.class_names, diagnostics.hardens
    are_lines = np.isin(names, LINE_CLASSES)
    if material.caution:
        lines.append(
            f"{name}: barrier strengths are {material.caution}; give your own with --material FILE.toml"
        )
    left_out = [names[i] for i in np.flatnonzero(diagnostics.seen & ~are_lines & ~known)]
    if left_out:
        lines.append(
            f"{name}: no barrier strength for {', '.join(left_out)}, so total hardening leaves them out; "
            f"add alpha.{left_out[0]} to a TOML file of your own and give it with --material"
        )
    lines += [
        f"{names[i]}: hardening by lines is not included, so total hardening leaves them out; it needs "
        f"series.unirradiated_line_density_per_m2 (0 if there were none) and alpha.{names[i]} of the material"
        for i in np.flatnonzero(diagnostics.seen & are_lines & ~known)
    ]
    lines += [
        f"{names[i]}: no size in {diagnostics.unsized[i]} frames because every one touches the border;"
        " hardening there is that of the parts in view"
        for i in np.flatnonzero((diagnostics.unsized > 0) & known)
    ]
    lines += [
        f"{names[i]}: so dense in {diagnostics.too_dense[i]} frames that no free spacing is left between"
        " them; hardening stays empty there"
        for i in np.flatnonzero(diagnostics.too_dense > 0)
    ]
    return lines


def _contrast(config: SeriesConfig, diagnostics: SeriesDiagnostics) -> list[str]:
    """Say that loops out of contrast are not counted, where nothing is known of the diffraction condition."""
    seen = [name for name, there in zip(diagnostics.class_names, diagnostics.seen, strict=True) if there]
    loops = [name for name in seen if name in ("loop_111", "loop_100")]
    if not loops or config.imaging != "as_seen" or config.visibility_by_class:
        return []
    return [
        f"{', '.join(loops)}: counted as seen; in two-beam g = 200 two thirds of the a0<100> loops are out of"
        " contrast, in g = 110 half of the a0/2<111> loops; give series.imaging"
    ]
