"""What `track label` chooses to be labelled, against the first frames and frames at even distances.

    python benchmarks/label_choice.py [--crops 12] [--scenes two_beam loops mixed] [--seeds 1 2]

Drawn movies, whose truth is known. Of every choice it counts how many different defects come under the hand of whoever
labels, and how many different mistakes of the model are put right: defects that it misses, and outlines that are none,
each defect and each place once however many crops show it. First and even frames give their crop in the middle. The
figures are written beside this file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import record

from insitrack.io.synth.source import SynthSource
from insitrack.segment.base import SegmentConfig
from insitrack.segment.labels.window import in_window
from insitrack.segment.models import load_segmenter
from insitrack.segment.scores.matching import pairs
from insitrack.tracker.existence.settings import ExistenceConfig
from insitrack.tracker.labelling.choose import Window, choose
from insitrack.tracker.labelling.scan import Scanned, scan, windows_of
from insitrack.tracker.labelling.settings import LabelSettings
from insitrack.tracker.run.calibrated import calibrated
from insitrack.tracker.run.config import RunConfig

_IOU = 0.3
_PLACE_PX = 24  # wrong outlines nearer than this in two crops are the same one


def middle(windows: list[Window], frame: int) -> Window:
    """Window nearest to the middle of a frame."""
    here = [one for one in windows if one.frame == frame]
    centre = np.mean([(one.x_px, one.y_px) for one in here], axis=0)
    return min(
        here, key=lambda one: (np.hypot(*(np.array([one.x_px, one.y_px]) - centre)), one.y_px, one.x_px)
    )


def worth(movie: SynthSource, looked: list[Scanned], picked: list[Window]) -> dict[str, float]:
    """Different defects in some windows, and different mistakes of the model."""
    by_frame = {one.frame.index: one for one in looked}
    defects: set[int] = set()
    missed: set[int] = set()
    wrong: set[tuple[int, int]] = set()
    for window in picked:
        seen, state = by_frame[window.frame], movie.truth_state(window.frame)
        visible = np.flatnonzero(state.visible)
        corner, shape = (window.y_px, window.x_px), (window.height_px, window.width_px)
        true, rows = in_window(state.detections.take(visible), corner, shape)
        ids = movie.truth_track_ids(window.frame)
        ids = (ids[visible] if len(ids) == len(state.visible) else ids)[rows]
        likely = seen.found.take(np.flatnonzero(seen.probability >= RunConfig().existence.keep))
        found, _ = in_window(likely, corner, shape)
        hit, of = pairs(found.masks.iou(true.masks), _IOU)
        defects |= set(ids.tolist())
        missed |= set(np.delete(ids, of).tolist())
        boxes = np.delete(found.boxes, hit, axis=0)
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2 + [window.x_px, window.y_px]
        wrong |= {(int(x // _PLACE_PX), int(y // _PLACE_PX)) for x, y in centres.tolist()}
    return {
        "defects": len(defects),
        "mistakes": len(missed) + len(wrong),
        "missed": len(missed),
        "wrong": len(wrong),
    }


def measure(scene: str, n_crops: int, crop_px: int) -> dict[str, dict[str, float]]:
    """Worth of the three choices on one movie."""
    movie = SynthSource(scene)
    segmenter = load_segmenter("loops", SegmentConfig(confidence=RunConfig().existence.candidate_score))
    existence: ExistenceConfig = calibrated(RunConfig(), segmenter.describe()).existence
    looked = scan(movie, segmenter, existence, n_crops)
    windows = windows_of(looked, LabelSettings(frames=n_crops, crop_px=crop_px))
    frames = sorted({one.frame for one in windows})
    even = np.linspace(0, len(frames) - 1, n_crops).round().astype(int)
    first = scan(_Beginning(movie, n_crops), segmenter, existence, n_crops)
    at_first = windows_of(first, LabelSettings(frames=n_crops, crop_px=crop_px))
    return {
        "first frames": worth(
            movie, first, [middle(at_first, frame) for frame in sorted({w.frame for w in at_first})]
        ),
        "even distances": worth(movie, looked, [middle(windows, frames[i]) for i in even.tolist()]),
        "track label": worth(movie, looked, [windows[i] for i in choose(windows, n_crops)]),
    }


class _Beginning:
    """The first frames of a movie."""

    def __init__(self, movie: SynthSource, n: int) -> None:
        self._movie, self.n_frames = movie, n

    def __iter__(self) -> Any:
        for item in self._movie:
            if item.index >= self.n_frames:
                return
            yield item


def page(facts: dict[str, Any]) -> str:
    names = ("defects", "mistakes", "missed", "wrong")
    rows = [
        [scene, how, *(f"{scores[name]:g}" for name in names)]
        for scene, choices in facts["movies"].items()
        for how, scores in choices.items()
    ]
    rows += [["**all**", how, *(f"{facts['all'][how][name]:g}" for name in names)] for how in facts["all"]]
    return f"""# What is chosen to be labelled

{facts["crops"]} crops of {facts["crop_px"]} px from drawn movies of {facts["frames"]} frames, {facts["size"]} px. Different
defects that are seen by whoever labels, and different mistakes of the model `loops` that are put right, by three
choices; {record.machine()}.

{chr(10).join(record.table(["movie", "crops", "defects", "mistakes", "missed", "wrong outlines"], rows))}
"""


def main() -> None:
    parser = record.options(__doc__)
    parser.add_argument("--crops", type=int, default=12)
    parser.add_argument("--crop-px", type=int, default=320)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--scenes", nargs="+", default=["two_beam", "loops", "mixed"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    if given.smoke:
        given.crops, given.crop_px, given.frames, given.size, given.scenes, given.seeds = (
            2,
            64,
            6,
            128,
            ["loops"],
            [1],
        )
    movies = {
        f"{kind} {seed}": measure(
            f"synth:{kind}?seed={seed}&frames={given.frames}&size={given.size}&jumps=2",
            given.crops,
            given.crop_px,
        )
        for kind in given.scenes
        for seed in given.seeds
    }
    names = next(iter(movies.values()))
    total = {
        how: {name: sum(one[how][name] for one in movies.values()) for name in names[how]} for how in names
    }
    facts = {
        "crops": given.crops, "crop_px": given.crop_px, "frames": given.frames, "size": given.size,
        "movies": movies, "all": total,
    }  # fmt: skip
    record.keep(__file__, facts, page(facts), given.results)


if __name__ == "__main__":
    main()
