"""The demo's processes over real DDS, with a stub in the place of the node."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("yolact_ros.msg")

from ros_processes import ENDING_WITH_US, is_running
from sensor_msgs.msg import Image
from std_msgs.msg import String
from yolact_ros.msg import InstanceArray

from yolact_ros.cli import demo, demo_plan
from yolact_ros.ros.demo import camera as demo_camera
from yolact_ros.ros.demo import viewer as demo_viewer

pytestmark = pytest.mark.usefixtures("reserved_domains")

STUB = Path(__file__).with_name("stub_segmenter.py")
RATE_HZ = 20.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE_HZ, (160, 120))
    for index in range(30):
        writer.write(np.full((120, 160, 3), 60 + 5 * index, np.uint8))
    writer.release()
    return path


@pytest.fixture
def make_plan(tmp_path, monkeypatch):
    """A plan whose node is the stub in the given mode."""
    monkeypatch.setattr(demo_plan, "find_model", lambda name: name)

    def make(*arguments: str, mode: str = "work", output: str = "out") -> demo_plan.DemoPlan:
        parser = argparse.ArgumentParser()
        demo.add_parser(parser.add_subparsers())
        args = parser.parse_args(
            ["demo", "--output", str(tmp_path / output), "-p", f"mode:={mode}", *arguments]
        )
        plan = demo_plan.make_plan(args, os.environ)
        node = list(plan.node[plan.node.index("--ros-args") :])
        return replace(plan, node=(sys.executable, "-u", str(STUB), *node))

    return make


@contextmanager
def as_program(plan: demo_plan.DemoPlan) -> Iterator[subprocess.Popen]:
    """The demo as a process of its own, for signals; killed if it is there at the end."""
    fields = {**vars(plan), "environment": dict(plan.environment), "output": str(plan.output)}
    program = (
        "import json, sys; from pathlib import Path; from yolact_ros.cli import demo\n"
        "fields = json.loads(sys.argv[1]); fields['output'] = Path(fields['output'])\n"
        "sys.exit(demo.run_plan(demo.DemoPlan(**fields)))"
    )
    command = [*ENDING_WITH_US, sys.executable, "-u", "-c", program, json.dumps(fields)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def descendants(pid: int) -> set[int]:
    children = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                children.add(int(stat.parent.name))
        except OSError:
            continue
    return children


def all_end(pids: set[int], within_s: float) -> bool:
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        if not any(map(is_running, pids)):
            return True
        time.sleep(0.05)
    return False


def test_a_demo_shows_the_frames_and_leaves_video_sheet_and_summary(make_plan, clip, capfd):
    plan = make_plan("--source", str(clip), "--duration", "4", "--rate", "5")
    assert demo.run_plan(plan) == 0
    summary = json.loads((plan.output / "summary.json").read_text())
    played = json.loads((plan.output / "camera.log").read_text().splitlines()[-1])
    assert played["published"] + played["skipped"] == 20
    # How many of them a busy machine gets done is its own.
    assert 2 <= summary["results"] <= played["published"]
    assert summary["rate_hz"] == pytest.approx(
        (summary["results"] - 1) / summary["seconds"], rel=0.05
    )
    assert summary["latency_p50_ms"] >= 10
    assert summary["frames_with_class"] == {"person": summary["results"]}
    video = cv2.VideoCapture(str(plan.output / "overlay.mp4"))
    frames = video.get(cv2.CAP_PROP_FRAME_COUNT)
    assert frames / video.get(cv2.CAP_PROP_FPS) == pytest.approx(summary["seconds"], abs=1.5)
    first = video.read()[1]
    assert first[60, 80].mean() < 0.7 * first[5, 5].mean()  # the stub darkens the middle
    assert cv2.imread(str(plan.output / "contact_sheet.png")).shape[1] == 4 * 480
    output = capfd.readouterr().out
    assert "frames published" in output
    assert "1 person" in output
    assert "overlay.mp4" in output


def test_a_slow_node_still_gives_a_video_in_real_time(make_plan, clip):
    plan = make_plan("--source", str(clip), "--duration", "5", "-p", "work_s:=0.5")
    assert demo.run_plan(plan) == 0
    summary = json.loads((plan.output / "summary.json").read_text())
    # The first may have come late.
    assert 2 < summary["results"] <= summary["seconds"] / 0.5 + 3
    video = cv2.VideoCapture(str(plan.output / "overlay.mp4"))
    # Ten pictures of the video for each.
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) > 3 * summary["results"]


def test_a_node_that_dies_is_reported_with_its_last_lines(make_plan, clip, capfd):
    assert demo.run_plan(make_plan("--source", str(clip), mode="die")) == 1
    error = capfd.readouterr().err
    assert "yolact_node: ended with exit status 9" in error
    assert "stub: out of imaginary memory" in error


def test_a_node_that_cannot_be_configured_is_reported_at_once(make_plan, clip, capfd):
    # Were it to wait for results, it would for ten minutes.
    assert demo.run_plan(make_plan("--source", str(clip), "--timeout", "600", mode="refuse")) == 1
    assert "cannot configure: nan in the weights" in capfd.readouterr().err


def test_a_node_that_never_answers_is_given_up_with_the_reason(make_plan, clip, capfd):
    plan = make_plan("--source", str(clip), "--timeout", "4", mode="silent")
    assert demo.run_plan(plan) == 1
    error = capfd.readouterr().err
    # With one of the reasons below, by how far the processes have come up on this machine.
    assert "no result within 4 s: " in error
    assert not (plan.output / "overlay.mp4").exists()


def test_a_camera_that_fails_is_reported_with_its_last_lines(make_plan, clip, capfd):
    plan = make_plan("--source", str(clip))
    camera = tuple("/no/such.mp4" if word == str(clip) else word for word in plan.camera)
    assert demo.run_plan(replace(plan, camera=camera)) == 1
    assert "/no/such.mp4: no such file" in capfd.readouterr().err


def test_the_camera_plays_at_last_though_the_node_has_not_chosen_its_runtime(
    clip, client, ros_env
):
    client.collect(Image, "/undecided")
    command = [
        sys.executable, "-m", "yolact_ros.ros", "demo_camera", "--source", str(clip),
        "--topic", "/undecided", "--rate", str(RATE_HZ),
        "--wait-for-node", "/nobody", "--node-wait-s", "0.5",
    ]  # fmt: skip
    done = subprocess.run(command, env=ros_env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "though /nobody has not chosen its runtime within 0.5 s" in done.stderr
    assert json.loads(done.stdout)["published"] > 0


def test_the_camera_waits_until_the_node_has_found_it_but_not_for_ever(make_plan, clip):
    """A clip is over soon, and on a busy machine one side finds the other seconds before."""
    plan = make_plan("--source", str(clip), "--timeout", "10", mode="blind")
    assert demo.run_plan(plan) == 0
    said = (plan.output / "camera.log").read_text()
    assert "though /yolact_node has not found the images within 7 s" in said


def test_an_existing_topic_is_watched_for_the_duration(make_plan, clip, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(demo_plan.free_domain_id()))
    playing = make_plan("--source", str(clip), "--duration", "60", output="camera")
    command = list(playing.camera)
    command[command.index("--topic") + 1] = "/robot/image"
    for topic in ("instances", "overlay"):
        at = command.index(f"/yolact_node/{topic}")
        del command[at - 1 : at + 1]
    at = command.index("--wait-for-node")
    del command[at : at + 2]
    with subprocess.Popen([*ENDING_WITH_US, *command]) as camera:
        try:
            plan = make_plan("--source", "/robot/image", "--duration", "2")
            assert plan.camera is None
            assert demo.run_plan(plan) == 0
        finally:
            camera.send_signal(signal.SIGINT)
    summary = json.loads((plan.output / "summary.json").read_text())
    assert summary["results"] > 2


def test_control_c_ends_every_process_and_keeps_the_pictures(make_plan, clip):
    plan = make_plan("--source", str(clip), "--duration", "60")
    with as_program(plan) as process:
        for line in process.stdout:
            # Overlays follow the results; after two seconds there are some.
            if " Hz | " in line and float(line.split()[0]) >= 2:
                break
        children = descendants(process.pid)
        assert len(children) == 3
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert all_end(children, within_s=30)
    assert "results:" in rest
    assert cv2.VideoCapture(str(plan.output / "overlay.mp4")).read()[0]
    assert (plan.output / "contact_sheet.png").is_file()


def test_no_process_outlives_a_killed_demo(make_plan, clip):
    plan = make_plan("--source", str(clip), "--duration", "60")
    with as_program(plan) as process:
        # Until all of them are there: a result needs the camera, the node and the viewer.
        assert any(" Hz | " in line for line in process.stdout)
        children = descendants(process.pid)
        assert len(children) == 3
        process.kill()
    assert all_end(children, within_s=60)


def test_the_demo_and_its_viewer_agree_on_the_exit_code_for_no_results():
    assert demo.NO_RESULTS_EXIT_CODE == demo_viewer.NO_RESULTS_EXIT_CODE


class Clock:
    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def play(
    times_s: list[float], work_s, **settings
) -> tuple[demo_camera.Played, list[tuple[int, float]]]:
    clock, published = Clock(), []

    def publish(image: np.ndarray) -> None:
        published.append((int(image[0]), round(clock.now_s - 50.0, 6)))
        clock.now_s += work_s(image[0])

    frames = (
        demo_camera.TimedFrame(np.array([index]), time_s, 0.1)
        for index, time_s in enumerate(times_s)
    )
    played = demo_camera.play(frames, publish, clock=clock, sleep=clock.sleep, **settings)
    return played, published


def tenths(count: int) -> list[float]:
    return [round(0.1 * index, 6) for index in range(count)]


def test_frames_are_published_on_the_beat_however_long_publishing_takes():
    played, published = play(tenths(4), lambda _: 0.09, duration_s=0.0)
    assert published == [(0, 0.0), (1, 0.1), (2, 0.2), (3, 0.3)]
    assert played == demo_camera.Played(4, 0)


def test_a_late_camera_skips_frames_and_returns_to_the_beat():
    played, published = play(tenths(7), lambda index: 0.35 if index == 1 else 0.01, duration_s=0.0)
    assert published == [(0, 0.0), (1, 0.1), (4, 0.45), (5, 0.5), (6, 0.6)]
    assert played == demo_camera.Played(5, 2)


def test_playing_stops_at_the_duration():
    played, _ = play(tenths(100), lambda _: 0.0, duration_s=1.5)
    assert played.published == 15


def test_frames_that_come_unevenly_are_published_so():
    _, published = play([0.0, 0.1, 0.7, 0.8, 2.0], lambda _: 0.01, duration_s=0.0)
    assert published == [(0, 0.0), (1, 0.1), (2, 0.7), (3, 0.8), (4, 2.0)]


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ("", "has not come up"),
        ("results", "not active"),
        ("results input", "nobody publishes images on /cam; images are published on /a"),
        ("results input wrong", "is of the type std_msgs/msg/String"),
        ("results input camera", "no result came"),
    ],
)
def test_missing_results_are_explained_by_what_the_graph_shows(client, there, words):
    node = client.node
    # One participant can have a topic with one type only, so subscriber and camera have the same.
    kind = String if "wrong" in there else Image
    node.create_publisher(Image, "/a", 1)
    if "results" in there:
        node.create_publisher(InstanceArray, "/results", 1)
    if "camera" in there or "wrong" in there:
        node.create_publisher(kind, "/cam", 1)
    if "input" in there:
        client.collect(kind, "/cam")
    client.spin_until(
        lambda: words in demo_viewer.why_no_results(node, "/cam", "/results", "/overlay"), words
    )


def real_plan(clip: Path, output: Path, model: Path, *arguments: str) -> demo_plan.DemoPlan:
    parser = argparse.ArgumentParser()
    demo.add_parser(parser.add_subparsers())
    args = parser.parse_args(
        [
            "demo", "--source", str(clip), "--output", str(output), "--model", str(model),
            "--device", "cpu", "-p", "runtime:=eager", *arguments,
        ]
    )  # fmt: skip
    return demo_plan.make_plan(args, os.environ)


def test_the_node_itself_plays_the_demo(clip, tiny_model, tmp_path):
    plan = real_plan(
        clip, tmp_path, tiny_model, "--duration", "6", "-p", "score_threshold:=0.0",
        "-p", "top_k:=2",
    )  # fmt: skip
    assert demo.run_plan(plan) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["results"] > 2
    assert summary["overlays"]
    assert set(summary["frames_with_class"]) <= {"person", "cup", "dog"}
    assert summary["frames_with_class"]
    assert cv2.VideoCapture(str(tmp_path / "overlay.mp4")).read()[0]


def test_a_damaged_model_is_told_by_the_node_and_passed_on(clip, tiny_model, tmp_path, capfd):
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(tiny_model.read_bytes()[:-1000])
    assert demo.run_plan(real_plan(clip, tmp_path, damaged)) == 1
    error = capfd.readouterr().err
    assert "the node cannot configure" in error
    assert "damaged.safetensors" in error
