"""The worst frames of a bag as pictures: what was found beside what is there."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import FrameFault
from yolact_ros.evaluation.bag.frame import FoundInstance, FrameInstances, FrameRecord
from yolact_ros.evaluation.bag.reading.image_topic import decode_image, image_frames
from yolact_ros.evaluation.bag.reading.messages import Segment
from yolact_ros.evaluation.bag.reading.storage import Bag
from yolact_ros.evaluation.bag.scoring.tables import FrameTable, present
from yolact_ros.ops.coco_rle import decode_crop
from yolact_ros.ops.packing import unpack_bits
from yolact_ros.prediction import Prediction
from yolact_ros.structures import MaskCrop
from yolact_ros.visualization import draw_overlay

__all__ = ["WorstFrame", "draw_instances", "worst_frames", "worst_pictures"]

PICTURE_WIDTH_PX = 420
JPEG_QUALITY = 82
# Neighbours of a bad frame are bad in the same way: a second apart shows more.
LEAST_DISTANCE_S = 1.0


@dataclass(frozen=True)
class WorstFrame:
    """A frame that went badly.

    Attributes:
        index: on the image topic, and in the table of frames.
        caption: what is wrong with it.
        measure: the lower the worse.
        picture: ``data:`` address; empty without one.
    """

    index: int
    caption: str
    measure: float = 0.0
    picture: str = ""


def worst_frames(frames: FrameTable, count: int) -> list[WorstFrame]:
    """Frames of the lowest quality, or without truth of the lowest steadiness, worst first."""
    with_truth = present(frames, "quality").size > 0
    measure = frames["quality" if with_truth else "steadiness"]
    order = np.argsort(measure, kind="stable")
    times_s = frames["time_s"]
    chosen: list[int] = []
    for row in order:
        # What is perfect is not bad, however good the rest.
        if len(chosen) == count or math.isnan(measure[row]) or measure[row] > 0.999:
            break
        if all(abs(times_s[row] - times_s[other]) >= LEAST_DISTANCE_S for other in chosen):
            chosen.append(int(row))
    return [
        WorstFrame(row, _caption(frames[row], with_truth), float(measure[row])) for row in chosen
    ]


def _caption(row: np.void, with_truth: bool) -> str:
    start = f"frame {row['index']}, {row['time_s']:.2f} s: "
    if not with_truth:
        return start + f"steadiness {row['steadiness']:.2f}"
    text = (
        f"quality {row['quality']:.2f}; {row['true_positives']:.0f} right, "
        f"{row['false_positives']:.0f} wrong, {row['false_negatives']:.0f} missed"
    )
    available = int(row["result_index"])
    if available != row["index"]:
        text += "; the consumer had " + ("nothing" if available < 0 else f"frame {available}")
    return start + text


def draw_instances(
    image_bgr: NDArray[np.uint8],
    instances: Sequence[FoundInstance],
    class_ids: Mapping[str, int],
    enlarged: int = 1,
) -> NDArray[np.uint8]:
    """A copy of an image, uint8[H, W, 3], with instances drawn into it.

    Stable numbers of the classes give stable colours; ``enlarged`` times as large in both
    directions, labels can be read.
    """
    shape = (image_bgr.shape[0], image_bgr.shape[1])
    boxes = np.array([found.bbox_xywh for found in instances], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    with_masks = bool(instances) and all(found.counts for found in instances)
    prediction = Prediction(
        image_height_px=shape[0] * enlarged,
        image_width_px=shape[1] * enlarged,
        class_ids=np.array([class_ids[found.class_name] for found in instances], np.int64),
        scores=np.array([found.score for found in instances], np.float32),
        boxes_xyxy=boxes * np.float32(enlarged),
        mask_crops=tuple(
            _enlarged(decode_crop(found.counts, *shape), enlarged)
            for found in (instances if with_masks else ())
        ),
    )
    names = [""] * (max(class_ids.values(), default=-1) + 1)
    for name, class_id in class_ids.items():
        names[class_id] = name
    image = cv2.resize(image_bgr, None, fx=enlarged, fy=enlarged)
    return draw_overlay(np.ascontiguousarray(image, np.uint8), prediction, names)


def _enlarged(crop: MaskCrop, factor: int) -> MaskCrop:
    mask = unpack_bits(crop.bits, crop.height, crop.width).repeat(factor, 0).repeat(factor, 1)
    return MaskCrop(
        crop.x_offset * factor, crop.y_offset * factor, mask.shape[1], mask.shape[0],
        np.packbits(mask),
    )  # fmt: skip


def worst_pictures(
    bag: Bag,
    topic: str,
    wanted: Mapping[int, tuple[FrameRecord | None, FrameInstances | None]],
    operating_threshold: float,
) -> dict[int, str]:
    """Draw frames; reads the topic once, up to the last frame that is wanted.

    Args:
        wanted: by frame index, the result that counted and the annotations (None without truth).
        operating_threshold: instances below are not drawn.

    Returns:
        JPEG pictures as ``data:`` addresses, by frame index; unreadable frames are missing.
    """
    everything = [side for sides in wanted.values() for side in sides if side is not None]
    names = sorted({found.class_name for side in everything for found in side.instances})
    class_ids = {name: number for number, name in enumerate(names)}
    pictures: dict[int, str] = {}
    if not wanted:
        return pictures
    for frame in image_frames(bag, topic, Segment(limit=max(wanted) + 1)):
        if frame.index not in wanted:
            continue
        try:
            _, image_bgr = decode_image(frame)
        except FrameFault:
            continue
        available, truth = wanted[frame.index]
        fits = available is not None and available.shape == image_bgr.shape[:2]
        found = available.instances if available is not None and fits else ()
        shown = [instance for instance in found if instance.score >= operating_threshold]
        panels = [_panel(image_bgr, shown, class_ids, "found")]
        if truth is not None:
            panels.append(_panel(image_bgr, truth.instances, class_ids, "truth"))
        pictures[frame.index] = _data_address(np.concatenate(panels, axis=0))
    return pictures


def _panel(
    image_bgr: NDArray[np.uint8],
    instances: Sequence[FoundInstance],
    class_ids: Mapping[str, int],
    title: str,
) -> NDArray[np.uint8]:
    # Draw at a size at which the labels can be read in the report.
    enlarged = max(1, math.ceil(PICTURE_WIDTH_PX / image_bgr.shape[1]))
    drawn = draw_instances(image_bgr, instances, class_ids, enlarged)
    height_px = round(drawn.shape[0] * PICTURE_WIDTH_PX / drawn.shape[1])
    panel = cv2.resize(drawn, (PICTURE_WIDTH_PX, height_px), interpolation=cv2.INTER_AREA)
    cv2.rectangle(panel, (0, height_px - 18), (46, height_px), (30, 30, 30), -1)
    cv2.putText(
        panel, title, (5, height_px - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1,
        cv2.LINE_AA,
    )  # fmt: skip
    return np.asarray(panel, np.uint8)


def _data_address(image_bgr: NDArray[np.uint8]) -> str:
    _, file = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(file.tobytes()).decode()
