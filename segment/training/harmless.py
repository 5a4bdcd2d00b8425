"""Checkpoints of strangers, checked before any library sees them: nothing in them is run, nothing outgrows the file.

Ultralytics evaluates the activation that an architecture names as Python, looks its modules up by name, and
builds whatever sizes it is given; a pickled network may name any function. Here names come from fixed lists,
numbers have ranges, and the weights in the file must be those of the architecture beside them.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from insitrack.io.errors import ModelError
from insitrack.io.manifest import file_sha256

# classes of which a pickled YOLO-seg network consists; a file that names any other is not opened
_PICKLED = {
    "torch.nn.modules.activation": (
        "SiLU ReLU ReLU6 LeakyReLU Hardswish Hardsigmoid Sigmoid Mish GELU ELU PReLU"
    ),
    "torch.nn.modules.batchnorm": "BatchNorm2d",
    "torch.nn.modules.container": "ModuleList Sequential",
    "torch.nn.modules.conv": "Conv2d ConvTranspose2d",
    "torch.nn.modules.linear": "Identity",
    "torch.nn.modules.pooling": "MaxPool2d AvgPool2d",
    "torch.nn.modules.upsampling": "Upsample",
    "ultralytics.nn.modules.block": (
        "A2C2f AAttn ABlock AConv ADown Attention Bottleneck C2 C2PSA C2f C2fCIB C3 C3Ghost C3k C3k2 CBFuse"
        " CBLinear CIB DFL ELAN1 GhostBottleneck PSA PSABlock Proto Proto26 RepBottleneck RepCSP RepNCSPELAN4"
        " RepVGGDW SCDown SPP SPPELAN SPPF"
    ),
    "ultralytics.nn.modules.conv": "Concat Conv DWConv GhostConv RepConv",
    "ultralytics.nn.modules.head": "Segment Segment26",
    "ultralytics.nn.tasks": "SegmentationModel",
    "ultralytics.utils": "IterableSimpleNamespace",
    "insitrack.segment.train": "Bf16SegmentationModel",
    "insitrack.segment.training.yolo": "Bf16SegmentationModel",
}
_KNOWN = frozenset(f"{module}.{name}" for module, names in _PICKLED.items() for name in names.split())

_WITH_CHANNELS = frozenset(
    (
        "A2C2f",
        "AConv",
        "ADown",
        "C2",
        "C2PSA",
        "C2f",
        "C2fCIB",
        "C3",
        "C3Ghost",
        "C3k2",
        "Conv",
        "DWConv",
        "ELAN1",
    )
) | frozenset(("GhostConv", "PSA", "RepNCSPELAN4", "SCDown", "SPP", "SPPELAN", "SPPF"))
_HALVING = frozenset(("AConv", "ADown"))
_HEADS = frozenset(("Segment", "Segment26"))
_WITHOUT_WEIGHTS = frozenset(("CBFuse", "Concat", "nn.Identity", "nn.Upsample"))
_MODULES = _WITH_CHANNELS | _HEADS | _WITHOUT_WEIGHTS | {"CBLinear"}
_ACTIVATION = re.compile(
    r"(torch\.)?nn\.(SiLU|ReLU|ReLU6|LeakyReLU|Hardswish|Mish|GELU|ELU|Identity)\((0?\.\d{1,4}|inplace=True)?\)"
)
_WORDS = frozenset(("nc", "None", "nearest", "bilinear", "True", "False"))
_MOST_LAYERS, _MOST_REPEATS, _MOST_SOURCES, _MOST_ARGUMENTS = 128, 32, 16, 8
_MOST_CHANNELS, _MOST_CLASSES = 8192, 1000
_TRIED_PX = 256  # side of the image that ultralytics sends through a network as it builds it
_MOST_VALUES = 2**26  # that a layer may give for such an image: 256 MB


def check_harmless(path: Path) -> None:
    """Refuse a checkpoint that would run anything but the parts of a network when it is opened.

    Raises
    ------
    ModelError
        If the file is missing, is no checkpoint, unpacks to more than it is, or names a function or class
        that no YOLO-seg network needs.
    """
    if not path.is_file():
        raise ModelError(
            f"{path}: no such checkpoint; expected a .pt file, for example weights/last.pt of a training"
        )
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ModelError(
                    f"{path}: holds compressed parts, which torch never writes; it was not opened; save it again"
                    " with torch.save"
                )
    try:
        named = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        raise ModelError(
            f"{path}: not a checkpoint of torch ({type(error).__name__}: {first}); expected a .pt file"
        ) from error
    foreign = sorted(set(named) - _KNOWN)
    if foreign:
        raise ModelError(
            f"{path}: opening it would run {foreign[0]}, which no YOLO-seg network needs; it was not opened"
            f" (SHA-256 {file_sha256(path)[:12]}...)"
        )


def check_network(path: Path, architecture: Any, classes: Any, state: Any) -> None:
    """Refuse an architecture, names and weights that are not those of one YOLO-seg network.

    Parameters
    ----------
    path : Path
        Named in the message.
    architecture : dict
        What ultralytics builds the network from, as it stands in the file.
    classes : sequence of str
        In the order of the outputs.
    state : dict of Tensor
        The weights.

    Raises
    ------
    ModelError
        If a key, name, number or size is not one that such a network has, or a weight is not in the place or
        of the shape that the architecture asks for.
    """
    if (
        not isinstance(classes, Sequence)
        or isinstance(classes, str)
        or not 1 <= len(classes) <= _MOST_CLASSES
        or not all(isinstance(name, str) and len(name) <= 200 for name in classes)
    ):
        raise _refused(path, "classes", classes, f"1 to {_MOST_CLASSES} names")
    _check_weights(path, state)
    _check_architecture(path, architecture)
    expected = _shapes(path, architecture, len(classes))
    for name in sorted(expected.keys() ^ state.keys()):
        raise ModelError(f"{path}: {name}: a weight of the architecture or of the file without the other")
    for name, shape in expected.items():
        if tuple(state[name].shape) != shape:
            raise ModelError(
                f"{path}: {name}: the weight is {tuple(state[name].shape)}, the architecture asks for {shape}"
            )


def _check_weights(path: Path, state: Any) -> None:
    """Weights are numbers that the file holds: a tiny file may claim a huge tensor that repeats one value."""
    if not isinstance(state, dict) or not state:
        raise _refused(path, "state", state, "names and tensors")
    for name, value in state.items():
        if not isinstance(name, str) or type(value) not in (torch.Tensor, torch.nn.Parameter):
            raise _refused(path, f"state {name!r}"[:80], type(value).__name__, "a tensor")
        if value.layout != torch.strided or value.numel() * value.element_size() > (
            value.untyped_storage().nbytes()
        ):
            raise _refused(
                path, name, f"tensor of {tuple(value.shape)}", "no more values than the file holds"
            )


def _check_architecture(path: Path, architecture: Any) -> None:
    """Keys, names and ranges."""
    if not isinstance(architecture, dict):
        raise _refused(path, "architecture", architecture, "a dictionary")
    checks: dict[str, Callable[[Any], bool]] = {
        "nc": lambda value: _whole(value, 1, _MOST_CLASSES),
        "ch": lambda value: value == 3,
        "channels": lambda value: value == 3,
        "reg_max": lambda value: _whole(value, 1, 64),
        "end2end": lambda value: isinstance(value, bool),
        "depth_multiple": lambda value: _number(value, 0.01, 4),
        "width_multiple": lambda value: _number(value, 0.01, 4),
        "activation": lambda value: isinstance(value, str) and bool(_ACTIVATION.fullmatch(value)),
        "yaml_file": lambda value: isinstance(value, str),
        "scale": lambda value: (
            value in ("", None) or (isinstance(value, str) and value in (architecture.get("scales") or {}))
        ),
        "scales": lambda value: isinstance(value, dict) and all(map(_is_scale, value.items())),
        "backbone": lambda value: isinstance(value, list),
        "head": lambda value: isinstance(value, list),
    }
    for key, value in architecture.items():
        if key not in checks:
            raise ModelError(
                f"{path}: architecture: unknown key {str(key)[:40]!r}; expected some of {', '.join(checks)}"
            )
        if value is None and key in ("activation", "scales", "end2end"):
            continue
        if not checks[key](value):
            raise _refused(path, f"architecture: {key}", value, "a value that a YOLO-seg network has")
    layers = architecture.get("backbone", []) + architecture.get("head", [])
    if not 1 <= len(layers) <= _MOST_LAYERS:
        raise _refused(path, "architecture", f"{len(layers)} layers", f"1 to {_MOST_LAYERS}")
    _check_layers(path, architecture, layers)


def _check_layers(path: Path, architecture: Mapping[str, Any], layers: Sequence[Any]) -> None:
    """Every layer: known module, sources before it, arguments in range, output of a bounded size."""
    width, most = architecture.get("width_multiple", 1.0), _MOST_CHANNELS
    scales = architecture.get("scales")
    if scales:
        _, width, most = scales[architecture.get("scale") or next(iter(scales))]
    channels, strides = [3], [1]  # of each layer's output; index -1 is the last
    for number, layer in enumerate(layers):
        where = f"architecture: layer {number}"
        if not (isinstance(layer, list | tuple) and len(layer) == 4 and isinstance(layer[3], list | tuple)):
            raise _refused(path, where, layer, "from, repeats, module, arguments")
        sources, repeats, module, arguments = layer
        if not (isinstance(module, str) and module in _MODULES) or (module in _HEADS) != (
            number == len(layers) - 1
        ):
            raise _refused(path, where, module, f"one of {', '.join(sorted(_MODULES))}, a Segment last")
        if not _whole(repeats, 1, 1 if module in _WITHOUT_WEIGHTS | _HEADS else _MOST_REPEATS):
            raise _refused(path, where, repeats, f"1 to {_MOST_REPEATS} repeats")
        listed = sources if isinstance(sources, list | tuple) else [sources]
        if not 1 <= len(listed) <= _MOST_SOURCES or not all(
            _whole(one, -number - 1, number - 1) for one in listed
        ):
            raise _refused(path, where, sources, "layers before it")
        if len(arguments) > _MOST_ARGUMENTS or not all(map(_is_argument, arguments)):
            raise _refused(path, where, arguments, "numbers within range and known words")
        # a source below zero counts from the last layer; the image itself is where layer 0 looks
        at = [one + 1 if one >= 0 else len(channels) + one for one in listed]
        n_channels, stride = channels[at[-1]], min(strides[one] for one in at)
        if module == "Concat":
            n_channels = sum(channels[one] for one in at)
        elif module in _WITH_CHANNELS:
            if not (arguments and _whole(arguments[0], 1, _MOST_CHANNELS)):
                raise _refused(path, where, arguments, "the number of channels first")
            n_channels = int(min(arguments[0], most) * width) + 8
        step = arguments[2] if module in ("Conv", "DWConv", "SCDown") and len(arguments) > 2 else 1
        if module == "nn.Upsample":
            if list(arguments[1:]) not in ([2, "nearest"], [2, "bilinear"]) or arguments[0] not in (
                None,
                "None",
            ):
                raise _refused(path, where, arguments, '[None, 2, "nearest"]')
            stride /= 2
        elif module in _HALVING or (_whole(step, 1, 8) and step > 1):
            stride *= 2
        if stride < 1 or n_channels > _MOST_CHANNELS or n_channels * (_TRIED_PX / stride) ** 2 > _MOST_VALUES:
            raise _refused(path, where, layer, "an output no larger than that of a usual network")
        channels.append(n_channels)
        strides.append(stride)


def _shapes(path: Path, architecture: Mapping[str, Any], n_classes: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight that an architecture asks for, without memory for any of them."""
    from copy import deepcopy

    from ultralytics.nn.tasks import parse_model

    try:
        with torch.device("meta"):
            layers, _ = parse_model({**deepcopy(dict(architecture)), "nc": n_classes}, ch=3, verbose=False)
    except Exception as error:  # whatever the library meets when sizes do not go together
        raise ModelError(
            f"{path}: no network can be built from its architecture ({type(error).__name__}:"
            f" {(str(error).splitlines() or [''])[0][:80]}); train again, or take another checkpoint"
        ) from error
    return {f"model.{name}": tuple(value.shape) for name, value in layers.state_dict().items()}


def _refused(path: Path, where: str, found: Any, expected: str) -> ModelError:
    shown = repr(found)
    return ModelError(
        f"{path}: {where}: {shown[:80]}{'...' if len(shown) > 80 else ''}: expected {expected}; it was not used"
    )


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_scale(item: tuple[Any, Any]) -> bool:
    name, value = item
    return (
        isinstance(name, str)
        and isinstance(value, list | tuple)
        and len(value) == 3
        and all(_number(one, 0.01, 4) for one in value[:2])
        and _number(value[2], 8, _MOST_CHANNELS)
    )


def _is_argument(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) <= _MOST_ARGUMENTS and all(_whole(one, 0, _MOST_CHANNELS) for one in value)
    if isinstance(value, str):
        return value in _WORDS
    return (
        value is None or isinstance(value, bool) or _whole(value, -1, _MOST_CHANNELS) or _number(value, 0, 4)
    )
