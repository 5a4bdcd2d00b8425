"""Network protocols that PyAV is built without, SRT first of all.

The program ffmpeg receives them and hands the frames over.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading

from insitrack.io.errors import SourceError

_FIRST_PATIENCE_S = 10.0


class FfmpegPipe:
    """What the program ffmpeg receives at an address, undecoded, as a file that can be read once.

    Parameters
    ----------
    uri : str
        Address, for example ``srt://microscope:9000``.
    stall_s : float
        How long to wait for the first data at least, s.

    Attributes
    ----------
    patience_s : float
        How long to wait for data, s; then the file ends.

    Raises
    ------
    SourceError
        If the program is not installed.
    """

    def __init__(self, uri: str, stall_s: float) -> None:
        program = shutil.which("ffmpeg")
        if program is None:
            protocol = uri.partition(":")[0].upper()
            raise SourceError(
                f"{uri}: reading {protocol} needs the program ffmpeg, built with {protocol}; install it, or"
                " send RTSP or HTTP"
            )
        self.patience_s = max(_FIRST_PATIENCE_S, stall_s)
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 closed with this
        received = ["-probesize", "500000", "-analyzeduration", "500000", "-i", uri]
        handed_over = ["-map", "0:v:0", "-c", "copy", "-flush_packets", "1", "-f", "nut", "pipe:1"]
        self._process = subprocess.Popen(
            [program, "-nostdin", "-hide_banner", "-loglevel", "error", *received, *handed_over],
            bufsize=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._words,
        )

    def read(self, size: int) -> bytes:
        """Return what has come, at most `size` bytes.

        Nothing once the stream has ended, or nothing came for too long.
        """
        assert self._process.stdout is not None
        watch = threading.Timer(self.patience_s, self._process.kill)
        watch.start()
        try:
            return self._process.stdout.read(size) or b""
        finally:
            watch.cancel()

    def failure(self) -> str:
        """Return what the program said last; ends it."""
        self._process.kill()
        self._process.wait()
        self._words.seek(0)
        lines = self._words.read().decode(errors="replace").strip().splitlines()
        self.close()
        return lines[-1] if lines else f"nothing came for {self.patience_s:g} s"

    def stop(self) -> None:
        """End the program, from any thread; then the file ends."""
        self._process.kill()

    def close(self) -> None:
        """End the program and release it, in the thread that reads; safe to call twice."""
        self._process.kill()
        self._process.wait()
        self._words.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
