"""The ROS 2 node: the only part of the package that imports rclpy and messages."""

from __future__ import annotations

from yolact_ros.openmp import wait_briefly

__all__: list[str] = []

wait_briefly()
