"""How far a training is, in the measure that was asked for: minutes, or epochs."""

import re

import pytest

from insitrack.segment.base import SegmentConfig
from insitrack.segment.finetune import judge as judging


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(judging.time, "monotonic", lambda: now[0])
    return now


def lines(tmp_path, clock, minutes, batches):
    said = []
    judge = judging.Judge(tmp_path, [], SegmentConfig(), {}, said.append, minutes)
    for seconds, epochs in batches:
        clock[0] = seconds
        judge.batch_done(epochs, 12, 0.5)
    return said


def test_a_training_by_minutes_counts_to_its_minutes_and_never_past_them(tmp_path, clock):
    said = lines(tmp_path, clock, 3.0, [(10.0 * i, 0.01 * i) for i in range(1, 25)])
    counted = [float(re.match(r"([\d.]+) of 3 min, ", line)[1]) for line in said]
    assert counted == sorted(counted)
    assert (counted[0], counted[-1]) == (0.2, 3.0)
    assert said[5].endswith("about 2.0 min left")


def test_a_training_by_epochs_counts_to_its_last(tmp_path, clock):
    said = lines(tmp_path, clock, None, [(1.0, 0.5), (61.0, 1.5)])
    assert said == ["epoch 2 of 12, 50 %, loss 0.50, about 10.5 min left"]
