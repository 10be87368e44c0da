"""YOLACT's mask branch on the detector NanoDet-Plus-m (RangiLyu/nanodet, Apache-2.0)."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from yolact_ros.classes import COCO_CLASSES
from yolact_ros.config import ImageNormalization
from yolact_ros.errors import ConfigError
from yolact_ros.models.backbones.shufflenetv2 import ShuffleNetV2
from yolact_ros.models.ghost_pan import GhostPan
from yolact_ros.models.nano_head import NanoHead, NanoProtonet
from yolact_ros.structures import NetworkOutput

__all__ = ["BINS", "STRIDES_PX", "NanoConfig", "YolactNano", "cell_centers"]

STRIDES_PX = (8, 16, 32, 64)
BINS = 8
PYRAMID_CHANNELS = 96
SIZE_STEP_PX = 32


@dataclass(frozen=True)
class NanoConfig:
    """One YolactNano network.

    Attributes:
        name: variant name.
        input_size_px: side of the square network input, a multiple of 32.
        class_names: foreground classes; the index is the class id in every result.
        num_prototypes: k, the number of prototype masks and of coefficients per instance.
        proto_channels: channels inside the protonet.
        normalization: of the input image.

    Raises:
        ConfigError: the input size is no multiple of 32 from 64 to 2048.
    """

    name: str = "yolact_nano"
    input_size_px: int = 416
    class_names: tuple[str, ...] = COCO_CLASSES
    num_prototypes: int = 32
    proto_channels: int = 64
    normalization: ImageNormalization = ImageNormalization(
        (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
    )

    def __post_init__(self) -> None:
        if self.input_size_px % SIZE_STEP_PX or not 64 <= self.input_size_px <= 2048:
            raise ConfigError(
                f"network config: input_size_px is {self.input_size_px!r}, expected a multiple "
                f"of {SIZE_STEP_PX} from 64 to 2048 for {self.name}"
            )

    @property
    def num_classes(self) -> int:
        """Number of foreground classes."""
        return len(self.class_names)

    def with_input_size(self, input_size_px: int) -> NanoConfig:
        """The same network for another square input size in pixels."""
        return replace(self, input_size_px=input_size_px)


def cell_centers(input_size_px: int) -> Tensor:
    """Where each of the N cells measures its box from: float32[N, 3] of x, y, stride in pixels.

    Cell ``(row, column)`` of a level lies at ``(column, row) * stride``, not at its middle.
    """
    levels = []
    for stride in STRIDES_PX:
        count = -(-input_size_px // stride)
        steps = torch.arange(count, dtype=torch.float32) * stride
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        levels.append(torch.stack([x, y, torch.full_like(x, stride)], dim=-1).reshape(-1, 3))
    return torch.cat(levels)


class YolactNano(nn.Module):
    """NanoDet-Plus-m with prototype masks and coefficients.

    What its output means, see :class:`~yolact_ros.structures.NetworkOutput`, C classes and N cells
    of strides 8, 16, 32 and 64, fine to coarse, each by row and column:

    * ``class_logits [B, N, C]``: before a sigmoid for each class; there is no background column.
    * ``box_offsets [B, N, 32]``: for left, top, right and bottom in this order, 8 logits of a
      softmax over the distances 0..7 strides; the expected value is the distance of that side from
      the cell's point, see :func:`cell_centers`.
    * ``coefficients [B, N, k]``: tanh applied, in (-1, 1).
    * ``prototypes [B, S/4, S/4, k]``: linear, of either sign (no ReLU).

    Images are squashed to the square. Box and class weights come from the published detector,
    whose batch norm is folded; its first convolution is turned from BGR to RGB, as the package's
    networks see it.
    """

    def __init__(self, config: NanoConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = ShuffleNetV2()
        self.pyramid = GhostPan(self.backbone.feature_channels, PYRAMID_CHANNELS)
        self.head = NanoHead(
            len(STRIDES_PX), PYRAMID_CHANNELS, config.num_classes, BINS, config.num_prototypes
        )
        self.proto_net = NanoProtonet(
            PYRAMID_CHANNELS,
            self.backbone.stem_channels,
            config.proto_channels,
            config.num_prototypes,
        )

    def forward(self, images: Tensor) -> NetworkOutput:
        """Normalised RGB images [B, 3, S, S], S a multiple of 32, to raw predictions."""
        stem, *features = self.backbone(images)
        levels = self.pyramid(features)
        class_logits, box_offsets, coefficients = self.head(levels)
        return NetworkOutput(
            box_offsets=box_offsets,
            class_logits=class_logits,
            coefficients=coefficients,
            prototypes=self.proto_net(stem, levels[:3]),
        )

    def with_input_size(self, input_size_px: int) -> YolactNano:
        """A view of this network for another input size: same weights, own config."""
        view = copy.copy(self)
        view.config = self.config.with_input_size(input_size_px)
        return view
