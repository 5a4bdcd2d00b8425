"""Movie files in: true timestamps, native depth, every frame accounted for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from insitrack.io.errors import SourceError
from insitrack.io.files.luma import grey_levels, is_full_range, is_monochrome_h264, upright
from insitrack.io.files.presentation import Presentation
from insitrack.io.files.stack import check_promises
from insitrack.io.frames import Calibration, Frame, MissingFrame
from insitrack.io.levels import Levels
from insitrack.io.manifest import fingerprint
from insitrack.io.timeline import EVERYTHING, Clock, Selection, check_interval

av.logging.set_level(
    av.logging.PANIC
)  # what FFmpeg has to say reaches the user as one line of ours, or not at all

_ATTACHED_PICTURE = 1 << 10
_DECODERS_THAT_HIDE_FRAMES = (
    "vp8",
)  # packets that only serve as references give no image, and none is missing
_TEXT_DEMUXERS = (
    "tty",
    "bin",
    "adf",
    "idf",
    "xbin",
)  # FFmpeg makes movies of text, as a terminal of the 1980s showed it
_DURATION_IS_THE_END = (
    "matroska,webm",
    "nut",
    "asf",
)  # their headers give the time at which the last frame ends, not how long the movie is
_LONG_GAP = 1.5
_N_SAMPLES = 16
_LEAST_FRAME_BYTES = 16


class MovieSource:
    """A movie file, read once from beginning to end each time it is iterated.

    Every packet of the file is accounted for: what cannot be decoded, or was cut off, comes as a
    `MissingFrame`. Decoding uses one thread: the network needs the others, and only then does FFmpeg report
    every image that it had to patch.

    Parameters
    ----------
    path : str or Path
        Any file that FFmpeg reads.
    nm_per_px : float, optional
        Width of a pixel, nm. Movie files hold no scale that can be trusted.
    frame_interval_s : float, optional
        Time between frames, s, in place of the timestamps.
    selection : Selection
        Which frames to process.

    Attributes
    ----------
    warnings : list of str
        What was wrong with the file, one line each; complete once the source has been read to its end.

    Raises
    ------
    SourceError
        If the file is missing, is not a movie, or holds no image that can be decoded.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        nm_per_px: float | None = None,
        frame_interval_s: float | None = None,
        selection: Selection = EVERYTHING,
    ) -> None:
        check_interval(frame_interval_s)
        self.path = Path(path)
        self.name = self.path.stem
        self.calibration = Calibration(
            nm_per_px=nm_per_px, origin="unknown" if nm_per_px is None else "command line"
        )
        self.warnings: list[str] = []
        self.refused = ""
        self.levels: Levels | None = None  # grey levels as they are decoded
        self._interval_s = frame_interval_s
        self._selection = selection
        self._fingerprint: dict[str, Any] = {}
        with _opened(self.path) as (container, stream):
            rate = stream.average_rate or stream.guessed_rate or Fraction(25)
            self._nominal_s = float(1 / rate)
            check_promises(self.path, 1, stream.codec_context.width * stream.codec_context.height)
            first = _first_picture(container, stream, self.path)
            monochrome = stream.codec_context.name == "h264" and is_monochrome_h264(
                stream.codec_context.extradata
            )
            self._full_range = is_full_range(first, monochrome=monochrome)
            self._stamped = first.pts is not None
            self._in_order = container.format.name == "avi" and bool(stream.codec_context.has_b_frames)
            self._start = int((first.pts if self._in_order else stream.start_time) or 0)
            self.n_frames = _expected_frames(container, stream, self._nominal_s)
            self._shape = upright(grey_levels(first, full_range=True), first).shape
            self._facts = {
                "container": container.format.name,
                "codec": stream.codec_context.name,
                "pix_fmt": first.format.name,
                "levels": "as encoded" if self._full_range else "limited range stretched to full",
                "width_px": self._shape[1],
                "height_px": self._shape[0],
                "average_fps": float(rate),
            }
        self.time_origin = "timestamps of the movie, from its first frame"
        if not self._stamped:
            self.time_origin = f"assumed {float(rate):g} frames per second: the file holds no timestamps"
            self.warnings.append(
                f"{self.path}: no timestamps, {self.time_origin.split(':')[0]}; give --frame-interval-s"
            )
        if frame_interval_s is not None:
            self.time_origin = "command line"
            self.warnings.clear()

    def __iter__(self) -> Iterator[Frame | MissingFrame]:
        clock = Clock(self._nominal_s, self._interval_s)
        n_damaged = 0
        index = -1
        with _opened(self.path) as (container, stream):
            shown = self._presentation(container, stream)
            for index, (stamp_s, picture, reason) in enumerate(shown):
                t_s = clock.time(index, stamp_s)
                item = self._item(index, t_s, picture, reason)
                n_damaged += isinstance(item, MissingFrame) and item.status == "damaged"
                shown.decoding = not self._selection.is_past(t_s)
                yield item
            # a damaged header may promise millions; no frame is stored in fewer bytes than its entry in an
            # index
            n_lost = min(
                _lost_at_end(container, stream, shown, self._nominal_s),
                self.path.stat().st_size // _LEAST_FRAME_BYTES,
            )
            n_found = index + 1
            n_repaired, n_restarts = clock.repaired, clock.restarts
            if not _indexed(container, stream):
                clock.nominal_s = shown.interval_s or self._nominal_s
            for lost in range(n_found, n_found + n_lost):
                yield self._item(
                    lost, clock.time(lost, None), None, "cut off: the file ends before this frame"
                )
        self.n_frames = n_found + n_lost
        n_repaired, n_restarts = (n_repaired, n_restarts) if self._stamped else (0, 0)
        for line in _complaints(n_damaged, n_lost, n_repaired, n_restarts):
            self._warn(line)

    def samples(self) -> Iterator[Frame]:
        """Give up to 16 frames spread over the wanted times, each decoded from the key frame before it.

        They are numbered in this order.
        """
        wanted, as_told = self._selection, self._interval_s is None
        with _opened(self.path) as (container, stream):
            first_s = (wanted.start_s or 0.0) if as_told else 0.0
            last_s = (
                wanted.end_s
                if as_told and wanted.end_s is not None
                else max(first_s, _promised_s(container, stream))
            )
            for number in range(_N_SAMPLES):
                at_s = first_s + (last_s - first_s) * number / _N_SAMPLES
                try:
                    container.seek(self._start + round(at_s / stream.time_base), stream=stream)
                    picture = next(
                        picture for packet in container.demux(stream) for picture in _decode(packet)[0]
                    )
                except (av.error.FFmpegError, StopIteration):
                    continue
                image = upright(grey_levels(picture, full_range=self._full_range), picture)
                if image.shape == self._shape:
                    yield Frame(number, at_s, image)

    def _presentation(self, container: Any, stream: Any) -> Presentation:
        first_decoded = 0
        if (
            self._selection.start_s is not None
            and self._interval_s is None
            and self._stamped
            and not self._in_order
        ):
            first_decoded = _keyframe_before(
                self.path, self._start + self._selection.start_s / stream.time_base
            )
        return Presentation(
            _demuxed(container, stream),
            _decode,
            time_base=stream.time_base,
            start=self._start,
            stamped=self._stamped,
            in_order=self._in_order,
            hides=stream.codec_context.name in _DECODERS_THAT_HIDE_FRAMES,
            first_decoded=first_decoded,
            promised=_indexed(container, stream),
            nominal_s=self._nominal_s,
        )

    def _item(self, index: int, t_s: float, picture: Any, reason: str) -> Frame | MissingFrame:
        unwanted = self._selection.excludes(index, t_s)
        if unwanted:
            return MissingFrame(index, t_s, "skipped", unwanted)
        if picture is None:
            return MissingFrame(index, t_s, "damaged", reason)
        image = upright(grey_levels(picture, full_range=self._full_range), picture)
        if image.shape != self._shape:
            shapes = "{1} x {0} px in a movie of {3} x {2} px".format(*image.shape, *self._shape)
            return MissingFrame(index, t_s, "damaged", f"image of {shapes}")
        return Frame(index, t_s, image)

    def _warn(self, text: str) -> None:
        line = f"{self.path}: {text}"
        if line not in self.warnings:
            self.warnings.append(line)

    def describe(self) -> dict[str, Any]:
        """Path, container, codec, size, frame count and rate, hash and time origin."""
        facts = {
            "kind": "movie",
            "path": str(self.path),
            **self._facts,
            "n_frames": self.n_frames,
            "time_origin": self.time_origin,
        }
        self._fingerprint = self._fingerprint or fingerprint(self.path)  # read once: large files take a while
        return {**facts, **self._fingerprint}

    def close(self) -> None:
        """Nothing stays open between iterations."""


