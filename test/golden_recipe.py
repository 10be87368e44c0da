"""Deterministic weights, images and training samples behind the recorded numbers in ``test/data``.

Everything comes from PCG64's raw doubles in [0, 1), so that the streams depend neither on NumPy's
distribution code nor on any file.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

NUM_CLASSES_WITH_BACKGROUND = 81
# Spread over the class channels, these keep the values in range and the detections on all levels.
BACKGROUND_BIAS = 21.25
WEIGHT_GAINS = {
    "fpn.pred_layers.1.weight": 2.0,  # P4
    "fpn.pred_layers.0.weight": 4.0,  # P5
    "fpn.downsample_layers.0.weight": 0.9,  # P6
    "fpn.downsample_layers.1.weight": 0.9,  # P7
    "prediction_layers.0.conf_layer.weight": 2.0,
    "prediction_layers.0.bbox_layer.weight": 1.2,
}
OFFSET_GAIN = 0.5
LAST_NORM_GAIN = 0.25


def unit(key: str, shape: Iterable[int]) -> np.ndarray:
    """Uniform noise of mean 0 and variance 1, float64, seeded by a text key."""
    generator = np.random.default_rng(zlib.crc32(key.encode("utf-8")))
    return (2.0 * generator.random(tuple(shape)) - 1.0) * math.sqrt(3.0)


def fill(
    key: str, shape: Sequence[int], num_classes: int = NUM_CLASSES_WITH_BACKGROUND
) -> np.ndarray | np.int64:
    """The weights under a state-dict key; ``num_classes`` counts background."""
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.int64(0)
    noise = unit(key, shape)
    if leaf == "running_mean":
        values = 0.1 * noise
    elif leaf == "running_var":
        values = 1.0 + 0.1 * np.abs(noise)
    elif leaf == "weight" and len(shape) == 1:
        values = 1.0 + 0.1 * noise
        if key.endswith(("bn3.weight", "conv2.1.weight")):
            values = LAST_NORM_GAIN * values
    elif leaf == "bias":
        values = 0.1 * noise
        if "conf_layer" in key:
            values[::num_classes] += BACKGROUND_BIAS
    elif leaf == "weight" and len(shape) == 4:
        noise = noise - noise.mean(axis=(1, 2, 3), keepdims=True)
        values = noise * math.sqrt(2.0 / (shape[1] * shape[2] * shape[3]))
        values = values * WEIGHT_GAINS.get(key, 1.0)
        if "conv_offset_mask" in key:
            values = values * OFFSET_GAIN
    else:
        raise ValueError(f"the recipe has no rule for {key} with shape {tuple(shape)}")
    return values.astype(np.float32)


def weights(state_dict: dict[str, Tensor], num_classes: int) -> dict[str, Tensor]:
    """The recipe's values for every key of a state dict; ``num_classes`` counts background."""
    return {
        key: torch.as_tensor(fill(key, tuple(value.shape), num_classes))
        for key, value in state_dict.items()
    }


def image(width: int = 640, height: int = 480, key: str = "image", shapes: int = 24) -> np.ndarray:
    """A BGR picture, uint8[height, width, 3]: gradient, rectangles, ellipses, noise."""
    generator = np.random.default_rng(zlib.crc32(key.encode("utf-8")))
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    gradient = (
        x * 255.0 / (width - 1),
        y * 255.0 / (height - 1),
        255.0 - (x + y) * 255.0 / (width + height - 2),
    )
    picture = np.stack(gradient, -1) * 0.6 + 30.0
    parameters = generator.random((shapes, 8))
    for index, row in enumerate(parameters):
        center = row[0] * width, row[1] * height
        radii = (0.02 + 0.16 * row[2]) * width, (0.02 + 0.16 * row[3]) * height
        inside = _rectangle if index % 2 == 0 else _ellipse
        picture[inside(x, y, center, radii)] = row[4:7] * 255.0
    picture = picture + (generator.random((height, width, 3)) - 0.5) * 24.0
    return np.floor(np.clip(picture, 0.0, 255.0)).astype(np.uint8)


def train_sample(index: int, size: int = 550) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """One training example; sample 1 ends with a crowd region of label -1.

    Returns:
        BGR image uint8[size, size, 3], targets float32[n, 5] (relative xyxy and label), masks
        float32[n, size, size] of 0 and 1, and the number of crowds at the end.
    """
    generator = np.random.default_rng(zlib.crc32(f"objects{index}".encode()))
    y, x = np.mgrid[0:size, 0:size].astype(np.float64)
    masks, targets = [], []
    for row_index, row in enumerate(generator.random((5, 5))):
        radii = (0.03 + 0.17 * row[2]) * size, (0.03 + 0.17 * row[3]) * size
        center = (
            radii[0] + row[0] * (size - 2 * radii[0]),
            radii[1] + row[1] * (size - 2 * radii[1]),
        )
        inside = _ellipse if row_index % 2 == 0 else _rectangle
        mask = inside(x, y, center, radii)
        rows, columns = np.nonzero(mask)
        corners = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        targets.append([corner / size for corner in corners] + [math.floor(row[4] * 20)])
        masks.append(mask)
    crowds = 0
    if index == 1:
        masks.append(
            (x >= 0.55 * size) & (x < 0.95 * size) & (y >= 0.05 * size) & (y < 0.40 * size)
        )
        targets.append([0.55, 0.05, 0.95, 0.40, -1])
        crowds = 1
    picture = image(size, size, key=f"train{index}")
    return picture, np.array(targets, np.float32), np.stack(masks).astype(np.float32), crowds


def checksum(array: np.ndarray) -> int:
    """CRC32 of the raw little-endian bytes in C order."""
    return zlib.crc32(np.ascontiguousarray(array).tobytes())


def _rectangle(
    x: np.ndarray, y: np.ndarray, center: Sequence[float], radii: Sequence[float]
) -> np.ndarray:
    return (np.abs(x - center[0]) <= radii[0]) & (np.abs(y - center[1]) <= radii[1])


def _ellipse(
    x: np.ndarray, y: np.ndarray, center: Sequence[float], radii: Sequence[float]
) -> np.ndarray:
    return ((x - center[0]) / radii[0]) ** 2 + ((y - center[1]) / radii[1]) ** 2 <= 1.0
