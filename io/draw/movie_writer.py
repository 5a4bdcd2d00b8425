"""Movie files out: H.264 for people, FFV1 for measuring.

What was written survives a cut, and two parts become one movie.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import av
import numpy as np
from numpy.typing import NDArray

from insitrack.io.errors import OutputError
from insitrack.io.files.luma import planes_420
from insitrack.io.write import part_of

av.logging.set_level(
    av.logging.PANIC
)  # what FFmpeg has to say reaches the user as one line of ours, or not at all

_LIMITED, _FULL, _BT601 = 1, 2, 6  # AVCOL_RANGE_MPEG, AVCOL_RANGE_JPEG, AVCOL_SPC_SMPTE170M
_TIME_BASE = Fraction(1, 90_000)
_PLAYBACK_FPS = (5.0, 30.0)
_FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof+hybrid_fragmented"
"""A plain index when closed; until then fragments, each of which can be played without it."""
_KEYFRAME_EVERY = 30  # what a crash can cost


class MovieWriter:
    """Writes frames to a movie file that plays in a browser, and after a crash up to its last second.

    The file has a temporary name until it is closed; leaving the `with` block closes it also after an error.
    Without a single frame no file appears.

    Parameters
    ----------
    path : str or Path
        `.mp4` or `.mov` for H.264; `.mkv` for both codecs.
    codec : {"h264", "ffv1"}
        H.264 in 8 bits for people; FFV1 in 8 or 16 grey bits, lossless, for measuring.
    playback_fps : float, "nominal" or "timestamps"
        Frames per second on replay. `nominal` takes the rate between the first two frames, kept between 5
        and 30, so that an experiment with one frame a minute can be watched; `timestamps` keeps every time
        as given (MKV rounds it to 1 ms).
    crf : int
        H.264 quality: 0 best, 51 worst; 23 is the encoder's own choice.
    preset : str
        H.264 effort: `ultrafast` costs about 5 ms of one core for 1024x1024, `superfast` about 9 ms for files
        a fifth smaller.
    threads : int
        Threads of the encoder; more take cores from the network.
    index_first : bool
        Put the index of a finished MP4 in front, so that a copy that was cut off still plays up to the cut;
        the price is that nothing can be played if the program dies while it writes.

    Attributes
    ----------
    n_frames : int
        Frames written so far.

    Raises
    ------
    OutputError
        If the file cannot be written; from `write` and `close` too.

    Examples
    --------
    >>> import tempfile
    >>> from insitrack.io.files.movie import MovieSource
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
        self._temporary = part_of(self.path)
        self._playback = playback_fps
        self._codec = codec
        self._options = (
            {"preset": preset, "crf": str(crf), "bf": "0"}
            if codec == "h264"
            else {"level": "3", "slicecrc": "1"}
        )
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except OutputError:
            if kind is None:  # otherwise the first error says more
                raise

    def write(self, image: NDArray[Any], t_s: float) -> None:
        """Append one frame.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W) or (H, W, 3); of uint16, shape (H, W), for FFV1
            Grey levels, or blue, green, red. H.264 wants even sizes: an odd last row or column is repeated.
        t_s : float
            Its time, s.

        Raises
        ------
        ValueError
            If the frame is of another kind or size than the first one, or than the codec can hold.
        """
        kind = (image.dtype, *image.shape)
        if not self._kind:
            _check(image, self._codec)
            self._kind = kind
        if kind != self._kind:
            raise ValueError(f"{self.path}: frame {self.n_frames} is {kind}, the first one was {self._kind}")
        self.n_frames += 1
        if self._stream is None and self._waiting is None:  # the first interval gives the rate
            self._waiting = (image.copy(), t_s)
            return
        self._write_waiting(t_s)
        self._encode(image, t_s)

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
        seconds = (
            t_s - self._first_s if isinstance(self._playback, str) else self._last_index / self._playback
        )
        self._last_pts = max(self._last_pts + 1, round(seconds / _TIME_BASE))
        return self._last_pts

    def _open(self, image: NDArray[Any], fps: float) -> None:
        height, width = image.shape[:2]
        mp4 = self.path.suffix.lower() != ".mkv"
        options = {"flush_packets": "1"}
        if mp4:
            options["movflags"] = "faststart" if self._index_first else _FRAGMENTS
        if self._temporary.is_symlink():  # it would be written where it leads
            self._temporary.unlink()
        self._container = av.open(
            str(self._temporary), "w", format="mp4" if mp4 else "matroska", options=options
        )
        stream = self._container.add_stream(
            "libx264" if self._codec == "h264" else "ffv1", rate=_rate_of(fps), options=self._options
        )
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
            raise OutputError(_refusal(self.path, error)) from error

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
            raise OutputError(_refusal(self.path, error)) from error
        finally:
            self._container = None
            if temporary.exists():
                temporary.replace(self.path)