def _first_picture(container: Any, stream: Any, path: Path) -> Any:
    for packet in container.demux(stream):
        pictures, _ = _decode(packet)
        if pictures:
            return pictures[0]
    raise SourceError(f"{path}: no image in it can be decoded; copy it again from where it was recorded")


def _complaints(n_damaged: int, n_lost: int, n_repaired: int, n_restarts: int) -> Iterator[str]:
    """Say what was wrong with a movie, one line each."""
    if n_lost:
        yield (
            f"the file is cut off, frames lost at its end: about {n_lost}; copy it again from where it"
            " was recorded"
        )
    if n_damaged:
        yield (
            f"frames that could not be decoded: {n_damaged}; those after them may show traces up to the"
            " next key frame"
        )
    if n_repaired:
        yield (
            f"timestamps that were missing or did not increase, and were repaired: {n_repaired}; check"
            " t_s in frames.csv"
        )
    if n_restarts:
        yield (
            f"timestamps start again in the middle: {n_restarts} times; the parts follow each other by one"
            " frame interval, the pauses between them are not known"
        )


def _keyframe_before(path: Path, stamp: Fraction | float) -> int:
    """Find the last packet, shown at or before a timestamp, from which decoding can begin."""
    found = 0
    with _opened(path) as (container, stream):
        for number, packet in enumerate(_demuxed(container, stream)):
            if packet.pts is None or packet.pts > stamp:
                break
            if packet.is_keyframe:
                found = number
    return found


