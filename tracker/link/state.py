"""What the linker remembers: one record of fixed size per live track, and the last observation of each.

Records are rows of a structured array, so that thousands of tracks are advanced by a handful of array
operations, and hold running sums only, so that a track costs the same after a million frames as after one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.io.detections import UNTYPED, Detections, Masks
from insitrack.io.results import NAN, Measures, TrackSummary
from insitrack.tracker.link import filter as track_filter

Tracks = NDArray[np.void]
"""Structured array of live tracks, sorted by id; fields are those of `track_type`."""
SizesOf = Callable[[NDArray[np.str_]], Floats]
"""Sizes of the detections of a frame, nm, by the definitions of the classes that are given for them."""


def track_type(n_classes: int) -> np.dtype[np.void]:
    """Fields of a track's record; places are in specimen coordinates, px: the frame's, less the drift.

    Parameters
    ----------
    n_classes : int
        Number of classes K.

    Returns
    -------
    dtype
        Structured type. `last_row` is the row of the last observation in `LastObservations`, `absorber` the id of the
        track that covered this one when it was lost (-1: none), `from_start` marks what was there when a view
        after the first began, `sum_*` run over size in nm and time since
        the first observation in s.
    """
    floats = "x y first_x first_y diameter shift_x shift_y first_t_s last_t_s sum_size sum_t sum_tt sum_ts"
    return np.dtype(
        [(name, np.int64) for name in ("id", "n", "n_sizes", "last_frame", "last_row", "absorber", "label")]
        + [(name, np.float64) for name in floats.split()]
        + [
            ("missed", np.bool_),
            ("on_edge", np.bool_),
            ("left_censored", np.bool_),
            ("from_start", np.bool_),
            ("box", np.float64, (4,)),
            ("evidence", np.float64, (n_classes,)),
            *track_filter.FIELDS,
        ]
    )


@dataclass(frozen=True, slots=True)
class LastObservations:
    """Detections with their measures, row by row."""

    detections: Detections
    measures: Measures

    def take(self, rows: Ints) -> LastObservations:
        """Return the rows asked for, in that order."""
        return LastObservations(self.detections.take(rows), self.measures.take(rows))

    def then(self, later: LastObservations) -> LastObservations:
        """Rows of these, then those of a later frame, whose number and time they get."""
        if not len(self.measures):
            return later
        now = later.detections
        joined = replace(
            self.detections.then(now),
            frame_index=now.frame_index,
            t_s=now.t_s,
            shape=now.shape,
            n_over_cap=now.n_over_cap,
        )
        return LastObservations(joined, self.measures.then(later.measures))

    def sized(self, labels: Ints, sizes_of: SizesOf | None) -> LastObservations:
        """Size what belongs to a track of another class (label) than its own by the definition of that class."""
        found, size_nm = self.detections, self.measures.size_nm
        other = np.isfinite(size_nm) & (labels != found.labels)
        if sizes_of is None or not other.any():
            return self
        by_class = sizes_of(np.array(found.class_names, np.str_)[labels - 1])
        return LastObservations(found, replace(self.measures, size_nm=np.where(other, by_class, size_nm)))

    def moved(self, dx: Floats, dy: Floats) -> LastObservations:
        """Move each row with the specimen.

        Places and boxes exactly, masks by whole pixels and cut at the border of the frame.
        """
        found, measured = self.detections, self.measures
        corners = found.masks.corners + np.rint(np.column_stack([dy, dx])).astype(np.int32)
        masks = _cut(Masks(found.masks.pixels, corners, found.masks.sizes), found.shape)
        height, width = found.shape
        boxes = (
            (found.boxes + np.column_stack([dx, dy, dx, dy]))
            .clip(0, [width, height, width, height])
            .astype(np.float32)
        )
        return LastObservations(
            replace(found, boxes=boxes, masks=masks),
            replace(measured, x_px=measured.x_px + dx, y_px=measured.y_px + dy),
        )


def _cut(masks: Masks, shape: tuple[int, int]) -> Masks:
    """Masks without what lies outside the frame.

    One that lies outside altogether becomes a False pixel at the border.
    """
    limit = np.array(shape)
    low, high = masks.corners, masks.corners + masks.sizes
    if not len(masks) or ((low >= 0) & (high <= limit)).all():
        return masks
    first = np.clip(low, 0, limit - 1)
    last = np.maximum(first + 1, np.minimum(high, limit))
    crops = []
    for i, (y, x, h, w) in enumerate(np.concatenate([first - low, last - first], axis=1).tolist()):
        crop = masks.crop(i)[y : y + h, x : x + w] if y >= 0 and x >= 0 else np.zeros((0, 0), bool)
        crops.append(crop if crop.shape == (h, w) else np.zeros((h, w), bool))
    return Masks.from_crops(crops, first)


@dataclass(frozen=True, slots=True)
class LinkerSnapshot:
    """Everything that a linker remembers after a frame; another linker goes on from it.

    Parameters
    ----------
    tracks : Tracks
        Live tracks.
    last : LastObservations or None
        Last observation of each; None before the first frame.
    next_id : int
        Id of the next track.
    t_s : float
        Time of the last frame, s.
    intervals_s, errors_px : tuple of float
        Last frame intervals, s, and typical distances from where defects were expected, px.
    nm_per_px, noise_px : float
        Scale, nm, and noise of a position, px; NaN where not known yet.
    class_names : tuple of str
        Classes.
    shape : tuple of int
        Height and width of the frames, px.
    shift_px : tuple of float
        How far the specimen has moved since the first frame, px.

    Raises
    ------
    ValueError
        If the parts do not belong together.
    """

    tracks: Tracks
    last: LastObservations | None
    next_id: int
    t_s: float
    intervals_s: tuple[float, ...]
    errors_px: tuple[float, ...]
    nm_per_px: float
    noise_px: float
    class_names: tuple[str, ...]
    shape: tuple[int, int]
    shift_px: tuple[float, float]

    def __post_init__(self) -> None:
        n_rows, n_classes = 0 if self.last is None else len(self.last.measures), len(self.class_names)
        if self.tracks.dtype != track_type(n_classes) or self.tracks.ndim != 1:
            raise ValueError(f"expected tracks with the fields of {n_classes} classes")
        for name, low, high in (("last_row", 0, n_rows), ("label", 1, n_classes + 1)):
            if not ((self.tracks[name] >= low) & (self.tracks[name] < high)).all():
                raise ValueError(f"tracks: expected {name} from {low} to {high - 1}")


@dataclass(frozen=True, slots=True)
class Observations:
    """One frame in the form that linking needs, in an order that does not depend on the order of the rows.

    Parameters
    ----------
    row : ndarray of int64, shape (N,)
        Row in the frame's detections.
    x, y, box, diameter : ndarray of float64, shape (N,), (N,), (N, 4), (N,)
        Centre and box in specimen coordinates, mean of the axes, px.
    label, score, size_nm, on_edge : ndarray, shape (N,)
        As in the detections and measures.
    of_classes : ndarray of float64, shape (N, K)
        Probability of each class; 1 for the label where only that is known.
    """

    frame: int
    t_s: float
    shift: tuple[float, float]
    row: Ints
    x: Floats
    y: Floats
    box: Floats
    diameter: Floats
    label: Ints
    score: Floats
    size_nm: Floats
    on_edge: Bools
    of_classes: Floats

    def __len__(self) -> int:
        return len(self.row)

    def extent(self, at: Ints | slice) -> Floats:
        """Centre and sides of the boxes at some places.

        X, y, width, height, specimen coordinates, px, shape (N, 4).
        """
        box = self.box[at]
        return np.column_stack([self.x[at], self.y[at], box[:, 2:] - box[:, :2]])

    @classmethod
    def of(cls, last: LastObservations, shift: tuple[float, float]) -> Observations:
        """Sort the rows by place, then by whatever tells two at one place apart."""
        found, measured = last.detections, last.measures
        box = found.boxes.astype(np.float64)
        middle, sides = (box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]
        # An empty mask has no centre and no axes; its box has.
        x = np.where(np.isfinite(measured.x_px), measured.x_px, middle[:, 0])
        y = np.where(np.isfinite(measured.y_px), measured.y_px, middle[:, 1])
        diameter = (measured.major_px + measured.minor_px) / 2
        diameter = np.maximum(1.0, np.where(diameter > 0, diameter, (sides[:, 0] + sides[:, 1]) / 2))
        order = np.lexsort((x, y))
        same = (x[order[1:]] == x[order[:-1]]) & (y[order[1:]] == y[order[:-1]])
        if same.any():
            order = np.lexsort((found.scores, found.labels, *box.T, x, y))
        moved = box - np.array([*shift, *shift])
        of_classes = found.class_probability
        if of_classes is None:
            of_classes = np.eye(len(found.class_names), dtype=np.float32)[found.labels - 1]
        return cls(
            found.frame_index,
            found.t_s,
            shift,
            order,
            x[order] - shift[0],
            y[order] - shift[1],
            moved[order],
            diameter[order],
            found.labels[order],
            found.scores[order].astype(np.float64),
            measured.size_nm[order],
            measured.on_edge[order],
            of_classes[order].astype(np.float64),
        )


def begin(seen: Observations, at: Ints, first_id: int, n_classes: int, *, first_frame: bool) -> Tracks:
    """Make new tracks for the observations `at`, with ids from `first_id` upwards in their order."""
    tracks = np.zeros(len(at), track_type(n_classes))
    tracks["id"] = first_id + np.arange(len(at))
    tracks["first_t_s"] = seen.t_s
    tracks["first_x"], tracks["first_y"] = seen.x[at], seen.y[at]
    tracks["left_censored"] = seen.on_edge[at] | first_frame
    track_filter.start(tracks, seen.extent(at))
    observe(tracks, seen, at)
    return tracks


def rows_of(tracks: Tracks, which: Ints) -> Tracks:
    """Copy some tracks; much faster than an index, which copies record by record and field by field."""
    return tracks.take(which)


def put_rows(tracks: Tracks, which: Ints, some: Tracks) -> None:
    """Put tracks back where `rows_of` took them from."""
    whole = np.dtype((np.void, tracks.dtype.itemsize))
    tracks.view(whole)[which] = some.view(whole)


def joined(tracks: Tracks, more: Tracks) -> Tracks:
    """Join two sets of tracks of one type."""
    whole = np.dtype((np.void, tracks.dtype.itemsize))
    return np.concatenate([tracks.view(whole), more.view(whole)]).view(tracks.dtype)


def observe(tracks: Tracks, seen: Observations, at: Ints) -> None:
    """Enter the observations `at` into tracks, one each, in place; their sizes, by the class, come after."""
    tracks["n"] += 1
    tracks["missed"], tracks["absorber"] = False, -1
    tracks["last_frame"], tracks["last_t_s"] = seen.frame, seen.t_s
    tracks["shift_x"], tracks["shift_y"] = seen.shift
    for name, values in (
        ("x", seen.x),
        ("y", seen.y),
        ("diameter", seen.diameter),
        ("box", seen.box),
        ("last_row", seen.row),
        ("on_edge", seen.on_edge),
    ):
        tracks[name] = values[at]
    label = seen.label[at]
    evidence = tracks["evidence"] + seen.score[at][:, None] * seen.of_classes[at]
    leads = evidence[np.arange(len(at)), label - 1] >= evidence.max(axis=1, initial=0.0)
    tracks["label"] = np.where(leads, label, evidence.argmax(axis=1) + 1)
    tracks["evidence"] = evidence


def enter_sizes(tracks: Tracks, now: LastObservations, rows: Ints) -> None:
    """Enter the sizes of the rows `rows` of a frame into tracks, one each, in place."""
    _add_sizes(tracks, slice(None), now.measures.size_nm[rows], 1)


def without_last_sizes(tracks: Tracks, last: LastObservations | None) -> LastObservations | None:
    """Take the sizes of the last frame out of the tracks, in place; return their last observations without them."""
    if last is None:
        return None
    seen = np.flatnonzero(~tracks["missed"])
    rows = tracks["last_row"][seen]
    _add_sizes(tracks, seen, last.measures.size_nm[rows], -1)
    none = seen[tracks["n_sizes"][seen] == 0]
    for name in ("sum_size", "sum_t", "sum_tt", "sum_ts"):
        tracks[name][none] = 0.0
    return replace(last, measures=last.measures.without_nm(rows))


def _add_sizes(tracks: Tracks, which: Ints | slice, size_nm: Floats, sign: int) -> None:
    """Add the known ones of some sizes to the sums of their tracks (`sign` 1), or take them off (-1), in place."""
    known = np.isfinite(size_nm)
    if not known.all():
        which, size_nm = np.arange(len(tracks))[which][known], size_nm[known]
    age = tracks["last_t_s"][which] - tracks["first_t_s"][which]
    for name, term in (
        ("n_sizes", 1),
        ("sum_size", size_nm),
        ("sum_t", age),
        ("sum_tt", age * age),
        ("sum_ts", age * size_nm),
    ):
        tracks[name][which] += sign * term


def summaries(
    tracks: Tracks, right_censored: Bools, class_names: tuple[str, ...], nm_per_px: float
) -> tuple[TrackSummary, ...]:
    """Sum up tracks that have ended.

    Parameters
    ----------
    tracks : Tracks
        The tracks, N records.
    right_censored : ndarray of bool, shape (N,)
        True where the end was not seen.
    class_names : tuple of str
        Names of labels 1..K.
    nm_per_px : float
        Scale, nm; NaN where unknown.

    Returns
    -------
    tuple of TrackSummary
        One per record, in order.
    """
    if not len(tracks):
        return ()
    n = tracks["n_sizes"].astype(np.float64)
    spread = n * tracks["sum_tt"] - tracks["sum_t"] ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(n > 0, tracks["sum_size"] / n, NAN)
        slope = (n * tracks["sum_ts"] - tracks["sum_t"] * tracks["sum_size"]) / spread
    evidence = tracks["evidence"][:, [name != UNTYPED for name in class_names]]
    share = evidence.max(axis=1, initial=0.0) / np.maximum(evidence.sum(axis=1), 1e-12)
    growth = np.where((n >= 3) & (spread > 0), slope, NAN)
    path = np.hypot(tracks["x"] - tracks["first_x"], tracks["y"] - tracks["first_y"]) * nm_per_px
    path = np.where(n > 0, path, NAN)  # never seen in a frame whose sizes count
    first_s, last_s = tracks["first_t_s"], tracks["last_t_s"]
    columns = {
        "track_id": tracks["id"].tolist(),
        "defect_class": [class_names[label - 1] for label in tracks["label"].tolist()],
        "t_first_s": first_s.tolist(),
        "t_last_s": last_s.tolist(),
        "lifetime_s": (last_s - first_s).tolist(),
        "left_censored": tracks["left_censored"].tolist(),
        "right_censored": right_censored.tolist(),
        "n_observed": tracks["n"].tolist(),
        "size_nm": size.tolist(),
        "growth_nm_per_s": growth.tolist(),
        "net_displacement_nm": path.tolist(),
        "class_probability": share.tolist(),
    }
    return tuple(
        TrackSummary(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)
    )
