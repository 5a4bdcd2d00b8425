"""Torchvision's Mask R-CNN and Faster R-CNN built from parts.

So that a state dict alone says how large each of them is.
"""

from __future__ import annotations

import argparse
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torchvision.models import resnet
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN, mobilenet_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import maskrcnn_inference
from torchvision.models.detection.rpn import RPNHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import nms

from insitrack.io.errors import ModelError
from insitrack.segment.networks.maskrcnn import CheckpointSettings

State = dict[str, torch.Tensor]
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
_BATCH = 256  # boxes that go through a head together: bounds the memory
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
    """Torchvision's normalisation and padding without its rescaling: a pixel of the picture stays a pixel."""

    def resize(self, image: torch.Tensor, target: Any = None) -> tuple[torch.Tensor, Any]:
        """Leave picture and target as they are."""
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
        A ``MaskRCNN`` if it draws masks. Pictures are not rescaled: see `Unscaled`.
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
    """Tell from the names and shapes in a state dict which network it belongs to.

    Parameters
    ----------
    state : mapping of str to Tensor
        State dict of one of torchvision's Mask R-CNN or Faster R-CNN.
    builder : str, optional
        Name of the network where the shapes do not tell, as for the ResNeXt.
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
            "the backbone is not one that its weights tell: give builder, for example"
            " maskrcnn_resnext50_32x4d_fpn"
        )
    kind = "maskrcnn" if _MASK_WIDTH in state else "fasterrcnn"
    return f"{kind}_{backbone}_fpn" + ("_v2" if "rpn.head.conv.1.0.weight" in state else "")


def read_state(path: Path) -> State:
    """Read the weights of a checkpoint without running any code that it may hold.

    Parameters
    ----------
    path : Path
        A state dict, or a dict with one under ``model``, ``state_dict`` or ``model_state_dict``, as training
        scripts save it.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or holds Python objects instead of numbers.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such checkpoint; expected a PyTorch state dict")
    try:
        # torchvision's own training script keeps its arguments beside the weights; a Namespace runs no code
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            warnings.simplefilter("ignore")
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        text = str(error)
        if "GLOBAL" in text or "TorchScript" in text:
            raise ModelError(
                f"{path}: holds a pickled module, which can run any code when it is read, and is refused; "
                f"where it was trained, save its weights alone: torch.save(model.state_dict(), {path.name!r})"
            ) from error
        raise ModelError(
            f"{path}: not a PyTorch checkpoint, or damaged ({type(error).__name__}); copy or save it again"
        ) from error
    for key in ("model", "state_dict", "model_state_dict"):
        if isinstance(stored, dict) and isinstance(stored.get(key), dict):
            stored = stored[key]
    if (
        not isinstance(stored, dict)
        or not stored
        or not all(isinstance(value, torch.Tensor) for value in stored.values())
    ):
        raise ModelError(
            f"{path}: holds no state dict; expected names and tensors, or these under model, state_dict or"
            " model_state_dict"
        )
    # DataParallel and Lightning put a word of their own before every name
    return {re.sub(r"^((module|model|_orig_mod)\.)+", "", name): value for name, value in stored.items()}


def load_weights(model: FasterRCNN, state: State, path: Path) -> None:
    """Put the weights into the network, every one in its place.

    Raises
    ------
    ModelError
        If a name or a shape does not fit.
    """
    refused: Any
    try:
        refused = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        wrong = re.search(
            r"size mismatch for (\S+): copying a param with shape (.+?) from checkpoint, the shape in current"
            r" model is (.+?)\.",
            str(error),
        )
        detail = (
            f"{wrong[1]} is {wrong[2]}, expected {wrong[3]}" if wrong else str(error).splitlines()[-1].strip()
        )
        raise ModelError(
            f"{path}: the weights do not fit the network: {detail}; check builder in"
            f" {path.with_suffix('.toml').name}"
        ) from error
    for words, names in (("lacks", refused.missing_keys), ("has unknown", refused.unexpected_keys)):
        if names:
            raise ModelError(
                f"{path}: {words} {names[0]} ({len(names)} such names); check builder in"
                f" {path.with_suffix('.toml').name}"
            )


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the network says of one picture, strongest first.

    Parameters
    ----------
    boxes : ndarray of float32, shape (N, 4)
        x1 y1 x2 y2, px of the picture.
    labels : ndarray of int64, shape (N,)
        1..K.
    scores : ndarray of float32, shape (N,)
        Probability of that class, 0..1.
    soft : ndarray of float32, shape (N, M, M), or None
        Probability of being inside, in M x M cells that fill the box; None where the network draws no masks.
    n_over_cap : int
        Detections beyond the cap.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    soft: NDArray[np.float32] | None
    n_over_cap: int


