"""The YOLACT network: one forward pass from images to raw predictions."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from yolact_ros.config import YolactConfig
from yolact_ros.models.backbones import make_backbone
from yolact_ros.models.fpn import FeaturePyramid
from yolact_ros.models.head import PredictionHead
from yolact_ros.models.network import Network
from yolact_ros.models.protonet import Protonet
from yolact_ros.models.rescoring import MaskRescoring
from yolact_ros.ops.prior_decoder import PriorDecoder
from yolact_ros.ops.priors import make_priors
from yolact_ros.structures import NetworkOutput

__all__ = ["Yolact"]


class Yolact(Network):
    """YOLACT (Bolya et al. 2019) and YOLACT++ (2020) as one frozen config describes them.

    State-dict keys equal those of the published checkpoints. Build it with
    :func:`yolact_ros.models.build_network`, which also initialises the weights.

    Attributes:
        config: what the network was built from.
        priors (Tensor[N, 4]): cx, cy, width, height for ``config.input_size_px``; a buffer that is
            not part of the state dict and stays float32 in a network of lower precision.
    """

    parts = frozenset(
        {"backbone", "fpn", "proto_net", "prediction_layers", "semantic_seg_conv", "maskiou_net"}
    )
    config: YolactConfig
    priors: Tensor

    def __init__(self, config: YolactConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = make_backbone(config)
        self.proto_net = Protonet(
            config.fpn_channels, config.proto_channels, config.num_prototypes
        )
        self.maskiou_net = MaskRescoring(config.num_classes) if config.mask_rescoring else None
        self.fpn = FeaturePyramid(self.backbone.feature_channels, config.fpn_channels)
        self.prediction_layers = nn.ModuleList(
            [
                PredictionHead(
                    config.fpn_channels,
                    config.priors_per_cell,
                    config.num_classes,
                    config.num_prototypes,
                )
            ]
        )
        self.semantic_seg_conv = nn.Conv2d(config.fpn_channels, config.num_classes, 1)
        self.register_buffer("priors", make_priors(config), persistent=False)

    @property
    def decoder(self) -> PriorDecoder:
        """Reads box offsets and class logits by the priors."""
        return PriorDecoder(self.priors)

    @property
    def mask_rescoring(self) -> MaskRescoring | None:
        """YOLACT++'s mask re-scoring network, or None where the config has none."""
        return self.maskiou_net

    def drop_training_parts(self) -> None:
        """Also those that need detections: mask rescoring follows NMS."""
        self.maskiou_net = None
        self.semantic_seg_conv = nn.Identity()  # type: ignore[assignment]

    def forward(self, images: Tensor) -> NetworkOutput:
        """Run the network.

        Args:
            images (Tensor[B, 3, S, S]): normalised RGB; any S, though ``priors`` are those of
                ``config.input_size_px``.

        Returns:
            NetworkOutput: raw predictions; ``semantic_logits`` in training mode only.
        """
        levels = self.fpn(self.backbone(images))
        head = self.prediction_layers[0]
        offsets, logits, coefficients = zip(*(head(level) for level in levels), strict=True)
        return NetworkOutput(
            box_offsets=torch.cat(offsets, dim=1),
            class_logits=torch.cat(logits, dim=1),
            coefficients=torch.cat(coefficients, dim=1),
            prototypes=self.proto_net(levels[0]),
            semantic_logits=self.semantic_seg_conv(levels[0]) if self.training else None,
        )

    def with_input_size(self, input_size_px: int) -> Yolact:
        """A view of this network for another input size: same weights, own config and priors.

        Costs one set of priors. Whatever changes the weights or the mode (``train``, ``eval``,
        ``to``) of one view changes the layers of all.

        Raises:
            ConfigError: the size is outside 64..2048.
        """
        view = copy.copy(self)
        view.config = self.config.with_input_size(input_size_px)
        view._buffers = dict(self._buffers)
        view.priors = make_priors(view.config).to(self.priors.device)
        return view

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Yolact:
        # half() and bfloat16() must not reach the priors: bfloat16 moves them by up to a pixel.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.priors = make_priors(self.config).to(self.priors.device)
        return self