def _lost_at_end(container: Any, stream: Any, shown: Presentation, nominal_s: float) -> int:
    """How many frames the container promises beyond those found: by its index, else by its duration."""
    if indexed := _indexed(container, stream):
        return max(0, indexed - shown.n_packets)
    missing_s = _promised_s(container, stream) - shown.last_s
    interval_s = shown.interval_s or nominal_s
    return (
        0 if missing_s <= _LONG_GAP * max(interval_s, shown.longest_s) else round(missing_s / interval_s) - 1
    )


def _indexed(container: Any, stream: Any) -> int:
    """Read the number of packets from the index of the container; 0 where it has none that can be trusted."""
    return int(stream.frames) if "mp4" in container.format.name else 0


def _promised_s(container: Any, stream: Any) -> float:
    """Duration of the image stream that the header states, s, from its first frame; 0 if it does not."""
    kind = container.format.name
    ticks = max(stream.duration or 0, stream.frames if kind == "avi" else 0)
    if ticks:
        promised_s = float(ticks * stream.time_base)
    elif len(container.streams) == 1:  # otherwise it may be the sound that lasts longer
        promised_s = float((container.duration or 0) / av.time_base)
    else:
        return 0.0
    start_s = float((stream.start_time or 0) * stream.time_base)
    late = kind in _DURATION_IS_THE_END and 0 < start_s < promised_s
    return promised_s - start_s if late else promised_s


def _expected_frames(container: Any, stream: Any, nominal_s: float) -> int | None:
    if stream.frames and container.format.name != "avi":
        return int(stream.frames)
    return round(_promised_s(container, stream) / nominal_s) or None


def _decode(packet: Any) -> tuple[list[Any], str]:
    try:
        return packet.decode(), ""
    except av.error.FFmpegError as error:
        return [], f"it could not be decoded ({error.strerror})"


def _demuxed(container: Any, stream: Any) -> Iterator[Any]:
    """Packets of the stream and an empty one that flushes the decoder.

    The empty one comes even if the container ends with an error.
    """
    try:
        yield from container.demux(stream)
    except av.error.FFmpegError:
        last = av.Packet()
        last.stream = stream
        yield last


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    if not path.is_file():
        raise SourceError(f"{path}: no such movie; check the path, or try: track synth:loops")
    if path.stat().st_size == 0:
        raise SourceError(f"{path}: the file is empty (0 bytes); copy it again from where it was recorded")
    try:
        container = av.open(str(path.absolute()), metadata_errors="replace")  # titles may hold anything
    except (av.error.FFmpegError, OSError) as error:
        raise SourceError(f"{path}: {_why_not_opened(path, error)}") from error
    with container:
        if container.format.name in _TEXT_DEMUXERS:
            raise SourceError(f"{path}: a text file; expected a movie, an image or a folder of images")
        streams = [s for s in container.streams.video if not int(s.disposition) & _ATTACHED_PICTURE]
        if not streams:
            raise SourceError(f"{path}: holds no images, only {_contents(container)}; expected a movie")
        if streams[0].codec_context is None:
            raise SourceError(
                f"{path}: its images are coded in a way that FFmpeg does not know; export it as H.264 or FFV1"
            )
        streams[0].codec_context.thread_count = 1
        yield container, streams[0]


def _contents(container: Any) -> str:
    return (
        " and ".join(sorted({"sound" if s.type == "audio" else str(s.type) for s in container.streams}))
        or "nothing"
    )


def _why_not_opened(path: Path, error: Exception) -> str:
    with path.open("rb") as stream:
        head = stream.read(12)
    if head[4:8] == b"ftyp":
        return (
            "the movie was cut off before its index (moov) was written; copy it again, or have it repaired"
            " with untrunc and a whole movie"
        )
    if isinstance(error, EOFError):
        return "the file ends before its first image; copy it again from where it was recorded"
    reason = getattr(error, "strerror", None) or error
    return f"not a movie that FFmpeg can read ({reason}); expected MP4, MOV, AVI, MKV, WebM, MPEG or similar"


def codec_available(name: str, mode: str) -> bool:
    """Whether this FFmpeg can read (`r`) or write (`w`) with a codec.

    Examples
    --------
    >>> codec_available("ffv1", "w"), codec_available("no such codec", "r")
    (True, False)
    """
    try:
        av.Codec(name, mode)
    except av.codec.codec.UnknownCodecError:
        return False
    return True
