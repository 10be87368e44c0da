"""What cannot be launched is refused before anything starts, by launch and by its stand-in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from launch_stand_in import LAUNCH, LaunchContext, launch_stand_in, launched, load

from yolact_ros.errors import ConfigError

Install = Callable[..., None]
REPLAY = {"bag": "BAG", "image": "/camera/image_raw"}
USB = {"video_device": "/dev/null"}
METADATA = """
rosbag2_bagfile_information:
  topics_with_message_count:
    - topic_metadata: {name: /camera/image_raw, type: sensor_msgs/msg/Image}
      message_count: 3
    - topic_metadata: {name: /tf, type: tf2_msgs/msg/TFMessage}
      message_count: 3
"""

# File, arguments and what the one error says. BAG is a bag, FILE a file, NEW a path without one.
CASES: list[tuple[str, dict[str, str], str]] = [
    ("yolact", {"top_k": "many"}, "top_k is 'many', expected a whole number"),
    ("yolact", {"input_size": "[320"}, "input_size is '[320', which is no YAML"),
    ("yolact", {"classes": "[cup"}, "classes is '[cup', which is no YAML"),
    ("yolact", {"rviz": "perhaps"}, "rviz is 'perhaps', expected true or false"),
    ("yolact", {"respawn": "perhaps"}, "respawn is 'perhaps', expected true or false"),
    ("yolact", {"use_sim_time": "2"}, "use_sim_time is '2', expected true or false"),
    ("yolact", {"autostart": "later"}, "autostart is 'later', expected true or false"),
    ("yolact", {"rviz": "true"}, "needs the package rviz2, which is not installed"),
    ("yolact", {"rviz": "true", "rviz_config": "NEW"}, "needs the package rviz2"),
    ("yolact", {"params_file": "NEW"}, "does not exist; expected a YAML file of ROS parameters"),
    ("yolact", {"params_file": "FILE"}, "is no file of ROS parameters"),
    ("yolact", {"fastdds_profile": "NEW"}, "does not exist; expected a Fast DDS profile"),
    ("yolact", {"prefix": "no_such_program -x"}, "there is no program no_such_program on PATH"),
    ("yolact", {"name": "9lives"}, "name is '9lives', which cannot be a node's"),
    ("yolact", {"namespace": "/a/b-c"}, "namespace is 'b-c', which cannot be a node's"),
    ("yolact", {"image": "/camera//image"}, "image is '/camera//image', which cannot be a topic"),
    ("yolact", {"image": "/a,/b"}, "image has 2 topics (/a, /b) and cameras 0 names"),
    ("yolact", {"rvis": "true"}, "yolact.launch.py has no argument rvis; did you mean rviz?"),
    ("yolact", {"quux": "1"}, "yolact.launch.py has no argument quux; --show-args lists them"),
    ("replay", REPLAY | {"topics": "/a"}, "replay.launch.py has no argument topics"),
    ("multi_camera", {"cameras": "[]"}, "cameras is '[]', expected names"),
    ("multi_camera", {"topics": "/a"}, "image has 1 topics (/a) and cameras 2 names"),
    ("multi_camera", {"topics": "/a,/b", "image": "/c,/d"}, "expected one of them"),
    ("usb_camera", USB, "needs the package usb_cam, which is not installed"),
    ("usb_camera", USB | {"width": "wide"}, "width is 'wide', expected a whole number"),
    ("usb_camera", USB | {"height": "0"}, "height is '0', expected a whole number of at least 1"),
    ("usb_camera", USB | {"framerate": "-1"}, "framerate is '-1', expected a number of at least"),
    (
        "usb_camera",
        {"video_device": "NEW"},
        "does not exist; expected one that `ls /dev/video*` lists",
    ),
    ("usb_camera", USB | {"cameras": "a", "image": "/i"}, "usb_camera.launch.py has one camera"),
    ("demo", {"source": "NEW"}, "does not exist; expected a video"),
    ("demo", {"source": "FILE"}, "rviz:=false starts without it"),
    ("demo", {"source": "FILE", "rate": "0"}, "rate is '0', expected a number of at least 0.01"),
    ("demo", {"source": "FILE", "duration": "long"}, "duration is 'long', expected a number"),
    ("replay", REPLAY | {"bag": "NEW"}, "does not exist; expected a folder or file of rosbag2"),
    ("replay", REPLAY | {"rate": "0"}, "rate is '0', expected a number of at least 0.001"),
    ("replay", REPLAY | {"rate": "fast"}, "rate is 'fast', expected a number"),
    ("replay", REPLAY | {"start_offset": "-1"}, "start_offset is '-1', expected a number"),
    ("replay", REPLAY | {"loop": "thrice"}, "loop is 'thrice', expected true or false"),
    ("replay", REPLAY | {"qos_overrides": "NEW"}, "does not exist; expected a YAML file"),
    ("replay", REPLAY | {"output": "FILE"}, "exists: move it away or name another"),
    ("replay", REPLAY | {"output": "NEW/deeper"}, "cannot be made: there is no folder"),
    ("replay", REPLAY | {"output": "NEW", "record": ""}, "record is empty; expected topics"),
    ("replay", REPLAY | {"output": "NEW", "record": "a b"}, "record is 'a b', which cannot be"),
    ("replay", REPLAY | {"image": "/c"}, "has no topic /c; give image:=/camera/image_raw"),
]


def as_text(case: tuple[str, dict[str, str], str]) -> str:
    return " ".join([case[0], *(f"{name}:={value}" for name, value in case[1].items())])


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "metadata.yaml").write_text(METADATA)
    (tmp_path / "file.yaml").write_text("hello: 1\n")
    return {
        "BAG": str(tmp_path / "bag"),
        "FILE": str(tmp_path / "file.yaml"),
        "NEW": str(tmp_path / "new"),
    }


def given(arguments: dict[str, str], paths: dict[str, str]) -> dict[str, str]:
    found = dict(arguments)
    for word, path in paths.items():
        found = {name: value.replace(word, path) for name, value in found.items()}
    return found


@pytest.mark.parametrize("case", CASES, ids=as_text)
def test_it_is_refused_before_anything_starts(
    case: tuple[str, dict[str, str], str],
    paths: dict[str, str],
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, arguments, message = case
    install("ros2bag")
    monkeypatch.setattr(sys, "argv", ["ros2", "launch", "yolact_ros", f"{file}.launch.py"])
    with launch_stand_in(), pytest.raises(ConfigError) as caught:
        launched(f"{file}.launch.py", **given(arguments, paths))
    assert message in str(caught.value)


def test_launch_refuses_the_same_and_leaves_no_process(
    paths: dict[str, str], install: Install, ros_env: dict[str, str]
) -> None:
    pytest.importorskip("launch_ros.actions", reason="launch is on real ROS installs only")
    install("ros2bag")
    environment = ros_env | {"AMENT_PREFIX_PATH": os.environ["AMENT_PREFIX_PATH"]}
    program = Path(__file__).parent / "real_launch.py"
    for case in CASES:
        file, arguments, message = case
        words = [f"{name}:={value}" for name, value in given(arguments, paths).items()]
        done = subprocess.run(
            [sys.executable, str(program), str(LAUNCH / f"{file}.launch.py"), *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        output = done.stdout + done.stderr
        assert done.returncode == 1, (as_text(case), output)
        assert message in output, as_text(case)
        assert "process started with pid" not in output, as_text(case)


def test_an_installed_rviz_is_found_and_its_file_is_checked(
    paths: dict[str, str], install: Install
) -> None:
    install("rviz2")
    with launch_stand_in():
        with pytest.raises(ConfigError, match="needs the program rviz2 of rviz2"):
            launched("yolact.launch.py", rviz="yes")
        install("rviz2", "rviz2")
        launched("yolact.launch.py", rviz="yes")
        with pytest.raises(ConfigError, match="expected a file of rviz"):
            launched("yolact.launch.py", rviz="on", rviz_config=paths["NEW"])


def test_a_file_that_includes_ours_has_arguments_of_its_own(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["ros2", "launch", "robot", "robot.launch.py"])
    with launch_stand_in():
        description = load(LAUNCH / "yolact.launch.py").generate_launch_description()
        context = LaunchContext({"robot_model": "b3"})
        assert description.entities[0].kwargs["function"](context) == []
