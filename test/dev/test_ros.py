"""Which ROS a checkout uses, and the repair of the wheels' CMake files."""

from __future__ import annotations

from pathlib import Path

import pytest
from devtool.problem import SetupProblem
from devtool.ros import WHEELS, find_ros, repair_cmake_exports

REPOSITORY = Path(__file__).parents[2]


def test_without_a_sourced_ros_jazzy_comes_from_wheels() -> None:
    ros = find_ros({})
    assert (ros.distro, ros.sourced, ros.flavour) == ("jazzy", False, "wheels")
    assert str(ros) == "ROS 2 Jazzy (from PyPI wheels)"


def test_wheels_of_another_ros_can_be_asked_for() -> None:
    ros = find_ros({}, "kilted")
    assert (ros.distro, ros.sourced, ros.flavour) == ("kilted", False, "wheels-kilted")
    assert find_ros({}, "jazzy").flavour == "wheels"
    for distro in WHEELS:
        assert (REPOSITORY / "requirements" / f"ros-{distro}.txt").is_file()


def test_wheels_that_nobody_has_and_another_sourced_ros_are_refused() -> None:
    with pytest.raises(SetupProblem, match=r"--ros is 'humble'; there are wheels of jazzy"):
        find_ros({}, "humble")
    with pytest.raises(SetupProblem, match=r"ROS jazzy is sourced .* --ros asks for kilted"):
        find_ros({"ROS_DISTRO": "jazzy"}, "kilted")
    assert find_ros({"ROS_DISTRO": "kilted"}, "kilted").sourced


@pytest.mark.parametrize("distro", ["jazzy", "kilted", "rolling", "lyrical"])
def test_a_sourced_ros_is_used_and_named(distro: str) -> None:
    ros = find_ros({"ROS_DISTRO": distro})
    assert ros.sourced
    assert ros.flavour == distro
    assert str(ros) == f"ROS 2 {distro.capitalize()} (sourced)"


@pytest.mark.parametrize("distro", ["humble", "iron", "noetic"])
def test_a_ros_that_is_too_old_is_refused_with_the_cure(distro: str) -> None:
    with pytest.raises(SetupProblem, match=rf"(?s){distro}.*Jazzy or newer.*Cure:"):
        find_ros({"ROS_DISTRO": distro})


EXPORT = """set_target_properties(std_msgs::py PROPERTIES
  INTERFACE_INCLUDE_DIRECTORIES "${_IMPORT_PREFIX}/include;/opt/python/cp312-cp312/include/\
python3.12;/opt/python/cp312-cp312/lib/python3.12/site-packages/numpy/_core/include"
)
"""


def test_exported_header_folders_become_those_of_the_environment(tmp_path: Path) -> None:
    export = tmp_path / "share" / "std_msgs" / "cmake" / "export_std_msgsExport.cmake"
    export.parent.mkdir(parents=True)
    export.write_text(EXPORT)
    other = export.with_name("std_msgsConfig.cmake")
    other.write_text("set(unrelated /opt/python)\n")
    python, numpy = Path("/usr/include/python3.12"), Path("/env/numpy/include")

    assert repair_cmake_exports(tmp_path, python, numpy) == 1
    assert (
        'DIRECTORIES "${_IMPORT_PREFIX}/include;/usr/include/python3.12;/env/numpy/include"'
        in export.read_text()
    )
    assert other.read_text() == "set(unrelated /opt/python)\n"
    assert repair_cmake_exports(tmp_path, python, numpy) == 0
