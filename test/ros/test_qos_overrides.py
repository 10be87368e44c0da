"""The user's own quality of service for the image topic, and publishers that do not offer it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from ros_camera import image_message
from ros_client import RosClient, publish_until
from ros_processes import start_node
from sensor_msgs.msg import Image
from yolact_ros.msg import InstanceArray

Endpoint = Callable[[], Any]


def override(topic: str, **policies: object) -> dict[str, object]:
    return {f"qos_overrides.{topic}.subscription.{name}": v for name, v in policies.items()}


def subscription_of(client: RosClient, topic: str) -> QoSProfile:
    """What the only subscription of a topic asks for, as DDS tells it."""
    # For a moment there are two where the node has just subscribed anew.
    (endpoint,) = client.spin_until(
        lambda: len(found := client.node.get_subscriptions_info_by_topic(topic)) == 1 and found,
        f"the one subscription of {topic}",
    )
    return endpoint.qos_profile


def camera(client: RosClient, topic: str, **policies: object) -> Publisher:
    return client.node.create_publisher(Image, topic, QoSProfile(depth=1, **policies))


def test_an_override_wins_over_auto_in_every_life_of_the_node_and_is_said(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    """Best effort is what auto takes on the shipped profile; here reliable is asked for."""
    topic, node = "/asked", "asking"
    parameters = {"model": str(tiny_model), "score_threshold": 0.0}
    parameters |= override(topic, reliability="reliable", depth=5)
    publisher = camera(client, topic, reliability=ReliabilityPolicy.RELIABLE)
    answers, _ = client.collect(InstanceArray, f"/{node}/instances")
    with start_node(node, tmp_path, ros_env, parameters, {"image": topic}) as process:
        process.wait_for_text(f"active on {topic}")
        for _ in range(2):
            asked = subscription_of(client, topic)
            assert asked.reliability == ReliabilityPolicy.RELIABLE
            delivery = client.diagnostics(node)["delivery"]
            assert delivery == (
                "reliable: set by qos_overrides; qos_overrides: reliability reliable, depth 5"
            )
            answers.clear()
            client.spin_until(
                lambda: publisher.publish(image_message()) or client.spin_for(0.1) or answers,
                "an answer",
            )
            for transition in ("deactivate", "cleanup", "configure", "activate"):
                assert client.change_state(node, transition), process.output
        name = f"qos_overrides.{topic}.subscription.depth"
        assert client.get_parameter(node, name) == 5
        assert client.describe_parameter(node, name).read_only
        assert process.stop() == 0
        assert "Traceback" not in process.output


def test_without_one_auto_goes_on_choosing_though_the_parameters_are_there(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    """Durability alone is given, so auto must turn reliable for images from before."""
    topic, node = "/latched", "late"
    parameters = {"model": str(tiny_model), "score_threshold": 0.0}
    parameters |= override(topic, durability="transient_local")
    with start_node(node, tmp_path, ros_env, parameters, {"image": topic}) as process:
        process.wait_for_text(f"active on {topic}")
        assert subscription_of(client, topic).reliability == ReliabilityPolicy.BEST_EFFORT
        answers, _ = client.collect(InstanceArray, f"/{node}/instances")
        publisher = camera(
            client,
            topic,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        )
        client.spin_until(
            lambda: subscription_of(client, topic).reliability == ReliabilityPolicy.RELIABLE,
            "reliable delivery",
        )
        publish_until(client, lambda: publisher.publish(image_message()), lambda: answers)
        assert client.change_state(node, "deactivate"), process.output
        answers.clear()
        assert client.change_state(node, "activate"), process.output
        client.spin_until(lambda: answers, "the answer to an image from before")
        values = client.diagnostics(node)
        assert values["delivery"] == (
            "reliable: images from before it come by reliable delivery only; "
            "qos_overrides: durability transient_local"
        )


def test_overrides_that_cannot_be_used_are_refused_and_the_node_works_without_them(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    topic, node = "/misread", "misreading"
    parameters = {"model": str(tiny_model), "score_threshold": 0.0}
    parameters |= override(topic, reliability="relaible", depth=-1, history=7)
    with start_node(node, tmp_path, ros_env, parameters, {"image": topic}) as process:
        process.wait_for_text(f"active on {topic}")
        name = f"qos_overrides.{topic}.subscription"
        for reason in (
            f"{name}.reliability is 'relaible', expected one of system_default, reliable, best_e",
            "best_effort; the default 'system_default' stays",
            f"{name}.depth is -1, expected 1..1000 images; the default 1 stays",
            f"{name}.history is 7, expected a string; the default 'keep_last' stays",
        ):
            assert reason in process.output
        publisher = camera(client, topic)
        answers, _ = client.collect(InstanceArray, f"/{node}/instances")
        client.spin_until(
            lambda: publisher.publish(image_message()) or client.spin_for(0.1) or answers,
            "an answer",
        )
        values = client.diagnostics(node)
        assert [values[f"errors qos {p}"] for p in ("reliability", "depth", "history")] == [
            "1"
        ] * 3
        assert process.stop() == 0
        assert "Traceback" not in process.output


@pytest.mark.parametrize(
    ("parameters", "policies", "reason"),
    [
        (
            {"reliability": "reliable"},
            {"reliability": ReliabilityPolicy.BEST_EFFORT},
            "Best effort publisher and reliable subscription",
        ),
        (
            override("/strict", durability="transient_local"),
            {"durability": DurabilityPolicy.VOLATILE},
            "Volatile publisher and transient local subscription",
        ),
    ],
    ids=["reliability", "durability"],
)
def test_a_publisher_that_does_not_offer_what_is_asked_is_named_with_the_cure(
    client: RosClient,
    tiny_model: Path,
    ros_env: dict[str, str],
    tmp_path: Path,
    parameters: dict[str, object],
    policies: dict[str, object],
    reason: str,
) -> None:
    node = "strict"
    parameters = parameters | {"model": str(tiny_model)}
    with start_node(node, tmp_path, ros_env, parameters, {"image": "/strict"}) as process:
        process.wait_for_text("active on /strict")
        camera(client, "/strict", history=HistoryPolicy.KEEP_LAST, **policies)
        client.wait_for_diagnostics(node, lambda v: int(v.get("warnings incompatible qos", 0)) > 0)
        (line,) = (row for row in process.output.splitlines() if "none of the images" in row)
        assert "/strict: none of the images of node test_client arrive" in line
        assert reason in line
        assert "set the parameter reliability to 'auto'" in line
