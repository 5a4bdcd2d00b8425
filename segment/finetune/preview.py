"""Images of what a network finds against what somebody labelled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.detections import Detections
from insitrack.io.draw.palette import Colour
from insitrack.io.frames import Frame
from insitrack.segment.labels.yolo import polygons
from insitrack.segment.prepare.grey import stretch_to_8_bit
from insitrack.segment.scores.matching import overlaps, pairs

RIGHT: Colour = (0, 158, 115)
MISSED: Colour = (240, 228, 66)
EXTRA: Colour = (204, 60, 60)
_SIDE_PX = 480
_FINE = 8


def write_preview(
    path: Path, shown: Sequence[tuple[Frame, Detections, Detections]], title: str, least_iou: float = 0.3
) -> Path:
    """Draw (frame, found, true) side by side: green found and labelled, yellow missed, red not in the labels.

    Parameters
    ----------
    path : Path
        PNG to write.
    shown : sequence of (Frame, Detections, Detections)
        Images with what was found and what is true; at most six are drawn.
    title : str
        Line above them.
    least_iou : float
        Mask IoU from which a find counts as labelled.
    """
    panels = [_panel(*one, least_iou) for one in shown[:6]]
    columns = min(3, len(panels))
    panels += [np.zeros((_SIDE_PX, _SIDE_PX, 3), np.uint8)] * (-len(panels) % columns)
    rows = [np.concatenate(panels[i : i + columns], axis=1) for i in range(0, len(panels), columns)]
    picture = np.concatenate([np.zeros((56, columns * _SIDE_PX, 3), np.uint8), *rows])
    cv2.putText(picture, title, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    x = 8
    for text, colour in (("found", RIGHT), ("missed", MISSED), ("not in the labels", EXTRA)):
        cv2.putText(picture, text, (x, 45), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour[::-1], 1, cv2.LINE_AA)
        x += 12 * len(text) + 16
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)
    return path


def _panel(frame: Frame, found: Detections, true: Detections, least_iou: float) -> NDArray[np.uint8]:
    """One image, made to fit a square."""
    scale = _SIDE_PX / max(frame.shape)
    small = cv2.resize(
        stretch_to_8_bit(frame.image),
        None,
        fx=scale,
        fy=scale,
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC,
    )
    out = np.zeros((_SIDE_PX, _SIDE_PX, 3), np.uint8)
    out[: small.shape[0], : small.shape[1]] = small[:_SIDE_PX, :_SIDE_PX, None]
    rows, columns = pairs(overlaps(found, true), least_iou)
    for detections, matched, colour in ((true, columns, MISSED), (found, rows, EXTRA)):
        for i, points in enumerate(polygons(detections.masks)):
            if detections is true and i in matched:
                continue
            chosen = RIGHT if i in matched else colour
            outline = np.round((points * scale - 0.5) * _FINE).astype(np.int32)
            cv2.polylines(out, [outline], True, chosen[::-1], 1, cv2.LINE_AA, shift=3)
    return out
