"""Materials: presets and files of one's own that give every constant of the hardening models with its unit and source.

A material file is TOML. ``lattice_parameter`` (or ``burgers_vector``), ``shear_modulus`` and each entry of
``alpha`` hold ``value``, ``unit`` and ``source``; ``sd``, ``evidence`` and ``temperature_c`` may follow:

.. code-block:: toml

    name = "my alloy"
    alpha_set = "fitted to our tensile tests"
    lattice_parameter = { value = 0.2870, unit = "nm", source = "our XRD" }
    shear_modulus = { value = 80.0, sd = 2.0, unit = "GPa", source = "our resonance test", temperature_c =
    20.0 } alpha.black_dot = { value = 0.15, sd = 0.03, unit = "1", source = "our fit, report 12" } bks.void =
    { value = 1.52, unit = "1", source = "Bacon, Kocks and Scattergood 1973" }

Each class stands in one table only, and the table is its model: ``alpha`` for dispersed barriers (for
``dislocation`` the coefficient of Taylor's law), ``fkh`` for weak obstacles (the prefactor), ``bks`` for
voids and hard particles (Delta).
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any, cast

from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.errors import SettingsError
from insitrack.tracker.hardening.laws import Spacing
from insitrack.tracker.hardening.models import Barrier, BarrierModel, BurgersSource, Material

MODELS: dict[str, BarrierModel] = {"alpha": "dbh", "fkh": "fkh", "bks": "bks"}
"""Table of a material file to the model whose constants it holds."""

TOP_KEYS = (
    *(
        "name",
        "alpha_set",
        "caution",
        "b_source",
        "bks_spacing",
        "lattice_parameter",
        "burgers_vector",
        "shear_modulus",
        "taylor_factor",
    ),
    *MODELS,
)
CONSTANT_KEYS = ("value", "sd", "unit", "source", "evidence", "temperature_c")
EVIDENCE = {
    "S": "verbatim from a paper at hand",
    "T": "full text of the paper read",
    "C": "public source code read",
    "A": "abstract or first page read",
    "2": "second-hand: from a compilation, primary paper not read",
    "D": "derived or computed",
    "R": "recalled from the literature: check the primary paper first",
    "P": "a choice of this program, without a source",
    "user": "given by the user",
}
"""What each evidence tag means."""

LINE_CLASSES = ("dislocation",)
"""Classes that are lines, not dispersed obstacles: their ``alpha`` is the coefficient of Taylor's law."""

TAYLOR_FACTOR = {
    "value": 3.06,
    "unit": "1",
    "source": "default: Stoller and Zinkle 2000, doi 10.1016/S0022-3115(00)00378-0, untextured bcc and fcc",
    "evidence": "R",
}
"""Taken where a material file gives none."""

VOLUME_CLASSES = ("void", "precipitate")
"""Classes whose volume means something."""

BARRIER_CLASSES = tuple(name for name in DEFECT_CLASSES if name not in LINE_CLASSES)


def material_names() -> tuple[str, ...]:
    """Names of the presets, in order.

    Examples
    --------
    >>> "fecral" in material_names()
    True
    """
    folder = resources.files("insitrack.configs") / "materials"
    return tuple(
        sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    )


