"""Decoded images in the order in which they are shown, with a blank for every packet that gave none."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

Picture = tuple[float | None, Any, str]
"""Time since the start of the stream in s or None, decoded image or None, and why there is none."""


class Presentation:
    """Iterates the images of a stream in order of presentation and accounts for every packet.

    Every packet announces a timestamp; a decoder gives images in rising order. So an announced timestamp
    that a later image overtakes belongs to an image that will never come. Where timestamps cannot be
    trusted (`in_order`), images take them in rising order, and what is lost can only be counted at the end.

    Parameters
    ----------
    packets : iterable of av.Packet
        In the order of the file; the last one is empty and flushes the decoder.
    decode : callable
        Gives the images of a packet and what went wrong, which is an empty text if nothing did.
    time_base : Fraction
        Unit of the timestamps, s.
    start : int
        Timestamp that is time 0.
    stamped : bool
        Whether the packets hold timestamps at all.
    in_order : bool
        Whether the timestamps of images are known to be wrong.
    hides : bool
        Whether a packet may rightly give no image, because it only serves as a reference.
    first_decoded : int
        Number of the first packet to decode; those before it come as blanks.
    promised : int
        Packets that the index of the container announces; 0 where it does not.
    nominal_s : float
        Mean interval between frames by that index, s.

    Attributes
    ----------
    decoding : bool
        Set it to False to have the remaining packets counted and not decoded.
    n_packets : int
        Packets with data so far, and holes that a cut left between them.
    last_s, longest_s : float
        Newest time, and the longest interval between two times, s.
    interval_s : float
        Mean interval between two times so far, s; 0 where there is none.
    """

    def __init__(
        self,
        packets: Iterable[Any],
        decode: Callable[[Any], tuple[list[Any], str]],
        *,
        time_base: Fraction,
        start: int = 0,
        stamped: bool = True,
        in_order: bool = False,
        hides: bool = False,
        first_decoded: int = 0,
        promised: int = 0,
        nominal_s: float = 1.0,
    ) -> None:
        self.decoding = True
        self.n_packets = 0
        self.last_s = 0.0
        self.longest_s = 0.0
        self._first_s: float | None = None
        self._n_shown = 0
        self._packets = packets
        self._decode = decode
        self._time_base = time_base
        self._start = start
        self._stamped = stamped
        self._in_order = in_order
        self._hides = hides
        self._first_decoded = first_decoded
        self._promised = promised
        self._nominal_s = nominal_s
        self._announced: list[int] = []
        self._newest = start - 1
        self._reasons: dict[int, str] = {}

    @property
    def interval_s(self) -> float:
        """Mean interval between two times so far, s; 0 where there is none."""
        return (
            0.0
            if self._first_s is None or self._n_shown < 2
            else (self.last_s - self._first_s) / (self._n_shown - 1)
        )

    def __iter__(self) -> Iterator[Picture]:
        for number, packet in enumerate(self._packets):
            stamp = self._announce(packet)
            if number >= self._first_decoded and self.decoding:
                shown = self._pictures_of(packet, stamp)
                yield from shown if packet.size > 0 else self._torn(shown)
            elif packet.dts is not None:
                yield from self._overtaken_by(packet.dts)
        yield from self._torn(self._overtaken_by(math.inf))

    def _torn(self, pictures: Iterator[Picture]) -> Iterator[Picture]:
        """Fill the holes that a cut leaves between the last frames.

        They arise because files store what is shown earlier after what it refers to.
        """
        before_s = self.last_s
        for picture in pictures:
            time_s = picture[0]
            if time_s is not None and self._promised:
                n_holes = min(
                    round((time_s - before_s) / self._nominal_s) - 1, self._promised - self.n_packets
                )
                for hole in range(n_holes):
                    self.n_packets += 1
                    yield (
                        before_s + (hole + 1) * (time_s - before_s) / (n_holes + 1),
                        None,
                        "cut off: the file ends before this frame",
                    )
                before_s = time_s
            yield picture

    def _announce(self, packet: Any) -> int:
        stamp = packet.pts if packet.pts is not None else packet.dts
        stamp = self._newest + 1 if stamp is None else int(stamp)
        if packet.size > 0:
            self.n_packets += 1
            self._newest = stamp
            if not packet.is_discard:  # an edit list may order images to be decoded and not shown
                heapq.heappush(self._announced, stamp)
        return stamp

    def _pictures_of(self, packet: Any, stamp: int) -> Iterator[Picture]:
        pictures, error = self._decode(packet)
        if error or packet.is_corrupt:
            self._reasons[stamp] = error or "its data are cut off"
        for picture in pictures:
            shown = picture.pts
            if self._in_order or shown is None:
                shown = heapq.heappop(self._announced) if self._announced else self._newest
            else:
                yield from self._overtaken_by(shown)
                if self._announced and self._announced[0] == shown:
                    heapq.heappop(self._announced)
            reason = self._reasons.pop(shown, "") or (
                "the decoder patched damaged parts of it" if picture.is_corrupt else ""
            )
            yield self._seconds(shown), None if reason else picture, reason

    def _overtaken_by(self, stamp: float) -> Iterator[Picture]:
        while self._announced and self._announced[0] < stamp:
            lost = heapq.heappop(self._announced)
            reason = self._reasons.pop(lost, "")
            if reason or not (self._hides and self.decoding):
                yield self._seconds(lost), None, reason or "it could not be decoded"

    def _seconds(self, stamp: int) -> float | None:
        if not self._stamped:
            return None
        seconds = float((stamp - self._start) * self._time_base)
        if self._first_s is None:
            self._first_s = self.last_s = seconds
        self.longest_s = max(self.longest_s, seconds - self.last_s)
        self.last_s = seconds
        self._n_shown += 1
        return seconds
