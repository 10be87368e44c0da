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
from yolact_ros.evaluation.bag.frame import FoundInstance, FrameRecord
from yolact_ros.evaluation.bag.frame_table import FrameTable
from yolact_ros.evaluation.bag.images import decode_image, image_frames
from yolact_ros.evaluation.bag.rle import rle_to_crop
from yolact_ros.evaluation.bag.storage import Bag
from yolact_ros.prediction import Prediction
from yolact_ros.visualization import draw_overlay

__all__ = ["WorstFrame", "to_prediction", "worst_frames", "worst_pictures"]

PICTURE_WIDTH_PX = 420
JPEG_QUALITY = 82
# Neighbours of a bad frame are bad in the same way: a second apart shows more.
LEAST_DISTANCE_S = 1.0


@dataclass(frozen=True)
class WorstFrame:
    """A frame that went badly.

    Attributes:
        index: on the image topic.
        caption: what is wrong with it.
    """

    index: int
    caption: str


def worst_frames(frames: FrameTable, count: int) -> list[WorstFrame]:
    """Frames of the lowest quality, or without truth of the lowest steadiness, worst first."""
    with_truth = frames.present("quality").size > 0
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
        WorstFrame(int(frames["index"][row]), _caption(frames, row, with_truth)) for row in chosen
    ]


def _caption(frames: FrameTable, row: int, with_truth: bool) -> str:
    start = f"frame {int(frames['index'][row])}, {frames['time_s'][row]:.2f} s: "
    if not with_truth:
        return start + f"steadiness {frames['steadiness'][row]:.2f}"
    found, wrong = (int(frames[name][row]) for name in ("true_positives", "false_positives"))
    missed = int(frames["false_negatives"][row])
    text = f"quality {frames['quality'][row]:.2f}; {found} right, {wrong} wrong, {missed} missed"
    available = frames["result_index"][row]
    if available != frames["index"][row]:
        text += "; the consumer had " + ("nothing" if available < 0 else f"frame {int(available)}")
    return start + text


def to_prediction(
    instances: Sequence[FoundInstance], shape: tuple[int, int], class_ids: Mapping[str, int]
) -> Prediction:
    """Instances of an image of ``shape`` (height, width) as a prediction, for drawing.

    Args:
        class_ids: id of each class name; stable ids give stable colours.
    """
    boxes = np.array([found.bbox_xywh for found in instances], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    with_masks = bool(instances) and all(found.counts for found in instances)
    crops = [rle_to_crop(found.counts, shape) for found in instances] if with_masks else []
    return Prediction(
        image_height_px=shape[0],
        image_width_px=shape[1],
        class_ids=np.array([class_ids[found.class_name] for found in instances], np.int64),
        scores=np.array([found.score for found in instances], np.float32),
        boxes_xyxy=boxes,
        mask_crops=tuple(crops),
    )


def worst_pictures(
    bag: Bag,
    topic: str,
    wanted: Mapping[int, tuple[FrameRecord | None, Sequence[FoundInstance] | None]],
    operating_threshold: float,
) -> dict[int, str]:
    """Draw frames; reads the topic once, up to the last frame that is wanted.

    Args:
        bag: with the images.
        topic: of the images.
        wanted: by frame index, the result that counted and the annotations (None without truth).
        operating_threshold: instances below are not drawn.

    Returns:
        JPEG pictures as ``data:`` addresses, by frame index; unreadable frames are missing.
    """
    names = sorted(
        {
            found.class_name
            for available, truth in wanted.values()
            for found in (*(available.instances if available else ()), *(truth or ()))
        }
    )
    class_ids = {name: number for number, name in enumerate(names)}
    pictures: dict[int, str] = {}
    if not wanted:
        return pictures
    for frame in image_frames(bag, topic):
        if frame.index > max(wanted):
            break
        if frame.index not in wanted:
            continue
        try:
            image_bgr = decode_image(frame).image_bgr
        except FrameFault:
            continue
        available, truth = wanted[frame.index]
        shape = (image_bgr.shape[0], image_bgr.shape[1])
        fits = available is not None and (available.height_px, available.width_px) == shape
        shown = (
            [f for f in available.instances if f.score >= operating_threshold] if available else []
        )
        panels = [_panel(image_bgr, shown if fits else [], shape, names, class_ids, "found")]
        if truth is not None:
            panels.append(_panel(image_bgr, truth, shape, names, class_ids, "truth"))
        pictures[frame.index] = _data_address(np.concatenate(panels, axis=0))
    return pictures


def _panel(
    image_bgr: NDArray[np.uint8],
    instances: Sequence[FoundInstance],
    shape: tuple[int, int],
    names: Sequence[str],
    class_ids: Mapping[str, int],
    title: str,
) -> NDArray[np.uint8]:
    # Draw at a size at which the labels can be read in the report.
    scale = max(1.0, PICTURE_WIDTH_PX / shape[1])
    prediction = to_prediction(instances, shape, class_ids)
    if scale > 1.0:
        image_bgr, prediction = _enlarged(image_bgr, prediction, scale)
    drawn = draw_overlay(np.ascontiguousarray(image_bgr), prediction, names)
    height_px = round(drawn.shape[0] * PICTURE_WIDTH_PX / drawn.shape[1])
    panel = cv2.resize(drawn, (PICTURE_WIDTH_PX, height_px), interpolation=cv2.INTER_AREA)
    cv2.rectangle(panel, (0, height_px - 18), (46, height_px), (30, 30, 30), -1)
    cv2.putText(
        panel, title, (5, height_px - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1,
        cv2.LINE_AA,
    )  # fmt: skip
    return np.asarray(panel, np.uint8)


def _enlarged(
    image_bgr: NDArray[np.uint8], prediction: Prediction, scale: float
) -> tuple[NDArray[np.uint8], Prediction]:
    factor = math.ceil(scale)
    image = np.asarray(cv2.resize(image_bgr, None, fx=factor, fy=factor), np.uint8)
    masks = []
    for crop in prediction.mask_crops:
        count = crop.width * crop.height
        bits = np.unpackbits(crop.bits, count=count).reshape(crop.height, crop.width)
        large = bits.repeat(factor, axis=0).repeat(factor, axis=1)
        masks.append(
            type(crop)(
                crop.x_offset * factor,
                crop.y_offset * factor,
                crop.width * factor,
                crop.height * factor,
                np.packbits(large),
            )
        )
    return image, Prediction(
        image_height_px=image.shape[0],
        image_width_px=image.shape[1],
        class_ids=prediction.class_ids,
        scores=prediction.scores,
        boxes_xyxy=prediction.boxes_xyxy * np.float32(factor),
        mask_crops=tuple(masks),
    )


def _data_address(image_bgr: NDArray[np.uint8]) -> str:
    _, file = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(file.tobytes()).decode()
