"""Anchor-free head of NanoDet-Plus with mask coefficients, and the protonet beside it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from yolact_ros.models.separable import convolution, separable_convolution

__all__ = ["NanoHead", "NanoProtonet"]

NO_OBJECT_LOGIT = -4.6


class NanoHead(nn.Module):
    """Classes, box distributions and mask coefficients of every cell of the pyramid.

    The detector's part (``stems``, ``classes``, ``boxes``) is NanoDet-Plus's, one for each level;
    the coefficients read both its stem and the level itself, and the levels share their last
    layers.
    """

    def __init__(
        self, num_levels: int, channels: int, num_classes: int, bins: int, num_coefficients: int
    ) -> None:
        super().__init__()
        self.stems = nn.ModuleList(
            nn.Sequential(
                separable_convolution(channels, channels),
                separable_convolution(channels, channels),
            )
            for _ in range(num_levels)
        )
        self.classes = nn.ModuleList(
            nn.Conv2d(channels, num_classes, 1) for _ in range(num_levels)
        )
        for layer in self.classes:
            # As focal losses need it: at the start nothing is an object.
            nn.init.constant_(layer.bias, NO_OBJECT_LOGIT)  # type: ignore[arg-type]
        self.boxes = nn.ModuleList(nn.Conv2d(channels, 4 * bins, 1) for _ in range(num_levels))
        self.coefficient_stems = nn.ModuleList(
            convolution(2 * channels, channels, 1) for _ in range(num_levels)
        )
        self.coefficients = nn.Sequential(
            separable_convolution(channels, channels), nn.Conv2d(channels, num_coefficients, 1)
        )
        # A module, so that an export can leave it out.
        self.activation = nn.Tanh()

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """Pyramid levels to rows of all N cells: logits, distributions, coefficients.

        And, for the protonet, each level with the features that its classes are read from.
        """
        rows, features = [], []
        for level, stem, classes, boxes, coefficient_stem in zip(
            levels, self.stems, self.classes, self.boxes, self.coefficient_stems, strict=True
        ):
            own = stem(level)
            features.append(torch.cat([own, level], dim=1))
            coefficients = self.coefficients(coefficient_stem(features[-1]))
            rows.append([_rows(v) for v in (classes(own), boxes(own), coefficients)])
        class_logits, box_offsets, coefficients = (
            torch.cat(part, dim=1) for part in zip(*rows, strict=True)
        )
        return class_logits, box_offsets, self.activation(coefficients), features


class NanoProtonet(nn.Module):
    """Prototypes at stride 4 from three levels of the head and the backbone's first features.

    The pyramid says what belongs together, the head of which class it is; the backbone, at strides
    4 and 8, where its edges are.
    """

    def __init__(
        self,
        level_channels: int,
        stem_channels: int,
        stage_channels: int,
        channels: int,
        num_prototypes: int,
    ) -> None:
        super().__init__()
        self.stage = nn.Conv2d(stage_channels, channels, 1)
        nn.init.zeros_(self.stage.weight)
        nn.init.zeros_(self.stage.bias)  # type: ignore[arg-type]
        self.laterals = nn.ModuleList(nn.Conv2d(level_channels, channels, 1) for _ in range(3))
        self.activation = nn.LeakyReLU(0.1, inplace=True)
        self.body = nn.Sequential(
            convolution(channels, channels, 3), convolution(channels, channels, 3)
        )
        half = channels // 2
        self.narrow = convolution(channels, half, 1)
        self.detail = convolution(stem_channels, stem_channels, 1)
        self.fuse = convolution(half + stem_channels, half, 3)
        self.refine = convolution(half, half, 3)
        self.output = nn.Conv2d(half, num_prototypes, 1)

    def forward(self, stem: Tensor, stage: Tensor, levels: Sequence[Tensor]) -> Tensor:
        """Backbone at strides 4 and 8, the head's at 8, 16 and 32, to ``[B, S/4, S/4, k]``."""
        fused = self.laterals[2](levels[2])
        for index in (1, 0):
            fused = _enlarge(fused) + self.laterals[index](levels[index])
        fused = fused + self.stage(stage)
        fused = _enlarge(self.narrow(self.body(self.activation(fused))))
        sharp = self.fuse(torch.cat([fused, self.detail(stem)], dim=1))
        prototypes: Tensor = self.output(sharp + self.refine(sharp))
        return prototypes.permute(0, 2, 3, 1).contiguous()


def _enlarge(features: Tensor) -> Tensor:
    return F.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)


def _rows(level: Tensor) -> Tensor:
    """``[B, C, h, w] -> [B, h * w, C]``."""
    return level.flatten(2).permute(0, 2, 1)
