"""What is believed of a frame that was linked: rows, events and tracks of defects, not of every find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from insitrack.io.arrays import Bools, Floats
from insitrack.io.results import Event, TrackSummary
from insitrack.tracker.existence.live import LiveExistence
from insitrack.tracker.link.linked import Linked


@dataclass(frozen=True, slots=True)
class Believed:
    """One frame after linking.

    Parameters
    ----------
    probability : ndarray of float64, shape (N + M,)
        Of the N finds of the frame, then of the M tracks in a gap.
    keep : ndarray of bool, shape (N + M,)
        Whether each is believed.
    events : tuple of Event
        Those of tracks that are or were believed; a track is born when it is first believed.
    finished : tuple of TrackSummary
        Likewise.
    births_by_class, deaths_by_class : dict of str to int
        Likewise.
    """

    probability: Floats
    keep: Bools
    events: tuple[Event, ...]
    finished: tuple[TrackSummary, ...]
    births_by_class: dict[str, int]
    deaths_by_class: dict[str, int]


def believe(
    linked: Linked, scores: Floats, names: Sequence[str], at: tuple[int, float], existence: LiveExistence
) -> Believed:
    """Judge what the linker says of one frame.

    Parameters
    ----------
    linked : Linked
        Ids of N finds and what became of the tracks.
    scores : ndarray of float64, shape (N,)
        Scores of the finds.
    names : sequence of str
        Class of the track of each of the N finds, then of each track in a gap.
    at : tuple of int and float
        Number of the frame and its time, s.
    existence : LiveExistence
        What is known of the tracks so far; it is brought up to date.
    """
    coasting = linked.coasting.track_ids
    seen = existence.update(linked.track_ids, scores)
    probability = np.concatenate([seen, existence.of(coasting)])
    ids = np.concatenate([linked.track_ids, coasting])
    keep = (probability >= existence.keep) & (ids > 0)
    if existence.config is None:
        keep[: len(seen)] = linked.track_ids > 0
    new = set(existence.announce(ids[keep]).tolist())
    ended = np.array([track.track_id for track in linked.finished], np.int64)
    finished = existence.known(linked.finished)
    splits = {event.track_id for event in linked.events if event.kind == "split"}
    known_ids = existence.announced(np.array([event.track_id for event in linked.events], np.int64))
    events = [
        event
        for event, known in zip(linked.events, known_ids.tolist(), strict=True)
        if known and (event.kind != "birth") and (event.kind != "split" or event.track_id in new)
    ]
    begun = new - set(linked.from_start.tolist())
    events += [Event(*at, "birth", name) for name in sorted(begun - splits)]
    existence.forget(ended)
    classes = dict(zip(ids.tolist(), names, strict=True))
    return Believed(
        probability,
        keep,
        tuple(sorted(events, key=lambda event: event.track_id)),
        finished,
        dict(Counter(classes[name] for name in begun)),
        dict(Counter(track.defect_class for track in finished)),
    )
