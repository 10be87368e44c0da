"""The service ``~/segment``: an image in, its instances out, at full quality and without a budget.

.. code-block:: python

    client = node.create_client(Segment, "/yolact/segment")    # yolact_ros.srv.Segment
    future = client.call_async(Segment.Request(image=image))   # sensor_msgs/Image
    # once it is done:
    answer = future.result()
    if answer.success:
        for instance in answer.result.instances: ...           # yolact_ros/InstanceArray
    else:
        print(answer.message)

Requests wait for the thread that owns the network, first come first served, behind camera images
that wait too. So a request holds up one image at most, by one run of the network.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import Image

from yolact_ros.errors import FrameFault, ImageError
from yolact_ros.inference.bit_depth import BitDepth
from yolact_ros.inference.encodings import image_to_bgr
from yolact_ros.inference.runtimes.base import DeviceMemoryError
from yolact_ros.msg import FrameReport, InstanceArray
from yolact_ros.ros.conversions import from_image_message, to_instance_array
from yolact_ros.ros.faults import FaultLog
from yolact_ros.ros.model import ModelRunner
from yolact_ros.ros.parameters import LiveParameters
from yolact_ros.ros.stamps import StampMonitor
from yolact_ros.srv import Segment

__all__ = ["SegmentRequest", "SegmentService"]

# A client with the usual quality of service holds ten answers, and all requests that wait can be
# answered at once.
MAX_WAITING = 8
# Camera images go first, but not for ever: a camera that fills all the time leaves a request
# this one moment a second.
PATIENCE_NS = 1_000_000_000
NS_PER_MS = 1e6

_Respond = Callable[[Segment.Response], None]


@dataclass(frozen=True)
class SegmentRequest:
    """A request that waits for the network.

    Attributes:
        received_ns: monotonic clock, nanoseconds.
        age_ms: reception minus stamp.
    """

    image: Image
    respond: _Respond
    received_ns: int
    age_ms: float


def _offer_service(node: Node, receive: Callable[[Segment.Request, _Respond], None]) -> Any:
    """The service on ``node``, whose answers may come later and from another thread.

    rclpy's way is a coroutine as callback. Jazzy's EventsExecutor does not await it (Kilted's and
    the Python executors do): it tries to send the coroutine and raises TypeError. All of them send
    by ``Service.send_response``, which gets what the callback returned and the header that the
    answer needs; so the callback returns the request, and this method is replaced to put the
    sending off.

    Args:
        receive: called in the executor's thread with the request and the function that sends its
            response, which any thread may call, once.
    """
    service = node.create_service(Segment, "~/segment", lambda request, _: request)
    send = service.send_response
    service.send_response = lambda request, header: receive(
        request, lambda response: send(response, header)
    )
    return service


class SegmentService:
    """Takes requests while the node lives, and hands them on while it is configured.

    Exactly one request is in the worker's slots at a time; between two there is room for every
    camera, however many requests wait.

    Args:
        refusal: why there is no network now, and the cure; asked while closed.
        faults: receives every request that failed.

    Attributes:
        answered: number of requests answered so far, failed ones too.
    """

    def __init__(self, node: Node, refusal: Callable[[], str], faults: FaultLog) -> None:
        self._clock = node.get_clock()
        self._refusal = refusal
        self._faults = faults
        self._lock = threading.Lock()
        self._waiting: deque[SegmentRequest] = deque()
        self._put: Callable[[SegmentService, SegmentRequest, float], object] | None = None
        self.answered = 0
        self._service = _offer_service(node, self._receive)

    def open(self, put: Callable[[SegmentService, SegmentRequest, float], object]) -> None:
        """Hand requests to ``put``, those that wait already included; executor thread only.

        Args:
            put: takes the key, the item and its deadline in nanoseconds of the monotonic clock,
                such as :meth:`FrameSlots.put`; every item comes back through :meth:`serve`.
        """
        with self._lock:
            self._put = put
            self._offer()

    def close(self, reason: str) -> None:
        """Refuse the requests that wait; executor thread only, with no thread in :meth:`serve`."""
        with self._lock:
            self._put = None
            left = list(self._waiting)
            self._waiting.clear()
        for request in left:
            self._refuse(request.respond, "closed", reason)

    def serve(self, request: SegmentRequest, model: ModelRunner, live: LiveParameters) -> None:
        """Answer a request; in the thread that owns the network."""
        try:
            result = _segment(request, model, live)
        except FrameFault as fault:
            self._refuse(request.respond, fault.cause, str(fault))
        except ImageError as error:
            self._refuse(request.respond, "image", str(error))
        except DeviceMemoryError as error:
            self._refuse(request.respond, "memory", str(error))
        except Exception as error:  # a bug or bad weights; the next request may work
            text = f"the network failed with {type(error).__name__}: {error}"
            self._refuse(request.respond, "network", text)
        else:
            self._respond(request.respond, Segment.Response(success=True, result=result))
        finally:
            with self._lock:
                self._waiting.popleft()
                self._offer()

    def _receive(self, request: Segment.Request, respond: _Respond) -> None:
        now_ns = self._clock.now().nanoseconds
        stamp = request.image.header.stamp
        age_ms = StampMonitor().read(stamp.sec * 1_000_000_000 + stamp.nanosec, now_ns).age_ms
        waiting = SegmentRequest(request.image, respond, time.monotonic_ns(), age_ms)
        with self._lock:
            closed = self._put is None
            full = len(self._waiting) >= MAX_WAITING
            if not (closed or full):
                self._waiting.append(waiting)
                if len(self._waiting) == 1:
                    self._offer()
        if closed:
            self._refuse(respond, "closed", self._refusal())
        elif full:
            self._refuse(
                respond,
                "busy",
                f"{MAX_WAITING} requests wait already; call again when one is answered",
            )

    def _offer(self) -> None:
        if self._put is not None and self._waiting:
            self._put(self, self._waiting[0], time.monotonic_ns() + PATIENCE_NS)

    def _refuse(self, respond: _Respond, cause: str, message: str) -> None:
        self._faults.report(f"segment {cause}", f"~/segment: {message}")
        self._respond(respond, Segment.Response(success=False, message=message))

    def _respond(self, respond: _Respond, response: Segment.Response) -> None:
        with self._lock:
            self.answered += 1
        try:
            respond(response)
        except Exception as error:
            self._faults.report("segment answer", f"~/segment: cannot answer: {error}")


def _segment(request: SegmentRequest, model: ModelRunner, live: LiveParameters) -> InstanceArray:
    """The instances of the request's image."""
    begun_ns = time.monotonic_ns()
    message = from_image_message(request.image)
    image_bgr = image_to_bgr(message, BitDepth())
    decoded_ns = time.monotonic_ns()
    prediction, times, size_px = model.predict_at_best(image_bgr, live)
    predicted_ns = time.monotonic_ns()
    encoding = "rle" if live.mask_encoding == "rle" else "bits"
    result = to_instance_array(message.header, prediction, encoding)
    finished_ns = time.monotonic_ns()
    result.report = FrameReport(
        image_age_ms=request.age_ms,
        wait_ms=(begun_ns - request.received_ns) / NS_PER_MS,
        preprocess_ms=float((decoded_ns - begun_ns) / NS_PER_MS + times.preprocess_ms),
        inference_ms=float(times.inference_ms),
        postprocess_ms=float(times.postprocess_ms + (finished_ns - predicted_ns) / NS_PER_MS),
        total_ms=(finished_ns - request.received_ns) / NS_PER_MS,
        deadline_met=True,
        input_size=size_px,
        degradation=FrameReport.DEGRADE_NONE,
    )
    return result
