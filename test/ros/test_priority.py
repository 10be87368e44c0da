"""The parameter realtime_priority: what the kernel says about the node's threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from ros_camera import image_message
from ros_client import RosClient
from ros_processes import Process, start_node
from sensor_msgs.msg import Image
from yolact_ros.msg import InstanceArray

PRIORITY = 3


def real_time_is_allowed() -> bool:
    """Whether a program that this user starts may have the priority."""
    program = f"import os; os.sched_setscheduler(0, os.SCHED_RR, os.sched_param({PRIORITY}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True)
    return done.returncode == 0


def scheduling(process: Process) -> set[tuple[int, int]]:
    """Policy and priority of every thread."""
    found = set()
    for folder in Path(f"/proc/{process.pid}/task").iterdir():
        thread = int(folder.name)
        try:
            policy = os.sched_getscheduler(thread)
            found.add((policy, os.sched_getparam(thread).sched_priority))
        except ProcessLookupError:
            continue
    return found


def wait_for_an_answer(client: RosClient, node: str) -> None:
    publisher = client.node.create_publisher(Image, f"/{node}", 1)
    answers, subscription = client.collect(InstanceArray, f"/{node}/instances")

    def answered() -> bool:
        publisher.publish(image_message())
        client.spin_for(0.05)
        return bool(answers)

    client.spin_until(answered, "an answer to an image")
    client.node.destroy_publisher(publisher)
    client.node.destroy_subscription(subscription)


def test_every_thread_runs_in_real_time_where_the_system_allows_it(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    node = "urgent"
    parameters = {"model": str(tiny_model), "realtime_priority": PRIORITY}
    with start_node(node, tmp_path, ros_env, parameters, {"image": f"/{node}"}) as process:
        process.wait_for_text("active on")
        wait_for_an_answer(client, node)
        said = client.diagnostics(node, "node")["scheduling"]
        if real_time_is_allowed():
            assert scheduling(process) == {(os.SCHED_RR, PRIORITY)}
            assert said == f"round robin, priority {PRIORITY}"
            assert "realtime_priority" not in process.output
        else:
            assert scheduling(process) == {(os.SCHED_OTHER, 0)}
            assert "the system refuses it" in process.output
        assert process.stop() == 0


def test_a_refusal_is_one_warning_with_the_cure_and_the_node_works(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    node = "humble"
    parameters = {"model": str(tiny_model), "realtime_priority": PRIORITY}
    program = (str(Path(__file__).with_name("unprivileged_node.py")),)
    with start_node(
        node, tmp_path, ros_env, parameters, {"image": f"/{node}"}, program=program
    ) as process:
        process.wait_for_text("active on")
        wait_for_an_answer(client, node)
        assert scheduling(process) == {(os.SCHED_OTHER, 0)}
        assert client.diagnostics(node, "node")["scheduling"] == "normal"
        (line,) = (row for row in process.output.splitlines() if "realtime_priority" in row)
        assert "[WARN]" in line
        assert "realtime_priority is 3, and the system refuses it (Operation not perm" in line
        assert "the limit of this user is 0" in line
        assert "rtprio 3` for the user's group into /etc/security/limits.d/yolact.conf" in line
        assert process.stop() == 0


def test_without_the_parameter_the_process_stays_as_it_was_started(
    running_node: Process, client: RosClient
) -> None:
    own = (os.sched_getscheduler(0), os.sched_getparam(0).sched_priority)
    assert scheduling(running_node) == {own}
