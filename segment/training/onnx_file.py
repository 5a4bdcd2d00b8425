"""Networks of PyTorch written as ONNX files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from insitrack.io.write import replacing


def write_onnx(
    network: torch.nn.Module,
    shape: tuple[int, int, int, int],
    outputs: Sequence[str],
    target: Path,
    *,
    free: Mapping[str, Mapping[int, str]],
) -> None:
    """Write a network whose input ``images`` has free height and width, simplified by onnxslim.

    Parameters
    ----------
    network : Module
        Ready to run.
    shape : tuple of int
        Shape of an input that it takes.
    outputs : sequence of str
        Names of its outputs.
    target : Path
        The ``.onnx`` file, which appears when it is whole.
    free : mapping
        Name of each free axis of each output.
    """
    import onnx
    import onnxslim

    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as part:
        torch.onnx.export(
            network,
            (torch.zeros(*shape),),
            str(part),
            opset_version=17,
            input_names=["images"],
            output_names=list(outputs),
            dynamic_axes={"images": {2: "height", 3: "width"}, **free},
            dynamo=False,
        )
        onnx.save(onnxslim.slim(onnx.load(str(part))), str(part))
