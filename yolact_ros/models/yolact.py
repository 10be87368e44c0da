"""The YOLACT network: one forward pass from images to raw predictions."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yolact_ros.config import YolactConfig
from yolact_ros.models.backbones import make_backbone
from yolact_ros.models.network import Network
from yolact_ros.ops.prior_decoder import PriorDecoder
from yolact_ros.ops.priors import make_priors
from yolact_ros.structures import NetworkOutput

__all__ = [
    "FeaturePyramid",
    "MaskRescoring",
    "PredictionHead",
    "Protonet",
    "Yolact",
    "build_network",
]

RESCORING_CHANNELS = (8, 16, 32, 64, 128)
# Five unpadded 3x3 convolutions of stride 2 leave one pixel of 63.
MIN_MASK_SIDE_PX = 63
NUM_DOWNSAMPLED_LEVELS = 2


class FeaturePyramid(nn.Module):
    """Features C3, C4, C5 to pyramid levels P3..P7, each with ``channels`` channels.

    The published weights list the lateral and prediction layers deepest first: index 0 belongs to
    C5 and P5, index 2 to C3 and P3. P6 and P7 have no activation.
    """

    def __init__(self, feature_channels: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.lat_layers = nn.ModuleList(
            nn.Conv2d(in_channels, channels, 1) for in_channels in reversed(feature_channels)
        )
        self.pred_layers = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in feature_channels
        )
        self.downsample_layers = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, stride=2, padding=1)
            for _ in range(NUM_DOWNSAMPLED_LEVELS)
        )

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """``(C3, C4, C5) -> (P3, P4, P5, P6, P7)``, each half of the one before, rounded up."""
        levels: list[Tensor] = []
        merged: Tensor | None = None
        for lateral, predict, feature in zip(
            self.lat_layers, self.pred_layers, reversed(features), strict=True
        ):
            side = lateral(feature)
            if merged is not None:
                # To the exact size: an odd level is not twice the one above it.
                side = side + F.interpolate(
                    merged, size=side.shape[-2:], mode="bilinear", align_corners=False
                )
            merged = side
            levels.insert(0, F.relu(predict(side)))
        for downsample in self.downsample_layers:
            levels.append(downsample(levels[-1]))
        return tuple(levels)


class Protonet(nn.Sequential):
    """P3 to k prototype masks of twice its size.

    A plain sequence, since the published keys count its layers: weights are at 0, 2, 4, 8, 10.
    """

    def __init__(self, in_channels: int, channels: int, num_prototypes: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            # The published sequence has a second ReLU here; it changes nothing.
            nn.Identity(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, num_prototypes, 1),
        )

    def forward(self, p3: Tensor) -> Tensor:
        """``[B, C, h3, w3] -> [B, 2 h3, 2 w3, k]``, non-negative."""
        prototypes = p3
        for layer in self:
            prototypes = layer(prototypes)
        return F.relu(prototypes).permute(0, 2, 3, 1).contiguous()


class PredictionHead(nn.Module):
    """Boxes, classes and mask coefficients of the priors of one pyramid level.

    Three parallel convolutions on one shared feature layer; no RetinaNet-like towers.
    """

    def __init__(
        self, channels: int, priors_per_cell: int, num_classes: int, num_prototypes: int
    ) -> None:
        super().__init__()
        self.upfeature = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True)
        )
        self.bbox_layer = nn.Conv2d(channels, priors_per_cell * 4, 3, padding=1)
        self.conf_layer = nn.Conv2d(channels, priors_per_cell * (num_classes + 1), 3, padding=1)
        self.mask_layer = nn.Conv2d(channels, priors_per_cell * num_prototypes, 3, padding=1)
        # A module, so that an export can leave it out.
        self.activation = nn.Tanh()
        self._values_per_prior = (4, num_classes + 1, num_prototypes)

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One level ``[B, C, h, w]`` to the rows of its ``n = h * w * priors_per_cell`` priors.

        Box offsets ``[B, n, 4]``, class logits ``[B, n, classes + 1]`` and coefficients ``[B, n,
        k]`` (tanh applied), ordered by row, column, prior.
        """
        shared = self.upfeature(level)
        offsets, logits, coefficients = (
            layer(shared).permute(0, 2, 3, 1).reshape(level.shape[0], -1, values)
            for layer, values in zip(
                (self.bbox_layer, self.conf_layer, self.mask_layer),
                self._values_per_prior,
                strict=True,
            )
        )
        return offsets, logits, self.activation(coefficients)


class MaskRescoring(nn.Module):
    """Predicts the IoU of a mask with its object, for every class at once."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for hidden in RESCORING_CHANNELS:
            layers += [nn.Conv2d(channels, hidden, 3, stride=2), nn.ReLU(inplace=True)]
            channels = hidden
        layers += [nn.Conv2d(channels, num_classes, 1), nn.ReLU(inplace=True)]
        self.maskiou_net = nn.Sequential(*layers)

    def forward(self, masks: Tensor) -> Tensor:
        """Cropped soft masks ``[n, 1, h, w]`` at prototype size to IoU estimates ``[n, classes]``.

        Masks below 63 pixels a side (network inputs below 249 px) are filled up with background.
        """
        missing_rows = max(0, MIN_MASK_SIDE_PX - masks.shape[-2])
        missing_columns = max(0, MIN_MASK_SIDE_PX - masks.shape[-1])
        if missing_rows or missing_columns:
            masks = F.pad(masks, (0, missing_columns, 0, missing_rows))
        return F.adaptive_max_pool2d(self.maskiou_net(masks), 1).flatten(1)


class Yolact(Network):
    """YOLACT (Bolya et al. 2019) and YOLACT++ (2020) as one frozen config describes them.

    State-dict keys equal those of the published checkpoints. Build it with
    :func:`yolact_ros.models.build_network`, which also initialises the weights.

    Attributes:
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
        return PriorDecoder(self.priors)

    @property
    def mask_rescoring(self) -> MaskRescoring | None:
        return self.maskiou_net

    def drop_training_parts(self) -> None:
        """Also those that need detections: mask rescoring follows NMS."""
        self.maskiou_net = None
        self.semantic_seg_conv = nn.Identity()  # type: ignore[assignment]

    def forward(self, images: Tensor) -> NetworkOutput:
        """Normalised RGB images ``[B, 3, S, S]`` to raw predictions.

        Any S, though ``priors`` are those of the config; ``semantic_logits`` in training mode
        only.
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
        """See the base class; costs one set of priors."""
        view = super().with_input_size(input_size_px)
        view._buffers = dict(self._buffers)
        view.priors = make_priors(view.config).to(self.priors.device)
        return view

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Yolact:
        # half() and bfloat16() must not reach the priors: bfloat16 moves them by up to a pixel.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.priors = make_priors(self.config).to(self.priors.device)
        return self


def build_network(config: YolactConfig) -> Yolact:
    """A network with random weights, in training mode.

    Backbone convolutions are drawn as He et al. (2015) propose, all others Xavier-uniform with
    bias 0 as the published networks were; offset convolutions of deformable layers start at 0, so
    that they begin at the positions of plain convolutions. Uses torch's global generator.
    """
    model = Yolact(config)
    for name, module in model.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        if name.endswith("conv_offset_mask"):
            nn.init.zeros_(module.weight)
        elif name.startswith("backbone."):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        else:
            nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    return model
