"""From network outputs to detections: thresholds, overlaps, masks inside their boxes only."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import BoolImage, Floats32, Ints
from insitrack.io.detections import Detections, Masks

_PROTO_STRIDE = 4  # px of the network's image per cell of the mask prototypes, the same in every YOLO-seg
_SHARE_ROUNDS = 15
_SHARE_FLOOR = 0.3  # defects of each class that are taken for granted: none is ruled out
_LEAST_SAMPLE = 3
_WITHIN = 0.7  # share of the smaller of two boxes that lies in the larger one
_PIECE = 0.3  # least area of a piece over that of the whole: a dot on a loop is smaller, and stays
_INTERPOLATE = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


def best_candidates(
    output: Floats32, n_classes: int, confidence: float
) -> tuple[Floats32, Floats32, Floats32, Floats32]:
    r"""Rows of the network's box output that hold a defect of whatever class, strongest first.

    The class scores are independent, so a defect whose class is in doubt has several middling ones: whether
    there is a defect at all is judged by :math:`1 - \prod_k (1 - s_k)`, its class by the largest.

    Parameters
    ----------
    output : ndarray of float32, shape (4 + K + C, A)
        Centre x, centre y, width, height, K class scores and C mask coefficients of A anchors.
    n_classes : int
        K.
    confidence : float
        Least score.

    Returns
    -------
    boxes : ndarray of float32, shape (N, 4)
        x1 y1 x2 y2, px.
    classes : ndarray of float32, shape (N, K)
        Probability of each class, see `class_probabilities`.
    scores : ndarray of float32, shape (N,)
        Of being a defect of any class.
    coefficients : ndarray of float32, shape (N, C)
    """
    scores = output[4 : 4 + n_classes]
    present = 1 - np.prod(1 - scores, axis=0)
    columns = np.flatnonzero(present >= confidence)
    columns = columns[np.argsort(-present[columns], kind="stable")]
    rows = np.ascontiguousarray(output[:, columns].T)
    centre, half = rows[:, :2], rows[:, 2:4] / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    return (
        boxes,
        class_probabilities(scores[:, columns], present[columns]),
        present[columns],
        rows[:, 4 + n_classes :],
    )


def class_probabilities(scores: Floats32, present: Floats32) -> Floats32:
    """Probability of each class for each defect of an image, given what the others are.

    Classes that are common in an image are likelier in it.

    The shares of the classes are estimated from the scores of the image itself by expectation and
    maximisation (Saerens, Latinne, Decaestecker, Neural Comput. 14 (2002) 21, doi
    10.1162/089976602753284446). Half of their logarithm counts, because an image is a small sample:
    docs/decisions.md has the figures.

    Parameters
    ----------
    scores : ndarray of float32, shape (K, N)
        Class scores.
    present : ndarray of float32, shape (N,)
        Score of being a defect of any class.

    Returns
    -------
    ndarray of float32, shape (N, K)
        Sums to 1 along the classes.

    Examples
    --------
    >>> sure, torn = [[0.9, 0.1]] * 12, [[0.4, 0.42]]
    >>> of_classes = class_probabilities(np.array(sure + torn, np.float32).T, np.full(13, 0.9, np.float32))
    >>> [round(chance, 2) for chance in of_classes[-1].tolist()]
    [0.78, 0.22]
    """
    n_classes, n = scores.shape
    known, share = scores + np.float32(1e-4), np.full((n_classes, 1), 1 / n_classes)
    for _ in range(_SHARE_ROUNDS if n >= _LEAST_SAMPLE else 0):
        chance = known * np.sqrt(share)
        chance /= chance.sum(axis=0)
        share = (chance * present).sum(axis=1, keepdims=True) + _SHARE_FLOOR
        share /= share.sum()
    chance = known * np.sqrt(share)
    return np.ascontiguousarray((chance / chance.sum(axis=0)).T, np.float32)


def suppress_overlaps(boxes: Floats32, scores: Floats32, overlap_iou: float) -> Ints:
    """Rows to keep, strongest first, so that no two boxes overlap by more than `overlap_iou`."""
    if not len(boxes):
        return np.zeros(0, np.int64)
    corner_and_size = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(corner_and_size.tolist(), scores.tolist(), 0.0, overlap_iou)
    return np.asarray(kept, np.int64).ravel()


def suppress_pieces(boxes: Floats32) -> Ints:
    """Rows of boxes to keep, strongest first, so that none is a piece of a surer one or the whole around it.

    A long defect is found whole and in parts; the overlaps of the boxes are too small for
    `suppress_overlaps`. Measured in docs/decisions.md.

    Examples
    --------
    >>> suppress_pieces(np.array([[0, 0, 40, 20], [0, 0, 20, 20], [10, 5, 15, 10], [60, 0, 80, 20]], np.float32)).tolist()
    [0, 2, 3]
    """
    order = np.argsort(boxes[:, 0], kind="stable")
    # along x only boxes that begin before another ends can meet it
    met = (np.searchsorted(boxes[order, 0], boxes[order, 2]) - np.arange(len(boxes)) - 1).clip(0)
    first = np.repeat(np.arange(len(boxes)), met)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(met) - met, met)
    a, b = np.sort(np.stack([order[first], order[second]]), axis=0)
    shared = (
        (np.minimum(boxes[a, 2:], boxes[b, 2:]) - np.maximum(boxes[a, :2], boxes[b, :2])).clip(0).prod(axis=1)
    )
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    small, large = np.minimum(area[a], area[b]), np.maximum(area[a], area[b])
    pairs = np.flatnonzero((shared > _WITHIN * small) & (small > _PIECE * large))
    kept = np.ones(len(boxes), bool)
    for pair in pairs[np.lexsort((b[pairs], a[pairs]))].tolist():
        if kept[a[pair]]:
            kept[b[pair]] = False
    return np.flatnonzero(kept)


def masks_in_boxes(
    boxes: Floats32,
    coefficients: Floats32,
    prototypes: Floats32,
    shape: tuple[int, int],
    *,
    least_logit: float = 0.0,
    scale: float = 1.0,
    corner: tuple[int, int] = (0, 0),
) -> tuple[Masks, NDArray[np.bool_]]:
    """Build each mask only inside its own box, at the full resolution of the frame.

    The logits are interpolated, not the mask: an outline stays smooth where the network saw the frame shrunk.

    Parameters
    ----------
    boxes : ndarray of float32, shape (N, 4)
        x1 y1 x2 y2, px of the image that the network saw.
    coefficients : ndarray of float32, shape (N, C)
        Weights of the prototypes.
    prototypes : ndarray of float32, shape (C, h / 4, w / 4)
        Mask prototypes of the whole (padded) image.
    shape : tuple of int
        Height and width of the frame, px; masks end there.
    least_logit : float
        Logit from which a pixel is inside. A network trained with a loss that looks only inside the boxes
        fills their corners a little: its card may say by how much to raise this.
    scale : float
        Pixels of the network's image per pixel of the frame.
    corner : tuple of int
        Row and column of the image's first pixel where it is a tile of the scaled frame, px of the scaled
        frame.

    Returns
    -------
    masks : Masks
        One for each row that is kept, its largest connected part, cropped to what it covers; px of the frame.
    kept : ndarray of bool, shape (N,)
        False where the mask is empty.
    """
    moved = boxes + np.array([corner[1], corner[0]] * 2, np.float32)
    # rounded, not widened: one pixel more is a tenth of a small defect's size
    low = np.round(moved[:, :2] / np.float32(scale)).astype(np.int64).clip(0)
    high = np.minimum(
        np.round(moved[:, 2:] / np.float32(scale)).astype(np.int64), np.array([shape[1], shape[0]])
    )
    kept = (high > low).all(axis=1)
    limit = np.array([prototypes.shape[2], prototypes.shape[1]])
    first = (np.floor(boxes[:, :2] / _PROTO_STRIDE).astype(np.int64) - 1).clip(0, limit - 1)
    last = np.clip(np.ceil(boxes[:, 2:] / _PROTO_STRIDE).astype(np.int64) + 1, first + 1, limit)
    step = scale / _PROTO_STRIDE  # cells of the prototypes per pixel of the frame
    crops: list[NDArray[np.bool_]] = []
    corners: list[tuple[int, int]] = []
    for i in np.flatnonzero(kept):
        pixels, cells = (*low[i].tolist(), *high[i].tolist()), (*first[i].tolist(), *last[i].tolist())
        fine = _logits_inside(prototypes, coefficients[i], pixels, cells, step, corner)
        found = largest_part(fine > least_logit)
        if found is None:
            kept[i] = False
            continue
        crop, top, left = found
        crops.append(crop)
        corners.append((pixels[1] + top, pixels[0] + left))
    return Masks.from_crops(crops, np.array(corners, np.int32).reshape(-1, 2)), kept


def _logits_inside(
    prototypes: Floats32,
    coefficients: Floats32,
    pixels: tuple[int, ...],
    cells: tuple[int, ...],
    step: float,
    corner: tuple[int, int],
) -> Floats32:
    """Logits of one defect at the pixels of its box (x0 y0 x1 y1), interpolated from cells of the prototypes."""
    (x0, y0, x1, y1), (u0, v0, u1, v1) = pixels, cells
    window = prototypes[:, v0:v1, u0:u1].reshape(len(prototypes), -1)
    coarse = (coefficients @ window).reshape(v1 - v0, u1 - u0)
    u, v = (
        (at + 0.5) * step - start / _PROTO_STRIDE - 0.5 - cell
        for at, start, cell in ((x0, corner[1], u0), (y0, corner[0], v0))
    )
    fine = cv2.warpAffine(
        coarse,
        np.array([[step, 0, u], [0, step, v]]),
        (x1 - x0, y1 - y0),
        flags=_INTERPOLATE,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(fine, np.float32)


def largest_part(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int, int] | None:
    """Largest 8-connected part of a mask, cropped, with its row and column; None if the mask is empty."""
    n, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.view(np.uint8), connectivity=8, ltype=cv2.CV_16U if mask.size < 65536 else cv2.CV_32S
    )
    if n < 2:
        return None
    part = 1 if n == 2 else 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, w, h, _ = stats[part].tolist()
    return filled(labels[y : y + h, x : x + w] == part), y, x


def filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill the holes of a mask that is one part.

    A defect is its outer contour, filled, whether its inside shows or not.

    Examples
    --------
    >>> filled(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)).all()
    np.True_
    """
    if mask.shape[0] < 3 or mask.shape[1] < 3:
        return mask
    contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    out = mask.astype(np.uint8)
    cv2.drawContours(out, contours, -1, 1, cv2.FILLED)
    return out.view(np.bool_)


