"""Waiting for a lifecycle node that is active and has the runtime that it keeps.

No frame is then played to a node that is still loading its model, and none is worked on by a
runtime that will be replaced.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState

from yolact_ros.ros.observer import listen_to, observer, runtime_is_chosen
from yolact_ros.signals import StopSignal

__all__ = ["wait_until_active"]

# Choosing a runtime by measurement takes minutes at the first start.
DEFAULT_TIMEOUT_S = 600.0
POLL_S = 0.2


def wait_until_active(
    node_name: str, stop: StopSignal | None = None, timeout_s: float = DEFAULT_TIMEOUT_S
) -> str:
    """Wait for a lifecycle node.

    Returns:
        "" when it is active, else why it is not.
    """
    problems: list[str] = []
    chosen = False

    def read(own: Mapping[str, DiagnosticStatus]) -> None:
        nonlocal chosen
        chosen = chosen or runtime_is_chosen(own)
        if "node" in own and own["node"].level == DiagnosticStatus.ERROR:
            problems.append(own["node"].message)

    with observer("yolact_wait_active") as (node, executor):
        listen_to(node, node_name, read)
        client = node.create_client(GetState, f"{node_name}/get_state")
        deadline_s = time.monotonic() + timeout_s
        state = "not there"
        while time.monotonic() < deadline_s and not (stop is not None and stop.is_set()):
            if problems:
                return problems[0]
            if client.service_is_ready():
                future = client.call_async(GetState.Request())
                executor.spin_until_future_complete(future, timeout_sec=1.0)
                if future.done():
                    current = future.result().current_state
                    active = current.id == State.PRIMARY_STATE_ACTIVE
                    if active and chosen:
                        return ""
                    state = "active with a provisional runtime" if active else current.label
            executor.spin_once(timeout_sec=POLL_S)
    return f"{node_name} is {state} after {timeout_s:g} s"
