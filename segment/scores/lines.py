"""How good the detected line dislocations are.

There is the pixel table of DefectNet, and there are scores by length and by single lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from insitrack.io.arrays import Floats
from insitrack.io.detections import Detections
from insitrack.segment.scores.pixels import PixelCounts, pixel_counts

TOLERANCE_PX = 3.0
RECOVERED = 0.8


def pixel_table(
    pairs: Iterable[tuple[Detections, Detections]], classes: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Pixel accuracy, precision, recall and region intersection over union of each class.

    They are pooled over the images, as DefectNet prints them.

    Parameters
    ----------
    pairs : iterable of (Detections, Detections)
        What was found and what is true, image by image.
    classes : sequence of str
        Rows of the table.

    Returns
    -------
    dict of str to dict of str to float
        Per class, and ``overall``: the unweighted mean of the classes. NaN where a class neither is there nor
        was found.

    References
    ----------
    Roberts et al., Sci. Rep. 9 (2019) 12744, doi 10.1038/s41598-019-49105-0.
    """
    total = {name: PixelCounts() for name in classes}
    for found, true in pairs:
        for name, counts in pixel_counts(found, true, classes).items():
            total[str(name)] += counts
    table = {name: counts.scores() for name, counts in total.items()}
    columns = PixelCounts().scores()
    table["overall"] = {
        column: float(np.mean([table[name][column] for name in classes])) for column in columns
    }
    return table


