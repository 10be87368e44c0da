"""The names that a launch file's arguments give: the node, its topics and those of its cameras."""

from __future__ import annotations

from launch.launch_context import LaunchContext

from yolact_ros.errors import ConfigError
from yolact_ros.ros.launching.arguments import argument, name_part, read_list, topic_name
from yolact_ros.ros.parameter_spec import check_value
from yolact_ros.ros.parameters import spec_of

__all__ = [
    "DEFAULT_IMAGE",
    "RESULT_TOPICS",
    "camera_topics",
    "depth_topics",
    "image_topics",
    "namespace",
    "node_name",
    "resolve",
]

DEFAULT_IMAGE = "image"
RESULT_TOPICS = (
    "instances",
    "overlay",
    "overlay/compressed",
    "label_image",
    "markers",
    "detections",
    "label_info",
    "objects",
    "detections_3d",
    "points",
    "object_markers",
)


def namespace(context: LaunchContext) -> str:
    """The node's namespace, below that of a group that includes the launch file."""
    pushed = context.launch_configurations.get("ros_namespace", "")
    given = argument(context, "namespace")
    return given if given.startswith("/") else f"{pushed}/{given}"


def node_name(context: LaunchContext) -> str:
    """The node's fully qualified name, for example /robot/yolact."""
    return resolve(name_part("name", argument(context, "name")), namespace(context))


def resolve(topic: str, namespace: str) -> str:
    """A topic's name seen from the root."""
    absolute = topic if topic.startswith("/") else f"{namespace}/{topic}"
    return "/" + "/".join(part for part in absolute.split("/") if part)


def camera_topics(context: LaunchContext) -> dict[str, str]:
    """Topic of each camera by the camera's name; "" names the only camera of a node."""
    spec = spec_of("cameras")
    assert spec is not None
    checked = check_value(spec, read_list("cameras", argument(context, "cameras")))
    assert isinstance(checked, tuple)
    names = [str(name) for name in checked]
    topics = [topic_name("image", t) for t in read_list("image", argument(context, "image"))]
    if names and topics == [DEFAULT_IMAGE]:
        return {name: f"{name}/image" for name in names}
    if names and not topics:
        return {name: f"/{name}/image_raw" for name in names}
    if len(topics) != max(len(names), 1):
        raise ConfigError(
            f"image has {len(topics)} topics ({', '.join(topics)}) and cameras {len(names)} names "
            f"({', '.join(names)}), expected a topic for every camera"
        )
    return dict(zip(names or [""], topics, strict=True))


def depth_topics(context: LaunchContext) -> dict[str, str]:
    """Topic of each camera's depth by the camera's name; empty where none is given."""
    names = list(camera_topics(context))
    topics = [topic_name("depth", text) for text in read_list("depth", argument(context, "depth"))]
    if topics and len(topics) != len(names):
        cameras = f"the cameras {', '.join(names)}" if names != [""] else "one camera"
        raise ConfigError(
            f"depth has {len(topics)} topics ({', '.join(topics)}) for {cameras}, expected one "
            "for each"
        )
    return dict(zip(names, topics, strict=True)) if topics else {}


def image_topics(context: LaunchContext) -> dict[str, str]:
    """Resolved name of each camera's topic by the camera's name."""
    return {
        name: resolve(topic, namespace(context)) for name, topic in camera_topics(context).items()
    }
