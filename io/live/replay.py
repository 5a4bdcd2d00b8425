"""A camera that is not there.

Any movie or synthetic scene as a stream over HTTP, at a chosen rate, with the faults of real ones.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self, get_args

import cv2
import numpy as np

from insitrack.io.arrays import GreyImage
from insitrack.io.errors import SettingsError
from insitrack.io.frames import Frame, Source

FaultKind = Literal["stall", "drop", "duplicate", "reorder", "resize", "disconnect", "corrupt"]
_LOSSLESS, _MJPEG = "/stream.nut", "/stream.mjpg"
_BOUNDARY = b"insitrack"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong.

    Parameters
    ----------
    kind : str
        `stall` and `disconnect` last `seconds`; `drop` leaves a frame out; `duplicate` sends it twice;
        `reorder` swaps it with the next one; `resize` sends it at half its size (streams in one size break
        the connection for that); `corrupt` damages its data.
    frame : int
        Before which frame.
    seconds : float
        For how long.
    """

    kind: FaultKind
    frame: int
    seconds: float = 0.0


def parse_fault(text: str) -> Fault:
    """Read ``stall@100:3``.

    Raises
    ------
    SettingsError
        If it is not of that form.

    Examples
    --------
    >>> parse_fault("stall@100:3")
    Fault(kind='stall', frame=100, seconds=3.0)
    """
    kind, at, rest = text.partition("@")
    frame, _, seconds = rest.partition(":")
    try:
        if kind not in get_args(FaultKind) or not at:
            raise ValueError
        return Fault(kind, int(frame), float(seconds or 0))  # type: ignore[arg-type]
    except ValueError as error:
        known = ", ".join(get_args(FaultKind))
        raise SettingsError(
            f"--fault {text}: expected KIND@FRAME or KIND@FRAME:SECONDS, KIND one of {known}; for example"
            " stall@100:3"
        ) from error


def random_faults(n: int, n_frames: int, seed: int = 0) -> list[Fault]:
    """Faults of every kind at random frames; stalls and disconnections are short."""
    random = np.random.default_rng(seed)
    kinds: tuple[FaultKind, ...] = get_args(FaultKind)
    frames = np.sort(random.integers(3, max(4, n_frames - 3), n)).tolist()
    return [
        Fault(kinds[int(random.integers(len(kinds)))], frame, float(random.uniform(0.05, 0.4)))
        for frame in frames
    ]


