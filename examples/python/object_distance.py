# Copyright 2026 yolact_ros maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Where things are: cuts a depth image by the instance masks and prints each object's position.

ros2 run is not needed:
    python3 object_distance.py --ros-args -r instances:=/yolact/instances \
        -r depth:=/camera/depth/image_rect_raw -r camera_info:=/camera/depth/camera_info

The depth image must be registered to the colour image (same camera, same size), as most drivers
offer ("aligned depth").
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image
from yolact_ros.msg import InstanceArray, InstanceMask

from yolact_ros.errors import DataError
from yolact_ros.masks import mask_to_array

KEPT_DEPTH_IMAGES = 30
MM_PER_M = 1000.0


def depth_in_m(message: Image) -> NDArray[np.float32]:
    """A 16UC1 (millimetres) or 32FC1 (metres) depth image in metres; 0 or NaN = unknown.

    Raises:
        DataError: another encoding.
    """
    types = {"16UC1": np.uint16, "mono16": np.uint16, "32FC1": np.float32}
    if message.encoding not in types:
        raise DataError(f"depth image is {message.encoding}, expected 16UC1 or 32FC1")
    dtype = np.dtype(types[message.encoding]).newbyteorder(">" if message.is_bigendian else "<")
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    pixels = rows[:, : message.width * dtype.itemsize].copy().view(dtype).astype(np.float32)
    return pixels if dtype.kind == "f" else pixels / np.float32(MM_PER_M)


def points_of_mask(
    depth_m: NDArray[np.float32], mask: InstanceMask, camera_matrix: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The object's visible surface in the camera's optical frame.

    Args:
        depth_m (float32[H, W]): metres, of the image that the mask belongs to.
        mask: of the instance.
        camera_matrix (float64[3, 3]): K of camera_info.

    Returns:
        float32[n, 3]: x right, y down, z forward, in metres; pixels without depth are left out.
    """
    rows, columns = np.nonzero(mask_to_array(mask))
    rows, columns = rows + mask.y_offset, columns + mask.x_offset
    z = depth_m[rows, columns]
    known = np.isfinite(z) & (z > 0)
    rows, columns, z = rows[known], columns[known], z[known]
    x = (columns - camera_matrix[0, 2]) * z / camera_matrix[0, 0]
    y = (rows - camera_matrix[1, 2]) * z / camera_matrix[1, 1]
    return np.stack((x, y, z), axis=1).astype(np.float32)


class ObjectDistance(Node):
    """Pairs instances with the depth image of the same stamp."""

    def __init__(self) -> None:
        super().__init__("object_distance")
        self._depth: OrderedDict[tuple[int, int], Image] = OrderedDict()
        self._camera_matrix: NDArray[np.float64] | None = None
        self.create_subscription(Image, "depth", self._keep_depth, qos_profile_sensor_data)
        self.create_subscription(
            CameraInfo, "camera_info", self._keep_camera_matrix, qos_profile_sensor_data
        )
        self.create_subscription(InstanceArray, "instances", self._print, 5)

    def _keep_depth(self, message: Image) -> None:
        self._depth[(message.header.stamp.sec, message.header.stamp.nanosec)] = message
        while len(self._depth) > KEPT_DEPTH_IMAGES:
            self._depth.popitem(last=False)

    def _keep_camera_matrix(self, message: CameraInfo) -> None:
        self._camera_matrix = np.array(message.k, np.float64).reshape(3, 3)

    def _print(self, message: InstanceArray) -> None:
        # The header of the instances is the image's, so equal stamps belong together.
        depth = self._depth.get((message.header.stamp.sec, message.header.stamp.nanosec))
        if depth is None or self._camera_matrix is None:
            return
        try:
            depth_m = depth_in_m(depth)
        except DataError as error:
            self.get_logger().error(str(error), throttle_duration_sec=5.0)
            return
        if depth_m.shape != (message.image_height, message.image_width):
            self.get_logger().error(
                f"the depth image is {depth_m.shape[1]} x {depth_m.shape[0]}, the colour image "
                f"{message.image_width} x {message.image_height}: use the aligned depth topic",
                throttle_duration_sec=5.0,
            )
            return
        for instance in message.instances:
            points = points_of_mask(depth_m, instance.mask, self._camera_matrix)
            if len(points):
                x, y, z = np.median(points, axis=0)
                # Line-buffered print, so that a pipe sees it at once.
                print(f"{instance.class_name} at x {x:.2f} y {y:.2f} z {z:.2f} m", flush=True)


def main() -> None:
    """Run until Ctrl-C."""
    rclpy.init()
    node = ObjectDistance()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
