"""The choices on which the literature disagrees, as a run made them.

And the sentence of methods that follows from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from insitrack.tracker.hardening.models import Material
from insitrack.tracker.run.config import RunConfig
from insitrack.tracker.series.calibration import SCALE_SD_RELATIVE
from insitrack.tracker.series.conditions import DOSE_RATE, THICKNESS, Change, Conditions
from insitrack.tracker.series.meter import SeriesMeter


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice.

    Parameters
    ----------
    number : int
        Row of the table in ``docs/physics.md``.
    topic, setting, value : str
        What it decides, by which setting, and how.
    effect : str
        How much hangs on it.
    """

    number: int
    topic: str
    setting: str
    value: str
    effect: str


_Row = tuple[str, str, str, str]
"""Topic, setting, value and effect of a `Choice`."""


def choices(config: RunConfig, *materials: Material | None) -> list[Choice]:
    """Every choice as the settings make it, in the order of ``docs/physics.md``.

    Where the material changed during a run, what differs is said for one after the other.

    Examples
    --------
    >>> rows = choices(RunConfig(), None)
    >>> len(rows), rows[9].topic, rows[9].value
    (23, 'defects at the border', 'gundersen')
    """
    of_each = [_of_hardening(config, material) for material in materials or (None,)]
    hardening = [
        (topic, setting, "; later ".join(dict.fromkeys(row[2] for row in same)), effect)
        for same in zip(*of_each, strict=True)
        for topic, setting, _, effect in same[:1]
    ]
    rows = (*hardening, *_of_counting(config), *_of_tracking(config))
    return [Choice(number, *row) for number, row in enumerate(rows, 1)]


def _of_hardening(config: RunConfig, material: Material | None) -> tuple[_Row, ...]:
    series = config.series
    models = (
        "no material"
        if material is None
        else ", ".join(f"{name} {barrier.model}" for name, barrier in material.barriers.items()) or "none"
    )
    third = (
        ""
        if series.superposition == "none"
        else f"; {series.superposition} {_or(series.superposition_value, '')}".rstrip()
    )
    return (
        (
            "superposition of classes",
            "series.superposition",
            f"linear and quadrature{third}",
            "a factor of 1.7",
        ),
        (
            "barrier strengths",
            "specimen.material",
            "none" if material is None else f"{material.name}: {material.alpha_set}",
            "a factor of 2",
        ),
        ("model of each class", "material file: alpha, fkh, bks", models, "a factor of 1.5 to 5"),
        (
            "Burgers vector",
            "material file: b_source",
            "none" if material is None else material.b_source,
            "16 % on a0<100>",
        ),
        ("shear modulus", "material file: shear_modulus", _modulus(material), "13 % either way"),
        (
            "Taylor factor",
            "material file: taylor_factor",
            "none" if material is None else f"{material.taylor_factor:g}",
            "in proportion",
        ),
        ("increment by lines", "series.line_increment", _lines(series), "-"),
    )


def _of_counting(config: RunConfig) -> tuple[_Row, ...]:
    series, measure, thickness_sd_nm = config.series, config.measure, config.specimen.thickness_sd_nm
    spread = f"{thickness_sd_nm:g} nm" if thickness_sd_nm else f"{series.thickness_sd_relative:.0%}"
    visible = _pairs(series.visibility_by_class)
    sizes = ", ".join(f"{name} {definition}" for name, definition in measure.size_definition.items())
    return (
        ("surfaces of the foil", "series.foil", _foil(series), "7 to 18 %"),
        ("error of the thickness", "series.thickness_sd_relative", spread, "5 or 10 % on the stress"),
        (
            "defects at the border",
            "series.border",
            series.border + (f", guard {series.border_guard_px:g} px" if series.border_guard_px else ""),
            "11 %",
        ),
        (
            "visibility",
            "series.imaging",
            series.imaging + (f"; {visible}: {series.visibility_reason}" if visible else ""),
            "a factor of 1 to 3",
        ),
        ("definition of size", "measure.size_definition", f"{measure.sizes_of}: {sizes}", "up to 30 %"),
        ("edge of a ring", "measure.loop_edge", measure.loop_edge, "several nm"),
        (
            "factor 4/pi of lines",
            "series.line_four_over_pi",
            "on" if series.line_four_over_pi else "off",
            "27 %",
        ),
        ("length of a skeleton", "measure.line_length", measure.line_length, "5.5 %"),
        (
            "denominator of swelling",
            "series.swelling_denominator",
            series.swelling_denominator,
            "the void fraction",
        ),
        (
            "black dots",
            "series.black_dots_as",
            _pairs(series.black_dots_as) or "a class of their own",
            "their hardening",
        ),
    )


