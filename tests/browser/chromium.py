"""A headless Chromium that looks at a site over loopback, and the pictures that it takes."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from tests.pool.web_site import Running

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find() -> str | None:
    """The browser: ``$SLUICE_CHROMIUM``, else the first on the PATH."""
    return os.environ.get("SLUICE_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def served(running: Running) -> Iterator[str]:
    """Serve the site's real answers, headers and all, on a loopback port; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply = running.ask(self.path)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                if name not in {"Transfer-Encoding", "Content-Length", "Connection", "Date", "Server"}:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def screenshot(browser: str, url: str, path: Path, *, width: int, height: int, dark: bool = False) -> None:
    """Take a picture of a page."""
    command = [
        browser,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--hide-scrollbars",
        f"--user-data-dir={path.parent / 'profile'}",
        f"--screenshot={path}",
        f"--window-size={width},{height}",
        *(["--blink-settings=preferredColorScheme=0"] if dark else []),
        url,
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def grey(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and one byte for each point (the green channel) of an 8-bit RGB or RGBA PNG."""
    place, packed, width, height, channels = 8, b"", 0, 0, 4
    while place < len(png):
        length, kind = struct.unpack(">I4s", png[place : place + 8])
        body = png[place + 8 : place + 8 + length]
        place += 12 + length
        if kind == b"IHDR":
            width, height, depth, colour, *_ = struct.unpack(">IIBBBBB", body)
            assert (depth, colour) in {(8, 2), (8, 6)}
            channels = 3 if colour == 2 else 4
        elif kind == b"IDAT":
            packed += body
    data, stride = zlib.decompress(packed), width * channels
    above, points = bytearray(stride), bytearray()
    for row in range(height):
        start = row * (stride + 1)
        above = _unfiltered(data[start], bytearray(data[start + 1 : start + 1 + stride]), above, channels)
        points += above[1::channels]
    return width, height, bytes(points)


def _unfiltered(kind: int, line: bytearray, above: bytearray, channels: int) -> bytearray:
    """Undo one of PNG's five row filters (RFC 2083, section 6)."""
    for index in range(len(line)):
        left = line[index - channels] if index >= channels else 0
        corner = above[index - channels] if index >= channels else 0
        up = above[index]
        if kind == 4:
            guess = left + up - corner
            distances = abs(guess - left), abs(guess - up), abs(guess - corner)
            add = (left, up, corner)[distances.index(min(distances))]
        else:
            add = (0, left, up, (left + up) // 2)[kind]
        line[index] = (line[index] + add) & 0xFF
    return line
