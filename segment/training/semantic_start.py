"""Weights of an exported pixel-wise network put back into the network that trains.

A training may go on from a shipped model.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from torch import nn

from insitrack.io.errors import ModelError


def take_over_exported(network: nn.Module, path: Path, images: torch.Tensor) -> None:
    r"""Fill a network with the weights of an ONNX file that was exported from one like it.

    The export folds each batch normalisation into the convolution before it: :math:`W' = W \gamma / \sigma`,
    :math:`b' = \beta - \mu \gamma / \sigma`. What does not follow from these is chosen so that the network
    says the same: with W' for its weights, a convolution's answers have a mean m and a variance v over
    `images`, and :math:`\gamma = \sqrt v`, :math:`\beta = b' + m` undo the normalisation by them.

    Parameters
    ----------
    network : Module
        Built with the same settings; left in evaluation mode.
    path : Path
        ``.onnx`` file of `insitrack.segment.training.semantic.export`.
    images : Tensor, shape (B, 1, H, W)
        Images like those of the training, in 0..1.

    Raises
    ------
    ModelError
        If there is no such file, or its layers are not those of the network.
    """
    layers = _folded(path)
    order: list[nn.Conv2d] = []
    hooks = [
        part.register_forward_hook(lambda part, *_: order.append(part))
        for part in network.modules()
        if isinstance(part, nn.Conv2d)
    ]
    network.eval()
    with torch.no_grad():
        network(images[:1])
    for hook in hooks:
        hook.remove()
    if [tuple(part.weight.shape) for part in order] != [weight.shape for weight, _ in layers]:
        raise ModelError(
            f"{path}: its {len(layers)} layers are not the {len(order)} of this network; start from random"
            " weights, without --start"
        )
    biases = {id(part): torch.from_numpy(bias) for part, (_, bias) in zip(order, layers, strict=True)}
    for part, (weight, bias) in zip(order, layers, strict=True):
        part.weight.data.copy_(torch.from_numpy(weight))
        if part.bias is not None:
            part.bias.data.copy_(torch.from_numpy(bias))
    _normalise(network, biases, images)


def _folded(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights and biases of the convolutions of an exported network, in the order in which they run."""
    import onnx
    from onnx import numpy_helper

    if not path.is_file():
        raise ModelError(f"{path}: no such network; expected the .onnx file of a pixel-wise network")
    graph = onnx.load(str(path)).graph
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = [
        (node.input[1], node.input[2])
        for node in graph.node
        if node.op_type == "Conv" and len(node.input) == 3
    ]

    def number(names: tuple[str, str]) -> float:
        # torch numbers what it folds as it goes; the last layer has nothing to fold and keeps its name
        match = re.fullmatch(r"onnx::Conv_(\d+)", names[0])
        return float(match.group(1)) if match else float("inf")

    return [(known[weight].copy(), known[bias].copy()) for weight, bias in sorted(found, key=number)]


def _normalise(network: nn.Module, biases: dict[int, torch.Tensor], images: torch.Tensor) -> None:
    """Set each batch normalisation, in the order in which they run.

    It then adds the bias of its convolution and does nothing else.
    """
    last: list[nn.Conv2d] = []

    def ran(part: nn.Module, *_: object) -> None:
        assert isinstance(part, nn.Conv2d)
        last.append(part)

    def set_up(part: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(part, nn.BatchNorm2d)
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), unbiased=False)
        part.running_mean.copy_(mean)
        part.running_var.copy_(variance)
        part.weight.data.copy_(torch.sqrt(variance + part.eps))
        part.bias.data.copy_(biases[id(last[-1])] + mean)

    hooks = [part.register_forward_hook(ran) for part in network.modules() if isinstance(part, nn.Conv2d)]
    hooks += [
        part.register_forward_pre_hook(set_up)
        for part in network.modules()
        if isinstance(part, nn.BatchNorm2d)
    ]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