def _of_tracking(config: RunConfig) -> tuple[_Row, ...]:
    sd_nm = config.source.nm_per_px_sd
    scale = f"{SCALE_SD_RELATIVE:.0%}" if sd_nm is None else f"{sd_nm:g} nm"
    return (
        ("standard of dose", "specimen.dose_standard", config.specimen.dose_standard, "a factor of 2"),
        (
            "lifetimes",
            "link.patience_frames, refine.max_gap_frames",
            f"Kaplan-Meier with left truncation; gaps up to {_gap(config)} closed",
            "misses shorten lives",
        ),
        ("matching with labels", "track eval --iou --overlap --matching", "mask IoU 0.3, Hungarian", "F1"),
        ("averages over pictures", "track eval", "pooled and per picture, both", "-"),
        ("glide of loops", "refine.glide_nm, refine.sessile", _glide(config), "linking"),
        ("error of the scale", "source.nm_per_px_sd", scale, "4 % on the density"),
    )


def _or(value: object, otherwise: str) -> str:
    return otherwise if value is None else f"{value:g}"


def _pairs(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items())


def _modulus(material: Material | None) -> str:
    if material is None:
        return "none"
    at = material.origins.get("shear_modulus", {}).get("temperature_c")
    return f"{material.shear_modulus_gpa:g} GPa" + (f" at {at:g} degree C" if at is not None else "")


def _lines(series: Any) -> str:
    start = series.unirradiated_line_density_per_m2
    return (
        f"{series.line_increment}, from {start:.3g} m^-2"
        if start is not None
        else f"{series.line_increment}; left out, the density before is not given"
    )


def _foil(series: Any) -> str:
    if series.foil == "abercrombie":
        return f"abercrombie, smallest cap {series.smallest_cap_nm:g} nm"
    return f"denuded, {series.denuded_zone_nm:g} nm" if series.foil == "denuded" else "none"


def _gap(config: RunConfig) -> str:
    if not config.refine.enabled:
        return "the linker's patience"
    return (
        f"{config.refine.max_gap_s:g} s"
        if config.refine.max_gap_s is not None
        else f"{config.refine.max_gap_frames:g} frame intervals"
    )


def _glide(config: RunConfig) -> str:
    words = f"jumps up to {config.refine.glide_nm:g} nm" if config.refine.glide_nm else "none"
    return words + (
        f"; sessile: {', '.join(config.refine.sessile)}" if config.refine.sessile else ", loops of every kind"
    )


def describe_choices(config: RunConfig, meter: SeriesMeter, model: Mapping[str, Any]) -> dict[str, Any]:
    """`choices`, `methods`, `material` and `conditions` of a manifest, by what held during the run."""
    materials = [material for _, material in meter.specimens.materials]
    constants = [material.provenance() for material in materials if material is not None]
    return {
        "choices": [asdict(one) for one in choices(config, *materials)],
        "methods": methods(config, meter, model),
        "material": {} if not constants else constants[0] if len(materials) == 1 else _each(meter),
        "conditions": meter.conditions.record(),
    }


def _each(meter: SeriesMeter) -> dict[str, Any]:
    """Constants of every material with the frame from which they held."""
    return {
        f"from frame {start}": {} if material is None else material.provenance()
        for start, material in meter.specimens.materials
    }


