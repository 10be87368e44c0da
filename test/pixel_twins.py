"""Every image encoding turned into BGR one pixel at a time, from its definition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

BAYER_PATTERNS = {"rggb": "RGGB", "bggr": "BGGR", "gbrg": "GBRG", "grbg": "GRBG"}
Rows = list[bytes]
Pixel = tuple[float, float, float]


def color_at(rows: Rows, x: int, y: int, order: str) -> Pixel:
    """Interleaved 8-bit channels; ``order`` names them, for example "RGBA"."""
    pixel = rows[y][x * len(order) : (x + 1) * len(order)]
    return tuple(float(pixel[order.index(channel)]) for channel in "BGR")  # type: ignore


def gray_at(rows: Rows, x: int, y: int) -> Pixel:
    value = float(rows[y][x])
    return value, value, value


def yuv_at(rows: Rows, x: int, y: int, order: str) -> Pixel:
    """Two pixels in four bytes; BT.601, luma 16..235."""
    pair = rows[y][(x // 2) * 4 : (x // 2) * 4 + 4]
    luma = max(float(pair[order.index("Y") + (x % 2) * 2]) - 16, 0.0)  # footroom is black
    u = float(pair[order.index("U")]) - 128
    v = float(pair[order.index("V")]) - 128
    red = 1.164 * luma + 1.596 * v
    green = 1.164 * luma - 0.813 * v - 0.391 * u
    blue = 1.164 * luma + 2.018 * u
    return tuple(min(max(value, 0.0), 255.0) for value in (blue, green, red))  # type: ignore


def bayer_at(rows: Rows, x: int, y: int, pattern: str) -> Pixel:
    """The mean of the nearest pixels of each colour; not for pixels at the edge."""

    def color(px: int, py: int) -> str:
        return pattern[(py % 2) * 2 + px % 2]

    values = {}
    for channel in "BGR":
        if color(x, y) == channel:
            near = [(x, y)]
        else:
            cross = [(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)]
            corners = [(x - 1, y - 1), (x + 1, y - 1), (x - 1, y + 1), (x + 1, y + 1)]
            near = [p for p in cross if color(*p) == channel]
            near = near or [p for p in corners if color(*p) == channel]
        values[channel] = sum(rows[py][px] for px, py in near) / len(near)
    return values["B"], values["G"], values["R"]


def naive_bgr(
    rows: Rows, height_px: int, width_px: int, pixel: Callable[[Rows, int, int], Pixel]
) -> NDArray[np.float64]:
    """[H, W, 3] float, pixel by pixel."""
    image = np.zeros((height_px, width_px, 3))
    for y in range(height_px):
        for x in range(width_px):
            image[y, x] = pixel(rows, x, y)
    return image
