"""The lifecycle node: from camera topics to published instances."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import SetBool

from yolact_ros.errors import YolactError
from yolact_ros.ros.diagnostics import CameraReport, NodeReport, camera_status, node_status
from yolact_ros.ros.faults import FaultLog
from yolact_ros.ros.frames import FrameThreads
from yolact_ros.ros.memory import (
    device_memory_bytes,
    heap_bytes,
    resident_memory_bytes,
    share_one_arena,
    tune_malloc,
)
from yolact_ros.ros.parameter_server import ParameterServer
from yolact_ros.ros.parameters import FixedParameters, LiveParameters
from yolact_ros.ros.priority import describe_scheduling, run_in_real_time
from yolact_ros.ros.qos import result_qos, shared_memory_segment_bytes
from yolact_ros.ros.segment import SegmentService
from yolact_ros.ros.spinning import spin
from yolact_ros.ros.statistics import StatisticsSnapshot
from yolact_ros.ros.views import VISION_MSGS_INSTALLED
from yolact_ros.signals import StopSignal

__all__ = ["YolactNode", "main"]

DIAGNOSTICS_PERIOD_S = 1.0
# While a pure-Python worker holds the interpreter, a received image waits this long at most for
# its turn: 5 ms with Python's default, 0.8 ms with this.
SWITCH_INTERVAL_S = 0.0005
MEBIBYTE = 1 << 20


class YolactNode(LifecycleNode):
    """Segments the images of its cameras.

    Configure loads and warms up the network, activate subscribes, deactivate stops, cleanup frees
    the memory. A configure that fails leaves the node unconfigured with the reason in the log and
    in the diagnostics, ready for another try.
    """

    def __init__(self, node_name: str = "yolact", **node_arguments: Any) -> None:
        super().__init__(node_name, **node_arguments)
        self.state = "unconfigured"
        self._frames: FrameThreads | None = None
        self._problem = ""
        self._enabled = True
        self._snapshots: dict[str, StatisticsSnapshot] = {}
        self._node_faults = FaultLog(lambda text: self.get_logger().error(text))
        self._live = LiveParameters()
        self._track_ids = itertools.count(1)  # no id comes twice, whatever is configured
        self._parameter_server = ParameterServer(
            self,
            is_configured=lambda: self._frames is not None,
            check=self._check_parameters,
            changed=self._read_live_parameters,
            refused=self._report_refusal,
        )
        self._read_live_parameters()
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", result_qos())
        # A steady clock: simulated time may stand still, and diagnostics must not.
        self._tick_timer = self.create_timer(
            DIAGNOSTICS_PERIOD_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._enable_service = self.create_service(SetBool, "~/set_enabled", self._on_set_enabled)
        self._segment = SegmentService(self, self._why_no_network, self._node_faults)

    @property
    def fixed_parameters(self) -> FixedParameters:
        """The parameters that are read at start and at configure."""
        return FixedParameters.from_values(self._parameter_server.values())

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """Set parameters; those that have the value already are accepted, fixed ones too.

        So the node's own dump can be loaded (``ros2 param load``).
        """
        changed = [p for p in parameter_list if not self._parameter_server.has_value(p)]
        if parameter_list and not changed:
            return SetParametersResult(successful=True)
        return super().set_parameters_atomically(changed)

    def start_up(self) -> None:
        """Configure and activate, if the parameter autostart says so."""
        if not self.fixed_parameters.autostart:
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up the network, create the publishers."""
        begun_s = time.monotonic()
        fixed = self.fixed_parameters
        try:
            self._frames = FrameThreads(
                self,
                fixed,
                lambda: self._live,
                self._segment,
                self._node_faults,
                self._track_ids,
            )
        except YolactError as error:
            return self._fail(f"cannot configure: {error}")
        except Exception as error:  # rclpy would swallow it and say nothing
            return self._fail(f"cannot configure: {type(error).__name__}: {error}")
        self._problem = ""
        self.state = "inactive"
        model = self._frames.model
        config, sizes = model.config, ", ".join(map(str, model.input_sizes_px))
        self.get_logger().info(
            f"model {fixed.model}: {config.name}, {sizes} px, "
            f"k={config.num_prototypes}, {config.num_classes} classes, on "
            f"{model.device}, {model.runtime}, "
            f"ready in {time.monotonic() - begun_s:.1f} s"
        )
        for remark in model.remarks:
            self.get_logger().warning(remark)
        if not VISION_MSGS_INSTALLED:
            self.get_logger().info(
                "vision_msgs is not installed: there are no ~/detections, ~/detections_3d and "
                "~/label_info"
            )
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enable the publishers and subscribe."""
        result = super().on_activate(state)
        if self._frames is None or result != TransitionCallbackReturn.SUCCESS:
            return TransitionCallbackReturn.FAILURE
        self._frames.start(subscribed=self._enabled)
        self.state = "active"
        topics = ", ".join(camera.topic for camera in self._frames.cameras)
        self.get_logger().info(f"active on {topics}")
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe, finish the frame in hand, disable the publishers."""
        if self._frames is not None:
            self._frames.stop()
        self.state = "inactive"
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the network, its device memory and the publishers."""
        self._close_frames()
        self.state = "unconfigured"
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything; the process ends afterwards."""
        self._close_frames()
        self.state = "finalized"
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """A transition raised: free everything and be unconfigured."""
        return self.on_cleanup(state)

    def destroy_node(self) -> None:
        """Stop the threads before what they publish with goes away."""
        self._close_frames()
        super().destroy_node()

    def report_callback_error(self, error: Exception) -> None:
        """Count and log what a callback raised."""
        self._node_faults.report("callback", f"{type(error).__name__}: {error}")

    def _fail(self, problem: str) -> TransitionCallbackReturn:
        self._problem = problem
        self.get_logger().error(problem)
        return TransitionCallbackReturn.FAILURE

    def _close_frames(self) -> None:
        if self._frames is not None:
            self._frames.close()
            self._frames = None
            self._snapshots.clear()

    def _check_parameters(self, values: Mapping[str, Any]) -> None:
        if self._frames is not None:
            self._frames.check(LiveParameters.from_values(values))

    def _read_live_parameters(self) -> None:
        self._live = LiveParameters.from_values(self._parameter_server.values())
        if self._frames is not None:
            self._frames.prepare(self._live)

    def _report_refusal(self, reason: str) -> None:
        name = reason.partition(" ")[0]
        self._node_faults.report("parameter", f"parameter refused: {reason}", subject=name)

    def _on_set_enabled(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        self._enabled = request.data
        if self._frames is not None:
            self._frames.subscribe(self._enabled)
        response.success = True
        response.message = f"{'enabled' if self._enabled else 'disabled'}; node {self.state}"
        return response

    def _why_no_network(self) -> str:
        cure = f"configure it: ros2 lifecycle set {self.get_fully_qualified_name()} configure"
        problem = f" ({self._problem})" if self._problem else ""
        return f"the node is {self.state}{problem}, so no network is loaded; {cure}"

    def _tick(self) -> None:
        cameras = self._frames.cameras if self._frames is not None else ()
        name = self.get_fully_qualified_name().lstrip("/")
        array = DiagnosticArray()
        array.header.stamp = self.get_clock().now().to_msg()
        array.status = [node_status(self._node_report(), name)]
        if self._frames is not None:
            self._frames.tick()
        for camera in cameras:
            snapshot = camera.statistics.snapshot()
            if self.state == "active" and self._enabled:
                camera.tick(snapshot)
            report = CameraReport(
                label=camera.label,
                topic=camera.topic,
                delivery=camera.subscription.delivery,
                publishers=camera.subscription.publisher_count,
                snapshot=snapshot,
                previous=self._snapshots.get(camera.name),
                errors=camera.faults.counts(),
                warnings=camera.warnings.counts(),
                objects=camera.objects.values() if camera.objects is not None else (),
            )
            self._snapshots[camera.name] = snapshot
            array.status.append(camera_status(report, name))
        self._diagnostics.publish(array)

    def _node_report(self) -> NodeReport:
        values: list[tuple[str, object]] = []
        if self._frames is not None:
            model = self._frames.model
            values += [
                ("model", model.name),
                ("model file", model.path),
                ("network", model.config.name),
                ("input size (px)", model.input_size_px),
                ("input sizes ready (px)", ", ".join(map(str, model.input_sizes_px))),
                ("prototypes", model.config.num_prototypes),
                ("classes", model.config.num_classes),
                ("device", model.device),
                ("runtime", model.runtime),
                ("runtime provisional", model.provisional),
                ("tracker", self._live.tracker),
                *(
                    [("input sizes left out (px)", ", ".join(map(str, model.left_out)))]
                    if model.left_out
                    else []
                ),
                ("device memory (MiB)", device_memory_bytes(model.device) // MEBIBYTE),
            ]
        segment_bytes = shared_memory_segment_bytes()
        values += [
            ("segment requests", self._segment.answered),
            ("scheduling", describe_scheduling()),
            ("process memory (MiB)", resident_memory_bytes() // MEBIBYTE),
            ("heap in use (MiB)", f"{heap_bytes() / MEBIBYTE:.1f}"),
            ("shared memory segment", f"{segment_bytes} bytes" if segment_bytes else "default"),
        ]
        return NodeReport(
            state=self.state,
            enabled=self._enabled,
            problem=self._problem if self.state == "unconfigured" else "",
            values=values,
            errors=self._node_faults.counts(),
        )


def main(args: Sequence[str] | None = None, stop: StopSignal | None = None) -> int:
    """Run the node until it is shut down, by a signal or by its lifecycle.

    Args:
        args: of the command line, without the program's name; None takes the process's.
        stop: hears the signals, where the program did so before its imports.
    """
    stop = stop or StopSignal()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    share_one_arena()  # before ROS starts its threads
    rclpy.init(
        args=None if args is None else ["yolact_node", *args],
        signal_handler_options=SignalHandlerOptions.NO,
    )
    stop.ends_itself()
    node = YolactNode()
    fixed = node.fixed_parameters
    if fixed.tune_malloc:
        tune_malloc()
    refusal = run_in_real_time(fixed.realtime_priority)
    if refusal:
        node.get_logger().warning(refusal)
    if not stop.is_set():
        node.start_up()
    spin(
        node,
        lambda: not stop.is_set() and node.state != "finalized",
        node.report_callback_error,
    )
    # In this order: a thread that publishes after the shutdown would find its publishers dead.
    node.destroy_node()
    rclpy.try_shutdown()
    return 0
