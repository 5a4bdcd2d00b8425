"""Everything that a meter remembers after a frame: what a run that was cut off goes on with."""

from __future__ import annotations

from dataclasses import dataclass

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.tracker.series.dose import Exposure
from insitrack.tracker.series.meter import SeriesMeter

_COUNTS = ("seen", "overlap", "unsized", "too_dense", "largest_nm")


@dataclass(frozen=True, slots=True)
class MeterSnapshot:
    """What a meter was told and what it noticed; the fields are those of the meter and its diagnostics.

    Parameters
    ----------
    exposure : Exposure
        Dose, temperature and beam current against time.
    thickness_nm, thickness_sd_nm : float or None, float
        Foil thickness and its standard deviation, nm.
    seen, overlap, unsized, too_dense, largest_nm, notes
        As in `SeriesDiagnostics`.
    """

    exposure: Exposure
    thickness_nm: float | None
    thickness_sd_nm: float
    seen: Bools
    overlap: Floats
    unsized: Ints
    too_dense: Ints
    largest_nm: Floats
    notes: tuple[str, ...]


def snapshot_of(meter: SeriesMeter) -> MeterSnapshot:
    """Return everything that a meter remembers after the last frame."""
    known, noticed = meter.calibration, meter.diagnostics
    return MeterSnapshot(
        exposure=meter.exposure,
        thickness_nm=known.thickness_nm,
        thickness_sd_nm=known.thickness_sd_nm,
        notes=tuple(noticed.notes),
        **{name: getattr(noticed, name).copy() for name in _COUNTS},
    )


def restore_meter(meter: SeriesMeter, snapshot: MeterSnapshot) -> None:
    """Let a meter go on from where another one with the same settings was.

    Raises
    ------
    ValueError
        If the other had another number of classes.
    """
    noticed = meter.diagnostics
    for name in _COUNTS:
        if getattr(snapshot, name).shape != getattr(noticed, name).shape:
            raise ValueError(f"expected {name} of {len(noticed.class_names)} classes")
        setattr(noticed, name, getattr(snapshot, name).copy())
    noticed.notes = list(snapshot.notes)
    meter.exposure = snapshot.exposure
    meter.set_thickness(snapshot.thickness_nm, snapshot.thickness_sd_nm)