class CheckpointNetwork:
    """A checkpoint ready to run, on the graphics card where torch sees one.

    Torchvision's own ``forward`` blows every mask up to the size of the frame and drops what is over its cap
    without a word; this one runs the same parts one after another, the heads in batches, and gives masks as
    small as the network draws them.

    Parameters
    ----------
    path : Path
        The checkpoint.
    n_classes : int
        Classes that its TOML file names.
    settings : CheckpointSettings
        What the TOML file says besides.
    confidence : float
        Least score, 0..1.
    overlap_iou : float
        Of two boxes, of whatever classes, that overlap by more, the weaker is dropped.
    most : int
        Cap on the detections.
    threads : int
        Processor threads; 0 leaves it to torch.

    Raises
    ------
    ModelError
        If the checkpoint is not that of such a network.
    """

    def __init__(
        self,
        path: Path,
        n_classes: int,
        settings: CheckpointSettings,
        *,
        confidence: float,
        overlap_iou: float,
        most: int,
        threads: int = 0,
    ) -> None:
        state = read_state(path)
        try:
            found = architecture_of(
                state,
                settings.builder,
                anchor_sizes_px=settings.anchor_sizes_px,
                anchor_ratios=settings.anchor_ratios,
            )
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        if found.n_classes != n_classes:
            raise ModelError(
                f"{path}: the network tells {found.n_classes} classes apart from the background,"
                f" {path.with_suffix('.toml').name} names {n_classes}; name each one, in the order of the"
                " labels, without the background"
            )
        self.architecture, self._most, self._overlap_iou = found, most, overlap_iou
        self._model = build(
            found,
            image_mean=list(settings.mean),
            image_std=list(settings.std),
            box_score_thresh=confidence,
            box_nms_thresh=overlap_iou,
            box_detections_per_img=settings.proposals * n_classes,  # all: the cap comes later, and is counted
            rpn_pre_nms_top_n_test=settings.proposals,
            rpn_post_nms_top_n_test=settings.proposals,
        )
        load_weights(self._model, state, path)
        if threads:
            torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model.eval().to(self._device)

    @property
    def has_masks(self) -> bool:
        """Whether the network draws masks, or boxes alone."""
        return self.architecture.has_masks

    def __call__(self, grey: NDArray[np.uint8]) -> Candidates:
        """Run over one picture, uint8 (H, W)."""
        model, heads = self._model, self._model.roi_heads
        with torch.inference_mode():
            picture = (
                torch.from_numpy(np.ascontiguousarray(grey))
                .to(self._device)
                .float()
                .div(255)
                .expand(3, -1, -1)
            )
            pictures, _ = model.transform([picture])
            sizes, features = pictures.image_sizes, model.backbone(pictures.tensors)
            proposals, _ = model.rpn(pictures, features)
            said = [
                heads.box_predictor(heads.box_head(heads.box_roi_pool(features, [some], sizes)))
                for some in proposals[0].split(_BATCH)
            ]
            logits, moves = (torch.cat(each) for each in zip(*said, strict=True))
            boxes, scores, labels = (
                each[0] for each in heads.postprocess_detections(logits, moves, proposals, sizes)
            )
            kept = nms(
                boxes, scores, self._overlap_iou
            )  # torchvision thins each class by itself, which counts a defect of doubtful class twice
            over, kept = max(0, len(kept) - self._most), kept[: self._most]
            boxes, scores, labels = boxes[kept], scores[kept], labels[kept]
            soft = self._soft_masks(features, boxes, labels, sizes) if self.has_masks else None
        return Candidates(
            boxes.float().cpu().numpy(), labels.cpu().numpy(), scores.float().cpu().numpy(), soft, over
        )

    def _soft_masks(
        self,
        features: dict[str, torch.Tensor],
        boxes: torch.Tensor,
        labels: torch.Tensor,
        sizes: list[tuple[int, int]],
    ) -> NDArray[np.float32]:
        """Probability of being inside, float32 (N, M, M), of each box for its class."""
        heads, parts = self._model.roi_heads, []
        for some, named in zip(boxes.split(_BATCH), labels.split(_BATCH), strict=True):
            if len(some):
                logits = heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(features, [some], sizes)))
                parts.append(maskrcnn_inference(logits, [named])[0][:, 0].float().cpu().numpy())
        return np.concatenate(parts) if parts else np.zeros((0, 1, 1), np.float32)

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest."""
        return {
            "builder": self.architecture.builder,
            "runtime": f"torch {torch.__version__}",
            "device": self._device.type,
            "precision": "f32",
        }
