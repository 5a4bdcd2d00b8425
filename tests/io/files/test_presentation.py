"""The account of packets and images, tried on made-up packets and a made-up decoder."""

import heapq
from dataclasses import dataclass
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from insitrack.io.files.presentation import Presentation


@dataclass
class Packet:
    pts: int | None
    dts: int | None
    size: int = 1
    is_discard: bool = False
    is_corrupt: bool = False


@dataclass
class Picture:
    pts: int | None
    is_corrupt: bool = False


class Decoder:
    """Gives images in rising order, a few packets late, and fails at some of them."""

    def __init__(self, broken, delay=2):
        self.broken, self.delay, self.held = broken, delay, []

    def __call__(self, packet):
        if packet.size == 0:
            return [Picture(heapq.heappop(self.held)) for _ in range(len(self.held))], ""
        if packet.pts in self.broken:
            return [], "broken"
        if not packet.is_discard:
            heapq.heappush(self.held, packet.pts)
        return [Picture(heapq.heappop(self.held))] if len(self.held) > self.delay else [], ""


def reordered(n):
    """Packets as an encoder with one B-frame orders them: 0 2 1 4 3 ..."""
    order = sorted(range(n), key=lambda k: k + (1.5 if k % 2 and k < n - 1 else 0))
    return [Packet(pts=k, dts=i - 2) for i, k in enumerate(order)] + [Packet(None, None, size=0)]


def shown(packets, decode, **options):
    return [
        (time, picture is not None, reason)
        for time, picture, reason in Presentation(packets, decode, time_base=Fraction(1, 10), **options)
    ]


@given(n=st.integers(1, 30), broken=st.sets(st.integers(0, 29)))
def test_the_blanks_are_exactly_the_packets_that_broke(n, broken):
    seen = shown(reordered(n), Decoder(broken))
    assert [time for time, _, _ in seen] == [k / 10 for k in range(n)]
    assert [k for k, (_, there, _) in enumerate(seen) if not there] == sorted(k for k in broken if k < n)


@given(n=st.integers(1, 30), first=st.integers(0, 29))
def test_packets_that_are_not_decoded_are_counted(n, first):
    assert len(shown(reordered(n), Decoder(set()), first_decoded=first)) == n


def test_pictures_that_an_edit_list_hides_are_not_missed():
    packets = reordered(6)
    packets[0].is_discard = True
    assert [time for time, _, _ in shown(packets, Decoder(set()))] == [0.1, 0.2, 0.3, 0.4, 0.5]


def test_a_decoder_that_hides_reference_frames_is_not_blamed():
    packets = [Packet(0, 0), Packet(1, 1, is_discard=False), Packet(2, 2), Packet(None, None, size=0)]
    quiet = lambda packet: ([], "") if packet.size == 0 or packet.pts == 1 else ([Picture(packet.pts)], "")  # noqa: E731
    assert len(shown(packets, quiet, hides=True)) == 2
    assert len(shown(packets, quiet)) == 3


def test_pictures_whose_times_are_wrong_take_the_announced_ones_in_order():
    packets = [Packet(k, k) for k in (2, 4, 6)]
    stamps = iter([2, 6, 4])
    seen = shown(packets, lambda packet: ([Picture(next(stamps))], ""), in_order=True, start=2)
    assert seen == [(0.0, True, ""), (0.2, True, ""), (0.4, True, "")]


def test_a_packet_that_was_cut_off_gives_no_picture_even_if_the_decoder_makes_one():
    packets = [Packet(0, 0), Packet(1, 1, is_corrupt=True)]
    assert [there for _, there, _ in shown(packets, lambda packet: ([Picture(packet.pts)], ""))] == [
        True,
        False,
    ]


def test_without_timestamps_every_picture_is_counted_and_has_no_time():
    packets = [Packet(None, None), Packet(None, None), Packet(None, None, size=0)]
    seen = shown(packets, lambda packet: ([Picture(None)] if packet.size else [], ""), stamped=False)
    assert seen == [(None, True, "")] * 2
