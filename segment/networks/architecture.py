"""Torchvision's Mask R-CNN and Faster R-CNN built from parts; a state dict alone says how large each is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torchvision.models import resnet
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN, mobilenet_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from insitrack.io.errors import ModelError

_FORM = re.compile(
    r"(maskrcnn|fasterrcnn)_((?:wide_)?resnet\w*?|resnext\w*?|mobilenet_v3_(?:large|small))_fpn(_v2)?"
)
_RESNETS = {
    (False, (2, 2, 2, 2)): "resnet18",
    (False, (3, 4, 6, 3)): "resnet34",
    (True, (3, 4, 6, 3)): "resnet50",
    (True, (3, 4, 23, 3)): "resnet101",
    (True, (3, 8, 36, 3)): "resnet152",
}
_MOBILENETS = {17: "mobilenet_v3_large", 13: "mobilenet_v3_small"}
_LOGITS, _RPN_LOGITS, _MASK_WIDTH = (
    "roi_heads.box_predictor.cls_score.weight",
    "rpn.head.cls_logits.weight",
    "roi_heads.mask_predictor.conv5_mask.weight",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Which network, and how wide; the defaults are torchvision's.

    Parameters
    ----------
    builder : str
        Torchvision's name for it: ``maskrcnn_`` or ``fasterrcnn_``, a backbone, ``_fpn``, and ``_v2`` for the
        heads of the second version.
    n_classes : int
        Classes, the background not counted.
    fpn_channels, box_features, mask_channels : int
        Widths of the feature pyramid, of the last layer of the box head, and of the mask head.
    anchor_sizes_px : sequence of sequences of float, optional
        Sides of the anchors of each level of the pyramid, px; by default torchvision's, 32 to 512 px.
    anchor_ratios : sequence of float
        Heights of the anchors over their widths.

    Raises
    ------
    ModelError
        If `builder` is not of that form.
    """

    builder: str
    n_classes: int
    fpn_channels: int = 256
    box_features: int = 1024
    mask_channels: int = 256
    anchor_sizes_px: Sequence[Sequence[float]] | None = None
    anchor_ratios: Sequence[float] = (0.5, 1.0, 2.0)

    def __post_init__(self) -> None:
        if not (
            _FORM.fullmatch(self.builder)
            and (self.backbone.startswith("mobilenet") or hasattr(resnet, self.backbone))
        ):
            raise ModelError(
                f"builder = {self.builder!r}: no such network; expected for example maskrcnn_resnet50_fpn_v2"
                " or fasterrcnn_resnet50_fpn"
            )
        if self.backbone.startswith("mobilenet") and self.fpn_channels != 256:
            raise ModelError(
                f"{self.builder}: {self.fpn_channels} channels in the pyramid; torchvision has 256 on this"
                " backbone"
            )

    @property
    def has_masks(self) -> bool:
        """Whether the network draws masks, or boxes alone."""
        return self.builder.startswith("maskrcnn")

    @property
    def backbone(self) -> str:
        """Name of the backbone."""
        match = _FORM.fullmatch(self.builder)
        return match[2] if match else ""

    @property
    def is_v2(self) -> bool:
        """Whether the heads are those of the second version."""
        return self.builder.endswith("_v2")

    def anchors(self) -> AnchorGenerator:
        """Anchors of every level, those given or torchvision's."""
        sizes = self.anchor_sizes_px
        if sizes is None:
            sizes = (
                [[32, 64, 128, 256, 512]] * 3
                if self.backbone.startswith("mobilenet")
                else [[32], [64], [128], [256], [512]]
            )
        return AnchorGenerator(tuple(map(tuple, sizes)), (tuple(self.anchor_ratios),) * len(sizes))


class Unscaled(GeneralizedRCNNTransform):  # type: ignore[misc]  # torchvision is not typed
    """Torchvision's normalisation and padding without its rescaling: a pixel of the image stays a pixel."""

    def resize(self, image: torch.Tensor, target: Any = None) -> tuple[torch.Tensor, Any]:
        """Leave image and target as they are."""
        return image, target


