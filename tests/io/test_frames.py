import numpy as np
import pytest

from insitrack.io.errors import SettingsError
from insitrack.io.frames import Calibration, Frame


@pytest.mark.parametrize(
    "image", [np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.float32), np.zeros((0, 2), np.uint8)]
)
def test_a_frame_is_a_grey_picture_of_whole_numbers(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected a"):
        Frame(0, 0.0, image)


@pytest.mark.parametrize("value", [0.0, -0.37, float("nan"), float("inf")])
def test_an_impossible_scale_is_refused_with_its_option(value: float) -> None:
    with pytest.raises(SettingsError, match=r"--nm-per-px .*expected a positive number"):
        Calibration(nm_per_px=value)


def test_shape_is_height_then_width() -> None:
    assert Frame(0, 0.0, np.zeros((3, 5), np.uint16)).shape == (3, 5)
