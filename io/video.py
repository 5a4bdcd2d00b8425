"""Movie files in: true timestamps, native depth, every frame accounted for. Movie files out: H.264 for people, FFV1 for measuring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import av
import numpy as np
from numpy.typing import NDArray

from insitrack.io.errors import OutputError, SourceError
from insitrack.io.frames import Calibration, Frame, MissingFrame
from insitrack.io.luma import grey_levels, is_full_range, is_monochrome_h264, planes_420, upright
from insitrack.io.manifest import fingerprint
from insitrack.io.presentation import Presentation
from insitrack.io.timeline import EVERYTHING, Clock, Selection, check_interval

av.logging.set_level(av.logging.PANIC)  # what FFmpeg has to say reaches the user as one line of ours, or not at all

_ATTACHED_PICTURE = 1 << 10
_DECODERS_THAT_HIDE_FRAMES = ("vp8",)  # packets that only serve as references give no picture, and none is missing
_TEXT_DEMUXERS = ("tty", "bin", "adf", "idf", "xbin")  # FFmpeg makes movies of text, as a terminal of the 1980s showed it
_LONG_GAP = 1.5
_LEAST_FRAME_BYTES = 16
_LIMITED, _FULL, _BT601 = 1, 2, 6  # AVCOL_RANGE_MPEG, AVCOL_RANGE_JPEG, AVCOL_SPC_SMPTE170M
_TIME_BASE = Fraction(1, 90_000)
_PLAYBACK_FPS = (5.0, 30.0)
_KEYFRAME_EVERY = 30  # what a crash can cost


class MovieSource:
    """A movie file, read once from beginning to end each time it is iterated.

    Every packet of the file is accounted for: what cannot be decoded, or was cut off, comes as a `MissingFrame`. Decoding uses one
    thread: the network needs the others, and only then does FFmpeg report every picture that it had to patch.

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
        If the file is missing, is not a movie, or holds no picture that can be decoded.
    """

    def __init__(
        self, path: str | Path, *, nm_per_px: float | None = None, frame_interval_s: float | None = None, selection: Selection = EVERYTHING
    ) -> None:
        check_interval(frame_interval_s)
        self.path = Path(path)
        self.name = self.path.stem
        self.calibration = Calibration(nm_per_px=nm_per_px, origin="unknown" if nm_per_px is None else "command line")
        self.warnings: list[str] = []
        self._interval_s = frame_interval_s
        self._selection = selection
        self._fingerprint: dict[str, Any] = {}
        with _opened(self.path) as (container, stream):
            rate = stream.average_rate or stream.guessed_rate or Fraction(25)
            self._nominal_s = float(1 / rate)
            first = self._first_picture(container, stream)
            monochrome = stream.codec_context.name == "h264" and is_monochrome_h264(stream.codec_context.extradata)
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
            self.warnings.append(f"{self.path}: no timestamps, {self.time_origin.split(':')[0]}; give --frame-interval-s")
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
            # a damaged header may promise millions; no frame is stored in fewer bytes than its entry in an index
            n_lost = min(_lost_at_end(container, stream, shown, self._nominal_s), self.path.stat().st_size // _LEAST_FRAME_BYTES)
            n_found = index + 1
            n_repaired = clock.repaired
            if not _indexed(container, stream):
                clock.nominal_s = shown.interval_s or self._nominal_s
            for lost in range(n_found, n_found + n_lost):
                yield self._item(lost, clock.time(lost, None), None, "cut off: the file ends before this frame")
        self.n_frames = n_found + n_lost
        self._report(n_damaged, n_lost, n_repaired)

    def _presentation(self, container: Any, stream: Any) -> Presentation:
        first_decoded = 0
        if self._selection.start_s is not None and self._interval_s is None and self._stamped and not self._in_order:
            first_decoded = _keyframe_before(self.path, self._start + self._selection.start_s / stream.time_base)
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
            return MissingFrame(index, t_s, "damaged", f"picture of {shapes}")
        return Frame(index, t_s, image)

    def _first_picture(self, container: Any, stream: Any) -> Any:
        for packet in container.demux(stream):
            pictures, _ = _decode(packet)
            if pictures:
                return pictures[0]
        raise SourceError(f"{self.path}: no picture in it can be decoded; copy it again from where it was recorded")

    def _report(self, n_damaged: int, n_lost: int, n_repaired: int) -> None:
        if n_lost:
            self._warn(f"the file is cut off, frames lost at its end: about {n_lost}; copy it again from where it was recorded")
        if n_damaged:
            self._warn(f"frames that could not be decoded: {n_damaged}; those after them may show traces up to the next key frame")
        if n_repaired and self._stamped:
            self._warn(f"timestamps that were missing or did not increase, and were repaired: {n_repaired}; check t_s in frames.csv")

    def _warn(self, text: str) -> None:
        line = f"{self.path}: {text}"
        if line not in self.warnings:
            self.warnings.append(line)

    def describe(self) -> dict[str, Any]:
        """Path, container, codec, size, frame count and rate, hash and time origin."""
        facts = {"kind": "movie", "path": str(self.path), **self._facts, "n_frames": self.n_frames, "time_origin": self.time_origin}
        self._fingerprint = self._fingerprint or fingerprint(self.path)  # read once: large files take a while
        return {**facts, **self._fingerprint}

    def close(self) -> None:
        """Nothing stays open between iterations."""


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
    return 0 if missing_s <= _LONG_GAP * max(interval_s, shown.longest_s) else round(missing_s / interval_s) - 1


def _indexed(container: Any, stream: Any) -> int:
    """Read the number of packets from the index of the container; 0 where it has none that can be trusted."""
    return int(stream.frames) if "mp4" in container.format.name else 0


def _promised_s(container: Any, stream: Any) -> float:
    """Duration of the picture stream that the header tells, s; 0 if it does not."""
    ticks = max(stream.duration or 0, stream.frames if container.format.name == "avi" else 0)
    if ticks:
        return float(ticks * stream.time_base)
    alone = len(container.streams) == 1  # otherwise it may be the sound that lasts longer
    return float((container.duration or 0) / av.time_base) if alone else 0.0


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
    """Packets of the stream and an empty one that flushes the decoder, also when the container breaks off with an error."""
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
            raise SourceError(f"{path}: holds no pictures, only {_contents(container)}; expected a movie")
        if streams[0].codec_context is None:
            raise SourceError(f"{path}: its pictures are coded in a way that FFmpeg does not know; export it as H.264 or FFV1")
        streams[0].codec_context.thread_count = 1
        yield container, streams[0]


def _contents(container: Any) -> str:
    return " and ".join(sorted({"sound" if s.type == "audio" else str(s.type) for s in container.streams})) or "nothing"


def _why_not_opened(path: Path, error: Exception) -> str:
    with path.open("rb") as stream:
        head = stream.read(12)
    if head[4:8] == b"ftyp":
        return "the movie was cut off before its index (moov) was written; copy it again, or have it repaired with untrunc and a whole movie"
    if isinstance(error, EOFError):
        return "the file ends before its first picture; copy it again from where it was recorded"
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


class MovieWriter:
    """Writes pictures to a movie file that plays in a browser and, if the program dies, up to the last second written.

    The file has a temporary name until it is closed; leaving the `with` block closes it also after an error. Without a single
    picture no file appears.

    Parameters
    ----------
    path : str or Path
        `.mp4` or `.mov` for H.264; `.mkv` for both codecs.
    codec : {"h264", "ffv1"}
        H.264 in 8 bits for people; FFV1 in 8 or 16 grey bits, lossless, for measuring.
    playback_fps : float, "nominal" or "timestamps"
        Pictures per second on replay. `nominal` takes the rate between the first two pictures, kept between 5 and 30, so that an
        experiment with one picture a minute can be watched; `timestamps` keeps every time as given (MKV rounds it to 1 ms).
    crf : int
        H.264 quality: 0 best, 51 worst; 23 is the encoder's own choice.
    preset : str
        H.264 effort: `ultrafast` costs about 5 ms of one core for 1024x1024, `superfast` about 9 ms for files a fifth smaller.
    threads : int
        Threads of the encoder; more take cores from the network.
    index_first : bool
        Put the index of a finished MP4 in front, so that a copy that was cut off still plays up to the cut; the price is that nothing
        can be played if the program dies while it writes.

    Attributes
    ----------
    n_frames : int
        Pictures written so far.

    Raises
    ------
    OutputError
        If the file cannot be written; from `write` and `close` too.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "grey.mp4"
    >>> with MovieWriter(path, playback_fps="timestamps") as movie:
    ...     for t_s in (0.0, 0.5, 2.0):
    ...         movie.write(np.full((64, 96), 100, np.uint8), t_s)
    >>> [frame.t_s for frame in MovieSource(path)]
    [0.0, 0.5, 2.0]
    """

    def __init__(
        self,
        path: str | Path,
        *,
        codec: Literal["h264", "ffv1"] = "h264",
        playback_fps: float | Literal["nominal", "timestamps"] = "nominal",
        crf: int = 23,
        preset: str = "ultrafast",
        threads: int = 1,
        index_first: bool = False,
    ) -> None:
        self.path = Path(path)
        self._index_first = index_first
        self.n_frames = 0
        self._temporary = self.path.with_name(self.path.name + ".part")
        self._playback = playback_fps
        self._codec = codec
        self._options = {"preset": preset, "crf": str(crf), "bf": "0"} if codec == "h264" else {"level": "3", "slicecrc": "1"}
        self._threads = threads
        self._container: Any = None
        self._stream: Any = None
        self._kind: tuple[Any, ...] = ()
        self._waiting: tuple[NDArray[Any], float] | None = None
        self._first_s = 0.0
        self._last_pts = -1
        self._last_index = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.close()
        except OutputError:
            if kind is None:  # otherwise the first error tells more
                raise

    def write(self, image: NDArray[Any], t_s: float) -> None:
        """Append one picture.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W) or (H, W, 3); of uint16, shape (H, W), for FFV1
            Grey levels, or blue, green, red. H.264 wants even sizes: an odd last row or column is repeated.
        t_s : float
            Its time, s.

        Raises
        ------
        ValueError
            If the picture is of another kind or size than the first one, or than the codec can hold.
        """
        kind = (image.dtype, *image.shape)
        if not self._kind:
            self._check(image)
            self._kind = kind
        if kind != self._kind:
            raise ValueError(f"{self.path}: picture {self.n_frames} is {kind}, the first one was {self._kind}")
        self.n_frames += 1
        if self._stream is None and self._waiting is None:  # the first interval tells the rate
            self._waiting = (image.copy(), t_s)
            return
        self._write_waiting(t_s)
        self._encode(image, t_s)

    def _check(self, image: NDArray[Any]) -> None:
        grey = image.ndim == 2 and image.size > 0
        colour = image.ndim == 3 and image.shape[2] == 3 and image.size > 0
        if self._codec == "h264" and not ((grey or colour) and image.dtype == np.uint8):
            raise ValueError(f"H.264 takes uint8 (H, W) or (H, W, 3), got {image.dtype} {image.shape}")
        if self._codec == "ffv1" and not (grey and image.dtype in (np.uint8, np.uint16)):
            raise ValueError(f"FFV1 takes uint8 or uint16 (H, W), got {image.dtype} {image.shape}")

    def _write_waiting(self, next_s: float) -> None:
        if self._waiting is None:
            return
        (image, t_s), self._waiting = self._waiting, None
        low, high = _PLAYBACK_FPS
        rate = 1 / (next_s - t_s) if next_s > t_s else low
        if self._playback == "nominal":
            self._playback = min(max(rate, low), high)
        self._first_s = t_s
        self._open(image, rate if isinstance(self._playback, str) else self._playback)
        self._encode(image, t_s)

    def _encode(self, image: NDArray[Any], t_s: float) -> None:
        frame = _frame_of(image, self._codec)
        frame.pts = self._next_pts(t_s)
        frame.time_base = _TIME_BASE
        self._mux(frame)

    def _next_pts(self, t_s: float) -> int:
        self._last_index += 1
        seconds = t_s - self._first_s if isinstance(self._playback, str) else self._last_index / self._playback
        self._last_pts = max(self._last_pts + 1, round(seconds / _TIME_BASE))
        return self._last_pts

    def _open(self, image: NDArray[Any], fps: float) -> None:
        height, width = image.shape[:2]
        mp4 = self.path.suffix.lower() != ".mkv"
        # A plain index when closed; until then fragments, each of which can be played without it.
        options = {"flush_packets": "1"}
        if mp4:
            fragments = "frag_keyframe+empty_moov+default_base_moof+hybrid_fragmented"
            options["movflags"] = "faststart" if self._index_first else fragments
        rate = Fraction(fps).limit_denominator(1001) if fps > 1 else 1 / Fraction(1 / fps).limit_denominator(1001)
        self._container = av.open(str(self._temporary), "w", format="mp4" if mp4 else "matroska", options=options)
        stream = self._container.add_stream("libx264" if self._codec == "h264" else "ffv1", rate=rate, options=self._options)
        even = (height + height % 2, width + width % 2) if self._codec == "h264" else (height, width)
        stream.height, stream.width = even
        stream.pix_fmt = _frame_of(image[:2, :2], self._codec).format.name
        context = stream.codec_context
        context.time_base = _TIME_BASE
        context.gop_size = _KEYFRAME_EVERY if self._codec == "h264" else 1
        context.thread_count = self._threads
        context.color_range = _FULL if image.ndim == 2 else _LIMITED
        if image.ndim == 3:
            context.colorspace = _BT601
        self._stream = stream

    def _mux(self, frame: Any) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except (av.error.FFmpegError, OSError) as error:
            raise OutputError(self._refusal(error)) from error

    def close(self) -> None:
        """Finish the file and give it its name; safe to call twice."""
        if self._waiting is not None:
            self._write_waiting(self._waiting[1])
        if self._container is None:
            return
        container, temporary = self._container, self._temporary
        try:
            self._mux(None)
            container.close()
        except (av.error.FFmpegError, OSError) as error:
            raise OutputError(self._refusal(error)) from error
        finally:
            self._container = None
            if temporary.exists():
                temporary.replace(self.path)

    def _refusal(self, error: Exception) -> str:
        reason = getattr(error, "strerror", None) or error
        return f"{self.path}: cannot be written ({reason}); make room, or choose another folder with --out"


def _frame_of(image: NDArray[Any], codec: str) -> Any:
    """Give a picture the planes and the colour tags that the encoder takes."""
    planes, layout = (image, "gray" if image.dtype == np.uint8 else "gray16le") if codec == "ffv1" else planes_420(image)
    # from_numpy_buffer would save a copy, but takes pictures whose height is not a multiple of 4 for lower ones and shifts their colours
    frame = av.VideoFrame.from_ndarray(planes, format=layout)
    frame.color_range = _FULL if image.ndim == 2 else _LIMITED
    if image.ndim == 3:
        frame.colorspace = _BT601
    return frame
