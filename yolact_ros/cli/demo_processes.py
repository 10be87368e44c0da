"""Starting, watching and ending the processes of the demo and of the benchmark."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from yolact_ros.errors import DependencyError
from yolact_ros.workers import end_with_parent

__all__ = ["Child", "free_domain_id", "require_ros", "stop_all"]

TERM_PATIENCE_S = 2.0
KILL_PATIENCE_S = 2.0
# The highest domain whose ports are below Linux's ephemeral ones (32768).
MAX_DOMAIN_ID = 101
PORTS_OF_DOMAIN_0 = 7400
PORTS_A_DOMAIN = 250
SHARED_MEMORY = Path("/dev/shm")
_DDS_PORT = re.compile(r"fast(?:rtps|dds)_port(\d+)$")


class Child:
    """A process with its own session, so that Ctrl-C reaches it through us and in order.

    Args:
        name: for messages.
        command: program and arguments.
        log: file that receives its output; None shares this process's.
        environment: of the process.
    """

    def __init__(
        self, name: str, command: Sequence[str], log: Path | None, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = log
        output = None if log is None else log.open("wb")
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
                preexec_fn=_prepare if sys.platform == "linux" else None,
            )
        finally:
            if output is not None:
                output.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative if a signal ended it."""
        return self._process.poll()

    def cpu_s(self) -> float:
        """CPU time of its threads so far, in seconds; 0 where /proc does not say."""
        try:
            stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        except OSError:
            return 0.0
        # The name in parentheses may hold anything; utime and stime are the 14th and 15th field.
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def signal(self, number: int) -> None:
        """Send a signal to it and to what it started, if it still runs."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; False if it still runs after ``timeout_s``."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def last_lines(self, count: int = 15) -> list[str]:
        """The end of its log."""
        if self.log is None or not self.log.is_file():
            return []
        return self.log.read_text(errors="replace").splitlines()[-count:]

    def last_json(self) -> dict[str, int]:
        """The last line of its log, where that is a JSON object; else empty."""
        lines = self.last_lines(1)
        try:
            values = json.loads(lines[0]) if lines else None
        except ValueError:
            values = None
        return values if isinstance(values, dict) else {}


def require_ros() -> None:
    """ROS 2 and the package's messages are here.

    Raises:
        DependencyError: they are not.
    """
    for module, missing in (
        ("rclpy", "this needs ROS 2"),
        ("yolact_ros.msg", "the messages of yolact_ros are not built"),
    ):
        if importlib.util.find_spec(module) is None:
            raise DependencyError(
                f"{missing}: {module} is missing: use `./dev run` in a checkout, or build the "
                "package with colcon and source the workspace"
            )


def stop_all(
    children: Sequence[Child],
    *,
    patience_s: float = 5.0,
    first: signal.Signals = signal.SIGINT,
) -> None:
    """End all: ``first``, then SIGTERM, then SIGKILL for those that do not listen."""
    for number, wait_s in (
        (first, patience_s),
        (signal.SIGTERM, TERM_PATIENCE_S),
        (signal.SIGKILL, KILL_PATIENCE_S),
    ):
        for child in children:
            child.signal(number)
        deadline_s = time.monotonic() + wait_s
        for child in children:
            child.wait(max(deadline_s - time.monotonic(), 0.01))
        if all(child.exit_code() is not None for child in children):
            return


def free_domain_id() -> int:
    """A ROS domain that nobody on this machine uses: none of its UDP ports is open.

    Nor has a killed process left one in shared memory: two processes that start at once may both
    replace such a port of Fast DDS, and one of them then waits for messages at the wrong one.
    """
    left = map(_DDS_PORT.match, (path.name for path in SHARED_MEMORY.glob("*")))
    used = {int(name[1]) for name in left if name is not None}
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        used |= {int(row.split()[1].rpartition(":")[2], 16) for row in rows}
    free = [domain for domain in range(1, MAX_DOMAIN_ID + 1) if not used & set(_ports(domain))]
    return random.choice(free or range(1, MAX_DOMAIN_ID + 1))


def _ports(domain_id: int) -> range:
    first = PORTS_OF_DOMAIN_0 + PORTS_A_DOMAIN * domain_id
    return range(first, first + PORTS_A_DOMAIN)


def _prepare() -> None:
    """Runs in the new process: hear SIGINT, and end with the parent.

    A shell starts background jobs with SIGINT ignored, which is inherited. A demo does not outlive
    a killed terminal.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent()
