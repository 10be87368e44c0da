"""Waiting for a node to work, before a bag is played to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ros_fixtures import NODE
from ros_processes import Process, start_node


def wait(environment: dict[str, str], node: str, timeout_s: float) -> tuple[int, str]:
    command = [sys.executable, "-m", "yolact_ros.ros.wait_active", f"/{node}"]
    done = subprocess.run(
        [*command, "--timeout", str(timeout_s)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    return done.returncode, done.stderr


def test_it_returns_when_the_node_is_active(
    running_node: Process, ros_env: dict[str, str]
) -> None:
    assert wait(ros_env, NODE, 120) == (0, "")


def test_it_does_not_wait_for_a_node_that_cannot_be_configured(
    ros_env: dict[str, str], tmp_path: Path
) -> None:
    parameters = {"model": str(tmp_path / "gone.pth")}
    with start_node("hopeless", tmp_path, ros_env, parameters) as node:
        code, reason = wait(ros_env, "hopeless", 120)
        assert (code, "gone.pth" in reason) == (1, True)
        node.stop()


def test_it_gives_up_in_time(ros_env: dict[str, str]) -> None:
    code, reason = wait(ros_env, "nobody", 1)
    assert code == 1
    assert "/nobody is not there after 1 s" in reason
