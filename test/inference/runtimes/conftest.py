"""Networks small enough to compile in a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ros_fixtures import tiny_model
from torch import Tensor, nn

from yolact_ros.config import YolactConfig, variant
from yolact_ros.models import Yolact, build_network
from yolact_ros.models.network import Network
from yolact_ros.ops.decoder import OutputDecoder
from yolact_ros.ops.prior_decoder import PriorDecoder
from yolact_ros.structures import NetworkOutput

__all__ = ["tiny_model"]

SIDE_PX = 64


class TinyNetwork(Network):
    """One convolution with a norm, and outputs shaped like those of a network."""

    def __init__(self, config: YolactConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=4, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.activation = nn.Tanh()
        self.heads = nn.ModuleList(nn.Conv2d(16, values, 1) for values in (4, 4, 2, 2))

    def forward(self, images: Tensor) -> NetworkOutput:
        features = self.stem(images)
        maps = [head(features).permute(0, 2, 3, 1) for head in self.heads]
        rows = [values.reshape(images.shape[0], -1, values.shape[-1]) for values in maps[:3]]
        return NetworkOutput(rows[0], rows[1], self.activation(rows[2]), torch.relu(maps[3]))

    @property
    def decoder(self) -> OutputDecoder:
        return PriorDecoder(torch.zeros(0, 4))  # runtimes decode nothing

    def with_input_size(self, input_size_px: int) -> TinyNetwork:
        raise AssertionError("a runtime is for one input size")


def with_lively_norms(network: nn.Module) -> None:
    """Norms as after training, so that folding them changes something."""
    generator = torch.Generator().manual_seed(2)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            for tensor, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 1.5),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.2, 0.2),
            ):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)


def small_config(**overrides: object) -> YolactConfig:
    return variant(
        "yolact_light",
        input_size_px=SIDE_PX,
        class_names=("cup", "dog", "cat"),
        num_prototypes=2,
        fpn_channels=16,
        proto_channels=16,
        **overrides,
    )


@pytest.fixture(scope="session")
def tiny() -> Yolact:
    torch.manual_seed(0)
    network = TinyNetwork(small_config()).eval()
    with_lively_norms(network)
    return network  # type: ignore[return-value]


@pytest.fixture(scope="session")
def light() -> Yolact:
    torch.manual_seed(0)
    network = build_network(small_config()).eval()
    with_lively_norms(network)
    return network


@pytest.fixture(scope="session")
def images() -> Tensor:
    return torch.randn(1, 3, SIDE_PX, SIDE_PX, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cv2 = pytest.importorskip("cv2")
    folder = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(0)
    for index in range(4):
        image = noise.integers(0, 256, (48, 60, 3), np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), cv2.GaussianBlur(image, (9, 9), 3))
    return folder
