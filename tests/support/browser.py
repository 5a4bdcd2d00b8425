"""A headless Chromium, driven over its debugging port: real clicks, drags and keys."""

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.request

import cv2
import numpy as np

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_ANSWER_S = 120.0
"""On a machine that does much else at the time."""
_KEY_CODES = {
    "Enter": 13,
    "Escape": 27,
    "Delete": 46,
    "Backspace": 8,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Home": 36,
    "End": 35,
}


def until(asked, within_s=20.0):
    """Ask again and again; return the first answer that is true."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if answer := asked():
            return answer
        time.sleep(0.03)
    raise AssertionError("it did not come")


class Browser:
    """Headless browser, driven over its debugging port."""

    def __init__(self, folder, address, width=1300, height=1000):
        from websockets.sync.client import connect

        port = free_port()
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-sync",
        ]
        size = [
            f"--window-size={width},{height}",
            f"--user-data-dir={folder}",
            f"--remote-debugging-port={port}",
            address,
        ]
        self.process = subprocess.Popen(
            [BROWSER, *options, *size], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        target = until(lambda: self._target(port), 30)
        self.connection = connect(target, max_size=None)
        self.socket = self.connection.__enter__()
        self.n = 0

    @staticmethod
    def _target(port):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=2) as answer:
                return next(
                    (
                        one["webSocketDebuggerUrl"]
                        for one in json.loads(answer.read())
                        if one["type"] == "page"
                    ),
                    None,
                )
        except OSError:
            return None

    def call(self, method, **parameters):
        self.n += 1
        self.socket.send(json.dumps({"id": self.n, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv(timeout=_ANSWER_S))
            if answer.get("id") == self.n:
                return answer.get("result", {})

    def value(self, code):
        return (
            self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
            .get("result", {})
            .get("value")
        )

    def count_drawing(self):
        """Begin to count what `drawing_s` tells."""
        self.call("Performance.enable", timeDomain="threadTicks")

    def drawing_s(self):
        """Processor time of the thread that runs the scripts of the page and draws it, s."""
        told = self.call("Performance.getMetrics")["metrics"]
        return next(float(one["value"]) for one in told if one["name"] == "TaskDuration")

    def screenshot(self):
        data = base64.b64decode(self.call("Page.captureScreenshot")["data"])
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)

    def until(self, code, within_s=20):
        """Wait until an expression is true in the page; return it."""
        return until(lambda: self.value(code), within_s)

    def mouse(self, kind, x, y, buttons=0, modifiers=0, clicks=1):
        self.call(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x,
            y=y,
            button="left" if buttons or kind == "mouseReleased" else "none",
            buttons=buttons,
            modifiers=modifiers,
            clickCount=clicks,
        )

    def click(self, x, y, modifiers=0):
        self.mouse("mouseMoved", x, y, 0, modifiers)
        self.mouse("mousePressed", x, y, 1, modifiers)
        self.mouse("mouseReleased", x, y, 0, modifiers)

    def drag(self, points):
        """Press at the first of some places, go through all, let go at the last."""
        self.mouse("mouseMoved", *points[0])
        self.mouse("mousePressed", *points[0], 1)
        for x, y in points[1:]:
            self.mouse("mouseMoved", x, y, 1)
        self.mouse("mouseReleased", *points[-1])

    def key(self, key, modifiers=0):
        """Press a key by its name; modifiers: 1 Alt, 2 Ctrl, 8 Shift."""
        code = {"text": key} if len(key) == 1 and not modifiers & 2 else {}
        number = _KEY_CODES.get(key, ord(key.upper()) if len(key) == 1 else 0)
        facts = {"key": key, "modifiers": modifiers, "windowsVirtualKeyCode": number}
        self.call("Input.dispatchKeyEvent", type="keyDown", **facts, **code)
        self.call("Input.dispatchKeyEvent", type="keyUp", **facts)

    def close(self):
        self.connection.__exit__(None, None, None)
        self.process.terminate()
        self.process.wait(timeout=20)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
