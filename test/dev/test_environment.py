"""The variables of a ready checkout."""

from __future__ import annotations

import os
from pathlib import Path

from devtool.environment import base_environment, build_environment, ready_environment
from devtool.layout import Layout
from devtool.ros import RosSource

WHEELS = RosSource("jazzy", sourced=False)
KILTED = RosSource("kilted", sourced=True)


def layout(root: Path, ros: RosSource) -> Layout:
    made = Layout(root, ros.flavour)
    site = made.venv / "lib" / "python3.12" / "site-packages"
    (site / "ros_rclpy.libs").mkdir(parents=True)
    (made.install / "lib" / "python3.12" / "site-packages").mkdir(parents=True)
    return made


def entries(env: dict[str, str], name: str) -> list[str]:
    return env[name].split(os.pathsep)


def test_checkout_stands_before_the_install_and_both_before_the_users_path(tmp_path: Path) -> None:
    here = layout(tmp_path, WHEELS)
    env = ready_environment(here, WHEELS, {"PATH": "/usr/bin"})
    site = here.install / "lib" / "python3.12" / "site-packages"
    assert entries(env, "PYTHONPATH") == [str(tmp_path), str(site)]
    assert entries(env, "PATH")[:2] == [str(here.venv / "bin"), str(tmp_path / "scripts")]
    assert entries(env, "PATH")[-1] == "/usr/bin"


def test_the_wheels_libraries_and_packages_are_found(tmp_path: Path) -> None:
    here = layout(tmp_path, WHEELS)
    env = ready_environment(here, WHEELS, {"PATH": "/usr/bin"})
    bundled = here.venv / "lib" / "python3.12" / "site-packages" / "ros_rclpy.libs"
    assert entries(env, "LD_LIBRARY_PATH") == [
        str(here.install / "lib"),
        str(here.venv / "lib"),
        str(bundled),
    ]
    assert entries(env, "AMENT_PREFIX_PATH") == [str(here.install), str(here.venv)]
    assert entries(env, "CMAKE_PREFIX_PATH") == [str(here.install), str(here.venv)]
    assert env["_ROS_WHEELS_BOOTSTRAP_COMPLETE"] == "1"
    assert env["RMW_IMPLEMENTATION"] == "rmw_fastrtps_cpp"


def test_a_sourced_ros_keeps_its_variables(tmp_path: Path) -> None:
    here = layout(tmp_path, KILTED)
    sourced = {
        "PATH": "/opt/ros/kilted/bin",
        "PYTHONPATH": "/opt/ros/kilted/lib/python3.12/site-packages",
        "AMENT_PREFIX_PATH": "/opt/ros/kilted",
        "LD_LIBRARY_PATH": "/opt/ros/kilted/lib",
        "RMW_IMPLEMENTATION": "rmw_zenoh_cpp",
    }
    env = ready_environment(here, KILTED, sourced)
    assert entries(env, "AMENT_PREFIX_PATH") == [str(here.install), "/opt/ros/kilted"]
    assert entries(env, "PYTHONPATH")[-1] == sourced["PYTHONPATH"]
    assert entries(env, "LD_LIBRARY_PATH") == [str(here.install / "lib"), "/opt/ros/kilted/lib"]
    assert env["RMW_IMPLEMENTATION"] == "rmw_zenoh_cpp"
    assert "_ROS_WHEELS_BOOTSTRAP_COMPLETE" not in env
    assert here.venv.name == ".venv-kilted"


def test_pip_and_the_build_do_not_see_the_checkout(tmp_path: Path) -> None:
    here = layout(tmp_path, WHEELS)
    outside = {"PATH": "/usr/bin", "PYTHONPATH": "/home/me/stuff", "PYTHONHOME": "/odd"}
    for env in (
        base_environment(here, WHEELS, outside),
        build_environment(here, WHEELS, outside),
    ):
        assert "PYTHONPATH" not in env
        assert "PYTHONHOME" not in env
        assert env["VIRTUAL_ENV"] == str(here.venv)


def test_a_second_time_inside_the_environment_changes_nothing(tmp_path: Path) -> None:
    here = layout(tmp_path, KILTED)
    once = ready_environment(here, KILTED, {"PATH": "/usr/bin", "PYTHONPATH": "/opt/ros"})
    assert ready_environment(here, KILTED, once) == once


def test_the_transport_profile_is_set_unless_the_user_has_one(tmp_path: Path) -> None:
    here = layout(tmp_path, WHEELS)
    ours = ready_environment(here, WHEELS, {"PATH": ""})
    profile = str(tmp_path / "config" / "fastdds.xml")
    assert ours["FASTRTPS_DEFAULT_PROFILES_FILE"] == profile
    assert "FASTDDS_DEFAULT_PROFILES_FILE" not in ours
    newer = ready_environment(layout(tmp_path, KILTED), KILTED, {"PATH": ""})
    assert newer["FASTDDS_DEFAULT_PROFILES_FILE"] == profile
    assert "FASTRTPS_DEFAULT_PROFILES_FILE" not in newer
    theirs = {"PATH": "", "FASTRTPS_DEFAULT_PROFILES_FILE": "/etc/mine.xml"}
    env = ready_environment(here, WHEELS, theirs)
    assert env["FASTRTPS_DEFAULT_PROFILES_FILE"] == "/etc/mine.xml"
    assert "FASTDDS_DEFAULT_PROFILES_FILE" not in env


def test_debians_install_folders_are_found(tmp_path: Path) -> None:
    here = Layout(tmp_path, "jazzy")
    folder = here.install / "local" / "lib" / "python3.12" / "dist-packages"
    folder.mkdir(parents=True)
    assert here.installed_python() == [folder]
