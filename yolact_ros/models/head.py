"""Prediction head, shared by all pyramid levels (YOLACT sections 3.2 and 4)."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["PredictionHead"]


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

        Returns:
            Box offsets ``[B, n, 4]``, class logits ``[B, n, classes + 1]`` and coefficients
            ``[B, n, k]`` (tanh applied), ordered by row, column, prior.
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
