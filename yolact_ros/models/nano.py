"""YOLACT's mask branch on the detector NanoDet-Plus-m (RangiLyu/nanodet, Apache-2.0)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from yolact_ros.config import MAX_CHANNELS, ImageNormalization, NetworkConfig
from yolact_ros.errors import ConfigError
from yolact_ros.models.backbones.shufflenetv2 import ShuffleNetV2
from yolact_ros.models.ghost_pan import GhostPan
from yolact_ros.models.nano_head import NanoHead, NanoProtonet
from yolact_ros.models.network import Network
from yolact_ros.ops.cell_decoder import BINS, STRIDES_PX, CellDecoder
from yolact_ros.structures import NetworkOutput

__all__ = ["NanoConfig", "YolactNano"]

PYRAMID_CHANNELS = 96
SIZE_STEP_PX = 32
MAX_SHAPE_ORDER = 16
NANODET_NORMALIZATION = ImageNormalization((103.53, 116.28, 123.675), (57.375, 57.12, 58.395))


@dataclass(frozen=True, kw_only=True)
class NanoConfig(NetworkConfig):
    """One YolactNano network; its input size is a multiple of 32.

    Attributes:
        proto_channels: channels inside the protonet.
        shape_order: the coarse shape in the box has the square of it as coefficients, see
            :mod:`yolact_ros.ops.cosines`; 0 is none.

    Raises:
        ConfigError: a field is out of range; the message names field, value and range.
    """

    family: ClassVar[str] = "nano"
    crops_masks_in_image: ClassVar[bool] = True

    name: str = "yolact_nano"
    input_size_px: int = 416
    normalization: ImageNormalization = NANODET_NORMALIZATION
    proto_channels: int = 64
    shape_order: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_range("proto_channels", 2, MAX_CHANNELS)
        self._check_range("shape_order", 0, MAX_SHAPE_ORDER)
        if self.input_size_px % SIZE_STEP_PX:
            raise ConfigError(
                f"network config: input_size_px is {self.input_size_px!r}, expected a multiple "
                f"of {SIZE_STEP_PX} for {self.name}"
            )


class YolactNano(Network):
    """NanoDet-Plus-m with prototype masks and coefficients.

    What its output means, see :class:`~yolact_ros.structures.NetworkOutput`, C classes and N cells
    of strides 8, 16, 32 and 64, fine to coarse, each by row and column:

    * ``class_logits [B, N, C]``: before a sigmoid for each class; there is no background column.
    * ``box_offsets [B, N, 32]``: for left, top, right and bottom in this order, 8 logits of a
      softmax over the distances 0..7 strides; the expected value is the distance of that side from
      the cell's point, see :func:`~yolact_ros.ops.cell_decoder.cell_centers`.
    * ``coefficients [B, N, k + shape_order ** 2]``: tanh applied, in (-1, 1); behind those of the
      prototypes are those of the coarse shape in the box, see :mod:`~yolact_ros.ops.cosines`.
    * ``prototypes [B, S/4, S/4, k]``: linear, of either sign (no ReLU).

    Images are squashed to the square. Box and class weights come from the published detector,
    whose batch norm is folded; its first convolution is turned from BGR to RGB, as the package's
    networks see it.
    """

    parts = frozenset({"backbone", "pyramid", "head", "proto_net"})
    config: NanoConfig

    def __init__(self, config: NanoConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = ShuffleNetV2()
        self.pyramid = GhostPan(self.backbone.feature_channels, PYRAMID_CHANNELS)
        self.head = NanoHead(
            len(STRIDES_PX),
            PYRAMID_CHANNELS,
            config.num_classes,
            BINS,
            config.num_prototypes + config.shape_order**2,
        )
        self.proto_net = NanoProtonet(
            2 * PYRAMID_CHANNELS,
            self.backbone.stem_channels,
            self.backbone.feature_channels[0],
            config.proto_channels,
            config.num_prototypes,
        )

    @property
    def decoder(self) -> CellDecoder:
        """Reads distances from the cells and a sigmoid for each class."""
        return CellDecoder(self.config.input_size_px, next(self.parameters()).device)

    def forward(self, images: Tensor) -> NetworkOutput:
        """Normalised RGB images [B, 3, S, S], S a multiple of 32, to raw predictions."""
        stem, *features = self.backbone(images)
        class_logits, box_offsets, coefficients, levels = self.head(self.pyramid(features))
        return NetworkOutput(
            box_offsets=box_offsets,
            class_logits=class_logits,
            coefficients=coefficients,
            prototypes=self.proto_net(stem, features[0], levels[:3]),
        )

    def with_input_size(self, input_size_px: int) -> YolactNano:
        """A view of this network for another input size: same weights, own config."""
        view = copy.copy(self)
        view.config = self.config.with_input_size(input_size_px)
        return view
