"""A live run that keeps its frames can be drawn with its final ids."""

import numpy as np
import pytest

import insitrack
from insitrack.io.draw import annotate
from insitrack.io.draw.kept import KeptFrames
from insitrack.io.frames import Frame
from insitrack.tests.support.live_run import LiveRun
from insitrack.tracker.cli import main

pytestmark = pytest.mark.live


def test_the_kept_frames_of_a_camera_are_drawn_with_the_refined_ids(tmp_path, monkeypatch):
    with LiveRun(tmp_path / "run", settings=["output.raw=true"]) as live:
        live.until(lambda: live.status()["processed"] > 12)
    run = insitrack.open_run(tmp_path / "run")
    kept = [item for item in KeptFrames(run.folder) if isinstance(item, Frame)]
    processed = run.frames.query("status == 'processed'")
    assert [item.index for item in kept] == processed["frame"].tolist()
    assert len({item.image.tobytes() for item in kept}) > 5
    assert np.isfinite([item.t_s for item in kept]).all()
    painted = []
    paint = annotate.Annotator.paint

    def spied(self, tracked):
        painted.append(tracked)
        return paint(self, tracked)

    monkeypatch.setattr(annotate.Annotator, "paint", spied)
    assert main(["annotate", str(run.folder), "--out", str(tmp_path / "final.mp4")]) == 0
    seen = {(one.frame.index, name) for one in painted for name in one.track_ids.tolist()}
    assert seen == set(run.tracks[["frame", "track_id"]].itertuples(index=False, name=None))
    assert len(seen) > 20
