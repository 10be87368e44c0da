"""A test that fails leaves nothing to those after it: no process, no service, no topic."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

import ros_processes
from ros_processes import REPOSITORY, Process, is_running

SUITE = '''
import sys
import pytest
from rcl_interfaces.srv import GetParameters
from ros_fixtures import client, domain_id, ros_env, session_client
from ros_processes import Process
from std_msgs.msg import Empty

PROGRAM = """
import subprocess, rclpy
child = subprocess.Popen(["sleep", "600"])
rclpy.init()
node = rclpy.create_node("same_name")
print("child", child.pid, flush=True)
try:
    rclpy.spin(node)
finally:
    node.destroy_node()
    print("left the others", flush=True)
"""


@pytest.mark.parametrize("fails", [True, False])
def test_asks_a_node(client, ros_env, tmp_path, fails):
    assert client.node.count_publishers("/topic") == 0
    assert client.node.count_subscribers("/topic") == 0
    client.node.create_publisher(Empty, "/topic", 1)
    client.collect(Empty, "/topic")
    with Process([sys.executable, "-c", PROGRAM], ros_env, tmp_path / "log") as process:
        process.wait_for_text("child")
        print(process.output, "pid", process.pid)
        request = GetParameters.Request(names=["use_sim_time"])
        client.ask(GetParameters, "/same_name/get_parameters", request)
        assert not fails, "on purpose"
'''


def test_the_next_test_finds_no_process_no_service_and_no_topic_of_one_that_failed(
    tmp_path: Path,
) -> None:
    suite = tmp_path / "test_suite.py"
    suite.write_text(SUITE)
    folder = tmp_path / "folder"
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA",
            f"--basetemp={folder}", str(suite),
        ],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "AssertionError: on purpose" in done.stdout
    # A node that is killed is taken for a living one for a while, and requests to it wait.
    logs = [log.read_text() for log in {log.resolve() for log in folder.glob("*/log")}]
    assert ["left the others" in log for log in logs] == [True, True], logs
    started = [int(pid) for pid in re.findall(r"(?:child|pid) (\d+)", done.stdout)]
    assert len(started) == 4
    assert not any(map(is_running, started))


def test_a_process_that_will_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ros_processes, "END_TIMEOUT_S", 0.2)
    monkeypatch.setattr(ros_processes, "LEASE_S", 0.0)
    command = ["sh", "-c", "trap '' INT; echo up; while true; do sleep 0.1; done"]
    with Process(command, os.environ, tmp_path / "log") as process:
        process.wait_for_text("up")
    assert not is_running(process.pid)