def load_material(name_or_path: str | Path) -> Material:
    """Read a preset by its name, or a material file by its path.

    Parameters
    ----------
    name_or_path : str or Path
        One of `material_names`, in any case, or a file that ends in ``.toml``.

    Returns
    -------
    Material
        Its constants, with the origin of each.

    Raises
    ------
    SettingsError
        If there is no such preset or file, or the file has an unknown key or an impossible value.

    Examples
    --------
    >>> load_material("pure_iron").shear_modulus_gpa
    82.0
    """
    known = material_names()
    text = next((name for name in known if name.lower() == str(name_or_path).lower()), str(name_or_path))
    if text in known:
        content = (resources.files("insitrack.configs") / "materials" / f"{text}.toml").read_text(
            encoding="utf-8"
        )
    elif text.endswith(".toml"):
        try:
            content = Path(text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"--material {text}: cannot be read ({error}); known materials are {', '.join(known)}"
            ) from error
    else:
        raise SettingsError(
            f"--material {text}: no such material; known are {', '.join(known)}, or give a file that ends in"
            " .toml"
        )
    try:
        return parse_material(tomllib.loads(content), label=text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(
            f"--material {text}: not a TOML file ({error}); expected what configs/materials/*.toml look like"
        ) from error


def with_constants(
    material: Material | None,
    *,
    alpha: Mapping[str, float] | None = None,
    shear_modulus_gpa: float | None = None,
    burgers_nm: float | None = None,
    taylor_factor: float | None = None,
) -> Material | None:
    """Put constants of the user over those of a material, or make one of them alone.

    Each then counts as given by the user.

    Raises
    ------
    SettingsError
        If a constant is impossible, or too few are given to make a material.

    Examples
    --------
    >>> iron = with_constants(None, alpha={"black_dot": 0.2}, shear_modulus_gpa=82.0, burgers_nm=0.248)
    >>> iron.barriers["black_dot"].constant, iron.taylor_factor
    (0.2, 3.06)
    """
    given = {
        "shear_modulus": (shear_modulus_gpa, "GPa"),
        "burgers_vector": (burgers_nm, "nm"),
        "taylor_factor": (taylor_factor, "1"),
    }
    said = {
        name: {"value": value, "unit": unit, "source": "given on the command line"}
        for name, (value, unit) in given.items()
        if value is not None
    }
    alphas = {
        name: {"value": value, "unit": "1", "source": "given on the command line"}
        for name, value in (alpha or {}).items()
    }
    if not said and not alphas:
        return material
    if material is None:
        if len(said.keys() & {"shear_modulus", "burgers_vector"}) < 2:
            raise SettingsError(
                "hardening constants without a material: give --shear-modulus-gpa and --burgers-nm, or"
                " --material"
            )
        return parse_material(
            {"name": "given on the command line", **said, "alpha": alphas}, label="command line"
        )
    table = {
        "lattice_parameter": {"value": 0.2866, "unit": "nm", "source": "-"},
        "shear_modulus": {"value": 80.0, "unit": "GPa", "source": "-"},
    }
    if "burgers_vector" in said:
        del table["lattice_parameter"]
    mine = parse_material({**table, **said, "alpha": alphas}, label="command line")
    origins = {**material.origins, **{name: mine.origins[name] for name in said}}
    changes: dict[str, Any] = {"origins": origins, "barriers": {**material.barriers, **mine.barriers}}
    if shear_modulus_gpa is not None:
        changes |= {"shear_modulus_gpa": mine.shear_modulus_gpa, "shear_modulus_sd_gpa": 0.0}
    if burgers_nm is not None:
        changes["burgers_nm"] = mine.burgers_nm
    if taylor_factor is not None:
        changes["taylor_factor"] = mine.taylor_factor
    if alphas:
        changes["alpha_set"] = f"{material.alpha_set}, changed on the command line"
    return replace(material, **changes)


def parse_material(table: Mapping[str, Any], *, label: str) -> Material:
    """Turn the content of a material file into a `Material`; `label` names the file in error texts.

    Raises
    ------
    SettingsError
        If a key is unknown or missing, or a value is impossible.
    """
    _refuse_unknown(table, TOP_KEYS, label)
    b_source = table.get("b_source", "glide")
    if b_source not in ("glide", "obstacle"):
        raise SettingsError(
            f"{label}: b_source {b_source!r}: expected 'glide' (the moving dislocation's Burgers vector) or"
            " 'obstacle'"
        )
    spacing = table.get("bks_spacing", "diameter")
    if spacing not in ("diameter", "section"):
        raise SettingsError(
            f"{label}: bks_spacing {spacing!r}: expected 'diameter' or 'section' (what is taken off the"
            " distance of the centres)"
        )
    shear = _constant(table, "shear_modulus", "GPa", label)
    origins = {"shear_modulus": shear}
    lattice_nm = _lattice_nm(table, label, origins)
    taylor = origins["taylor_factor"] = _constant(
        {"taylor_factor": TAYLOR_FACTOR, **table}, "taylor_factor", "1", label
    )
    try:
        return Material(
            name=str(table.get("name", label)),
            shear_modulus_gpa=shear["value"],
            shear_modulus_sd_gpa=shear["sd"],
            burgers_nm=lattice_nm * math.sqrt(3) / 2,
            taylor_factor=taylor["value"],
            barriers=_barriers(table, label, lattice_nm if b_source == "obstacle" else None),
            alpha_set=str(
                table.get("alpha_set", "user" if any(table.get(name) for name in MODELS) else "none")
            ),
            caution=str(table.get("caution", "")),
            b_source=cast(BurgersSource, b_source),
            bks_spacing=cast(Spacing, spacing),
            origins=origins,
        )
    except ValueError as error:
        raise SettingsError(f"{label}: {error}") from error


def _lattice_nm(table: Mapping[str, Any], label: str, origins: dict[str, dict[str, Any]]) -> float:
    """Lattice parameter a0, nm, given itself or through b = (sqrt 3 / 2) a0.

    Giving both is refused, so that they cannot disagree.
    """
    given = [key for key in ("lattice_parameter", "burgers_vector") if key in table]
    if len(given) != 1:
        raise SettingsError(
            f"{label}: expected either lattice_parameter or burgers_vector, got"
            f" {' and '.join(given) or 'neither'}"
        )
    origins[given[0]] = _constant(table, given[0], "nm", label)
    value = float(origins[given[0]]["value"])
    return value if given[0] == "lattice_parameter" else value * 2 / math.sqrt(3)


def _barriers(table: Mapping[str, Any], label: str, lattice_nm: float | None) -> dict[str, Barrier]:
    """Model and constant of each class; with `lattice_nm` the a0<100> loops take their own Burgers vector a0."""
    barriers: dict[str, Barrier] = {}
    for key, model in MODELS.items():
        constants = table.get(key, {})
        if not isinstance(constants, dict):
            raise SettingsError(
                f"{label}: {key} {constants!r}: expected one table per class, such as {key}.black_dot = {{"
                " value = ..., source = ... }"
            )
        _refuse_unknown(constants, DEFECT_CLASSES if model == "dbh" else BARRIER_CLASSES, f"{label}: {key}")
        for name in constants:
            if name in barriers:
                raise SettingsError(
                    f"{label}: {name} has constants of two models ({key} and another); a class has one model:"
                    " leave one out"
                )
            entry = _constant(constants, name, "1", f"{label}: {key}")
            try:
                barriers[name] = Barrier(
                    constant=entry["value"],
                    constant_sd=entry["sd"],
                    model=model,
                    burgers_nm=lattice_nm if name == "loop_100" else None,
                    source=entry["source"],
                    evidence=entry["evidence"],
                )
            except ValueError as error:
                raise SettingsError(f"{label}: {key}.{name}: {error}") from error
    return barriers


def _constant(table: Mapping[str, Any], key: str, unit: str, label: str) -> dict[str, Any]:
    """One constant, checked, with every optional key filled in."""
    entry = table.get(key)
    if not isinstance(entry, dict):
        got = "missing" if entry is None else f"= {entry!r}"
        raise SettingsError(
            f'{label}: {key} {got}: expected {{ value = ..., unit = "{unit}", source = ... }}'
        )
    _refuse_unknown(entry, CONSTANT_KEYS, f"{label}: {key}")
    missing = [name for name in ("value", "unit", "source") if entry.get(name) in (None, "")]
    if missing:
        raise SettingsError(f"{label}: {key} lacks {missing[0]}; a constant needs its value, unit and source")
    if entry["unit"] != unit:
        raise SettingsError(f"{label}: {key} in {entry['unit']!r}: expected the unit {unit!r}")
    for name in ("value", "sd", "temperature_c"):
        value = entry.get(name, 0.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise SettingsError(f"{label}: {key}.{name} {value!r}: expected a number")
    evidence = str(entry.get("evidence", "user"))
    if evidence not in EVIDENCE:
        raise SettingsError(f"{label}: {key}.evidence {evidence!r}: expected one of {', '.join(EVIDENCE)}")
    return {
        **entry,
        "value": float(entry["value"]),
        "sd": float(entry.get("sd", 0.0)),
        "source": str(entry["source"]),
        "evidence": evidence,
    }


def _refuse_unknown(table: Iterable[str], known: tuple[str, ...], label: str) -> None:
    unknown = [key for key in table if key not in known]
    if unknown:
        raise SettingsError(f"{label}: unknown key {unknown[0]!r}; known are {', '.join(known)}")
