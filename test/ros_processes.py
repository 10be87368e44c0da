"""Processes of a ROS test: the node and cameras, on a domain that nobody else uses."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from yolact_ros.cli.demo_processes import PORTS_A_DOMAIN, PORTS_OF_DOMAIN_0, free_domain_id
from yolact_ros.transport_profile import PROFILE_VARIABLES, profile_variable

REPOSITORY = Path(__file__).parents[1]
PROFILE = REPOSITORY / "config" / "fastdds.xml"
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0
END_TIMEOUT_S = 10.0
# DDS takes a participant that was killed for a living one so long, and requests to its services
# are not answered.
LEASE_S = 20.0
# Has the kernel end a program with the thread that starts it, so that nothing outlives a killed
# test run. A preexec_fn would do so too, but forks this process with the threads of DDS and torch.
ENDING_WITH_US = ("setpriv", "--pdeathsig", "KILL")


def reserve_domain() -> tuple[int, socket.socket]:
    """A ROS domain that nobody else on this machine uses or is given; keep the socket open.

    The socket has the last port of the domain, which DDS gives to a 120th participant: while it
    is open, neither another test run nor a demo takes the domain.
    """
    while True:
        domain_id = free_domain_id()
        reservation = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            reservation.bind(
                ("127.0.0.1", PORTS_OF_DOMAIN_0 + PORTS_A_DOMAIN * (domain_id + 1) - 1)
            )
        except OSError:
            reservation.close()
            continue
        return domain_id, reservation


def ros_environment(domain_id: int, *, profile: bool = True) -> dict[str, str]:
    """The environment of a process on ``domain_id``; with the Fast DDS profile or without."""
    environment = dict(os.environ)
    for variable in PROFILE_VARIABLES:
        environment.pop(variable, None)
    if profile:
        environment[profile_variable()] = str(PROFILE)
    environment.update(
        ROS_DOMAIN_ID=str(domain_id),
        ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST",
        RCUTILS_COLORIZED_OUTPUT="0",
        PYTHONUNBUFFERED="1",
        # Two threads wait for each other at every layer, which on a busy machine takes seconds.
        OMP_NUM_THREADS="1",
    )
    return environment


def is_running(pid: int) -> bool:
    """Whether there is such a process; one that has ended and waits for its parent is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


class Process:
    """A child process with its output in a file; nothing of it is left at the end of ``with``.

    It is asked to end, so that the nodes of others see its node leave, and killed if it will not,
    with everything that it has started.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with open(log, "w") as output:
            self._process = subprocess.Popen(
                [*ENDING_WITH_US, *command],
                cwd=REPOSITORY,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """Everything written so far."""
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def cpu_wait_s(self) -> float:
        """Seconds that its threads were ready to run and no CPU was free, so far."""
        waits_ns = []
        for schedule in Path(f"/proc/{self._process.pid}/task").glob("*/schedstat"):
            try:
                waits_ns.append(int(schedule.read_text().split()[1]))
            except (OSError, IndexError):
                continue
        return sum(waits_ns) / 1e9

    def wait_for_text(self, text: str, timeout_s: float = START_TIMEOUT_S) -> None:
        deadline_s = time.monotonic() + timeout_s
        while text not in self.output:
            if not self.running or "cannot configure" in self.output:
                raise AssertionError(f"it will not come to {text!r}:\n{self.output}")
            if time.monotonic() > deadline_s:
                raise AssertionError(f"no {text!r} in {timeout_s} s:\n{self.output}")
            time.sleep(0.02)

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        return self._process.wait(timeout_s)

    def send_signal(self, signal_number: int) -> None:
        self._process.send_signal(signal_number)

    def stop(self, signal_number: int = signal.SIGINT) -> int:
        """Send a signal and return the exit code."""
        if self.running:
            self._process.send_signal(signal_number)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def close_input(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            if self.running:
                self.send_signal(signal.SIGINT)
                self.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            time.sleep(LEASE_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


def start_node(
    name: str,
    folder: Path,
    environment: Mapping[str, str],
    parameters: Mapping[str, object] | None = None,
    remappings: Mapping[str, str] | None = None,
    program: Sequence[str] = ("-m", "yolact_ros.ros", "node"),
) -> Process:
    """yolact_node under ``name``, its output in ``folder``; or another program that runs it.

    Unless the parameters say otherwise, it runs eager, since measuring would disturb other tests,
    and has no budget, for which it would give up quality on a busy machine.
    """
    command = [sys.executable, *program, "--ros-args", "-r", f"__node:={name}"]
    for topic, target in (remappings or {}).items():
        command += ["-r", f"{topic}:={target}"]
    usual: dict[str, object] = {"runtime": "eager", "frame_budget_ms": 0.0}
    for parameter, value in (usual | dict(parameters or {})).items():
        command += ["-p", f"{parameter}:={json.dumps(value)}"]
    return Process(command, environment, folder / f"{name}.log")


class CameraProcess(Process):
    """camera_publisher.py; publishes as soon as somebody subscribes."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *arguments: object) -> None:
        program = Path(__file__).parent / "ros" / "camera_publisher.py"
        command = [sys.executable, str(program), *map(str, arguments)]
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".log", delete=False) as log:
            super().__init__(command, environment, Path(log.name))

    @property
    def published(self) -> int:
        """Number of images published, once all are; 0 before."""
        assert self.running, self.output
        lines = [line for line in self.output.splitlines() if '"published"' in line]
        last: dict[str, Any] = json.loads(lines[-1]) if lines else {}
        return int(last.get("published", 0))

    def finish(self) -> None:
        """End it."""
        self.close_input()
        assert self.wait() == 0, self.output
