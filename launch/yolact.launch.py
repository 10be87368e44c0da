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

"""Start yolact_node on camera topics, with the transport settings that images need.

ros2 launch yolact_ros yolact.launch.py image:=/camera/image_raw rviz:=true
"""

from __future__ import annotations

from launch.actions import OpaqueFunction

from launch import LaunchDescription
from yolact_ros.ros.launching.actions import declared, start_node


def generate_launch_description() -> LaunchDescription:
    """Arguments, environment, node and rviz."""
    return LaunchDescription([*declared(__file__), OpaqueFunction(function=start_node)])
