"""What became of the frames of a replay, by its recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Reader

__all__ = ["Account", "account"]


@dataclass(frozen=True)
class Account:
    """Frames of one camera.

    Attributes:
        results: recorded messages of its instances.
        received, published, dropped: by the last recorded diagnostics; drops of every cause.
    """

    results: int
    received: int
    published: int
    dropped: int


def account(recording: Path, node: str, camera: str) -> Account:
    """Read a recording of ``~/instances`` and /diagnostics.

    Args:
        recording: folder of the bag.
        node: name of the node, without a leading slash.
        camera: the camera's name, "image" for the only one of a node.
    """
    topic = f"/{node}/instances" if camera == "image" else f"/{node}/{camera}/instances"
    results, last = 0, {}
    with Reader(recording) as reader:
        for connection, _, data in reader.messages():
            if connection.topic == topic:
                results += 1
            elif connection.topic == "/diagnostics":
                message: Any = deserialize_message(bytes(data), DiagnosticArray)
                for status in message.status:
                    if status.name == f"{node}: {camera}":
                        last = {item.key: item.value for item in status.values}
    dropped = sum(int(value) for key, value in last.items() if key.startswith("dropped "))
    return Account(results, int(last["received"]), int(last["published"]), dropped)
