"""Prior boxes (anchors) of the five pyramid levels."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from yolact_ros.config import NUM_PYRAMID_LEVELS, YolactConfig

__all__ = ["feature_sizes_px", "make_priors"]

STEM_HALVINGS = 2


def feature_sizes_px(input_size_px: int) -> tuple[int, ...]:
    """Side of the square feature maps P3..P7 for a square input of ``input_size_px``.

    Every stride-2 layer of every backbone rounds up, and so does each level from the one below.
    """
    size = input_size_px
    sizes = []
    for halving in range(STEM_HALVINGS + NUM_PYRAMID_LEVELS):
        size = (size + 1) // 2
        if halving >= STEM_HALVINGS:
            sizes.append(size)
    return tuple(sizes)


def make_priors(config: YolactConfig) -> Tensor:
    """Priors of all levels, P3 first; within a level row, column, scale, ratio.

    float32[N, 4]: cx, cy, width, height relative to the image, not clipped. Computed in double
    precision and rounded once, which reproduces the published networks' priors bit by bit.
    """
    levels = zip(
        feature_sizes_px(config.input_size_px), config.scaled_prior_scales_px, strict=True
    )
    priors = np.concatenate(
        [_level_priors(size, _cell_sides(config, scales)) for size, scales in levels]
    )
    return torch.from_numpy(priors.astype(np.float32))


def _cell_sides(config: YolactConfig, scales_px: tuple[float, ...]) -> np.ndarray:
    """Relative width and height of the priors of one cell, float64[priors_per_cell, 2]."""
    sides = []
    for scale in scales_px:
        for ratio in config.prior_ratios:
            width = scale * math.sqrt(ratio) / config.input_size_px
            height = scale / math.sqrt(ratio) / config.input_size_px
            sides.append((width, width if config.square_priors else height))
    return np.array(sides, dtype=np.float64)


def _level_priors(feature_size: int, cell_sides: np.ndarray) -> np.ndarray:
    """Priors of one square level, float64[feature_size**2 * priors_per_cell, 4]."""
    centers = (np.arange(feature_size, dtype=np.float64) + 0.5) / feature_size
    priors = np.empty((feature_size, feature_size, len(cell_sides), 4))
    priors[..., 0] = centers[None, :, None]
    priors[..., 1] = centers[:, None, None]
    priors[..., 2:] = cell_sides
    return priors.reshape(-1, 4)
