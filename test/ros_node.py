"""A node of the test's process, so that a test can reach into its network."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rclpy
import torch
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter

from yolact_ros.ros.node import YolactNode

__all__ = ["NodeInThread", "node_in_thread"]


class NodeInThread:
    """The node "reached" on /reached_image, spun by a thread."""

    def __init__(self, domain_id: int, parameters: dict[str, object]) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = YolactNode(
            "reached",
            context=self.context,
            parameter_overrides=overrides,
            cli_args=["--ros-args", "-r", "image:=/reached_image"],
        )
        self.node.start_up()
        self._stopping = threading.Event()
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def _spin(self) -> None:
        while not self._stopping.is_set():
            self._executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@contextmanager
def node_in_thread(domain_id: int, model: Path, **parameters: object) -> Iterator[NodeInThread]:
    """An active node on the CPU with these parameters."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the other processes of these tests have
    common: dict[str, object] = {
        "model": str(model),
        "score_threshold": 0.0,
        "device": "cpu",
        "frame_budget_ms": 0.0,
    }
    running = NodeInThread(domain_id, common | parameters)
    try:
        yield running
    finally:
        running.close()
        torch.set_num_threads(threads)
    assert not [t for t in threading.enumerate() if t.name.startswith("yolact ")]
