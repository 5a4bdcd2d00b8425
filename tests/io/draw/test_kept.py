"""The frames of a camera come back as they were, whatever was lost or cut in between."""

from pathlib import Path

import numpy as np
import pytest

from insitrack.io.detections import Detections
from insitrack.io.draw.kept import KeptFrames, KeptFramesSink
from insitrack.io.errors import SourceError
from insitrack.io.frames import Frame, MissingFrame
from insitrack.io.results import Measures, TrackedFrame
from insitrack.io.tables.columns import FRAMES
from insitrack.io.tables.run_folder import RAW

DRAW = np.random.default_rng(4)


def frame(index: int, t_s: float, dtype: type = np.uint8) -> Frame:
    return Frame(index, t_s, DRAW.integers(0, np.iinfo(dtype).max, (48, 64)).astype(dtype))


def keep(folder: Path, items: list[Frame | MissingFrame]) -> None:
    with KeptFramesSink(folder) as sink:
        for item in items:
            nothing = Detections.empty(item.index, item.t_s, (48, 64))
            sink.write(
                TrackedFrame(item, nothing, Measures.nothing(), np.zeros(0, np.int64), np.zeros(0, bool))
            )


def tabulate(folder: Path, items: list[Frame | MissingFrame]) -> None:
    n = len(items)
    status = ["processed" if isinstance(one, Frame) else one.status for one in items]
    columns = {name: np.full(n, np.nan) for name in FRAMES.names}
    columns |= {"frame": [one.index for one in items], "t_s": [one.t_s for one in items], "status": status}
    (folder / FRAMES.file).write_text(FRAMES.header() + FRAMES.format(columns))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_processed_frame_comes_back_to_the_last_bit(dtype: type, tmp_path: Path) -> None:
    items: list[Frame | MissingFrame] = [frame(i, 0.5 + 0.04 * i, dtype) for i in range(12)]
    items[4] = MissingFrame(4, items[4].t_s, "damaged")
    items[7] = MissingFrame(7, items[7].t_s, "gap")
    keep(tmp_path, items)
    tabulate(tmp_path, items)
    back = list(KeptFrames(tmp_path))
    assert [one.index for one in back] == list(range(12))
    for one, made in zip(back, items, strict=True):
        assert isinstance(one, Frame) == isinstance(made, Frame)
        if isinstance(one, Frame) and isinstance(made, Frame):
            assert one.image.dtype == dtype
            assert (one.image == made.image).all()
            assert one.t_s == pytest.approx(made.t_s, abs=1e-6)


def test_frames_behind_a_cut_are_left_out_and_those_after_it_found(tmp_path: Path) -> None:
    before = [frame(i, 0.1 * i) for i in range(8)]
    keep(tmp_path, list(before))
    (file,) = (tmp_path / RAW).iterdir()
    file.rename(f"{file}.part")  # what a kill leaves
    again: list[Frame | MissingFrame] = [
        MissingFrame(5, 3.1, "gap"),
        *(frame(i, 3.05 + 0.1 * i) for i in (6, 7, 8)),
    ]
    keep(tmp_path, again)  # the tables were cut back to frame 4
    tabulate(tmp_path, [*before[:5], *again])
    back = list(KeptFrames(tmp_path))
    assert [isinstance(one, Frame) for one in back] == [True] * 5 + [False] + [True] * 3
    for one, made in zip(back, [*before[:5], *again], strict=True):
        if isinstance(one, Frame) and isinstance(made, Frame):
            assert (one.image == made.image).all()


def test_a_run_without_kept_frames_says_how_to_keep_them(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"output\.raw = true"):
        KeptFrames(tmp_path)
