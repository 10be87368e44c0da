"""``yolact doctor`` about names that no topic and no node can have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["bad topic!"], "'bad topic!': no topic or node can have this name: topic name must"),
        (["--node", "/a//b"], "'/a//b': no topic or node can have this name: topic name must"),
    ],
)
def test_a_name_that_cannot_be_is_wrong_and_has_a_cure(
    ros_env: dict[str, str], tiny_model: Path, arguments: list[str], reason: str
) -> None:
    command = [sys.executable, "-m", "yolact_ros.cli", "doctor", "--model", str(tiny_model)]
    done = subprocess.run(
        [*command, *arguments], env=ros_env, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert f"WRONG  {reason}" in done.stdout
    assert "letters, digits, _ and /" in done.stdout
