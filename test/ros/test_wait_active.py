"""Waiting for a node to work, before a bag is played to it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from ros_fixtures import NODE
from ros_processes import Process, start_node

from yolact_ros.ros.observer import wait_until_active


@pytest.fixture(autouse=True)
def same_domain(ros_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.setenv(name, ros_env[name])


def test_it_returns_when_the_node_is_active(running_node: Process) -> None:
    assert wait_until_active(f"/{NODE}") == ""


def test_it_does_not_wait_for_a_node_that_cannot_be_configured(
    ros_env: dict[str, str], tmp_path: Path
) -> None:
    parameters = {"model": str(tmp_path / "gone.pth")}
    with start_node("hopeless", tmp_path, ros_env, parameters) as node:
        assert "gone.pth" in wait_until_active("/hopeless", timeout_s=120)
        assert node.stop() == 0


def test_it_gives_up_in_time() -> None:
    assert "/nobody is not there after 1 s" in wait_until_active("/nobody", timeout_s=1)
