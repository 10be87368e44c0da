"""A node that is taken through its life again and again, and what its process holds meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ros_camera import image_message
from ros_client import RosClient
from ros_processes import Process
from sensor_msgs.msg import Image
from yolact_ros.msg import InstanceArray

__all__ = ["Round", "Usage", "live_rounds"]

MIB = 1 << 20


@dataclass(frozen=True)
class Usage:
    """What a process holds.

    Attributes:
        memory_mib: resident; with what the allocator keeps and with the libraries.
        heap_mib: allocated and not freed.
        device_mib: tensors on the GPU.
        threads: of the process.
        descriptors: open files, sockets and pipes.
    """

    memory_mib: float
    heap_mib: float
    device_mib: float
    threads: int
    descriptors: int

    @classmethod
    def of(cls, process: Process, client: RosClient, node: str) -> Usage:
        values = client.diagnostics(node, "node")
        folder = Path(f"/proc/{process.pid}")
        pages = int((folder / "statm").read_text().split()[1])
        return cls(
            pages * os.sysconf("SC_PAGE_SIZE") / MIB,
            float(values["heap in use (MiB)"]),
            float(values.get("device memory (MiB)", 0)),
            len(list((folder / "task").iterdir())),
            len(list((folder / "fd").iterdir())),
        )


@dataclass(frozen=True)
class Round:
    """One life of the node.

    Attributes:
        active: while it worked on images.
        clean: after its cleanup.
    """

    active: Usage
    clean: Usage


def live_rounds(
    client: RosClient, process: Process, node: str, topic: str, rounds: int
) -> Iterator[Round]:
    """Configure, activate twice with an image in between, clean up; from unconfigured."""
    publisher = client.node.create_publisher(Image, topic, 1)
    answers, subscription = client.collect(InstanceArray, f"/{node}/instances")

    def answered() -> bool:
        publisher.publish(image_message())
        client.spin_for(0.05)
        return bool(answers)

    for _ in range(rounds):
        for transition in ("configure", "activate", "deactivate", "activate"):
            assert client.change_state(node, transition), process.output
        answers.clear()
        client.spin_until(answered, "an answer to an image")
        active = Usage.of(process, client, node)
        for transition in ("deactivate", "cleanup"):
            assert client.change_state(node, transition), process.output
        yield Round(active, Usage.of(process, client, node))
    client.node.destroy_publisher(publisher)
    client.node.destroy_subscription(subscription)
