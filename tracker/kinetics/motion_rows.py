"""Rows of ``kinetics.csv`` and ``msd.csv`` about motion: diffusion, error of position, confinement."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from insitrack.io.arrays import Floats, Ints
from insitrack.io.tables.frame_views import view_numbers
from insitrack.tracker.kinetics.displacement import (
    Displacement,
    DisplacementFit,
    displacement,
    fit_displacement,
)
from insitrack.tracker.kinetics.estimators import Estimate
from insitrack.tracker.kinetics.motion import Diffusion, diffusion

_MIN_OBSERVATIONS = 10
_UNSURE, _TIMES_MEAN, _MOST_LOST = 0.02, 4.0, 0.1
"""Steps that lead to a stranger with more than this chance are left out. Had they been true ones, of so many times the
mean square, no more than this share of the diffusion may be lost with them."""
Row = tuple[str, Estimate, str, str]
"""Quantity, value, method, and why it is empty."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where defects were seen wholly in view, sorted by track and look.

    Parameters
    ----------
    track, look : ndarray of int64, shape (N,)
        Track, and look; another view begins far later.
    points_nm : ndarray of float64, shape (N, 2)
        Places on the specimen as they were measured, nm.
    stranger : ndarray of float64, shape (N,)
        Chance that it is the place of a stranger to the observation before.
    """

    track: Ints
    look: Ints
    points_nm: Floats
    stranger: Floats

    @classmethod
    def of(
        cls, rows: pd.DataFrame, looked: pd.DataFrame, scales: Floats, stranger: Floats | None = None
    ) -> Places:
        """Take them from rows of ``tracks.csv``, frames in which somebody looked, and the scale of each.

        `stranger` is that of `insitrack.tracker.kinetics.identities.Identities`; left out: nobody is one.
        """
        at = np.flatnonzero(((rows["observed"] == 1) & (rows["on_edge"] == 0)).to_numpy())
        at = at[np.lexsort((rows["frame"].to_numpy()[at], rows["track_id"].to_numpy()[at]))]
        seen, doubt = rows.iloc[at], np.zeros(len(at)) if stranger is None else stranger[at]
        place = np.searchsorted(looked["frame"].to_numpy(), seen["frame"].to_numpy())
        points = seen[["raw_x_px", "raw_y_px"]].to_numpy(np.float64) * scales[place][:, None]
        look = place + view_numbers(looked)[place] * (len(looked) + 1000)
        known = np.isfinite(points).all(axis=1)
        return cls(seen["track_id"].to_numpy(np.int64)[known], look[known], points[known], doubt[known])

    def of_tracks(self, names: set[int]) -> Places:
        """Return those of the tracks asked for."""
        mine = np.isin(self.track, list(names))
        return Places(self.track[mine], self.look[mine], self.points_nm[mine], self.stranger[mine])

    def steps(self) -> tuple[Floats, Floats, Ints, Floats]:
        """Return steps from look to look; of each the sure one that follows (NaN: none), its track, and `stranger`."""
        good = (self.track[1:] == self.track[:-1]) & (np.diff(self.look) == 1)
        steps = np.where(good[:, None], np.diff(self.points_nm, axis=0), np.nan)
        sure = np.where((self.stranger[1:] <= _UNSURE)[:, None], steps, np.nan)
        following = np.vstack([sure[1:], np.full((1, 2), np.nan)]) if len(steps) else steps
        return steps[good], following[good], self.track[1:][good], self.stranger[1:][good]

    def displacement(self, interval_s: float) -> Displacement:
        """Mean squared displacement at every lag."""
        return displacement(self.track, self.look, self.points_nm, interval_s)


def motion_rows(places: Places, interval_s: float) -> Iterator[Row]:
    """Rows about the motion of the tracks of one class.

    Parameters
    ----------
    places : Places
        Where they were seen.
    interval_s : float
        Time between looks, s.
    """
    if len(places.track) < _MIN_OBSERVATIONS:
        nothing = Estimate.unknown(len(places.track))
        why = f"fewer than {_MIN_OBSERVATIONS} observations wholly in view"
        for quantity in ("diffusion_nm2_per_s", "localisation_nm", "confinement_nm"):
            yield quantity, nothing, "steps", why
        return
    steps, following, track, stranger = places.steps()
    sure = stranger <= _UNSURE
    found = diffusion(steps[sure], interval_s, following[sure], track[sure])
    if _lost(found, steps[sure], len(steps), interval_s) > _MOST_LOST:
        nothing = Estimate.unknown(len(steps))
        why = (
            f"of {len(steps)} steps {np.count_nonzero(~sure)} may lead to strangers: too many to tell slow motion from"
            " them; more frames per life or fewer false detections would"
        )
        for quantity in ("diffusion_nm2_per_s", "localisation_nm", "confinement_nm"):
            yield quantity, nothing, "steps", why
        return
    yield _diffusion(found)
    yield from _displacement(fit_displacement(places.displacement(interval_s)))


def _lost(found: Diffusion, sure_nm: Floats, n_steps: int, interval_s: float) -> float:
    """Share of the diffusion that may have been left out with the steps that are not sure."""
    left_out = n_steps - len(sure_nm)
    if not left_out or not len(sure_nm) or not math.isfinite(found.d_nm2_per_s):
        return 0.0
    mean = float((sure_nm**2).sum(axis=1).mean())
    return _TIMES_MEAN * left_out / n_steps * mean / max(4 * found.d_nm2_per_s * interval_s, 1e-300)


def _diffusion(found: Diffusion) -> Row:
    quantity, why = "diffusion_nm2_per_s", ""
    if not math.isfinite(found.d_nm2_per_s):
        why = "too few steps between neighbouring frames"
    elif not math.isfinite(found.p_isotropic):
        why = "nothing moved: every place is the same in all frames to the last digit"
    if why:
        return quantity, Estimate.unknown(found.n), "steps", why
    kind = f"{found.dimensions}D" + (f" along {found.axis_deg:.0f} degrees" if found.dimensions == 1 else "")
    method = (
        f"{kind}; position error {found.localisation_nm:.3g} nm taken off; chance of isotropy"
        f" {found.p_isotropic:.2g}; interval from the scatter between tracks"
    )
    return quantity, Estimate(found.d_nm2_per_s, found.lo, found.hi, found.n), method, why


def _displacement(fit: DisplacementFit) -> Iterator[Row]:
    how = "mean squared displacement against lag; interval from drawing whole tracks"
    missing = "" if math.isfinite(fit.localisation_nm.value) else fit.why_free
    yield "localisation_nm", fit.localisation_nm, f"error in one direction; {how}", missing
    yield "confinement_nm", fit.confinement_nm, f"radius of a circle; {how}", fit.why_free


def msd_rows(
    places: Places, classes: dict[int, str], interval_s: float
) -> Iterator[dict[str, float | int | str]]:
    """Rows of ``msd.csv``.

    Parameters
    ----------
    places : Places
        Of all tracks.
    classes : dict of int to str
        Class of every track.
    interval_s : float
        Time between looks, s.
    """
    if not math.isfinite(interval_s):
        return
    for label in (*sorted(set(classes.values())), "all"):
        names = {name for name, one in classes.items() if label in (one, "all")}
        curve = places.of_tracks(names).displacement(interval_s)
        for i in range(len(curve.lag_s)):
            yield {
                "lag_s": float(curve.lag_s[i]),
                "defect_class": label,
                "msd_nm2": float(curve.msd_nm2[i]),
                "msd_nm2_lo": float(curve.lo[i]),
                "msd_nm2_hi": float(curve.hi[i]),
                "n_tracks": int(curve.n_tracks[i]),
            }
