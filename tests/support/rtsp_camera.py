"""A small RTSP camera for tests.

It serves one client at a time with H.264 over RTP, interleaved in the RTSP connection (RFC 2326, 10.12; RFC
6184).
"""

import contextlib
import socket
import threading
import time
from fractions import Fraction

import av
import numpy as np

SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track\r\n"
)


class RtspCamera:
    """Sends grey images without loss, at a rate; pulls the cable before the image numbers in `cuts`."""

    def __init__(self, pictures, fps, cuts=()):
        self.pictures, self.fps, self.cuts = list(pictures), fps, set(cuts)
        self._next = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"rtsp://127.0.0.1:{self._listener.getsockname()[1]}/camera"

    def __enter__(self):
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.close()
        self._thread.join(timeout=5)

    def _serve(self):
        with contextlib.suppress(OSError):
            while self._next < len(self.pictures):
                connection, _ = self._listener.accept()
                with connection, contextlib.suppress(OSError):
                    self._talk(connection)
        self._listener.close()

    def _talk(self, connection):
        """Answer requests until PLAY, then send."""
        lines = connection.makefile("rb")
        while request := lines.readline().decode().strip():
            head = {}
            while line := lines.readline().decode().strip():
                name, _, value = line.partition(":")
                head[name.lower()] = value.strip()
            method = request.split()[0]
            extra, body = {
                "OPTIONS": ("Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n", ""),
                "DESCRIBE": (f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n", SDP),
                "SETUP": ("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n", ""),
            }.get(method, ("Session: 1\r\n", ""))
            connection.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {head['cseq']}\r\n{extra}\r\n{body}".encode())
            if method == "PLAY":
                self._play(connection)
                return

    def _play(self, connection):
        """Let FFmpeg make the RTP packets, on a local port, and forward them."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets:
            packets.bind(("127.0.0.1", 0))
            packets.settimeout(0.2)
            done = threading.Event()
            forward = threading.Thread(target=_forward, args=(packets, connection, done), daemon=True)
            forward.start()
            self._encode(packets.getsockname()[1])
            time.sleep(0.1)
            done.set()
            forward.join()

    def _encode(self, port):
        out = av.open(f"rtp://127.0.0.1:{port}?pkt_size=1200", "w", format="rtp")
        stream = out.add_stream(
            "libx264",
            options={
                "qp": "0",
                "preset": "ultrafast",
                "tune": "zerolatency",
                "x264-params": "repeat-headers=1",
            },
        )
        stream.height, stream.width = self.pictures[0].shape
        stream.pix_fmt, stream.codec_context.gop_size = "yuvj420p", 1
        stream.codec_context.time_base = stream.time_base = Fraction(1, 90_000)
        start, first = time.monotonic(), self._next
        while self._next < len(self.pictures):
            if self._next in self.cuts:
                self.cuts.remove(self._next)
                break
            image = self.pictures[self._next]
            planes = np.full((image.shape[0] * 3 // 2, image.shape[1]), 128, np.uint8)
            planes[: image.shape[0]] = image
            picture = av.VideoFrame.from_ndarray(planes, format="yuvj420p")
            number = self._next - first
            time.sleep(max(0.0, start + number / self.fps - time.monotonic()))
            picture.pts, picture.time_base = round(number * 90_000 / self.fps), Fraction(1, 90_000)
            for packet in stream.encode(picture):
                out.mux(packet)
            self._next += 1
        out.close()


def _forward(packets, connection, done):
    with contextlib.suppress(OSError):
        while True:
            try:
                data = packets.recv(65_536)
            except TimeoutError:
                if done.is_set():
                    return
                continue
            connection.sendall(b"$\x00" + len(data).to_bytes(2, "big") + data)
