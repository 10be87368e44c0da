"""The threads between the cameras and the model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from rclpy.lifecycle import LifecycleNode

from yolact_ros.errors import YolactError
from yolact_ros.inference.frame_processor import FrameProcessor
from yolact_ros.inference.slots import TakenItem
from yolact_ros.inference.worker import SlotWorker
from yolact_ros.msg import InstanceArray
from yolact_ros.ros.camera import Camera, ReceivedFrame
from yolact_ros.ros.faults import FaultLog
from yolact_ros.ros.memory import return_free_memory
from yolact_ros.ros.model import ModelRunner
from yolact_ros.ros.parameters import FixedParameters, LiveParameters
from yolact_ros.ros.segment import SegmentRequest, SegmentService
from yolact_ros.ros.transforms import Transforms
from yolact_ros.ros.views import ViewFrame
from yolact_ros.tracking import Tracker

__all__ = ["FrameThreads"]

# How long a frame's views wait for pauses of the network before they are drawn beside it. A lower
# priority of their thread would not do, nor an ordinary one beside real-time threads: descheduled
# while it holds the interpreter, it stops the network's thread as well.
VIEWS_PATIENCE_S = 0.2


class FrameThreads:
    """Exists while the node is configured; takes images between :meth:`start` and :meth:`stop`.

    One thread works on frames and on the requests of ``~/segment``, another draws the views, so
    that drawing never delays a result, one for each camera with depth finds where the objects
    are, and another warms up other input sizes and the fastest
    runtime where that must be measured first.
    All methods are for the executor's thread.

    Args:
        faults: receives errors that no camera is to blame for.
        track_ids: new ids of objects come from it.

    Raises:
        YolactError: the model cannot be loaded, ``classes`` names one that it does not have, or
            the package that ``tracker`` needs is not installed.
    """

    def __init__(
        self,
        node: LifecycleNode,
        fixed: FixedParameters,
        live: Callable[[], LiveParameters],
        segment: SegmentService,
        faults: FaultLog,
        track_ids: Iterator[int],
    ) -> None:
        self._live = live
        self._segment = segment
        self._node = node
        self._faults = faults
        self._subscribable = False
        self._announced_threshold = 0.0
        _check_tracker(live())
        self.model = ModelRunner(fixed, live())
        for reason in self.model.left_out.values():
            faults.report("memory", f"an input_size is left out: {reason}")
        self._view_worker: _ViewWorker = SlotWorker("yolact views", self._draw, self._report)
        self._view_worker.start()
        self._transforms = Transforms(node)
        self.cameras = tuple(
            Camera(
                node,
                name,
                fixed=fixed,
                live=live,
                views=self._view_worker.slots,
                transforms=self._transforms,
                pause=lambda: self._frame_worker.wait_until_idle(VIEWS_PATIENCE_S),
                failed=self._report,
            )
            for name in fixed.cameras or ("",)
        )
        self._processor: FrameProcessor[ReceivedFrame, InstanceArray] = FrameProcessor(
            lambda masks: self.model.ready(self._live(), masks=masks),
            self.cameras,
            tracker=lambda: self._live().tracker_settings,
            track_ids=track_ids,
        )
        self._builder: _Builder = SlotWorker("yolact networks", self._build, self._report)
        self._builder.start()
        self._frame_worker = self._start_frames()
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
                camera.open(self._frame_worker.slots.put)
            else:
                camera.close()

    def stop(self) -> None:
        """Unsubscribe and finish the frame in hand; no-op while stopped."""
        if not self._subscribable:
            return
        self.subscribe(False)
        self._subscribable = False
        self._stop_frames()
        self._frame_worker = self._start_frames()

    def check(self, live: LiveParameters) -> None:
        """Whether the model and the tracker can work with these parameters.

        Raises:
            ConfigError: the model cannot.
            DependencyError: the package that the tracker needs is not installed.
        """
        _check_tracker(live)
        self.model.check(live)

    def prepare(self, live: LiveParameters) -> None:
        """Begin to warm up what these parameters ask for, if it is not in use."""
        self._builder.slots.put("networks", live, time.monotonic())
        if self._subscribable and live.score_threshold != self._announced_threshold:
            self._announce()

    def tick(self) -> None:
        """Call once a second: listens to tf while somebody asks for objects in a fixed frame."""
        wanted = any(camera.wants_objects() for camera in self.cameras)
        self._transforms.set_open(bool(self._live().target_frame) and wanted)

    def close(self) -> None:
        """Stop, and free publishers, network and device memory."""
        self.subscribe(False)
        self._stop_frames()
        self._segment.close("the node was cleaned up before the request's turn; configure it")
        self._view_worker.stop()
        self.model.cancel()
        self._builder.stop()
        for camera in self.cameras:
            camera.destroy()
        self._transforms.set_open(False)
        self.model.close()
        return_free_memory()

    def _start_frames(self) -> _FrameWorker:
        worker: _FrameWorker = SlotWorker("yolact frames", self._work, self._report)
        worker.start()
        self._segment.open(worker.slots.put)
        return worker

    def _stop_frames(self) -> None:
        for left in self._frame_worker.stop():
            if isinstance(left.key, Camera):
                left.key.replaced(left.replaced)
                left.key.statistics.count_dropped("discarded")

    def _work(self, taken: TakenItem[_Source, _Item]) -> None:
        source, item = taken.key, taken.item
        with self.model.lock:
            if isinstance(source, Camera) and isinstance(item, ReceivedFrame):
                slots = self._frame_worker.slots
                self._processor.process(source, item, taken.replaced, slots)
            elif isinstance(item, SegmentRequest):
                self._segment.serve(item, self.model, self._live())

    def _draw(self, taken: TakenItem[Camera, ViewFrame]) -> None:
        deadline_s = time.monotonic() + VIEWS_PATIENCE_S
        taken.key.views.publish(
            taken.item, lambda: self._frame_worker.wait_until_idle(deadline_s - time.monotonic())
        )

    def _announce(self) -> None:
        self._announced_threshold = self._live().score_threshold
        for camera in self.cameras:
            camera.announce(self.model.class_names, self._announced_threshold)

    def _build(self, taken: TakenItem[str, LiveParameters]) -> None:
        choosing = self.model.provisional
        try:
            self.model.build(taken.item)
        except YolactError as error:
            if choosing:
                self._faults.report("runtime", f"runtime stays {self.model.runtime}")
                return
            sizes = ", ".join(map(str, self.model.input_sizes_px))
            self._faults.report("input size", f"input_size stays at {sizes}: {error}")
            return
        if choosing and not self.model.provisional:
            self._node.get_logger().info(
                f"runtime {self.model.runtime}; in use from the next image on"
            )

    def _report(self, error: Exception) -> None:
        name = threading.current_thread().name
        self._faults.report("internal", f"{name}: {type(error).__name__}: {error}")


def _check_tracker(live: LiveParameters) -> None:
    """Import what the tracker needs here, where no frame waits for it."""
    if (settings := live.tracker_settings) is not None:
        Tracker(settings)


_Source = Camera | SegmentService
_Item = ReceivedFrame | SegmentRequest
_FrameWorker = SlotWorker[_Source, _Item]
_ViewWorker = SlotWorker[Camera, ViewFrame]
_Builder = SlotWorker[str, LiveParameters]
