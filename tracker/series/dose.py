"""Dose against time: a constant rate with the beam off now and then.

Or the log of the stage and of the ion source.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from insitrack.io.arrays import Floats
from insitrack.io.errors import SettingsError, TableError
from insitrack.io.results import NAN
from insitrack.tracker.series.dates import DateOrder, read_dates

if TYPE_CHECKING:
    import pandas as pd

UNITS = {
    "dose_dpa": ("dose_dpa", 1.0, 0.0),
    "dose_rate_dpa_per_s": ("dose_rate_dpa_per_s", 1.0, 0.0),
    "temperature_c": ("temperature_c", 1.0, 0.0),
    "temperature_k": ("temperature_c", 1.0, -273.15),
    "current_a": ("beam_current_a", 1.0, 0.0),
    "current_ua": ("beam_current_a", 1e-6, 0.0),
    "current_na": ("beam_current_a", 1e-9, 0.0),
}
"""Columns of a log, with what each is called here, and the factor and offset that bring it there."""

BEAM_ON_SHARE = 0.1
"""Share of the largest logged current above which the beam counts as on, where the nominal current is not
given."""

IRON_ATOMS_PER_NM3 = 84.96
"""2 / a0^3 with a0 = 0.2866 nm."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """Dose, temperature and beam current as functions of the time of the movie.

    Parameters
    ----------
    dose_rate_dpa_per_s : float
        Dose rate while the beam is on, dpa/s; NaN where unknown. Without a log the dose starts at t_s = 0.
    beam_off_s : tuple of (float, float)
        Times between which the beam is off, s: the dose stands still there.
    steps : tuple of (float, float)
        Times, s, rising, from which on another dose rate holds, dpa/s. Where none was known before, the dose
        begins after the first.
    log_t_s : ndarray of float64, shape (L,)
        Times of the log, rising, s.
    log : dict of str to ndarray of float64, shape (L,)
        `dose_dpa`, `temperature_c`, `beam_current_a`, as far as known. Values between two lines are
        interpolated; before the first and after the last line nothing is known.

    Examples
    --------
    >>> beam = Exposure(dose_rate_dpa_per_s=1e-3, beam_off_s=((100.0, 200.0),))
    >>> beam.dose_dpa([50.0, 150.0, 300.0]).tolist()
    [0.05, 0.1, 0.2]
    """

    dose_rate_dpa_per_s: float = NAN
    beam_off_s: tuple[tuple[float, float], ...] = ()
    steps: tuple[tuple[float, float], ...] = ()
    log_t_s: Floats = field(default_factory=lambda: np.zeros(0))
    log: dict[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rate = self.dose_rate_dpa_per_s
        if not math.isnan(rate) and not (math.isfinite(rate) and rate >= 0):
            raise SettingsError(f"--dose-rate {rate}: expected zero or a positive number of dpa/s")
        for start, end in self.beam_off_s:
            if not (math.isfinite(start) and math.isfinite(end) and start <= end):
                raise SettingsError(
                    f"specimen.beam_off_s [{start}, {end}]: expected [start, end] in s, the end not before"
                    " the start"
                )
        if any(
            later[0] < earlier[1]
            for earlier, later in zip(self.beam_off_s, self.beam_off_s[1:], strict=False)
        ):
            raise SettingsError(
                f"specimen.beam_off_s {[list(pair) for pair in self.beam_off_s]}: expected intervals in order"
                " that do not overlap"
            )

    @property
    def known(self) -> bool:
        """Whether any dose can be told."""
        return "dose_dpa" in self.log or not math.isnan(self.dose_rate_dpa_per_s) or bool(self.steps)

    def stepped(self, t_s: float, dose_rate_dpa_per_s: float) -> Exposure:
        """Return the same with another dose rate from a time on."""
        return replace(
            self, steps=(*(step for step in self.steps if step[0] < t_s), (t_s, dose_rate_dpa_per_s))
        )

    def dose_dpa(self, t_s: ArrayLike) -> Floats:
        """Dose at each time, dpa; NaN where it is not known."""
        t = np.asarray(t_s, np.float64)
        if "dose_dpa" in self.log:
            return self._logged("dose_dpa", t)
        begins = [0.0, *(start for start, _ in self.steps)]
        rates = [self.dose_rate_dpa_per_s, *(rate for _, rate in self.steps)]
        if math.isnan(rates[0]) and self.steps:
            begins, rates = begins[1:], rates[1:]
        dose = rates[0] * self._on_s(t, begins[0])
        for start, before, rate in zip(begins[1:], rates, rates[1:], strict=False):
            dose = dose + (rate - before) * np.where(t > start, self._on_s(t, start), 0.0)
        return np.asarray(dose if begins[0] == 0 else np.where(t <= begins[0], NAN, dose), np.float64)

    def _on_s(self, t: Floats, start_s: float) -> Floats:
        """Time with the beam on since a start, s; negative before it."""
        off = np.zeros(t.shape)
        for start, end in self.beam_off_s:
            low, high = max(start, start_s), max(end, start_s)
            off += np.clip(t, low, high) - low
        return np.asarray(t - start_s - off, np.float64)

    @property
    def log_words(self) -> str:
        """When the log was kept, in words."""
        return f"from {self.log_t_s[0]:g} to {self.log_t_s[-1]:g} s"

    def outlasts_log(self, t_s: ArrayLike) -> bool:
        """Whether there is a log, and a time lies outside it."""
        t = np.asarray(t_s, np.float64)
        return bool(len(self.log_t_s)) and bool(((t < self.log_t_s[0]) | (t > self.log_t_s[-1])).any())

    def temperature_c(self, t_s: ArrayLike) -> Floats:
        """Temperature at each time, degrees Celsius; NaN where it is not known."""
        return self._logged("temperature_c", np.asarray(t_s, np.float64))

    def beam_current_a(self, t_s: ArrayLike) -> Floats:
        """Beam current at each time, A; NaN where it is not known."""
        return self._logged("beam_current_a", np.asarray(t_s, np.float64))

    def _logged(self, name: str, t: Floats) -> Floats:
        if name not in self.log:
            return np.full(t.shape, NAN)
        return np.asarray(np.interp(t, self.log_t_s, self.log[name], left=NAN, right=NAN), np.float64)


def read_log(
    path: Path,
    *,
    log_start: str | None = None,
    log_dates: DateOrder = "auto",
    dose_rate_dpa_per_s: float | None = None,
    nominal_current_a: float | None = None,
) -> Exposure:
    """Read the log of the stage or of the ion source.

    A CSV of time against dose, dose rate, current, temperature.

    Parameters
    ----------
    path : Path
        Table with ``t_s`` (seconds since the first frame) or ``time`` (date and time), and any of
        ``dose_dpa``, ``dose_rate_dpa_per_s``, ``current_a`` (``_ua``, ``_na``), ``temperature_c`` (``_k``).
        Other columns are left alone.
    log_start : str, optional
        Date and time of the first frame, where the log has ``time``.
    log_dates : {"auto", "day_first", "month_first"}
        Order of dates such as 01/05/2026; `auto` finds it from the whole column.
    dose_rate_dpa_per_s : float, optional
        Nominal dose rate, dpa/s: with a logged current, but neither dose nor dose rate, the rate while the
        beam is on.
    nominal_current_a : float, optional
        Current at the nominal dose rate, A: the rate then follows the current. Without it the beam is on
        above a tenth of the largest current.

    Returns
    -------
    Exposure
        A dose rate is held from each line to the next, and its sum is the dose, from zero in the first line.

    Raises
    ------
    TableError
        If a column that is needed is missing, a cell is no number or no time, or the times do not rise: with
        line and column.
    """
    from insitrack.io.tables.engine import read_text

    table = read_text(
        path, "a log with t_s or time, and dose_dpa, dose_rate_dpa_per_s, current_a or temperature_c"
    )
    times = _times(path, table, log_start, log_dates)
    columns: dict[str, Floats] = {}
    for name in table.columns:
        if name in UNITS:
            known, factor, offset = UNITS[name]
            columns[known] = _numbers(path, table, name) * factor + offset
    if not columns:
        raise TableError(
            f"{path}: line 1 has none of the columns {', '.join(UNITS)}; found {', '.join(table.columns)}"
        )
    rate = columns.pop("dose_rate_dpa_per_s", None)
    if (
        rate is None
        and "dose_dpa" not in columns
        and "beam_current_a" in columns
        and dose_rate_dpa_per_s is not None
    ):
        rate = _rate_from_current(columns["beam_current_a"], dose_rate_dpa_per_s, nominal_current_a)
    if rate is not None and "dose_dpa" not in columns:
        columns["dose_dpa"] = np.concatenate([[0.0], np.cumsum(np.nan_to_num(rate[:-1]) * np.diff(times))])
    for name, values in columns.items():  # a line that leaves a cell empty says nothing of that quantity
        good = np.isfinite(values)
        if not good.all():
            columns[name] = np.interp(times, times[good], values[good]) if good.any() else values
    return Exposure(NAN if dose_rate_dpa_per_s is None else dose_rate_dpa_per_s, log_t_s=times, log=columns)


def _rate_from_current(current: Floats, nominal_rate: float, nominal_current_a: float | None) -> Floats:
    if nominal_current_a is not None:
        return np.asarray(nominal_rate * current / nominal_current_a, np.float64)
    return np.where(current > BEAM_ON_SHARE * np.nanmax(current, initial=0.0), nominal_rate, 0.0)


def _times(path: Path, table: pd.DataFrame, log_start: str | None, log_dates: DateOrder) -> Floats:
    if "t_s" in table.columns:
        times = _numbers(path, table, "t_s")
    elif "time" in table.columns:
        if log_start is None:
            raise SettingsError(
                f"--log {path}: has dates and times; say when the first frame was taken, --log-start"
                " 2026-05-01T10:15:00"
            )
        stamps, first = read_dates(path, table["time"], log_start, log_dates)
        times = (stamps - first).dt.total_seconds().to_numpy(np.float64)
    else:
        raise TableError(
            f"{path}: line 1 lacks a column t_s (seconds since the first frame) or time (date and time);"
            f" found {', '.join(table.columns)}"
        )
    wrong = np.flatnonzero(~(np.diff(times) > 0))
    if not np.isfinite(times).all() or len(times) == 0:
        raise TableError(
            f"{path}: line {int(np.argmax(~np.isfinite(times))) + 2 if len(times) else 2}: no time; expected"
            " one in every line"
        )
    if len(wrong):
        raise TableError(
            f"{path}: line {wrong[0] + 3}: its time is not after that of the line before; sort the log and"
            " drop repeated lines"
        )
    return times


def _numbers(path: Path, table: pd.DataFrame, name: str) -> Floats:
    """Read a column of numbers; an empty cell is not known."""
    import pandas as pd

    text = table[name].str.strip()
    values: Floats = pd.to_numeric(text, errors="coerce").to_numpy(np.float64)
    bad = np.flatnonzero(~np.isfinite(values) & (text != "").to_numpy())
    if len(bad):
        raise TableError(f"{path}: line {bad[0] + 2}, column {name}: {text.iloc[bad[0]]!r} is not a number")
    return values


def ion_dose_dpa(
    fluence_per_nm2: float, vacancies_per_ion_nm: float, atoms_per_nm3: float = IRON_ATOMS_PER_NM3
) -> float:
    r"""Dose of ions, :math:`F \nu / n`, dpa.

    Parameters
    ----------
    fluence_per_nm2 : float
        Ions per area F, nm^-2.
    vacancies_per_ion_nm : float
        Vacancies per ion and depth, nm^-1, from a transport code; which option of it was used changes the
        dose by a factor of two.
    atoms_per_nm3 : float
        Atoms per volume n, nm^-3.

    Examples
    --------
    >>> round(ion_dose_dpa(84.96, 1.5), 3)
    1.5
    """
    return fluence_per_nm2 * vacancies_per_ion_nm / atoms_per_nm3


def nrt_displacements(damage_energy_ev: float, threshold_ev: float = 40.0) -> float:
    r"""Displacements by one recoil after Norgett, Robinson and Torrens, :math:`0.8\,T / (2 E_d)`.

    Examples
    --------
    >>> nrt_displacements(10_000.0)
    100.0
    """
    if damage_energy_ev < threshold_ev:
        return 0.0
    return max(1.0, 0.8 * damage_energy_ev / (2 * threshold_ev))


def arc_displacements(
    damage_energy_ev: float, threshold_ev: float = 40.0, *, b: float = -0.568, c: float = 0.286
) -> float:
    r"""Displacements by one recoil that survive its cascade.

    :math:`\xi = (1 - c) (2 E_d / 0.8)^{-b} T^{b} + c` times those of NRT, for iron.

    References
    ----------
    Nordlund et al., Nat. Commun. 9 (2018) 1084, doi 10.1038/s41467-018-03415-5.

    Examples
    --------
    >>> round(arc_displacements(10_000.0), 2), arc_displacements(100.0)
    (33.82, 1.0)
    """
    full = nrt_displacements(damage_energy_ev, threshold_ev)
    start = 2 * threshold_ev / 0.8
    efficiency = 1.0 if damage_energy_ev <= start else (1 - c) * start**-b * damage_energy_ev**b + c
    return full * efficiency
