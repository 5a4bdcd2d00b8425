"""A torchvision checkpoint ready to run, its heads in batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.models.detection.roi_heads import maskrcnn_inference
from torchvision.ops import nms

from insitrack.io.errors import ModelError
from insitrack.segment.networks.architecture import architecture_of, build
from insitrack.segment.networks.candidates import Candidates
from insitrack.segment.networks.checkpoint import CheckpointSettings
from insitrack.segment.networks.weights import load_weights, read_state

_BATCH = 256  # boxes that go through a head together: bounds the memory


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
                f"{path}: the network distinguishes {found.n_classes} classes from the background,"
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
        """Run over one image, uint8 (H, W)."""
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
