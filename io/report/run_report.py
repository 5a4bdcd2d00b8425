"""One self-contained HTML page per run, which opens without a network: pictures and plots first, then tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from insitrack.io.manifest import RunManifest
from insitrack.io.report.curves import Curves, load_curves, load_tracks, longest_time
from insitrack.io.report.headline import headlines, not_trusted, separate_micrographs
from insitrack.io.report.micrograph_plots import micrograph_plots
from insitrack.io.report.page import Note, Picture, Plot, render
from insitrack.io.report.run_plots import (
    density_figure,
    hardening_figure,
    quantity_figure,
    size_figure,
    trust_figure,
)
from insitrack.io.report.track_plots import growth_figure, lifetime_figure, msd_figure, size_histogram
from insitrack.io.report.value_table import first_and_last, means_and_spread
from insitrack.io.tables.columns import KINETICS, MSD, TABLES
from insitrack.io.tables.outlines.masks import MASKS
from insitrack.io.tables.run_folder import MOVIE
from insitrack.io.units import time_unit
from insitrack.io.write import write_text

REPORT = "report.html"


def write_report(
    folder: Path, pictures: Mapping[str, bytes], manifest: RunManifest | Mapping[str, Any]
) -> Path:
    """Write `report.html` from the tables of a finished run.

    Parameters
    ----------
    folder : Path
        Output folder with the tables.
    pictures : mapping of str to bytes
        PNG files of the annotated frames, `first` and `last`; either may be missing.
    manifest : RunManifest or mapping
        What was run; the contents of `run.json` do as well.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    TableError
        If a table is missing or damaged.
    OutputError
        If the page cannot be written.
    """
    facts = dataclasses.asdict(manifest) if isinstance(manifest, RunManifest) else dict(manifest)
    curves, tracks = load_curves(folder), load_tracks(folder)
    name, status = _source_name(facts, folder), str(facts.get("status", "done"))
    n = separate_micrographs(facts)
    kinetics = [] if n else _kinetics(folder)
    histograms = _track_plots(folder, tracks, facts, movie=not n) if len(tracks) else []
    movie = (folder / MOVIE).is_file() and n != 1
    contents = _contents(pictures, histograms, kinetics, facts, movie=movie, n=n)
    page = render(
        "run.html",
        title=f"{name} - insitrack",
        heading=name,
        key_facts=_key_facts(curves, len(tracks), facts, n),
        headlines=[one.shown() for one in headlines(folder, facts)],
        micrographs=n,
        movie=MOVIE if movie else "",
        contents=contents,
        titles=dict(contents),
        failed="" if status in ("done", "running") else status,
        warnings=facts.get("warnings") or [],
        pictures=[
            Picture(pictures[key], f"{words}, defects outlined", words)
            for key, words in (_CAPTIONS if n == 0 else _STILLS if n > 1 else _STILL).items()
            if key in pictures
        ],
        band_words=_band_words(facts),
        time_plots=_still_plots(folder, facts) if n else _time_plots(curves, facts),
        histograms=histograms,
        kind_note=_KIND_NOTES.get(str(facts.get("tables")), "") if not n else "",
        kinetics=kinetics,
        methods=facts.get("methods") or "",
        choices=facts.get("choices") or [],
        ends=means_and_spread(folder) if n > 1 else first_and_last(curves),
        files=_files(folder),
        tables=(*TABLES.values(), KINETICS, MSD, MASKS),
        command=" ".join(map(str, facts.get("command") or [])),
        parts=_provenance(facts),
    )
    return write_text(folder / REPORT, page)


def _contents(
    pictures: Mapping[str, bytes],
    histograms: list[Plot | Note],
    kinetics: list[dict[str, Any]],
    facts: Mapping[str, Any],
    *,
    movie: bool,
    n: int,
) -> list[tuple[str, str]]:
    """List the parts that the page has: where each begins, and what it is called; `n` micrographs."""
    parts = (
        ("movie", "All micrographs, one after the other" if n else "Movie", movie),
        ("pictures", "Pictures", pictures),
        ("time", ("Against time", "Values", "Each micrograph")[min(n, 2)], True),
        ("tracks", "Sizes" if n else "Tracks", histograms),
        ("kinetics", "Kinetics", kinetics),
        ("methods", "Methods, ready to paste", facts.get("methods")),
        ("choices", "Choices behind the numbers", facts.get("choices")),
        ("ends", _ENDS_WORDS[min(n, 2)], True),
        ("files", "Files", True),
        ("settings", "Settings and origins", True),
    )
    return [(place, words) for place, words, there in parts if there]


_CAPTIONS = {"first": "First processed frame", "last": "Last processed frame"}
_STILLS = {"first": "First micrograph", "last": "Last micrograph"}
_STILL = {"first": "The micrograph"}
_ENDS_WORDS = ("First and last frame", "Values by class", "Means over the micrographs")


def _source_name(facts: Mapping[str, Any], folder: Path) -> str:
    source = facts.get("source") or {}
    text = source.get("name") or source.get("uri") or source.get("path") or folder.resolve().name
    return str(text).rstrip("/").rsplit("/", 1)[-1]


def _band_words(facts: Mapping[str, Any]) -> str:
    """Say whether the bands hold the errors of the detector."""
    series = (facts.get("settings") or {}).get("series") or {}
    if series.get("bands") == "detector" and series.get("detector_log_sd"):
        return "with what the detector misses or finds by mistake, as far as it is known"
    return "of counting; what the detector misses or finds by mistake is not in them"


def _key_facts(curves: Curves, n_tracks: int, facts: Mapping[str, Any], n_stills: int) -> list[str]:
    """List what a reader wants to know first, as far as it is known."""
    calibration, model = facts.get("calibration") or {}, facts.get("model") or {}
    unit_s, unit = time_unit(longest_time(curves.t_s))
    processed, total = curves.statuses["processed"], sum(curves.statuses.values())
    missing = ", ".join(
        f"{n} {status}" for status, n in sorted(curves.statuses.items()) if status != "processed" and n
    )
    what = "micrographs" if n_stills else "frames"
    words = [f"{processed} of {total} {what}" + (f" ({missing})" if missing else "")]
    words = ["1 micrograph"] if n_stills == total == 1 else words
    if np.isfinite(curves.t_s).any() and not n_stills:
        words.append(f"{(np.nanmax(curves.t_s) - np.nanmin(curves.t_s)) / unit_s:.4g} {unit}")
    if np.isfinite(curves.dose_dpa).any():
        words.append(f"{np.nanmax(curves.dose_dpa):.3g} dpa")
    words.append(f"{n_tracks} {'defects' if n_stills else 'tracks'}")
    scale, thickness = calibration.get("nm_per_px"), calibration.get("thickness_nm")
    words.append(f"{scale:.4g} nm/px" if scale else "scale unknown")
    in_time = [float(one["value"]) for one in _held(facts, "thickness_nm")]
    if len(in_time) > 1:
        words.append(f"foil {min(in_time):.4g} to {max(in_time):.4g} nm, set {len(in_time)} times")
    else:
        words.append(f"foil {thickness:.4g} nm" if thickness else "foil thickness unknown")
    words += [f"model {model['name']}"] if model.get("name") else []
    if curves.known("trust"):
        words.append(f"trust {np.nanmedian(curves.get('all', 'trust')):.2f}")
    return words + ([str(facts["finished"])[:16].replace("T", " ")] if facts.get("finished") else [])


def _still_plots(folder: Path, facts: Mapping[str, Any]) -> list[Plot | Note]:
    """Draw the values of every micrograph, or say why one is missing."""
    plots: list[Plot | Note] = [*micrograph_plots(folder)]
    names = {one.name for one in plots if isinstance(one, Plot)}
    if "size_nm" not in names:
        plots.append(Note("Mean size", _empty(facts, ("nm_per_px",))))
    if "hardening_linear_mpa" not in names:
        plots.append(Note("Hardening", _empty(facts, ("nm_per_px", "thickness_nm", "material"))))
    return plots


def _held(facts: Mapping[str, Any], what: str) -> list[Mapping[str, Any]]:
    """Values that a setting had, one after the other."""
    return [one for one in facts.get("conditions") or [] if one["what"] == what and one["value"]]


def _time_plots(curves: Curves, facts: Mapping[str, Any]) -> list[Plot | Note]:
    """Draw the plots against time, or say why one is missing."""
    if not curves.columns:
        return [Note("Defects", "No frame was processed, so there is nothing to plot.")]
    plots: list[Plot | Note] = []
    if curves.known("density_per_m2"):
        figure = density_figure(curves, "density_per_m2", "Areal density (m<sup>-2</sup>)")
        plots.append(Plot("density", "Defects per area", figure))
    else:
        plots.append(Plot("count", "Number of defects", density_figure(curves, "n", "Defects in view")))
    if curves.known("density_per_m3"):
        figure = density_figure(curves, "density_per_m3", "Volume density (m<sup>-3</sup>)")
        plots.append(Plot("volume", "Defects per volume", figure))
    if curves.known("size_nm"):
        plots.append(Plot("size", "Mean size", size_figure(curves)))
    else:
        plots.append(Note("Mean size", _empty(facts, ("nm_per_px",))))
    if curves.known("hardening_linear_mpa"):
        figure = hardening_figure(curves)
        plots.append(Plot("hardening", "Hardening by the defects seen", figure))
    else:
        plots.append(Note("Hardening", _empty(facts, ("nm_per_px", "thickness_nm", "material"))))
    for column, key, heading, title in _WHERE_KNOWN:
        if curves.known(column) and any(
            np.nanmax(curves.get(name, column), initial=0.0) > 0 for name in curves.classes
        ):
            plots.append(Plot(key, heading, quantity_figure(curves, column, title)))
    if curves.known("trust"):
        plots.append(Plot("trust", "Trust: the model knows frames like these", trust_figure(curves)))
    return plots


_WHERE_KNOWN = (
    ("line_density_per_m2", "lines", "Line dislocations", "Line density (m<sup>-2</sup>)"),
    ("swelling_percent", "swelling", "Swelling by voids", "Swelling (%)"),
    ("volume_fraction", "fraction", "Volume fraction of voids and precipitates", "Volume fraction"),
)


def _empty(facts: Mapping[str, Any], needed: tuple[str, ...]) -> Markup:
    """Say that a plot is empty, which figures are not known and how to give them."""
    given = {**(facts.get("calibration") or {}), "material": facts.get("material")}
    given["thickness_nm"] = given.get("thickness_nm") or _held(facts, "thickness_nm")
    words = {
        "nm_per_px": "the scale (<code>--nm-per-px</code>)",
        "thickness_nm": "the foil thickness (<code>--thickness-nm</code>)",
        "material": "the barrier strengths (<code>--material</code>)",
    }
    absent = [Markup(words[name]) for name in needed if not given.get(name)]
    if distrust := not_trusted(facts):
        return Markup("Empty: not trusted: {}.").format(distrust)
    if not absent:
        return Markup("Empty: nothing in the series could be measured.")
    return Markup("Empty: it needs {}.").format(Markup(" and ").join(absent))


def _track_plots(
    folder: Path, tracks: pd.DataFrame, facts: Mapping[str, Any], *, movie: bool
) -> list[Plot | Note]:
    """Draw sizes, lifetimes, growth and motion of the tracks, or say why one is missing; of micrographs sizes alone."""
    what = "tracks" if movie else "defects"
    sizes = (
        Plot("sizes", f"Sizes of the {what}", size_histogram(tracks, what))
        if np.isfinite(tracks["size_nm"].to_numpy()).any()
        else Note(f"Sizes of the {what}", _empty(facts, ("nm_per_px",)))
    )
    if not movie:
        return [sizes]
    lifetimes, growth = lifetime_figure(tracks, _mean_lives_s(folder)), growth_figure(tracks)
    more = [] if growth is None else [Plot("growth", "Growth of the tracks", growth)]
    motion = msd_figure(MSD.read(folder / MSD.file)) if (folder / MSD.file).is_file() else None
    more += [] if motion is None else [Plot("msd", "Mean squared displacement", motion)]
    return [
        sizes,
        (
            Plot("lifetimes", "Lifetimes", lifetimes)
            if lifetimes is not None
            else Note("Lifetimes", "No class has five births in view, so there is nothing to plot.")
        ),
        *more,
    ]


def _mean_lives_s(folder: Path) -> dict[str, float]:
    """Mean lifetime of each class that ``kinetics.csv`` knows, s."""
    if not (folder / KINETICS.file).is_file():
        return {}
    table = KINETICS.read(folder / KINETICS.file)
    table = table[(table["quantity"] == "lifetime_mean_s") & (table["value"] > 0)]
    return dict(zip(table["defect_class"].astype(str), table["value"].astype(float), strict=True))


_KIND_NOTES = {
    "refined": (
        "The tables were refined with hindsight: gaps closed, detections that are more likely none than"
        " a defect left out, positions smoothed, misses filled in. Movie and pictures show the refined ids and classes, misses with"
        " dashed outlines. What was known frame by frame is in causal/."
    ),
    "edited": "Tracks were corrected by hand; run.json lists every edit.",
}


def _kinetics(folder: Path) -> list[dict[str, Any]]:
    """Lifetimes, growth and rates, where the run has them."""
    if not (folder / KINETICS.file).is_file():
        return []
    rows: list[dict[str, Any]] = []
    for one in KINETICS.read(folder / KINETICS.file).to_dict("records"):
        value, lo, hi = (f"{one[key]:.3g}" if np.isfinite(one[key]) else "" for key in ("value", "lo", "hi"))
        interval = f"{lo or '?'} to {hi or '?'}" if lo or hi else ""
        words = quantity_words(str(one["quantity"]))
        why = str(one["why"]) if isinstance(one["why"], str) else ""
        unknown = "only bounds" if lo and hi else "not known"
        how = f"{unknown}: {why}" if why and not value else one["method"]
        rows.append({**one, "words": words, "value": value, "interval": interval, "method": how})
    return rows


_KINETICS_WORDS = {
    "lifetime_median_s": "median lifetime (s)",
    "lifetime_mean_s": "mean lifetime (s)",
    "lifetime_weibull_shape": "Weibull shape of lifetimes",
    "lifetime_weibull_scale_s": "Weibull scale of lifetimes (s)",
    "growth_nm_per_s": "growth rate (nm/s)",
    "nucleation_per_m2_s": "nucleation rate (per m\u00b2 and s)",
    "coalescence_per_m2_s": "coalescence rate (per m\u00b2 and s)",
    "diffusion_nm2_per_s": "diffusion coefficient (nm\u00b2/s)",
    "localisation_nm": "error of a position in one direction (nm)",
    "confinement_nm": "radius that motion is confined to (nm)",
    "detection_probability": "share of looks in which a defect is seen",
    "detection_probability_smallest": "the same for the smallest third",
    "detection_probability_middle": "the same for the middle third",
    "detection_probability_largest": "the same for the largest third",
}


def quantity_words(name: str) -> str:
    """Name of a quantity of ``kinetics.csv`` as people say it.

    Examples
    --------
    >>> quantity_words("lifetime_median_s"), quantity_words("initial_rate_n")
    ('median lifetime (s)', 'initial rate n')
    """
    return _KINETICS_WORDS.get(name, name.replace("_", " "))


def _files(folder: Path) -> list[tuple[str, str]]:
    """List what the run wrote, each file with what it holds."""
    tables = [
        (table.file, f"one row per {table.one_row_per}".replace("`", ""))
        for table in (*TABLES.values(), KINETICS, MSD, MASKS)
    ]
    return [(name, words) for name, words in (*_OTHER_FILES, *tables) if (folder / name).is_file()]


_OTHER_FILES = (
    ("annotated.mp4", "the movie with outlines and ids"),
    ("run.json", "every setting and origin"),
)


def _provenance(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One table per part of the manifest; source, calibration and conditions are open."""
    facts = {**facts, "conditions": _in_time(facts.get("conditions") or [])}
    keys = ("source", "model", "calibration", "conditions", "material", "settings", "results", "versions")
    return [
        {"title": key.capitalize(), "rows": rows, "open": key in ("source", "calibration", "conditions")}
        for key in keys
        if (rows := _flat(facts.get(key) or {}))
    ]


def _in_time(held: list[Mapping[str, Any]]) -> dict[str, str]:
    """Say what held from which frame on."""
    return {
        f"{one['what']} from frame {one['frame']} ({one['t_s']:.6g} s) on": (
            f"{one['value'] or 'not known'} (by {one['by']})"
        )
        for one in held
    }


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested mappings as dotted names and printed values."""
    if isinstance(value, Mapping):
        return [
            row for key, item in value.items() for row in _flat(item, f"{name}.{key}" if name else str(key))
        ]
    if value is None:
        return [(name, "not given")]
    if isinstance(value, (list, tuple)):
        return [(name, ", ".join(map(str, value)))]
    return [(name, f"{value:.6g}" if isinstance(value, float) else str(value))]
