"""Other packages that a launch file starts; one that is not installed is a ConfigError."""

from __future__ import annotations

import os
from pathlib import Path

from yolact_ros.errors import ConfigError

__all__ = ["require_executable", "require_package"]


def require_package(package: str, wanted_for: str) -> Path:
    """Where a package is installed.

    Args:
        wanted_for: what needs it, for people.
    """
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        return Path(get_package_prefix(package))
    except (PackageNotFoundError, LookupError) as error:
        distro = os.environ.get("ROS_DISTRO", "$ROS_DISTRO")
        raise ConfigError(
            f"{wanted_for} needs the package {package}, which is not installed here: "
            f"sudo apt install ros-{distro}-{package.replace('_', '-')}"
        ) from error


def require_executable(package: str, executable: str, wanted_for: str) -> None:
    """Make sure that a package and its executable are installed."""
    folder = require_package(package, wanted_for) / "lib" / package
    if not os.access(folder / executable, os.X_OK):
        raise ConfigError(
            f"{wanted_for} needs the program {executable} of {package}, and {folder} has none; "
            "install the package again"
        )
