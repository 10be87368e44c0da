"""The launch file: its arguments are the node's parameters, and what it starts."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from launch_stand_in import LaunchContext, launch_stand_in

from yolact_ros.errors import ConfigError
from yolact_ros.ros.parameters import PARAMETERS

REPOSITORY = Path(__file__).parents[2]
LAUNCH_FILE = REPOSITORY / "launch" / "yolact.launch.py"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.name.replace(".", "_"), path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def launch_file() -> Iterator[ModuleType]:
    with launch_stand_in():
        yield load(LAUNCH_FILE)


def arguments_of(launch_file: ModuleType) -> dict[str, Any]:
    entities = launch_file.generate_launch_description().entities
    return {
        entity.name: entity for entity in entities if type(entity).__name__.startswith("Declare")
    }


def start(launch_file: ModuleType, **given: str) -> Any:
    """The node action for launch arguments, the rest at their defaults."""
    values = {
        name: argument.kwargs["default_value"]
        for name, argument in arguments_of(launch_file).items()
    }
    assert set(given) <= set(values)
    (node,) = launch_file.start_node(LaunchContext(values | given))
    return node.kwargs


def test_every_parameter_of_the_node_is_an_argument_with_its_description(
    launch_file: ModuleType,
) -> None:
    arguments = arguments_of(launch_file)
    for spec in PARAMETERS:
        assert spec.description in arguments[spec.name].kwargs["description"]


def test_without_arguments_the_yaml_file_decides(launch_file: ModuleType) -> None:
    node = start(launch_file)
    assert node["parameters"] == [
        str(REPOSITORY / "config" / "yolact.yaml"),
        {"use_sim_time": False},
    ]
    assert node["remappings"] == [("image", "image")]
    assert (node["package"], node["executable"], node["name"]) == (
        "yolact_ros",
        "yolact_node",
        "yolact",
    )


def test_arguments_become_parameters_of_the_right_type(launch_file: ModuleType) -> None:
    node = start(
        launch_file,
        image="/camera/image_raw",
        score_threshold="1",
        top_k="20",
        classes="[person, cup]",
        cameras="[]",
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
        "model": "123.pth",
        "autostart": False,
    }
    assert isinstance(node["parameters"][1]["score_threshold"], float)
    assert node["remappings"] == [("image", "/camera/image_raw")]
    assert node["respawn"] is True


def test_a_bad_argument_ends_the_launch_with_the_reason(launch_file: ModuleType) -> None:
    with pytest.raises(ConfigError, match="top_k is 'many', expected a whole number"):
        start(launch_file, top_k="many")


def test_the_transport_profile_is_set_unless_the_user_has_one(
    launch_file: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = arguments_of(launch_file)["fastdds_profile"].kwargs["default_value"]
    assert Path(profile).is_file()
    for variable in launch_file.PROFILE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    actions = launch_file.set_transport(LaunchContext({"fastdds_profile": profile}))
    assert [action.args for action in actions] == [
        (variable, profile) for variable in launch_file.PROFILE_VARIABLES
    ]
    assert launch_file.set_transport(LaunchContext({"fastdds_profile": ""})) == []
    monkeypatch.setenv(launch_file.PROFILE_VARIABLES[0], "/own/profile.xml")
    assert launch_file.set_transport(LaunchContext({"fastdds_profile": profile})) == []


def test_launched_for_real_the_node_becomes_active(
    tiny_model: Path, domain_id: int, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("launch_ros.actions", reason="launch is on real ROS installs only")
    import threading

    from launch.actions import IncludeLaunchDescription
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    from launch import LaunchService

    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain_id))
    service = LaunchService()
    service.include_launch_description(
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(LAUNCH_FILE)),
            launch_arguments=[("model", str(tiny_model)), ("name", "launched")],
        )
    )

    models = []

    def watch() -> None:
        try:
            client.wait_for_state("launched", "active")
            models.append(client.get_parameter("launched", "model"))
        finally:
            service.shutdown()

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert service.run() == 0
    watcher.join()
    assert models == [str(tiny_model)]
