"""The network, the cameras and the threads between them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rclpy.lifecycle import LifecycleNode

from yolact_ros.errors import YolactError
from yolact_ros.inference.slots import TakenItem
from yolact_ros.inference.worker import SlotWorker
from yolact_ros.ros.camera import Camera, ReceivedFrame
from yolact_ros.ros.engine import Engine
from yolact_ros.ros.faults import FaultLog
from yolact_ros.ros.frame_processor import FrameProcessor
from yolact_ros.ros.parameters import FixedParameters, LiveParameters
from yolact_ros.ros.views import ViewFrame

__all__ = ["Pipeline"]

# How long a frame's views wait for pauses of the network before they are drawn beside it. A lower
# priority of their thread would not do: descheduled while it holds the interpreter, it stops the
# network's thread as well.
VIEWS_PATIENCE_S = 0.2


class Pipeline:
    """Exists while the node is configured; works between :meth:`start` and :meth:`stop`.

    One thread works on frames, another draws the views, so that drawing never delays a result,
    and a third warms up other input sizes.
    All methods are for the executor's thread.

    Args:
        node: that it belongs to.
        fixed: what to load and subscribe to.
        live: the live parameters of this moment.
        faults: receives errors that no camera is to blame for.

    Raises:
        YolactError: the model cannot be loaded, or ``classes`` names one that it does not have.
    """

    def __init__(
        self,
        node: LifecycleNode,
        fixed: FixedParameters,
        live: Callable[[], LiveParameters],
        faults: FaultLog,
    ) -> None:
        self._live = live
        self._context = node.context
        self._faults = faults
        self._running: tuple[_FrameWorker, _ViewWorker] | None = None
        self._announced_threshold = 0.0
        self.engine = Engine(fixed, live())
        self._builder: _Builder = SlotWorker("yolact input sizes", self._build, self._report)
        self._builder.start()
        self.cameras = tuple(
            Camera(
                node,
                name,
                compressed=fixed.image_transport == "compressed",
                reliability=fixed.reliability,
                budget_ns=lambda: int(live().frame_budget_ms * 1e6),
            )
            for name in fixed.cameras or ("",)
        )

    def start(self, *, subscribed: bool) -> None:
        """Start the threads, and subscribe to the cameras unless switched off."""

        def show(taken: TakenItem[Camera, ViewFrame]) -> None:
            deadline_s = time.monotonic() + VIEWS_PATIENCE_S
            taken.key.views.publish(
                taken.item, lambda: frames.wait_until_idle(deadline_s - time.monotonic())
            )

        views: _ViewWorker = SlotWorker("yolact views", show, self._report)
        processor = FrameProcessor(
            self.engine,
            self._live,
            queued=lambda: len(frames.slots),
            show=lambda camera, frame: views.slots.put(camera, frame, time.monotonic()),
        )
        frames: _FrameWorker = SlotWorker("yolact frames", processor.process, self._report)
        frames.start()
        views.start()
        self._running = (frames, views)
        self._announce()
        self.subscribe(subscribed)

    def subscribe(self, subscribed: bool) -> None:
        """Subscribe to the cameras or unsubscribe; no-op while stopped."""
        if self._running is None:
            return
        for camera in self.cameras:
            if subscribed:
                camera.open(self._running[0].slots)
            else:
                camera.close()

    def stop(self) -> None:
        """Unsubscribe, finish the frame in hand, end the threads; no-op while stopped."""
        if self._running is None:
            return
        self.subscribe(False)
        frames, views = self._running
        self._running = None
        for left in frames.stop():
            left.key.count_replaced(left.replaced)
            left.key.statistics.count_dropped("discarded")
        views.stop()

    def check(self, live: LiveParameters) -> None:
        """Whether the model can work with these parameters.

        Raises:
            ConfigError: it cannot.
        """
        self.engine.check(live)

    def prepare(self, live: LiveParameters) -> None:
        """Begin to warm up the input sizes of these parameters, if they are other ones."""
        self._builder.slots.put("input size", live, time.monotonic())
        if self._running is not None and live.score_threshold != self._announced_threshold:
            self._announce()

    def close(self) -> None:
        """Stop, and free publishers, network and device memory."""
        self.stop()
        self._builder.stop()
        for camera in self.cameras:
            camera.destroy()
        self.engine.close()

    def _announce(self) -> None:
        self._announced_threshold = self._live().score_threshold
        for camera in self.cameras:
            camera.views.announce(self.engine.class_names, self._announced_threshold)

    def _build(self, taken: TakenItem[str, LiveParameters]) -> None:
        try:
            self.engine.build(taken.item)
        except YolactError as error:
            sizes = ", ".join(map(str, self.engine.input_sizes_px))
            self._faults.report("input size", f"input_size stays at {sizes}: {error}")

    def _report(self, error: Exception) -> None:
        if not self._context.ok():
            return  # a signal ended ROS while this thread was publishing
        name = threading.current_thread().name
        self._faults.report("internal", f"{name}: {type(error).__name__}: {error}")


_FrameWorker = SlotWorker[Camera, ReceivedFrame]
_ViewWorker = SlotWorker[Camera, ViewFrame]
_Builder = SlotWorker[str, LiveParameters]
