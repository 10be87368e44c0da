"""Clips of stop signs that move over a plain ground: what yolact_nano finds, and with a truth."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "test")]

from bag_samples import (  # noqa: E402
    IMAGE_TOPIC,
    TRUTH_TOPIC,
    Message,
    image_message,
)

from yolact_ros.evaluation.bag.frame import FoundInstance, FrameInstances  # noqa: E402
from yolact_ros.evaluation.bag.reading.messages import (  # noqa: E402
    IMAGE,
    INSTANCE_ARRAY,
    serialize_instances,
)
from yolact_ros.ops.coco_rle import encode_crop  # noqa: E402
from yolact_ros.structures import MaskCrop  # noqa: E402

__all__ = ["StopSigns", "clip_messages"]

WIDTH_PX, HEIGHT_PX = 160, 120
PERIOD_NS = 100_000_000


@dataclass(frozen=True)
class StopSigns:
    """What is seen on one drive.

    Attributes:
        seed: of places and colours.
        darkness: 0 is day, 1 is black.
        noise: standard deviation of the pixels.
    """

    seed: int
    darkness: float = 0.0
    noise: float = 4.0

    def frame(self, index: int) -> tuple[NDArray[np.uint8], list[NDArray[np.bool_]]]:
        """Pixels (uint8[H, W, 3] BGR) and the mask of each sign (bool[H, W])."""
        random = np.random.default_rng([self.seed, index])
        drive = np.random.default_rng(self.seed)
        low, high = drive.integers(90, 140, 3), drive.integers(150, 220, 3)
        share = np.linspace(0, 1, HEIGHT_PX)[:, None, None]
        ground = (high * (1 - share) + low * share).repeat(WIDTH_PX, 1)
        image = np.ascontiguousarray(ground, np.uint8)
        masks = []
        for number in range(int(drive.integers(1, 3))):
            radius = 16 + 8 * drive.random() + 0.5 * index
            x = WIDTH_PX * (0.25 + 0.5 * number) + 10 * math.sin(index / 6 + number)
            y = HEIGHT_PX * (0.35 + 0.2 * drive.random())
            mask = _octagon(x, y, radius)
            cv2.line(image, (round(x), round(y)), (round(x), HEIGHT_PX), (120, 120, 120), 3)
            image[mask] = (40, 30, 190)
            image[_octagon(x, y, radius) & ~_octagon(x, y, 0.92 * radius)] = (235, 235, 235)
            scale = radius / 38
            (width, height), _ = cv2.getTextSize("STOP", cv2.FONT_HERSHEY_SIMPLEX, scale, 2)
            place = (round(x - width / 2), round(y + height / 2))
            white = (245, 245, 245)
            cv2.putText(
                image, "STOP", place, cv2.FONT_HERSHEY_SIMPLEX, scale, white, 2, cv2.LINE_AA
            )
            masks.append(mask)
        seen = image * (1 - self.darkness) + random.normal(0, self.noise, image.shape)
        return np.clip(seen, 0, 255).astype(np.uint8), masks


def clip_messages(signs: StopSigns, num_frames: int, *, truth: bool = True) -> list[Message]:
    """Images, and the truth on a topic of its own."""
    start_ns = 1_700_000_000_000_000_000 + signs.seed * 1_000_000_000_000
    messages: list[Message] = []
    for index in range(num_frames):
        time_ns = start_ns + index * PERIOD_NS
        image, masks = signs.frame(index % 40)
        messages.append((IMAGE_TOPIC, IMAGE, time_ns, image_message(image, time_ns)))
        if truth:
            found = tuple(_instance(mask) for mask in masks if mask.any())
            content = FrameInstances(HEIGHT_PX, WIDTH_PX, found, time_ns, "camera")
            data = bytes(serialize_instances(content))
            messages.append((TRUTH_TOPIC, INSTANCE_ARRAY, time_ns + 1, data))
    return messages


def _octagon(x: float, y: float, radius: float) -> NDArray[np.bool_]:
    angles = np.pi / 8 + np.arange(8) * np.pi / 4
    corners = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], 1)
    mask = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
    cv2.fillPoly(mask, [corners.round().astype(np.int32)], 1)
    return mask.astype(bool)


def _instance(mask: NDArray[np.bool_]) -> FoundInstance:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x, y = int(columns[0]), int(rows[0])
    width, height = int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y
    crop = MaskCrop(x, y, width, height, np.packbits(mask[y : y + height, x : x + width]))
    counts = encode_crop(crop, HEIGHT_PX, WIDTH_PX)["counts"]
    box = (float(x), float(y), float(width), float(height))
    return FoundInstance(11, "stop sign", 1.0, box, counts)
