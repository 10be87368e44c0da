"""From the network's output to the instances of a frame, in shapes that never change."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.errors import damaged_network
from yolact_ros.inference.rescoring import MaskRescoring, rescore_fixed_shape
from yolact_ros.inference.settings import MAX_CANDIDATES_PER_CLASS
from yolact_ros.ops.decoder import OutputDecoder
from yolact_ros.ops.device_masks import MaskGrid, mask_planes, mask_rectangles
from yolact_ros.ops.fixed_shape_nms import FixedShapeDetections, fixed_shape_fast_nms
from yolact_ros.structures import Detections, NetworkOutput

__all__ = ["COEFFICIENTS", "FrameDetections", "detect_fixed_shape", "detect_frame", "read_table"]

# A row of the table: box, score, class; mask coefficients follow.
BOX, SCORE, CLASS_ID, COEFFICIENTS = slice(0, 4), 4, 5, 6


class FrameDetections(NamedTuple):
    """The instances of one image on the device, K rows.

    Attributes:
        table (Tensor[K + 1, 6 + c]): float32; box, score, class and c coefficients of each
            instance; in the last row their number and whether the prototypes are finite.
        planes (Tensor[K, h, w]): masks at the prototypes' size, set where they are above 0.
        rectangles (Tensor[K, 4]): int32, of the masks in the source image.
    """

    table: Tensor
    planes: Tensor
    rectangles: Tensor


def detect_fixed_shape(
    output: NetworkOutput,
    decoder: OutputDecoder,
    *,
    score_threshold: float | Tensor,
    nms_threshold: float | Tensor,
    takes_part: Tensor | None,
    max_detections: int,
    mask_rescoring: MaskRescoring | None = None,
) -> FixedShapeDetections:
    """Decoding, Fast NMS and YOLACT++'s rescoring without a data-dependent shape.

    Args:
        score_threshold, nms_threshold: numbers, or ``Tensor[]`` that can change between replays.
        takes_part (Tensor[C]): bool, the class filter; None is all classes.

    Returns:
        FixedShapeDetections: ``counts`` is -1 where the output has NaN.
    """
    boxes_xyxy, scores = decoder.decode(output)
    broken = scores.isnan().any(dim=2).any(dim=1)
    if takes_part is not None:
        # Below every threshold, so that other classes suppress nothing.
        scores = scores.where(takes_part, -1)
    detections = fixed_shape_fast_nms(
        boxes_xyxy,
        scores,
        output.coefficients.float(),
        score_threshold=decoder.least_score,
        iou_threshold=nms_threshold,
        max_candidates_per_class=MAX_CANDIDATES_PER_CLASS,
        max_detections=max_detections,
        display_threshold=score_threshold,
    )
    if mask_rescoring is not None:
        detections = rescore_fixed_shape(detections, output.prototypes, mask_rescoring)
    return replace(detections, counts=detections.counts.where(~broken, -1))


def detect_frame(
    output: tuple[Tensor, ...],
    decoder: OutputDecoder,
    live: Tensor,
    grid: MaskGrid,
    rows: int,
    mask_rescoring: MaskRescoring | None,
    crop_in_image: bool,
) -> FrameDetections:
    """Network output to instances, for B = 1.

    Args:
        output: box offsets, class logits, coefficients and prototypes.
        live (Tensor[2 + C]): score threshold, NMS threshold, and 1 for classes that take part.
        rows: K.
        crop_in_image: see :func:`~yolact_ros.ops.crops.assemble_mask_crops`.
    """
    prototypes = output[3].float()
    detections = detect_fixed_shape(
        NetworkOutput(*output),
        decoder,
        score_threshold=live[0],
        nms_threshold=live[1],
        takes_part=live[2:] > 0,
        max_detections=rows,
        mask_rescoring=mask_rescoring,
    )
    boxes, coefficients = detections.boxes_xyxy[0], detections.coefficients[0]
    instances = (
        boxes,
        detections.scores[0, :, None],
        detections.class_ids[0, :, None].float(),
        coefficients,
    )
    table = torch.cat(instances, dim=1)
    is_finite = prototypes.isfinite().all()[None]
    numbers = torch.cat((detections.counts.float(), is_finite.float()))
    table = torch.cat((table, F.pad(numbers, (0, table.shape[1] - len(numbers)))[None]))
    size = (prototypes.shape[1], prototypes.shape[2])
    return FrameDetections(
        table,
        mask_planes(prototypes[0], coefficients, boxes, crop_in_image=crop_in_image),
        mask_rectangles(boxes, detections.counts[0], size, grid, crop_in_image=crop_in_image),
    )


def read_table(table: NDArray[np.float32]) -> tuple[Detections, bool]:
    """The detections in a table on the host, and whether the prototypes are finite.

    Raises:
        YolactError: the class scores have NaN, which the device tells by a count of -1.
    """
    count, is_finite = table[-1, :2]
    if count < 0:
        raise damaged_network("class scores")
    rows = table[: int(count)]
    detections = Detections(
        boxes_xyxy=rows[:, BOX],
        scores=rows[:, SCORE],
        class_ids=rows[:, CLASS_ID].astype(np.int64),
        coefficients=rows[:, COEFFICIENTS:],
    )
    return detections, bool(is_finite)