def capped(detections: Detections, most: int) -> Detections:
    """Keep the first `most` rows and count what is thrown away."""
    over = max(0, len(detections) - most)
    return (
        detections
        if not over
        else replace(detections.take(slice(most)), n_over_cap=detections.n_over_cap + over)
    )


def inside_field(detections: Detections, field: BoolImage | None, least: float = 0.7) -> Detections:
    """Drop detections of whose box less than `least` shows the specimen.

    Parameters
    ----------
    detections : Detections
        N rows.
    field : ndarray of bool, shape (H, W), or None
        Where the image shows the specimen; None keeps everything.
    least : float
        Share of the box that must lie in the field.
    """
    if field is None or not len(detections):
        return detections
    # the field is made of blocks of this size: a sixteenth of the pixels says the same
    sums = cv2.integral(np.ascontiguousarray(field[::_PROTO_STRIDE, ::_PROTO_STRIDE]).view(np.uint8))
    limit = np.array([sums.shape[1] - 1, sums.shape[0] - 1])
    corners = np.rint(detections.boxes / _PROTO_STRIDE).astype(np.int64)
    low = corners[:, :2].clip(0, limit)
    high = np.maximum(corners[:, 2:], low + 1).clip(0, limit)
    (x0, y0), (x1, y1) = low.T, high.T
    seen = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    area = (high - low).prod(axis=1)
    good = seen >= least * area
    return detections if good.all() else detections.take(good)
