"""Colours of classes and of instances of the same class."""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from yolact_ros.errors import ConfigError

__all__ = [
    "COLORS_BY",
    "PALETTES",
    "Color",
    "ColorBy",
    "PaletteName",
    "class_color_bgr",
    "instance_colors_bgr",
    "track_colors_bgr",
]

Color = tuple[int, int, int]
PaletteName = Literal["vivid", "okabe-ito"]
PALETTES: tuple[PaletteName, ...] = ("vivid", "okabe-ito")
ColorBy = Literal["class", "track"]
COLORS_BY: tuple[ColorBy, ...] = ("class", "track")

# Steps of the golden angle keep the hues of neighbouring class ids far apart.
GOLDEN_RATIO = 0.618034
FIRST_HUE = 0.57
SATURATION = 0.78
VALUE = 0.96
# Okabe and Ito (2008), "Color Universal Design", without black, in RGB.
OKABE_ITO_RGB: tuple[Color, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (213, 94, 0),
    (86, 180, 233),
    (204, 121, 167),
    (240, 228, 66),
)
# Of what is not tracked, where tracks have the colours.
UNTRACKED: Color = (150, 150, 150)
# How far the n-th instance of a class goes towards white (above 0) or black (below 0). Neighbours
# differ clearly, and all keep the class's hue.
SHADES = (0.0, 0.42, -0.32, 0.2, -0.16, 0.58, -0.45)
WHITE, BLACK = 255, 0


def class_color_bgr(class_id: int, palette: PaletteName = "vivid") -> Color:
    """The colour of a class, the same in every image and every run.

    Args:
        class_id: 0-based.
        palette: "vivid" has a hue of its own for every class; "okabe-ito" has seven colours that
            colour-blind people can tell apart, and repeats them.

    Raises:
        ConfigError: no such palette.
    """
    if palette not in PALETTES:
        raise ConfigError(f"no palette {palette!r}; choose one of {', '.join(PALETTES)}")
    if palette == "okabe-ito":
        red, green, blue = OKABE_ITO_RGB[class_id % len(OKABE_ITO_RGB)]
        return blue, green, red
    hue = (FIRST_HUE + class_id * GOLDEN_RATIO) % 1
    red_share, green_share, blue_share = colorsys.hsv_to_rgb(hue, SATURATION, VALUE)
    return round(blue_share * WHITE), round(green_share * WHITE), round(red_share * WHITE)


def instance_colors_bgr(class_ids: Sequence[int], palette: PaletteName = "vivid") -> list[Color]:
    """A colour for every instance: the class gives the hue, its n-th instance the shade.

    Raises:
        ConfigError: no such palette.
    """
    seen: Counter[int] = Counter()
    colors = []
    for class_id in class_ids:
        shade = SHADES[seen[class_id] % len(SHADES)]
        seen[class_id] += 1
        colors.append(_shaded(class_color_bgr(class_id, palette), shade))
    return colors


def track_colors_bgr(track_ids: Sequence[int], palette: PaletteName = "vivid") -> list[Color]:
    """A colour for every object, the same in every image; grey for id 0.

    Raises:
        ConfigError: no such palette.
    """
    return [
        class_color_bgr(track_id - 1, palette) if track_id else UNTRACKED for track_id in track_ids
    ]


def _shaded(color: Color, shade: float) -> Color:
    target = WHITE if shade > 0 else BLACK
    blue, green, red = (round(value + (target - value) * abs(shade)) for value in color)
    return blue, green, red
