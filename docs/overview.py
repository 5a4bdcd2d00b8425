"""Draw the pictures of the README: a real heating experiment, and the demo movie.

``docs/overview.png`` needs the titanium frames of Hirst et al. 2024 (github.com/nomelabs/insitu-TEM-annealing-Ti,
MIT licence) in ``../shared/data/ti-anneal``; without them it is left as it is. ``docs/demo.png`` needs nothing.

    python docs/overview.py
"""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import insitrack
from insitrack.io.frames import Frame

DOCS = Path(__file__).resolve().parent
TITANIUM = DOCS.parents[1] / "shared" / "data" / "ti-anneal"
NM_PER_PX = 0.2554
FRAME = 5  # held out of the training of the shipped model, as are 0, 10 and 15
CORNER_PX, SIDE_PX = (1180, 1240), 760
BLUE, GREY = "#0072B2", "0.45"


def movie_frames(path: Path) -> Iterator[Any]:
    """Frames of a movie, RGB."""
    movie = cv2.VideoCapture(str(path))
    while (read := movie.read())[0]:
        yield cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)


def draw(path: Path, picture: Any, caption: str) -> Any:
    """Figure with a picture on the left; return it and the axes on the right."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 4.6), width_ratios=(1, 1.15), layout="constrained"
    )
    left.imshow(picture, interpolation="lanczos")
    left.set_axis_off()
    left.set_title(caption, fontsize=10)
    right.spines[["top", "right"]].set_visible(False)
    return figure, right


def outlined(image: Any) -> Any:
    """Crop of a frame with the outline of each defect that the shipped model finds, and a scale bar of 50 nm."""
    found = insitrack.load_segmenter()(Frame(0, 0.0, image))
    picture = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    for i, (y, x) in enumerate(found.masks.corners):
        crop = found.masks.crop(i).astype(np.uint8)
        lines, _ = cv2.findContours(crop, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(int(x), int(y)))
        cv2.drawContours(picture, lines, -1, (213, 94, 0), 2, cv2.LINE_AA)
    y, x = CORNER_PX
    crop = picture[y : y + SIDE_PX, x : x + SIDE_PX]
    bar_px = round(50 / NM_PER_PX)
    cv2.rectangle(crop, (24, SIDE_PX - 40), (24 + bar_px, SIDE_PX - 30), (255, 255, 255), -1)
    cv2.putText(
        crop, "50 nm", (24, SIDE_PX - 52), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255, 255, 255), 3, cv2.LINE_AA
    )
    return crop


def titanium() -> None:
    """Draw the heating of neutron-irradiated titanium: one frame, and the count against two people's."""
    names = sorted((TITANIUM / "images").glob("*.jpg"))
    with tempfile.TemporaryDirectory() as folder:
        run = insitrack.track(
            str(TITANIUM / "images"),
            folder,
            nm_per_px=NM_PER_PX,
            config=insitrack_config(),
            overwrite=True,
        )
        found = pd.read_csv(run.folder / "frames.csv")["n_detections"]
    times = pd.read_csv(TITANIUM / "frame_time_temperature.csv").set_index("frame")
    numbers = [int(path.stem.removeprefix("frame_")) for path in names]
    celsius = times.loc[numbers, "temperature_C"].to_numpy()
    people = np.array(
        [
            [len((TITANIUM / kind / f"{path.stem}.txt").read_text().splitlines()) for path in names]
            for kind in ("annotation_old", "annotation_new")
        ]
    )
    image = cv2.imread(str(names[FRAME]), cv2.IMREAD_GRAYSCALE)
    figure, axes = draw(DOCS / "overview.png", outlined(image), f"{celsius[FRAME]} °C, part of the frame")
    axes.fill_between(celsius, *people, color="0.87", lw=0, label="between two rounds of outlining by hand")
    axes.plot(celsius, found, "-", color=BLUE, lw=1.2)
    held = np.arange(len(names)) % 5 == 0
    axes.plot(celsius[~held], found[~held], "o", color=BLUE, ms=4, label="insitrack, frames used in training")
    axes.plot(
        celsius[held], found[held], "o", color=BLUE, mfc="white", ms=7, label="insitrack, frames held out"
    )
    axes.set(xlabel="temperature (°C)", ylabel="loops in the frame", ylim=(0, 620))
    axes.legend(frameon=False, loc="lower left", fontsize=9)
    figure.savefig(DOCS / "overview.png", dpi=100)


def insitrack_config() -> Any:
    """Take the titanium frames, minutes and 100 nm apart, as micrographs, and draw no movie."""
    from insitrack.tracker.run.config import load_config

    return load_config(None, ["output.video=false", "source.stills=true"])


def demo() -> None:
    """Draw what the README's first command writes, beside the exact truth."""
    from insitrack.io.synth.source import SynthSource

    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- demo -->\n```console\n\$ (.*)\n", readme)
    assert found
    words = shlex.split(found.group(1).split("&&")[-1])
    with tempfile.TemporaryDirectory() as folder:
        run = insitrack.track(words[1], folder, thickness_nm=100.0, overwrite=True)
        picture = list(movie_frames(run.folder / "annotated.mp4"))[-5]
        series = run.series.query("defect_class == 'all'")
    scene = SynthSource(words[1])
    truth = [len(scene.truth(index)) for index in range(len(series))]
    figure, axes = draw(DOCS / "demo.png", picture, "a frame of demo/annotated.mp4")
    axes.fill_between(series["t_s"], series["n_lo"], series["n_hi"], color="0.85", label="95 %")
    axes.plot(series["t_s"], series["n"], color=BLUE, label="measured")
    axes.plot(
        series["t_s"], np.array(truth), color="black", ls="--", label="drawn so that a person can see them"
    )
    axes.set(xlabel="time (s)", ylabel="defects in the frame", ylim=(0, None))
    axes.legend(frameon=False, loc="upper left", fontsize=9)
    figure.savefig(DOCS / "demo.png", dpi=100)


if __name__ == "__main__":
    demo()
    if TITANIUM.is_dir():
        titanium()
    else:
        print(f"{TITANIUM}: not there; docs/overview.png is left as it is")
