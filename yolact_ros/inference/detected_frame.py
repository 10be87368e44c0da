"""An image between the two parts of a prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.ops.placement import Placement
from yolact_ros.structures import Detections

__all__ = ["DetectedFrame", "StageTimes"]


class StageTimes(NamedTuple):
    """What the stages of one prediction took, in milliseconds; on CUDA by the device's clock.

    Attributes:
        preprocess_ms: resizing, normalisation, upload.
        inference_ms: the network.
        postprocess_ms: box decoding, NMS, mask assembly, the way to the host.
    """

    preprocess_ms: float = 0.0
    inference_ms: float = 0.0
    postprocess_ms: float = 0.0


@dataclass(frozen=True)
class DetectedFrame:
    """An image after the network and NMS; see :meth:`Predictor.detect`.

    Attributes:
        prototypes (Tensor[h, w, k]): of the image.
        settings: that it was detected with.
        times: of the stages so far.
        has_masks: the device made the masks already, and they are on the host.
    """

    detections: Detections
    prototypes: Tensor
    image_height_px: int
    image_width_px: int
    placement: Placement
    settings: PredictionSettings
    times: StageTimes
    has_masks: bool = False

    @property
    def boxes_xyxy(self) -> NDArray[np.float32]:
        """The detections' boxes in pixels of the image, clipped to it: float32[n, 4]."""
        size_px = np.array((self.image_width_px, self.image_height_px) * 2, np.float32)
        return self.placement.to_image(self.detections.boxes_xyxy).clip(0, 1) * size_px
