"""The shipped rviz and Foxglove files show topics and fields that exist, of the right types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from ros_client import RosClient
from ros_fixtures import NODE
from ros_processes import Process
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from visualization_msgs.msg import MarkerArray
from yolact_ros.msg import InstanceArray

from yolact_ros.ros.views import OBJECT_VIEWS, VIEWS
from yolact_ros.ros.views.markers import NAMESPACES
from yolact_ros.ros.views.objects import OBJECT_NAMESPACES

CONFIG = Path(__file__).parents[2] / "config"
# What a display or a panel can show, and the node's default name in the files.
RVIZ_TYPES = {
    "rviz_default_plugins/Image": {Image},
    "rviz_default_plugins/MarkerArray": {MarkerArray},
    "rviz_default_plugins/PointCloud2": {PointCloud2},
}
FOXGLOVE_TYPES = {
    "Image": {Image, CompressedImage},
    "3D": {MarkerArray, PointCloud2},
    "DiagnosticSummary": {DiagnosticArray},
    "Plot": {InstanceArray},
}


@pytest.fixture(scope="module")
def topics(session_client: RosClient, running_node: Process) -> dict[str, str]:
    """Type of each topic of a running node, under the name that the files use."""
    found: dict[str, str] = {}

    def complete() -> bool:
        found.update(
            (name.replace(f"/{NODE}/", "/yolact/"), kinds[0])
            for name, kinds in session_client.node.get_topic_names_and_types()
        )
        return {"/image", "/diagnostics", "/yolact/object_markers"} <= set(found)

    session_client.spin_until(complete, "the node's topics")
    return found


def type_name(message_type: type) -> str:
    package, _, _ = message_type.__module__.partition(".")
    return f"{package}/msg/{message_type.__name__}"


def test_rviz_shows_camera_overlay_label_image_markers_and_objects(topics: dict[str, str]) -> None:
    manager = yaml.safe_load((CONFIG / "yolact.rviz").read_text())["Visualization Manager"]
    shown = {}
    for display in manager["Displays"]:
        assert display["Enabled"] is display["Value"] is True
        if "Topic" not in display:
            continue
        topic = display["Topic"]["Value"]
        shown[topic] = display
        assert topics[topic] in {type_name(kind) for kind in RVIZ_TYPES[display["Class"]]}
    views = ("overlay", "label_image", "markers", "object_markers", "points")
    assert set(shown) == {"/image", *(f"/yolact/{view}" for view in views)}
    assert set(shown["/yolact/markers"]["Namespaces"]) == set(NAMESPACES)
    assert set(shown["/yolact/object_markers"]["Namespaces"]) == set(OBJECT_NAMESPACES)
    assert shown["/yolact/points"]["Channel Name"] == "instance"
    assert shown["/yolact/label_image"]["Normalize Range"] is True


def test_rviz_looks_at_the_markers_as_the_camera_does() -> None:
    """From below along z, with x to the right and y down."""
    view = yaml.safe_load((CONFIG / "yolact.rviz").read_text())["Visualization Manager"]["Views"]
    current = view["Current"]
    assert current["Class"] == "rviz_default_plugins/Orbit"
    assert current["Focal Point"] == {"X": 0, "Y": 0, "Z": 1}
    assert current["Pitch"] == pytest.approx(-1.57, abs=0.001)
    assert current["Yaw"] == pytest.approx(4.712, abs=0.001)


def panels(layout: Any) -> Iterator[str]:
    if isinstance(layout, str):
        yield layout
        return
    assert layout["direction"] in ("row", "column")
    assert 0 < layout["splitPercentage"] < 100
    yield from panels(layout["first"])
    yield from panels(layout["second"])


def watched(kind: str, panel: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The topics of a panel, each with the path of a field."""
    if kind == "Image":
        return [(panel["imageMode"]["imageTopic"], [])]
    if kind == "3D":
        return [(topic, []) for topic, options in panel["topics"].items() if options["visible"]]
    if kind == "DiagnosticSummary":
        return [(panel["topicToRender"], [])]
    assert all(path["enabled"] for path in panel["paths"])
    paths = [path["value"].split(".") for path in panel["paths"]]
    return [(topic, fields) for topic, *fields in paths]


def test_foxglove_shows_topics_and_fields_that_exist(topics: dict[str, str]) -> None:
    layout = json.loads((CONFIG / "foxglove.json").read_text())
    # Every panel is placed once.
    assert sorted(panels(layout["layout"])) == sorted(layout["configById"])
    seen = set()
    for name, panel in layout["configById"].items():
        kind = name.partition("!")[0]
        for topic, fields in watched(kind, panel):
            message_types = {type_name(kind): kind for kind in FOXGLOVE_TYPES[kind]}
            message: Any = message_types[topics[topic]]()
            for field in fields:
                message = getattr(message, field)
            assert not fields or isinstance(message, float)
            seen.add(".".join([topic, *fields]))
    assert {
        "/image",
        "/yolact/overlay/compressed",
        "/yolact/label_image",
        "/yolact/markers",
        "/yolact/object_markers",
        "/yolact/points",
        "/diagnostics",
        "/yolact/instances.report.total_ms",
        "/yolact/instances.report.budget_ms",
    } <= seen


def test_the_document_lists_every_view() -> None:
    document = (CONFIG.parent / "docs" / "views.md").read_text()
    topics = [view.topic for view in (*VIEWS, *OBJECT_VIEWS)]
    topics += ["detections", "label_info", "detections_3d"]
    assert [topic for topic in topics if f"| `~/{topic}` |" not in document] == []
