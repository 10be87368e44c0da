"""Which ROS 2 the checkout uses: a sourced installation, or one from PyPI wheels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devtool.problem import SetupProblem

__all__ = ["WHEELS", "RosSource", "find_ros", "repair_cmake_exports"]

_ROS_1 = ("indigo", "jade", "kinetic", "lunar", "melodic", "noetic")
_BEFORE_JAZZY = ("crystal", "dashing", "eloquent", "foxy", "galactic", "humble", "iron")

# Those that the package index has; the first where none is named.
WHEELS = ("jazzy", "kilted")


@dataclass(frozen=True)
class RosSource:
    """A ROS 2; `sourced` is False for the wheels."""

    distro: str
    sourced: bool

    @property
    def flavour(self) -> str:
        """Name of the environment that belongs to it."""
        if self.sourced:
            return self.distro
        return "wheels" if self.distro == WHEELS[0] else f"wheels-{self.distro}"

    def __str__(self) -> str:
        where = "sourced" if self.sourced else "from PyPI wheels"
        return f"ROS 2 {self.distro.capitalize()} ({where})"


def find_ros(environ: Mapping[str, str], asked: str = "") -> RosSource:
    """The sourced ROS, else the wheels of the one that is asked for.

    Raises SetupProblem for a sourced ROS 1 or a ROS 2 older than Jazzy, for wheels that the index
    does not have, and where another one is sourced than is asked for.
    """
    distro = environ.get("ROS_DISTRO", "").strip()
    if asked and distro not in ("", asked):
        raise SetupProblem(
            f"ROS {distro} is sourced in this terminal, and --ros asks for {asked}.",
            "use a terminal without a sourced ROS, or leave --ros out.",
        )
    if not distro:
        if asked not in ("", *WHEELS):
            raise SetupProblem(
                f"--ros is {asked!r}; there are wheels of {', '.join(WHEELS)}.",
                f"source another ROS 2, or take one of these: ./dev --ros {WHEELS[-1]} ...",
            )
        return RosSource(asked or WHEELS[0], sourced=False)
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
