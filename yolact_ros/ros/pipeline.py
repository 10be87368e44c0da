"""The network, the cameras and the threads between them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rclpy.lifecycle import LifecycleNode

from yolact_ros.inference.slots import TakenItem
from yolact_ros.inference.worker import SlotWorker
from yolact_ros.ros.camera import Camera, ReceivedFrame
from yolact_ros.ros.engine import Engine
from yolact_ros.ros.faults import FaultLog
from yolact_ros.ros.frame_processor import FrameProcessor
from yolact_ros.ros.parameters import FixedParameters, LiveParameters, class_ids_of
from yolact_ros.ros.views import ViewFrame

__all__ = ["Pipeline"]


class Pipeline:
    """Exists while the node is configured; works between :meth:`start` and :meth:`stop`.

    One thread works on frames, another draws the views, so that drawing never delays a result.
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
        self._faults = faults
        self._running: tuple[_FrameWorker, _ViewWorker] | None = None
        self.engine = Engine.load(fixed)
        class_ids_of(live().classes, self.engine.class_names)
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
        views: _ViewWorker = SlotWorker("yolact views", _show, self._report_view)
        processor = FrameProcessor(
            self.engine,
            self._live,
            show=lambda camera, frame: views.slots.put(camera, frame, time.monotonic()),
        )
        frames: _FrameWorker = SlotWorker("yolact frames", processor.process, self._report_frame)
        frames.start()
        views.start()
        self._running = (frames, views)
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

    def close(self) -> None:
        """Stop, and free publishers, network and device memory."""
        self.stop()
        for camera in self.cameras:
            camera.destroy()
        self.engine.close()

    def _report_frame(self, error: Exception) -> None:
        name = threading.current_thread().name
        self._faults.report("internal", f"{name}: {type(error).__name__}: {error}")

    _report_view = _report_frame


_FrameWorker = SlotWorker[Camera, ReceivedFrame]
_ViewWorker = SlotWorker[Camera, ViewFrame]


def _show(taken: TakenItem[Camera, ViewFrame]) -> None:
    taken.key.views.publish(taken.item)
