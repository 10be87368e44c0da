"""A service whose answers may come later and from another thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.node import Node

__all__ = ["DeferredService"]


class DeferredService:
    """Hands every request over together with the function that answers it.

    rclpy's way is a coroutine as callback. Jazzy's EventsExecutor does not await it (Kilted's and
    the Python executors do): it tries to send the coroutine and raises TypeError. All of them send
    by ``Service.send_response``, which gets what the callback returned and the header that the
    answer needs; so the callback returns the request, and this method is replaced to put the
    sending off.

    Args:
        receive: called in the executor's thread with the request and the function that sends its
            response, which any thread may call, once.
    """

    def __init__(
        self,
        node: Node,
        service_type: Any,
        name: str,
        receive: Callable[[Any, Callable[[Any], None]], None],
    ) -> None:
        self._service = node.create_service(service_type, name, lambda request, _: request)
        self._send = self._service.send_response
        self._receive = receive
        self._service.send_response = self._put_off

    def _put_off(self, request: Any, header: Any) -> None:
        self._receive(request, partial(self._answer, header))

    def _answer(self, header: Any, response: Any) -> None:
        self._send(response, header)
