"""What a test asks of a node over DDS: parameters, lifecycle, topics, diagnostics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.time import Time

TIMEOUT_S = 120.0
STATE_AFTER = {
    "configure": "inactive",
    "activate": "active",
    "deactivate": "inactive",
    "cleanup": "unconfigured",
    "shutdown": "finalized",
}
ASK_AGAIN_S = 3.0
Value = TypeVar("Value")


class RosClient:
    """A node of the test process, on its own context."""

    def __init__(self, domain_id: int) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.node = rclpy.create_node("test_client", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self._diagnostics: dict[str, tuple[int, Any]] = {}
        self._clients: dict[str, Any] = {}
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 50)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    @contextmanager
    def endpoints(self) -> Iterator[RosClient]:
        """Destroys the publishers and subscriptions that are made within."""
        publishers, subscriptions = set(self.node.publishers), set(self.node.subscriptions)
        try:
            yield self
        finally:
            for publisher in set(self.node.publishers) - publishers:
                self.node.destroy_publisher(publisher)
            for subscription in set(self.node.subscriptions) - subscriptions:
                self.node.destroy_subscription(subscription)

    def spin_until(
        self, condition: Callable[[], Value], what: str, timeout_s: float = TIMEOUT_S
    ) -> Value:
        """Run callbacks until the condition holds; returns its value."""
        deadline_s = time.monotonic() + timeout_s
        while not (value := condition()):
            if time.monotonic() > deadline_s:
                raise AssertionError(f"waited {timeout_s} s for {what}")
            self.executor.spin_once(timeout_sec=0.05)
        return value

    def spin_for(self, duration_s: float) -> None:
        deadline_s = time.monotonic() + duration_s
        while time.monotonic() < deadline_s:
            self.executor.spin_once(timeout_sec=0.05)

    def spin_briefly(self, condition: Callable[[], object], at_most_s: float) -> None:
        """Run callbacks until the condition holds or the time is over."""
        deadline_s = time.monotonic() + at_most_s
        while not condition() and time.monotonic() < deadline_s:
            self.executor.spin_once(timeout_sec=0.05)

    def collect(self, message_type: type, topic: str) -> tuple[list[Any], Subscription]:
        """A list that grows with every message."""
        messages: list[Any] = []
        qos = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
        return messages, self.node.create_subscription(message_type, topic, messages.append, qos)

    def call(
        self, service_type: type, service: str, request: Any, timeout_s: float = TIMEOUT_S
    ) -> Any:
        """Call a service and wait for its answer."""
        client = self.ready(service_type, service)
        future = client.call_async(request)
        self.spin_until(future.done, f"an answer of {service}", timeout_s)
        return future.result()

    def ask(self, service_type: type, service: str, request: Any) -> Any:
        """Call a service that may be called twice, again where no answer comes.

        A server that has not discovered this client within 0.1 s of its first request throws
        its answer away (rmw_fastrtps), which happens on a machine that is busy.
        """
        client = self.ready(service_type, service)
        futures: list[Any] = []

        def answered() -> Any:
            if not any(future.done() for future in futures):
                futures.append(client.call_async(request))
                self.spin_briefly(lambda: any(f.done() for f in futures), at_most_s=ASK_AGAIN_S)
            return next((future for future in futures if future.done()), None)

        answer = self.spin_until(answered, f"an answer of {service}").result()
        for future in futures:
            client.remove_pending_request(future)
        return answer

    def ready(self, service_type: type, service: str) -> Any:
        """The client of a service that is there; after an :meth:`ask`, one that it knows."""
        client = self._clients.get(service)
        if client is None:
            client = self._clients[service] = self.node.create_client(service_type, service)
        self.spin_until(client.service_is_ready, f"the service {service}")
        return client

    def set_parameter(self, node: str, name: str, value: object) -> Any:
        """The rcl_interfaces/SetParametersResult."""
        message = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[message])
        return self.ask(SetParameters, f"/{node}/set_parameters", request).results[0]

    def get_parameter(self, node: str, name: str) -> Any:
        request = GetParameters.Request(names=[name])
        answer = self.ask(GetParameters, f"/{node}/get_parameters", request)
        return parameter_value_to_python(answer.values[0])

    def describe_parameter(self, node: str, name: str) -> Any:
        request = DescribeParameters.Request(names=[name])
        return self.ask(DescribeParameters, f"/{node}/describe_parameters", request).descriptors[0]

    def state(self, node: str) -> str:
        answer = self.ask(GetState, f"/{node}/get_state", GetState.Request())
        return str(answer.current_state.label)

    def change_state(self, node: str, transition: str) -> bool:
        """Whether the transition succeeded.

        The request or its answer can be lost, see :meth:`ask`. Then the state tells: the
        transition is asked for again while the node is still in the state of before.
        """
        before = self.state(node)
        service = f"/{node}/change_state"
        client = self.ready(ChangeState, service)
        request = ChangeState.Request(transition=Transition(label=transition))
        deadline_s = time.monotonic() + TIMEOUT_S
        state = before
        while time.monotonic() < deadline_s:
            if state == before:
                future = client.call_async(request)
            self.spin_briefly(future.done, at_most_s=ASK_AGAIN_S)
            if future.done():
                return bool(future.result().success)
            if (state := self.state(node)) == STATE_AFTER.get(transition):
                return True
        raise AssertionError(f"no answer of {service}; {node} is {state}")

    def wait_for_state(self, node: str, state: str) -> None:
        self.spin_until(lambda: self.state(node) == state, f"{node} to be {state}")

    def diagnostics(self, node: str, part: str = "image") -> dict[str, str]:
        """Values of a status that was made after this call."""
        name = f"{node}: {part}"
        begun = self.node.get_clock().now().nanoseconds

        def newer() -> Any:
            stamp_ns, status = self._diagnostics.get(name, (0, None))
            return status if stamp_ns >= begun else None

        status = self.spin_until(newer, f"diagnostics of {name}")
        values = {item.key: item.value for item in status.values}
        return values | {"level": status.level, "message": status.message}

    def wait_for_diagnostics(
        self, node: str, condition: Callable[[dict[str, str]], bool], part: str = "image"
    ) -> dict[str, str]:
        """The first diagnostics for which the condition holds."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while not condition(values := self.diagnostics(node, part)):
            if time.monotonic() > deadline_s:
                raise AssertionError(f"diagnostics of {node}: {part} stay at {values}")
        return values

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        stamp_ns = Time.from_msg(message.header.stamp).nanoseconds
        for status in message.status:
            self._diagnostics[status.name] = stamp_ns, status


def publish_until(
    client: RosClient, publish: Callable[[], object], done: Callable[[], Any]
) -> Any:
    """Publish ten times a second until it is done."""

    def step() -> Any:
        publish()
        client.spin_for(0.1)
        return done()

    return client.spin_until(step, "answers")
