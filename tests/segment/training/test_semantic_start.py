"""A training goes on from an exported network; which centrelines are believed."""

from pathlib import Path

import numpy as np
import pytest
import torch

from insitrack.io.errors import ModelError
from insitrack.segment.models import shipped_models
from insitrack.segment.networks.semantic import CentrelineThresholds, trace_centrelines
from insitrack.segment.training.semantic_network import SemanticNetwork, SemanticTrainSettings
from insitrack.segment.training.semantic_start import take_over_exported

pytestmark = pytest.mark.filterwarnings("ignore:.timm-. encoders:DeprecationWarning")
SHIPPED = shipped_models()["lines"].with_suffix(".onnx")


def pictures(n: int = 4, side: int = 96) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((n, 1, side, side), dtype=np.float32))


def test_a_network_says_the_same_before_it_was_exported_and_after_it_was_taken_back() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    images = pictures()
    network = SemanticNetwork(SemanticTrainSettings())
    take_over_exported(network, SHIPPED, images)
    expected = onnxruntime.InferenceSession(str(SHIPPED)).run(None, {"images": images[:1].numpy()})[0]
    with torch.no_grad():
        np.testing.assert_allclose(torch.sigmoid(network.eval()(images[:1])).numpy(), expected, atol=1e-4)
        # while it trains the images at hand normalise it: the same images, the same answers
        np.testing.assert_allclose(torch.sigmoid(network.train()(images)).numpy()[:1], expected, atol=1e-3)


def test_a_network_of_other_layers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="layers"):
        take_over_exported(SemanticNetwork(SemanticTrainSettings(decoder=(64, 48, 32))), SHIPPED, pictures())
    with pytest.raises(ModelError, match="no such network"):
        take_over_exported(SemanticNetwork(SemanticTrainSettings()), tmp_path / "absent.onnx", pictures())


def streaks() -> np.ndarray:
    """A clear line that fades at one end, and a faint streak."""
    core = np.zeros((80, 200), np.uint8)
    core[20:23, 10:120] = 230
    core[20:23, 120:180] = 90
    core[60:63, 40:160] = 90
    return core


def test_a_faint_line_counts_where_it_goes_on_from_a_clear_one() -> None:
    lines = trace_centrelines(streaks(), CentrelineThresholds(threshold=0.3, sure=0.6), 3.0)
    assert len(lines) == 1
    assert len(lines[0]) > 160
    assert len(trace_centrelines(streaks(), CentrelineThresholds(threshold=0.3, sure=0.3), 3.0)) == 2


def test_lines_of_a_low_mean_chance_are_dropped() -> None:
    assert (
        len(trace_centrelines(streaks(), CentrelineThresholds(threshold=0.3, sure=0.3, mean=0.5), 3.0)) == 1
    )
    assert trace_centrelines(np.zeros((40, 40), np.uint8), CentrelineThresholds(), 3.0) == []
