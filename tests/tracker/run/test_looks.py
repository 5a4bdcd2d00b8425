"""In how many scales the frames of a run are shown: a movie in one, micrographs in three, and a resumed run as before."""

from dataclasses import replace

import pytest

from insitrack.io.sources import open_source
from insitrack.segment.base import SegmentConfig
from insitrack.tracker.run.config import load_config
from insitrack.tracker.run.job.opening import segment_settings
from insitrack.tracker.run.resume import as_found


@pytest.mark.parametrize(
    ("frames", "settings", "looks", "scale"),
    [
        (12, [], 1, "auto"),
        (1, [], 3, "auto"),
        (2, [], 3, "auto"),
        (12, ["source.every=6"], 3, "auto"),
        (12, ["source.every=4"], 1, "auto"),
        (12, ["source.stills=true"], 3, "each"),
        (12, ["source.stills=true", "segment.scale=0.5", "segment.looks=1"], 1, 0.5),
        (1, ["segment.looks=1"], 1, "auto"),
        (12, ["segment.looks=3"], 3, "auto"),
    ],
)
def test_a_few_frames_are_micrographs_and_what_was_asked_for_holds(
    frames: int, settings: list[str], looks: int, scale: float | str
) -> None:
    source = open_source(f"synth:loops?seed=1&size=64&frames={frames}")
    chosen = segment_settings(source, load_config(assignments=settings))
    assert (chosen.looks, chosen.scale) == (looks, scale)


def test_a_resumed_run_shows_its_frames_as_before() -> None:
    view = {"scale": 0.71, "contrast": "bright", "looks": 1, "frames_looked_at": 3}
    assert as_found(SegmentConfig(), view) == SegmentConfig(scale=0.71, contrast="bright", looks=1)
    micrographs = SegmentConfig(scale="each")
    assert as_found(micrographs, {**view, "looks": 3}) == replace(micrographs, looks=3)