def _check(image: NDArray[Any], codec: str) -> None:
    """Refuse what a codec cannot hold."""
    grey = image.ndim == 2 and image.size > 0
    colour = image.ndim == 3 and image.shape[2] == 3 and image.size > 0
    if codec == "h264" and not ((grey or colour) and image.dtype == np.uint8):
        raise ValueError(f"H.264 takes uint8 (H, W) or (H, W, 3), got {image.dtype} {image.shape}")
    if codec == "ffv1" and not (grey and image.dtype in (np.uint8, np.uint16)):
        raise ValueError(f"FFV1 takes uint8 or uint16 (H, W), got {image.dtype} {image.shape}")


def _rate_of(fps: float) -> Fraction:
    """Frames per second as a fraction that containers can hold."""
    return Fraction(fps).limit_denominator(1001) if fps > 1 else 1 / Fraction(1 / fps).limit_denominator(1001)


def _refusal(path: Path, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or error
    return f"{path}: cannot be written ({reason}); make room, or choose another folder with --out"


def join_movies(first: Path, second: Path, *, most: int | None = None) -> int:
    """Put one H.264 movie behind another, without encoding again.

    The joined one takes the place of the first, the second is removed.

    Parameters
    ----------
    first, second : Path
        Movies of one `MovieWriter`, also such as were cut off. Where only one holds frames, that becomes
        the first.
    most : int, optional
        Frames that the joined movie may have; those beyond are left out.

    Returns
    -------
    int
        Frames in the joined movie; 0 if there was none, and then no file is left.

    Raises
    ------
    OutputError
        If the two are of different kinds, or the movie cannot be written; both are left as they are.
    """
    joined = first.with_name(f"{first.name}.joined")
    try:
        n_pictures = _copy_packets((first, second), joined, most)
    except (av.error.FFmpegError, OSError) as error:
        joined.unlink(missing_ok=True)
        raise OutputError(
            f"{joined}: cannot be written ({getattr(error, 'strerror', None) or error}); make room"
        ) from error
    except OutputError:
        joined.unlink(missing_ok=True)
        raise
    if n_pictures:
        joined.replace(first)
    else:
        first.unlink(missing_ok=True)
    second.unlink(missing_ok=True)
    return n_pictures


def _copy_packets(parts: tuple[Path, ...], path: Path, most: int | None) -> int:
    """Write the packets of all parts behind each other; return how many there were."""
    n_pictures = next_pts = 0
    with ExitStack() as stack:
        out: Any = None
        for part in parts:
            for packet, shown in _packets(part):
                if n_pictures == most:
                    return n_pictures
                if out is None:
                    out = stack.enter_context(
                        av.open(str(path), "w", format="mp4", options={"movflags": _FRAGMENTS})
                    )
                    stream, kind = out.add_stream_from_template(shown), _kind_of(shown)
                if _kind_of(shown) != kind:
                    raise OutputError(
                        f"{part}: {_kind_of(shown)[:3]} instead of {kind[:3]}, not of the kind of {parts[0]};"
                        " they stay two movies"
                    )
                next_pts += (packet.duration or 1) if n_pictures else 0
                packet.pts = packet.dts = next_pts
                packet.stream = stream
                out.mux(packet)
                n_pictures += 1
    return n_pictures


def count_pictures(path: Path) -> int:
    """Count the frames of a movie without decoding it; 0 where there is none."""
    return sum(1 for _ in _packets(path))


def _packets(path: Path) -> Iterator[tuple[Any, Any]]:
    """Packets of a movie with their stream, up to where it can be read."""
    if not path.is_file():
        return
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            for packet in container.demux(stream):
                if packet.size:
                    yield packet, stream
    except (av.error.FFmpegError, IndexError):
        return  # cut off there


def _kind_of(stream: Any) -> tuple[Any, ...]:
    context = stream.codec_context
    return context.name, context.width, context.height, stream.time_base, context.extradata


def _frame_of(image: NDArray[Any], codec: str) -> Any:
    """Give a frame the planes and the colour tags that the encoder takes."""
    planes, layout = (
        (image, "gray" if image.dtype == np.uint8 else "gray16le") if codec == "ffv1" else planes_420(image)
    )
    # from_numpy_buffer would save a copy, but takes frames whose height is not a multiple of 4 for lower
    # ones and shifts their colours
    frame = av.VideoFrame.from_ndarray(planes, format=layout)
    frame.color_range = _FULL if image.ndim == 2 else _LIMITED
    if image.ndim == 3:
        frame.colorspace = _BT601
    return frame
