"""From the network's output to the instances of a frame, in shapes that never change."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.errors import damaged_network
from yolact_ros.inference.fixed_shape_detection import detect_fixed_shape
from yolact_ros.inference.rescoring import MaskRescoring
from yolact_ros.ops.decoder import OutputDecoder
from yolact_ros.ops.device_masks import MaskGrid, mask_planes, mask_rectangles
from yolact_ros.structures import Detections, NetworkOutput

__all__ = ["COEFFICIENTS", "FrameDetections", "detect_frame", "read_table"]

# A row of the table: box, score, class; mask coefficients follow.
BOX, SCORE, CLASS_ID, COEFFICIENTS = slice(0, 4), 4, 5, 6


class FrameDetections(NamedTuple):
    """The instances of one image on the device, K rows.

    Attributes:
        table (Tensor[K + 1, 6 + k]): float32; box, score, class and coefficients of each instance;
            in the last row their number and whether the prototypes are finite.
        planes (Tensor[K, h, w]): masks at the prototypes' size, set where they are above 0.
        rectangles (Tensor[K, 4]): int32, of the masks in the source image.
    """

    table: Tensor
    planes: Tensor
    rectangles: Tensor


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
        decoder: of the network, on the device.
        live (Tensor[2 + C]): score threshold, NMS threshold, and 1 for classes that take part.
        grid: of the source image.
        rows: K.
        mask_rescoring: YOLACT++'s, or None.
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
