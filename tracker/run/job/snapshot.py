"""Everything that a meter remembers after a frame: what a run that was cut off goes on with."""

from __future__ import annotations

from dataclasses import dataclass

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.tracker.series.meter import SeriesMeter

_COUNTS = ("seen", "overlap", "unsized", "too_dense", "largest_nm")


@dataclass(frozen=True, slots=True)
class MeterSnapshot:
    """What a meter noticed; its settings stand in ``settings.csv``.

    Parameters
    ----------
    seen, overlap, unsized, too_dense, largest_nm, notes
        As in `SeriesDiagnostics`.
    """

    seen: Bools
    overlap: Floats
    unsized: Ints
    too_dense: Ints
    largest_nm: Floats
    notes: tuple[str, ...]


def snapshot_of(meter: SeriesMeter) -> MeterSnapshot:
    """Return everything that a meter remembers after the last frame."""
    noticed = meter.diagnostics
    return MeterSnapshot(
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
