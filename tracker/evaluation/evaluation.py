"""Score a model, or detections made elsewhere, on labelled images.

Each image goes the way of `track`, and is then compared with its labels.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from insitrack.io.arrays import BoolImage
from insitrack.io.detections import Detections
from insitrack.io.errors import SettingsError
from insitrack.io.frames import Frame
from insitrack.segment.base import Segmenter
from insitrack.segment.labels.classes import LEFT_OUT
from insitrack.segment.labels.reader import LabelledPicture, Labels
from insitrack.segment.prepare.field import FieldConfig, field_of
from insitrack.segment.scores.confusion import compare
from insitrack.segment.scores.matching import Method, Overlap
from insitrack.segment.scores.pixels import PixelCounts, pixel_counts
from insitrack.tracker.evaluation.parity import Picture, Sizes, look_at
from insitrack.tracker.measure.measure import MeasureConfig

PreparedPicture = tuple[LabelledPicture, BoolImage | None, Detections]
Comparison = Callable[[LabelledPicture, Detections, Detections], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalSettings:
    """How detections are compared with labels.

    Parameters
    ----------
    least_iou : float
        Overlap from which a pair counts, above 0 and up to 1.
    overlap : {"mask", "box"}
        Whose intersection over union is taken.
    matching : {"hungarian", "greedy"}
        How pairs are made; `greedy` with `box` is the rule of the script behind Jacobs et al. 2022.
    sizes : {"track", "jacobs"}
        Definitions of size: those of `track`, without defects cut by the border; or the published ones, with
        them.
    recall_only : bool
        Not every defect is labelled: only what share of the labels is found means anything.
    merge : mapping of str to str
        New names of classes, for labels and detections alike; ``ignore`` leaves a class out on both sides.
    """

    least_iou: float = 0.3
    overlap: Overlap = "mask"
    matching: Method = "hungarian"
    sizes: Sizes = "track"
    recall_only: bool = False
    merge: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.least_iou <= 1:
            raise SettingsError(f"--iou {self.least_iou:g}: expected a number above 0 and up to 1")


def parse_merge(text: str) -> dict[str, str]:
    """Read ``loop_111=loop,loop_100=loop,precipitate=ignore``.

    Raises
    ------
    SettingsError
        If a part is not of that form.

    Examples
    --------
    >>> parse_merge("loop_111=loop, void=ignore")
    {'loop_111': 'loop', 'void': 'ignore'}
    """
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    out = {old.strip(): new.strip() for old, _, new in parts}
    if not all(out) or not all(out.values()):
        raise SettingsError(
            f"--merge {text}: expected OLD=NEW,OLD=NEW; for example loop_111=loop,loop_100=loop"
        )
    return out


def merged(detections: Detections, merge: Mapping[str, str]) -> Detections:
    """Rename classes; what is renamed to ``ignore`` is left out."""
    if not merge:
        return detections
    renamed = np.array([merge.get(name, name) for name in detections.names()], object)
    kept = np.flatnonzero(renamed != LEFT_OUT)
    names = tuple(
        dict.fromkeys(new for name in detections.class_names if (new := merge.get(name, name)) != LEFT_OUT)
    )
    labels = np.array([names.index(name) + 1 for name in renamed[kept]], np.int64)
    return dataclasses.replace(detections.take(kept), labels=labels, class_names=names)


def from_model(
    segmenter: Segmenter, labels: Iterable[LabelledPicture], fields: FieldConfig
) -> Iterator[PreparedPicture]:
    """Run a model over labelled images as `track` does: at native depth, overlays and borders left out.

    Each image goes alone, so that neither its scale nor its polarity, where these are to be detected,
    depends on the others.
    """
    for i, picture in enumerate(labels):
        frame = Frame(i, float(i), picture.image)
        area = field_of(frame, fields)
        yield picture, area, segmenter(frame, area)


def from_predictions(
    predictions: Mapping[str, Detections], labels: Iterable[LabelledPicture], fields: FieldConfig
) -> Iterator[PreparedPicture]:
    """Put given detections beside the labels; the specimen in view is found as `track` finds it."""
    for picture in labels:
        yield picture, field_of(picture.frame, fields), predictions[picture.name]


def in_view(labels: Iterable[LabelledPicture], fields: FieldConfig) -> Iterator[PreparedPicture]:
    """Give labelled images with where they show the specimen, as `track` finds it, and nothing found in them."""
    for picture in labels:
        yield picture, field_of(picture.frame, fields), picture.truth.take(np.zeros(0, np.int64))


@dataclass(slots=True)
class Evaluation:
    """Everything that was compared, image by image.

    Parameters
    ----------
    settings : EvalSettings
        How.
    pictures : list of Picture
        Measured and paired.
    pixels : list of dict of str or None to PixelCounts
        Right and wrong pixels of each image by class; None is any class. Empty for recall only.
    n_boxes : int
        Labels that are nothing but a box.
    n_labels : int
        All labels.
    over_cap : int
        Detections that a cap threw away.
    """

    settings: EvalSettings
    pictures: list[Picture] = field(default_factory=list)
    pixels: list[dict[str | None, PixelCounts]] = field(default_factory=list)
    n_boxes: int = 0
    n_labels: int = 0
    over_cap: int = 0

    def take(
        self,
        looked: PreparedPicture,
        *,
        sizes: MeasureConfig,
        thickness_nm: float | None = None,
        nm_per_px: float | None = None,
        split: str = "",
        draw: Comparison | None = None,
    ) -> Picture:
        """Compare one image.

        Parameters
        ----------
        looked : (LabelledPicture, field, Detections)
            Image with its labels, where it shows the specimen, what was found.
        sizes : MeasureConfig
            Definitions of size of `track`.
        thickness_nm, nm_per_px : float, optional
            Foil thickness, and scale in place of what the file says.
        split : str
            Split in which it is a test image.
        draw : callable, optional
            Gets the image, the detections and the labels, to draw them.
        """
        labelled, area, found = looked
        found, true = merged(found, self.settings.merge), merged(labelled.truth, self.settings.merge)
        picture = look_at(
            compare(labelled.name, found, true, self.settings.overlap),
            field=area,
            least_iou=self.settings.least_iou,
            method=self.settings.matching,
            sizes=sizes,
            published=self.settings.sizes == "jacobs",
            nm_per_px=nm_per_px if nm_per_px is not None else labelled.nm_per_px,
            thickness_nm=thickness_nm,
            split=split,
        )
        self.pictures.append(picture)
        self.n_labels += len(labelled.outlined)
        self.n_boxes += int(np.count_nonzero(~labelled.outlined))
        self.over_cap += found.n_over_cap
        if not self.settings.recall_only:
            names = sorted({*true.names(), *found.names()})
            self.pixels.append(pixel_counts(found, true, [None, *names]))
            if draw is not None:
                draw(labelled, found, true)
        return picture


def value_of(row: Mapping[str, str], column: str, name: str) -> float | None:
    """Read a positive number from the table of the images.

    None where there is no such column or it is empty.

    Raises
    ------
    SettingsError
        If it is not a positive number.
    """
    text = row.get(column, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise SettingsError(
            f"--table: {column} of {name} is {text!r}; expected a positive number of nm, or nothing where it"
            " is unknown"
        )
    return value


def told_apart(labels: Labels, *, by_name: bool) -> Labels:
    """Give images of the same name the name of their folder, or a number, in front.

    Parameters
    ----------
    labels : Labels
        Labelled images.
    by_name : bool
        Whether predictions, a table or other labels speak of the images by name: then the same name twice
        is refused.

    Raises
    ------
    SettingsError
        If two have the same name and are spoken of by it.
    """
    counts = Counter(labels.names)
    repeated = [name for name, count in counts.items() if count > 1]
    if not repeated:
        return labels
    if by_name:
        raise SettingsError(
            f"two labelled images are named {repeated[0]!r}; predictions, tables and other people's labels go"
            " by name: give one folder, or rename"
        )
    names = [
        name if counts[name] == 1 else f"{sheet.picture.parent.name}_{name}"
        for name, sheet in zip(labels.names, labels.sheets, strict=True)
    ]
    if len(set(names)) < len(names):
        names = [f"{i:04d}_{name}" for i, name in enumerate(names)]
    return dataclasses.replace(labels, names=tuple(names))
