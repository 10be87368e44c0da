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

"""The points of each object: cuts an organised point cloud by the instance masks.

ros2 run is not needed:
    python3 object_clouds.py --ros-args -r instances:=/yolact/instances \
        -r points:=/camera/depth_registered/points

Publishes ~/object_0 (the highest score) to ~/object_4, each one instance's points with all their
fields (colour, ...); an empty cloud where there are fewer instances.

The cloud must be organised: a row of points for every row of the colour image, as
depth_image_proc and the drivers' "ordered" clouds registered to the colour camera are.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import PointCloud2, PointField
from yolact_ros.msg import InstanceArray

from yolact_ros.errors import DataError
from yolact_ros.masks import mask_to_full

KEPT_CLOUDS = 10
MAX_OBJECTS = 5


def points_of(cloud: PointCloud2) -> NDArray[np.uint8]:
    """The cloud's points as bytes.

    Returns:
        uint8[height, width, point_step], a view of the message's data.
    """
    rows = np.frombuffer(cloud.data, np.uint8).reshape(cloud.height, cloud.row_step)
    points = rows[:, : cloud.width * cloud.point_step]
    return points.reshape(cloud.height, cloud.width, cloud.point_step)


def is_known(cloud: PointCloud2, points: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which points have a position: where a depth camera saw nothing, x, y and z are NaN.

    Args:
        points (uint8[n, point_step]): of the cloud.

    Raises:
        DataError: the cloud has no x, y and z in float32.
    """
    known = np.ones(len(points), np.bool_)
    fields = {field.name: field for field in cloud.fields}
    dtype = np.dtype(np.float32).newbyteorder(">" if cloud.is_bigendian else "<")
    for name in ("x", "y", "z"):
        if name not in fields or fields[name].datatype != PointField.FLOAT32:
            raise DataError(f"the cloud has no {name} of type float32")
        offset = fields[name].offset
        values = np.ascontiguousarray(points[:, offset : offset + 4]).view(dtype)
        known &= np.isfinite(values[:, 0])
    return known


def cut(cloud: PointCloud2, mask: NDArray[np.bool_]) -> PointCloud2:
    """The points inside a mask.

    Args:
        mask (bool[height, width]): of the cloud's size; all False gives an empty cloud.

    Raises:
        DataError: the cloud has no x, y and z in float32.
    """
    points = points_of(cloud)[mask]
    points = points[is_known(cloud, points)]
    part = PointCloud2(
        header=cloud.header,
        height=1,
        width=len(points),
        fields=cloud.fields,
        is_bigendian=cloud.is_bigendian,
        point_step=cloud.point_step,
        row_step=points.size,
        is_dense=True,
    )
    # A NumPy array assigned to the message would be checked byte by byte.
    part.data = array("B", points.tobytes())
    return part


class ObjectClouds(Node):
    """Pairs instances with the point cloud of the same stamp."""

    def __init__(self) -> None:
        super().__init__("object_clouds")
        self._clouds: OrderedDict[tuple[int, int], PointCloud2] = OrderedDict()
        self._parts = [
            self.create_publisher(PointCloud2, f"~/object_{index}", 5)
            for index in range(MAX_OBJECTS)
        ]
        self.create_subscription(PointCloud2, "points", self._keep, qos_profile_sensor_data)
        self.create_subscription(InstanceArray, "instances", self._cut, 5)

    def _keep(self, cloud: PointCloud2) -> None:
        self._clouds[(cloud.header.stamp.sec, cloud.header.stamp.nanosec)] = cloud
        while len(self._clouds) > KEPT_CLOUDS:
            self._clouds.popitem(last=False)

    def _cut(self, message: InstanceArray) -> None:
        # The header of the instances is the image's, so equal stamps belong together.
        cloud = self._clouds.get((message.header.stamp.sec, message.header.stamp.nanosec))
        if cloud is None:
            return
        size = (message.image_height, message.image_width)
        if (cloud.height, cloud.width) != size:
            self.get_logger().error(
                f"the cloud has {cloud.height} rows of {cloud.width} points, the image is "
                f"{size[1]} x {size[0]}: use an organised cloud registered to the colour image",
                throttle_duration_sec=5.0,
            )
            return
        masks = [mask_to_full(instance.mask, *size) for instance in message.instances]
        nothing = np.zeros(size, np.bool_)
        try:
            for index, publisher in enumerate(self._parts):
                publisher.publish(cut(cloud, masks[index] if index < len(masks) else nothing))
        except DataError as error:
            self.get_logger().error(str(error), throttle_duration_sec=5.0)


def main() -> None:
    """Run until Ctrl-C."""
    rclpy.init()
    node = ObjectClouds()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