_SOURCES = {
    "feret_max": "longest caliper diameter",
    "ecd": "diameter of the circle of equal area",
    "ellipse_major": "major axis of the fitted ellipse",
    "ellipse_geo": "geometric mean of the axes of the fitted ellipse",
    "jacobs": "definition of Jacobs et al., Cell Rep. Phys. Sci. 3 (2022) 100876",
    "jacobs_cavity": "definition of Jacobs et al., Sci. Rep. 13 (2023) 5178",
}
_MODELS = {
    "dbh": "the dispersed-barrier model (Seeger et al., Philos. Mag. 2 (1957) 323)",
    "fkh": "the Friedel-Kroupa-Hirsch model",
    "bks": "the Bacon-Kocks-Scattergood model (Philos. Mag. 28 (1973) 1241)",
}
_BORDERS = {
    "gundersen": (
        "Defects that touched the left or lower border were not counted (Gundersen, J. Microsc. 111 (1977)"
        " 219)."
    ),
    "inside": "Only defects that touched no border were counted.",
    "centroid": "Defects were counted by their centres in the field less a guard.",
    "all": "All defects in view were counted, those cut by the border too.",
}


def methods(config: RunConfig, meter: SeriesMeter, model: Mapping[str, Any]) -> str:
    """Paragraph of methods with its citations, ready to paste; it says only what was done.

    Examples
    --------
    >>> from insitrack.io.frames import Calibration
    >>> text = methods(RunConfig(), SeriesMeter(RunConfig().series, Calibration(nm_per_px=0.37)), {})
    >>> "Gundersen" in text, "yield strength" in text
    (True, False)
    """
    from insitrack import __version__

    by_definition: dict[str, list[str]] = {}
    for name in model.get("classes") or config.measure.size_definition:
        by_definition.setdefault(config.measure.size_definition.get(name, "ecd"), []).append(
            name.replace("_", " ")
        )
    sizes = "; ".join(
        f"{', '.join(names)}: {_SOURCES[definition]}" for definition, names in by_definition.items()
    )
    finder = f"the model {model['name']!r}" if model.get("name") else "the detections given"
    parts = [
        f"Defects were found{'' if config.source.stills else ', followed'} and measured with insitrack {__version__}"
        f" ({finder}).",
        f"Sizes are, for {sizes}"
        + (
            f"; loops to the mid-line of a ring {config.measure.loop_image_width_nm:g} nm wide"
            if config.measure.loop_edge == "midline"
            else ""
        )
        + "; sizes of defects cut by the border were left out, the others weighted by 1 / ((W - w)(H - h))"
        " against the border's preference.",
        _BORDERS[config.series.border],
        _interval_words(config),
    ]
    parts += _frame_words(config)
    thickness = thickness_words(config, meter.conditions)
    scale, scale_sd = meter.calibration.nm_per_px, meter.calibration.nm_per_px_sd
    if scale:
        parts.append(
            f"A pixel is {scale:.4g} nm wide, with a standard deviation of {scale_sd / scale:.1%}"
            f"{' (assumed)' if config.source.nm_per_px_sd is None else ''}."
        )
    if thickness:
        foil = {
            "none": "without a correction for its surfaces",
            "abercrombie": "corrected for cut defects (Abercrombie, Anat. Rec. 94 (1946) 239)",
            "denuded": f"less a denuded zone of {config.series.denuded_zone_nm or 0:g} nm at each surface",
        }
        parts.append(f"Volume densities are for a foil of {thickness}, {foil[config.series.foil]}.")
    if len(meter.conditions.of(DOSE_RATE)) > 1:
        parts.append(f"The dose rate was {dose_rate_words(meter.conditions)}.")
    if config.series.imaging != "as_seen" or config.series.visibility_by_class:
        parts.append(
            f"They were corrected for defects hidden by g.b = 0 ({config.series.imaging.replace('_', ' ')};"
            " equally many variants assumed)."
        )
    if config.series.detector_precision:
        parts.append("They were multiplied by precision over recall of the detector.")
    for number, (start, material) in enumerate(meter.specimens.materials):
        if material is not None and material.barriers and thickness:
            since = f"From frame {start} on: " if number else ""
            parts.append(since + _hardening_words(config, material))
    return " ".join(parts)


