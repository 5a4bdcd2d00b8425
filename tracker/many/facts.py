"""What a run says in one row: counts, last known values with their intervals, kinetics, trust, warnings."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import Any

from insitrack.io.tables.columns import FRAMES, KINETICS, SERIES
from insitrack.io.tables.engine import Column, Table
from insitrack.tracker.run.job.finished import Run, open_run

LAST_KNOWN = {
    "n": ("n_lo", "n_hi"),
    "density_per_m2": ("density_per_m2_lo", "density_per_m2_hi"),
    "density_per_m3": ("density_per_m3_lo", "density_per_m3_hi"),
    "size_nm": ("size_lo_nm", "size_hi_nm"),
    "hardening_linear_mpa": ("hardening_linear_mpa_lo", "hardening_linear_mpa_hi"),
    "hardening_quadrature_mpa": ("hardening_quadrature_mpa_lo", "hardening_quadrature_mpa_hi"),
}
"""Columns of ``series.csv`` whose last known values stand for a run, with the ends of their intervals."""
_COUNTS = ("frames", "processed", "skipped", "damaged", "dropped", "gap", "tracks")
_TRUSTED = 0.5


def _float(name: str, unit: str, meaning: str) -> Column:
    return Column(name, "float", unit, meaning, "%.6g")


BATCH = Table(
    "batch.csv",
    "movie of a batch; the columns of its table follow, then those of kinetics.csv for all classes together",
    (
        Column("movie", "text", "", "name of its folder", "%s"),
        Column("path", "text", "", "source", "%s"),
        Column("status", "text", "", "done, failed, stopped, waiting", "%s"),
        Column("why", "text", "", "why it failed or was stopped", "%s"),
        *(
            Column(name, "int", "", f"{name} of the source" if name == "frames" else name, "%d")
            for name in _COUNTS
        ),
        _float("t_s", "s", "time of the last frame"),
        _float("dose_dpa", "dpa", "last known dose"),
        *(
            _float(name, "", words)
            for column, pair in LAST_KNOWN.items()
            for name, words in (
                (column, "last known value, all classes together; the unit is in the name"),
                (pair[0], "lower end of its 95 % interval"),
                (pair[1], "upper end of its 95 % interval"),
            )
        ),
        _float("trust", "", "median of the trust in the processed frames, 0..1; empty where nobody judged"),
        _float("distrusted_share", "", "share of the processed frames with a trust below 0.5"),
        Column("n_warnings", "int", "", "warnings of the run", "%d"),
        Column("warnings", "text", "", "the warnings, between bars", "%s"),
    ),
)


def run_facts(folder: Path) -> dict[str, Any]:
    """Read one row about a run from its own tables; what is not known is not in it.

    Parameters
    ----------
    folder : Path
        Output folder of a run that has ended, however it did.

    Returns
    -------
    dict
        Names as in `BATCH`, and `status`, `reason`, `source`, `model`, `material`, `started`, `wall_s`,
        `nm_per_px` and `thickness_nm`; quantities of ``kinetics.csv`` with `_lo` and `_hi`.

    Raises
    ------
    TableError
        If the folder holds no run, or a table is damaged.
    """
    run = open_run(folder)
    manifest = run.manifest
    results, calibration = manifest.get("results") or {}, manifest.get("calibration") or {}
    source, warnings = manifest.get("source") or {}, manifest.get("warnings") or []
    facts: dict[str, Any] = {
        "status": manifest.get("status"),
        "reason": manifest.get("reason"),
        "source": source.get("path") or source.get("uri"),
        "model": (manifest.get("model") or {}).get("name"),
        "material": (manifest.get("material") or {}).get("name"),
        "started": manifest.get("started"),
        "wall_s": _between(manifest.get("started"), manifest.get("finished")),
        "nm_per_px": calibration.get("nm_per_px"),
        "thickness_nm": calibration.get("thickness_nm"),
        **{name: results.get(name) for name in _COUNTS},
        "n_warnings": len(warnings),
        "warnings": " | ".join(map(str, warnings)),
    }
    for table, read in ((SERIES, _last_known), (FRAMES, _trust), (KINETICS, _kinetics)):
        if (folder / table.file).is_file():
            facts |= read(run)
    return {name: value for name, value in facts.items() if value is not None and value == value}


def _last_known(run: Run) -> dict[str, float]:
    """Return the last known values of all classes together, read piece by piece."""
    ends = {name: (name, *pair) for name, pair in LAST_KNOWN.items()} | {"dose_dpa": ("dose_dpa",)}
    wanted = ["t_s", "defect_class", *(name for names in ends.values() for name in names)]
    found: dict[str, float] = {}
    for piece in SERIES.chunks(run.folder / SERIES.file, wanted):
        rows = piece[piece["defect_class"] == "all"]
        if len(rows):
            found["t_s"] = float(rows["t_s"].iloc[-1])
        for column, names in ends.items():
            known = rows[rows[column].notna()]
            if len(known):
                found |= {name: float(known[name].iloc[-1]) for name in names}
    return found


def _trust(run: Run) -> dict[str, float]:
    frames = FRAMES.read(run.folder / FRAMES.file, ("status", "trust"))
    judged = frames.loc[frames["status"] == "processed", "trust"].dropna()
    if not len(judged):
        return {}
    return {"trust": float(judged.median()), "distrusted_share": float((judged < _TRUSTED).mean())}


def _kinetics(run: Run) -> dict[str, float]:
    rows = run.kinetics[run.kinetics["defect_class"] == "all"]
    return {
        f"{row.quantity}{end}": float(getattr(row, name))
        for row in rows.itertuples()
        for name, end in (("value", ""), ("lo", "_lo"), ("hi", "_hi"))
        if math.isfinite(row.value)
    }


def _between(start: str | None, end: str | None) -> float | None:
    try:
        return (datetime.fromisoformat(end or "") - datetime.fromisoformat(start or "")).total_seconds()
    except (ValueError, TypeError):
        return None
