"""The replay's launch file: node, recorder, player and the end, in this order."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from launch_stand_in import (
    ExecuteProcess,
    LaunchContext,
    Shutdown,
    TimerAction,
    launch_stand_in,
    launched,
)

from yolact_ros.errors import ConfigError

FILE = "replay.launch.py"


@pytest.fixture(autouse=True)
def stand_in() -> Iterator[None]:
    with launch_stand_in():
        yield


@pytest.fixture
def bag(tmp_path: Path) -> str:
    (tmp_path / "drive").mkdir()
    return str(tmp_path / "drive")


def rosbag2_parser() -> argparse.ArgumentParser:
    """Options of rosbag2 from 0.26.4 (Jazzy) on, as far as the commands may use them."""
    parser = argparse.ArgumentParser(prog="ros2 bag", exit_on_error=False, allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    play = verbs.add_parser("play", exit_on_error=False, allow_abbrev=False)
    play.add_argument("bag_path", nargs="?")
    play.add_argument("-r", "--rate", type=float, default=1.0)
    play.add_argument("--topics", nargs="+", default=[])
    play.add_argument("--qos-profile-overrides-path")
    play.add_argument("-l", "--loop", action="store_true")
    play.add_argument("--remap", "-m", nargs="+", default="")
    play.add_argument("--clock", type=float, nargs="?", const=40, default=0)
    play.add_argument("--disable-keyboard-controls", action="store_true")
    play.add_argument("--start-offset", type=float, default=0.0)
    record = verbs.add_parser("record", exit_on_error=False, allow_abbrev=False)
    record.add_argument("-o", "--output")
    record.add_argument("--topics", nargs="+", default=[])
    record.add_argument("--use-sim-time", action="store_true")
    return parser


def parsed(process: ExecuteProcess) -> argparse.Namespace:
    assert process.command[:2] == ["ros2", "bag"]
    return rosbag2_parser().parse_args(process.command[2:])


def processes(**arguments: str) -> tuple[list[ExecuteProcess], LaunchContext]:
    actions, context = launched(FILE, **arguments)
    return [action for action in actions if isinstance(action, ExecuteProcess)], context


def player_of(**arguments: str) -> ExecuteProcess:
    """The player, which starts when the wait for the node ends well."""
    started, context = processes(**arguments)
    (player,) = started[-1].kwargs["on_exit"](SimpleNamespace(returncode=0), context)
    assert isinstance(player, ExecuteProcess)
    return player


def test_the_node_follows_the_clock_of_the_bag(bag: str) -> None:
    actions, _ = launched(FILE, bag=bag, image="/camera/image_raw")
    (node,) = (a for a in actions if a.kwargs.get("executable") == "yolact_node")
    assert node.kwargs["parameters"][1]["use_sim_time"] is True
    assert node.kwargs["remappings"] == [("image", "/camera/image_raw")]
    assert parsed(player_of(bag=bag)).clock == 100.0


def test_nothing_is_played_before_the_node_works(bag: str) -> None:
    started, context = processes(bag=bag, name="eyes", namespace="robot")
    (wait,) = started
    assert wait.command[1:] == ["-m", "yolact_ros.ros.wait_active", "/robot/eyes"]
    (end,) = wait.kwargs["on_exit"](SimpleNamespace(returncode=1), context)
    assert isinstance(end, Shutdown)
    assert end.reason == "the node did not start"


def test_the_player_gets_what_was_asked_for(bag: str) -> None:
    play = parsed(
        player_of(
            bag=bag, rate="0.5", loop="true", start_offset="12.5", qos_overrides="/my/qos.yaml"
        )
    )
    assert (play.verb, play.bag_path) == ("play", bag)
    assert (play.rate, play.loop, play.start_offset) == (0.5, True, 12.5)
    assert play.qos_profile_overrides_path == "/my/qos.yaml"
    assert play.disable_keyboard_controls


def test_an_offset_of_zero_is_not_named_since_old_versions_refuse_it(bag: str) -> None:
    assert "--start-offset" not in player_of(bag=bag).command


def test_results_that_the_bag_holds_are_played_under_another_name(bag: str) -> None:
    renamed = parsed(player_of(bag=bag, cameras="front,rear")).remap
    assert "/yolact/front/instances:=/recorded/yolact/front/instances" in renamed
    assert "/yolact/rear/overlay:=/recorded/yolact/rear/overlay" in renamed
    assert "/diagnostics:=/recorded/diagnostics" in renamed


def test_the_results_of_every_camera_are_recorded_in_the_time_of_the_bag(
    bag: str, tmp_path: Path
) -> None:
    output = str(tmp_path / "results")
    (record, _), _ = processes(
        bag=bag, output=output, cameras="front,rear", record="instances,overlay/compressed,/tf"
    )
    options = parsed(record)
    assert (options.verb, options.output, options.use_sim_time) == ("record", output, True)
    assert options.topics == [
        "/yolact/front/instances",
        "/yolact/rear/instances",
        "/yolact/front/overlay/compressed",
        "/yolact/rear/overlay/compressed",
        "/tf",
    ]


def test_without_an_output_nothing_is_recorded(bag: str) -> None:
    started, _ = processes(bag=bag)
    assert len(started) == 1


def ending(returncode: int, bag: str) -> tuple[Any, ...]:
    player = player_of(bag=bag)
    event = SimpleNamespace(returncode=returncode)
    return tuple(player.kwargs["on_exit"](event, LaunchContext({})))


def test_the_launch_ends_with_the_bag_after_the_last_frame_had_time(bag: str) -> None:
    (later,) = ending(0, bag)
    assert isinstance(later, TimerAction)
    assert later.kwargs["period"] > 0
    assert [action.reason for action in later.kwargs["actions"]] == ["the bag has ended"]


def test_a_player_that_fails_ends_the_launch_at_once(bag: str) -> None:
    (end,) = ending(2, bag)
    assert end.reason == "ros2 bag play ended with code 2"


def test_nothing_more_is_started_while_the_launch_ends(bag: str) -> None:
    started, context = processes(bag=bag)
    player = player_of(bag=bag)
    context.is_shutdown = True
    for process in (started[-1], player):
        assert process.kwargs["on_exit"](SimpleNamespace(returncode=-2), context) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bag": "/no/such/bag"}, "bag /no/such/bag does not exist"),
        ({"rate": "0"}, "rate is '0', expected a number of at least 0.001"),
        ({"rate": "fast"}, "rate is 'fast'"),
        ({"start_offset": "-1"}, "start_offset is '-1'"),
        ({"output": "OUTPUT"}, "exists: move it away"),
    ],
)
def test_what_cannot_be_replayed_is_refused_before_anything_starts(
    arguments: dict[str, str], message: str, bag: str
) -> None:
    given = {"bag": bag} | {k: v.replace("OUTPUT", bag) for k, v in arguments.items()}
    with pytest.raises(ConfigError, match=message):
        launched(FILE, **given)


def test_real_rosbag2_takes_the_commands(bag: str, tmp_path: Path) -> None:
    play = pytest.importorskip("ros2bag.verb.play", reason="rosbag2 is on real ROS installs only")
    record = pytest.importorskip("ros2bag.verb.record")
    everything = {"rate": "2", "loop": "true", "start_offset": "1", "output": f"{tmp_path}/new"}
    (recorder, _), _ = processes(bag=bag, **everything)
    for verb, process in (
        (play.PlayVerb(), player_of(bag=bag, **everything)),
        (record.RecordVerb(), recorder),
    ):
        parser = argparse.ArgumentParser()
        verb.add_arguments(parser, "bag")
        parser.parse_args(process.command[3:])
