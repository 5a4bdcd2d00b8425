"""The alarm of a live run whose frames leave what the model knows."""

from dataclasses import dataclass, field

import numpy as np

from insitrack.io.detections import Detections
from insitrack.io.frames import Frame
from insitrack.io.live.status import LiveStatus
from insitrack.io.results import Measures, TrackedFrame


@dataclass
class Camera:
    """As much of a live source as the status asks for."""

    told: list[str] = field(default_factory=list)
    n_captured = n_reconnects = 0

    def tell(self, text: str) -> None:
        self.told.append(text)

    def captured_at(self, index: int) -> float | None:
        return None


def tracked(index: int, trust: float, *distrust: str) -> TrackedFrame:
    frame = Frame(index, float(index), np.zeros((8, 8), np.uint8))
    none = np.zeros(0, np.int64)
    return TrackedFrame(
        frame,
        Detections.empty(index, float(index), (8, 8)),
        Measures.nothing(),
        none,
        none > 0,
        trust=trust,
        distrust=distrust,
    )


def test_leaving_what_the_model_knows_is_told_once_with_its_reason_and_so_is_the_return(tmp_path) -> None:
    camera = Camera()
    status = LiveStatus(camera, tmp_path, least_trust=0.5)  # type: ignore[arg-type]
    for index, trust in enumerate((0.9, 0.3, 0.2, 0.4, 0.8, 0.9)):
        status.write(tracked(index, trust, *(("noise", "sudden") if trust < 0.5 else ())))
    assert len(camera.told) == 2
    assert "trust 0.30 (noise, sudden)" in camera.told[0]
    assert "again" in camera.told[1]


def test_frames_that_nobody_judged_raise_no_alarm(tmp_path) -> None:
    camera = Camera()
    status = LiveStatus(camera, tmp_path, least_trust=0.5)  # type: ignore[arg-type]
    status.write(tracked(0, float("nan")))
    status.write(tracked(1, 0.9))
    assert camera.told == []
