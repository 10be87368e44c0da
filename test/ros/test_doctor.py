"""``yolact doctor`` on the topics of a real camera process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ros_client import RosClient
from ros_processes import (
    CameraProcess,
    reserve_domain,
    ros_environment,
    start_node,
)
from sensor_msgs.msg import Image


@pytest.fixture(scope="module")
def lonely_env() -> Iterator[dict[str, str]]:
    """A domain without the nodes of other tests."""
    number, reservation = reserve_domain()
    yield ros_environment(number)
    reservation.close()


def doctor(
    environment: dict[str, str], model: Path, *arguments: str, listen_s: int = 6
) -> tuple[int, str]:
    """Exit code and report."""
    command = [sys.executable, "-m", "yolact_ros.cli", "doctor", "--model", str(model), *arguments]
    done = subprocess.run(
        [*command, "--listen", str(listen_s)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_a_running_camera_is_described(
    lonely_env: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    quality = ("--reliability", "best_effort")
    images = ("--size", 64, 48, "--count", 1_000_000)
    with CameraProcess(
        tmp_path, lonely_env, "--topic", "/doctor/image", *quality, *images
    ) as camera:
        code, report = doctor(lonely_env, tiny_model, "/doctor/image")
        camera.send_signal(9)
    # Discovery may tell the node's name too late for a camera that has just started.
    named = r"ok  /doctor/image: sensor_msgs/msg/Image of (camera|an unnamed node), best effort"
    assert re.search(named, report)
    assert "/doctor/image rate:" in report
    assert "ok  /doctor/image image: 64 x 48 bgr8" in report
    assert "nothing is wrong" in report
    assert code == 0


def test_a_topic_without_publisher_and_a_missing_model_are_named(
    lonely_env: dict[str, str], tmp_path: Path
) -> None:
    code, report = doctor(lonely_env, tmp_path / "gone.pth", "/nobody/image", "--node", "/nobody")
    assert "WRONG  /nobody/image: nobody publishes here" in report
    assert "gone.pth" in report
    assert "WRONG  node /nobody: it publishes no diagnostics" in report
    assert "3 thing(s) to cure" in report
    assert code == 1


def test_without_the_profile_the_default_shared_memory_is_noticed(
    lonely_env: dict[str, str], tiny_model: Path
) -> None:
    bare = {key: value for key, value in lonely_env.items() if not key.startswith("FAST")}
    code, report = doctor(bare, tiny_model)
    assert "loses camera images on best effort" in report
    assert "config/fastdds.xml" in report
    assert "ok  image topics: none is published" in report
    assert code == 0


def test_a_running_node_is_found_and_its_topic_listened_to(
    lonely_env: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    topic = "/examined/image"
    parameters = {"model": str(tiny_model)}
    with start_node("examined", tmp_path, lonely_env, parameters, {"image": topic}) as node:
        node.wait_for_text(f"active on {topic}")
        code, report = doctor(lonely_env, tiny_model, listen_s=10)
        node.stop()
    assert "ok  node examined: node: active" in report
    assert re.search(rf"node examined: image: nobody publishes on {topic}", report)
    assert f"WRONG  {topic}: nobody publishes here" in report
    assert code == 1


def test_a_node_that_cannot_be_configured_says_why(
    client: RosClient, ros_env: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    parameters = {"model": str(tmp_path / "gone.pth")}
    with start_node("hopeless", tmp_path, ros_env, parameters) as node:
        client.spin_until(lambda: "cannot configure" in node.output, "the failure")
        code, report = doctor(ros_env, tiny_model, "--node", "hopeless", listen_s=20)
        node.stop()
    assert re.search(r"WRONG  node hopeless: node: cannot configure: .*gone\.pth", report)
    assert code == 1


def test_a_missing_compressed_topic_calls_for_the_plugins(
    client: RosClient, ros_env: dict[str, str], tiny_model: Path
) -> None:
    client.node.create_publisher(Image, "/raw_only/image", 1)
    code, report = doctor(ros_env, tiny_model, "/raw_only/image/compressed", "--json")
    findings = {finding["subject"]: finding for finding in json.loads(report)["findings"]}
    finding = findings["/raw_only/image/compressed"]
    assert "only on /raw_only/image" in finding["detail"]
    assert "image-transport-plugins" in finding["cure"]
    assert code == 1
