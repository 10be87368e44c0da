"""What goes wrong with a Ray cluster is one line that names it, and ends."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from ray_clusters import ray_cluster
from work_samples import kill_or_double, work_long

from yolact_ros.errors import WorkerError
from yolact_ros.evaluation.bag.units import ray_executor
from yolact_ros.evaluation.bag.units.executor import Failure
from yolact_ros.evaluation.bag.units.ray_executor import RayExecutor

ray = pytest.importorskip("ray", reason="the extra fleet is not here")

OTHER_VERSIONS = """Version mismatch: The cluster was started with:
    Ray: 2.59.0
    Python: 3.11.7
This process on node 10.0.0.2 was started with:
    Ray: 2.60.0
    Python: 3.11.7
"""


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of one node of one core; the parameter is its memory threshold."""
    threshold = str(getattr(request, "param", 0.99))
    variables = {"RAY_memory_usage_threshold": threshold, "RAY_memory_monitor_refresh_ms": "100"}
    with ray_cluster(0, **variables) as cluster:
        yield cluster.address


@pytest.fixture
def closed_address() -> Iterator[str]:
    """Bound, so that nobody else listens there, and does not listen itself."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{closed.getsockname()[1]}"


def enter(address: str) -> None:
    with RayExecutor(address, threads=1, device="cpu"):
        pass


@pytest.mark.timeout(150)  # Ray itself would try for longer
def test_auto_does_not_wait_for_a_head_that_is_gone(
    closed_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", closed_address)
    with pytest.raises(WorkerError, match=f"answers at {closed_address} .*refused"):
        enter("auto")


@pytest.mark.timeout(150)  # Ray itself would try for longer
def test_an_address_without_a_port_has_ray_s_own() -> None:
    with pytest.raises(WorkerError, match=r"answers at ray://no-host\.invalid:10001 "):
        enter("ray://no-host.invalid")


def test_other_versions_are_all_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError(OTHER_VERSIONS)

    monkeypatch.setattr(ray, "init", refuse)
    with (
        socket.create_server(("127.0.0.1", 0)) as head,
        pytest.raises(WorkerError, match=r"cannot be used from here.*2\.59\.0") as caught,
    ):
        enter(f"ray://127.0.0.1:{head.getsockname()[1]}")
    assert "Ray: 2.60.0 Python: 3.11.7" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_head_that_was_started_again_meanwhile_is_one_line(
    cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not know this client, as Ray's client says by an error of gRPC."""
    grpc = pytest.importorskip("grpc")

    class UnknownClient(grpc.RpcError):  # type: ignore[misc, name-defined]
        def __str__(self) -> str:
            return "<_InactiveRpcError of RPC that terminated with:\n>"

        def details(self) -> str:
            return "Failed to serialize response!"

    def fail(*_: object, **__: object) -> None:
        raise UnknownClient

    lost = r"was lost \(Failed to serialize response!\); what is done is kept"
    with RayExecutor(cluster, threads=1, device="cpu") as executor:
        monkeypatch.setattr(ray, "wait", fail)
        with pytest.raises(WorkerError, match=lost):
            list(executor.run(kill_or_double, [2]))


def test_a_worker_that_always_dies_is_tried_four_times_and_a_node_that_came_late_refused(
    cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RayExecutor(cluster, threads=1, device="cpu") as executor:
        results = dict(executor.run(kill_or_double, [2, 3, 4]))
        assert (results[2], results[4]) == (4, 8)
        assert isinstance(results[3], Failure)
        assert results[3].reason.startswith("its worker died 4 times: ")
        here = f"0.0.0 on {ray_executor._installed().partition(' on ')[2]}"
        monkeypatch.setattr(ray_executor, "_installed", lambda: here)
        ((_, refused),) = executor.run(kill_or_double, [2])
        assert isinstance(refused, Failure)
        assert f"here is {here}: install the same on all" in refused.reason


@pytest.mark.parametrize("cluster", [0.001], indirect=True)
def test_what_needs_more_memory_than_its_node_has_ends(
    cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        # A task that is there when Ray looks at the memory.
        patch.setattr(ray_executor, "_installed", lambda: time.sleep(60))
        with pytest.raises(WorkerError, match=r"node .* has no memory left for a task"):
            enter(cluster)
    monkeypatch.setattr(RayExecutor, "_check_nodes", lambda _: None)
    with RayExecutor(cluster, threads=1, device="cpu") as executor:
        ((_, result),) = executor.run(work_long, [60.0])
    assert result == Failure(
        "its node ran out of memory 4 times; start nodes with fewer --num-cpus, so that fewer "
        "tasks are on each at a time"
    )
