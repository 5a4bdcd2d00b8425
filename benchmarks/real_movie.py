"""What the shipped model makes of a real in-situ movie that it was never trained on.

Outlines, the count against time, nothing on the overlay.

``python benchmarks/real_movie.py [MOVIE]`` writes real_movie.json and real_movie.md beside this file and
docs/real_movie.png. The movie (Shen et al. 2021, doi 10.1016/j.commatsci.2021.110560) has no licence, so that
the figure shows the outlines alone and no image: run ``track MOVIE`` and open annotated.mp4 to see them on
the frames. Nobody has labelled it: these numbers are no scores.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import record
from matplotlib.axes import Axes

from insitrack.io.detections import Detections
from insitrack.io.frames import Frame
from insitrack.io.sources import open_source
from insitrack.segment.labels.yolo import polygons
from insitrack.segment.models import load_segmenter
from insitrack.segment.prepare.field import FieldFinder

MOVIE = Path(__file__).resolve().parents[2] / "shared" / "data" / "fecral-video" / "fecral_insitu_400-699.mp4"
SHOWN = (0, 60, 120, 180, 240, 299)
# where the text, the scale bar and the label stand in the last frame, px x0 y0 x1 y1, measured by hand; they
# wander a little
LETTERING = {"text and scale bar": (0, 610, 215, 685), "label": (965, 655, 1110, 710)}
COLOURS = {
    "black_dot": "#E69F00",
    "loop_111": "#009E73",
    "loop_100": "#0072B2",
    "loop": "#D55E00",
    "void": "#CC79A7",
    "precipitate": "#56B4E9",
}


def on_lettering(found: Detections) -> int:
    """Count detections whose centre lies where the last frame has lettering."""
    x, y = found.boxes[:, [0, 2]].mean(axis=1), found.boxes[:, [1, 3]].mean(axis=1)
    return int(
        sum(
            np.count_nonzero((x0 <= x) & (x < x1) & (y0 <= y) & (y < y1))
            for x0, y0, x1, y1 in LETTERING.values()
        )
    )


def watch(path: Path | str) -> tuple[list[Detections], list[float]]:
    """Run the model over the movie; return the detections of each frame, and its time."""
    finder = FieldFinder()
    with closing(open_source(path)) as source:
        frames = [item for item in source if isinstance(item, Frame)]
    items = ((frame, finder.update(frame.image), None) for frame in frames)
    return [found for found, _ in load_segmenter("loops").stream(items) if found is not None], [
        frame.t_s for frame in frames
    ]


def facts_of(found: list[Detections]) -> dict[str, Any]:
    """Return the counts and how smoothly they run."""
    counts = np.array([len(one) for one in found], float)
    smooth = np.convolve(np.pad(counts, 10, mode="edge"), np.ones(21) / 21, mode="valid")
    classes = sorted({name for one in found for name in one.names()})
    return {
        "movie": MOVIE.name,
        "frames": len(found),
        "detections_first_ten": float(counts[:10].mean()),
        "detections_last_ten": float(counts[-10:].mean()),
        "least": int(counts.min()),
        "most": int(counts.max()),
        "scatter_about_running_mean": round(float((counts - smooth).std() / counts.mean()), 4),
        "poisson_scatter": round(float(counts.mean() ** -0.5), 4),
        "on_lettering_last_frame": on_lettering(found[-1]),
        "share_of_class": {
            name: round(sum(one.names().count(name) for one in found) / float(counts.sum()), 3)
            for name in classes
        },
    }


def draw(panel: Axes, found: Detections, title: str) -> None:
    """Draw outlines in the colours of their classes, lettering grey."""
    for name, points in zip(found.names(), polygons(found.masks), strict=True):
        if len(points):
            panel.fill(*points.T, facecolor="none", edgecolor=COLOURS.get(name, "black"), linewidth=0.7)
    panel.set(
        xlim=(0, found.shape[1]), ylim=(found.shape[0], 0), aspect="equal", title=title, xticks=[], yticks=[]
    )
    for x0, y0, x1, y1 in LETTERING.values():
        panel.add_patch(
            plt.Rectangle((x0, y0), x1 - x0, y1 - y0, facecolor="0.9", edgecolor="none", zorder=0)
        )


def main() -> None:
    parser = record.options(__doc__)
    parser.add_argument("movie", nargs="?", default=MOVIE)
    given = parser.parse_args()
    docs = given.results if given.smoke else Path(__file__).resolve().parents[1] / "docs"
    if given.smoke:
        globals().update(SHOWN=tuple(range(6)), LETTERING={})
        given.movie = "synth:loops?seed=1&frames=6&size=128"
    found, times = watch(given.movie)
    facts = facts_of(found)
    figure = plt.figure(figsize=(13, 9), layout="constrained")
    panels = figure.subplot_mosaic([["a", "b", "c"], ["d", "e", "f"], ["n", "n", "n"]])
    for key, index in zip("abcdef", SHOWN, strict=True):
        draw(panels[key], found[index], f"{times[index]:.1f} s: {len(found[index])} defects")
    for name, colour in COLOURS.items():
        counts = [one.names().count(name) for one in found]
        if any(counts):
            panels["n"].plot(times, counts, color=colour, label=name, linewidth=1)
    panels["n"].plot(times, [len(one) for one in found], color="black", label="all", linewidth=1)
    panels["n"].set(xlabel="time (s)", ylabel="defects in the frame", ylim=(0, None))
    panels["n"].spines[["top", "right"]].set_visible(False)
    panels["n"].legend(frameon=False, ncols=4)
    figure.savefig(docs / "real_movie.png", dpi=90)
    rows = "\n".join(f"| {name.replace('_', ' ')} | {value} |" for name, value in facts.items())
    told = "`python benchmarks/real_movie.py`; outlines in docs/real_movie.png."
    text = f"# A real movie that the model was never trained on\n\n{told}\n\n| | |\n|---|---|\n{rows}\n"
    record.keep(__file__, facts, text, given.results)


if __name__ == "__main__":
    main()
