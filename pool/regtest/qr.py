"""Reading QR codes as a wallet's camera would, by an independent decoder: from an SVG or a grey picture."""

from __future__ import annotations

import re

import zxingcpp

SCALE = 6
STEP = re.compile(r"([Mmh])(-?[\d.]+)(?:[ ,]?(-?[\d.]+))?")


def read(width: int, height: int, grey: bytes) -> list[str]:
    """The texts of all QR codes in a picture of one byte for each point."""
    picture = memoryview(grey).cast("B", (height, width))
    return [found.text for found in zxingcpp.read_barcodes(picture)]


def read_svg(svg: str) -> list[str]:
    """The texts in an SVG that draws dark modules as horizontal strokes of one unit, as segno does."""
    size = re.search(r'viewBox="0 0 (\d+) (\d+)"', svg)
    strokes = re.search(r'<path[^>]*stroke="#000"[^>]* d="([^"]+)"', svg) or re.search(
        r'<path[^>]* d="([^"]+)"[^>]*stroke="#000"', svg
    )
    if size is None or strokes is None:
        return []
    width, height = int(size[1]), int(size[2])
    modules = [bytearray(b"\xff" * width) for _ in range(height)]
    x, y = 0.0, 0.0
    for command, first, second in STEP.findall(strokes[1]):
        if command == "h":
            length = int(first)
            modules[int(y)][int(x) : int(x) + length] = b"\x00" * length
            x += length
        elif command == "M":
            x, y = float(first), float(second)
        else:
            x, y = x + float(first), y + float(second)
    rows = [b"".join(bytes([point]) * SCALE for point in row) * SCALE for row in modules]
    return read(width * SCALE, height * SCALE, b"".join(rows))