@dataclass(frozen=True, slots=True)
class LineScore:
    """Counts and lengths over all images, and what follows from them; lengths in px.

    Parameters
    ----------
    true_px, found_px : float
        Length of all true and of all found centrelines.
    true_near_px, found_near_px : float
        Length of the true centrelines that has a found one within the tolerance, and the reverse.
    n_true, n_found : int
        Lines.
    n_recovered : int
        True lines that one found line follows over most of their length, and that found line follows no
        other.
    n_crossing, n_crossing_recovered : int
        True lines that cross another one, and those of them that were recovered.
    length_errors : tuple of float
        Relative error of the length of each recovered line.

    Examples
    --------
    >>> score = LineScore(100.0, 80.0, 60.0, 60.0, 4, 3, 2, 2, 1, (0.02, -0.04))
    >>> score.completeness, score.correctness, round(score.quality, 3), round(score.length_error, 3), score.recovered
    (0.6, 0.75, 0.5, -0.2, 0.5)
    """

    true_px: float
    found_px: float
    true_near_px: float
    found_near_px: float
    n_true: int
    n_found: int
    n_recovered: int
    n_crossing: int
    n_crossing_recovered: int
    length_errors: tuple[float, ...] = ()

    def __add__(self, other: LineScore) -> LineScore:
        return LineScore(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    @property
    def completeness(self) -> float:
        """Share of the true length that was found."""
        return _ratio(self.true_near_px, self.true_px)

    @property
    def correctness(self) -> float:
        """Share of the found length that is true."""
        return _ratio(self.found_near_px, self.found_px)

    @property
    def quality(self) -> float:
        """Found and true over found or true (Heipke et al. 1997), 1 where both agree throughout."""
        return _ratio(self.found_near_px, self.found_px + self.true_px - self.true_near_px)

    @property
    def length_error(self) -> float:
        """Relative error of the total length, and so of the line density.

        Negative where too little was found.
        """
        return _ratio(self.found_px, self.true_px) - 1

    @property
    def recovered(self) -> float:
        """Share of the true lines that came out as one line."""
        return _ratio(self.n_recovered, self.n_true)

    @property
    def crossing_recovered(self) -> float:
        """Share of the true lines with a crossing that came out as one line."""
        return _ratio(self.n_crossing_recovered, self.n_crossing)

    @property
    def median_length_error(self) -> float:
        """Median of the absolute relative length errors of the recovered lines."""
        return float(np.median(np.abs(self.length_errors))) if self.length_errors else float("nan")

    def facts(self) -> dict[str, float]:
        """All of it by name."""
        names = ("n_true", "n_found", "completeness", "correctness", "quality", "length_error", "recovered")
        more = ("n_crossing", "crossing_recovered", "median_length_error")
        return {name: float(round(getattr(self, name), 4)) for name in names + more}


NOTHING = LineScore(0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0, 0)
"""Score of no image at all: begin a sum with it."""


def line_score(
    found: Sequence[Floats],
    true: Sequence[Floats],
    *,
    found_lengths: Sequence[float],
    tolerance_px: float = TOLERANCE_PX,
) -> LineScore:
    """Compare the centrelines of one image.

    Parameters
    ----------
    found, true : sequence of ndarray of float64, shape (K, 2)
        Points of each line, about 1 px from point to point, px (x, y). A line in several pieces is one array.
    found_lengths : sequence of float
        Length of each found line as it was measured, px.
    tolerance_px : float
        Two centrelines are the same where they are no farther apart.

    Returns
    -------
    LineScore
    """
    samples, points = [_steps(line) for line in true], [_steps(line) for line in found]
    lengths, measured = [float(weight.sum()) for _, weight in samples], np.asarray(found_lengths, np.float64)
    # share of each true line that each found one follows, and the reverse
    of_true = np.array([[_followed(t, f, tolerance_px) for f in points] for t in samples]).reshape(
        len(true), len(found)
    )
    of_found = np.array([[_followed(f, t, tolerance_px) for f in points] for t in samples]).reshape(
        len(true), len(found)
    )
    both = np.minimum(of_true, of_found)
    rows, columns = linear_sum_assignment(-both)
    good = both[rows, columns] >= RECOVERED
    rows, columns = rows[good], columns[good]
    crossing = np.array([_crosses(i, samples, tolerance_px) for i in range(len(true))], bool)
    errors = tuple(float(measured[j] / lengths[i] - 1) for i, j in zip(rows, columns, strict=True))
    return LineScore(
        true_px=sum(lengths),
        found_px=float(measured.sum()),
        true_near_px=_near(samples, points, tolerance_px),
        found_near_px=float(measured.sum())
        * _ratio(_near(points, samples, tolerance_px), sum(float(weight.sum()) for _, weight in points), 0.0),
        n_true=len(true),
        n_found=len(found),
        n_recovered=len(rows),
        n_crossing=int(crossing.sum()),
        n_crossing_recovered=int(crossing[rows].sum()),
        length_errors=errors,
    )


_Steps = tuple[Floats, Floats]


def _steps(line: Floats) -> _Steps:
    """Middles and lengths of the steps of a line; a jump from one piece of it to the next is none."""
    steps = np.diff(line, axis=0)
    length = np.linalg.norm(steps, axis=1)
    short = length < 4
    return line[:-1][short] + steps[short] / 2, length[short]


def _followed(line: _Steps, other: _Steps, tolerance_px: float) -> float:
    """Share of the length of `line` within the tolerance of `other`."""
    points, weight = line
    if not len(points) or not len(other[0]):
        return 0.0
    near = cKDTree(other[0]).query(points, distance_upper_bound=tolerance_px)[0] <= tolerance_px
    return float(weight[near].sum() / weight.sum())


def _near(lines: Sequence[_Steps], others: Sequence[_Steps], tolerance_px: float) -> float:
    """Length of all `lines` that lies within the tolerance of any of `others`."""
    if not others or not lines:
        return 0.0
    everything = (
        np.concatenate([points for points, _ in others]),
        np.concatenate([weight for _, weight in others]),
    )
    return sum(_followed(line, everything, tolerance_px) * float(line[1].sum()) for line in lines)


def _crosses(i: int, lines: Sequence[_Steps], tolerance_px: float) -> bool:
    """Check whether line `i` comes near another one somewhere else than at its own ends."""
    points = lines[i][0]
    inner = points[5:-5]
    others = [line[0] for k, line in enumerate(lines) if k != i and len(line[0])]
    if not len(inner) or not others:
        return False
    return bool((cKDTree(np.concatenate(others)).query(inner)[0] <= tolerance_px / 2).any())


def _ratio(part: float, whole: float, empty: float = float("nan")) -> float:
    return part / whole if whole else empty
