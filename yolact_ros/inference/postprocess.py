"""From raw network output to instances: box decoding, NMS, mask rescoring, mask assembly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.config import NetworkConfig
from yolact_ros.errors import ConfigError, damaged_network
from yolact_ros.inference.rescoring import MaskRescoring, rescore
from yolact_ros.inference.settings import (
    MAX_CANDIDATES_PER_CLASS,
    MAX_DETECTIONS,
    PredictionSettings,
)
from yolact_ros.ops.crops import assemble_mask_crops
from yolact_ros.ops.decoder import LEAST_SCORE, Candidates, OutputDecoder
from yolact_ros.ops.fast_nms import Selection, cross_class_fast_nms, fast_nms, ranked_pairs
from yolact_ros.ops.placement import Placement, place_image
from yolact_ros.ops.scratch import Scratch
from yolact_ros.ops.standard_nms import standard_nms
from yolact_ros.prediction import Prediction
from yolact_ros.structures import Detections, MaskCrop, NetworkOutput

__all__ = ["Postprocessor"]


class Postprocessor:
    """Turns raw network output into instances.

    All of it runs on the host: only boxes that can be reported are decoded, and only their softmax
    is computed. Where :class:`~yolact_ros.inference.device_pipeline.DevicePipeline` detected and
    made the masks on a device, :meth:`assemble` makes its result a prediction.
    """

    def __init__(
        self,
        config: NetworkConfig,
        decoder: OutputDecoder,
        *,
        mask_rescoring: MaskRescoring | None = None,
    ) -> None:
        self._config = config
        self._decoder = decoder
        self._mask_rescoring = mask_rescoring
        self._scratch = Scratch()

    @torch.inference_mode()
    def detect(
        self, output: NetworkOutput, settings: PredictionSettings, *, image: int = 0
    ) -> Detections:
        """The instances of one image without their masks, at most ``settings.top_k``.

        The class filter acts before NMS, so other classes suppress nothing. So does the score
        threshold, which changes nothing: only higher scores suppress.

        Raises:
            ConfigError: ``settings.class_ids`` has one that the network does not.
            YolactError: the output has NaN.
        """
        class_ids = self.class_ids(settings)
        candidates = self._decoder.candidates(
            output,
            image,
            max(self._decoder.least_score, settings.score_threshold),
            class_ids,
            self._scratch,
        )
        rescores = self._mask_rescoring is not None
        max_detections = MAX_DETECTIONS if rescores else settings.top_k
        selection = self._select(candidates, settings, max_detections)
        if class_ids is not None:
            names = np.array(class_ids, np.int64)
            selection = selection._replace(class_ids=names[selection.class_ids])
        # Rows are taken by NumPy: torch's indexing wakes all its threads for a hundred rows.
        coefficients = output.coefficients[image].float().cpu().numpy()
        detections = Detections(
            boxes_xyxy=candidates.boxes_xyxy[selection.rows],
            scores=selection.scores,
            class_ids=selection.class_ids,
            coefficients=coefficients[candidates.rows[selection.rows]],
        )
        if self._mask_rescoring is None:
            return detections
        rescored = rescore(detections, output.prototypes[image], self._mask_rescoring)
        return rescored.first(settings.top_k)

    def assemble(
        self,
        detections: Detections,
        prototypes: Tensor,
        image_height_px: int,
        image_width_px: int,
        *,
        masks: bool = True,
        max_instances: int | None = None,
        mask_stride: int = 1,
        crops_of: Callable[[int], list[MaskCrop]] | None = None,
    ) -> Prediction:
        """The prediction of one image.

        Args:
            masks: False gives boxes only.
            max_instances: keep only so many, best first.
            crops_of: gives the masks of the first so many instances, which are not assembled
                here then.

        Raises:
            YolactError: the network's output has NaN.
        """
        if max_instances is not None:
            detections = detections.first(max_instances)
        placement = self.place(image_height_px, image_width_px)
        boxes_xyxy = placement.to_image(detections.boxes_xyxy)
        scores, coefficients = detections.scores, detections.coefficients
        if not np.isfinite(scores).all() or not np.isfinite(coefficients).all():
            raise damaged_network("scores or mask coefficients")
        crops = []
        if masks and len(detections) and crops_of is not None:
            crops = crops_of(len(detections))
        elif masks and len(detections):
            host_prototypes = prototypes.float().cpu().numpy()
            if not np.isfinite(host_prototypes.sum()):
                raise damaged_network("prototypes")
            crop = placement.crop(host_prototypes)
            crops = assemble_mask_crops(
                crop.prototypes,
                coefficients,
                boxes_xyxy,
                image_height_px,
                image_width_px,
                stride=mask_stride,
                shown=(crop.rows, crop.columns),
                crop_in_image=self._config.crops_masks_in_image,
                scratch=self._scratch,
            )
        return Prediction(
            image_height_px,
            image_width_px,
            class_ids=detections.class_ids,
            scores=scores,
            boxes_xyxy=_to_pixels(boxes_xyxy, image_height_px, image_width_px),
            mask_crops=tuple(crops),
            class_names=self._config.class_names,
        )

    def class_ids(self, settings: PredictionSettings) -> tuple[int, ...] | None:
        """The class filter in rising order; None is all classes.

        Raises:
            ConfigError: it has a class that the network does not.
        """
        num_classes = self._config.num_classes
        if settings.class_ids is None:
            return None
        unknown = [c for c in settings.class_ids if not 0 <= c < num_classes]
        if unknown:
            raise ConfigError(
                f"class_ids has {unknown[0]}, but {self._config.name} has the classes "
                f"0..{num_classes - 1}"
            )
        # In rising order, so that equal scores rank as without a filter.
        return tuple(sorted(settings.class_ids))

    def place(self, image_height_px: int, image_width_px: int) -> Placement:
        """Where an image of this size lies in the network's input."""
        return place_image(
            image_height_px,
            image_width_px,
            self._config.input_shape,
            keep_aspect_ratio=self._config.keeps_aspect_ratio,
        )

    def _select(
        self, found: Candidates, settings: PredictionSettings, max_detections: int
    ) -> Selection:
        display_threshold = max(settings.score_threshold, LEAST_SCORE)
        if not self._decoder.overlaps:
            return ranked_pairs(found.class_scores, display_threshold).take(slice(max_detections))
        nms = settings.nms or self._decoder.nms
        if nms == "cross-class":
            return cross_class_fast_nms(
                found.boxes_xyxy,
                found.class_scores,
                iou_threshold=settings.nms_threshold,
                max_candidates=MAX_CANDIDATES_PER_CLASS,
                max_detections=max_detections,
                display_threshold=display_threshold,
            )
        if nms == "standard":
            return standard_nms(
                found.boxes_xyxy,
                found.class_scores,
                iou_threshold=settings.nms_threshold,
                max_detections=max_detections,
                display_threshold=max(self._decoder.least_score, settings.score_threshold),
                input_size_px=self._config.input_size_px,
                margin_px=self._decoder.nms_margin_px,
            )
        return fast_nms(
            found.boxes_xyxy,
            found.class_scores,
            iou_threshold=settings.nms_threshold,
            max_candidates_per_class=MAX_CANDIDATES_PER_CLASS,
            max_detections=max_detections,
            display_threshold=display_threshold,
        )


def _to_pixels(
    relative_xyxy: NDArray[np.float32], image_height_px: int, image_width_px: int
) -> NDArray[np.float32]:
    """Corners in order, clipped to the image."""
    size = np.array((image_width_px, image_height_px), np.float32)
    inside = relative_xyxy.clip(0, 1)  # before the product, which huge ones would overflow
    first, second = inside[:, :2] * size, inside[:, 2:] * size
    return np.concatenate((np.minimum(first, second), np.maximum(first, second)), axis=1)
