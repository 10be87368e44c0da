"""Transitions, models that cannot be used, and the end of the process."""

from __future__ import annotations

import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from lifecycle_rounds import Usage, live_rounds
from rcl_interfaces.msg import Parameter
from rcl_interfaces.srv import GetParameters, ListParameters, SetParameters
from ros_client import RosClient
from ros_node import node_in_thread
from ros_processes import CameraProcess, start_node
from yolact_ros.msg import InstanceArray

CAMERA = ("--reliability", "best_effort", "--size", 160, 120, "--count", 100000)


def test_the_whole_life_of_a_node(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    """One node, because starting a process is what takes the time."""
    node = "life"
    parameters = {"autostart": False, "model": "/does/not/exist.safetensors"}
    process = start_node(node, tmp_path, ros_env, parameters, {"image": "/life"})
    camera = CameraProcess(tmp_path, ros_env, "--topic", "/life", *CAMERA)
    with process, camera:
        messages, _ = client.collect(InstanceArray, f"/{node}/instances")
        client.wait_for_state(node, "unconfigured")

        # A model that is not there: one error line, and the next try is free.
        assert not client.change_state(node, "configure")
        assert client.state(node) == "unconfigured"
        assert process.output.count("[ERROR]") == 1
        assert "/does/not/exist.safetensors: no such file" in process.output
        status = client.diagnostics(node, "node")
        assert (status["level"], status["state"]) == (b"\x02", "unconfigured")
        assert "cannot configure: /does/not/exist.safetensors" in status["message"]

        # Files that are no models of this package: the same.
        for spoil, reason in (
            (nan_weights, "NaN or infinite values"),
            (foreign_file, "spoilt.safetensors"),
        ):
            spoilt = tmp_path / "spoilt.safetensors"
            spoil(tiny_model, spoilt)
            assert client.set_parameter(node, "model", str(spoilt)).successful
            assert not client.change_state(node, "configure")
            assert reason in client.diagnostics(node, "node")["message"]

        # A class that the model does not have.
        assert client.set_parameter(node, "model", str(tiny_model)).successful
        assert client.set_parameter(node, "classes", ["zebra"]).successful
        assert not client.change_state(node, "configure")
        assert "no class 'zebra'; it has person, cup, dog" in process.output
        assert client.set_parameter(node, "classes", []).successful

        # Asking for another k than the checkpoint's.
        assert client.set_parameter(node, "num_prototypes", 32).successful
        assert not client.change_state(node, "configure")
        assert "32" in client.diagnostics(node, "node")["message"]
        assert client.set_parameter(node, "num_prototypes", 4).successful
        assert client.set_parameter(node, "score_threshold", 0.0).successful

        for _ in range(2):
            assert client.change_state(node, "configure")
            assert client.state(node) == "inactive"
            refused = client.set_parameter(node, "model", "bundled")
            assert "fixed while the node is configured" in refused.reason
            assert client.change_state(node, "activate")
            client.spin_until(lambda: messages, "instances of the active node")
            assert client.change_state(node, "deactivate")
            client.wait_for_state(node, "inactive")
            client.spin_for(0.3)  # what was on its way
            messages.clear()
            client.spin_for(0.5)
            assert not messages
            assert client.change_state(node, "cleanup")
            assert client.state(node) == "unconfigured"
            assert client.set_parameter(node, "device", "cpu").successful

        # Transitions that the state does not have. Over the second Jazzy's rclpy raises and
        # answers nobody, which must not end the node; Kilted's says no.
        assert not client.change_state(node, "deactivate")
        answers = []
        with suppress(AssertionError):  # nobody answers
            answers += [
                client.call(
                    ChangeState,
                    f"/{node}/change_state",
                    ChangeState.Request(
                        transition=Transition(id=Transition.TRANSITION_DEACTIVATE)
                    ),
                    timeout_s=1.0,
                ).success
            ]
        assert answers in ([], [False])
        assert client.state(node) == "unconfigured"

        assert client.change_state(node, "configure")
        assert client.change_state(node, "activate")
        client.spin_until(lambda: messages, "instances after everything")
        assert client.change_state(node, "shutdown")
        assert process.wait() == 0
        assert "Traceback" not in process.output


def test_a_cleanup_frees_what_the_node_held_and_rounds_leave_nothing_behind(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    """benchmarks/lifecycle_leak.py does a hundred rounds with the bundled model."""
    node = "round"
    parameters = {"autostart": False, "model": str(tiny_model)}
    with start_node(node, tmp_path, ros_env, parameters, {"image": "/round"}) as process:
        client.wait_for_state(node, "unconfigured")
        before = Usage.of(process, client, node)
        rounds = list(live_rounds(client, process, node, "/round", 4))
    first, last = rounds[1].clean, rounds[-1].clean
    assert rounds[-1].active.threads >= before.threads + 3
    # Fast DDS and torch start a thread of their own at the first round.
    assert last.threads <= before.threads + 2
    assert last.descriptors <= before.descriptors + 2
    # Fewer where another node has left meanwhile.
    assert last.threads <= first.threads
    assert last.descriptors <= first.descriptors
    network_mib = tiny_model.stat().st_size / 2**20
    assert rounds[-1].active.heap_mib > last.heap_mib + 0.8 * network_mib
    assert rounds[-1].active.memory_mib > last.memory_mib + 0.5 * network_mib
    assert last.heap_mib - first.heap_mib < 0.5 * network_mib


def test_no_round_of_the_lifecycle_adds_to_the_nodes_own_callback_group(
    client: RosClient, domain_id: int, tiny_model: Path
) -> None:
    """rclpy's groups keep a weak reference to everything that was ever created in them."""
    with node_in_thread(domain_id, tiny_model, runtime="eager", autostart=False) as running:
        entities = running.node.default_callback_group.entities
        before = len(entities)
        for transition in ("configure", "activate", "deactivate", "cleanup"):
            assert client.change_state("reached", transition)
        assert len(entities) == before


def test_int8_that_cannot_be_had_is_refused_with_the_cure(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    node = "quantised"
    parameters = {"autostart": False, "model": str(tiny_model), "precision": "int8"}
    with start_node(node, tmp_path, ros_env, parameters) as process:
        for runtime, reason in (
            ("eager", "runtime openvino has int8"),
            ("openvino", "needs images to calibrate on"),
        ):
            assert client.set_parameter(node, "runtime", runtime).successful
            assert not client.change_state(node, "configure")
            assert reason in client.diagnostics(node, "node")["message"]
        for name, value in (("precision", "fp32"), ("runtime", "eager")):
            assert client.set_parameter(node, name, value).successful
        assert client.change_state(node, "configure"), process.output


def nan_weights(source: Path, target: Path) -> None:
    import torch

    from yolact_ros.models.checkpoint import load_network, save_checkpoint

    model = load_network(source)
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = float("nan")
    save_checkpoint(target, model)


def foreign_file(source: Path, target: Path) -> None:
    shutil.copy(__file__, target)


def test_a_truncated_model_leaves_the_node_unconfigured(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    """It starts by itself, so the error comes without anybody asking."""
    model = tmp_path / "cut.safetensors"
    model.write_bytes(tiny_model.read_bytes()[:1000])
    with start_node("cut", tmp_path, ros_env, {"model": str(model)}) as process:
        process.wait_for_text("[ERROR]")
        assert client.state("cut") == "unconfigured"
        (line,) = (line for line in process.output.splitlines() if "[ERROR]" in line)
        assert f"cannot configure: {model}" in line
        assert process.stop() == 0
        assert "Traceback" not in process.output


def test_bad_parameters_at_start_are_refused_and_the_defaults_stay(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    parameters = {
        "model": str(tiny_model),
        "score_threshold": 7,
        "top_k": "all",
        "classes": [],
        "frame_budget": 20.0,
    }
    with start_node("careful", tmp_path, ros_env, parameters) as process:
        process.wait_for_text("active on /image")
        assert "score_threshold is 7.0, expected 0..1; the default 0.3 stays" in process.output
        assert "top_k is 'all', expected a whole number" in process.output
        assert (
            "frame_budget is none of this node's; did you mean frame_budget_ms?" in process.output
        )
        assert client.get_parameter("careful", "score_threshold") == pytest.approx(0.3)
        assert client.get_parameter("careful", "top_k") == 15
        assert int(client.diagnostics("careful", "node")["errors parameter"]) == 3
        process.stop()


def test_the_nodes_own_dump_can_be_loaded_and_other_fixed_values_not(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    node = "dumped"
    with start_node(node, tmp_path, ros_env, {"model": str(tiny_model)}) as process:
        process.wait_for_text("active on /image")
        listed = client.ask(
            ListParameters, f"/{node}/list_parameters", ListParameters.Request()
        ).result.names
        assert {"model", "autostart", "start_type_description_service"} <= set(listed)
        assert any(name.startswith("qos_overrides.") for name in listed)
        values = client.ask(
            GetParameters, f"/{node}/get_parameters", GetParameters.Request(names=listed)
        ).values
        request = SetParameters.Request(
            parameters=[
                Parameter(name=name, value=value)
                for name, value in zip(listed, values, strict=True)
            ]
        )
        results = client.ask(SetParameters, f"/{node}/set_parameters", request).results
        assert [result.reason for result in results if not result.successful] == []
        for name, value in (("model", "bundled"), ("autostart", False), ("cameras", ["front"])):
            assert not client.set_parameter(node, name, value).successful
        refused = client.set_parameter(node, "input_size", [256, 320])
        assert refused.reason == (
            "input_size is [256, 320], expected the largest first and none twice: [320, 256]"
        )
        assert process.stop() == 0


@pytest.mark.parametrize(
    "signals",
    # Ctrl-C under ros2 launch comes twice: from the terminal and from launch.
    [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,)],
    ids=["SIGINT twice", "SIGTERM"],
)
def test_a_signal_under_full_load_ends_the_process_cleanly(
    tiny_model: Path,
    ros_env: dict[str, str],
    tmp_path: Path,
    signals: tuple[signal.Signals, ...],
) -> None:
    parameters = {"model": str(tiny_model), "score_threshold": 0.0}
    camera_arguments = ("--topic", "/ending", *CAMERA, "--hz", 200)
    with start_node("ending", tmp_path, ros_env, parameters, {"image": "/ending"}) as process:
        process.wait_for_text("active on /ending")
        with CameraProcess(tmp_path, ros_env, *camera_arguments) as camera:
            camera.wait_for_text("ready")
            for number in signals:
                process.send_signal(number)
            assert process.wait() == 0
    assert "Traceback" not in process.output
    assert "[ERROR]" not in process.output


def test_a_signal_while_the_model_loads_ends_it_cleanly(
    tiny_model: Path, ros_env: dict[str, str], tmp_path: Path, client: RosClient
) -> None:
    def known() -> bool:
        return "loading" in client.node.get_node_names()

    with start_node("loading", tmp_path, ros_env, {"model": str(tiny_model)}) as process:
        client.spin_until(known, "the node to be known")
        assert process.stop() == 0
    assert "Traceback" not in process.output
