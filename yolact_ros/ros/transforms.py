"""Transforms from tf2, where that package is installed; without it there are none."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.time import Time

try:
    from tf2_ros import Buffer, TransformException, TransformListener
except ImportError:
    TF2_INSTALLED = False
else:
    TF2_INSTALLED = True

__all__ = ["TF2_INSTALLED", "Transform", "Transforms"]

POLL_S = 0.005


@dataclass(frozen=True, eq=False)
class Transform:
    """Where a frame is in another one.

    Attributes:
        rotation (float64[3, 3]), translation_m (float64[3]): of a point p of the frame,
            ``rotation @ p + translation_m`` is the same in the other.
    """

    rotation: NDArray[np.float64]
    translation_m: NDArray[np.float64]


class Transforms:
    """Listens to tf while it is open; closed, it costs nothing.

    Open and close it from the executor's thread; :meth:`find` is for any other.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._heard: tuple[Any, Any] | None = None

    def set_open(self, wanted: bool) -> None:
        """Listen or stop listening; no-op where that is done."""
        if wanted and self._heard is None and TF2_INSTALLED:
            buffer = Buffer()
            self._heard = (buffer, TransformListener(buffer, self._node))
        elif not wanted and self._heard is not None:
            self._heard[1].unregister()
            self._heard = None

    def find(
        self, target: str, source: str, stamp_ns: int, until_s: float
    ) -> tuple[Transform | None, str]:
        """The transform from one frame to another at a time.

        Args:
            target: the frame that points are wanted in.
            source: the frame that they are in.
            until_s: how long to wait for it, by the monotonic clock: tf often comes later than
                the image.

        Returns:
            the transform, or None and why there is none, with the cure.
        """
        heard = self._heard
        if not TF2_INSTALLED:
            return None, "tf2_ros is not installed (apt install ros-$ROS_DISTRO-tf2-ros-py)"
        if heard is None:
            return None, "tf is not listened to yet"
        while True:
            try:
                found = heard[0].lookup_transform(target, source, Time(nanoseconds=stamp_ns))
            except TransformException as error:
                if time.monotonic() >= until_s:
                    return None, f"{error}; publish it on /tf, or set another target_frame"
                time.sleep(POLL_S)
            else:
                return _to_transform(found.transform), ""


def _to_transform(message: Any) -> Transform:
    q, t = message.rotation, message.translation
    x, y, z, w = np.array([q.x, q.y, q.z, q.w]) / np.linalg.norm([q.x, q.y, q.z, q.w])
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    return Transform(rotation, np.array([t.x, t.y, t.z], np.float64))
