"""The layers of the package, and that its core needs no ROS."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "yolact_ros"
ROS_MODULES = {
    "rclpy",
    "sensor_msgs",
    "std_msgs",
    "std_srvs",
    "visualization_msgs",
    "geometry_msgs",
    "vision_msgs",
    "diagnostic_msgs",
    "lifecycle_msgs",
    "builtin_interfaces",
    "cv_bridge",
    "launch",
}
# A module may import from its own layer and from those before it.
LAYERS = (
    {
        "class_names",
        "classes",
        "dependencies",
        "errors",
        "openmp",
        "resources",
        "signals",
        "transport_profile",
        "workers",
    },
    {"config", "structures"},
    {"ops"},
    {"models", "prediction"},
    {"tracking", "depth"},
    {"inference", "visualization", "masks", "palette"},
    {"datasets"},
    {"evaluation"},
    {"training"},
    {"cli", "ros"},
)
NOT_OURS = {"msg", "srv", "__version__"}


def imported_modules(source: Path) -> set[str]:
    tree = ast.parse(source.read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def layer_of(part: str) -> int:
    return next(index for index, layer in enumerate(LAYERS) if part in layer)


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("source", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_towards_the_core(source: Path) -> None:
    part = source.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if part == "__init__":
        return
    for name in imported_modules(source):
        pieces = name.split(".")
        if pieces[0] != "yolact_ros" or len(pieces) < 2 or pieces[1] in NOT_OURS:
            continue
        assert layer_of(pieces[1]) <= layer_of(part), f"{source.name} imports {name}"


def test_only_the_ros_package_imports_ros() -> None:
    for source in sources():
        if source.relative_to(PACKAGE).parts[0] == "ros":
            continue
        ros_imports = {
            name for name in imported_modules(source) if name.split(".")[0] in ROS_MODULES
        }
        assert not ros_imports, f"{source.relative_to(PACKAGE)} imports {sorted(ros_imports)}"


def test_every_core_module_imports_on_a_machine_without_ros() -> None:
    modules = [
        ".".join(source.relative_to(PACKAGE.parent).with_suffix("").parts)
        for source in sources()
        if source.relative_to(PACKAGE).parts[0] != "ros"
        and source.stem not in ("__init__", "__main__")
    ]
    program = (
        "import importlib, sys\n"
        f"sys.modules.update(dict.fromkeys({sorted(ROS_MODULES)!r}))\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
