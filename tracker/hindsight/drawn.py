"""Outlines drawn by hand: how they are written in a table of edits, and what is measured of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from insitrack.io.arrays import BoolImage
from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.frames import Calibration
from insitrack.io.tables.columns import TRACKS
from insitrack.io.tables.frame_views import frame_scales, view_numbers
from insitrack.io.tables.outlines import rle
from insitrack.io.tables.outlines.masks import DRAWN, MASKS, boxes_of, masks_by_frame, writer_of
from insitrack.io.write import replacing
from insitrack.segment.labels.outlines import fill_outline
from insitrack.tracker.hindsight.refine import looked_at
from insitrack.tracker.measure.by_class import lengths_of_lines
from insitrack.tracker.measure.measure import MeasureConfig, measure

if TYPE_CHECKING:
    import pandas as pd

Crop = tuple[BoolImage, tuple[int, int]]
_MOST_CORNERS, _MOST_SHOWN = 10_000, 40
_FORMS = "expected polygon x y x y ... with 3 corners or more, or rle x0 y0 width height counts"
OUTLINE = (*MASKS.names[5:],)
"""Columns of the box and the run lengths of an outline."""


def read_outline(text: str, shape: tuple[int, int]) -> Crop:
    """Mask of an outline as a table of edits has it.

    Parameters
    ----------
    text : str
        ``polygon x y x y ...``, corners in px, pixel (0, 0) covering [0, 1) x [0, 1); or
        ``rle x0 y0 width height counts``, run lengths of COCO inside a box, as in ``masks.parquet``.
    shape : tuple of int
        Height and width of the frame, px; what lies outside is cut.

    Returns
    -------
    (ndarray of bool, (y, x))
        Mask and its first pixel.

    Raises
    ------
    ValueError
        If it is neither, or covers no pixel of the frame.

    Examples
    --------
    >>> crop, corner = read_outline("polygon 2 3 6 3 6 5 2 5", (20, 20))
    >>> crop.shape, corner
    ((2, 4), (3, 2))
    >>> read_outline("rle 2 3 4 2 08", (20, 20))[0].all()
    np.True_
    """
    kind, _, rest = text.strip().partition(" ")
    found: Crop | None
    if kind == "polygon":
        try:
            numbers = np.array([float(word) for word in rest.split()])
        except ValueError:
            numbers = np.zeros(1)
        corners = len(numbers) // 2
        good = len(numbers) == 2 * corners and 3 <= corners <= _MOST_CORNERS
        if not good or not np.isfinite(numbers).all() or np.abs(numbers).max() > 1e6:
            raise ValueError(f"outline {text[:_MOST_SHOWN]!r}: {_FORMS}")
        found = fill_outline(numbers.reshape(-1, 2), shape)
    elif kind == "rle":
        found = _of_run_lengths(text, rest.split(), shape)
    else:
        raise ValueError(f"outline {text[:_MOST_SHOWN]!r}: {_FORMS}")
    if found is None:
        raise ValueError(f"outline {text[:_MOST_SHOWN]!r}: covers no pixel of the frame")
    return found


def _of_run_lengths(text: str, words: list[str], shape: tuple[int, int]) -> Crop | None:
    try:
        x0, y0, width, height = (int(word) for word in words[:4])
        (counts,) = words[4:]
        if not (0 < width <= shape[1] and 0 < height <= shape[0]):
            raise ValueError(f"a box of {width} x {height} px")
        corner, size = np.array([[y0, x0]], np.int32), np.array([[height, width]], np.int32)
        crop = rle.decode([counts], corner, size).crop(0)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"outline {text[:_MOST_SHOWN]!r}: {_FORMS} ({str(error)[:120]})") from error
    return shifted((crop, (y0, x0)), (0, 0), shape)


def shifted(crop: Crop, by: tuple[int, int], shape: tuple[int, int]) -> Crop | None:
    """Mask moved by (y, x) px and cut to a frame and to what it covers; None where nothing is left."""
    mask, (y, x) = crop[0], (crop[1][0] + by[0], crop[1][1] + by[1])
    up, left = max(0, -y), max(0, -x)
    mask = mask[up : max(up, shape[0] - y), left : max(left, shape[1] - x)]
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    cut = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return cut, (y + up + int(rows[0]), x + left + int(columns[0]))


@dataclass(eq=False)
class Drawing:
    """Measures outlines drawn by hand on the frames of a run.

    Parameters
    ----------
    frames : DataFrame
        Rows of ``frames.csv``.
    config : MeasureConfig
        How sizes are defined.
    nm_per_px : float
        Scale of the run, nm; NaN where unknown.
    """

    frames: pd.DataFrame
    config: MeasureConfig
    nm_per_px: float
    _made: dict[tuple[str, tuple[int, ...], str], pd.DataFrame] = field(default_factory=dict)

    def __post_init__(self) -> None:
        looked = looked_at(self.frames)
        self.looked = looked["frame"].to_numpy(np.int64)
        self._t_s = looked["t_s"].to_numpy(np.float64)
        self._shift = looked[["shift_y_px", "shift_x_px"]].fillna(0.0).to_numpy(np.float64)
        self._shape = looked[["height_px", "width_px"]].to_numpy(np.float64)
        self._view = view_numbers(looked)
        self._scale = frame_scales(looked, self.nm_per_px)

    def frames_of(self, first: int, last: int) -> list[int]:
        """Frames of a span in which specimen was looked at, of the view of the first of them."""
        start, end = np.searchsorted(self.looked, [first, last + 1]).tolist()
        view = self._view[start:end]
        found: list[int] = self.looked[start:end][view == view[0]].tolist() if end > start else []
        return found

    def rows(self, outline: str, frames: Sequence[int], name: str) -> pd.DataFrame:
        """Rows of ``tracks.csv`` of one outline, one for each frame, without ids.

        In frames after the first it lies as the drift of the specimen has moved it, by whole pixels.

        Parameters
        ----------
        outline : str
            See `read_outline`; where it lies in the first frame.
        frames : sequence of int
            Frames that were looked at.
        name : str
            Class.

        Returns
        -------
        DataFrame
            Columns of ``tracks.csv`` and those of the outline, `OUTLINE`. Frames that it has drifted out of are
            left out.

        Raises
        ------
        ValueError
            If the outline cannot be read, or covers no pixel of its frame.
        """
        key = outline, tuple(frames), name
        if key not in self._made:
            places = np.searchsorted(self.looked, frames).tolist()
            drawn = read_outline(outline, self._shape_at(places[0]))
            crops: list[tuple[int, Crop]] = []
            for place in places:
                y, x = np.rint(self._shift[place] - self._shift[places[0]]).astype(int).tolist()
                cut = shifted(drawn, (y, x), self._shape_at(place))
                if cut is not None:
                    crops.append((place, cut))
            self._made[key] = self._table(
                [self._measured(p, Masks.from_crops([c[0]], [c[1]]), [name]) for p, c in crops]
            )
        return self._made[key]

    def read(self, folder: Path) -> pd.DataFrame:
        """Rows of the outlines that an earlier edit drew; their ids are in `causal_id`."""
        parts = []
        path = folder / DRAWN
        for found in masks_by_frame(path) if path.is_file() else ():
            place = int(np.searchsorted(self.looked, found.frame))
            if place < len(self.looked) and self.looked[place] == found.frame:
                rows = self._measured(place, found.masks, found.names)
                parts.append({**rows, "causal_id": found.track_ids})
        return self._table(parts)

    def _shape_at(self, place: int) -> tuple[int, int]:
        height, width = self._shape[place].tolist()
        return int(height), int(width)

    def _measured(self, place: int, masks: Masks, names: Sequence[str]) -> dict[str, object]:
        """Columns of the rows of some outlines of one frame."""
        classes = tuple(dict.fromkeys((*DEFECT_CLASSES, *names)))
        labels = np.array([classes.index(name) + 1 for name in names], np.int64)
        n, scale = len(names), float(self._scale[place])
        found = Detections(
            int(self.looked[place]),
            float(self._t_s[place]),
            self._shape_at(place),
            masks.boxes(),
            labels,
            np.ones(n, np.float32),
            masks,
            classes,
        )
        calibration = Calibration(nm_per_px=scale if math.isfinite(scale) else None)
        measured = lengths_of_lines(measure(found, calibration, self.config), found)
        known = {name: getattr(measured, name) for name in measured.__slots__}
        unknown = np.full(n, np.nan)
        return {
            **dict.fromkeys(TRACKS.names, unknown),
            **known,
            "frame": np.full(n, self.looked[place]),
            "t_s": np.full(n, self._t_s[place]),
            "track_id": np.full(n, -1),
            "causal_id": np.full(n, -1),
            "defect_class": np.array(names, object),
            **dict(
                zip(("x1_px", "y1_px", "x2_px", "y2_px"), masks.boxes().astype(np.float64).T, strict=True)
            ),
            "on_edge": measured.on_edge.astype(np.int8),
            "on_exclusion_edge": measured.on_exclusion_edge.astype(np.int8),
            "observed": np.ones(n, np.int8),
            "probability": np.ones(n),
            **boxes_of(masks),
            "rle": np.array(rle.encode(masks), object),
        }

    def _table(self, parts: Sequence[dict[str, object]]) -> pd.DataFrame:
        import pandas as pd

        tables = [pd.DataFrame(part)[[*TRACKS.names, *OUTLINE]] for part in parts]
        if tables:
            return pd.concat(tables, ignore_index=True)
        return pd.DataFrame({name: np.zeros(0) for name in (*TRACKS.names, *OUTLINE)})


def write_drawn(rows: pd.DataFrame, path: Path) -> None:
    """Write outlines drawn by hand, each under its `causal_id`; nothing where there are none.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    if not len(rows):
        return
    rows = rows.sort_values(["frame", "causal_id"], kind="stable").assign(track_id=rows["causal_id"])
    with replacing(path) as part, writer_of(part) as writer:
        writer.write_columns({name: rows[name].to_numpy() for name in MASKS.names})
