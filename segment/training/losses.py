"""What a YOLO-seg network is taught with: masks of a sample of the anchors, and objects without a type."""

from __future__ import annotations

from typing import Any

import torch
from ultralytics.utils.loss import v8SegmentationLoss

Assigned = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


class UntypedAssigner:
    """Assigns labels to anchors; a label beyond the classes of the network is an object without a type.

    The anchors of such an object are asked for it under whichever class the network finds likeliest there: it
    learns to find and to outline it, and nothing about its type.

    Parameters
    ----------
    typed : callable
        Assigner of ultralytics, which knows the classes of the network only.
    """

    def __init__(self, typed: Any) -> None:
        self._typed = typed

    def __call__(
        self,
        scores: torch.Tensor,
        boxes: torch.Tensor,
        anchors: torch.Tensor,
        labels: torch.Tensor,
        true_boxes: torch.Tensor,
        there: torch.Tensor,
        **more: Any,
    ) -> Assigned:
        """Return target labels, boxes and scores, which anchors have one, and which object it is."""
        n_classes = scores.shape[-1]
        if not bool((labels >= n_classes).any()):
            out: Assigned = self._typed(scores, boxes, anchors, labels, true_boxes, there, **more)
            return out
        best, likeliest = scores.max(-1, keepdim=True)
        self._typed.num_classes = n_classes + 1
        try:
            with_untyped = torch.cat([scores, best], -1)
            target_labels, target_boxes, targets, taken, which = self._typed(
                with_untyped, boxes, anchors, labels, true_boxes, there, **more
            )
        finally:
            self._typed.num_classes = n_classes
        typed = targets[..., :n_classes].clone()
        typed.scatter_add_(-1, likeliest, targets[..., n_classes:])
        return target_labels, target_boxes, typed, taken, which


class SampledMaskLoss(v8SegmentationLoss):  # type: ignore[misc]  # ultralytics is not typed
    """Loss of YOLO-seg with the masks of a random sample of the anchors, unbiased.

    Each mask is judged a little beyond its box.

    A mask that is judged inside its box only costs nothing where it runs over the box's corners and sides.
    """

    assigner: Any
    most = 64
    beyond = 0.15  # share of the sides by which boxes are widened on each side
    beyond_px = 1.0  # and by this much, px of the masks

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.assigner = UntypedAssigner(self.assigner)

    def single_mask_loss(
        self,
        gt_mask: torch.Tensor,
        pred: torch.Tensor,
        proto: torch.Tensor,
        xyxy: torch.Tensor,
        area: torch.Tensor,
    ) -> torch.Tensor:
        """Sum of the mask losses of one image's anchors, estimated from a sample of them."""
        n = len(pred)
        margin = self.beyond * (xyxy[:, 2:] - xyxy[:, :2]) + self.beyond_px
        xyxy = torch.cat([xyxy[:, :2] - margin, xyxy[:, 2:] + margin], dim=1)
        if n <= self.most:
            return super().single_mask_loss(gt_mask, pred, proto, xyxy, area)
        rows = torch.randperm(n, device=pred.device)[: self.most]
        return super().single_mask_loss(gt_mask[rows], pred[rows], proto, xyxy[rows], area[rows]) * (
            n / self.most
        )
