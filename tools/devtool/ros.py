"""Which ROS 2 the checkout uses: a sourced installation, or Jazzy from PyPI wheels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devtool.problem import SetupProblem

__all__ = ["RosSource", "find_ros", "repair_cmake_exports"]

_ROS_1 = ("indigo", "jade", "kinetic", "lunar", "melodic", "noetic")
_BEFORE_JAZZY = ("crystal", "dashing", "eloquent", "foxy", "galactic", "humble", "iron")


@dataclass(frozen=True)
class RosSource:
    """A ROS 2; `sourced` is False for the wheels."""

    distro: str
    sourced: bool

    @property
    def flavour(self) -> str:
        """Name of the environment that belongs to it."""
        return self.distro if self.sourced else "wheels"

    def __str__(self) -> str:
        where = "sourced" if self.sourced else "from PyPI wheels"
        return f"ROS 2 {self.distro.capitalize()} ({where})"


def find_ros(environ: Mapping[str, str]) -> RosSource:
    """The sourced ROS, else the wheels.

    Raises SetupProblem for a sourced ROS 1 or a ROS 2 older than Jazzy.
    """
    distro = environ.get("ROS_DISTRO", "").strip()
    if not distro:
        return RosSource("jazzy", sourced=False)
    if distro in _ROS_1 + _BEFORE_JAZZY:
        raise SetupProblem(
            f"ROS {distro} is sourced in this terminal; yolact_ros needs ROS 2 Jazzy or newer.",
            "source a newer one (for example /opt/ros/jazzy/setup.sh), or use a terminal without "
            "a sourced ROS: then real ROS 2 Jazzy comes from PyPI.",
        )
    return RosSource(distro, sourced=True)


_BUILDER = r"/opt/python/cp\d+-cp\d+"


def repair_cmake_exports(venv: Path, python_include: Path, numpy_include: Path) -> int:
    """Point the wheels' CMake files at this environment; returns how many were changed.

    Their exported targets name the Python and numpy headers of the machine that built the
    wheels, and CMake stops at an include folder that does not exist.
    """
    changed = 0
    for path in (venv / "share").glob("*/cmake/*Export.cmake"):
        before = path.read_text()
        after = re.sub(
            _BUILDER + r"/lib/python3\.\d+/site-packages/numpy/_?core/include",
            str(numpy_include),
            before,
        )
        after = re.sub(_BUILDER + r"/include/python3\.\d+", str(python_include), after)
        if after != before:
            path.write_text(after)
            changed += 1
    return changed
