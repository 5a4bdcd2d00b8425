"""Linkers of others: they say which detection belongs to which of their tracks, all else is as with our own."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, Protocol

import numpy as np

from insitrack.io.arrays import Ints
from insitrack.io.detections import Detections
from insitrack.io.errors import SettingsError
from insitrack.io.results import Measures
from insitrack.tracker.link.linked import Linked
from insitrack.tracker.link.linker import Linker
from insitrack.tracker.link.settings import LinkConfig
from insitrack.tracker.link.state import Observations, SizesOf, Tracks

GROUP = "insitrack.linkers"
"""Group of entry points; each is called with a `LinkConfig` and returns a linker."""


class IdGiver(Protocol):
    """What somebody else's linker must be able to do."""

    def update(self, detections: Detections, measures: Measures, shift_px: tuple[float, float] | None) -> Any:
        """Return an id for each of the N detections of the next frame, int of shape (N,); 0 or less: of no track.

        `shift_px` is how far the specimen has moved since the first frame, (x, y), px; None where it is not known.
        """
        ...


class GivenLinker(Linker):
    """Our linker with the choice of pairs left to somebody else's.

    Ids are numbered anew. Gaps, drift, births, deaths, merges and sizes are as with our own: a track that was not
    seen for longer than `LinkConfig.patience_s` allows is over, and goes on under a new id if the other linker takes
    it up again.

    Parameters
    ----------
    given : IdGiver
        The other linker.
    config : LinkConfig, optional
        What holds beside the choice of pairs.
    name : str
        What complaints call it.

    Raises
    ------
    SettingsError
        If it has no `update`.
    """

    def __init__(self, given: IdGiver, config: LinkConfig | None = None, name: str = "") -> None:
        super().__init__(config)
        self.name = name or type(given).__name__
        if not callable(getattr(given, "update", None)) or isinstance(given, type):
            raise SettingsError(
                f"linker {self.name}: expected an object with update(detections, measures, shift_px), which returns"
                " an id for each detection"
            )
        self._given, self._ours, self._pair = given, dict[int, int](), self._as_told
        self._theirs = np.zeros(0, np.int64)

    def update(
        self,
        detections: Detections,
        measures: Measures,
        shift_px: tuple[float, float] | None = (0.0, 0.0),
        sizes_of: SizesOf | None = None,
    ) -> Linked:
        """Take the next frame; as `Linker.update`.

        Raises
        ------
        SettingsError
            If the other linker does not return one whole number for each detection, or one id twice.
        """
        self._theirs = self._checked(self._given.update(detections, measures, shift_px), len(detections))
        linked = super().update(detections, measures, shift_px, sizes_of)
        alive = set(self._tracks["id"].tolist())
        self._ours = {theirs: ours for theirs, ours in self._ours.items() if ours in alive}
        pairs = zip(self._theirs.tolist(), linked.track_ids.tolist(), strict=True)
        self._ours |= {theirs: ours for theirs, ours in pairs if theirs > 0 and ours > 0}
        return linked

    def _as_told(
        self, tracks: Tracks, seen: Observations, config: LinkConfig, nm_per_px: float
    ) -> tuple[Ints, Ints]:
        """Pairs of live tracks and observations, as the other linker wants them."""
        place = {ours: k for k, ours in enumerate(tracks["id"].tolist())}
        wanted = [self._ours.get(theirs, -1) for theirs in self._theirs[seen.row].tolist()]
        pairs = [(place[ours], at) for at, ours in enumerate(wanted) if ours in place]
        which, at = np.array(pairs, np.int64).reshape(-1, 2).T
        return which, at

    def _checked(self, ids: Any, n: int) -> Ints:
        values = np.asarray(ids)
        if values.shape != (n,) or (n and values.dtype.kind not in "iu"):
            raise SettingsError(
                f"linker {self.name}: returned {values.dtype} of shape {values.shape}; expected a whole number for"
                f" each of {n} detections"
            )
        values = values.astype(np.int64)
        names, counts = np.unique(values[values > 0], return_counts=True)
        if (counts > 1).any():
            raise SettingsError(
                f"linker {self.name}: gave the id {names[counts > 1][0]} to two detections of one frame; expected"
                " one each"
            )
        return values


def linker_of(given: IdGiver | str | None, config: LinkConfig) -> Linker:
    """Return the linker of a run: our own, an object, or one that an installed package has registered.

    Raises
    ------
    SettingsError
        If there is none of that name, or it is no linker.
    """
    if given is None:
        return Linker(config)
    if isinstance(given, Linker):
        return given
    if not isinstance(given, str):
        return GivenLinker(given, config)
    known = {one.name: one for one in entry_points(group=GROUP)}
    if given not in known:
        names = ", ".join(known) or "(none is installed)"
        raise SettingsError(
            f"linker {given!r}: not registered by any package; expected an object, or one of {names}"
        )
    try:
        made = known[given].load()(config)
    except Exception as error:  # whatever it is, it is theirs: the line names the package
        raise SettingsError(
            f"linker {given}: {known[given].value} of another package failed: {type(error).__name__}: {error}"
        ) from error
    return GivenLinker(made, config, given)
