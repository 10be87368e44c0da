"""The depth images of one camera, waiting for the colour image that they belong to."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import DepthError, FrameFault
from yolact_ros.inference.cdr import ImageMessage
from yolact_ros.inference.depth_encodings import compressed_depth_in_metres, raw_depth_in_metres
from yolact_ros.ros.subscription import AnyImage, read_received

__all__ = ["DepthImage", "DepthImages"]

NS_PER_MS = 1_000_000
# Cameras that take colour and depth at the same time stamp both alike; others are up to half a
# period of 30 Hz apart.
TOLERANCE_NS = 20 * NS_PER_MS
# At 30 Hz the images of a second: a result can take that long on a slow machine.
KEPT_IMAGES = 30


@dataclass(frozen=True)
class DepthImage:
    """A depth image as it arrived."""

    message: AnyImage

    @property
    def stamp_ns(self) -> int:
        """When it was taken, nanoseconds."""
        return self.message.header.stamp_ns

    def in_metres(self) -> NDArray[np.float32]:
        """Its depth (float32[h, w], NaN without a reading).

        Raises:
            DepthError: it cannot be had.
        """
        if isinstance(self.message, ImageMessage):
            return raw_depth_in_metres(self.message)
        return compressed_depth_in_metres(self.message)


class DepthImages:
    """Keeps the newest depth images and finds the one of a stamp. Thread-safe.

    Args:
        compressed: they are sensor_msgs/CompressedImage.
    """

    def __init__(self, *, compressed: bool) -> None:
        self.received = 0
        self._compressed = compressed
        self._arrived = threading.Condition()
        self._images: OrderedDict[int, DepthImage] = OrderedDict()

    def add(self, data: bytes) -> None:
        """Keep a serialised image; a stamp that runs backwards begins anew.

        Raises:
            DepthError: it is no such message.
        """
        try:
            image = DepthImage(read_received(data, compressed=self._compressed))
        except FrameFault as fault:
            raise DepthError(f"the depth image cannot be read: {fault}") from fault
        with self._arrived:
            self.received += 1
            if self._images and image.stamp_ns < next(reversed(self._images)):
                self._images.clear()
            self._images[image.stamp_ns] = image
            if len(self._images) > KEPT_IMAGES:
                self._images.popitem(last=False)
            self._arrived.notify_all()

    def clear(self) -> None:
        """Forget all."""
        with self._arrived:
            self._images.clear()

    def wait_for(self, stamp_ns: int, until_s: float) -> tuple[DepthImage | None, str]:
        """The image nearest to a stamp, at most 20 ms away.

        Waits while a nearer one may come: until one of this stamp or a later one is there.

        Args:
            until_s: end of the wait, by the monotonic clock.

        Returns:
            the image, or None and the reason.
        """
        with self._arrived:
            while not self._images or next(reversed(self._images)) < stamp_ns:
                left_s = until_s - time.monotonic()
                if left_s <= 0 or not self._arrived.wait(left_s):
                    break
            if not self._images:
                return None, "no depth image has come"
            nearest = min(self._images, key=lambda stamp: abs(stamp - stamp_ns))
            if abs(nearest - stamp_ns) <= TOLERANCE_NS:
                return self._images[nearest], ""
            newest_ns = next(reversed(self._images))
            apart_ms = abs(nearest - stamp_ns) / NS_PER_MS
        if newest_ns < stamp_ns:
            return None, f"the newest depth image is {apart_ms:.0f} ms older"
        return None, f"the nearest depth image is {apart_ms:.0f} ms away"
