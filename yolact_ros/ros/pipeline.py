"""The network, the cameras and the threads between them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import cast

from rclpy.lifecycle import LifecycleNode

from yolact_ros.errors import YolactError
from yolact_ros.inference.slots import TakenItem
from yolact_ros.inference.worker import SlotWorker
from yolact_ros.ros.camera import Camera, ReceivedFrame
from yolact_ros.ros.engine import Engine
from yolact_ros.ros.faults import FaultLog
from yolact_ros.ros.frame_processor import FrameProcessor
from yolact_ros.ros.memory import return_free_memory
from yolact_ros.ros.parameters import FixedParameters, LiveParameters
from yolact_ros.ros.segment import SegmentRequest, SegmentService
from yolact_ros.ros.views import ViewFrame

__all__ = ["Pipeline"]

# How long a frame's views wait for pauses of the network before they are drawn beside it. A lower
# priority of their thread would not do, nor an ordinary one beside real-time threads: descheduled
# while it holds the interpreter, it stops the network's thread as well.
VIEWS_PATIENCE_S = 0.2


class Pipeline:
    """Exists while the node is configured; takes images between :meth:`start` and :meth:`stop`.

    One thread works on frames and on the requests of ``~/segment``, another draws the views, so
    that drawing never delays a result, and a third warms up other input sizes and the fastest
    runtime where that must be measured first.
    All methods are for the executor's thread.

    Args:
        node: that it belongs to.
        fixed: what to load and subscribe to.
        live: the live parameters of this moment.
        segment: the service whose requests it serves.
        faults: receives errors that no camera is to blame for.

    Raises:
        YolactError: the model cannot be loaded, or ``classes`` names one that it does not have.
    """

    def __init__(
        self,
        node: LifecycleNode,
        fixed: FixedParameters,
        live: Callable[[], LiveParameters],
        segment: SegmentService,
        faults: FaultLog,
    ) -> None:
        self._live = live
        self._segment = segment
        self._node = node
        self._faults = faults
        self._subscribable = False
        self._announced_threshold = 0.0
        self.engine = Engine(fixed, live())
        for reason in self.engine.left_out.values():
            faults.report("memory", f"an input_size is left out: {reason}")
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
        self._processor = FrameProcessor(
            self.engine,
            live,
            cameras=self.cameras,
            queued=self._cameras_waiting,
            take_more=self._take_more,
            show=self._show,
        )
        self._builder: _Builder = SlotWorker("yolact networks", self._build, self._report)
        self._builder.start()
        self._views: _ViewWorker = SlotWorker("yolact views", self._draw, self._report)
        self._views.start()
        self._frames = self._start_frames()
        self.prepare(live())

    def start(self, *, subscribed: bool) -> None:
        """Subscribe to the cameras unless switched off."""
        self._subscribable = True
        self._announce()
        self.subscribe(subscribed)

    def subscribe(self, subscribed: bool) -> None:
        """Subscribe to the cameras or unsubscribe; no-op while stopped."""
        if not self._subscribable:
            return
        for camera in self.cameras:
            if subscribed:
                camera.open(self._frames.slots.put)
            else:
                camera.close()

    def stop(self) -> None:
        """Unsubscribe and finish the frame in hand; no-op while stopped."""
        if not self._subscribable:
            return
        self.subscribe(False)
        self._subscribable = False
        self._stop_frames()
        self._frames = self._start_frames()

    def check(self, live: LiveParameters) -> None:
        """Whether the model can work with these parameters.

        Raises:
            ConfigError: it cannot.
        """
        self.engine.check(live)

    def prepare(self, live: LiveParameters) -> None:
        """Begin to warm up what these parameters ask for, if it is not in use."""
        self._builder.slots.put("networks", live, time.monotonic())
        if self._subscribable and live.score_threshold != self._announced_threshold:
            self._announce()

    def close(self) -> None:
        """Stop, and free publishers, network and device memory."""
        self.subscribe(False)
        self._stop_frames()
        self._segment.close("the node was cleaned up before the request's turn; configure it")
        self._views.stop()
        self.engine.cancel()
        self._builder.stop()
        for camera in self.cameras:
            camera.destroy()
        # rclpy keeps a weak reference to everything that was ever created.
        entities = self._node.default_callback_group.entities
        entities.difference_update([entity for entity in entities if entity() is None])
        self.engine.close()
        return_free_memory()

    def _start_frames(self) -> _FrameWorker:
        worker: _FrameWorker = SlotWorker("yolact frames", self._work, self._report)
        worker.start()
        self._segment.open(worker.slots.put)
        return worker

    def _stop_frames(self) -> None:
        for left in self._frames.stop():
            if isinstance(left.key, Camera):
                left.key.count_replaced(left.replaced)
                left.key.statistics.count_dropped("discarded")

    def _work(self, taken: TakenItem[_Source, _Item]) -> None:
        source, item = taken.key, taken.item
        with self.engine.turns:
            if isinstance(source, Camera) and isinstance(item, ReceivedFrame):
                self._processor.process(source, item, taken.replaced)
            elif isinstance(item, SegmentRequest):
                self._segment.serve(item, self.engine, self._live())

    def _cameras_waiting(self) -> int:
        slots = self._frames.slots
        return len(slots) - (self._segment in slots)

    def _take_more(
        self, cameras: Collection[Camera], most: int
    ) -> list[TakenItem[Camera, ReceivedFrame]]:
        taken = self._frames.slots.take_more(cameras, most)
        return cast(list[TakenItem[Camera, ReceivedFrame]], taken)

    def _show(self, camera: Camera, frame: ViewFrame) -> None:
        self._views.slots.put(camera, frame, time.monotonic())

    def _draw(self, taken: TakenItem[Camera, ViewFrame]) -> None:
        deadline_s = time.monotonic() + VIEWS_PATIENCE_S
        taken.key.views.publish(
            taken.item, lambda: self._frames.wait_until_idle(deadline_s - time.monotonic())
        )

    def _announce(self) -> None:
        self._announced_threshold = self._live().score_threshold
        for camera in self.cameras:
            camera.views.announce(self.engine.class_names, self._announced_threshold)

    def _build(self, taken: TakenItem[str, LiveParameters]) -> None:
        choosing = self.engine.provisional
        try:
            self.engine.build(taken.item)
        except YolactError as error:
            if choosing:
                self._faults.report("runtime", f"runtime stays {self.engine.runtime}")
                return
            sizes = ", ".join(map(str, self.engine.input_sizes_px))
            self._faults.report("input size", f"input_size stays at {sizes}: {error}")
            return
        if choosing and not self.engine.provisional:
            self._node.get_logger().info(
                f"runtime {self.engine.runtime}; in use from the next image on"
            )

    def _report(self, error: Exception) -> None:
        name = threading.current_thread().name
        self._faults.report("internal", f"{name}: {type(error).__name__}: {error}")


_Source = Camera | SegmentService
_Item = ReceivedFrame | SegmentRequest
_FrameWorker = SlotWorker[_Source, _Item]
_ViewWorker = SlotWorker[Camera, ViewFrame]
_Builder = SlotWorker[str, LiveParameters]
