"""Runs a launch file as ``ros2 launch`` does: ``python real_launch.py FILE name:=value ...``.

The exit code is launch's.
"""

from __future__ import annotations

import sys

from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource

from launch import LaunchDescription, LaunchService


def main() -> int:
    path, *words = sys.argv[1:]
    arguments = [tuple(word.split(":=", 1)) for word in words]
    included = IncludeLaunchDescription(
        AnyLaunchDescriptionSource(path), launch_arguments=arguments
    )
    service = LaunchService(argv=words)
    service.include_launch_description(LaunchDescription([included]))
    return service.run()


if __name__ == "__main__":
    sys.exit(main())
