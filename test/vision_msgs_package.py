"""A vision_msgs to test with: no wheel has it, so colcon builds the part that the node uses.

The fields are those of vision_msgs 4 (Jazzy).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["build_vision_msgs", "with_package"]

MESSAGES = {
    "Point2D": "float64 x; float64 y",
    "Pose2D": "Point2D position; float64 theta",
    "BoundingBox2D": "Pose2D center; float64 size_x; float64 size_y",
    "ObjectHypothesis": "string class_id; float64 score",
    "ObjectHypothesisWithPose": "ObjectHypothesis hypothesis; "
    "geometry_msgs/PoseWithCovariance pose",
    "Detection2D": "std_msgs/Header header; ObjectHypothesisWithPose[] results; "
    "BoundingBox2D bbox; string id",
    "Detection2DArray": "std_msgs/Header header; Detection2D[] detections",
    "BoundingBox3D": "geometry_msgs/Pose center; geometry_msgs/Vector3 size",
    "Detection3D": "std_msgs/Header header; ObjectHypothesisWithPose[] results; "
    "BoundingBox3D bbox; string id",
    "Detection3DArray": "std_msgs/Header header; Detection3D[] detections",
    "VisionClass": "uint16 class_id; string class_name",
    "LabelInfo": "std_msgs/Header header; VisionClass[] class_map; float32 threshold",
}
CMAKE = """\
cmake_minimum_required(VERSION 3.20)
project(vision_msgs)
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
find_package(std_msgs REQUIRED)
find_package(geometry_msgs REQUIRED)
# Half of the time would go into C++, which nobody includes.
list(FILTER AMENT_EXTENSIONS_rosidl_generate_idl_interfaces EXCLUDE REGEX "cpp")
file(GLOB messages RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} msg/*.msg)
rosidl_generate_interfaces(${PROJECT_NAME} ${messages} DEPENDENCIES std_msgs geometry_msgs)
ament_package()
"""
MANIFEST = """\
<package format="3">
  <name>vision_msgs</name>
  <version>4.1.1</version>
  <description>The messages that the tests need.</description>
  <maintainer email="tests@yolact-ros.invalid">tests</maintainer>
  <license>Apache-2.0</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
  <depend>std_msgs</depend>
  <depend>geometry_msgs</depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""


def build_vision_msgs(folder: Path) -> Path:
    """Build it below ``folder``, once for its inputs; returns the install prefix.

    It takes 23 s of CPU time, so ``folder`` should outlive the test run.
    """
    inputs = repr((MESSAGES, CMAKE, MANIFEST, sys.executable, sys.version_info))
    base = folder / hashlib.sha256(inputs.encode()).hexdigest()[:12]
    base.mkdir(parents=True, exist_ok=True)
    prefix = base / "install" / "vision_msgs"
    done = base / "done"
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            _write_source(base / "src" / "vision_msgs")
            _colcon_build(base)
            done.touch()
    return prefix


def with_package(environment: Mapping[str, str], prefix: Path) -> dict[str, str]:
    """The environment with the package of an install prefix on its paths."""
    (modules,) = {path.parent for path in prefix.rglob("vision_msgs/__init__.py")}
    result = dict(environment)
    for name, path in (
        ("AMENT_PREFIX_PATH", prefix),
        ("LD_LIBRARY_PATH", prefix / "lib"),
        ("PYTHONPATH", modules.parent),
    ):
        result[name] = os.pathsep.join([str(path), *filter(None, [result.get(name)])])
    return result


def _write_source(folder: Path) -> None:
    (folder / "msg").mkdir(parents=True, exist_ok=True)
    for name, fields in MESSAGES.items():
        (folder / "msg" / f"{name}.msg").write_text(fields.replace("; ", "\n") + "\n")
    (folder / "CMakeLists.txt").write_text(CMAKE)
    (folder / "package.xml").write_text(MANIFEST)


def _colcon_build(base: Path) -> None:
    command = [
        *("colcon", "--log-base", str(base / "log"), "build"),
        *("--base-paths", str(base / "src"), "--build-base", str(base / "build")),
        *("--install-base", str(base / "install"), "--cmake-args"),
        *("-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={sys.executable}"),
    ]
    if shutil.which("ninja"):
        command += ["-G", "Ninja"]
    built = subprocess.run(command, cwd=base, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
