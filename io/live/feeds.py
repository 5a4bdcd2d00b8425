"""Where live pictures come from.

Cameras, network streams, folders that fill up, a part of the screen. One connection each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import GreyImage
from insitrack.io.errors import SourceError
from insitrack.io.files.luma import to_grey
from insitrack.io.levels import Levels
from insitrack.io.live.ffmpeg_pipe import FfmpegPipe

STREAMS = ("rtsp://", "rtsps://", "http://", "https://", "srt://", "udp://", "tcp://")
CAMERA, FOLDER, SCREEN = "camera:", "watch:", "screen:"
_POLL_S = 0.05
_UNSTAMPED = ("mpjpeg", "mjpeg", "image2pipe", "jpeg_pipe", "png_pipe")
"""Streams of single pictures: they hold no times, and FFmpeg makes some up."""


@dataclass(frozen=True, slots=True)
class Captured:
    """One picture as it came.

    Parameters
    ----------
    image : ndarray of uint8 or uint16, shape (H, W), or None
        Grey levels at native depth; None where it could not be decoded.
    stamp_s : float or None
        Time since the first picture of this connection, s, by the source itself; None: the clock has to tell.
    reason : str
        Why there is no picture.
    """

    image: GreyImage | None
    stamp_s: float | None = None
    reason: str = ""


@dataclass
class Feed:
    """One open connection.

    Parameters
    ----------
    pictures : generator of Captured
        Ends, or raises OSError, when the connection is lost.
    nominal_s : float
        Usual time between pictures, s, as far as the source tells; 0 where it does not.
    facts : dict
        For the manifest.
    close : callable
        Releases it; only in the thread that takes its pictures, for most drivers cannot bear it in the middle
        of a picture.
    stop : callable
        Lets a wait for the next picture end soon, from any thread.
    nm_per_px : float or None
        Width of a pixel, nm, if the source states it.
    told_by : str
        By what.
    """

    pictures: Generator[Captured]
    nominal_s: float
    facts: dict[str, Any]
    close: Callable[[], None]
    stop: Callable[[], None] = lambda: None
    nm_per_px: float | None = None
    told_by: str = ""


def is_live(uri: str) -> bool:
    """Tell whether an address is one of a live source.

    Examples
    --------
    >>> is_live("camera:0"), is_live("rtsp://microscope/1"), is_live("movie.mp4")
    (True, True, False)
    """
    return uri.startswith((*STREAMS, CAMERA, FOLDER, SCREEN))


class Depth:
    """Makes grey levels of whatever a camera gives, fixed on the first picture of the run.

    Parameters
    ----------
    levels : Levels, optional
        Those of a run that goes on.
    """

    def __init__(self, levels: Levels | None = None) -> None:
        self.levels = levels

    def grey(self, picture: NDArray[Any]) -> GreyImage | str:
        """Return the grey levels, uint8 or uint16, shape (H, W), or why there are none."""
        grey = to_grey(picture)
        if grey.ndim != 2 or grey.size == 0 or grey.dtype.kind not in "buif":
            return f"expected a picture of numbers, got {grey.dtype} {grey.shape}"
        if self.levels is None:
            self.levels = Levels.fitted([grey])
        if grey.dtype != self.levels.dtype:
            return f"{grey.dtype} picture in a run of {self.levels.dtype}"
        return self.levels.apply(grey)


def open_feed(uri: str, *, stall_s: float, closing: Callable[[], bool], depth: Depth) -> Feed:
    """Connect once.

    Parameters
    ----------
    uri : str
        ``camera:0``; ``rtsp://``, ``http://``, ``srt://`` address; ``watch:FOLDER``;
        ``screen:LEFT,TOP,WIDTH,HEIGHT``.
    stall_s : float
        How long to wait for a picture before the connection counts as lost, s.
    closing : callable
        Tells whether the run is over.
    depth : Depth
        Makes grey levels of the pictures of a folder.

    Raises
    ------
    SourceError
        If there is nothing at that address, or it cannot be used.
    """
    if uri.startswith(CAMERA):
        return _camera(uri, stall_s)
    if uri.startswith(FOLDER):
        return _folder(uri, closing, depth)
    if uri.startswith(SCREEN):
        return _screen(uri, closing)
    return _stream(uri, stall_s)


def _stream(uri: str, stall_s: float) -> Feed:
    """Decode a network stream as a movie file is decoded, so that the same pictures give the same numbers."""
    import av

    from insitrack.io.files.luma import grey_levels, is_full_range, upright

    # a stream is taken as it comes: not analysed for seconds before the first picture is shown (`nobuffer`
    # would lose that one)
    options = {"probesize": "500000", "analyzeduration": "500000", "fpsprobesize": "0"}
    if uri.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"
    pipe: FfmpegPipe | None = None
    try:
        try:
            container = av.open(
                uri, timeout=(max(5.0, stall_s), stall_s), options=options, metadata_errors="replace"
            )
        except av.error.ProtocolNotFoundError:
            pipe = FfmpegPipe(uri, stall_s)
            container = av.open(pipe, format="nut", options=options, metadata_errors="replace")
            pipe.patience_s = stall_s
    except (av.error.FFmpegError, OSError) as error:
        reason = _why(error) if pipe is None else pipe.failure()
        raise SourceError(
            f"{uri}: no stream there ({reason}); check the address, the cable and the camera"
        ) from error
    if not container.streams.video or container.streams.video[0].codec_context is None:
        container.close()
        if pipe is not None:
            pipe.close()
        raise SourceError(f"{uri}: holds no pictures; expected a video stream")
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1  # only then does FFmpeg report every picture that it had to patch
    stamped = container.format.name not in _UNSTAMPED
    rate = (stream.average_rate or stream.guessed_rate) if stamped else None

    def pictures() -> Generator[Captured]:
        first: int | None = None
        full = True
        try:
            for packet in container.demux(stream):
                try:
                    decoded = packet.decode()
                except av.error.FFmpegError as error:
                    yield Captured(None, None, f"it could not be decoded ({error.strerror})")
                    continue
                for picture in decoded:
                    if first is None:
                        first, full = picture.pts or 0, is_full_range(picture)
                    stamp = (
                        None
                        if picture.pts is None or not stamped
                        else float((picture.pts - first) * Fraction(stream.time_base))
                    )
                    damaged = picture.is_corrupt or packet.is_corrupt
                    if damaged:
                        yield Captured(None, stamp, "the decoder patched damaged parts of it")
                    else:
                        yield Captured(upright(grey_levels(picture, full_range=full), picture), stamp)
        except av.error.FFmpegError as error:
            raise OSError(_why(error)) from error

    def close() -> None:
        container.close()
        if pipe is not None:
            pipe.close()

    facts = {
        "container": container.format.name,
        "codec": stream.codec_context.name,
        "pix_fmt": str(stream.codec_context.pix_fmt),
    }
    return Feed(
        pictures(),
        float(1 / rate) if rate else 0.0,
        facts,
        close,
        (lambda: None) if pipe is None else pipe.stop,
    )


def _why(error: Exception) -> str:
    """Say what went wrong; FFmpeg calls a wait that was ended an exit."""
    import av

    return (
        "nothing came in time"
        if isinstance(error, av.error.ExitError)
        else str(getattr(error, "strerror", None) or error)
    )


def _camera(uri: str, stall_s: float) -> Feed:
    """Open a camera of this computer, through OpenCV."""
    import cv2

    number = uri.removeprefix(CAMERA)
    if not number.isdigit():
        raise SourceError(f"{uri}: expected a number, camera:0 for the first camera")
    before = cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # it says at length what is said below in one line
    device = cv2.VideoCapture(int(number))
    cv2.utils.logging.setLogLevel(before)
    if not device.isOpened():
        raise SourceError(
            f"{uri}: no such camera, or another program holds it; expected one that is connected, camera:0"
            " for the first"
        )
    device.set(cv2.CAP_PROP_READ_TIMEOUT_MSEC, 1e3 * stall_s)  # not every driver knows it
    rate = device.get(cv2.CAP_PROP_FPS)

    def pictures() -> Generator[Captured]:
        while True:
            good, picture = device.read()
            if not good:
                return
            yield Captured(
                np.asarray(
                    cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) if picture.ndim == 3 else picture, np.uint8
                )
            )

    return Feed(
        pictures(),
        1 / rate if rate and rate > 0 else 0.0,
        {"container": "camera through OpenCV"},
        device.release,
    )


def _folder(uri: str, closing: Callable[[], bool], depth: Depth) -> Feed:
    """Watch a folder into which the microscope writes pictures, or stacks that grow.

    Times are those of writing.
    """
    from insitrack.io.files.folder import IMAGE_SUFFIXES, VENDOR_SUFFIXES, natural_order

    folder = Path(uri.removeprefix(FOLDER))
    if not folder.is_dir():
        raise SourceError(
            f"{uri}: no such folder; expected the one into which the microscope software writes"
        )

    def found() -> list[Path]:
        names = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in IMAGE_SUFFIXES + VENDOR_SUFFIXES and not path.name.startswith(".")
        ]
        return sorted(names, key=natural_order)

    def pictures() -> Generator[Captured]:
        done: dict[Path, tuple[int, float, int]] = {}  # pages read, time and size when read
        before: dict[Path, int] = {}
        start: float | None = None
        while not closing():
            new = False
            for path in found():
                try:
                    facts = path.stat()
                except OSError:
                    continue
                settled, before[path] = before.get(path) == facts.st_size, facts.st_size
                n_read, written, size = done.get(path, (0, -1.0, -1))
                if not settled or (written, size) == (facts.st_mtime, facts.st_size):
                    continue  # still being written, or read already
                new = True
                start = facts.st_mtime if start is None else start
                n_now = n_read
                for n_now, image, reason in _pages(path, n_read, depth):  # noqa: B007 kept for what follows
                    yield Captured(image, facts.st_mtime - start if image is not None else None, reason)
                done[path] = (n_now, facts.st_mtime, facts.st_size)
            if not new:
                time.sleep(_POLL_S)

    scale, told_by = _scale_of(next(iter(found()), None))
    return Feed(
        pictures(), 0.0, {"container": "watched folder"}, lambda: None, nm_per_px=scale, told_by=told_by
    )


def _scale_of(path: Path | None) -> tuple[float | None, str]:
    """Width of a pixel that the first file of a folder tells, nm, and which metadata tell it."""
    from insitrack.io.files.stacks import open_stack

    if path is None:
        return None, ""
    try:
        stack = open_stack(path)
    except SourceError:  # still being written
        return None, ""
    stack.close()
    return (None, "") if stack.refused else (stack.nm_per_px, f"{stack.told_by} of {path.name}")


def _pages(path: Path, start: int, depth: Depth) -> Iterator[tuple[int, GreyImage | None, str]]:
    """Pictures of a file from a number on, with the number that follows."""
    from insitrack.io.files.stacks import open_stack

    try:
        stack = open_stack(path)
    except SourceError as error:
        yield start, None, str(error)
        return
    try:
        for index in range(start, stack.n_frames):
            try:
                image = depth.grey(stack.read(index))
            except Exception as error:  # decoders raise whatever they like at damaged data
                yield index + 1, None, f"{path.name}: {error}".splitlines()[0]
                continue
            if isinstance(image, str):
                yield index + 1, None, f"{path.name}: {image}"
            else:
                yield index + 1, image, ""
    finally:
        stack.close()


def _screen(uri: str, closing: Callable[[], bool]) -> Feed:
    """Read a part of the screen, where the platform lets it be read."""
    try:
        left, top, width, height = (int(part) for part in uri.removeprefix(SCREEN).split(","))
    except ValueError as error:
        raise SourceError(
            f"{uri}: expected screen:LEFT,TOP,WIDTH,HEIGHT in px, for example screen:100,100,1024,1024"
        ) from error
    try:
        from PIL import ImageGrab

        ImageGrab.grab((left, top, left + width, top + height))
    except Exception as error:  # every platform has its own reasons
        raise SourceError(
            f"{uri}: the screen cannot be read here"
            f" ({str(error).splitlines()[0] if str(error) else error!r}); use a camera or a stream"
        ) from error

    def pictures() -> Generator[Captured]:
        while not closing():
            picture = ImageGrab.grab((left, top, left + width, top + height)).convert("L")
            yield Captured(np.asarray(picture, np.uint8))
            time.sleep(_POLL_S)

    return Feed(pictures(), _POLL_S, {"container": "screen"}, lambda: None)
