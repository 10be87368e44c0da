"""Colours of classes and instances."""

from __future__ import annotations

from itertools import pairwise

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
