"""Everything that a meter remembers after a frame: what a run that was cut off goes on with."""

from __future__ import annotations

from dataclasses import dataclass

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.tracker.series.diagnostics import SeriesDiagnostics
from insitrack.tracker.series.dose import Exposure


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

    @classmethod
    def of(
        cls,
        exposure: Exposure,
        thickness_nm: float | None,
        thickness_sd_nm: float,
        diagnostics: SeriesDiagnostics,
    ) -> MeterSnapshot:
        """Copy what is changed in place later."""
        return cls(
            exposure,
            thickness_nm,
            thickness_sd_nm,
            diagnostics.seen.copy(),
            diagnostics.overlap.copy(),
            diagnostics.unsized.copy(),
            diagnostics.too_dense.copy(),
            diagnostics.largest_nm.copy(),
            tuple(diagnostics.notes),
        )

    def give_back(self, diagnostics: SeriesDiagnostics) -> None:
        """Put what was noticed back.

        Raises
        ------
        ValueError
            If it was noticed of another number of classes.
        """
        for name in ("seen", "overlap", "unsized", "too_dense", "largest_nm"):
            if getattr(self, name).shape != getattr(diagnostics, name).shape:
                raise ValueError(f"expected {name} of {len(diagnostics.class_names)} classes")
            setattr(diagnostics, name, getattr(self, name).copy())
        diagnostics.notes = list(self.notes)
