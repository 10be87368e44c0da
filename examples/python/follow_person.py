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

"""Follow one person: prints how far to turn, and keeps to the same person by track_id.

The node must track: `ros2 param set /yolact tracker bytetrack`. Then

python3 follow_person.py --ros-args -r instances:=/yolact/instances
"""

from __future__ import annotations

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from yolact_ros.msg import InstanceArray


class FollowPerson(Node):
    """Chooses the person who has been seen most often, and stays with that one."""

    def __init__(self) -> None:
        super().__init__("follow_person")
        self._followed = 0
        self.create_subscription(InstanceArray, "instances", self._turn, 5)

    def _turn(self, message: InstanceArray) -> None:
        people = [i for i in message.instances if i.class_name == "person" and i.track_id]
        if not people:
            return  # hidden for a moment: the id comes back
        known = [person for person in people if person.track_id == self._followed]
        target = known[0] if known else max(people, key=lambda person: person.track_age)
        self._followed = target.track_id
        # -1 at the left edge of the image, 1 at the right one.
        turn = (target.x_min + target.x_max) / message.image_width - 1
        print(f"person {target.track_id}: turn {turn:+.2f}", flush=True)


def main() -> None:
    """Run until Ctrl-C."""
    rclpy.init()
    node = FollowPerson()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