def build(architecture: Architecture, **options: Any) -> FasterRCNN:
    """Build the network with random weights; nothing is downloaded.

    Parameters
    ----------
    architecture : Architecture
        Which network.
    **options
        Passed on to torchvision's ``FasterRCNN``: thresholds, caps, mean and standard deviation.

    Returns
    -------
    FasterRCNN
        A ``MaskRCNN`` if it draws masks. Images are not rescaled: see `Unscaled`.
    """
    channels, norm = architecture.fpn_channels, nn.BatchNorm2d if architecture.is_v2 else None
    anchors = architecture.anchors()
    parts: dict[str, Any] = {
        "backbone": _backbone(architecture, norm),
        "rpn_anchor_generator": anchors,
        "rpn_head": RPNHead(
            channels, anchors.num_anchors_per_location()[0], conv_depth=2 if architecture.is_v2 else 1
        ),
        "box_head": (
            FastRCNNConvFCHead((channels, 7, 7), [channels] * 4, [architecture.box_features], norm_layer=norm)
            if architecture.is_v2
            else TwoMLPHead(channels * 7**2, architecture.box_features)
        ),
        "box_predictor": FastRCNNPredictor(architecture.box_features, architecture.n_classes + 1),
    }
    if architecture.has_masks:
        width = architecture.mask_channels
        parts["mask_head"] = MaskRCNNHeads(channels, (width,) * 4, 1, norm_layer=norm)
        parts["mask_predictor"] = MaskRCNNPredictor(width, width, architecture.n_classes + 1)
    model = (MaskRCNN if architecture.has_masks else FasterRCNN)(**parts, **options)
    model.transform = Unscaled(0, 0, model.transform.image_mean, model.transform.image_std)
    return model


def _backbone(architecture: Architecture, norm: type[nn.Module] | None) -> nn.Module:
    """Feature pyramid on a backbone with batch norm that can be trained."""
    name = architecture.backbone
    if name.startswith("mobilenet"):
        backbone: nn.Module = mobilenet_backbone(
            backbone_name=name, weights=None, fpn=True, norm_layer=nn.BatchNorm2d, trainable_layers=6
        )
        return backbone
    body = getattr(resnet, name)(weights=None, norm_layer=nn.BatchNorm2d)
    levels = [body.inplanes // 8 * 2**i for i in range(4)]
    return BackboneWithFPN(
        body, {f"layer{i + 1}": str(i) for i in range(4)}, levels, architecture.fpn_channels, norm_layer=norm
    )


def architecture_of(
    state: Mapping[str, torch.Tensor], builder: str | None = None, **anchors: Any
) -> Architecture:
    """Recognise a network by the names and shapes in its state dict.

    Parameters
    ----------
    state : mapping of str to Tensor
        State dict of one of torchvision's Mask R-CNN or Faster R-CNN.
    builder : str, optional
        Name of the network where the shapes do not decide, as for the ResNeXt.
    **anchors
        `anchor_sizes_px` and `anchor_ratios`, of which the weights know only how many there are.

    Raises
    ------
    ModelError
        If it is the state dict of something else.
    """
    if _LOGITS not in state or _RPN_LOGITS not in state:
        first = next(iter(state), "nothing")
        raise ModelError(
            f"not a state dict of a torchvision Mask R-CNN or Faster R-CNN: it begins with {first!r} and has"
            f" no {_LOGITS}"
        )
    logits = state[_LOGITS]
    widths = {"fpn_channels": state[_RPN_LOGITS].shape[1], "box_features": logits.shape[1]}
    if _MASK_WIDTH in state:
        widths["mask_channels"] = state[_MASK_WIDTH].shape[0]
    found = Architecture(
        builder=builder or _builder_of(state), n_classes=len(logits) - 1, **widths, **anchors
    )
    given, expected = len(state[_RPN_LOGITS]), found.anchors().num_anchors_per_location()[0]
    if given != expected:
        raise ModelError(
            f"the weights have {given} anchors at each place, not {expected}: give anchor_sizes_px and"
            " anchor_ratios of the training"
        )
    return found


def _builder_of(state: Mapping[str, torch.Tensor]) -> str:
    """Torchvision's name of the network that has these weights."""
    body = [name.split(".")[2:] for name in state if name.startswith("backbone.body.")]
    a, b, c, d = (len({rest[1] for rest in body if rest[0] == f"layer{stage}"}) for stage in (1, 2, 3, 4))
    deep = ["0", "conv3", "weight"] in [rest[1:] for rest in body]
    backbone = _RESNETS.get((deep, (a, b, c, d))) or _MOBILENETS.get(len({rest[0] for rest in body}))
    if backbone is None:
        raise ModelError(
            "the backbone cannot be recognised from its weights: give builder, for example"
            " maskrcnn_resnext50_32x4d_fpn"
        )
    kind = "maskrcnn" if _MASK_WIDTH in state else "fasterrcnn"
    return f"{kind}_{backbone}_fpn" + ("_v2" if "rpn.head.conv.1.0.weight" in state else "")
