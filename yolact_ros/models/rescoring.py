"""YOLACT++'s mask re-scoring network (Bolya et al. 2020, section 5.1)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["MaskRescoring"]

HIDDEN_CHANNELS = (8, 16, 32, 64, 128)
# Five unpadded 3x3 convolutions of stride 2 leave one pixel of 63.
MIN_MASK_SIDE_PX = 63


class MaskRescoring(nn.Module):
    """Predicts the IoU of a mask with its object, for every class at once."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for hidden in HIDDEN_CHANNELS:
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