class Replay:
    """Serves frames to whoever connects, in real time, as a camera does: who is not connected misses them.

    ``http://127.0.0.1:PORT/stream.nut`` is lossless (FFV1) with exact timestamps; ``/stream.mjpg`` is what
    network cameras send.

    Parameters
    ----------
    frames : callable
        Opens the movie, folder of images or synthetic scene; called once for every time that it is played.
    port : int
        Port on 127.0.0.1; 0 takes a free one.
    fps : float or None
        Frames per second; None: as the source was taken; 0: as fast as they are taken.
    faults : sequence of Fault
        What goes wrong.
    loops : int
        How many times the source is played.

    Examples
    --------
    >>> from insitrack.io.synth.source import SynthSource
    >>> with Replay(lambda: SynthSource("synth:loops?frames=2&size=64")) as camera:
    ...     camera.address.startswith("http://127.0.0.1:")
    True
    """

    def __init__(
        self,
        frames: Callable[[], Source],
        *,
        port: int = 0,
        fps: float | None = None,
        faults: Sequence[Fault] = (),
        loops: int = 1,
    ) -> None:
        if fps is not None and not fps >= 0:
            raise SettingsError(
                f"--fps {fps}: expected a positive number of frames per second, or 0 for as fast as they are"
                " taken"
            )
        self._frames, self._fps, self._loops = frames, fps, loops
        self._faults: dict[int, list[Fault]] = {}
        for fault in faults:
            self._faults.setdefault(fault.frame, []).append(fault)
        self._clients: list[_Client] = []
        self._lock = threading.Lock()
        self._started, self._stop = threading.Event(), threading.Event()
        self._refusing_until = 0.0
        self.n_sent = 0
        self.ended = threading.Event()
        replay = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                replay._serve(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        except OSError as error:
            raise SettingsError(
                f"--port {port}: cannot be used ({error.strerror}); choose another one, or 0 for any that is"
                " free"
            ) from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.address = f"http://127.0.0.1:{self.port}{_LOSSLESS}"
        self.mjpeg_address = f"http://127.0.0.1:{self.port}{_MJPEG}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="replay-server", daemon=True).start()
        self._producer = threading.Thread(target=self._produce, name="replay", daemon=True)
        self._producer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._started.set()
        self._disconnect()
        self._server.shutdown()
        self._server.server_close()
        self._producer.join(timeout=5)

    def _produce(self) -> None:
        """Send frames at their times, from when the first client came."""
        self._started.wait()
        begun, lag, number = time.monotonic(), 0.0, 0
        kept: list[tuple[GreyImage, float]] = []
        base, last = 0.0, 0.0
        for _ in range(self._loops):
            source = self._frames()
            for item in source:
                if self._stop.is_set():
                    return
                if not isinstance(item, Frame):
                    continue
                t_s = number / self._fps if self._fps else base + item.t_s
                if self._fps != 0:
                    self._stop.wait(max(0.0, begun + lag + t_s - time.monotonic()))
                image, faults = item.image, self._faults.get(number, [])
                lag += self._suffer(faults)
                kinds = {fault.kind for fault in faults}
                if kept:
                    self._broadcast(image, t_s, "")
                    self._broadcast(*kept.pop(), "")
                elif "reorder" in kinds:
                    kept.append((image, t_s))
                elif "drop" not in kinds:
                    self._broadcast(
                        image, t_s, "corrupt" if "corrupt" in kinds else "resize" if "resize" in kinds else ""
                    )
                    if "duplicate" in kinds:
                        self._broadcast(image, t_s, "")
                number, last = number + 1, base + item.t_s
            base = last + 1 / 25
            source.close()
        for image, t_s in kept:
            self._broadcast(image, t_s, "")
        with self._lock:
            for client in self._clients:
                client.pictures.put(None)
        self.ended.set()

    def _suffer(self, faults: Sequence[Fault]) -> float:
        """Live through what takes time; return how long it took."""
        before = time.monotonic()
        for fault in faults:
            if fault.kind == "stall":
                self._stop.wait(fault.seconds)
            elif fault.kind == "disconnect":
                self._refusing_until = time.monotonic() + fault.seconds
                self._disconnect()
                self._stop.wait(fault.seconds)
        return time.monotonic() - before

    def _disconnect(self) -> None:
        with self._lock:
            for client in self._clients:
                client.gone.set()
                client.pictures.put(None)

    def _broadcast(self, image: GreyImage, t_s: float, fault: str) -> None:
        self.n_sent += 1
        with self._lock:
            for client in self._clients:
                client.pictures.put((image, t_s, fault))

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        if (
            request.path not in (_LOSSLESS, _MJPEG)
            or time.monotonic() < self._refusing_until
            or self.ended.is_set()
        ):
            request.send_error(503 if request.path in (_LOSSLESS, _MJPEG) else 404)
            return
        client = _Client(queue.Queue(), threading.Event())
        with self._lock:
            self._clients.append(client)
        kind = (
            "video/x-nut"
            if request.path == _LOSSLESS
            else f"multipart/x-mixed-replace; boundary={_BOUNDARY.decode()}"
        )
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.end_headers()
        self._started.set()
        try:
            (_send_lossless if request.path == _LOSSLESS else _send_mjpeg)(request.wfile, client)
        except (OSError, ValueError):
            pass  # the client has gone
        finally:
            with self._lock:
                self._clients.remove(client)
            request.close_connection = True
            if client.gone.is_set():  # a pulled cable says nothing
                with contextlib.suppress(OSError):  # the other end may have pulled it
                    request.connection.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class _Client:
    pictures: queue.Queue[tuple[GreyImage, float, str] | None]
    gone: threading.Event


def _send_lossless(out: Any, client: _Client) -> None:
    """Encode for one client: FFV1 in NUT, every time exact."""
    import av

    container: Any = None
    stream: Any = None
    size: tuple[int, int] | None = None
    last = -1
    random = np.random.default_rng(0)
    base = Fraction(1, 90_000)
    while (item := client.pictures.get()) is not None and not client.gone.is_set():
        image, t_s, fault = item
        if fault == "resize":
            return  # a stream has one size: the camera breaks off
        if container is None:
            size = image.shape
            container = av.open(_Unseekable(out), "w", format="nut")
            stream = container.add_stream("ffv1", options={"level": "3", "slicecrc": "1", "g": "1"})
            stream.width, stream.height = image.shape[1], image.shape[0]
            stream.pix_fmt = "gray" if image.dtype == np.uint8 else "gray16le"
            stream.time_base = stream.codec_context.time_base = base
        if image.shape != size:
            return
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=stream.pix_fmt)
        last = max(last + 1, round(t_s * 90_000))
        picture.pts, picture.time_base = last, base
        for packet in stream.encode(picture):
            container.mux(_damaged(packet, random) if fault == "corrupt" else packet)
        out.flush()
    if container is not None and not client.gone.is_set():
        for packet in stream.encode(None):
            container.mux(packet)
        container.close()


def _damaged(packet: Any, random: np.random.Generator) -> Any:
    """Return the packet with the end of its data missing, as a lost piece of a network stream leaves it."""
    import av

    data = bytes(packet)
    broken = av.Packet(data[: int(len(data) * random.uniform(0.2, 0.6))])
    broken.stream, broken.pts, broken.dts, broken.time_base = (
        packet.stream,
        packet.pts,
        packet.dts,
        packet.time_base,
    )
    broken.is_keyframe = packet.is_keyframe
    return broken


class _Unseekable:
    """What a container writer needs of a socket."""

    def __init__(self, out: Any) -> None:
        self._out = out

    def write(self, data: bytes) -> int:
        self._out.write(data)
        return len(data)


def _send_mjpeg(out: Any, client: _Client) -> None:
    """Send JPEG frames, one after another, as network cameras do."""
    random = np.random.default_rng(0)
    while (item := client.pictures.get()) is not None and not client.gone.is_set():
        image, _, fault = item
        grey = image if image.dtype == np.uint8 else (image >> 8).astype(np.uint8)
        if fault == "resize":
            grey = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        data = bytearray(cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes())
        if fault == "corrupt":
            for place in random.integers(len(data) // 3, len(data), 30).tolist():
                data[place] = int(random.integers(256))
        head = b"--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % (_BOUNDARY, len(data))
        out.write(head + bytes(data) + b"\r\n")
        out.flush()
