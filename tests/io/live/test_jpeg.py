"""Images of network cameras that were damaged on their way are found, and whole ones are never taken for such."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.frames import Frame
from insitrack.io.live.camera import LiveSource
from insitrack.io.live.jpeg import damage_of_jpeg
from insitrack.io.live.replay import parse_fault
from insitrack.io.live.settings import LiveConfig
from insitrack.io.sources import replay


def jpeg(seed, height=97, width=130, quality=90, colour=False, smooth=5, **flags):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    image = cv2.GaussianBlur(image, (smooth, smooth), 0) if smooth > 1 else image
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    for name, value in flags.items():
        options += [getattr(cv2, f"IMWRITE_JPEG_{name.upper()}"), value]
    return cv2.imencode(".jpg", image if colour else image[:, :, 0], options)[1].tobytes()


def damaged(data, seed, n):
    random, out = np.random.default_rng(seed), bytearray(data)
    for place in random.integers(len(out) // 3, len(out) - 2, n).tolist():
        out[place] = int(random.integers(256))
    return bytes(out)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(16, 140),
    st.integers(16, 140),
    st.integers(5, 100),
    st.booleans(),
    st.sampled_from([1, 5, 21]),
    st.sampled_from([0x111111, 0x211111, 0x221111, 0x121111]),
    st.binary(max_size=20),
)
def test_a_whole_image_is_never_taken_for_a_damaged_one(
    seed, height, width, quality, colour, smooth, sampling, behind
):
    data = jpeg(seed, height, width, quality, colour, smooth, sampling_factor=sampling)
    assert damage_of_jpeg(data + behind.replace(b"\xff", b"")) == ""


@pytest.mark.parametrize("grey", [0, 16, 128, 255])
@pytest.mark.parametrize("flags", [{}, {"rst_interval": 4}, {"optimize": 1}, {"progressive": 1}])
def test_flat_images_and_other_ways_of_coding_are_whole(grey, flags):
    options = [
        x for name, value in flags.items() for x in (getattr(cv2, f"IMWRITE_JPEG_{name.upper()}"), value)
    ]
    image = cv2.imencode(".jpg", np.full((48, 70), grey, np.uint8), options)[1].tobytes()
    assert damage_of_jpeg(image) == damage_of_jpeg(jpeg(1, **flags)) == ""


def test_damage_that_throws_the_codes_out_of_step_is_found():
    found = [bool(damage_of_jpeg(damaged(jpeg(seed, colour=seed % 2 > 0), seed, 30))) for seed in range(40)]
    assert np.mean(found) > 0.75  # the decoder itself refuses most others


@pytest.mark.parametrize("share", [0.4, 0.7, 0.95])
def test_an_image_that_was_cut_off_is_found(share):
    data = jpeg(4)
    assert damage_of_jpeg(data[: int(share * len(data))])


@given(st.binary(max_size=200))
def test_what_is_no_jpeg_is_left_to_the_decoder(data):
    assert damage_of_jpeg(data) == ""
    assert isinstance(damage_of_jpeg(b"\xff\xd8" + data), str)


def test_images_of_a_camera_that_arrive_damaged_are_damaged_frames():
    faults = [parse_fault(f"corrupt@{4 + 4 * i}") for i in range(15)]
    with replay("synth:loops?frames=70&size=160&seed=3", fps=60, faults=faults) as camera:
        source = LiveSource(camera.mjpeg_address, LiveConfig(policy="all", give_up_s=0.3))
        items = [item for item in source if getattr(item, "status", "") != "gap"]
        source.close()
    wrong = [item.index for item in items if not isinstance(item, Frame)]
    assert len(items) == 70
    assert set(wrong) <= {4 + 4 * i for i in range(15)}
    assert len(wrong) >= 14
