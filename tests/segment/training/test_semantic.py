"""Training a pixel-wise network: stopped, resumed, exported, and the export runs."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from insitrack.io.errors import ModelError, OutputError


@pytest.mark.filterwarnings("ignore")
def test_training_stops_resumes_and_exports_a_network_that_runs(tmp_path: Path) -> None:
    pytest.importorskip("onnxslim")
    from insitrack.segment.training.semantic import export, train
    from insitrack.segment.training.semantic_data import (
        CHANNELS,
        SemanticDataSettings,
        write_semantic_dataset,
    )
    from insitrack.segment.training.semantic_network import SemanticTrainSettings

    write_semantic_dataset(
        tmp_path / "data", SemanticDataSettings(scenes=3, frames_per_scene=1, size_px=64, held_out=0.4)
    )
    short = SemanticTrainSettings(hours=1e-6, image_px=32, batch=1, decoder=(8, 8, 8), steps_per_round=2)
    last = train(tmp_path / "data", tmp_path / "run", short)
    with pytest.raises(OutputError, match="add --resume"):
        train(tmp_path / "data", tmp_path / "run", short)
    with pytest.raises(ModelError, match="no checkpoint"):
        train(tmp_path / "data", tmp_path / "other", short, resume=True)
    train(tmp_path / "data", tmp_path / "run", dataclasses.replace(short, hours=1e-3), resume=True)
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert steps[0] == 2
    assert steps[-1] > 2
    weights = export(last, tmp_path / "net.onnx")
    from insitrack.segment.networks.runtime import load_network

    (outputs, _), *_ = list(
        load_network(weights, precision="f32").stream([(np.zeros((48, 80), np.uint8), None)])
    )
    assert outputs is not None
    assert outputs[0].shape == (len(CHANNELS), 48, 80)
    assert (outputs[0] >= 0).all()
    assert (outputs[0] <= 1).all()
