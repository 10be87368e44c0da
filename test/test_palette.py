"""Colours of classes and instances."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from yolact_ros.errors import ConfigError
from yolact_ros.palette import PALETTES, PaletteName, class_color_bgr, instance_colors_bgr


@pytest.mark.parametrize("palette", PALETTES)
def test_every_class_of_a_small_model_has_its_own_color(palette: PaletteName) -> None:
    colors = [class_color_bgr(class_id, palette) for class_id in range(7)]
    assert len(set(colors)) == 7
    assert colors == [class_color_bgr(class_id, palette) for class_id in range(7)]


def test_a_hundred_classes_have_a_hundred_vivid_colors() -> None:
    assert len({class_color_bgr(class_id) for class_id in range(100)}) == 100


@pytest.mark.parametrize("palette", PALETTES)
def test_instances_of_a_class_differ_clearly_and_the_first_has_its_color(
    palette: PaletteName,
) -> None:
    for class_id in range(7):
        colors = instance_colors_bgr([class_id] * 4, palette)
        assert colors[0] == class_color_bgr(class_id, palette)
        for first, second in pairwise(colors):
            assert max(abs(a - b) for a, b in zip(first, second, strict=True)) > 40


def test_a_color_does_not_depend_on_instances_of_other_classes() -> None:
    assert instance_colors_bgr([3, 5, 3])[1] == instance_colors_bgr([5])[0]
    assert instance_colors_bgr([3, 5, 3])[2] == instance_colors_bgr([3, 3])[1]


def test_an_unknown_palette_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'neon'.*okabe-ito"):
        class_color_bgr(0, "neon")  # type: ignore[arg-type]


# How the cones' absence changes linear RGB: Machado, Oliveira and Fernandes (2009), severity 1.
COLOR_BLINDNESS = {
    "protanopia": [
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ],
    "deuteranopia": [
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ],
    "tritanopia": [
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ],
}


def lab(color_bgr: tuple[int, int, int], matrix: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of a colour as seen through ``matrix``."""
    srgb = np.array(color_bgr[::-1]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(matrix @ linear, 0, 1)
    to_xyz = np.array(
        [(0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)]
    )
    ratio = to_xyz @ seen / (0.9505, 1.0, 1.089)
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("kind", COLOR_BLINDNESS)
def test_colour_blind_people_can_tell_okabe_itos_colors_apart(kind: str) -> None:
    matrix = np.array(COLOR_BLINDNESS[kind])
    seen = [lab(class_color_bgr(class_id, "okabe-ito"), matrix) for class_id in range(7)]
    least = min(np.linalg.norm(one - other) for one, other in combinations(seen, 2))
    # 2.3 is just noticeable.
    assert least > 10
