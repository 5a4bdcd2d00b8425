"""Draw `docs/overview.png`: an annotated frame of a synthetic movie.

And what is measured in the movie against its exact truth.

python docs/overview.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np

import insitrack
from insitrack.io.synth.source import SynthSource

SCENE = "synth:two_beam?seed=70006&frames=60&size=512&start=0.5"


def main() -> None:
    """Run the demo of the README and draw it beside the truth."""
    with tempfile.TemporaryDirectory() as folder:
        run = insitrack.track(SCENE, folder, thickness_nm=100.0, dose_rate_dpa_per_s=1e-3, material="fecral")
        movie = cv2.VideoCapture(str(run.folder / "annotated.mp4"))
        frames = []
        while (read := movie.read())[0]:
            frames.append(read[1])
        series = run.series.query("defect_class == 'all'")
    scene = SynthSource(SCENE)
    truth = [len(scene.truth(index)) for index in range(len(series))]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(13, 5.6), width_ratios=(1.05, 1), layout="constrained"
    )
    left.imshow(cv2.cvtColor(frames[-10], cv2.COLOR_BGR2RGB))
    left.set_axis_off()
    right.fill_between(
        series["t_s"], series["n_lo"], series["n_hi"], color="0.85", label="95 % Poisson interval"
    )
    right.plot(series["t_s"], series["n"], color="#0072B2", label="measured by the shipped model")
    right.plot(series["t_s"], np.array(truth), color="black", ls="--", label="visible in truth")
    right.set(xlabel="time (s)", ylabel="defects in the frame", ylim=(0, None))
    right.spines[["top", "right"]].set_visible(False)
    right.legend(frameon=False, loc="lower right")
    figure.savefig(Path(__file__).with_name("overview.png"), dpi=100)


if __name__ == "__main__":
    main()
