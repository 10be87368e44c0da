"""From raw network output to instances: box decoding, NMS, mask rescoring, mask assembly."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.config import YolactConfig
from yolact_ros.errors import ConfigError, YolactError
from yolact_ros.inference.candidates import LEAST_SCORE, Candidates, find_candidates
from yolact_ros.inference.rescoring import rescore
from yolact_ros.inference.settings import (
    ANCHOR_FLOOR,
    MAX_CANDIDATES_PER_CLASS,
    MAX_DETECTIONS,
    PredictionSettings,
)
from yolact_ros.ops.crops import assemble_mask_crops
from yolact_ros.ops.fast_nms import Selection, cross_class_fast_nms, fast_nms
from yolact_ros.ops.scratch import Scratch
from yolact_ros.ops.standard_nms import standard_nms
from yolact_ros.prediction import Prediction
from yolact_ros.structures import Detections, MaskCrop, NetworkOutput

__all__ = ["BROKEN_PROTOTYPES", "Postprocessor", "first_rows"]

BROKEN_PROTOTYPES = "the network produced NaN prototypes: its weights are damaged"


class Postprocessor:
    """Turns raw network output into instances.

    All of it runs on the host: only boxes that can be reported are decoded, and only their softmax
    is computed. Where :class:`~yolact_ros.inference.device_pipeline.DevicePipeline` detected and
    made the masks on a device, :meth:`assemble` makes its result a prediction.

    Args:
        config: of the network.
        priors_cxcywh (Tensor[N, 4]): of the network.
        mask_rescoring: YOLACT++'s ``[n, 1, h, w] -> [n, C]``: its value for an instance's class
            multiplies the score.
    """

    def __init__(
        self,
        config: YolactConfig,
        priors_cxcywh: Tensor,
        *,
        mask_rescoring: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self._config = config
        self._priors_cxcywh = priors_cxcywh
        self._mask_rescoring = mask_rescoring
        self._scratch = Scratch()

    @torch.inference_mode()
    def detect(self, output: NetworkOutput, settings: PredictionSettings) -> Detections:
        """The instances of B images without their masks, at most ``settings.top_k`` of each.

        The class filter acts before NMS, so other classes suppress nothing. So does the score
        threshold, which changes nothing: only higher scores suppress.

        Returns:
            Detections: on the CPU.

        Raises:
            ConfigError: ``settings.class_ids`` has one that the network does not.
            YolactError: the output has NaN.
        """
        class_ids = self.class_ids(settings)
        max_detections = settings.top_k if self._mask_rescoring is None else MAX_DETECTIONS
        floor = max(ANCHOR_FLOOR, settings.score_threshold)
        selections, boxes, coefficients = [], [], []
        for logits, offsets, vectors in zip(
            output.class_logits, output.box_offsets, output.coefficients, strict=True
        ):
            found = find_candidates(
                logits, offsets, self._priors_cxcywh, floor, class_ids, self._scratch
            )
            selection = self._select(found, settings, max_detections)
            # Rows are taken by NumPy: torch's indexing wakes all its threads for a hundred rows.
            boxes.append(found.boxes_xyxy[selection.rows])
            rows = found.rows[selection.rows]
            coefficients.append(vectors.float().cpu().numpy()[rows])
            if class_ids is not None:
                names = np.array(class_ids, np.int64)
                selection = selection._replace(class_ids=names[selection.class_ids])
            selections.append(selection)
        detections = _pad(selections, boxes, coefficients, max_detections)
        if self._mask_rescoring is not None:
            detections = rescore(detections, output.prototypes, self._mask_rescoring)
        return first_rows(detections, settings.top_k)

    def assemble(
        self,
        detections: Detections,
        prototypes: Tensor,
        image_height_px: int,
        image_width_px: int,
        *,
        image: int = 0,
        masks: bool = True,
        max_instances: int | None = None,
        mask_stride: int = 1,
        crops_of: Callable[[int], list[MaskCrop]] | None = None,
    ) -> Prediction:
        """The prediction of one image of the batch, on the host.

        Args:
            detections: from :meth:`detect` or the device, on the CPU.
            prototypes (Tensor[B, h, w, k]): of the network.
            image_height_px, image_width_px: size of the source image.
            image: index in the batch.
            masks: False gives boxes only.
            max_instances: keep only so many, best first.
            mask_stride: masks change only every so many pixels; 1 is full detail.
            crops_of: gives the masks of the first so many instances, which are not assembled
                here then.

        Raises:
            YolactError: the network's output has NaN.
        """
        count = int(detections.counts[image])
        if count < 0:  # so the device tells, which must not wait for the host to raise
            raise YolactError("the network produced NaN class scores: its weights are damaged")
        if max_instances is not None:
            count = min(count, max_instances)
        scores = detections.scores[image, :count].numpy()
        relative = detections.boxes_xyxy[image, :count].numpy()
        coefficients = detections.coefficients[image, :count].numpy()
        if not np.isfinite(scores).all() or not np.isfinite(coefficients).all():
            raise YolactError(
                "the network produced NaN scores or mask coefficients: its weights are damaged"
            )
        crops = []
        if masks and count and crops_of is not None:
            crops = crops_of(count)
        elif masks and count:
            host_prototypes = prototypes[image].float().cpu().numpy()
            if not np.isfinite(host_prototypes.sum()):
                raise YolactError(BROKEN_PROTOTYPES)
            crops = assemble_mask_crops(
                host_prototypes,
                coefficients,
                relative,
                image_height_px,
                image_width_px,
                stride=mask_stride,
                scratch=self._scratch,
            )
        return Prediction(
            image_height_px,
            image_width_px,
            class_ids=detections.class_ids[image, :count].numpy(),
            scores=scores,
            boxes_xyxy=_to_pixels(relative, image_height_px, image_width_px),
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

    def _select(
        self, found: Candidates, settings: PredictionSettings, max_detections: int
    ) -> Selection:
        display_threshold = max(settings.score_threshold, LEAST_SCORE)
        if settings.nms == "cross-class":
            return cross_class_fast_nms(
                found.boxes_xyxy,
                found.class_scores,
                iou_threshold=settings.nms_threshold,
                max_candidates=MAX_CANDIDATES_PER_CLASS,
                max_detections=max_detections,
                display_threshold=display_threshold,
            )
        if settings.nms == "standard":
            return standard_nms(
                found.boxes_xyxy,
                found.class_scores,
                iou_threshold=settings.nms_threshold,
                max_detections=max_detections,
                display_threshold=max(ANCHOR_FLOOR, settings.score_threshold),
                input_size_px=self._config.input_size_px,
            )
        return fast_nms(
            found.boxes_xyxy,
            found.class_scores,
            iou_threshold=settings.nms_threshold,
            max_candidates_per_class=MAX_CANDIDATES_PER_CLASS,
            max_detections=max_detections,
            display_threshold=display_threshold,
        )


def first_rows(detections: Detections, count: int) -> Detections:
    """The first ``count`` rows of each image: its best instances."""
    return Detections(
        boxes_xyxy=detections.boxes_xyxy[:, :count],
        scores=detections.scores[:, :count],
        class_ids=detections.class_ids[:, :count],
        coefficients=detections.coefficients[:, :count],
        counts=detections.counts.clamp(max=count),
    )


def _pad(
    selections: Sequence[Selection],
    boxes_xyxy: Sequence[NDArray[np.float32]],
    coefficients: Sequence[NDArray[np.float32]],
    max_detections: int,
) -> Detections:
    """What was selected in each of B images, padded to K = ``max_detections`` rows, on the host.

    Args:
        selections: of each image, at most K rows.
        boxes_xyxy: the float32[m, 4] of each selection.
        coefficients: the float32[m, k] of each selection.
    """
    batch, size = len(selections), max_detections
    boxes = np.zeros((batch, size, 4), np.float32)
    scores = np.zeros((batch, size), np.float32)
    class_ids = np.zeros((batch, size), np.int64)
    vectors = np.zeros((batch, size, coefficients[0].shape[1]), np.float32)
    for image, selection in enumerate(selections):
        count = len(selection.rows)
        boxes[image, :count] = boxes_xyxy[image]
        scores[image, :count] = selection.scores
        class_ids[image, :count] = selection.class_ids
        vectors[image, :count] = coefficients[image]
    counts = np.array([len(selection.rows) for selection in selections], np.int64)
    # Filled by NumPy: a dozen small operations of torch take ten times as long.
    return Detections(
        *(torch.from_numpy(array) for array in (boxes, scores, class_ids, vectors, counts))
    )


def _to_pixels(
    relative_xyxy: NDArray[np.float32], image_height_px: int, image_width_px: int
) -> NDArray[np.float32]:
    """Corners in order, clipped to the image."""
    size = np.array((image_width_px, image_height_px), np.float32)
    inside = relative_xyxy.clip(0, 1)  # before the product, which huge ones would overflow
    first, second = inside[:, :2] * size, inside[:, 2:] * size
    return np.concatenate((np.minimum(first, second), np.maximum(first, second)), axis=1)
