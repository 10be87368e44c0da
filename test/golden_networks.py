"""Networks with the golden recipe's weights, and what the reference recorded about them."""

from __future__ import annotations

import functools
import gzip
import json
from pathlib import Path
from typing import Any

import golden_recipe
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from yolact_ros.config import YolactConfig, variant
from yolact_ros.models import Yolact

DATA = Path(__file__).parent / "data"
PUBLISHED = (
    "yolact_base",
    "yolact_im400",
    "yolact_im700",
    "yolact_resnet50",
    "yolact_darknet53",
    "yolact_resnet50_pascal",
    "yolact_plus_base",
    "yolact_plus_resnet50",
)


@functools.cache
def recorded_arrays(name: str) -> dict[str, np.ndarray]:
    """All arrays of ``test/data/<name>.npz``."""
    with np.load(DATA / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


def recorded_group(name: str, group: str) -> dict[str, Tensor]:
    """The entries ``<group>/...`` of ``test/data/<name>.npz`` as tensors, without the prefix."""
    return {
        key.removeprefix(f"{group}/"): torch.from_numpy(value.copy())
        for key, value in recorded_arrays(name).items()
        if key.startswith(f"{group}/") and value.ndim > 0
    }


@functools.cache
def recorded_json(name: str) -> Any:
    """The content of ``test/data/<name>``, gzipped or not."""
    raw = (DATA / name).read_bytes()
    return json.loads(gzip.decompress(raw) if name.endswith(".gz") else raw)


def empty_network(config: YolactConfig) -> Yolact:
    """A network whose weights have shapes only."""
    with torch.device("meta"):
        return Yolact(config)


def golden_network(config: YolactConfig) -> Yolact:
    """A network with the recipe's weights, in eval mode."""
    model = empty_network(config)
    weights = golden_recipe.weights(model.state_dict(), config.num_classes + 1)
    model.load_state_dict(weights, assign=True)
    return model.eval()


def golden_input(config: YolactConfig) -> Tensor:
    """The recipe's 640x480 image as the network's input, by the reference's live path."""
    side = config.input_size_px
    image = torch.from_numpy(golden_recipe.image().astype(np.float32)).permute(2, 0, 1)[None]
    image = F.interpolate(image, (side, side), mode="bilinear", align_corners=False)
    mean = torch.tensor(config.normalization.mean_bgr).view(1, 3, 1, 1)
    std = torch.tensor(config.normalization.std_bgr).view(1, 3, 1, 1)
    return ((image - mean) / std).flip(1)


def smallest(name: str, **overrides: Any) -> YolactConfig:
    """A variant at 64 px with few channels, for tests in which size plays no part."""
    return variant(
        name, **{"input_size_px": 64, "fpn_channels": 8, "proto_channels": 8, **overrides}
    )
