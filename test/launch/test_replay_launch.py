"""The replay's launch file: node, recorder, paused player, and what has it play and end."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from launch_stand_in import (
    ExecuteProcess,
    Node,
    Shutdown,
    after_exit,
    launched,
)

from yolact_ros.errors import YolactError

FILE = "replay.launch.py"


@pytest.fixture(autouse=True)
def packages(request: pytest.FixtureRequest, install: Callable[..., None]) -> None:
    if "under_launch" not in request.node.name:
        request.getfixturevalue("stand_in")
    install("ros2bag")


@pytest.fixture
def bag(tmp_path: Path) -> str:
    (tmp_path / "drive").mkdir()
    return str(tmp_path / "drive")


class Replay:
    """What the launch file starts, by what it is."""

    def __init__(self, **arguments: str) -> None:
        self.actions, self.context = launched(FILE, **arguments)
        (self.node,) = (a for a in self.actions if isinstance(a, Node))
        others = [a for a in self.actions if type(a) is ExecuteProcess]
        *recorders, self.player, self.begin = others
        self.recorder = recorders[0] if recorders else None

    def after(self, process: ExecuteProcess | None, returncode: int) -> list[Any]:
        assert process is not None
        return after_exit(process, self.actions, self.context, returncode)

    def play_options(self) -> argparse.Namespace:
        return parsed(self.player)


def parsed(process: ExecuteProcess | None) -> argparse.Namespace:
    from ros2_bag import parser

    assert process is not None
    assert process.command[:2] == ["ros2", "bag"]
    return parser().parse_args(process.command[2:])


def step_of(process: ExecuteProcess) -> list[str]:
    assert process.command[1:4] == ["-m", "yolact_ros.ros", "replay_steps"]
    return process.command[4:]


def test_the_node_follows_the_clock_of_the_bag(bag: str) -> None:
    replay = Replay(bag=bag, image="/camera/image_raw")
    assert replay.node.kwargs["parameters"][1]["use_sim_time"] is True
    assert replay.node.kwargs["remappings"] == [("image", "/camera/image_raw")]
    assert replay.play_options().clock == 100.0


def test_images_wait_for_the_node_where_every_frame_is_counted(bag: str) -> None:
    parameters = Replay(bag=bag, image="/c").node.kwargs["parameters"][1]
    assert parameters["qos_overrides./c.subscription.depth"] == 50


def test_the_player_waits_paused_for_node_and_recorder(bag: str, tmp_path: Path) -> None:
    given = {"bag": bag, "name": "eyes", "namespace": "robot", "image": "/c", "record": "/tf"}
    replay = Replay(**given, output=str(tmp_path / "new"))
    assert replay.play_options().start_paused
    assert step_of(replay.begin) == [
        *("begin", "/robot/eyes", "--images", "/c", "--record", "/tf"),
    ]
    assert step_of(Replay(**given).begin) == [
        *("begin", "/robot/eyes", "--images", "/c", "--record"),
    ]


def test_a_replay_that_cannot_begin_ends_the_launch_with_an_error(bag: str) -> None:
    replay = Replay(bag=bag)
    with pytest.raises(YolactError, match="the bag was not played"):
        replay.after(replay.begin, 1)
    assert replay.after(replay.begin, 0) == []


def test_the_player_gets_what_was_asked_for(bag: str, tmp_path: Path) -> None:
    qos = tmp_path / "qos.yaml"
    qos.touch()
    play = Replay(
        bag=bag, rate="0.5", loop="true", start_offset="12.5", qos_overrides=str(qos)
    ).play_options()
    assert (play.verb, play.bag_path) == ("play", bag)
    assert (play.rate, play.loop, play.start_offset) == (0.5, True, 12.5)
    assert play.qos_profile_overrides_path == str(qos)
    assert play.disable_keyboard_controls


def test_an_offset_of_zero_is_not_named_since_old_versions_refuse_it(bag: str) -> None:
    assert "--start-offset" not in Replay(bag=bag).player.command


def test_results_that_the_bag_holds_are_played_under_another_name(bag: str) -> None:
    renamed = Replay(bag=bag, cameras="front,rear").play_options().remap
    assert "/yolact/front/instances:=/recorded/yolact/front/instances" in renamed
    assert "/yolact/rear/overlay:=/recorded/yolact/rear/overlay" in renamed
    assert "/diagnostics:=/recorded/diagnostics" in renamed


def test_the_results_of_every_camera_are_recorded_in_the_time_of_the_bag(
    bag: str, tmp_path: Path
) -> None:
    output = str(tmp_path / "results")
    replay = Replay(
        bag=bag, output=output, cameras="front,rear", record="instances,overlay/compressed,/tf"
    )
    options = parsed(replay.recorder)
    assert (options.verb, options.output, options.use_sim_time) == ("record", output, True)
    assert options.topics == [
        "/yolact/front/instances",
        "/yolact/rear/instances",
        "/yolact/front/overlay/compressed",
        "/yolact/rear/overlay/compressed",
        "/tf",
    ]


def test_without_an_output_nothing_is_recorded(bag: str) -> None:
    assert Replay(bag=bag).recorder is None


def test_the_launch_ends_with_the_bag_once_the_last_frame_is_accounted_for(bag: str) -> None:
    replay = Replay(bag=bag, image="/c")
    (end,) = replay.after(replay.player, 0)
    assert step_of(end) == ["end", "/yolact", "--images", "/c"]
    (shutdown,) = replay.after(end, 0)
    assert isinstance(shutdown, Shutdown)


def test_frames_that_are_not_accounted_for_end_the_launch_with_an_error(bag: str) -> None:
    replay = Replay(bag=bag)
    (end,) = replay.after(replay.player, 0)
    with pytest.raises(YolactError, match="the last images were not finished"):
        replay.after(end, 1)


@pytest.mark.parametrize(("program", "code"), [("player", 2), ("recorder", 2), ("recorder", 0)])
def test_a_program_that_ends_early_ends_the_launch_with_an_error(
    program: str, code: int, bag: str, tmp_path: Path
) -> None:
    replay = Replay(bag=bag, output=str(tmp_path / "new"))
    with pytest.raises(YolactError, match=f"ended with code {code}"):
        replay.after(getattr(replay, program), code)


def test_everything_ends_with_the_node(bag: str, tmp_path: Path) -> None:
    replay = Replay(bag=bag, output=str(tmp_path / "new"))
    ends = replay.after(replay.node, -9)
    for process in (replay.recorder, replay.player, replay.begin):
        assert any(end.ends(process) for end in ends)


def test_nothing_more_is_started_while_the_launch_ends(bag: str, tmp_path: Path) -> None:
    replay = Replay(bag=bag, output=str(tmp_path / "new"))
    replay.context.is_shutdown = True
    for process in (replay.node, replay.begin, replay.player, replay.recorder):
        assert replay.after(process, -2) == []


def test_a_compressed_topic_is_looked_for_in_the_bag(bag: str) -> None:
    replay = Replay(bag=bag, image="/c", image_transport="compressed")
    assert step_of(replay.begin) == ["begin", "/yolact", "--images", "/c/compressed", "--record"]


def test_real_rosbag2_takes_the_commands(bag: str, tmp_path: Path) -> None:
    play = pytest.importorskip("ros2bag.verb.play", reason="rosbag2 is on real ROS installs only")
    record = pytest.importorskip("ros2bag.verb.record")
    everything = {"rate": "2", "loop": "true", "start_offset": "1", "output": f"{tmp_path}/new"}
    replay = Replay(bag=bag, **everything)
    assert replay.recorder is not None
    for verb, process in (
        (play.PlayVerb(), replay.player),
        (record.RecordVerb(), replay.recorder),
    ):
        parser = argparse.ArgumentParser()
        verb.add_arguments(parser, "bag")
        parser.parse_args(process.command[3:])


@pytest.mark.parametrize("rate", ["1", "8"])
def test_every_frame_of_the_bag_is_accounted_for_under_launch(
    rate: str,
    launch_for_real: Callable[..., Any],
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bag_samples import image_messages, write_bag
    from fake_packages import fake_rosbag2
    from recorded_replay import account

    for name, value in fake_rosbag2(tmp_path / "rosbag2").items():
        monkeypatch.setenv(name, value)
    frames = 40
    bag = write_bag(tmp_path / "played", image_messages(frames))
    with launch_for_real(
        FILE,
        bag=bag,
        image="/camera/image_raw",
        output=tmp_path / "results",
        model=tiny_model,
        runtime="eager",
        rate=rate,
    ) as launch:
        assert launch.wait(120) == 0, launch.output
        assert "[ERROR]" not in launch.output
        assert "nobody publishes" not in launch.output
    found = account(tmp_path / "results", "yolact", "image")
    assert found.received == frames
    assert found.results == found.published
    assert found.published + found.dropped == frames