def _frame_words(config: RunConfig) -> list[str]:
    """Say over which frames values are means, and which were left out."""
    words = []
    if config.source.stills:
        words.append(
            "Values are means over separate micrographs; their intervals hold the scatter between them (Student's t,"
            " at least Poisson's) and the errors that all share."
        )
    if config.series.least_trust:
        words.append(
            "Frames unlike those that the model has learnt to see (a trust below"
            f" {config.series.least_trust:g}) were left out."
        )
    return words


def _interval_words(config: RunConfig) -> str:
    """Say what the intervals hold, the errors of the detector where the model or the user knows them."""
    held = (
        " the exact Poisson interval of the counts (Garwood, Biometrika 28 (1936) 437), the errors of scale and foil"
        " thickness, and for sizes Student's t"
    )
    series = config.series
    if series.bands == "detector" and series.detector_log_sd:
        spread = ", ".join(
            f"{name.replace('_', ' ')} {sd:.2f}" for name, sd in series.detector_log_sd.items()
        )
        return (
            "Intervals of 95 % hold the errors of the detector, misses and false detections, as they scatter between"
            f" experiments that were left out (standard deviation of ln(true / found): {spread}),{held}."
        )
    return (
        "Intervals of 95 % are of counting only, not of what the detector misses or finds by mistake; they"
        f" hold{held}."
    )


def thickness_words(config: RunConfig, conditions: Conditions) -> str:
    """Foil thickness with its standard deviation, and when it was another; empty where it is not known."""
    words = []
    for change in conditions.of(THICKNESS):
        foil = conditions.foil(change.frame)
        if foil.thickness_nm is None:
            words.append((change, "unknown thickness"))
            continue
        spread = foil.thickness_sd_nm or config.series.thickness_sd_relative * foil.thickness_nm
        words.append((change, f"{foil.thickness_nm:g} +- {spread:g} nm"))
    return _in_time(words)


def dose_rate_words(conditions: Conditions) -> str:
    """Dose rate, and when it was another."""
    changes = conditions.of(DOSE_RATE)
    return _in_time([(one, f"{one.to} dpa/s" if one.to else "not known") for one in changes])


def _in_time(words: list[tuple[Change, str]]) -> str:
    return ", ".join(
        text if change.frame == 0 else f"{text} from frame {change.frame} ({change.t_s:g} s) on"
        for change, text in words
    )


def _hardening_words(config: RunConfig, material: Material) -> str:
    used: dict[str, list[str]] = {}
    for name, barrier in material.barriers.items():
        if name != "dislocation":
            used.setdefault(barrier.model, []).append(f"{name.replace('_', ' ')} {barrier.constant:g}")
    models = "; ".join(f"{_MODELS[name]} for {', '.join(classes)}" for name, classes in used.items())
    lines = ""
    if "dislocation" in material.barriers and config.series.unirradiated_line_density_per_m2 is not None:
        lines = f"; Taylor's law for line dislocations, {material.barriers['dislocation'].constant:g}"
    caution = f" The constants are {material.caution}." if material.caution else ""
    return (
        f"The increase in yield strength follows {models}{lines} (constants after the classes), with M ="
        f" {material.taylor_factor:g}, mu = {material.shear_modulus_gpa:g} GPa and b ="
        f" {material.burgers_nm:.4g} nm ({material.name}); contributions were added linearly and in"
        " quadrature (Jacobs et al., Cell Rep. Phys. Sci. 3 (2022) 100876). Only visible defects enter: smaller"
        " ones are missing, false ones add, and the sign of the error is not known. The strength of a foil that was"
        f" irradiated thin is not that of bulk material.{caution}"
    )
