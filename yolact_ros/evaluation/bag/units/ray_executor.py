"""The work of an evaluation on a Ray cluster."""

from __future__ import annotations

import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from yolact_ros import __version__
from yolact_ros.dependencies import require
from yolact_ros.errors import WorkerError
from yolact_ros.evaluation.bag.units.executor import IN_FLIGHT_EACH, Failure, attempt

if TYPE_CHECKING:
    from typing_extensions import Self  # of typing from Python 3.11 on

__all__ = ["RayExecutor"]

# Of a unit whose worker or node died; what fails each time may be what kills them.
RETRIES = 3
POLL_S = 1.0
CONNECT_S = 5.0
ANSWER_S = 60.0
LOST_S = 10.0
CLIENT_PORT = 10001
GROWTH_S = 30.0

Item = TypeVar("Item")
Result = TypeVar("Result")


class RayExecutor:
    """Workers of a Ray cluster, as tasks that are repeated when a worker or its node dies.

    Args:
        address: ``auto`` for the cluster that this machine is a node of, or ``ray://head:10001``.
        threads: of the network in each task, which takes as many cores.
        device: that the network was asked to run on; ``auto`` is a GPU where the cluster has one.

    Attributes:
        device: that the network runs on, the same on every node.
        head: host and port of the cluster's head, if this machine is one of its nodes.

    Raises:
        DependencyError: Ray is not installed.
        WorkerError: the cluster cannot be reached or used, or is lost.
    """

    def __init__(self, address: str, *, threads: int, device: str) -> None:
        self._ray = require("ray", extra="fleet")
        self._grpc = require("grpc", extra="fleet")
        self._address = address
        self._threads = threads
        self.head = ""
        self._head_seen_s = 0.0
        self._cores = 1
        self._cores_asked_s = float("-inf")
        self.device = device

    def runs_here(self, num_items: int) -> bool:
        """Never: bags may be where only the workers are."""
        return False

    def run(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        uses_network: bool = False,
    ) -> Iterator[tuple[Item, Result | Failure]]:
        """As :class:`~yolact_ros.evaluation.bag.units.executor.Executor` has it."""
        ray, source = self._ray, iter(items)
        needs = {"num_gpus": 1} if uses_network and self.device.startswith("cuda") else {}
        task = ray.remote(_attempt).options(
            name="attempt",
            num_cpus=self._threads,
            max_retries=0,  # Ray itself repeats for ever what needs more memory than a node has
            **needs,
        )
        running: dict[Any, tuple[Item, int]] = {}
        try:
            shared = ray.put(function)
            while True:
                self._require_head()
                for item in islice(source, self._most_in_flight() - len(running)):
                    running[task.remote(shared, item, _installed())] = item, RETRIES
                if not running:
                    return
                # Not for ever: the cluster may grow meanwhile.
                for reference in ray.wait(list(running), num_returns=1, timeout=POLL_S)[0]:
                    item, retries = running.pop(reference)
                    result = self._result(reference, is_last=not retries)
                    if result is None:
                        running[task.remote(shared, item, _installed())] = item, retries - 1
                    else:
                        yield item, result
        except (OSError, ray.exceptions.RaySystemError, self._grpc.RpcError) as error:
            raise WorkerError(
                f"the Ray cluster at {self._address} was lost ({_one_line(error)}); what is done "
                "is kept, run the command again"
            ) from error

    def _result(self, reference: Any, *, is_last: bool) -> Any:
        """What came of a task; None where its worker or node died and it may be tried again."""
        exceptions = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except exceptions.RayTaskError as error:
            return Failure(_one_line(error.cause or error))
        except (
            exceptions.WorkerCrashedError,
            exceptions.OutOfMemoryError,
            exceptions.NodeDiedError,
            exceptions.ObjectLostError,
        ) as error:
            if not is_last:
                return None
            if isinstance(error, exceptions.OutOfMemoryError):
                return Failure(
                    f"its node ran out of memory {1 + RETRIES} times; start nodes with fewer "
                    "--num-cpus, so that fewer tasks are on each at a time"
                )
            return Failure(f"its worker died {1 + RETRIES} times: {_one_line(error)}")

    def _require_head(self) -> None:
        """Ray ends this process without a word where it is a node and the head stays away.

        Raises:
            OSError: nothing listens there for a while.
        """
        while self.head and time.monotonic() - self._head_seen_s > POLL_S:
            try:
                _require_answer(self.head)
                self._head_seen_s = time.monotonic()
            except OSError:
                if time.monotonic() - self._head_seen_s > LOST_S:
                    raise
                time.sleep(POLL_S)

    def _most_in_flight(self) -> int:
        """By the cores of the cluster, which may grow; the head is not asked for every unit."""
        if time.monotonic() - self._cores_asked_s > GROWTH_S:
            self._cores = int(self._ray.cluster_resources().get("CPU", 1))
            self._cores_asked_s = time.monotonic()
        return max(1, IN_FLIGHT_EACH * self._cores // self._threads)

    def __enter__(self) -> Self:
        try:
            self._address = self._resolved_address()
            _require_answer(self._address)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._ray.init(self._address, log_to_driver=False, logging_level="ERROR")
        except (OSError, ValueError) as error:
            raise WorkerError(
                f"no Ray cluster answers at {self._address} ({_one_line(error)}); start one with "
                "`ray start --head`, or name its head as ray://HOST:10001"
            ) from error
        except RuntimeError as error:
            # Of several lines: the versions of Ray and Python there and here.
            said = " ".join(str(error).split())
            raise WorkerError(
                f"the Ray cluster at {self._address} cannot be used from here: {said}"
            ) from error
        try:
            if not self._address.startswith("ray://"):
                self.head = self._ray.get_runtime_context().gcs_address
                self._head_seen_s = time.monotonic()
            self._check_nodes()
        except BaseException:
            self._ray.shutdown()
            raise
        return self

    def _resolved_address(self) -> str:
        """With host and port, since Ray itself waits for many minutes if nothing answers there.

        Raises:
            ConnectionError: this machine is no node of a cluster.
        """
        if self._address.startswith("ray://"):
            host = self._address.removeprefix("ray://")
            return self._address if ":" in host else f"{self._address}:{CLIENT_PORT}"
        if self._address != "auto":
            return self._address
        # Ray has no public way to ask for it.
        services = require("ray._private.services", extra="fleet")
        return str(services.get_ray_address_from_environment("auto", None))

    def _check_nodes(self) -> None:
        """Every node has this yolact_ros, and one the cores and GPU that a task needs."""
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        gpus = sum(node["Resources"].get("GPU", 0) for node in nodes)
        if self.device == "auto":
            self.device = "cuda" if gpus else "cpu"
        if self.device.startswith("cuda") and not gpus:
            raise WorkerError(
                f"--device {self.device}: no node of the Ray cluster has a GPU; start one with "
                "`ray start --num-gpus 1`, or take --device cpu"
            )
        if all(node["Resources"].get("CPU", 0) < self._threads for node in nodes):
            raise WorkerError(
                f"no node of the Ray cluster has {self._threads} cores for a task; take fewer "
                "--threads"
            )
        strategies = require("ray.util.scheduling_strategies", extra="fleet")
        for node in nodes:
            address = node["NodeManagerAddress"]
            there = strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = self._ray.remote(_installed).options(
                num_cpus=0, max_retries=0, scheduling_strategy=there
            )
            try:
                version = self._ray.get(task.remote(), timeout=ANSWER_S)
            except self._ray.exceptions.OutOfMemoryError as error:
                raise WorkerError(
                    f"node {address} of the Ray cluster has no memory left for a task"
                ) from error
            except Exception as error:
                raise WorkerError(
                    f"node {address} of the Ray cluster has no yolact_ros that can be used "
                    f"({_one_line(error)}); install the same as here: {__version__}"
                ) from error
            if version != _installed():
                raise WorkerError(_other_version(address, version, _installed()))

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()


def _attempt(function: Callable[[Item], Result], item: Item, installed: str) -> Result | Failure:
    """On the node, which may have joined after the nodes were checked."""
    if installed != _installed():
        return Failure(_other_version(socket.gethostname(), _installed(), installed))
    return attempt(function, item)


def _other_version(node: str, there: str, here: str) -> str:
    return (
        f"node {node} of the Ray cluster has yolact_ros {there}, here is {here}: install the same "
        "on all"
    )


def _require_answer(address: str) -> None:
    """Ray itself would try for minutes.

    Raises:
        OSError: nothing listens at the address.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), CONNECT_S).close()


def _installed() -> str:
    return f"{__version__} on Python {sys.version_info[0]}.{sys.version_info[1]}"


def _one_line(error: BaseException) -> str:
    # Errors of gRPC show themselves as a block of many lines.
    said = error.details() if hasattr(error, "details") else str(error)
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
