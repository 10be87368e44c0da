"""The node's launch file: its arguments are the node's parameters, and what it starts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from launch_stand_in import (
    LAUNCH,
    Node,
    SetEnvironmentVariable,
    after_exit,
    declared,
    launch_stand_in,
    launched,
)

from yolact_ros.errors import ConfigError
from yolact_ros.ros.parameters import PARAMETERS
from yolact_ros.transport_profile import PROFILE_VARIABLES, profile_variable

REPOSITORY = Path(__file__).parents[2]
FILE = "yolact.launch.py"


@pytest.fixture(autouse=True)
def stand_in(request: pytest.FixtureRequest) -> Iterator[None]:
    if "for_real" in request.node.name:
        yield
        return
    with launch_stand_in():
        yield


@pytest.fixture(autouse=True)
def packages(install: Callable[..., None]) -> None:
    install("rviz2", "rviz2")


@pytest.fixture(autouse=True)
def no_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in PROFILE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def started(executable: str, **arguments: str) -> Any:
    """What the one node of that executable was made with."""
    actions, _ = launched(FILE, **arguments)
    (node,) = (
        action
        for action in actions
        if isinstance(action, Node) and action.kwargs["executable"] == executable
    )
    return node.kwargs


def environment(**arguments: str) -> dict[str, str]:
    actions, _ = launched(FILE, **arguments)
    return dict(a.args for a in actions if isinstance(a, SetEnvironmentVariable))


def test_every_parameter_of_the_node_is_an_argument_with_its_description() -> None:
    arguments = declared(FILE)
    assert "depth_image" in arguments["depth"].kwargs["description"]
    for spec in PARAMETERS:
        if spec.name != "depth_image":
            assert spec.description in arguments[spec.name].kwargs["description"]


def test_without_arguments_the_yaml_file_decides() -> None:
    node = started("yolact_node")
    assert node["parameters"] == [
        str(REPOSITORY / "config" / "yolact.yaml"),
        {"use_sim_time": False},
    ]
    assert node["remappings"] == [("image", "image")]
    assert (node["package"], node["name"], node["namespace"]) == ("yolact_ros", "yolact", "")


def test_depth_and_tracker_are_given_to_the_node() -> None:
    node = started("yolact_node", depth="/camera/aligned/image_raw", tracker="botsort")
    expected = {
        "use_sim_time": False,
        "tracker": "botsort",
        "depth_image": "/camera/aligned/image_raw",
    }
    assert node["parameters"][1] == expected
    assert node["remappings"] == [("image", "image")]


def test_the_depth_of_several_cameras_is_remapped_below_their_names() -> None:
    node = started(
        "yolact_node", cameras="left,right", image="/l/image,/r/image", depth="/l/d,/r/d"
    )
    assert node["parameters"][1]["depth_image"] == "depth"
    assert node["remappings"] == [
        ("left/image", "/l/image"),
        ("right/image", "/r/image"),
        ("left/depth", "/l/d"),
        ("right/depth", "/r/d"),
    ]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"depth": "/d,/e"}, r"depth has 2 topics \(/d, /e\) for one camera"),
        ({"cameras": "left,right", "depth": "/d"}, "1 topics .* for the cameras left, right"),
        ({"depth": "a b"}, "depth is 'a b', which cannot be a topic"),
    ],
)
def test_depth_that_does_not_fit_the_cameras_is_refused(
    arguments: dict[str, str], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        started("yolact_node", **arguments)


def test_arguments_become_parameters_of_the_right_type() -> None:
    node = started(
        "yolact_node",
        image="/camera/image_raw",
        score_threshold="1",
        top_k="20",
        classes="[person, cup]",
        cameras="[]",
        input_size="[320, 256]",
        model="123.pth",
        autostart="false",
        use_sim_time="true",
        respawn="true",
    )
    assert node["parameters"][1] == {
        "use_sim_time": True,
        "score_threshold": 1.0,
        "top_k": 20,
        "classes": ["person", "cup"],
        "cameras": [""],
        "input_size": [320, 256],
        "model": "123.pth",
        "autostart": False,
    }
    assert isinstance(node["parameters"][1]["score_threshold"], float)
    assert node["remappings"] == [("image", "/camera/image_raw")]
    assert node["respawn"] is True


def test_a_prefix_goes_before_the_command_and_none_leaves_launch_its_own() -> None:
    assert started("yolact_node", prefix="env A=1")["prefix"] == "env A=1"
    assert started("yolact_node")["prefix"] is None


def test_names_are_a_list_with_or_without_brackets() -> None:
    for text in ("[dining table, cup]", "dining table,cup", " dining table , cup "):
        assert started("yolact_node", classes=text)["parameters"][1]["classes"] == [
            "dining table",
            "cup",
        ]


def test_words_that_yaml_would_read_otherwise_stay_names() -> None:
    node = started("yolact_node", class_names="[no, 007, cup]", classes="[no]")
    assert node["parameters"][1]["class_names"] == ["no", "007", "cup"]
    assert node["parameters"][1]["classes"] == ["no"]


@pytest.mark.parametrize("word", ["yes", "1", "on", "True"])
def test_true_has_the_spellings_of_launch_and_of_yaml(word: str) -> None:
    node = started("yolact_node", use_sim_time=word, respawn=word, tune_malloc=word, rviz=word)
    assert node["parameters"][1] == {"use_sim_time": True, "tune_malloc": True}
    assert node["respawn"] is True
    assert started("rviz2", rviz=word)["package"] == "rviz2"


def node_and_others(**arguments: str) -> tuple[list[Any], Any, list[Any], list[Any]]:
    actions, context = launched(FILE, **arguments)
    node, *others = (action for action in actions if isinstance(action, Node))
    return actions, context, node, others


def test_rviz_ends_with_the_node_and_the_node_goes_on_without_rviz() -> None:
    actions, context, node, (rviz,) = node_and_others(rviz="true")
    (end,) = after_exit(node, actions, context, returncode=-11)
    assert end.ends(rviz)
    assert after_exit(rviz, actions, context, returncode=0) == []


def test_a_node_that_dies_is_started_again_and_one_that_was_shut_down_is_not() -> None:
    actions, context, node, _ = node_and_others(respawn="true")
    assert node.kwargs["respawn"] is True
    assert after_exit(node, actions, context, returncode=-11) == []
    # launch starts it again after any exit, unless it was told to end it.
    (end,) = after_exit(node, actions, context, returncode=0)
    assert end.ends(node)


def test_a_group_that_has_a_namespace_moves_the_views_too() -> None:
    topics = rviz_topics(image="image", ros_namespace="/fleet", namespace="robot")
    assert {"/fleet/robot/image", "/fleet/robot/yolact/overlay"} <= topics


def test_every_camera_has_the_topic_at_its_place() -> None:
    node = started("yolact_node", cameras="front,rear", image="/a/image_raw,/b/image_raw")
    assert node["remappings"] == [("front/image", "/a/image_raw"), ("rear/image", "/b/image_raw")]
    assert node["parameters"][1]["cameras"] == ["front", "rear"]


def test_cameras_without_topics_have_their_own_names() -> None:
    node = started("yolact_node", cameras="front,rear")
    assert node["remappings"] == [("front/image", "front/image"), ("rear/image", "rear/image")]


@pytest.mark.parametrize(
    ("cameras", "image"), [("front,rear", "/a"), ("front", "/a,/b"), ("", "/a,/b")]
)
def test_another_number_of_topics_than_of_cameras_is_refused(cameras: str, image: str) -> None:
    with pytest.raises(ConfigError, match=r"image has \d topics .* expected a topic for every"):
        launched(FILE, cameras=cameras, image=image)


def test_the_transport_profile_is_set_before_anything_starts(tmp_path: Path) -> None:
    profile = declared(FILE)["fastdds_profile"].kwargs["default_value"]
    assert Path(profile).is_file()
    actions, _ = launched(FILE)
    assert actions[0].args == (profile_variable(), profile)
    assert profile_variable() == PROFILE_VARIABLES[0]
    (tmp_path / "prefix" / "share" / "fastdds").mkdir(parents=True)  # as Kilted has it
    actions, _ = launched(FILE)
    assert actions[0].args == (PROFILE_VARIABLES[1], profile)


def test_a_profile_of_the_user_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment(fastdds_profile="") == {}
    monkeypatch.setenv(PROFILE_VARIABLES[0], "/own/profile.xml")
    assert environment() == {}


def topics_of(file: str) -> set[str]:
    found: set[str] = set()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            if "Topic" in value:
                found.add(value["Topic"]["Value"])
            for item in value.values():
                look(item)
        elif isinstance(value, list):
            for item in value:
                look(item)

    look(yaml.safe_load(Path(file).read_text()))
    return found


def rviz_topics(**arguments: str) -> set[str]:
    node = started("rviz2", rviz="true", **arguments)
    return topics_of(node["arguments"][1])


def test_rviz_is_started_only_on_request() -> None:
    actions, _ = launched(FILE)
    assert [a.kwargs["executable"] for a in actions if isinstance(a, Node)] == ["yolact_node"]


def test_rviz_shows_the_topics_of_this_node_and_camera() -> None:
    topics = rviz_topics(image="/camera/image_raw", name="eyes", namespace="robot")
    assert {"/camera/image_raw", "/robot/eyes/overlay"} <= topics
    assert all(t == "/camera/image_raw" or t.startswith("/robot/eyes/") for t in topics)


def test_rviz_shows_every_camera() -> None:
    topics = rviz_topics(cameras="left,right,rear", image="/l/image,/r/image,back/image")
    assert topics == {"/l/image", "/r/image", "/back/image"} | {
        f"/yolact/{camera}/{view}"
        for camera in ("left", "right", "rear")
        for view in ("overlay", "markers", "object_markers")
    }


def test_a_file_and_a_frame_of_the_user_are_passed_to_rviz() -> None:
    config = str(REPOSITORY / "config" / "multi_camera.rviz")
    node = started("rviz2", rviz="true", rviz_config=config, rviz_frame="camera_optical")
    assert node["arguments"] == ["-d", config, "-f", "camera_optical"]


def test_the_files_of_rviz_show_topics_that_the_node_has() -> None:
    pytest.importorskip("rclpy", reason="ROS 2 is not here")
    from yolact_ros.ros.launching.topics import RESULT_TOPICS
    from yolact_ros.ros.views import VIEWS

    assert {view.topic for view in VIEWS} <= set(RESULT_TOPICS)
    one = topics_of(str(REPOSITORY / "config" / "yolact.rviz"))
    assert one - {"/image"} <= {f"/yolact/{topic}" for topic in RESULT_TOPICS}
    several = topics_of(str(REPOSITORY / "config" / "multi_camera.rviz"))
    assert several - {"/front/image_raw", "/rear/image_raw"} <= {
        f"/yolact/{camera}/{topic}" for camera in ("front", "rear") for topic in RESULT_TOPICS
    }


def test_launch_files_need_no_torch() -> None:
    # `ros2 launch` runs on the system's Python; torch may be in the user's virtual environment.
    program = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "import launch_stand_in\n"
        "with launch_stand_in.launch_stand_in():\n"
        "    for path in sorted(launch_stand_in.LAUNCH.glob('*.launch.py')):\n"
        "        launch_stand_in.load(path).generate_launch_description()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'test'}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("file", "cameras"), [(FILE, []), ("multi_camera.launch.py", ["left", "right"])]
)
def test_launched_for_real_the_node_becomes_active(
    file: str,
    cameras: list[str],
    tiny_model: Path,
    domain_id: int,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("launch_ros.actions", reason="launch is on real ROS installs only")
    import threading

    from launch.actions import IncludeLaunchDescription
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    from launch import LaunchService

    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain_id))
    name = f"launched_{len(cameras)}"
    arguments = [("model", str(tiny_model)), ("name", name)]
    arguments += [("cameras", ",".join(cameras))] if cameras else []
    service = LaunchService()
    service.include_launch_description(
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(LAUNCH / file)), launch_arguments=arguments
        )
    )

    found = []

    def watch() -> None:
        try:
            client.wait_for_state(name, "active")
            found.append(client.get_parameter(name, "model"))
            found.append(list(client.get_parameter(name, "cameras")))
        finally:
            service.shutdown()

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert service.run() == 0
    watcher.join()
    assert found == [str(tiny_model), cameras]
