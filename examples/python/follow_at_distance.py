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

"""Follow the nearest person at 1.5 m: from where objects are to the robot's velocity.

The node needs depth and a tracker (docs/objects3d.md). Then

python3 follow_at_distance.py --ros-args -r objects:=/yolact/objects -r cmd_vel:=/robot/cmd_vel
"""

from __future__ import annotations

import math

import rclpy
from geometry_msgs.msg import Twist
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from yolact_ros.msg import Object3DArray

DISTANCE_M = 1.5
MAX_SPEED_M_S = 0.5


class FollowAtDistance(Node):
    """Stays with one person while it is seen; without anybody the robot stops."""

    def __init__(self) -> None:
        super().__init__("follow_at_distance")
        self._followed = 0
        self._velocity = self.create_publisher(Twist, "cmd_vel", 5)
        self.create_subscription(Object3DArray, "objects", self._follow, 5)

    def _follow(self, message: Object3DArray) -> None:
        command = Twist()
        seen = [o for o in message.objects if o.track_id and o.located]
        people = [o for o in seen if o.class_name == "person"]
        if people:
            # The one of before, else the nearest.
            target = min(people, key=lambda o: (o.track_id != self._followed, o.distance))
            self._followed = target.track_id
            speed = 0.8 * (target.distance - DISTANCE_M)
            command.linear.x = max(-MAX_SPEED_M_S, min(MAX_SPEED_M_S, speed))
            # The optical frame has x to the right; a robot turns left with a positive z.
            command.angular.z = -math.atan2(target.centroid.x, target.centroid.z)
        self._velocity.publish(command)


def main() -> None:
    """Run until Ctrl-C."""
    rclpy.init()
    node = FollowAtDistance()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
